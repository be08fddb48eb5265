// Feeds arbitrary bytes to the frame decoder in arbitrary pieces. Finds: a frame whose bytes are
// not exactly those that the encoder makes, a result that depends on the pieces, a read past the
// frame.
//
// Links: warren::wire

#include <algorithm>

#include "base/check.hpp"
#include "base/varint.hpp"
#include "wire/frame.hpp"

using namespace warren;

namespace {

constexpr std::size_t kMessageBytesMax = 4096;

// Everything that comes out of `input` when it is pushed in pieces of `piece` bytes.
struct Outcome {
  std::vector<Bytes> messages;
  std::size_t taken = 0;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

Outcome decode(BytesView input, std::size_t piece) {
  Outcome outcome;
  wire::FrameDecoder decoder(kMessageBytesMax);
  while (outcome.taken < input.size()) {
    const BytesView rest = input.subspan(outcome.taken);
    const std::size_t wanted = decoder.wanted();
    const auto taken = decoder.push(rest.first(std::min(piece, rest.size())));
    if (!taken) {
      outcome.failed = true;
      // Where exactly it failed depends on the pieces; that it failed does not.
      outcome.taken = 0;
      return outcome;
    }
    WARREN_CHECK(wanted > 0 && *taken > 0);
    outcome.taken += *taken;
    if (auto message = decoder.take()) outcome.messages.push_back(std::move(*message));
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  const Outcome whole = decode(input, std::max<std::size_t>(size, 1));
  WARREN_CHECK(decode(input, 1) == whole);
  WARREN_CHECK(decode(input, 7) == whole);

  Bytes again;
  for (const Bytes& message : whole.messages) {
    WARREN_CHECK(message.size() <= kMessageBytesMax);
    wire::append_frame(again, message);
  }
  WARREN_CHECK(again.size() <= input.size() &&
               std::ranges::equal(again, input.first(again.size())));

  if (const auto number = read_uvarint(input); number && *number) {
    Bytes written;
    append_uvarint(written, (*number)->value);
    WARREN_CHECK(std::ranges::equal(written, input.first((*number)->size)));
    WARREN_CHECK(uvarint_size((*number)->value) == (*number)->size);
  }
  return 0;
}

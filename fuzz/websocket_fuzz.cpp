// Reads arbitrary bytes as the frames and as the HTTP head of a WebSocket peer, in both roles.
// Finds: a result that depends on how the bytes are cut, data other than what a plain reading of
// RFC 6455 gives, frames that do not come back as they were made, an answer to a request that its
// client would not take.
//
// Links: warren::transport_websocket

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "base/check.hpp"
#include "transport/websocket/frame.hpp"
#include "transport/websocket/http_upgrade.hpp"

using namespace warren;
using namespace warren::transport::websocket;

namespace {

struct Seen {
  Bytes data;
  bool failed = false;
  bool closed = false;
  std::size_t pings = 0;  // At most one for each piece that was read.
};

Seen read_in_pieces(Role role, BytesView input, FuzzedDataProvider* cuts) {
  FrameReader reader(role);
  Seen seen;
  while (!input.empty() && !seen.failed) {
    const std::size_t size =
        cuts == nullptr ? input.size() : cuts->ConsumeIntegralInRange<std::size_t>(1, 40);
    Bytes piece = to_bytes(input.first(std::min(size, input.size())));
    input = input.subspan(piece.size());
    const auto count = reader.read(piece);
    seen.failed = !count;
    if (count) append(seen.data, BytesView(piece).first(*count));
    if (const auto ping = reader.take_ping()) {
      WARREN_CHECK(ping->size() <= kControlBytesMax);
      ++seen.pings;
    }
  }
  seen.closed = reader.closed();
  WARREN_CHECK(!seen.failed || reader.close_status() != CloseStatus::kNormal);
  return seen;
}

/// Slow and plain: the data of all whole frames and of the last piece, as far as nothing is wrong.
Seen by_the_book(Role role, BytesView in) {
  Seen seen;
  bool in_message = false;
  while (in.size() >= 2 && !seen.closed) {
    const bool is_final = in[0] >= 0x80;
    const unsigned opcode = in[0] % 16;
    const bool masked = in[1] >= 0x80;
    std::uint64_t length = in[1] % 128;
    const std::size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
    const std::size_t header = 2 + more + (masked ? 4 : 0);
    if (in.size() < header) return seen;
    if (more != 0) {
      length = 0;
      for (std::size_t i = 0; i < more; ++i) length = length * 256 + in[2 + i];
    }
    seen.failed = in[0] / 16 % 8 != 0 || masked != (role == Role::kServer) ||
                  (more == 2 && length < 126) || (more == 8 && (length < 65'536 || length >> 63));
    if (opcode == 0 || opcode == 2) {
      seen.failed |= (opcode == 0) != in_message;
      in_message = !is_final;
    } else {
      seen.failed |= opcode < 8 || opcode > 10 || !is_final || length > 125;
    }
    if (seen.failed) return seen;
    const BytesView key = in.subspan(header - (masked ? 4 : 0), masked ? 4 : 0);
    in = in.subspan(header);
    Bytes payload = to_bytes(in.first(std::min<std::size_t>(in.size(), length)));
    in = in.subspan(payload.size());
    for (std::size_t i = 0; masked && i < payload.size(); ++i) payload[i] ^= key[i % 4];
    if (opcode < 8) append(seen.data, payload);
    if (payload.size() < length) return seen;
    if (opcode == 9) ++seen.pings;
    if (opcode == 8) {
      const unsigned code = payload.size() < 2 ? 1000u : payload[0] * 256u + payload[1];
      seen.failed = payload.size() == 1 || code < 1000 || code > 4999 ||
                    (code > 1003 && code < 1007) || (code > 1014 && code < 3000);
      if (seen.failed) return seen;
      seen.closed = true;
    }
  }
  return seen;
}

void frames_of_any_peer(BytesView input, Role role, FuzzedDataProvider& cuts) {
  const Seen book = by_the_book(role, input);
  const Seen whole = read_in_pieces(role, input, nullptr);
  const Seen cut = read_in_pieces(role, input, &cuts);
  WARREN_CHECK(whole.failed == book.failed && cut.failed == book.failed);
  WARREN_CHECK(whole.closed == book.closed && cut.closed == book.closed);
  WARREN_CHECK(cut.pings <= book.pings && whole.pings <= 1 &&
               (book.pings == 0 || cut.pings > 0 || cut.failed));
  if (!book.failed) {
    WARREN_CHECK(whole.data == book.data && cut.data == book.data);
  } else {
    WARREN_CHECK(cut.data.size() <= book.data.size() &&
                 std::ranges::equal(cut.data, BytesView(book.data).first(cut.data.size())));
  }
}

void frames_of_our_own(FuzzedDataProvider& in, Role reader_role) {
  Bytes wire;
  Bytes sent;
  while (in.remaining_bytes() > 0 && wire.size() < 200'000) {
    std::optional<MaskKey> key;
    if (reader_role == Role::kServer) {
      key.emplace();
      for (std::uint8_t& byte : *key) byte = in.ConsumeIntegral<std::uint8_t>();
    }
    const auto control = in.ConsumeIntegralInRange<int>(0, 7);
    if (control < 2) {
      const Bytes payload(in.ConsumeIntegralInRange<std::size_t>(0, kControlBytesMax), 7);
      append(wire, control_frame(control == 0 ? Opcode::kPing : Opcode::kPong, payload, key));
      continue;
    }
    const std::size_t most = control == 2 ? 70'000 : 300;
    const Bytes payload(in.ConsumeIntegralInRange<std::size_t>(0, most),
                        static_cast<std::uint8_t>(sent.size()));
    append(wire, Header(Opcode::kBinary, payload.size(), key).view());
    const std::size_t begin = wire.size();
    append(wire, payload);
    if (key) mask_into(MutableBytes(wire).subspan(begin), payload, *key, 0);
    append(sent, payload);
  }
  const Seen seen = read_in_pieces(reader_role, wire, nullptr);
  WARREN_CHECK(!seen.failed && !seen.closed && seen.data == sent);
}

void heads_of_any_peer(BytesView input, FuzzedDataProvider& cuts) {
  Head whole;
  const auto whole_ends = whole.add(input);
  Head cut;
  Result<bool> cut_ends = false;
  BytesView rest = input;
  while (cut_ends && !*cut_ends && !rest.empty()) {
    const std::size_t n = std::min(rest.size(), cuts.ConsumeIntegralInRange<std::size_t>(1, 40));
    cut_ends = cut.add(rest.first(n));
    rest = rest.subspan(n);
  }
  WARREN_CHECK(whole_ends.has_value() == cut_ends.has_value());
  if (!whole_ends) return;
  WARREN_CHECK(*whole_ends == *cut_ends);
  if (!*whole_ends) return;
  WARREN_CHECK(whole.text() == cut.text() && whole.text().size() <= kHeadBytesMax);
  WARREN_CHECK(whole.rest().size() == cut.rest().size() + rest.size());

  const Answer answer = answer_request(whole.text());
  Head response;
  const auto ends = response.add(as_bytes(answer.text));
  WARREN_CHECK(ends && *ends);
  WARREN_CHECK(answer.agreed.has_value() == answer.text.starts_with("HTTP/1.1 101 "));
  const std::string key = key_text(Bytes(kKeyBytes, 9));
  // Nobody guesses the digest of a key that he was not told.
  WARREN_CHECK(!check_response(whole.text(), key) ||
               answer_request(make_request("h", key)).text.find("Accept: ") != std::string::npos);
  const Answer own = answer_request(make_request("h", key));
  WARREN_CHECK(own.agreed && check_response(own.text, key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, std::min<std::size_t>(size, 20'000));
  for (const Role role : {Role::kClient, Role::kServer}) {
    FuzzedDataProvider cuts(data, size);
    frames_of_any_peer(input, role, cuts);
    FuzzedDataProvider frames(data, size);
    frames_of_our_own(frames, role);
  }
  FuzzedDataProvider cuts(data, size);
  heads_of_any_peer(input, cuts);
  return 0;
}

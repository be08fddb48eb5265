// Feeds arbitrary bytes to both roles of multistream-select in arbitrary pieces. Finds: a byte
// taken beyond the negotiation, a result that depends on the pieces, output without bound, a state
// in which a machine wants nothing and is neither done nor failed. Then lets both roles talk to
// each other, followed by data that must arrive untouched.
// Links: warren::negotiate

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "negotiate/multistream.hpp"

using namespace warren;

namespace {

using negotiate::Initiator;
using negotiate::Responder;

struct Outcome {
  bool done = false;
  bool failed = false;
  std::size_t taken = 0;
  std::string protocol;
  Bytes output;
  bool operator==(const Outcome&) const = default;
};

/// Feeds `input` in pieces of at most `piece` bytes, or of what the machine wants when 0.
template <class Machine>
Outcome feed(Machine machine, BytesView input, std::size_t piece) {
  Outcome outcome;
  append(outcome.output, machine.take_output());
  while (!machine.done() && outcome.taken < input.size()) {
    const std::size_t wants = machine.wants();
    WARREN_CHECK(wants > 0 && wants <= negotiate::kMessageBytesMax);
    const BytesView rest = input.subspan(outcome.taken);
    const std::size_t most = piece == 0 ? wants : piece;
    const auto taken = machine.feed(rest.first(std::min(most, rest.size())));
    if (!taken) {
      WARREN_CHECK(machine.wants() == 0);
      // How much was taken before the failure depends on the pieces; that it failed does not.
      return {.failed = true, .protocol = {}, .output = {}};
    }
    WARREN_CHECK(*taken > 0);
    outcome.taken += *taken;
    append(outcome.output, machine.take_output());
  }
  outcome.done = machine.done();
  if (outcome.done) {
    WARREN_CHECK(machine.wants() == 0);
    outcome.protocol = machine.protocol();
  }
  // One header and at most a proposal or an answer for each message of the peer.
  WARREN_CHECK(outcome.output.size() <= 20 + 1026 * (input.size() / 2 + 1));
  return outcome;
}

Responder responder() {
  return Responder([](std::string_view id) { return id.starts_with("/y"); });
}

Initiator initiator() {
  return Initiator(std::vector<std::string>{"/a", "/ipfs/ping/1.0.0", "/y"});
}

template <class Make>
void try_pieces(Make make, BytesView input) {
  const Outcome whole = feed(make(), input, input.size() + 1);
  WARREN_CHECK(feed(make(), input, 0) == whole);
  WARREN_CHECK(feed(make(), input, 1) == whole);
  WARREN_CHECK(feed(make(), input, 7) == whole);
}

/// The two roles on one wire: they end alike, and `data` behind the last proposal is left.
void talk(std::string_view name, BytesView data) {
  std::vector<std::string> protocols = {"/a"};
  if (negotiate::is_valid_protocol(name)) protocols.emplace_back(name);
  const bool agree = protocols.back().starts_with("/y");
  Initiator one(protocols);
  Responder other = responder();
  Bytes wire_back;
  for (std::size_t round = 0; round <= protocols.size(); ++round) {
    Bytes wire = one.take_output();
    const std::size_t message_bytes = wire.size();
    const bool last = one.protocol() == protocols.back();
    if (last && agree) append(wire, data);
    const auto taken = other.feed(wire);
    WARREN_CHECK(taken && *taken == message_bytes);
    wire_back = other.take_output();
    const auto back = one.feed(wire_back);
    WARREN_CHECK(one.done() == other.done());
    WARREN_CHECK(!back || *back == wire_back.size());
    if (!back || one.done()) break;
  }
  WARREN_CHECK(one.done() == agree);
  if (agree) WARREN_CHECK(one.protocol() == other.protocol() && one.protocol() == protocols.back());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  try_pieces(responder, input);
  try_pieces(initiator, input);
  const std::size_t name_bytes = std::min<std::size_t>(size, size == 0 ? 0 : data[0]);
  talk(as_text(input.first(name_bytes)), input.subspan(name_bytes));
  talk("/y" + std::string(as_text(input.first(name_bytes))), input.subspan(name_bytes));
  return 0;
}

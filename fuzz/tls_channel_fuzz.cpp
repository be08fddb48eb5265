// Drives both roles of the TLS handshake and the channel behind it. Finds: a result that depends on
// how the bytes are cut, a byte taken beyond the handshake, a peer id that was not proven, a
// handshake that takes more than its limit, plaintext other than what was sent, a channel that goes
// on after an error or behind a goodbye.
//
// OpenSSL's keys differ from run to run, so that an input does not always take the same path.
//
// Links: warren::security_tls

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <deque>

#include "base/check.hpp"
#include "security/tls/handshake.hpp"
#include "security/tls/test_raw_peer.hpp"

using namespace warren;
using namespace warren::security;

namespace {

std::unique_ptr<SecureHandshake> side(Side role) {
  static const auto dialler = protocol_of(1, {"/a", "/yamux/1.0.0"});
  static const auto listener = protocol_of(2, {"/yamux/1.0.0"});
  return (role == Side::kDialler ? dialler : listener)->start(role, std::nullopt);
}

void from_any_peer(BytesView input, Side role) {
  const auto whole = side(role);
  const auto cut = side(role);
  const auto taken = whole->feed(input);
  bool cut_failed = false;
  std::size_t cut_taken = 0;
  while (cut_taken < input.size() && !cut_failed) {
    WARREN_CHECK(cut->wants() > 0 && cut->wants() <= tls::kHandshakeBytesMax);
    const auto one = cut->feed(input.subspan(cut_taken, 1));
    cut_failed = !one;
    if (one) cut_taken += *one;
  }
  WARREN_CHECK(cut_failed == !taken);
  WARREN_CHECK(!taken || (*taken == input.size() && cut_taken == *taken));
  // Nobody can sign for a key that was made now.
  WARREN_CHECK(!whole->done() && !cut->done());
  WARREN_CHECK((whole->wants() == 0) == !taken);
}

Bytes change(FuzzedDataProvider& in, Bytes bytes) {
  switch (in.ConsumeIntegralInRange<int>(0, 6)) {
    case 0:
      if (bytes.empty()) break;
      bytes[in.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1)] ^=
          in.ConsumeIntegral<std::uint8_t>();
      break;
    case 1: bytes.resize(in.ConsumeIntegralInRange<std::size_t>(0, bytes.size())); break;
    case 2: bytes.insert(bytes.begin(), in.ConsumeIntegral<std::uint8_t>()); break;
    default: break;
  }
  return bytes;
}

/// One direction of a channel, and the bytes on their way.
struct Way {
  Way(SecureChannel& sender, SecureChannel& receiver) : from(&sender), to(&receiver) {}

  SecureChannel* from;
  SecureChannel* to;
  std::deque<Bytes> records;  // As they were sealed, or changed since.
  Bytes arrived;              // At `to`, not opened yet.
  Bytes sent;
  Bytes received;
  bool closed = false;  // By `from`.
  bool ended = false;   // Seen by `to`.
  bool failed = false;  // At `to`.
};

void open(Way& way) {
  const auto opened = way.to->open(way.arrived);
  if (!opened) {
    way.failed = true;
    way.arrived.clear();
    return;
  }
  WARREN_CHECK(!way.failed && opened->taken <= way.arrived.size());
  WARREN_CHECK(!way.ended || opened->plaintext.empty());
  way.ended |= opened->end;
  append(way.received, opened->plaintext);
  way.arrived.erase(way.arrived.begin(),
                    way.arrived.begin() + static_cast<std::ptrdiff_t>(opened->taken));
  // An alert to the other side.
  (void)way.to->take_output();
}

void seal(FuzzedDataProvider& in, Way& way) {
  const std::size_t size = in.ConsumeBool()
                               ? in.ConsumeIntegralInRange<std::size_t>(0, 300)
                               : in.ConsumeIntegralInRange<std::size_t>(0, way.from->bulk_bytes());
  const Bytes text(size, static_cast<std::uint8_t>(way.sent.size()));
  const std::size_t cut = in.ConsumeIntegralInRange<std::size_t>(0, size);
  const BytesView parts[] = {BytesView(text).first(cut), BytesView(text).subspan(cut)};
  Bytes out(way.from->sealed_bytes_max(size));
  const auto sealed = way.from->seal(parts, out);
  if (!sealed) return;
  WARREN_CHECK(!way.closed);
  out.resize(*sealed);
  append(way.sent, text);
  way.records.push_back(std::move(out));
}

void talk(FuzzedDataProvider& in, SecureChannel& a, SecureChannel& b) {
  Way ways[] = {Way(a, b), Way(b, a)};
  while (in.remaining_bytes() > 0) {
    Way& way = ways[in.ConsumeBool() ? 1 : 0];
    switch (in.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
        if (!way.records.empty()) way.records.front() = change(in, way.records.front());
        break;
      case 1:
        if (!way.records.empty()) way.records.push_back(way.records.front());
        break;
      case 2:
        if (!way.records.empty()) way.records.pop_front();
        break;
      case 3:
        way.records.push_back(way.from->close());
        way.closed = true;
        break;
      case 4:
      case 5:
      case 6: {
        if (way.records.empty()) break;
        Bytes& front = way.records.front();
        const std::size_t n = in.ConsumeIntegralInRange<std::size_t>(0, front.size());
        append(way.arrived, BytesView(front).first(n));
        front.erase(front.begin(), front.begin() + static_cast<std::ptrdiff_t>(n));
        if (front.empty()) way.records.pop_front();
        open(way);
        break;
      }
      default: seal(in, way);
    }
  }
  for (const Way& way : ways) {
    WARREN_CHECK(way.received.size() <= way.sent.size() &&
                 std::ranges::equal(way.received, BytesView(way.sent).first(way.received.size())));
  }
}

void between_two(FuzzedDataProvider& in) {
  const auto one = side(Side::kDialler);
  const auto two = side(Side::kListener);
  SecureHandshake* from = one.get();
  SecureHandshake* to = two.get();
  bool is_changed = false;
  for (int flight = 0; flight < 3; ++flight) {
    const Bytes sent = from->take_output();
    const Bytes come = change(in, sent);
    is_changed |= come != sent;
    const auto taken = to->feed(come);
    WARREN_CHECK(is_changed || (taken && *taken == sent.size()));
    if (!taken) return;
    std::swap(from, to);
  }
  // TLS ignores a version number here and there; nothing else may change unseen.
  WARREN_CHECK(is_changed || (one->done() && two->done()));
  if (!one->done() || !two->done()) return;
  const auto at_one = one->take_outcome();
  const auto at_two = two->take_outcome();
  WARREN_CHECK(at_one.remote == peer_of(2) && at_two.remote == peer_of(1));
  WARREN_CHECK(at_one.muxer == "/yamux/1.0.0" && at_two.muxer == at_one.muxer);
  talk(in, *at_one.channel, *at_two.channel);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, std::min<std::size_t>(size, 8'000));
  for (const Side role : {Side::kDialler, Side::kListener}) from_any_peer(input, role);
  FuzzedDataProvider in(data, size);
  between_two(in);
  return 0;
}

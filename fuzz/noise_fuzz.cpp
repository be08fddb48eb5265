// Drives both roles of the Noise handshake and the channel behind it. Finds: a result that depends
// on how the bytes are cut, a byte taken beyond the handshake, a handshake that ends although bytes
// were changed on the way, a peer id that was not proven, a payload that breaks its reader,
// plaintext other than what was sent.
//
// Links: warren::security_noise

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <deque>

#include "base/check.hpp"
#include "security/noise/handshake.hpp"
#include "security/noise/test_support.hpp"

using namespace warren;
using namespace warren::security::noise;

namespace {

const auto& dialler_credentials() {
  static const auto credentials = credentials_from(1, {"/a", "/yamux/1.0.0"});
  return credentials;
}
const auto& listener_credentials() {
  static const auto credentials = credentials_from(2, {"/yamux/1.0.0"});
  return credentials;
}
Handshake side(Role role) {
  const bool dials = role == Role::kInitiator;
  return {role, dials ? dialler_credentials() : listener_credentials(), std::nullopt,
          random_from(dials ? 3 : 4)};
}

void from_any_peer(BytesView input, Role role) {
  Handshake whole = side(role);
  Handshake cut = side(role);
  const auto taken = whole.feed(input);
  bool cut_failed = false;
  std::size_t cut_taken = 0;
  while (cut_taken < input.size() && !cut_failed && !cut.done()) {
    WARREN_CHECK(cut.wants() > 0 && cut.wants() <= kHandshakeBytesMax);
    const auto one = cut.feed(input.subspan(cut_taken, 1));
    cut_failed = !one;
    if (one) cut_taken += *one;
  }
  WARREN_CHECK(cut_failed == !taken);
  // Nobody can guess the tags.
  WARREN_CHECK(!whole.done() && !cut.done());
  WARREN_CHECK(!taken || (*taken == input.size() && cut_taken == *taken));
  WARREN_CHECK(whole.take_output() == cut.take_output());
}

// A peer that keeps to Noise and writes any payload. What it has not signed is never believed.
void with_any_payload(BytesView payload, Role role) {
  Handshake ours = side(role);
  XxPattern peer(role == Role::kResponder, {}, KeyPair::generate(random_from(5)),
                 KeyPair::generate(random_from(6)));
  const auto framed = [](const Bytes& message) {
    Bytes out = {static_cast<std::uint8_t>(message.size() >> 8),
                 static_cast<std::uint8_t>(message.size())};
    append(out, message);
    return out;
  };
  if (role == Role::kResponder) {
    WARREN_CHECK(ours.feed(framed(*peer.write({}))).has_value());
  }
  const Bytes message = ours.take_output();
  WARREN_CHECK(peer.read(BytesView(message).subspan(kLengthBytes)).has_value());
  WARREN_CHECK(!ours.feed(framed(*peer.write(payload))));
  WARREN_CHECK(!ours.done() && ours.take_output().empty());
}

struct Changed {
  Bytes bytes;
  bool is_changed = false;
};

Changed change(FuzzedDataProvider& in, Bytes bytes) {
  Changed out{.bytes = bytes};
  switch (in.ConsumeIntegralInRange<int>(0, 6)) {
    case 0:
      if (bytes.empty()) break;
      out.bytes[in.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1)] ^=
          in.ConsumeIntegral<std::uint8_t>();
      break;
    case 1: out.bytes.resize(in.ConsumeIntegralInRange<std::size_t>(0, bytes.size())); break;
    case 2: out.bytes.insert(out.bytes.begin(), in.ConsumeIntegral<std::uint8_t>()); break;
    default: break;
  }
  out.is_changed = out.bytes != bytes;
  return out;
}

// Text over a channel whose frames are changed, repeated, swapped and lost.
void talk(FuzzedDataProvider& in, Channel from, Channel to) {
  std::deque<Bytes> frames;
  Bytes sent;
  Bytes received;
  while (in.remaining_bytes() > 0) {
    switch (in.ConsumeIntegralInRange<int>(0, 7)) {
      case 0: {
        Changed changed = change(in, frames.empty() ? Bytes{} : frames.front());
        if (!frames.empty()) frames.front() = std::move(changed.bytes);
        break;
      }
      case 1:
        if (!frames.empty()) frames.push_back(frames.front());
        break;
      case 2:
        if (!frames.empty()) frames.pop_front();
        break;
      case 3:
      case 4: {
        if (frames.empty()) break;
        Bytes frame = std::move(frames.front());
        frames.pop_front();
        const auto opened = to.open(frame);
        if (opened && *opened) {
          WARREN_CHECK((*opened)->frame_bytes <= frame.size());
          append(received, (*opened)->plaintext);
        }
        break;
      }
      default: {
        const std::size_t size = in.ConsumeIntegralInRange<std::size_t>(0, 2'000);
        Bytes text(size, static_cast<std::uint8_t>(sent.size()));
        const std::size_t cut = in.ConsumeIntegralInRange<std::size_t>(0, size);
        const BytesView parts[] = {BytesView(text).first(cut), BytesView(text).subspan(cut)};
        Bytes frame(size + kFrameOverheadBytes);
        WARREN_CHECK(from.seal(parts, frame).has_value());
        append(sent, text);
        frames.push_back(std::move(frame));
      }
    }
  }
  WARREN_CHECK(received.size() <= sent.size() &&
               std::ranges::equal(received, BytesView(sent).first(received.size())));
}

void between_two(FuzzedDataProvider& in) {
  Handshake one = side(Role::kInitiator);
  Handshake two = side(Role::kResponder);
  bool is_changed = false;
  Handshake* from = &one;
  Handshake* to = &two;
  for (int message = 0; message < 3; ++message) {
    const Changed bytes = change(in, from->take_output());
    is_changed |= bytes.is_changed;
    if (!to->feed(bytes.bytes)) {
      WARREN_CHECK(is_changed);
      return;
    }
    std::swap(from, to);
  }
  WARREN_CHECK((one.done() && two.done()) == !is_changed);
  if (is_changed) return;
  auto at_one = one.take_outcome();
  auto at_two = two.take_outcome();
  WARREN_CHECK(at_one.remote == peer_id_from(2) && at_two.remote == peer_id_from(1));
  WARREN_CHECK(at_one.muxer == "/yamux/1.0.0" && at_two.muxer == at_one.muxer);
  talk(in, std::move(at_one.channel), std::move(at_two.channel));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, std::min<std::size_t>(size, 8'000));
  for (const Role role : {Role::kInitiator, Role::kResponder}) {
    from_any_peer(input, role);
    with_any_payload(input, role);
  }
  FuzzedDataProvider in(data, size);
  between_two(in);
  return 0;
}

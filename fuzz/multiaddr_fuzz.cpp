// Reads arbitrary bytes as a binary multiaddr and as text. Finds: an accepted address that has not
// exactly one text, or whose accessors disagree with its parts.
//
// Links: warren::multiformats

#include "base/check.hpp"
#include "multiformats/multiaddr.hpp"

using namespace warren;

namespace {

void check(const Multiaddr& address) {
  const auto from_bytes = Multiaddr::from_bytes(address.bytes());
  WARREN_CHECK(from_bytes && *from_bytes == address);
  const auto from_text = Multiaddr::parse(address.to_string());
  WARREN_CHECK(from_text && *from_text == address);

  WARREN_CHECK(!address.components().empty());
  WARREN_CHECK(!(address.is_quic() && address.is_tcp()));
  if (address.is_quic() || address.is_tcp()) WARREN_CHECK(address.endpoint().has_value());
  WARREN_CHECK(address.peer_id().has_value() == address.has(multiformats::Protocol::kP2p));
  WARREN_CHECK(address.decapsulate(address).empty());
  const auto peer = address.peer_id();
  if (peer) WARREN_CHECK(address.without_peer().with_peer(*peer).peer_id() == peer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  if (const auto address = Multiaddr::from_bytes(input)) {
    WARREN_CHECK(to_bytes(address->bytes()) == to_bytes(input));
    check(*address);
  }
  if (const auto address = Multiaddr::parse(as_text(input))) check(*address);
  return 0;
}

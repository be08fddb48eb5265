#pragma once
#include "base/check.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::discovery::fakes {

/// A peer id made of `n`; greater `n`, greater id.
inline PeerId peer(std::uint8_t n) {
  Bytes key = {0x08, 0x01, 0x12, 0x20};
  key.resize(36, n);
  return PeerId::from_public_key(key);
}

inline Multiaddr address(std::string_view text) {
  auto parsed = Multiaddr::parse(text);
  WARREN_CHECK(parsed);
  return *parsed;
}

}  // namespace warren::discovery::fakes

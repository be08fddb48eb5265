#pragma once
// Identities and randomness with a seed, for tests and fuzzing.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "security/noise/handshake.hpp"

namespace warren::security::noise {

/// The same bytes for the same seed.
inline RandomBytes random_from(std::uint32_t seed) {
  return [generator = std::make_shared<std::mt19937>(seed)](MutableBytes out) {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>((*generator)());
  };
}

inline crypto::PrivateKey identity_from(std::uint8_t seed) {
  return crypto::PrivateKey::from_seed(Bytes(32, seed));
}

inline PeerId peer_id_from(std::uint8_t seed) {
  return PeerId::from_public_key(identity_from(seed).public_key().protobuf());
}

inline std::shared_ptr<const Credentials> credentials_from(std::uint8_t seed,
                                                           std::vector<std::string> muxers = {
                                                               "/yamux/1.0.0"}) {
  return std::make_shared<const Credentials>(identity_from(seed), std::move(muxers),
                                             random_from(seed));
}

}  // namespace warren::security::noise

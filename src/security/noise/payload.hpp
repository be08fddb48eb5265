#pragma once
// What libp2p puts into the second and third message of a Noise handshake.
// Source: libp2p specs, noise/README.md; connections/inlined-muxer-negotiation.md.

#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "security/noise/x25519.hpp"

namespace warren::security::noise {

/// Signs the static key with `identity` and lists `muxers` in order of preference.
Bytes make_payload(const crypto::PrivateKey& identity, const PublicBytes& static_key,
                   const std::vector<std::string>& muxers);

struct Payload {
  crypto::PublicKey identity;
  std::vector<std::string> muxers;  ///< As the peer wrote them; empty when it lists none.
};

/// Reads a peer's payload and shows that its identity signed `static_key`. Early data and unknown
/// fields are ignored. About 0.1 ms. Errors: kMalformed, kTooLarge, kUnsupported (the key),
/// kIntegrity (the signature, or none).
Result<Payload> read_payload(BytesView bytes, const PublicBytes& static_key);

}  // namespace warren::security::noise

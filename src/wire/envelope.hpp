#pragma once
// Signed envelopes: proto/envelope.proto. Source: libp2p specs, RFC/0002-signed-envelopes.md.

#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/keys.hpp"

namespace warren::wire {

/// Longest envelope that is read. Source: our own bound; a peer record of 64 addresses takes 8 KiB.
inline constexpr std::size_t kEnvelopeBytesMax = 64u << 10;

/// An envelope whose signature has been checked.
struct SignedEnvelope {
  crypto::PublicKey key;  ///< Who signed.
  Bytes payload_type;
  Bytes payload;
};

/// Signs `payload` for `domain` and returns the serialized envelope.
Bytes seal_envelope(const crypto::PrivateKey& key, std::string_view domain, BytesView payload_type,
                    BytesView payload);

/// Reads an envelope and checks its signature for `domain`. The caller checks payload_type, or
/// gives the one that it wants.
/// Errors: kMalformed, kTooLarge, kUnsupported for a key type, kIntegrity when the signature is not
/// of this key for this domain.
Result<SignedEnvelope> open_envelope(BytesView bytes, std::string_view domain);
Result<SignedEnvelope> open_envelope(BytesView bytes, std::string_view domain,
                                     BytesView payload_type);

}  // namespace warren::wire

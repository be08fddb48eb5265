#pragma once
// The certificate that proves a peer id inside TLS 1.3 and QUIC.
// Source: libp2p specs, tls/tls.md.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "crypto/keys.hpp"

namespace warren::security {

/// Longest certificate that is read. One with an RSA identity of 8,192 bits takes about 2,600.
inline constexpr std::size_t kCertificateBytesMax = 16u << 10;

struct CertificatePair {
  Bytes certificate;  ///< X.509 in DER.
  Bytes private_key;  ///< PKCS#8 in DER, of the certificate's own P-256 key.
};

/// Makes a new P-256 key and a self-signed certificate over it that carries `identity` and its
/// signature. Valid from one hour before `now` for 100 years. May serve for the life of a process;
/// its key and serial come from OpenSSL's generator. About 0.4 ms.
/// Errors: kInternal when OpenSSL fails.
Result<CertificatePair> make_certificate(const crypto::PrivateKey& identity, WallTime now);

/// Checks the one certificate that a peer presented and returns the identity key that it proves.
/// The caller still compares PeerId::from_public_key(key.protobuf()) with the peer that it dialled.
/// That the peer holds the certificate's key is for the TLS handshake to show. About 0.3 to 0.5 ms.
///
/// Errors: kMalformed for broken encoding, kTooLarge, kIntegrity when a signature is wrong, the
/// certificate is not valid at `now`, or its extension is missing, kUnsupported for key types and
/// unknown critical extensions.
Result<crypto::PublicKey> verify_certificate(BytesView der, WallTime now);

}  // namespace warren::security

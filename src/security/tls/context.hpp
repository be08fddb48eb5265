#pragma once
// What all TLS connections of one node share. Only .cpp files include it.

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/keys.hpp"
#include "crypto/openssl_handles.hpp"
#include "multiformats/peer_id.hpp"
#include "security/tls/tls_security.hpp"

namespace warren::security::tls {

using SslHandle = std::unique_ptr<SSL, crypto::OpensslFree<SSL_free>>;
using SslContextHandle = std::unique_ptr<SSL_CTX, crypto::OpensslFree<SSL_CTX_free>>;

/// What ALPN says when multistream-select has to find the muxer.
inline constexpr std::string_view kAlpnFallback = "libp2p";

/// Who the peer must be, and who it is. Filled in by OpenSSL's call to verify its certificate.
struct Verification {
  std::optional<PeerId> expected;
  WallTime now;
  std::optional<Error> refused;
  crypto::PublicKey key;  ///< Empty: no certificate was verified yet.
  PeerId peer;
};

class Context {
 public:
  /// Errors: as make_tls_security.
  static Result<std::shared_ptr<const Context>> create(const crypto::PrivateKey& identity,
                                                       std::vector<std::string> muxers,
                                                       WallClock now);

  /// A new connection that takes certificates as `verification` says, which it must not outlive.
  /// nullptr without memory.
  SslHandle make_ssl(Side side, Verification& verification) const;
  /// The muxer that ALPN agreed on; empty for multistream-select. Errors: kMalformed for one that
  /// this node did not offer.
  Result<std::string> muxer_of(const SSL* ssl) const;
  WallTime now() const { return now_(); }

 private:
  Context() = default;
  static int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_length,
                         const unsigned char* in, unsigned int in_length, void* self);

  SslContextHandle handle_;
  std::vector<std::string> muxers_;
  Bytes offer_;  // As ALPN writes a list: length, name, length, name.
  WallClock now_;
};

}  // namespace warren::security::tls

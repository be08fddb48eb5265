#pragma once
// TLS 1.3 for QUIC by GnuTLS, with libp2p certificates on both sides.
// Source: libp2p specs, tls/tls.md and quic/README.md.

#include <gnutls/gnutls.h>

#include <memory>
#include <optional>
#include <type_traits>

#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "multiformats/peer_id.hpp"
#include "runtime/runtime.hpp"

namespace warren::transport::quic {

struct DeleteSession {
  void operator()(gnutls_session_t session) const { gnutls_deinit(session); }
};
using TlsSession = std::unique_ptr<std::remove_pointer_t<gnutls_session_t>, DeleteSession>;

/// The certificate of this node and the settings that every session shares. One per transport.
class TlsContext {
 public:
  /// Makes a certificate for `identity`. Errors: kInternal when the library refuses.
  static Result<std::unique_ptr<TlsContext>> create(runtime::Runtime& runtime,
                                                    const crypto::PrivateKey& identity);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// A session that asks for the peer's certificate and calls `verify` with it in the handshake.
  Result<TlsSession> make_session(bool server, gnutls_certificate_verify_function* verify) const;

 private:
  TlsContext() = default;
  gnutls_certificate_credentials_t credentials_ = nullptr;
  gnutls_priority_t priority_ = nullptr;
};

/// The identity that the peer of `session` has proven by its certificate. With `expected`, another
/// identity is kIntegrity. Errors: kIntegrity with what is wrong.
Result<crypto::PublicKey> verify_peer(gnutls_session_t session,
                                      const std::optional<PeerId>& expected, WallTime now);

}  // namespace warren::transport::quic

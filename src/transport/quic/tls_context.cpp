#include "transport/quic/tls_context.hpp"

#include <fmt/core.h>

#include "security/tls/certificate.hpp"
#include "transport/quic/ngtcp2_compat.hpp"

namespace warren::transport::quic {
namespace {

constexpr std::string_view kAlpn = "libp2p";

/// AES first where the processor has it: GnuTLS's ChaCha20-Poly1305 is about eight times slower
/// there. X25519 and P-256 are what every libp2p implementation offers.
constexpr const char* kPriorityAes =
    "%DISABLE_TLS13_COMPAT_MODE:NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
    "+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1";
constexpr const char* kPriorityChaCha =
    "%DISABLE_TLS13_COMPAT_MODE:NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305:"
    "+AES-128-GCM:+AES-256-GCM:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1";

const char* priority_of_this_processor() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("aes") ? kPriorityAes : kPriorityChaCha;
#else
  return kPriorityAes;
#endif
}

std::unexpected<Error> tls_failure(std::string_view what, int code) {
  return fail(ErrorCode::kInternal, fmt::format("{}: {}", what, gnutls_strerror(code)));
}

gnutls_datum_t datum(BytesView bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::create(runtime::Runtime& runtime,
                                                       const crypto::PrivateKey& identity) {
  WARREN_TRY(const auto pair, security::make_certificate(identity, runtime.wall_now()));
  std::unique_ptr<TlsContext> context(new TlsContext);
  int code = gnutls_certificate_allocate_credentials(&context->credentials_);
  if (code < 0) return tls_failure("gnutls credentials", code);
  const gnutls_datum_t certificate = datum(pair.certificate);
  const gnutls_datum_t key = datum(pair.private_key);
  code = gnutls_certificate_set_x509_key_mem(context->credentials_, &certificate, &key,
                                             GNUTLS_X509_FMT_DER);
  if (code < 0) return tls_failure("gnutls certificate", code);
  code = gnutls_priority_init(&context->priority_, priority_of_this_processor(), nullptr);
  if (code < 0) return tls_failure("gnutls priorities", code);
  return context;
}

TlsContext::~TlsContext() {
  if (priority_ != nullptr) gnutls_priority_deinit(priority_);
  if (credentials_ != nullptr) gnutls_certificate_free_credentials(credentials_);
}

Result<TlsSession> TlsContext::make_session(bool server,
                                            gnutls_certificate_verify_function* verify) const {
  const unsigned flags = server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_SIGNAL
                                : GNUTLS_CLIENT | GNUTLS_NO_SIGNAL;
  gnutls_session_t raw = nullptr;
  int code = gnutls_init(&raw, flags);
  if (code < 0) return tls_failure("gnutls session", code);
  TlsSession session(raw);
  code = gnutls_priority_set(raw, priority_);
  if (code < 0) return tls_failure("gnutls priorities", code);
  code = server ? ngtcp2_crypto_gnutls_configure_server_session(raw)
                : ngtcp2_crypto_gnutls_configure_client_session(raw);
  if (code != 0) return tls_failure("gnutls for QUIC", GNUTLS_E_INTERNAL_ERROR);
  code = gnutls_credentials_set(raw, GNUTLS_CRD_CERTIFICATE, credentials_);
  if (code < 0) return tls_failure("gnutls credentials", code);
  const gnutls_datum_t alpn = datum(as_bytes(kAlpn));
  code = gnutls_alpn_set_protocols(raw, &alpn, 1, GNUTLS_ALPN_MANDATORY);
  if (code < 0) return tls_failure("gnutls ALPN", code);
  if (server) gnutls_certificate_server_set_request(raw, GNUTLS_CERT_REQUIRE);
  gnutls_session_set_verify_function(raw, verify);
  return session;
}

Result<crypto::PublicKey> verify_peer(gnutls_session_t session,
                                      const std::optional<PeerId>& expected, WallTime now) {
  unsigned count = 0;
  const gnutls_datum_t* list = gnutls_certificate_get_peers(session, &count);
  if (list == nullptr || count != 1) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("the peer sent {} certificates, not one", count));
  }
  auto key = security::verify_certificate({list[0].data, list[0].size}, now);
  if (!key) {
    return fail(ErrorCode::kIntegrity, "the peer's certificate: " + key.error().message());
  }
  const PeerId proven = PeerId::from_public_key(key->protobuf());
  if (expected && *expected != proven) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("wrong identity: {} was dialled, but {} answered",
                            expected->to_string(), proven.to_string()),
                "Ask the peer's owner for its current id (warren id), or dial without /p2p");
  }
  return key;
}

}  // namespace warren::transport::quic

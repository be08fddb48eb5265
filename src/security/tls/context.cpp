#include "security/tls/context.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "security/tls/certificate.hpp"
#include "security/tls/x509_handles.hpp"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace warren::security::tls {
namespace {

// Source: RFC 7301, section 3.1.
constexpr std::size_t kAlpnNameBytesMax = 255;
constexpr std::size_t kMuxersMax = 16;
// The message with one certificate: its length and the framing around it.
constexpr long kCertificateListBytesMax = static_cast<long>(kCertificateBytesMax) + 64;

constexpr const char* kAesFirst =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kChaChaFirst =
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

bool processor_has_aes() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("aes") != 0;
#elif defined(__aarch64__)
  return (::getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
  return false;
#endif
}

int verification_index() {
  static const int index = ::SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Result<crypto::PublicKey> verify(const Verification& verification, X509_STORE_CTX* store) {
  const STACK_OF(X509)* const chain = ::X509_STORE_CTX_get0_untrusted(store);
  const int count = chain == nullptr ? 0 : sk_X509_num(chain);
  if (count != 1) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("the peer sent {} certificates, not one", count));
  }
  std::uint8_t* der = nullptr;
  const int length = ::i2d_X509(sk_X509_value(chain, 0), &der);
  if (length <= 0) return fail(ErrorCode::kInternal, "OpenSSL wrote no DER");
  auto key = verify_certificate({der, static_cast<std::size_t>(length)}, verification.now);
  ::OPENSSL_free(der);
  if (!key) return fail(std::move(key).error().in("the peer's certificate"));
  const PeerId proven = PeerId::from_public_key(key->protobuf());
  if (verification.expected && *verification.expected != proven) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("wrong identity: {} was dialled, but {} answered",
                            verification.expected->to_string(), proven.to_string()),
                "Ask the peer's owner for its current id (warren id), or dial without /p2p");
  }
  return key;
}

// Instead of OpenSSL's own verification of a chain. What is refused here makes OpenSSL send an
// alert, so that the peer learns it.
int verify_callback(X509_STORE_CTX* store, void*) {
  auto* const ssl = static_cast<SSL*>(
      ::X509_STORE_CTX_get_ex_data(store, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& verification = *static_cast<Verification*>(::SSL_get_ex_data(ssl, verification_index()));
  auto key = verify(verification, store);
  if (!key) {
    verification.refused = std::move(key).error();
    // Becomes the alert bad_certificate.
    ::X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  verification.key = std::move(*key);
  verification.peer = PeerId::from_public_key(verification.key.protobuf());
  ::X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

bool configure(SSL_CTX* context, const CertificatePair& pair) {
  // Each line is one thing that libp2p does not have. In TLS 1.3 a session is resumed only by a
  // ticket: without one there is no early data either.
  constexpr std::uint64_t kOptions =
      SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
      // The listener's order of ciphers decides, but for a dialler without AES in its processor.
      SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
  ::SSL_CTX_set_options(context, kOptions);
  ::SSL_CTX_clear_options(context, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
  ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  ::SSL_CTX_set_cert_verify_callback(context, verify_callback, nullptr);
  ::SSL_CTX_set_max_cert_list(context, kCertificateListBytesMax);
  return ::SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         ::SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         ::SSL_CTX_set_num_tickets(context, 0) == 1 &&
         ::SSL_CTX_set_max_early_data(context, 0) == 1 &&
         ::SSL_CTX_set_ciphersuites(context, processor_has_aes() ? kAesFirst : kChaChaFirst) == 1 &&
         ::SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
         ::SSL_CTX_use_certificate_ASN1(context, static_cast<int>(pair.certificate.size()),
                                        pair.certificate.data()) == 1 &&
         ::SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, context, pair.private_key.data(),
                                       static_cast<long>(pair.private_key.size())) == 1;
}

Result<Bytes> alpn_list(const std::vector<std::string>& muxers) {
  if (muxers.size() > kMuxersMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} muxers for TLS; {} is the most", muxers.size(), kMuxersMax));
  }
  Bytes list;
  const auto add = [&list](std::string_view name) {
    list.push_back(static_cast<std::uint8_t>(name.size()));
    append(list, as_bytes(name));
  };
  for (const std::string& muxer : muxers) {
    if (muxer.empty() || muxer.size() > kAlpnNameBytesMax || muxer == kAlpnFallback) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" cannot name a muxer in TLS: 1 to {} bytes, and not \"{}\"",
                              muxer, kAlpnNameBytesMax, kAlpnFallback));
    }
    add(muxer);
  }
  add(kAlpnFallback);
  return list;
}

}  // namespace

Result<std::shared_ptr<const Context>> Context::create(const crypto::PrivateKey& identity,
                                                       std::vector<std::string> muxers,
                                                       WallClock now) {
  const crypto::ErrorQueueGuard guard;
  std::shared_ptr<Context> context(new Context);
  WARREN_TRY(context->offer_, alpn_list(muxers));
  context->muxers_ = std::move(muxers);
  context->now_ = std::move(now);
  WARREN_TRY(const CertificatePair pair, make_certificate(identity, context->now_()));
  context->handle_.reset(::SSL_CTX_new(::TLS_method()));
  if (context->handle_ == nullptr || verification_index() < 0 ||
      !configure(context->handle_.get(), pair)) {
    return fail(ErrorCode::kInternal,
                fmt::format("TLS context: OpenSSL error {:x}", ::ERR_peek_last_error()));
  }
  ::SSL_CTX_set_alpn_select_cb(context->handle_.get(), select_alpn, context.get());
  // This one returns 0 when all is well.
  if (::SSL_CTX_set_alpn_protos(context->handle_.get(), context->offer_.data(),
                                static_cast<unsigned>(context->offer_.size())) != 0) {
    return fail(ErrorCode::kInternal, "TLS context: OpenSSL took no ALPN list");
  }
  return context;
}

SslHandle Context::make_ssl(Side side, Verification& verification) const {
  SslHandle ssl(::SSL_new(handle_.get()));
  if (ssl == nullptr || ::SSL_set_ex_data(ssl.get(), verification_index(), &verification) != 1) {
    return nullptr;
  }
  if (side == Side::kDialler) {
    ::SSL_set_connect_state(ssl.get());
  } else {
    ::SSL_set_accept_state(ssl.get());
  }
  return ssl;
}

// The first of the dialler's list that this node has too.
int Context::select_alpn(SSL*, const unsigned char** out, unsigned char* out_length,
                         const unsigned char* in, unsigned int in_length, void* self) {
  const auto& muxers = static_cast<const Context*>(self)->muxers_;
  // OpenSSL has checked the form of the list.
  for (BytesView rest(in, in_length); !rest.empty(); rest = rest.subspan(1u + rest[0])) {
    const std::string_view name = as_text(rest.subspan(1, rest[0]));
    if (name == kAlpnFallback || std::ranges::find(muxers, name) != muxers.end()) {
      *out = rest.data() + 1;
      *out_length = rest[0];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Result<std::string> Context::muxer_of(const SSL* ssl) const {
  const unsigned char* data = nullptr;
  unsigned length = 0;
  ::SSL_get0_alpn_selected(ssl, &data, &length);
  const std::string_view name = as_text(BytesView(data, length));
  if (name.empty() || name == kAlpnFallback) return std::string();
  if (std::ranges::find(muxers_, name) == muxers_.end()) {
    return fail(ErrorCode::kMalformed, "TLS: the peer chose an ALPN name that was not offered");
  }
  return std::string(name);
}

}  // namespace warren::security::tls

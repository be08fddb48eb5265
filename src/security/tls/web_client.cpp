#include "security/tls/web_client.hpp"

#include <fmt/core.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/endpoint.hpp"
#include "security/tls/failure.hpp"
#include "security/tls/progress.hpp"
#include "security/tls/x509_handles.hpp"

namespace warren::security {
namespace {

// As ALPN writes a list.
constexpr std::string_view kAlpn = "\x08http/1.1";

/// Tells `ssl` whose certificate is wanted. False for what cannot be a name.
bool ask_for(SSL* ssl, const std::string& name, WallTime now) {
  X509_VERIFY_PARAM* const wanted = ::SSL_get0_param(ssl);
  ::X509_VERIFY_PARAM_set_time(
      wanted, std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
  // Only what stands among the alternative names counts. Source: RFC 9525, section 6.
  ::X509_VERIFY_PARAM_set_hostflags(
      wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (IpAddress::parse(name)) return ::X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1;
  return !name.empty() && ::SSL_set1_host(ssl, name.c_str()) == 1 &&
         ::SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

class Handshake final : public WebHandshake {
 public:
  Handshake(SSL_CTX* context, std::string name, WallTime now)
      : name_(std::move(name)), progress_([this] { return failure(); }, [] { return Result<>(); }) {
    tls::SslHandle& ssl = progress_.session().ssl;
    ssl.reset(::SSL_new(context));
    if (ssl != nullptr) {
      ::SSL_set_connect_state(ssl.get());
      if (!ask_for(ssl.get(), name_, now)) {
        progress_.fail_with({ErrorCode::kInvalidArgument,
                             fmt::format("TLS: \"{}\" cannot be a server's name", name_)});
        return;
      }
    }
    progress_.start(true);
  }
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  Bytes take_output() override { return progress_.take_output(); }
  std::size_t wants() const override { return progress_.wants(); }
  Result<std::size_t> feed(BytesView in) override { return progress_.feed(in); }
  bool done() const override { return progress_.done(); }
  std::unique_ptr<SecureChannel> take_channel() override {
    return std::make_unique<tls::Channel>(progress_.take_session());
  }

 private:
  Error failure() {
    const long verdict = ::SSL_get_verify_result(progress_.session().ssl.get());
    if (verdict == X509_V_OK) return tls::last_failure("TLS handshake");
    return {ErrorCode::kIntegrity,
            fmt::format("TLS: the certificate of {} is not to be trusted: {}", name_,
                        ::X509_verify_cert_error_string(verdict))};
  }

  std::string name_;
  tls::Progress progress_;
};

bool add_authorities(SSL_CTX* context, std::string_view pem) {
  const crypto::BioHandle bio(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509_STORE* const store = ::SSL_CTX_get_cert_store(context);
  int count = 0;
  for (;; ++count) {
    const CertificateHandle one(::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (one == nullptr || ::X509_STORE_add_cert(store, one.get()) != 1) return count > 0;
  }
}

}  // namespace

struct WebTls::Core {
  tls::SslContextHandle context;
  WallClock now;
};

WebTls::WebTls() : core_(std::make_unique<Core>()) {}
WebTls::~WebTls() = default;

Result<std::unique_ptr<WebTls>> WebTls::create(WallClock now, std::string_view authorities) {
  const crypto::ErrorQueueGuard guard;
  std::unique_ptr<WebTls> made(new WebTls);
  made->core_->now = std::move(now);
  made->core_->context.reset(::SSL_CTX_new(::TLS_client_method()));
  SSL_CTX* const context = made->core_->context.get();
  if (context == nullptr || ::SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      ::SSL_CTX_set_alpn_protos(context, as_bytes(kAlpn).data(),
                                static_cast<unsigned>(kAlpn.size())) != 0) {
    return fail(ErrorCode::kInternal,
                fmt::format("TLS context: OpenSSL error {:x}", ::ERR_peek_last_error()));
  }
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  if (authorities.empty()) {
    // A system without any is no fault here: then no server is trusted.
    (void)::SSL_CTX_set_default_verify_paths(context);
  } else if (!add_authorities(context, authorities)) {
    return fail(ErrorCode::kInvalidArgument, "TLS: no certificate of an authority in the PEM text");
  }
  return made;
}

std::unique_ptr<WebHandshake> WebTls::start(const std::string& name) const {
  return std::make_unique<Handshake>(core_->context.get(), name, core_->now());
}

}  // namespace warren::security

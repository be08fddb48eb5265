#pragma once
// Another program's TLS, for tests: OpenSSL with any certificate and any settings, over memory.

#include <openssl/ssl.h>

#include <functional>

#include "security/tls/context.hpp"
#include "security/tls/test_certificates.hpp"

namespace warren::security {

class RawPeer {
 public:
  using Settings = std::function<void(SSL_CTX*)>;

  RawPeer(Side side, BytesView certificate, EVP_PKEY* key, const Settings& settings = {})
      : context_(::SSL_CTX_new(::TLS_method())) {
    ::SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    ::SSL_CTX_set_cert_verify_callback(
        context_.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
    ::SSL_CTX_set_security_level(context_.get(), 0);
    if (!certificate.empty()) {
      WARREN_CHECK(::SSL_CTX_use_certificate_ASN1(context_.get(),
                                                  static_cast<int>(certificate.size()),
                                                  certificate.data()) == 1);
      WARREN_CHECK(::SSL_CTX_use_PrivateKey(context_.get(), key) == 1);
    }
    if (settings) settings(context_.get());
    ssl_.reset(::SSL_new(context_.get()));
    in_ = ::BIO_new(::BIO_s_mem());
    out_ = ::BIO_new(::BIO_s_mem());
    ::SSL_set_bio(ssl_.get(), in_, out_);
    if (side == Side::kDialler) {
      ::SSL_set_connect_state(ssl_.get());
    } else {
      ::SSL_set_accept_state(ssl_.get());
    }
  }

  /// With the certificate of `recipe`.
  RawPeer(Side side, const Recipe& recipe, const Settings& settings = {})
      : RawPeer(side, recipe.make(), recipe.key.get(), settings) {}

  SSL* ssl() { return ssl_.get(); }
  bool done() const { return ::SSL_is_init_finished(ssl_.get()) == 1; }
  /// The alert that the other side sent, as OpenSSL's reason; 0: none.
  int alert() const { return alert_; }

  void feed(BytesView bytes) {
    if (!bytes.empty()) ::BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  }
  /// Goes on with the handshake, or reads; returns the text that came.
  Bytes advance() {
    ::ERR_clear_error();
    Bytes text;
    if (!done()) {
      ::SSL_do_handshake(ssl_.get());
    }
    if (done()) {
      Bytes buffer(20'000);
      for (int n; (n = ::SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()))) > 0;)
        append(text, BytesView(buffer).first(static_cast<std::size_t>(n)));
    }
    const int reason = ERR_GET_REASON(::ERR_peek_last_error());
    if (reason > SSL_AD_REASON_OFFSET) alert_ = reason - SSL_AD_REASON_OFFSET;
    ::ERR_clear_error();
    return text;
  }
  void write(BytesView text) {
    WARREN_CHECK(::SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) ==
                 static_cast<int>(text.size()));
  }
  Bytes take_output() {
    Bytes bytes = std::exchange(put_back_, {});
    Bytes more(static_cast<std::size_t>(::BIO_ctrl_pending(out_)));
    if (!more.empty()) ::BIO_read(out_, more.data(), static_cast<int>(more.size()));
    append(bytes, more);
    return bytes;
  }
  /// Output that the other side did not take yet.
  void put_back(Bytes bytes) { put_back_ = std::move(bytes); }

 private:
  tls::SslContextHandle context_;
  tls::SslHandle ssl_;
  BIO* in_ = nullptr;  // Both belong to ssl_.
  BIO* out_ = nullptr;
  int alert_ = 0;
  Bytes put_back_;
};

/// Carries bytes between the two until both are silent. The first error of `ours`, if any.
inline Result<> play(SecureHandshake& ours, RawPeer& peer) {
  Result<> result;
  Bytes left;
  for (int quiet = 0; quiet < 2;) {
    const Bytes to_peer = ours.take_output();
    peer.feed(to_peer);
    peer.advance();
    const Bytes to_us = peer.take_output();
    quiet = to_peer.empty() && to_us.empty() ? quiet + 1 : 0;
    append(left, to_us);
    while (result && !left.empty() && !ours.done()) {
      const auto taken = ours.feed(left);
      if (!taken) {
        result = fail(taken.error());
      } else {
        left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(*taken));
      }
    }
  }
  peer.put_back(std::move(left));
  return result;
}

/// Both roles of our own, one after the other until both are silent. The errors of each.
struct Played {
  Result<> dialler;
  Result<> listener;
  Bytes for_listener;  ///< What the listener did not take: it is for its channel.
  Bytes for_dialler;
};
inline Played play(SecureHandshake& dialler, SecureHandshake& listener) {
  Played played;
  const auto carry = [](SecureHandshake& from, SecureHandshake& to, Result<>& result, Bytes& left) {
    const Bytes bytes = from.take_output();
    append(left, bytes);
    while (result && !to.done() && !left.empty()) {
      const auto taken = to.feed(left);
      if (!taken) {
        result = fail(taken.error());
        break;
      }
      left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(*taken));
    }
    return !bytes.empty();
  };
  for (bool moved = true; moved;) {
    moved = carry(dialler, listener, played.listener, played.for_listener);
    moved |= carry(listener, dialler, played.dialler, played.for_dialler);
  }
  return played;
}

inline std::unique_ptr<SecurityProtocol> protocol_of(std::uint8_t seed,
                                                     std::vector<std::string> muxers = {
                                                         "/yamux/1.0.0"}) {
  return make_tls_security(identity(seed), std::move(muxers), [] { return kNow; }).value();
}

inline PeerId peer_of(std::uint8_t seed) {
  return PeerId::from_public_key(identity(seed).public_key().protobuf());
}

/// What `channel` makes of text: everything that is to be sent.
inline Bytes sealed(SecureChannel& channel, std::span<const BytesView> parts) {
  std::size_t total = 0;
  for (const BytesView& part : parts) total += part.size();
  Bytes out(channel.sealed_bytes_max(total));
  out.resize(channel.seal(parts, out).value());
  return out;
}
inline Bytes sealed(SecureChannel& channel, BytesView text) {
  const BytesView parts[] = {text};
  return sealed(channel, parts);
}

/// All the text in `bytes`; `bytes` keeps what is not whole. Stops at an error.
inline Result<Bytes> opened(SecureChannel& channel, Bytes& bytes) {
  Bytes text;
  for (;;) {
    const auto one = channel.open(bytes);
    if (!one) return fail(one.error());
    append(text, one->plaintext);
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(one->taken));
    if (one->taken == 0 || one->end) return text;
  }
}

}  // namespace warren::security

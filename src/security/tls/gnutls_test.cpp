// Our TLS against a stack of other authors, GnuTLS, in both roles.

#include <gnutls/gnutls.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "security/tls/test_raw_peer.hpp"

namespace warren::security {
namespace {

/// A GnuTLS session over memory with a certificate of libp2p.
class GnutlsPeer {
 public:
  GnutlsPeer(Side side, const char* priority, std::initializer_list<std::string_view> alpn) {
    const CertificatePair pair = make_certificate(identity(1), kNow).value();
    const auto datum = [](BytesView bytes) {
      return gnutls_datum_t{const_cast<unsigned char*>(bytes.data()),
                            static_cast<unsigned>(bytes.size())};
    };
    const gnutls_datum_t certificate = datum(pair.certificate);
    const gnutls_datum_t key = datum(pair.private_key);
    ::gnutls_certificate_allocate_credentials(&credentials_);
    WARREN_CHECK(::gnutls_certificate_set_x509_key_mem(credentials_, &certificate, &key,
                                                       GNUTLS_X509_FMT_DER) == 0);
    ::gnutls_init(&session_, (side == Side::kDialler ? GNUTLS_CLIENT : GNUTLS_SERVER) |
                                 GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    WARREN_CHECK(::gnutls_priority_set_direct(session_, priority, nullptr) == 0);
    ::gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_);
    if (side == Side::kListener) {
      ::gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUIRE);
    }
    std::vector<gnutls_datum_t> names;
    for (const std::string_view name : alpn) names.push_back(datum(as_bytes(name)));
    ::gnutls_alpn_set_protocols(session_, names.data(), static_cast<unsigned>(names.size()), 0);
    ::gnutls_transport_set_ptr(session_, this);
    ::gnutls_transport_set_push_function(session_, push);
    ::gnutls_transport_set_pull_function(session_, pull);
    ::gnutls_transport_set_pull_timeout_function(
        session_, [](gnutls_transport_ptr_t, unsigned) { return 1; });
  }
  ~GnutlsPeer() {
    ::gnutls_deinit(session_);
    ::gnutls_certificate_free_credentials(credentials_);
  }
  GnutlsPeer(const GnutlsPeer&) = delete;
  GnutlsPeer& operator=(const GnutlsPeer&) = delete;

  gnutls_session_t session() { return session_; }
  bool done() const { return done_; }
  int error() const { return error_; }
  void feed(BytesView bytes) { append(in_, bytes); }
  Bytes take_output() { return std::exchange(out_, {}); }
  void advance() {
    if (done_ || error_ != 0) return;
    const int result = ::gnutls_handshake(session_);
    done_ = result == 0;
    if (result != 0 && ::gnutls_error_is_fatal(result) != 0) error_ = result;
  }
  Bytes read() {
    Bytes text;
    Bytes buffer(20'000);
    for (;;) {
      const ssize_t got = ::gnutls_record_recv(session_, buffer.data(), buffer.size());
      if (got == 0) ended_ = true;
      // A record that only TLS itself needs is no text, and not the end.
      if (got < 0 && ::gnutls_error_is_fatal(static_cast<int>(got)) == 0 && !in_.empty()) continue;
      if (got <= 0) return text;
      append(text, BytesView(buffer).first(static_cast<std::size_t>(got)));
    }
  }
  bool ended() const { return ended_; }
  void write(BytesView text) {
    while (!text.empty()) {
      const ssize_t n = ::gnutls_record_send(session_, text.data(), text.size());
      WARREN_CHECK(n > 0);
      text = text.subspan(static_cast<std::size_t>(n));
    }
  }

 private:
  static ssize_t push(gnutls_transport_ptr_t self, const void* from, std::size_t count) {
    append(static_cast<GnutlsPeer*>(self)->out_, {static_cast<const std::uint8_t*>(from), count});
    return static_cast<ssize_t>(count);
  }
  static ssize_t pull(gnutls_transport_ptr_t self, void* to, std::size_t room) {
    auto& peer = *static_cast<GnutlsPeer*>(self);
    const std::size_t n = std::min(room, peer.in_.size());
    if (n == 0) {
      ::gnutls_transport_set_errno(peer.session_, EAGAIN);
      return -1;
    }
    std::memcpy(to, peer.in_.data(), n);
    peer.in_.erase(peer.in_.begin(), peer.in_.begin() + static_cast<std::ptrdiff_t>(n));
    return static_cast<ssize_t>(n);
  }

  gnutls_certificate_credentials_t credentials_ = nullptr;
  gnutls_session_t session_ = nullptr;
  Bytes in_;
  Bytes out_;
  bool done_ = false;
  bool ended_ = false;
  int error_ = 0;
};

constexpr const char* kTls13 = "NORMAL:-VERS-ALL:+VERS-TLS1.3";

Side other(Side side) { return side == Side::kDialler ? Side::kListener : Side::kDialler; }

/// Returns what GnuTLS sent behind its part of the handshake.
Bytes shake_hands(SecureHandshake& ours, GnutlsPeer& peer) {
  Bytes left;
  for (int i = 0; i < 10; ++i) {
    peer.feed(ours.take_output());
    peer.advance();
    append(left, peer.take_output());
    while (!left.empty() && !ours.done()) {
      const auto taken = ours.feed(left);
      EXPECT_TRUE(taken) << taken.error().message();
      if (!taken) return left;
      left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(*taken));
    }
  }
  return left;
}

TEST(TlsWithGnutls, TalksInBothRolesWithEachCipherAndGroup) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    for (const char* choice : {"", ":-CIPHER-ALL:+AES-128-GCM", ":-CIPHER-ALL:+AES-256-GCM",
                               ":-CIPHER-ALL:+CHACHA20-POLY1305", ":-GROUP-ALL:+GROUP-X25519",
                               ":-GROUP-ALL:+GROUP-SECP256R1", ":%DISABLE_TLS13_COMPAT_MODE"}) {
      SCOPED_TRACE(choice);
      const auto protocol = protocol_of(2);
      const auto handshake = protocol->start(ours, peer_of(1));
      GnutlsPeer peer(other(ours), (std::string(kTls13) + choice).c_str(),
                      {"/yamux/1.0.0", "libp2p"});
      Bytes bytes = shake_hands(*handshake, peer);
      ASSERT_TRUE(handshake->done() && peer.done()) << ::gnutls_strerror(peer.error());
      const auto outcome = handshake->take_outcome();
      EXPECT_EQ(outcome.remote, peer_of(1));
      EXPECT_EQ(outcome.muxer, "/yamux/1.0.0");
      SecureChannel& channel = *outcome.channel;

      // Its tickets, if any, stand before its text.
      const Bytes text(40'000, 't');
      peer.write(text);
      append(bytes, peer.take_output());
      EXPECT_EQ(opened(channel, bytes).value(), text);
      peer.feed(sealed(channel, text));
      EXPECT_EQ(peer.read(), text);

      ASSERT_EQ(::gnutls_session_key_update(peer.session(), GNUTLS_KU_PEER), 0);
      peer.write(as_bytes("new key"));
      bytes = peer.take_output();
      EXPECT_EQ(as_text(opened(channel, bytes).value()), "new key");
      peer.feed(sealed(channel, as_bytes("and back")));
      EXPECT_EQ(as_text(peer.read()), "and back");

      peer.feed(channel.close());
      peer.read();
      EXPECT_TRUE(peer.ended());
      ::gnutls_bye(peer.session(), GNUTLS_SHUT_WR);
      bytes = peer.take_output();
      const auto end = channel.open(bytes);
      ASSERT_TRUE(end);
      EXPECT_TRUE(end->end);
    }
  }
}

TEST(TlsWithGnutls, LeavesTheMuxerToMultistreamSelect) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    const auto protocol = protocol_of(2);
    const auto handshake = protocol->start(ours, peer_of(1));
    GnutlsPeer peer(other(ours), kTls13, {"libp2p"});
    shake_hands(*handshake, peer);
    ASSERT_TRUE(handshake->done() && peer.done());
    EXPECT_EQ(handshake->take_outcome().muxer, "");
  }
}

TEST(TlsWithGnutls, EndsTheHandshakeOfAPeerThatItRefuses) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    const auto protocol = protocol_of(2);
    const auto handshake = protocol->start(ours, peer_of(3));
    GnutlsPeer peer(other(ours), kTls13, {"libp2p"});
    Result<> result;
    for (int i = 0; i < 10 && result; ++i) {
      peer.feed(handshake->take_output());
      peer.advance();
      const Bytes bytes = peer.take_output();
      if (bytes.empty() || handshake->done()) continue;
      if (const auto taken = handshake->feed(bytes); !taken) result = fail(taken.error());
    }
    SCOPED_TRACE(ours == Side::kDialler ? "dialler" : "listener");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kIntegrity);
    peer.feed(handshake->take_output());
    peer.advance();
    if (peer.done()) peer.read();
    // Before its own first flight OpenSSL's dialler sends alerts without encryption, which GnuTLS
    // takes for a broken peer: it ends all the same.
    if (ours == Side::kDialler) {
      EXPECT_NE(peer.error(), 0);
    } else {
      EXPECT_EQ(::gnutls_alert_get(peer.session()), GNUTLS_A_BAD_CERTIFICATE);
    }
  }
}

}  // namespace
}  // namespace warren::security

// What the handshake refuses, and what becomes of bytes that are cut, changed or made up.

#include "security/tls/handshake.hpp"

#include <gtest/gtest.h>

#include "multiformats/test_hex.hpp"
#include "security/tls/certificate_vectors.hpp"
#include "security/tls/test_raw_peer.hpp"

namespace warren::security {
namespace {

using crypto::KeyType;

/// How our side, in both roles, takes a peer with such a certificate.
struct Seen {
  ErrorCode code = ErrorCode::kInternal;  ///< kInternal: no error.
  std::string message;
  int alert = 0;  ///< What the peer was told.
};
Seen seen_as(Side ours, RawPeer& peer, std::optional<PeerId> expected = {}) {
  const auto protocol = protocol_of(2);
  const auto handshake = protocol->start(ours, std::move(expected));
  const auto result = play(*handshake, peer);
  EXPECT_EQ(handshake->done(), result.has_value());
  if (!result) {
    EXPECT_EQ(handshake->wants(), 0u);
    EXPECT_FALSE(handshake->feed(Bytes(10))) << "an error stays";
  }
  return {result ? ErrorCode::kInternal : result.error().code(),
          result ? "" : result.error().message(), peer.alert()};
}

Side other(Side side) { return side == Side::kDialler ? Side::kListener : Side::kDialler; }

void expect_refused(const Recipe& recipe, ErrorCode code, std::string_view text) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    RawPeer peer(other(ours), recipe);
    const Seen seen = seen_as(ours, peer);
    EXPECT_EQ(seen.code, code) << seen.message;
    EXPECT_NE(seen.message.find(text), std::string::npos) << seen.message;
    EXPECT_EQ(seen.alert, SSL_AD_BAD_CERTIFICATE);
  }
}

TEST(TlsHandshake, AcceptsTheRecipeThatTheNextTestsSpoil) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    RawPeer peer(other(ours), Recipe{});
    EXPECT_EQ(seen_as(ours, peer, peer_of(1)).message, "");
    EXPECT_EQ(peer.alert(), 0);
  }
}

TEST(TlsHandshake, RefusesExpiredAndEarlyCertificates) {
  Recipe expired;
  expired.to = kNow - 1s;
  expect_refused(expired, ErrorCode::kIntegrity, "expired");
  Recipe early;
  early.from = kNow + 1s;
  expect_refused(early, ErrorCode::kIntegrity, "not valid yet");
}

TEST(TlsHandshake, RefusesASecondExtensionAndACriticalStranger) {
  Recipe twice;
  twice.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, kExtensionOid, value_for(identity(), key), false);
    add_extension(certificate, kExtensionOid, value_for(identity(), key), false);
  };
  expect_refused(twice, ErrorCode::kIntegrity, "2 times");
  Recipe critical;
  critical.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, kExtensionOid, value_for(identity(), key), false);
    add_extension(certificate, "1.2.3.4", Bytes{5, 0}, true);
  };
  expect_refused(critical, ErrorCode::kUnsupported, "critical");
}

TEST(TlsHandshake, RefusesAWrongSignatureOfTheIdentity) {
  Recipe recipe;
  recipe.extensions = [](X509* certificate, EVP_PKEY* key) {
    Bytes signature = identity().sign(statement_for(key));
    signature[20] ^= 1;
    add_extension(certificate, kExtensionOid,
                  extension_value(identity().public_key().protobuf(), signature), false);
  };
  expect_refused(recipe, ErrorCode::kIntegrity, "did not sign");
}

TEST(TlsHandshake, RefusesACertificateOfAnUsualServer) {
  Recipe recipe;
  recipe.extensions = [](X509*, EVP_PKEY*) {};
  expect_refused(recipe, ErrorCode::kIntegrity, "lacks the libp2p extension");
}

TEST(TlsHandshake, RefusesAChain) {
  const Recipe second;
  const auto add_second = [&second](SSL_CTX* context) {
    const Bytes der = second.make();
    const std::uint8_t* at = der.data();
    ::SSL_CTX_add_extra_chain_cert(context,
                                   ::d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  };
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    RawPeer peer(other(ours), Recipe{}, add_second);
    const Seen seen = seen_as(ours, peer);
    EXPECT_EQ(seen.code, ErrorCode::kIntegrity);
    EXPECT_NE(seen.message.find("2 certificates"), std::string::npos) << seen.message;
  }
}

// The public half of a certificate's key, with a guess at the other half.
crypto::PkeyHandle guessed_key(BytesView der) {
  const std::uint8_t* at = der.data();
  const CertificateHandle certificate(::d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  std::uint8_t* point = nullptr;
  const std::size_t size =
      ::EVP_PKEY_get1_encoded_public_key(::X509_get0_pubkey(certificate.get()), &point);
  Bytes guess(32, 7);
  char group[] = "prime256v1";
  OSSL_PARAM params[] = {::OSSL_PARAM_construct_utf8_string("group", group, 0),
                         ::OSSL_PARAM_construct_octet_string("pub", point, size),
                         ::OSSL_PARAM_construct_BN("priv", guess.data(), guess.size()),
                         ::OSSL_PARAM_construct_end()};
  const crypto::PkeyContextHandle context(::EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  ::EVP_PKEY_fromdata_init(context.get());
  WARREN_CHECK(::EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, params) == 1);
  ::OPENSSL_free(point);
  return crypto::PkeyHandle(key);
}

// The certificates are good, but who shows them cannot sign with their key.
TEST(TlsHandshake, RefusesAPeerThatShowsThePublishedCertificatesOfAnother) {
  for (const auto hex :
       {vectors::kEd25519Certificate, vectors::kEcdsaCertificate, vectors::kSecp256k1Certificate}) {
    const Bytes der = multiformats::from_hex(hex);
    const crypto::PkeyHandle key = guessed_key(der);
    for (const Side ours : {Side::kDialler, Side::kListener}) {
      RawPeer peer(other(ours), der, key.get());
      const Seen seen = seen_as(ours, peer);
      EXPECT_EQ(seen.code, ErrorCode::kIntegrity) << seen.message;
      EXPECT_EQ(seen.alert, SSL_AD_DECRYPT_ERROR) << seen.message;
    }
  }
}

TEST(TlsHandshake, RefusesThePublishedInvalidCertificate) {
  const Bytes der = multiformats::from_hex(vectors::kInvalidCertificate);
  const crypto::PkeyHandle key = guessed_key(der);
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    RawPeer peer(other(ours), der, key.get());
    const Seen seen = seen_as(ours, peer);
    EXPECT_EQ(seen.code, ErrorCode::kIntegrity);
    EXPECT_EQ(seen.alert, SSL_AD_BAD_CERTIFICATE) << "before anything that it signed";
  }
}

TEST(TlsHandshake, TakesIdentitiesOfEveryType) {
  for (const KeyType type : {KeyType::kRsa, KeyType::kEcdsa, KeyType::kSecp256k1}) {
    const ForeignIdentity foreign(type);
    Recipe recipe;
    recipe.extensions = [&foreign](X509* certificate, EVP_PKEY* key) {
      add_extension(certificate, kExtensionOid,
                    extension_value(foreign.protobuf(), foreign.sign(statement_for(key))), true);
    };
    const PeerId expected = PeerId::from_public_key(foreign.protobuf());
    for (const Side ours : {Side::kDialler, Side::kListener}) {
      const auto protocol = protocol_of(2);
      const auto handshake = protocol->start(ours, expected);
      RawPeer peer(other(ours), recipe);
      const auto result = play(*handshake, peer);
      ASSERT_TRUE(result) << result.error().message();
      const auto outcome = handshake->take_outcome();
      EXPECT_EQ(outcome.remote, expected);
      EXPECT_EQ(outcome.remote_key.type(), type);
    }
  }
}

TEST(TlsHandshake, NamesBothPeersWhenAnotherAnswers) {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  const auto dialler = a->start(Side::kDialler, peer_of(3));
  const auto listener = b->start(Side::kListener, std::nullopt);
  const Played played = play(*dialler, *listener);
  ASSERT_FALSE(played.dialler);
  EXPECT_EQ(played.dialler.error().code(), ErrorCode::kIntegrity);
  for (const std::uint8_t seed : {std::uint8_t{2}, std::uint8_t{3}}) {
    EXPECT_NE(played.dialler.error().message().find(peer_of(seed).to_string()), std::string::npos)
        << played.dialler.error().message();
  }
  // The listener is told.
  ASSERT_FALSE(played.listener);
  EXPECT_EQ(played.listener.error().code(), ErrorCode::kDenied);
  EXPECT_FALSE(dialler->done() || listener->done());
}

// In TLS 1.3 the dialler is done before the listener has seen its certificate.
TEST(TlsHandshake, ADiallerLearnsOfItsRefusalWithTheFirstRead) {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  const auto dialler = a->start(Side::kDialler, peer_of(2));
  const auto listener = b->start(Side::kListener, peer_of(3));
  Played played = play(*dialler, *listener);
  EXPECT_FALSE(played.listener);
  ASSERT_TRUE(dialler->done());
  const auto channel = dialler->take_outcome().channel;
  ASSERT_FALSE(played.for_dialler.empty());
  const auto first = channel->open(played.for_dialler);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code(), ErrorCode::kDenied);
  EXPECT_NE(first.error().message().find("refused this node's certificate"), std::string::npos)
      << first.error().message();
}

TEST(TlsHandshake, RefusesADiallerWithoutACertificate) {
  RawPeer peer(Side::kDialler, Bytes{}, nullptr);
  const Seen seen = seen_as(Side::kListener, peer);
  EXPECT_EQ(seen.code, ErrorCode::kIntegrity) << seen.message;
  EXPECT_EQ(seen.alert, SSL_AD_CERTIFICATE_REQUIRED);
}

TEST(TlsHandshake, RefusesOlderVersions) {
  const auto older = [](SSL_CTX* context) {
    ::SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  };
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    RawPeer peer(other(ours), Recipe{}, older);
    const Seen seen = seen_as(ours, peer);
    EXPECT_EQ(seen.code, ErrorCode::kUnsupported) << seen.message;
    EXPECT_EQ(seen.alert, ours == Side::kListener ? SSL_AD_PROTOCOL_VERSION : 0) << seen.message;
  }
}

TEST(TlsHandshake, GoesThroughByteByByteAndTakesNoneTooMany) {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  const auto dialler = a->start(Side::kDialler, peer_of(2));
  const auto listener = b->start(Side::kListener, std::nullopt);
  SecureHandshake* from = dialler.get();
  SecureHandshake* to = listener.get();
  for (int flight = 0; flight < 3; ++flight) {
    const Bytes bytes = from->take_output();
    ASSERT_FALSE(bytes.empty());
    for (const std::uint8_t byte : bytes) {
      ASSERT_FALSE(to->done());
      ASSERT_GT(to->wants(), 0u);
      const auto taken = to->feed({&byte, 1});
      ASSERT_TRUE(taken) << taken.error().message();
      ASSERT_EQ(*taken, 1u);
    }
    std::swap(from, to);
  }
  EXPECT_TRUE(dialler->done() && listener->done());
}

TEST(TlsHandshake, LeavesWhatFollowsItToTheChannel) {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  const auto dialler = a->start(Side::kDialler, peer_of(2));
  const auto listener = b->start(Side::kListener, std::nullopt);
  ASSERT_TRUE(listener->feed(dialler->take_output()));
  ASSERT_TRUE(dialler->feed(listener->take_output()));
  ASSERT_TRUE(dialler->done());
  Bytes flight = dialler->take_output();
  const std::size_t end = flight.size();
  const auto at_dialler = dialler->take_outcome();
  append(flight, sealed(*at_dialler.channel, as_bytes("at once")));
  const auto taken = listener->feed(flight);
  ASSERT_TRUE(taken && listener->done());
  EXPECT_EQ(*taken, end);
  Bytes rest(flight.begin() + static_cast<std::ptrdiff_t>(end), flight.end());
  const auto text = opened(*listener->take_outcome().channel, rest);
  EXPECT_EQ(as_text(text.value()), "at once");
}

// A bit in the five bytes before a record may be one that TLS tells to ignore.
TEST(TlsHandshake, NoFlippedBitGoesUnseenAndNoneProvesAnotherPeer) {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  const auto run = [&](std::size_t flight, std::size_t bit) {
    const auto dialler = a->start(Side::kDialler, std::nullopt);
    const auto listener = b->start(Side::kListener, std::nullopt);
    SecureHandshake* from = dialler.get();
    SecureHandshake* to = listener.get();
    std::size_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      Bytes bytes = from->take_output();
      bool is_header = false;
      if (i == flight) {
        bits = bytes.size() * 8;
        if (bit >= bits) return bits;
        bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1u << bit % 8);
        is_header = bit / 8 < 5;
      }
      const auto taken = to->feed(bytes);
      if (!taken || (i == 2 && !to->done())) return bits;  // Seen.
      if (i == 2) {
        EXPECT_TRUE(flight == 0 && is_header) << "flight " << flight << " bit " << bit;
        EXPECT_EQ(dialler->take_outcome().remote, peer_of(2));
        EXPECT_EQ(listener->take_outcome().remote, peer_of(1));
      }
      std::swap(from, to);
    }
    return bits;
  };
  for (std::size_t flight = 0; flight < 3; ++flight) {
    // A prime step: each bit of a byte and each part of a message gets its turn.
    for (std::size_t bit = 0;; bit += 41) {
      if (bit >= run(flight, bit)) break;
    }
  }
}

TEST(TlsHandshake, RefusesWhatIsNotTls) {
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    for (const std::string_view text :
         {std::string_view("GET / HTTP/1.1\r\n\r\n"),
          std::string_view("\x13/multistream/1.0.0\n\x07/noise\n"),
          std::string_view("\0\0\0\0\0\0\0\0", 8), std::string_view("\xff\xff\xff\xff\xff\xff")}) {
      const auto protocol = protocol_of(2);
      const auto handshake = protocol->start(ours, std::nullopt);
      const auto taken = handshake->feed(as_bytes(text));
      ASSERT_FALSE(taken) << text;
      EXPECT_TRUE(taken.error().code() == ErrorCode::kMalformed ||
                  taken.error().code() == ErrorCode::kUnsupported ||
                  taken.error().code() == ErrorCode::kTooLarge)
          << taken.error().message();
      EXPECT_EQ(handshake->wants(), 0u);
    }
  }
}

TEST(TlsHandshake, EndsWithAGoodbyeOrAnAlert) {
  const auto code_for = [](const Bytes& alert) {
    const auto protocol = protocol_of(2);
    const auto dialler = protocol->start(Side::kDialler, std::nullopt);
    const auto taken = dialler->feed(alert);
    return taken ? ErrorCode::kInternal : taken.error().code();
  };
  EXPECT_EQ(code_for({21, 3, 3, 0, 2, 1, 0}), ErrorCode::kReset) << "close_notify";
  EXPECT_EQ(code_for({21, 3, 3, 0, 2, 2, 40}), ErrorCode::kUnsupported) << "handshake_failure";
  EXPECT_EQ(code_for({21, 3, 3, 0, 2, 2, 80}), ErrorCode::kReset) << "internal_error";
  EXPECT_EQ(code_for({21, 3, 3, 0, 2, 2, 48}), ErrorCode::kDenied) << "unknown_ca";
}

TEST(TlsHandshake, TakesNoMoreThanItsLimit) {
  // A hello that says it has 120,000 bytes, in full records.
  Bytes record = {22, 3, 1, 0x40, 0};
  record.resize(record.size() + 16'384);
  const auto protocol = protocol_of(2);
  const auto listener = protocol->start(Side::kListener, std::nullopt);
  std::size_t fed = 0;
  for (int i = 0; i < 8; ++i) {
    if (i == 0) record[5] = 1, record[6] = 1, record[7] = 0xd4, record[8] = 0xc0;
    if (i == 1) std::fill(record.begin() + 5, record.end(), std::uint8_t{0});
    const auto taken = listener->feed(record);
    if (!taken) {
      EXPECT_EQ(taken.error().code(), ErrorCode::kTooLarge) << taken.error().message();
      EXPECT_LE(fed, tls::kHandshakeBytesMax);
      return;
    }
    fed += *taken;
  }
  FAIL() << "took " << fed << " bytes";
}

TEST(TlsHandshake, RefusesAnOverlongCertificate) {
  Recipe recipe;
  recipe.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, kExtensionOid, value_for(identity(), key), false);
    add_extension(certificate, "1.2.3.4", Bytes(kCertificateBytesMax), false);
  };
  for (const Side ours : {Side::kDialler, Side::kListener}) {
    RawPeer peer(other(ours), recipe);
    EXPECT_EQ(seen_as(ours, peer).code, ErrorCode::kTooLarge);
  }
}

}  // namespace
}  // namespace warren::security

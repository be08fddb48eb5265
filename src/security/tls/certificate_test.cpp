#include "security/tls/certificate.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.hpp"
#include "multiformats/peer_id.hpp"
#include "multiformats/test_hex.hpp"
#include "security/tls/certificate_vectors.hpp"
#include "security/tls/der.hpp"
#include "security/tls/test_certificates.hpp"
#include "security/tls/x509_handles.hpp"

namespace warren::security {
namespace {

using crypto::PrivateKey;
using multiformats::from_hex;

ErrorCode refusal(BytesView certificate, WallTime now = kNow) {
  const auto key = verify_certificate(certificate, now);
  EXPECT_FALSE(key) << "accepted";
  return key ? ErrorCode::kInternal : key.error().code();
}

void expect_identity(std::string_view hex, std::string_view peer, crypto::KeyType type) {
  const auto key = verify_certificate(from_hex(hex), kNow);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(key->type(), type);
  EXPECT_EQ(PeerId::from_public_key(key->protobuf()).to_string(), peer);
}

TEST(VerifyCertificate, AcceptsThePublishedCertificates) {
  expect_identity(vectors::kEd25519Certificate,
                  "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv",
                  crypto::KeyType::kEd25519);
  expect_identity(vectors::kEcdsaCertificate, "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE",
                  crypto::KeyType::kEcdsa);
  expect_identity(vectors::kSecp256k1Certificate,
                  "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs",
                  crypto::KeyType::kSecp256k1);
}

TEST(VerifyCertificate, RefusesThePublishedInvalidCertificate) {
  EXPECT_EQ(refusal(from_hex(vectors::kInvalidCertificate)), ErrorCode::kIntegrity);
}

TEST(MakeCertificate, ProvesTheIdentity) {
  const auto pair = make_certificate(identity(), kNow);
  ASSERT_TRUE(pair) << pair.error().message();
  const auto key = verify_certificate(pair->certificate, kNow);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(*key, identity().public_key());
}

TEST(MakeCertificate, IsValidFromAnHourAgoForACentury) {
  const auto pair = make_certificate(identity(), kNow);
  ASSERT_TRUE(pair);
  const auto century = std::chrono::hours(24) * 36'525;
  EXPECT_TRUE(verify_certificate(pair->certificate, kNow - 1h));
  EXPECT_EQ(refusal(pair->certificate, kNow - 1h - 1s), ErrorCode::kIntegrity);
  EXPECT_TRUE(verify_certificate(pair->certificate, kNow + century));
  EXPECT_EQ(refusal(pair->certificate, kNow + century + 1s), ErrorCode::kIntegrity);
}

TEST(MakeCertificate, WorksAtTheEpochOfASimulation) {
  const auto pair = make_certificate(identity(), WallTime{});
  ASSERT_TRUE(pair);
  EXPECT_TRUE(verify_certificate(pair->certificate, WallTime{}));
}

// What js-libp2p and rust-libp2p insist on: P-256, ecdsa-with-SHA256, one extension.
TEST(MakeCertificate, HasTheFormThatEveryOtherProgramTakes) {
  const auto pair = make_certificate(identity(), kNow);
  ASSERT_TRUE(pair);
  EXPECT_LT(pair->certificate.size(), 600u);
  const std::uint8_t* at = pair->certificate.data();
  const CertificateHandle certificate(
      ::d2i_X509(nullptr, &at, static_cast<long>(pair->certificate.size())));
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(::X509_get_version(certificate.get()), X509_VERSION_3);
  EXPECT_EQ(::X509_get_signature_nid(certificate.get()), NID_ecdsa_with_SHA256);
  EXPECT_EQ(::X509_get_ext_count(certificate.get()), 1);
  char group[32] = {};
  ::EVP_PKEY_get_group_name(::X509_get0_pubkey(certificate.get()), group, sizeof group, nullptr);
  EXPECT_STREQ(group, "prime256v1");
  EXPECT_EQ(::X509_NAME_cmp(::X509_get_subject_name(certificate.get()),
                            ::X509_get_issuer_name(certificate.get())),
            0);
  // The private key is the certificate's.
  at = pair->private_key.data();
  const crypto::PkeyHandle key(
      ::d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(pair->private_key.size())));
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(::X509_check_private_key(certificate.get(), key.get()), 1);
}

TEST(MakeCertificate, NeverMakesTheSameTwice) {
  const auto first = make_certificate(identity(), kNow);
  const auto second = make_certificate(identity(), kNow);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->certificate, second->certificate);
  EXPECT_NE(first->private_key, second->private_key);
}

TEST(VerifyCertificate, RefusesEveryFlippedBit) {
  const auto pair = make_certificate(identity(), kNow);
  ASSERT_TRUE(pair);
  for (std::size_t bit = 0; bit < pair->certificate.size() * 8; ++bit) {
    Bytes flipped = pair->certificate;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    ASSERT_FALSE(verify_certificate(flipped, kNow)) << "bit " << bit;
  }
}

TEST(VerifyCertificate, RefusesEveryCutAndTail) {
  const auto pair = make_certificate(identity(), kNow);
  ASSERT_TRUE(pair);
  for (std::size_t size = 0; size < pair->certificate.size(); ++size) {
    ASSERT_EQ(refusal(BytesView(pair->certificate).first(size)), ErrorCode::kMalformed) << size;
  }
  Bytes longer = pair->certificate;
  longer.push_back(0);
  EXPECT_EQ(refusal(longer), ErrorCode::kMalformed);
  Bytes twice = pair->certificate;
  append(twice, pair->certificate);
  EXPECT_EQ(refusal(twice), ErrorCode::kMalformed) << "a chain";
  EXPECT_EQ(refusal(Bytes(kCertificateBytesMax + 1, 0x30)), ErrorCode::kTooLarge);
}

TEST(VerifyCertificate, AcceptsTheRecipeThatTheNextTestsSpoil) {
  const auto key = verify_certificate(Recipe{}.make(), kNow);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(*key, identity().public_key());
}

TEST(VerifyCertificate, RefusesExpiredAndEarlyOnes) {
  Recipe expired;
  expired.to = kNow - 1s;
  EXPECT_EQ(refusal(expired.make()), ErrorCode::kIntegrity);
  Recipe early;
  early.from = kNow + 1s;
  EXPECT_EQ(refusal(early.make()), ErrorCode::kIntegrity);
}

TEST(VerifyCertificate, RefusesAMissingExtension) {
  Recipe recipe;
  recipe.extensions = [](X509*, EVP_PKEY*) {};
  EXPECT_EQ(refusal(recipe.make()), ErrorCode::kIntegrity);
}

TEST(VerifyCertificate, RefusesTwoExtensionsEvenIfBothAreGood) {
  Recipe recipe;
  recipe.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, kExtensionOid, value_for(identity(), key), false);
    add_extension(certificate, kExtensionOid, value_for(identity(), key), false);
  };
  EXPECT_EQ(refusal(recipe.make()), ErrorCode::kIntegrity);
}

TEST(VerifyCertificate, MindsOnlyCriticalStrangers) {
  Recipe harmless;
  harmless.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, "1.2.3.4", Bytes{5, 0}, false);
    add_extension(certificate, kExtensionOid, value_for(identity(), key), true);
  };
  EXPECT_TRUE(verify_certificate(harmless.make(), kNow));
  Recipe critical;
  critical.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, kExtensionOid, value_for(identity(), key), true);
    add_extension(certificate, "1.2.3.4", Bytes{5, 0}, true);
  };
  EXPECT_EQ(refusal(critical.make()), ErrorCode::kUnsupported);
}

TEST(VerifyCertificate, RefusesAnIdentitySignatureForSomethingElse) {
  Recipe stolen;  // Somebody else's extension, copied out of a real certificate.
  stolen.extensions = [](X509* certificate, EVP_PKEY*) {
    const crypto::PkeyHandle other(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    add_extension(certificate, kExtensionOid, value_for(identity(), other.get()), false);
  };
  EXPECT_EQ(refusal(stolen.make()), ErrorCode::kIntegrity);
  Recipe prefix;
  prefix.extensions = [](X509* certificate, EVP_PKEY* key) {
    add_extension(certificate, kExtensionOid, value_for(identity(), key, "another-purpose:"),
                  false);
  };
  EXPECT_EQ(refusal(prefix.make()), ErrorCode::kIntegrity);
}

TEST(VerifyCertificate, RefusesAnIdentityThatIsNotTheSigner) {
  Recipe recipe;
  recipe.extensions = [](X509* certificate, EVP_PKEY* key) {
    const Bytes honest = value_for(PrivateKey::from_seed(Bytes(32, 2)), key);
    Bytes forged = honest;  // The key of another peer over this peer's signature.
    std::ranges::copy(identity().public_key().protobuf(), forged.begin() + 4);
    WARREN_CHECK(forged.size() == honest.size() && forged != honest);
    add_extension(certificate, kExtensionOid, forged, false);
  };
  EXPECT_EQ(refusal(recipe.make()), ErrorCode::kIntegrity);
}

TEST(VerifyCertificate, RefusesACertificateThatAnotherKeySigned) {
  const crypto::PkeyHandle other(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  Recipe recipe;
  recipe.signer = other.get();
  EXPECT_EQ(refusal(recipe.make()), ErrorCode::kIntegrity);
}

TEST(VerifyCertificate, RefusesBrokenExtensionValues) {
  const auto with_value = [](std::function<Bytes(Bytes)> spoil) {
    Recipe recipe;
    recipe.extensions = [spoil](X509* certificate, EVP_PKEY* key) {
      add_extension(certificate, kExtensionOid, spoil(value_for(identity(), key)), false);
    };
    return recipe.make();
  };
  EXPECT_TRUE(verify_certificate(with_value([](Bytes value) { return value; }), kNow));
  EXPECT_EQ(refusal(with_value([](const Bytes&) { return Bytes{}; })), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_value([](Bytes value) {
              value.push_back(0);
              return value;
            })),
            ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_value([](Bytes value) {
              value.pop_back();
              return value;
            })),
            ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_value([](Bytes value) {
              value[0] = 0x31;  // A SET.
              return value;
            })),
            ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_value([](const Bytes& value) {
              BytesView rest = value;
              const BytesView fields = *take_der(rest, kDerSequence);
              Bytes more = to_bytes(fields);
              append_der(more, kDerOctetString, Bytes{1});
              Bytes longer;
              append_der(longer, kDerSequence, more);
              return longer;
            })),
            ErrorCode::kMalformed);
}

TEST(VerifyCertificate, RefusesWeakAndUnknownAlgorithms) {
  Recipe sha1;
  sha1.digest = ::EVP_sha1();
  EXPECT_EQ(refusal(sha1.make()), ErrorCode::kUnsupported);
  Recipe small_rsa;
  small_rsa.key.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}));
  EXPECT_EQ(refusal(small_rsa.make()), ErrorCode::kUnsupported);
  Recipe small_curve;
  small_curve.key.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-224"));
  EXPECT_EQ(refusal(small_curve.make()), ErrorCode::kUnsupported);
}

TEST(VerifyCertificate, AcceptsTheCertificateKeysThatOthersUse) {
  Recipe ed25519;
  ed25519.key.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  ed25519.digest = nullptr;
  EXPECT_TRUE(verify_certificate(ed25519.make(), kNow));
  Recipe p384;
  p384.key.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
  p384.digest = ::EVP_sha384();
  EXPECT_TRUE(verify_certificate(p384.make(), kNow));
  Recipe rsa;
  rsa.key.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
  EXPECT_TRUE(verify_certificate(rsa.make(), kNow));
}

TEST(VerifyCertificate, RefusesVersion1) {
  Recipe recipe;
  recipe.version = X509_VERSION_1;
  EXPECT_EQ(refusal(recipe.make()), ErrorCode::kMalformed);
}

TEST(VerifyCertificate, LeavesNoErrorsForOthersToFind) {
  refusal(Bytes(100, 0x30));
  refusal(from_hex(vectors::kInvalidCertificate));
  EXPECT_EQ(::ERR_peek_error(), 0u);
}

TEST(Der, ReadsWhatItWrites) {
  for (const std::size_t size : {0u, 1u, 127u, 128u, 255u, 256u, 65'535u}) {
    Bytes der;
    append_der(der, kDerOctetString, Bytes(size, 7));
    der.push_back(9);
    BytesView in = der;
    const auto contents = take_der(in, kDerOctetString);
    ASSERT_TRUE(contents) << size;
    EXPECT_EQ(contents->size(), size);
    EXPECT_EQ(in.size(), 1u);
  }
}

TEST(Der, RefusesLengthsThatAreNotMinimalOrNotDefinite) {
  for (const char* hex : {"", "04", "0401", "0480", "048101ff", "04817f", "048200ff",
                          "0483000001ff", "3000", "04ff", "0482"}) {
    const Bytes bytes = from_hex(hex);
    BytesView in = bytes;
    EXPECT_FALSE(take_der(in, kDerOctetString)) << hex;
  }
}

}  // namespace
}  // namespace warren::security

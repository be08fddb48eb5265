#include "crypto/keys.hpp"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>

#include "base/check.hpp"
#include "crypto/key_protobuf.hpp"
#include "crypto/key_vectors.hpp"
#include "crypto/openssl_handles.hpp"

namespace warren::crypto {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(
        static_cast<std::uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

PublicKey public_key(std::string_view hex) {
  auto key = PublicKey::from_protobuf(from_hex(hex));
  if (!key) {
    ADD_FAILURE() << key.error().message();
    return {};
  }
  return *key;
}

// The private key inside a libp2p message, for the key types that Warren only verifies.
PkeyHandle other_private_key(std::string_view hex, int type) {
  const Bytes protobuf = from_hex(hex);
  const BytesView data = read_key_message(protobuf)->data;
  const std::uint8_t* at = data.data();
  return PkeyHandle(::d2i_PrivateKey(type, nullptr, &at, static_cast<long>(data.size())));
}

PkeyHandle secp256k1_private_key(std::string_view private_hex, std::string_view public_hex) {
  const Bytes private_message = from_hex(private_hex);
  const Bytes public_message = from_hex(public_hex);
  Bytes scalar = to_bytes(read_key_message(private_message)->data);
  std::ranges::reverse(scalar);  // OpenSSL takes the number in this machine's order.
  Bytes point = to_bytes(read_key_message(public_message)->data);
  char group[] = "secp256k1";
  OSSL_PARAM params[] = {
      ::OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      ::OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, scalar.data(), scalar.size()),
      ::OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      ::OSSL_PARAM_construct_end()};
  const PkeyContextHandle context(::EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  ::EVP_PKEY_fromdata_init(context.get());
  ::EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, params);
  return PkeyHandle(key);
}

Bytes sign_with_sha256(EVP_PKEY* key, BytesView message) {
  const DigestContextHandle context(::EVP_MD_CTX_new());
  std::size_t size = 0;
  WARREN_CHECK(::EVP_DigestSignInit(context.get(), nullptr, ::EVP_sha256(), nullptr, key) == 1);
  WARREN_CHECK(::EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) ==
               1);
  Bytes signature(size);
  WARREN_CHECK(::EVP_DigestSign(context.get(), signature.data(), &size, message.data(),
                                message.size()) == 1);
  signature.resize(size);
  return signature;
}

// A SubjectPublicKeyInfo inside a PublicKey message of this type.
Bytes spki_message(KeyType type, EVP_PKEY* key) {
  std::uint8_t* der = nullptr;
  const int size = ::i2d_PUBKEY(key, &der);
  Bytes message = write_key_message(static_cast<std::uint64_t>(type),
                                    BytesView(der, static_cast<std::size_t>(size)));
  ::OPENSSL_free(der);
  return message;
}

// Good for `key` and `message`; every flipped bit and every cut is not.
void expect_only_exact_signature(const PublicKey& key, const Bytes& message,
                                 const Bytes& signature) {
  ASSERT_TRUE(key.verify(message, signature));
  EXPECT_FALSE(key.verify(as_bytes("another message"), signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Bytes flipped = signature;
    flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ 1u << i % 8);
    EXPECT_FALSE(key.verify(message, flipped)) << "byte " << i;
    EXPECT_FALSE(key.verify(message, BytesView(signature).first(i))) << "cut at " << i;
  }
  Bytes longer = signature;
  longer.push_back(0);
  EXPECT_FALSE(key.verify(message, longer));
}

const Bytes kMessage = to_bytes("a message of no importance");

// Source: RFC 8032, section 7.1, TEST 1 to TEST 3.
TEST(Ed25519, GivesTheSignaturesOfTheStandard) {
  struct Case {
    const char* seed;
    const char* public_key;
    const char* message;
    const char* signature;
  };
  constexpr Case kCases[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf"
       "9b46"
       "bd25bf5f0595bbe24655141438e7a100b"},
      {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
       "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f"
       "11d8"
       "c387b2eaeb4302aeeb00d291612bb0c00"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984"
       "dc65"
       "94a7c15e9716ed28dc027beceea1ec40a"},
  };
  for (const Case& c : kCases) {
    const PrivateKey key = PrivateKey::from_seed(from_hex(c.seed));
    EXPECT_EQ(to_hex(BytesView(key.public_key().protobuf()).last(32)), c.public_key);
    EXPECT_EQ(to_hex(key.sign(from_hex(c.message))), c.signature);
    EXPECT_TRUE(key.public_key().verify(from_hex(c.message), from_hex(c.signature)));
  }
}

// Made with js-libp2p from the seed of 32 bytes 0x01.
TEST(Ed25519, ProtobufsAgreeWithJavaScript) {
  const PrivateKey key = PrivateKey::from_seed(Bytes(32, 1));
  EXPECT_EQ(
      to_hex(key.to_protobuf()),
      "0801124001010101010101010101010101010101010101010101010101010101010101018a88e3dd7409f195fd5"
      "2db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
  EXPECT_EQ(to_hex(key.public_key().protobuf()),
            "080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
  // The signature over a Noise static key of 32 bytes 0x02.
  Bytes statement = to_bytes("noise-libp2p-static-key:");
  append(statement, Bytes(32, 2));
  EXPECT_EQ(
      to_hex(key.sign(statement)),
      "bf04f6ca6f4bd06dd1116a0ccf78369c78137b88585b8bab01f468d22a3d06889a31f63fff6480ddc479d7ea0e9"
      "b82c872610cf3dae3035706e9df8ff512be0e");
}

TEST(Ed25519, ReadsThePublishedKeys) {
  const auto key = PrivateKey::from_protobuf(from_hex(vectors::kEd25519Private));
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(to_hex(key->public_key().protobuf()), vectors::kEd25519Public);
  EXPECT_EQ(to_hex(key->to_protobuf()), vectors::kEd25519Private);
  EXPECT_EQ(key->public_key(), public_key(vectors::kEd25519Public));
  expect_only_exact_signature(public_key(vectors::kEd25519Public), kMessage, key->sign(kMessage));
}

TEST(Ed25519, ReadsTheOldFormOf96BytesWhenItsHalvesAgree) {
  const Bytes data = to_bytes(read_key_message(from_hex(vectors::kEd25519Private))->data);
  Bytes old_form = data;
  append(old_form, BytesView(data).last(32));
  const auto key = PrivateKey::from_protobuf(write_key_message(1, old_form));
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(to_hex(key->public_key().protobuf()), vectors::kEd25519Public);
  old_form.back() ^= 1;
  EXPECT_EQ(PrivateKey::from_protobuf(write_key_message(1, old_form)).error().code(),
            ErrorCode::kMalformed);
}

TEST(PrivateKey, RefusesWrongMessages) {
  const Bytes data = to_bytes(read_key_message(from_hex(vectors::kEd25519Private))->data);
  Bytes wrong_public = data;
  wrong_public.back() ^= 1;
  EXPECT_EQ(PrivateKey::from_protobuf(write_key_message(1, wrong_public)).error().code(),
            ErrorCode::kMalformed);
  EXPECT_EQ(
      PrivateKey::from_protobuf(write_key_message(1, BytesView(data).first(32))).error().code(),
      ErrorCode::kMalformed);
  EXPECT_EQ(PrivateKey::from_protobuf({}).error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(PrivateKey::from_protobuf(from_hex(vectors::kEcdsaPrivate)).error().code(),
            ErrorCode::kUnsupported);
}

TEST(PrivateKey, PemComesBack) {
  const PrivateKey key = PrivateKey::from_seed(Bytes(32, 1));
  const std::string pem = key.to_pem();
  EXPECT_TRUE(pem.starts_with("-----BEGIN PRIVATE KEY-----\n")) << "PKCS#8";
  const auto read = PrivateKey::from_pem(pem);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->to_protobuf(), key.to_protobuf());
}

// Source: RFC 8410, section 10.3.
TEST(PrivateKey, ReadsThePemOfTheStandard) {
  const auto key = PrivateKey::from_pem(
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
      "-----END PRIVATE KEY-----\n");
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(to_hex(BytesView(key->public_key().protobuf()).last(32)),
            "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
}

TEST(PrivateKey, RefusesOtherPem) {
  EXPECT_EQ(PrivateKey::from_pem("").error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(PrivateKey::from_pem("hello").error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(PrivateKey::from_pem(std::string(1 << 20, 'A')).error().code(), ErrorCode::kMalformed);
  // A key of another kind, and one with a passphrase: nobody is asked for it.
  const BioHandle bio(::BIO_new(::BIO_s_mem()));
  const PkeyHandle p256(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  ::PEM_write_bio_PKCS8PrivateKey(bio.get(), p256.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  long size = ::BIO_get_mem_data(bio.get(), &text);
  EXPECT_EQ(PrivateKey::from_pem({text, static_cast<std::size_t>(size)}).error().code(),
            ErrorCode::kUnsupported);
  const BioHandle locked(::BIO_new(::BIO_s_mem()));
  char passphrase[] = "secret";
  ::PEM_write_bio_PKCS8PrivateKey(locked.get(), p256.get(), ::EVP_aes_128_cbc(), passphrase, 6,
                                  nullptr, nullptr);
  size = ::BIO_get_mem_data(locked.get(), &text);
  EXPECT_EQ(PrivateKey::from_pem({text, static_cast<std::size_t>(size)}).error().code(),
            ErrorCode::kMalformed);
}

TEST(PrivateKey, GenerateMakesADifferentKeyEachTime) {
  const auto first = PrivateKey::generate();
  const auto second = PrivateKey::generate();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(first->public_key() == second->public_key());
  EXPECT_TRUE(first->public_key().verify(kMessage, first->sign(kMessage)));
  EXPECT_FALSE(second->public_key().verify(kMessage, first->sign(kMessage)));
}

TEST(PublicKey, VerifiesEcdsaOnP256) {
  const PublicKey key = public_key(vectors::kEcdsaPublic);
  EXPECT_EQ(key.type(), KeyType::kEcdsa);
  const PkeyHandle signer = other_private_key(vectors::kEcdsaPrivate, EVP_PKEY_EC);
  ASSERT_NE(signer, nullptr);
  expect_only_exact_signature(key, kMessage, sign_with_sha256(signer.get(), kMessage));
}

TEST(PublicKey, VerifiesSecp256k1) {
  const PublicKey key = public_key(vectors::kSecp256k1Public);
  EXPECT_EQ(key.type(), KeyType::kSecp256k1);
  const PkeyHandle signer =
      secp256k1_private_key(vectors::kSecp256k1Private, vectors::kSecp256k1Public);
  ASSERT_NE(signer, nullptr);
  expect_only_exact_signature(key, kMessage, sign_with_sha256(signer.get(), kMessage));
}

// A signature with a large s is as good as its twin with a small one. What others do: js-libp2p
// makes small ones and refuses large ones; go-libp2p makes small ones and takes both; OpenSSL makes
// both. Nothing here is named by a signature, so taking both lets nobody forge or repeat anything,
// and a peer whose program signs with OpenSSL can be talked to. The first was made by js-libp2p
// with the published key, the second is its twin, which js-libp2p refused.
TEST(PublicKey, TakesSecp256k1SignaturesWithASmallAndWithALargeS) {
  const PublicKey key = public_key(vectors::kSecp256k1Public);
  const Bytes message = to_bytes("what a peer signs");
  const Bytes small = from_hex(
      "304402203750a59896e9d31108fd3aa72f97dcbb6022bd7c8b795bc542fab2bdf86ca5300220119281f4c0e8d6d0"
      "55bb7d5e64731827c98f052d893cdf404948849680a80419");
  const Bytes large = from_hex(
      "304502203750a59896e9d31108fd3aa72f97dcbb6022bd7c8b795bc542fab2bdf86ca530022100ee6d7e0b3f1729"
      "2faa4482a19b8ce7d6f11fd7b9260bc0fb7689d9f64f8e3d28");
  expect_only_exact_signature(key, message, small);
  expect_only_exact_signature(key, message, large);
}

// js-libp2p signs with ECDSA keys in raw form, 64 bytes; the specification, and all others, in DER.
TEST(PublicKey, TakesEcdsaSignaturesInDerAlone) {
  EXPECT_FALSE(public_key(vectors::kEcdsaPublic)
                   .verify(to_bytes("what a peer signs"),
                           from_hex("78fcc3af208bb6ed9e5955e6a2c328a5ffb3cb31c52324ec3c94081c4eb1b"
                                    "2428f224758ec5ce308531c6274ea0d465940c0f04f0b191cb41fc9d8e5e94"
                                    "9faa2")));
}

TEST(PublicKey, VerifiesRsa) {
  const PublicKey key = public_key(vectors::kRsaPublic);
  EXPECT_EQ(key.type(), KeyType::kRsa);
  const PkeyHandle signer = other_private_key(vectors::kRsaPrivate, EVP_PKEY_RSA);
  ASSERT_NE(signer, nullptr);
  expect_only_exact_signature(key, kMessage, sign_with_sha256(signer.get(), kMessage));
}

TEST(PublicKey, KeepsTheBytesThatAPeerIdHashes) {
  for (const std::string_view hex : {vectors::kEcdsaPublic, vectors::kEd25519Public,
                                     vectors::kSecp256k1Public, vectors::kRsaPublic}) {
    EXPECT_EQ(to_hex(public_key(hex).protobuf()), hex);
  }
}

TEST(PublicKey, RefusesEveryCutAndTail) {
  for (const std::string_view hex : {vectors::kEcdsaPublic, vectors::kEd25519Public,
                                     vectors::kSecp256k1Public, vectors::kRsaPublic}) {
    const Bytes whole = from_hex(hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(PublicKey::from_protobuf(BytesView(whole).first(size))) << size;
    }
    Bytes longer = whole;
    longer.push_back(0);
    EXPECT_FALSE(PublicKey::from_protobuf(longer));
  }
}

TEST(PublicKey, RefusesOtherSpellingsOfTheMessage) {
  const Bytes raw(32, 9);
  for (const char* prefix : {
           "122008011220",  // Fields in another order.
           "08811220",      // A type that is no varint.
           "0881001220",    // A type that is not minimal.
           "080112a000",    // A length that is not minimal.
           "0801",          // No data field.
           "08011a20",      // Another field.
           "080108011220",
       }) {
    Bytes message = from_hex(prefix);
    append(message, raw);
    EXPECT_FALSE(PublicKey::from_protobuf(message)) << prefix;
  }
}

TEST(PublicKey, RefusesKeysThatItDoesNotSupport) {
  EXPECT_EQ(PublicKey::from_protobuf(write_key_message(4, Bytes(32, 1))).error().code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(PublicKey::from_protobuf(write_key_message(1, Bytes(31, 1))).error().code(),
            ErrorCode::kMalformed);
  EXPECT_EQ(PublicKey::from_protobuf(Bytes(kKeyProtobufBytesMax + 1, 8)).error().code(),
            ErrorCode::kTooLarge);
  // A point that is on no curve, and one that is not compressed.
  Bytes point(33, 0xff);
  point[0] = 2;
  EXPECT_EQ(PublicKey::from_protobuf(write_key_message(2, point)).error().code(),
            ErrorCode::kMalformed);
  EXPECT_EQ(PublicKey::from_protobuf(write_key_message(2, Bytes(65, 4))).error().code(),
            ErrorCode::kMalformed);
  const PkeyHandle p384(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
  EXPECT_EQ(PublicKey::from_protobuf(spki_message(KeyType::kEcdsa, p384.get())).error().code(),
            ErrorCode::kUnsupported);
  const PkeyHandle p256(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  EXPECT_EQ(PublicKey::from_protobuf(spki_message(KeyType::kRsa, p256.get())).error().code(),
            ErrorCode::kMalformed);
  EXPECT_TRUE(PublicKey::from_protobuf(spki_message(KeyType::kEcdsa, p256.get())));
  const PkeyHandle weak(::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}));
  EXPECT_EQ(PublicKey::from_protobuf(spki_message(KeyType::kRsa, weak.get())).error().code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(PublicKey::from_protobuf(spki_message(KeyType::kEcdsa, weak.get())).error().code(),
            ErrorCode::kUnsupported);
}

// A huge exponent would make one verification take seconds.
TEST(PublicKey, RefusesAnRsaKeyThatIsSlowOnPurpose) {
  Bytes modulus(256, 0xff);
  Bytes exponent(256, 0x7f);
  OSSL_PARAM params[] = {
      ::OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, modulus.data(), modulus.size()),
      ::OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, exponent.data(), exponent.size()),
      ::OSSL_PARAM_construct_end()};
  const PkeyContextHandle context(::EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* made = nullptr;
  ASSERT_EQ(::EVP_PKEY_fromdata_init(context.get()), 1);
  ASSERT_EQ(::EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params), 1);
  const PkeyHandle key(made);
  EXPECT_EQ(PublicKey::from_protobuf(spki_message(KeyType::kRsa, key.get())).error().code(),
            ErrorCode::kUnsupported);
}

TEST(PublicKey, EmptyVerifiesNothing) {
  const PublicKey nobody;
  EXPECT_TRUE(nobody.empty());
  EXPECT_FALSE(nobody.verify({}, {}));
  EXPECT_FALSE(nobody.verify(kMessage, Bytes(64, 0)));
}

TEST(PublicKey, LeavesNoErrorsForOthersToFind) {
  PublicKey::from_protobuf(write_key_message(0, Bytes(64, 1))).error();
  public_key(vectors::kRsaPublic).verify(kMessage, Bytes(3, 1));
  EXPECT_EQ(::ERR_peek_error(), 0u);
}

}  // namespace
}  // namespace warren::crypto

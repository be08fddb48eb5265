#include "security/noise/xx_pattern.hpp"

#include <gtest/gtest.h>

#include "multiformats/test_hex.hpp"
#include "security/noise/test_support.hpp"

namespace warren::security::noise {
namespace {

using multiformats::from_hex;

struct Message {
  std::string_view payload;
  std::string_view ciphertext;
};

// Source: the published vectors of the cacophony library, Noise_XX_25519_ChaChaPoly_SHA256, which
// other implementations of Noise test with too.
constexpr std::string_view kPrologue = "4a6f686e2047616c74";
constexpr std::string_view kInitiatorStatic =
    "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
constexpr std::string_view kInitiatorEphemeral =
    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
constexpr std::string_view kResponderStatic =
    "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
constexpr std::string_view kResponderEphemeral =
    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
constexpr std::string_view kHandshakeHash =
    "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e";
constexpr Message kHandshake[] = {
    {"4c756477696720766f6e204d69736573",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
     "4c756477696720766f6e204d69736573"},
    {"4d757272617920526f746862617264",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
     "81cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9"
     "bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f"
     "8814c7194e83f23dbd8d162c9326ad"},
    {"462e20412e20486179656b",
     "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a8"
     "0ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6"
     "ae769a1d95941d49b25030"}};
// The responder writes the first of them, the initiator the second, and so on.
constexpr Message kTransport[] = {
    {"4361726c204d656e676572", "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"},
    {"4a65616e2d426170746973746520536179",
     "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"},
    {"457567656e2042f6686d20766f6e2042617765726b",
     "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f"}};

Bytes seal(CipherState& cipher, BytesView text) {
  Bytes out(text.size() + kTagBytes);
  EXPECT_TRUE(cipher.seal({&text, 1}, {}, out));
  return out;
}

TEST(NoiseXx, MakesAndReadsThePublishedVector) {
  XxPattern initiator(true, from_hex(kPrologue), KeyPair::from_private(from_hex(kInitiatorStatic)),
                      KeyPair::from_private(from_hex(kInitiatorEphemeral)));
  XxPattern responder(false, from_hex(kPrologue), KeyPair::from_private(from_hex(kResponderStatic)),
                      KeyPair::from_private(from_hex(kResponderEphemeral)));
  XxPattern* writer = &initiator;
  XxPattern* reader = &responder;
  for (const Message& message : kHandshake) {
    ASSERT_TRUE(writer->is_our_turn() && !reader->is_our_turn());
    const auto written = writer->write(from_hex(message.payload));
    ASSERT_TRUE(written);
    EXPECT_EQ(to_hex(*written), message.ciphertext);
    const auto read = reader->read(*written);
    ASSERT_TRUE(read);
    EXPECT_EQ(to_hex(*read), message.payload);
    std::swap(writer, reader);
  }
  ASSERT_TRUE(initiator.done() && responder.done());
  EXPECT_EQ(to_hex(initiator.hash()), kHandshakeHash);
  EXPECT_EQ(to_hex(responder.hash()), kHandshakeHash);
  EXPECT_EQ(responder.remote_static(),
            KeyPair::from_private(from_hex(kInitiatorStatic)).public_bytes());

  auto [initiator_send, initiator_receive] = initiator.split();
  auto [responder_send, responder_receive] = responder.split();
  bool from_responder = true;
  for (const Message& message : kTransport) {
    Bytes sealed =
        seal(from_responder ? responder_send : initiator_send, from_hex(message.payload));
    EXPECT_EQ(to_hex(sealed), message.ciphertext);
    const auto opened = (from_responder ? initiator_receive : responder_receive).open(sealed, {});
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_hex(*opened), message.payload);
    from_responder = !from_responder;
  }
}

TEST(NoiseXx, AnotherPrologueFailsAtTheSecondMessage) {
  XxPattern initiator(true, as_bytes("one"), KeyPair::generate(random_from(1)),
                      KeyPair::generate(random_from(2)));
  XxPattern responder(false, as_bytes("two"), KeyPair::generate(random_from(3)),
                      KeyPair::generate(random_from(4)));
  ASSERT_TRUE(responder.read(*initiator.write({})));
  const auto read = initiator.read(*responder.write({}));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kIntegrity);
}

TEST(NoiseXx, EveryShortMessageIsMalformed) {
  for (std::size_t size = 0; size < 32; ++size) {
    XxPattern responder(false, {}, KeyPair::generate(random_from(1)),
                        KeyPair::generate(random_from(2)));
    const auto read = responder.read(Bytes(size));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), ErrorCode::kMalformed);
  }
}

}  // namespace
}  // namespace warren::security::noise

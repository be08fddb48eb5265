#include "discovery/exchange/exchange_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "discovery/exchange/records_for_test.hpp"
#include "wire/frame.hpp"

namespace warren::discovery {
namespace {

using fakes::address;
using fakes::record;
using testing::ElementsAre;
using testing::HasSubstr;

const limits::Exchange kLimits;

/// The test vector of docs/protocols/exchange.md: the record of the peer whose key is made of the
/// seed 01 02 .. 20 (hex), with sequence 1 and /ip4/198.51.100.7/udp/4001/quic-v1.
Bytes vector_record() {
  Bytes seed;
  for (std::uint8_t i = 1; i <= 32; ++i) seed.push_back(i);
  return wire::seal_peer_record(crypto::PrivateKey::from_seed(seed), 1,
                                {address("/ip4/198.51.100.7/udp/4001/quic-v1")});
}

constexpr std::string_view kVectorRecord =
    "0a240801122079b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad04966412020301"
    "1a390a2600240801122079b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664"
    "10011a0d0a0b04c633640791020fa1cd032a4007698800357d5bcb71d5689edab04f4cc9cea01484c464"
    "c98e76c6f2e74585bba857166a339f31c54c7e1412df2bfd90246c04f665fc0845dd6ac53c497b9102";

TEST(ExchangeMessages, AreWhatTheDocumentSays) {
  EXPECT_EQ(to_hex(wire::encode_frame(encode_exchange_request(32))), "020820");
  EXPECT_EQ(to_hex(vector_record()), kVectorRecord);
  const Bytes answer = encode_exchange_answer({vector_record()});
  EXPECT_EQ(to_hex(wire::encode_frame(answer)), "aa010aa701" + std::string(kVectorRecord));
}

TEST(ExchangeMessages, ARequestIsForAtMostThirtyTwo) {
  EXPECT_EQ(decode_exchange_request(encode_exchange_request(5), kLimits).value(), 5u);
  EXPECT_EQ(decode_exchange_request(encode_exchange_request(32), kLimits).value(), 32u);
  EXPECT_EQ(decode_exchange_request(encode_exchange_request(33), kLimits).value(), 32u);
  EXPECT_EQ(decode_exchange_request(encode_exchange_request(~0u), kLimits).value(), 32u);
  EXPECT_EQ(decode_exchange_request(encode_exchange_request(0), kLimits).value(), 32u);
  EXPECT_EQ(decode_exchange_request(Bytes(), kLimits).value(), 32u);
}

TEST(ExchangeMessages, ABrokenOrLongRequestIsAnError) {
  EXPECT_EQ(decode_exchange_request(Bytes{0x08}, kLimits).error().code(), ErrorCode::kMalformed);
  EXPECT_FALSE(decode_exchange_request(Bytes(257), kLimits));
}

TEST(ExchangeMessages, FieldsOfLaterVersionsAreSkipped) {
  EXPECT_EQ(decode_exchange_request(Bytes{0x08, 0x07, 0x50, 0x01}, kLimits).value(), 7u);
}

TEST(ExchangeMessages, AnAnswerReadsBackAsItWas) {
  const std::vector<Bytes> records = {record(1), Bytes(), record(2)};
  EXPECT_EQ(decode_exchange_answer(encode_exchange_answer(records), kLimits).value(), records);
  EXPECT_TRUE(decode_exchange_answer(Bytes(), kLimits).value().empty());
}

TEST(ExchangeMessages, ThirtyThreeRecordsAreRefused) {
  const auto read =
      decode_exchange_answer(encode_exchange_answer(std::vector<Bytes>(33, Bytes(8))), kLimits);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kTooLarge);
  EXPECT_THAT(read.error().message(), HasSubstr("33"));
}

TEST(ExchangeMessages, ARecordOfMoreThanFourKibibytesIsRefused) {
  EXPECT_TRUE(decode_exchange_answer(encode_exchange_answer({Bytes(4096)}), kLimits));
  const auto read = decode_exchange_answer(encode_exchange_answer({Bytes(4097)}), kLimits);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("4097"));
}

TEST(ExchangeMessages, TheLongestAnswerFitsIntoItsBound) {
  const Bytes answer = encode_exchange_answer(std::vector<Bytes>(32, Bytes(4096)));
  EXPECT_LE(answer.size(), answer_bytes_max(kLimits));
  EXPECT_TRUE(decode_exchange_answer(answer, kLimits));
}

TEST(ExchangeMessages, SaysWhoseRecordItIsAndWhere) {
  const std::vector<Multiaddr> at = {address("/ip4/10.0.0.1/tcp/1"), fakes::public_address(7)};
  const RecordContent content = content_of_record(record(7, at));
  EXPECT_EQ(content.peer, fakes::peer(7));
  EXPECT_EQ(content.addresses, at);
  EXPECT_TRUE(content_of_record(Bytes{1, 2, 3}).peer.empty());
}

}  // namespace
}  // namespace warren::discovery

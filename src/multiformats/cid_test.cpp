#include "multiformats/cid.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "multiformats/multibase.hpp"
#include "multiformats/multihash.hpp"
#include "multiformats/test_hex.hpp"

namespace warren::multiformats {
namespace {

// The empty UnixFS directory, which every IPFS tool names so: the SHA-256 of 0a 02 08 01.
constexpr std::string_view kEmptyFolderV0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
constexpr std::string_view kEmptyFolderV1 =
    "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";
constexpr std::string_view kEmptyFolderHex =
    "0170122059948439065f29619ef41280cbb932be52c56d99c5966b65e0111239f098bbef";
// The empty raw leaf: the SHA-256 of nothing.
constexpr std::string_view kEmptyLeaf =
    "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

TEST(Cid, ReadsAndWritesTheEmptyFolder) {
  const auto cid = Cid::parse(kEmptyFolderV1);
  ASSERT_TRUE(cid) << cid.error().message();
  EXPECT_EQ(cid->codec, Codec::kDagPb);
  EXPECT_EQ(to_hex(cid->to_bytes()), kEmptyFolderHex);
  EXPECT_EQ(cid->to_string(), kEmptyFolderV1);
  EXPECT_EQ(Cid::from_bytes(from_hex(kEmptyFolderHex)), *cid);
}

TEST(Cid, ReadsVersion0AsDagPb) {
  const auto cid = Cid::parse(kEmptyFolderV0);
  ASSERT_TRUE(cid) << cid.error().message();
  EXPECT_EQ(cid->to_string(), kEmptyFolderV1);
}

TEST(Cid, ReadsRawLeaf) {
  const auto cid = Cid::parse(kEmptyLeaf);
  ASSERT_TRUE(cid) << cid.error().message();
  EXPECT_EQ(cid->codec, Codec::kRaw);
  EXPECT_EQ(to_hex(cid->digest.bytes),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Cid, ReadsEveryBase) {
  const Bytes bytes = from_hex(kEmptyFolderHex);
  for (const Base base :
       {Base::kBase16, Base::kBase32, Base::kBase36, Base::kBase58btc, Base::kBase64url}) {
    const auto cid = Cid::parse(encode_multibase(base, bytes));
    ASSERT_TRUE(cid) << cid.error().message();
    EXPECT_EQ(cid->to_string(), kEmptyFolderV1);
  }
}

TEST(Cid, SaysWhatItDoesNotSupport) {
  for (const char* hex : {
           "122059948439065f29619ef41280cbb932be52c56d99c5966b65e0111239f098bbef",  // CIDv0.
           "02550000",                                                              // Version 2.
           "01711220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  // dag-cbor.
           "015500046869686f",                                                          // Identity.
           "01551114da39a3ee5e6b4b0d3255bfef95601890afd80709",                          // SHA-1.
       }) {
    const auto cid = Cid::from_bytes(from_hex(hex));
    ASSERT_FALSE(cid) << hex;
    EXPECT_EQ(cid.error().code(), ErrorCode::kUnsupported) << hex << cid.error().message();
  }
}

TEST(Cid, RefusesEveryCutAndEveryTail) {
  const Bytes whole = from_hex(kEmptyFolderHex);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Cid::from_bytes(BytesView(whole).first(size))) << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(Cid::from_bytes(longer));
  // A codec of 0x70 spelt in two bytes.
  Bytes padded = {0x01, 0xf0, 0x00};
  append(padded, BytesView(whole).subspan(2));
  EXPECT_EQ(Cid::from_bytes(padded).error().code(), ErrorCode::kMalformed);
}

TEST(Cid, BlamesTheTextAndShowsIt) {
  for (const char* text : {"", "Qm", "hello", "bafybei", "Qmbad0OIl",
                           "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3N"}) {
    const auto cid = Cid::parse(text);
    ASSERT_FALSE(cid) << text;
    EXPECT_TRUE(cid.error().code() == ErrorCode::kInvalidArgument ||
                cid.error().code() == ErrorCode::kUnsupported);
    EXPECT_NE(cid.error().message().find(text), std::string::npos);
    EXPECT_FALSE(cid.error().hint().empty());
  }
  EXPECT_EQ(Cid::parse(std::string(100'000, 'b')).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Cid::parse("b\x1b[2J").error().message().find('\x1b'), std::string::npos);
}

RC_GTEST_PROP(Cid, TextAndBytesComeBack, ()) {
  Cid cid;
  cid.codec = *rc::gen::element(Codec::kRaw, Codec::kDagPb, Codec::kLibp2pKey);
  const auto raw = *rc::gen::container<Bytes>(32, rc::gen::arbitrary<std::uint8_t>());
  std::ranges::copy(raw, cid.digest.bytes.begin());
  RC_ASSERT(*Cid::from_bytes(cid.to_bytes()) == cid);
  RC_ASSERT(*Cid::parse(cid.to_string()) == cid);
  RC_ASSERT(cid.to_bytes().size() == 36u);
}

TEST(Multihash, ReadsFromTheFrontAndSaysWhereItEnds) {
  Bytes bytes = from_hex("0003616263ffff");
  const auto hash = read_multihash(bytes);
  ASSERT_TRUE(hash);
  EXPECT_EQ(hash->code, kHashIdentity);
  EXPECT_EQ(as_text(hash->digest), "abc");
  EXPECT_EQ(hash->size, 5u);
  EXPECT_EQ(read_whole_multihash(bytes).error().code(), ErrorCode::kMalformed);
}

TEST(Multihash, BoundsLengthsBeforeUse) {
  EXPECT_EQ(read_multihash(from_hex("00ffffffff07")).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(read_multihash(from_hex("0005616263")).error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(read_multihash(from_hex("1203616263")).error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(read_multihash(from_hex("12")).error().code(), ErrorCode::kMalformed);
  EXPECT_EQ(read_multihash({}).error().code(), ErrorCode::kMalformed);
}

}  // namespace
}  // namespace warren::multiformats

#include "multiformats/multibase.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace warren::multiformats {
namespace {

// "yes mani !" in each base. Source: multiformats/multibase, tests/basic.csv and leading_zero.csv.
TEST(Multibase, EncodesThePublishedVectors) {
  const Bytes plain = to_bytes("yes mani !");
  EXPECT_EQ(encode_multibase(Base::kBase16, plain), "f796573206d616e692021");
  EXPECT_EQ(encode_multibase(Base::kBase32, plain), "bpfsxgidnmfxgsibb");
  EXPECT_EQ(encode_multibase(Base::kBase36, plain), "k2lcpzo5yikidynfl");
  EXPECT_EQ(encode_multibase(Base::kBase58btc, plain), "z7paNL19xttacUY");
  EXPECT_EQ(encode_multibase(Base::kBase64url, plain), "ueWVzIG1hbmkgIQ");
}

TEST(Multibase, DecodesThePublishedVectorsInBothCases) {
  const Bytes plain = to_bytes("yes mani !");
  for (const char* text :
       {"f796573206d616e692021", "F796573206D616E692021", "bpfsxgidnmfxgsibb", "BPFSXGIDNMFXGSIBB",
        "k2lcpzo5yikidynfl", "K2LCPZO5YIKIDYNFL", "z7paNL19xttacUY", "ueWVzIG1hbmkgIQ"}) {
    EXPECT_EQ(decode_multibase(text), plain) << text;
  }
}

TEST(Multibase, KeepsLeadingZeros) {
  Bytes plain = {0, 0};
  append(plain, as_bytes("yes mani !"));
  EXPECT_EQ(encode_multibase(Base::kBase58btc, plain), "z117paNL19xttacUY");
  EXPECT_EQ(encode_multibase(Base::kBase36, plain), "k002lcpzo5yikidynfl");
  EXPECT_EQ(decode_multibase("z117paNL19xttacUY"), plain);
  EXPECT_EQ(decode_multibase("k002lcpzo5yikidynfl"), plain);
  EXPECT_EQ(encode_bare(Base::kBase58btc, Bytes{0, 0, 0}), "111");
}

TEST(Multibase, EncodesNothingAsNothing) {
  for (const Base base :
       {Base::kBase16, Base::kBase32, Base::kBase36, Base::kBase58btc, Base::kBase64url}) {
    EXPECT_EQ(encode_bare(base, {}), "");
    EXPECT_EQ(decode_bare(base, ""), Bytes{});
  }
}

TEST(Multibase, RefusesSecondSpellingsOfOneValue) {
  for (const char* text : {
           "f0",                  // Half a byte.
           "fAB",                 // Upper case under a lower-case prefix.
           "Fab",                 // And the reverse.
           "baf",                 // Spare bits that are not zero.
           "bpfsxgidnmfxgsibba",  // A digit too many.
           "bpfsxgidnmfxgsibb=",  // Padding.
           "ueWVzIG1hbmkgIR",     // Spare bits.
           "ueWVzIG1hbmkgIQ==",
           "ueWVz IG1hbmkgIQ",
           "z0",
           "zO",
           "zI",
           "zl",  // Not in the alphabet.
           "k-",
           "",
       }) {
    const auto decoded = decode_multibase(text);
    ASSERT_FALSE(decoded) << text;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kInvalidArgument) << text;
  }
}

TEST(Multibase, NamesAnUnknownBase) {
  const auto decoded = decode_multibase("mAAAA");
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code(), ErrorCode::kUnsupported);
}

TEST(Multibase, BoundsTheWork) {
  EXPECT_EQ(decode_multibase("z" + std::string(kBaseTextSquareMax + 1, '2')).error().code(),
            ErrorCode::kTooLarge);
  EXPECT_EQ(decode_multibase("K" + std::string(kBaseTextMax + 1, 'A')).error().code(),
            ErrorCode::kTooLarge);
  EXPECT_EQ(decode_multibase("b" + std::string(kBaseTextMax + 1, 'a')).error().code(),
            ErrorCode::kTooLarge);
}

RC_GTEST_PROP(Multibase, DecodeInvertsEncode, (const Bytes& bytes)) {
  for (const Base base :
       {Base::kBase16, Base::kBase32, Base::kBase36, Base::kBase58btc, Base::kBase64url}) {
    const auto decoded = decode_multibase(encode_multibase(base, bytes));
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(*decoded == bytes);
  }
}

RC_GTEST_PROP(Multibase, EncodeInvertsDecodeOfWhateverIsAccepted, ()) {
  const auto base = *rc::gen::element(Base::kBase16, Base::kBase32, Base::kBase36, Base::kBase58btc,
                                      Base::kBase64url);
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(
      std::string("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")));
  const auto decoded = decode_bare(base, text);
  if (decoded) RC_ASSERT(encode_bare(base, *decoded) == text);
}

}  // namespace
}  // namespace warren::multiformats

#include "transfer/data_messages.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <numeric>

namespace warren::transfer {
namespace {

// The digest 00 01 02 ... 1f.
Cid sample_cid(Codec codec = Codec::kDagPb) {
  Cid cid{codec, {}};
  std::iota(cid.digest.bytes.begin(), cid.digest.bytes.end(), std::uint8_t{0});
  return cid;
}

Bytes from_hex(std::string_view hex) {
  Bytes out;
  std::string digits;
  for (const char c : hex) {
    if (c != ' ' && c != '\n') digits += c;
  }
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return out;
}

constexpr std::string_view kCid =
    "01701220000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

// The vectors of docs/protocols/data.md, without the length in front.
struct RequestVector {
  std::string hex;
  Request request;
};
std::vector<RequestVector> request_vectors() {
  const std::string cid(kCid);
  return {
      {"0a060a0464617461", FindRequest{"data"}},
      {"12260a24" + cid, HaveRequest{sample_cid()}},
      {"12280a24" + cid + "1007", HaveRequest{sample_cid(), 7}},
      {"1a260a24" + cid, NodesRequest{sample_cid(), {}}},
      {"1a4c0a24" + cid + "1224" + cid, NodesRequest{sample_cid(), {sample_cid()}}},
      {"222b0a24" + cid + "100318ac02", RangeRequest{sample_cid(), 3, 300}},
  };
}
struct ResponseVector {
  std::string hex;
  Response response;
};
std::vector<ResponseVector> response_vectors() {
  const std::string cid(kCid);
  return {
      {"0a340a320a24" + cid + "12046461746118a09c01200c",
       FoundResponse{{{sample_cid(), "data", 20'000, 12}}}},
      {"0a00", FoundResponse{}},
      {"120a08011204646174611807", HoldingResponse{Extent::kComplete, "data", 7, {}}},
      {"1208080218092202ff01", HoldingResponse{Extent::kPartial, "", 9, {0xff, 0x01}}},
      {"1200", HoldingResponse{}},
      {"1206080118072802", HoldingResponse{Extent::kComplete, "", 7, {}, Passing::kNobody}},
      {"1a2c0a2a0a24" + cid + "10808010", NodesResponse{{{sample_cid(), 262'144}}}},
      {"2209080310021880808001", SegmentResponse{3, 2, 2'097'152, Missing::kNo}},
      {"2206080510012002", SegmentResponse{5, 1, 0, Missing::kChanged}},
      {"2a00", DoneResponse{}},
      {"3206080112026e6f", RefusalResponse{RefusalReason::kNotFound, "no"}},
  };
}

TEST(DataMessages, RequestsAreTheVectorsOfTheProtocolPage) {
  for (const auto& [hex, request] : request_vectors()) {
    EXPECT_EQ(to_hex(encode(request)), hex);
    const auto decoded = decode_request(from_hex(hex));
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_TRUE(*decoded == request) << hex;
  }
}

TEST(DataMessages, ResponsesAreTheVectorsOfTheProtocolPage) {
  for (const auto& [hex, response] : response_vectors()) {
    EXPECT_EQ(to_hex(encode(response)), hex);
    const auto decoded = decode_response(from_hex(hex));
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_TRUE(*decoded == response) << hex;
  }
}

TEST(DataMessages, RefusesWhatIsNotOfItsForm) {
  const std::string cid(kCid);
  const std::string sha512_cid = "01701320" + cid.substr(8);
  for (const std::string& hex : {
           std::string(""),                          // No kind.
           std::string("0a00"),                      // An empty name.
           std::string("1200"),                      // No CID.
           "12260a24" + sha512_cid,                  // Another hash.
           "22260a24" + cid,                         // A range of no leaves.
           "222d0a24" + cid + "10ffffffffff7f1801",  // Far too far.
           std::string("ffffffffffff"),
           std::string("12260a2401"),  // Cut off.
       }) {
    const auto decoded = decode_request(from_hex(hex));
    ASSERT_FALSE(decoded) << hex;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kMalformed) << hex;
  }
  for (const std::string& hex : {
           std::string(""),
           std::string("1208080218092203ff0100"),  // A bitmap of another length.
           std::string("12080801180922 02ff01"),   // A bitmap for a complete one.
           std::string("12020803"),                // Unknown extent.
           std::string("1a00"),                    // No nodes.
           std::string("220208 03"),               // No leaves.
           std::string("2208080510011805 2002"),   // Missing, and bytes.
           std::string("220608051001 2009"),       // Unknown reason.
       }) {
    const auto decoded = decode_response(from_hex(hex));
    ASSERT_FALSE(decoded) << hex;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kMalformed) << hex;
  }
}

TEST(DataMessages, BoundsEveryCount) {
  limits::Transfer limits;
  limits.cids_per_request_max = 2;
  limits.nodes_per_response_max = 2;
  limits.datasets_per_response_max = 2;
  limits.refusal_text_bytes_max = 2;
  const Cid cid = sample_cid();
  EXPECT_TRUE(decode_request(encode(NodesRequest{cid, {cid, cid}}), limits));
  const auto nodes = decode_request(encode(NodesRequest{cid, {cid, cid, cid}}), limits);
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code(), ErrorCode::kTooLarge);
  EXPECT_FALSE(decode_request(encode(FindRequest{std::string(256, 'x')})));
  const NodeHeader node{cid, 1};
  EXPECT_FALSE(decode_response(encode(NodesResponse{{node, node, node}}), limits));
  const OfferedDataset dataset{cid, "x", 1, 1};
  EXPECT_FALSE(decode_response(encode(FoundResponse{{dataset, dataset, dataset}}), limits));
  EXPECT_FALSE(decode_response(encode(RefusalResponse{RefusalReason::kBusy, "why"}), limits));
  EXPECT_FALSE(
      decode_response(encode(HoldingResponse{Extent::kNone, std::string(256, 'x'), 0, {}})));
}

// Whatever comes, the decoders say yes or no; and what they took encodes to what they take.
RC_GTEST_PROP(DataMessagesProperty, DecodeAnyBytes, (const std::vector<std::uint8_t>& bytes)) {
  if (const auto request = decode_request(bytes)) {
    const auto again = decode_request(encode(*request));
    RC_ASSERT(again && *again == *request);
  }
  if (const auto response = decode_response(bytes)) {
    const auto again = decode_response(encode(*response));
    RC_ASSERT(again && *again == *response);
  }
}

}  // namespace
}  // namespace warren::transfer

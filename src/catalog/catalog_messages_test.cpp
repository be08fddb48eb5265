#include "catalog/catalog_messages.hpp"

#include <gtest/gtest.h>

#include "catalog/listings_for_test.hpp"
#include "proto/catalog.pb.h"
#include "wire/frame.hpp"
#include "wire/message.hpp"

namespace warren::catalog {
namespace {

using fakes::listing;

const limits::Catalog kLimits;

std::string hex_of(const Message& message) {
  return to_hex(wire::encode_frame(encode_message(message)));
}

Result<Message> decode(const Message& message) {
  return decode_message(encode_message(message), kLimits);
}

template <class Body>
Bytes raw(proto::catalog::Message::Kind kind, const Body& body) {
  proto::catalog::Message message;
  message.set_kind(kind);
  message.set_body(body.SerializeAsString());
  return wire::serialize(message);
}

Introduction introduction() {
  return {1, fakes::peer(7), {"delta"}, {Multiaddr::memory(5)}, Mode::kSelective};
}

SetDigest digest_with(const Listing& listing) {
  SetDigest digest;
  digest.add(library::digest_of(listing));
  return digest;
}

EntryBits bits(std::initializer_list<int> all) {
  EntryBits made;
  for (const int bit : all) made.push(bit != 0);
  return made;
}

/// Of ten entries four are wanted, and of these one is missing.
NeedReport small_report() {
  NeedReport report;
  report.count = 10;
  report.wanted = bits({1, 1, 1, 0, 0, 0, 0, 0, 0, 1});
  report.missing = bits({0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
  report.need = {1, 5, {}, {"c"}};
  report.reason = Reason::kDiskFull;
  return report;
}

NeedAnswer small_answer() { return {NeedAnswer::Compared::kSameSet, {1, 5, {}, {"c"}}, {"d"}}; }

std::vector<Message> one_of_each() {
  const Listing one = listing("one", "1.2", "weather/papers");
  Listing hashing = listing("two");
  hashing.root.reset();
  hashing.manifest = {};
  hashing.availability = library::Availability::kHashing;
  return {Hello{introduction(), {{7, 3}, digest_with(one), 1}},
          HelloAck{introduction(), {{7, 4}, {}, 0}},
          SummaryMessage{{{8, 4}, digest_with(one), 1}},
          SnapshotPart{{7, 4}, 0, true, {one, hashing}, digest_with(one)},
          SnapshotPart{{7, 4}, 2, false, {one}, std::nullopt},
          DeltaPart{{7, 4}, 3, 0, true, {one}, {hashing}, {"three"}, digest_with(one)},
          AnnounceAck{{7, 4}},
          SnapshotRequest{},
          QueryRequest{"weather/*", "one", "o*", 10, 20},
          QueryResult{{one}, 21, {7, 4}},
          GetPeerInfo{},
          PeerInfo{fakes::peer(7), "warren/1", Mode::kFull, {"/a", "/b"}, {7, 4}, 2, 5s},
          Goodbye{GoodbyeReason::kRenew},
          Refusal{RefusalCode::kRateLimited, "later"},
          small_report(),
          NeedReport{digest_with(one), 1, bits({0}), bits({0}), {}, Reason::kNone},
          small_answer(),
          NeedAnswer{NeedAnswer::Compared::kOtherSet, {}, {}}};
}

TEST(CatalogMessages, EachComesBackAsItWent) {
  for (const Message& message : one_of_each()) {
    const auto back = decode(message);
    ASSERT_TRUE(back) << message.index() << ": " << back.error().message();
    EXPECT_TRUE(*back == message) << message.index();
  }
}

// The vectors of docs/protocols/catalog.md.
TEST(CatalogMessages, HaveTheBytesOfTheDocument) {
  EXPECT_EQ(hex_of(AnnounceAck{{0x0102030405060708, 300}}),
            "120806120e0a0c09080706050403020110ac02");
  EXPECT_EQ(hex_of(SnapshotRequest{}), "020807");
  EXPECT_EQ(hex_of(GetPeerInfo{}), "02080a");
  EXPECT_EQ(hex_of(Goodbye{GoodbyeReason::kShuttingDown}), "06080c12020801");
  EXPECT_EQ(hex_of(QueryRequest{"weather/*", "", "map", 10, 0}),
            "16080812120a09776561746865722f2a1a036d6170200a");
  Listing small;
  small.id = small.name = "a";
  small.bytes = 5;
  small.files = 1;
  EXPECT_EQ(hex_of(DeltaPart{{0x0102030405060708, 2}, 1, 0, true, {small}, {}, {"b"}, {}}),
            "26080512220a0b0908070605040302011002100120012a0c0a01611201612805300158033a0162");
  EXPECT_EQ(hex_of(small_report()), "17080e1213100a1a02070222020400280130054201634804");
  EXPECT_EQ(hex_of(small_answer()), "10080f120c0801100118052a0163320164");
}

TEST(CatalogMessages, AReportThatIsNoneIsRefused) {
  using Report = proto::catalog::NeedReport;
  const auto code = [](auto change) {
    Report report;
    report.set_count(10);
    report.set_wanted(std::string("\x07\x02", 2));
    report.set_missing(std::string("\x04\x00", 2));
    change(report);
    const auto got = decode_message(raw(proto::catalog::Message::NEED_REPORT, report), kLimits);
    return got ? std::optional<ErrorCode>() : std::optional(got.error().code());
  };
  EXPECT_EQ(code([](Report&) {}), std::nullopt);
  const std::string three("\x07\x02\x00", 3);
  EXPECT_EQ(code([&](Report& r) { r.set_wanted(three); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Report& r) { r.set_wanted("\x07"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Report& r) { r.set_wanted("\x07\x06"); }), ErrorCode::kMalformed)
      << "a bit behind the last entry";
  EXPECT_EQ(code([](Report& r) { r.set_missing("\x08\x01"); }), ErrorCode::kMalformed)
      << "not wanted";
  EXPECT_EQ(code([](Report& r) { r.clear_wanted(); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Report& r) { r.set_listed("short"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Report& r) { r.set_need_digest("short"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Report& r) { r.add_need_ids("\n"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Report& r) { r.add_need_ids(std::string(256, 'a')); }), ErrorCode::kTooLarge);
  EXPECT_EQ(code([](Report& r) {
              for (std::size_t i = 0; i <= kNeedIdsMax; ++i) r.add_need_ids("a");
            }),
            ErrorCode::kTooLarge);
  EXPECT_EQ(code([](Report& r) { r.set_count(kLimits.entries_per_peer_max + 1); }),
            ErrorCode::kTooLarge);
  EXPECT_EQ(code([](Report& r) { r.set_count(UINT64_MAX); }), ErrorCode::kTooLarge);
  proto::catalog::NeedAnswer answer;
  for (std::size_t i = 0; i <= kNeedIdsMax; ++i) answer.add_differing("a");
  EXPECT_EQ(
      decode_message(raw(proto::catalog::Message::NEED_ANSWER, answer), kLimits).error().code(),
      ErrorCode::kTooLarge);
}

TEST(CatalogMessages, AReasonOfALaterVersionIsAnError) {
  proto::catalog::NeedReport report;
  report.set_reason(proto::catalog::Reason(77));
  const auto got = decode_message(raw(proto::catalog::Message::NEED_REPORT, report), kLimits);
  ASSERT_TRUE(got);
  EXPECT_EQ(std::get<NeedReport>(*got).reason, Reason::kError);
}

TEST(CatalogMessages, AReportOfTheLargestSetFits) {
  NeedReport report;
  report.count = kLimits.entries_per_peer_max;
  for (std::size_t i = 0; i < report.count; ++i) {
    report.wanted.push(true);
    report.missing.push(true);
  }
  for (std::size_t i = 0; i < kNeedIdsMax; ++i) {
    report.need.ids.emplace_back(library::kIdBytesMax, 'x');
  }
  const Bytes bytes = encode_message(report);
  EXPECT_LT(bytes.size(), kLimits.message_bytes_max);
  const auto back = decode_message(bytes, kLimits);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_TRUE(std::get<NeedReport>(*back) == report);
}

TEST(CatalogMessages, AnEntryThatIsNoneIsRefusedByItsField) {
  const auto with = [](auto change) {
    proto::catalog::Snapshot snapshot;
    auto& entry = *snapshot.add_entries();
    entry.set_id("a");
    entry.set_availability(proto::catalog::HASHING);
    change(entry);
    return decode_message(raw(proto::catalog::Message::SNAPSHOT, snapshot), kLimits);
  };
  using Entry = proto::catalog::Entry;
  EXPECT_TRUE(with([](Entry&) {}));
  const auto code = [&](auto change) {
    const auto got = with(change);
    return got ? std::optional<ErrorCode>() : std::optional(got.error().code());
  };
  EXPECT_EQ(code([](Entry& e) { e.set_id(""); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_id(".."); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_id("a/b"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_name("\xff"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_name(std::string(256, 'a')); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_topic("a//b"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_manifest("short"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_root("no cid"); }), ErrorCode::kMalformed);
  EXPECT_EQ(code([](Entry& e) { e.set_availability(proto::catalog::READY); }),
            ErrorCode::kMalformed)
      << "without a root";
  EXPECT_EQ(code([](Entry& e) { e.set_availability(proto::catalog::Availability(9)); }),
            ErrorCode::kMalformed);
}

TEST(CatalogMessages, MoreEntriesThanAPageAreRefusedBeforeTheyAreMade) {
  proto::catalog::Snapshot snapshot;
  for (std::size_t i = 0; i < kLimits.page_entries_max + 100; ++i) snapshot.add_entries();
  const auto got = decode_message(raw(proto::catalog::Message::SNAPSHOT, snapshot), kLimits);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), ErrorCode::kTooLarge);
}

TEST(CatalogMessages, WhatIsTooLongOrCutOffIsRefused) {
  const Bytes long_one(kLimits.message_bytes_max + 1);
  EXPECT_EQ(decode_message(long_one, kLimits).error().code(), ErrorCode::kTooLarge);
  for (const Message& message : one_of_each()) {
    const Bytes whole = encode_message(message);
    if (whole.size() < 4) continue;
    EXPECT_FALSE(decode_message(BytesView(whole).first(whole.size() - 1), kLimits))
        << message.index();
  }
  EXPECT_EQ(decode_message(Bytes(), kLimits).error().code(), ErrorCode::kUnsupported);
  const Bytes unknown = {0x08, 0x63};
  EXPECT_EQ(decode_message(unknown, kLimits).error().code(), ErrorCode::kUnsupported);
}

TEST(CatalogMessages, WhatAPeerSaysOfItselfIsBounded) {
  proto::catalog::Hello hello;
  hello.set_version(1);
  hello.set_peer(std::string(as_text(fakes::peer(1).bytes())));
  for (std::size_t i = 0; i < 40; ++i) hello.add_features("feature");
  hello.add_features(std::string(33, 'x'));
  for (std::size_t i = 0; i < 100; ++i) {
    hello.add_addresses(std::string(as_text(Multiaddr::memory(i + 1).bytes())));
  }
  hello.add_addresses("no address");
  hello.set_mode(proto::catalog::Mode(77));
  const auto got = decode_message(raw(proto::catalog::Message::HELLO, hello), kLimits);
  ASSERT_TRUE(got) << got.error().message();
  const Introduction& self = std::get<Hello>(*got).self;
  EXPECT_EQ(self.features.size(), kLimits.features_max);
  EXPECT_EQ(self.addresses.size(), kLimits.addresses_max);
  EXPECT_EQ(self.mode, Mode::kUnspecified);
  hello.clear_peer();
  EXPECT_EQ(decode_message(raw(proto::catalog::Message::HELLO, hello), kLimits).error().code(),
            ErrorCode::kMalformed);
}

TEST(CatalogMessages, NoListingTakesMoreThanIsReckoned) {
  Listing large = listing(std::string(255, 'i'), std::string(64, 'v'), std::string(255, 't'));
  large.name = std::string(255, 'n');
  large.bytes = large.files = std::uint64_t{1} << 62;
  large.installed = true;
  const Message with = SnapshotPart{{7, 4}, 0, true, {large}, {}};
  const Message without = SnapshotPart{{7, 4}, 0, true, {}, {}};
  EXPECT_LE(encode_message(with).size() - encode_message(without).size(), message_bytes_of(large));
  EXPECT_TRUE(decode(with));
}

}  // namespace
}  // namespace warren::catalog

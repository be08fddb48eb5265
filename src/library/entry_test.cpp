// What may be said of an entry, what a sentinel says, and what digests are made of.

#include "library/entry.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <set>

#include "library/published.hpp"
#include "library/reserved.hpp"
#include "library/sentinel.hpp"
#include "library/test_support.hpp"

namespace warren::library {
namespace {

using namespace test;

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Topic, IsPartsOfPlainLettersJoinedBySlashes) {
  for (const std::string& good :
       {std::string(), std::string("weather"), std::string("weather/air-quality/2024"),
        std::string("A-Z_0.9"), repeated("a/", 15) + "a", std::string(255, 'a')}) {
    EXPECT_TRUE(check_topic(good)) << good;
  }
  for (const std::string& bad :
       {std::string("/"), std::string("a/"), std::string("/a"), std::string("a//b"),
        std::string("a b"), std::string("\xC3\xA4"), std::string("a\0b", 3), std::string("a*"),
        repeated("a/", 16) + "a", std::string(256, 'a')}) {
    const auto refused = check_topic(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Listing, WhatNoEntryCanHaveIsRefused) {
  using Change = std::function<void(Listing&)>;
  EXPECT_TRUE(check_listing(listing("a")));
  const std::vector<Change> fine{
      [](Listing& l) { l.name.clear(); },
      [](Listing& l) { l.version.clear(); },
      [](Listing& l) { l.topic.clear(); },
      [](Listing& l) { l.name = std::string(255, 'n'); },
      [](Listing& l) { l.id = "\xC3\xA4 and spaces"; },
      [](Listing& l) { l.availability = Availability::kDownloading; },
      [](Listing& l) { l.root.reset(), l.availability = Availability::kHashing; },
      [](Listing& l) { l.root.reset(), l.availability = Availability::kLocalOnly; },
  };
  for (const Change& change : fine) {
    Listing changed = listing("a");
    change(changed);
    EXPECT_TRUE(check_listing(changed)) << &change - fine.data();
  }
  const std::vector<Change> wrong{
      [](Listing& l) { l.id.clear(); },
      [](Listing& l) { l.id = ".."; },
      [](Listing& l) { l.id = "a/b"; },
      [](Listing& l) { l.id = std::string(256, 'a'); },
      [](Listing& l) { l.id = std::string("a\0", 2); },
      [](Listing& l) { l.id = "a\nb"; },
      [](Listing& l) { l.id = "\xFF"; },
      [](Listing& l) { l.name = std::string(256, 'n'); },
      [](Listing& l) { l.name = "\x1B[31m"; },
      [](Listing& l) { l.version = std::string(65, '1'); },
      [](Listing& l) { l.version = "\xED\xA0\x80"; },
      [](Listing& l) { l.topic = "a//b"; },
      [](Listing& l) { l.bytes = std::uint64_t{1} << 63; },
      [](Listing& l) { l.files = ~std::uint64_t{0}; },
      [](Listing& l) { l.root.reset(); },
      [](Listing& l) { l.availability = Availability::kHashing; },
      [](Listing& l) { l.availability = Availability::kLocalOnly; },
  };
  for (const Change& change : wrong) {
    Listing changed = listing("a");
    change(changed);
    const auto refused = check_listing(changed);
    ASSERT_FALSE(refused) << &change - wrong.data();
    EXPECT_EQ(refused.error().code(), ErrorCode::kMalformed);
  }
}

TEST(Listing, EveryFieldCountsInItsDigest) {
  const Listing plain = listing("a");
  std::vector<Listing> others(12, plain);
  others[0].id = "b";
  others[1].name = "b";
  others[2].version = "b";
  others[3].topic = "b";
  others[4].bytes += 1;
  others[5].files += 1;
  others[6].manifest.bytes[31] ^= 1;
  others[7].root = root("other");
  others[8].root.reset();
  others[9].downloaded = false;
  others[10].installed = true;
  others[11].availability = Availability::kDownloading;
  std::set<Digest> digests{digest_of(plain)};
  for (const Listing& other : others) digests.insert(digest_of(other));
  EXPECT_EQ(digests.size(), 13u);
  EXPECT_EQ(digest_of(listing("a")), digest_of(plain));
}

TEST(Listing, TextThatMovesFromOneFieldToTheNextIsAnotherListing) {
  Listing one = listing("a");
  Listing other = one;
  one.version = "ab";
  one.topic = "c";
  other.version = "a";
  other.topic = "bc";
  EXPECT_NE(digest_of(one), digest_of(other));
}

TEST(SetDigest, IsASumThatCarriesAndBorrows) {
  Digest most;
  most.bytes.fill(0xff);
  Digest one;
  one.bytes[0] = 1;
  SetDigest sum;
  sum.add(most);
  EXPECT_NE(sum, SetDigest{});
  sum.add(one);
  EXPECT_EQ(sum, SetDigest{}) << "modulo 2^256";
  sum.remove(one);
  SetDigest same;
  same.add(most);
  EXPECT_EQ(sum, same);
}

RC_GTEST_PROP(SetDigest, OrderAndWhatWentAgainDoNotShow, ()) {
  const auto numbers = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
  const auto gone = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
  const auto of = [](std::uint8_t number) { return digest(std::string(1, char(number))); };
  SetDigest forwards;
  for (const std::uint8_t number : gone) forwards.add(of(number));
  for (const std::uint8_t number : numbers) forwards.add(of(number));
  for (const std::uint8_t number : gone) forwards.remove(of(number));
  SetDigest backwards;
  SetDigest half;
  for (std::size_t i = numbers.size(); i > 0; --i) {
    (i % 2 == 0 ? backwards : half).add(of(numbers[i - 1]));
  }
  backwards += half;
  RC_ASSERT(forwards == backwards);
  RC_ASSERT((forwards == SetDigest{}) == numbers.empty());
}

TEST(Reserved, NamesOfThisNodeAreNotOfTheThing) {
  for (const std::string_view name : {"local", ".local.installing", ".local.backup", ".warren.json",
                                      ".warren_owned", ".warren.json.tmp"}) {
    EXPECT_TRUE(is_reserved(name)) << name;
  }
  for (const std::string_view name : {"Local", "locals", "version.ini", ".hidden", "warren"}) {
    EXPECT_FALSE(is_reserved(name)) << name;
  }
  EXPECT_TRUE(is_entry_name("thing"));
  EXPECT_FALSE(is_entry_name(""));
  EXPECT_FALSE(is_entry_name(".warren"));
}

// ---------------------------------------------------------------------------------- sentinels

SentinelContent read(std::string_view text, SentinelFormat format = SentinelFormat::kAuto) {
  return read_sentinel(as_bytes(text), format);
}

TEST(Sentinel, AFirstLineIsAVersion) {
  EXPECT_EQ(read("1.2.3").version, "1.2.3");
  EXPECT_EQ(read("\r\n\n  1.2.3 \r\nmore").version, "1.2.3");
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "20240101")
                .version,
            "20240101")
      << "as Windows writes it";
  EXPECT_EQ(read("\"1.2\"").version, "1.2");
  EXPECT_EQ(read("key = 7", SentinelFormat::kLine).version, "key = 7");
  EXPECT_EQ(read("").version, "");
}

TEST(Sentinel, KeysAreReadWhateverTheirCase) {
  const auto content =
      read("; a comment\n# another\n[General]\nVERSION=2.0\nTitle: \"A Thing\"\ntopic = a/b\n");
  EXPECT_EQ(content.version, "2.0");
  EXPECT_EQ(content.name, "A Thing");
  EXPECT_EQ(content.topic, "a/b");
  EXPECT_EQ(read("version = 1\nversion = 2").version, "1") << "the first one counts";
  EXPECT_EQ(read("name = x").version, "") << "a line with a key is no version";
  EXPECT_EQ(read("[General]").version, "");
  EXPECT_EQ(read("1.0", SentinelFormat::kKeys).version, "");
}

TEST(Sentinel, WhatFitsNoEntryIsLeftOut) {
  EXPECT_EQ(read(std::string(65, '1')).version, "");
  EXPECT_EQ(read("version = \x1B[31m1").version, "");
  EXPECT_EQ(read(std::string_view("1\0"
                                  "2",
                                  3))
                .version,
            "");
  EXPECT_EQ(read("version = 1\ntopic = //").topic, "");
  EXPECT_EQ(read("version = 1\nname = " + std::string(300, 'n')).name, "");
}

TEST(Sentinel, FormatsHaveNames) {
  for (const auto format : {SentinelFormat::kAuto, SentinelFormat::kLine, SentinelFormat::kKeys}) {
    EXPECT_EQ(*parse_format(format_name(format)), format);
  }
  EXPECT_EQ(parse_format("ini").error().code(), ErrorCode::kInvalidArgument);
}

RC_GTEST_PROP(Sentinel, AnyBytesGiveWhatAnEntryMayHave, ()) {
  const auto bytes = *rc::gen::container<Bytes>(rc::gen::elementOf(
      std::string("version=name:topic \n\r\t\"'[];#1aA/\xC3\xA4\xFF") + std::string(1, '\0')));
  for (const auto format : {SentinelFormat::kAuto, SentinelFormat::kLine, SentinelFormat::kKeys}) {
    const SentinelContent content = read_sentinel(bytes, format);
    Listing made = listing("a");
    made.version = content.version;
    made.name = content.name;
    made.topic = content.topic;
    RC_ASSERT(check_listing(made).has_value());
  }
}

}  // namespace
}  // namespace warren::library

#include "resources/sources.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace warren::resources {
namespace {

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

struct Admitted {
  Sources& sources;
  TimePoint now{};
  bool operator()(std::string_view from, bool leave = true) {
    const auto admission = sources.admit(ip(from), now);
    if (admission.refused) return false;
    if (leave) sources.leave(admission.ticket);
    return true;
  }
};

TEST(Sources, OneAddressOfTheInternetMayTakeSixteenAtOnceAndThenOneEveryFiveSeconds) {
  const limits::Resources limits;
  Sources sources(limits);
  Admitted admit{sources};
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(admit("192.0.2.7")) << i;
  EXPECT_FALSE(admit("192.0.2.7"));
  EXPECT_TRUE(admit("192.0.2.8"));
  admit.now += 4900ms;
  EXPECT_FALSE(admit("192.0.2.7"));
  admit.now += 200ms;
  EXPECT_TRUE(admit("192.0.2.7"));
  EXPECT_FALSE(admit("192.0.2.7"));
  admit.now += 1h;
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(admit("192.0.2.7"));
  EXPECT_FALSE(admit("192.0.2.7")) << "a pause saves up no more than the burst";
}

TEST(Sources, ARefusalByTheRateSaysTheRate) {
  const limits::Resources limits;
  Sources sources(limits);
  for (int i = 0; i < 16; ++i) sources.leave(sources.admit(ip("192.0.2.7"), {}).ticket);
  const auto refused = sources.admit(ip("192.0.2.7"), {}).refused;
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->rate);
  EXPECT_EQ(refused->why, "16 at once and then one every 5 s from one address are the most");
}

TEST(Sources, AHouseholdOfIpv6HasEightAndASiteSixtyFour) {
  const limits::Resources limits;
  Sources sources(limits);
  Admitted admit{sources};
  std::size_t in = 0;
  for (int household = 0; household < 20; ++household) {
    for (int host = 0; host < 9; ++host) {
      const std::string from = fmt::format("2001:db8:1:{:x}::{}", household << 8, host + 1);
      const bool taken = admit(from, false);
      if (host == 8) EXPECT_FALSE(taken) << "the ninth of a /56: " << from;
      in += taken ? 1 : 0;
    }
  }
  EXPECT_EQ(in, 64u);
  EXPECT_TRUE(admit("2001:db8:2::1"));
  EXPECT_EQ(sources.connections(*Prefix::parse("2001:db8:1::/48")), 64u);
}

TEST(Sources, PrivateAddressesMayDoMoreThanThoseOfTheInternet) {
  const limits::Resources limits;
  Sources sources(limits);
  Admitted admit{sources};
  for (const char* from : {"192.168.1.9", "10.0.0.1", "fe80::1", "fd00::1"}) {
    int in = 0;
    while (admit(from, false)) ++in;
    EXPECT_EQ(in, 32) << from;
  }
  EXPECT_TRUE(admit("fe80::2")) << "hosts of one link are told apart";
}

TEST(Sources, AnAddressIsBusyWhenHalfOfItsBurstIsGone) {
  const limits::Resources limits;
  Sources sources(limits);
  Admitted admit{sources};
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(sources.is_busy(ip("192.0.2.7"), admit.now));
    admit("192.0.2.7");
  }
  EXPECT_FALSE(sources.is_busy(ip("192.0.2.7"), admit.now));
  admit("192.0.2.7");
  EXPECT_TRUE(sources.is_busy(ip("192.0.2.7"), admit.now));
  EXPECT_FALSE(sources.is_busy(ip("192.0.2.7"), admit.now + 5s));
  EXPECT_EQ(sources.size(), 1u) << "asking remembers nothing";
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(sources.is_busy(ip("192.0.2.8"), admit.now));
    admit("192.0.2.8", false);
  }
  EXPECT_TRUE(sources.is_busy(ip("192.0.2.8"), admit.now + 1h)) << "four of eight are open";
}

TEST(Sources, TheTableIsBoundedAndForgetsWhoIsQuiet) {
  limits::Resources limits;
  limits.sources_max = 100;
  limits.rate_others = {1, 10};
  Sources sources(limits);
  Admitted admit{sources};
  int in = 0;
  for (int i = 0; i < 500; ++i) {
    in += admit(fmt::format("198.51.{}.{}", i / 250, i % 250)) ? 1 : 0;
    EXPECT_LE(sources.size(), 100u);
  }
  EXPECT_EQ(in, 110) << "all others share one rate";
  EXPECT_TRUE(sources.is_busy(ip("203.0.113.1"), admit.now));
  EXPECT_TRUE(admit("192.168.1.1")) << "the local network has a table of its own";
  admit.now += 6s;  // Each has its burst again: nothing needs to be known of it.
  EXPECT_TRUE(admit("203.0.113.1"));
  EXPECT_EQ(sources.size(), 2u);
}

TEST(Sources, ConnectionsAreRememberedThroughAFloodOfOthers) {
  limits::Resources limits;
  limits.sources_max = 10;
  Sources sources(limits);
  Admitted admit{sources};
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(admit("192.0.2.7", false));
  admit.now += 1h;
  for (int i = 0; i < 100; ++i) admit(fmt::format("198.51.100.{}", i));
  EXPECT_FALSE(admit("192.0.2.7"));
  EXPECT_EQ(sources.connections(*Prefix::parse("192.0.2.7")), 8u);
}

TEST(Prefix, IsParsedMaskedAndPrinted) {
  EXPECT_EQ(Prefix::parse("192.0.2.77/24")->to_string(), "192.0.2.0/24");
  EXPECT_EQ(Prefix::parse("192.0.2.77/30")->to_string(), "192.0.2.76/30");
  EXPECT_EQ(Prefix::parse("192.0.2.77")->to_string(), "192.0.2.77");
  EXPECT_EQ(Prefix::parse("2001:db8:1:ff00::1/56")->to_string(), "2001:db8:1:ff00::/56");
  EXPECT_EQ(Prefix::parse("0.0.0.0/0")->to_string(), "0.0.0.0/0");
  for (const char* bad : {"", "192.0.2.1/", "192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/1x",
                          "::/129", "/24", "192.0.2/24", "192.0.2.1/0001"}) {
    EXPECT_FALSE(Prefix::parse(bad)) << bad;
  }
  EXPECT_TRUE(Prefix::parse("10.0.0.0/8")->contains(ip("10.255.0.1")));
  EXPECT_FALSE(Prefix::parse("10.0.0.0/8")->contains(ip("11.0.0.1")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(ip("::1")));
  EXPECT_TRUE(Prefix::parse("::/0")->contains(ip("::1")));
}

}  // namespace
}  // namespace warren::resources

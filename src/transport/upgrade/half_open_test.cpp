#include "transport/upgrade/half_open.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "sim/world.hpp"

namespace warren::transport {
namespace {

class HalfOpen : public ::testing::Test {
 protected:
  using Place = HalfOpenTable::Place;
  using Outcome = std::shared_ptr<runtime::TaskOutcome<Result<>>>;

  Outcome watch(Place& place) {
    return runtime::start_task(world_.executor(), place.wait_until_displaced(), [] {});
  }
  void settle() { world_.run_for(1us); }

  sim::World world_{1};
  std::unique_ptr<runtime::Runtime> runtime_ = world_.make_runtime(1);
  HalfOpenTable table_{*runtime_};
};

TEST_F(HalfOpen, TheOldestOfTheAddressThatHasMostMakesRoom) {
  const IpAddress many = IpAddress::v4(192, 0, 2, 7);
  Place honest(table_, IpAddress::v4(198, 51, 100, 1));
  Place first(table_, many);
  Place second(table_, many);
  const Outcome of_honest = watch(honest);
  const Outcome of_first = watch(first);
  const Outcome of_second = watch(second);
  EXPECT_EQ(table_.displace_one(), many);
  settle();
  EXPECT_FALSE(of_honest->done);
  EXPECT_FALSE(of_second->done);
  ASSERT_TRUE(of_first->done);
  EXPECT_EQ(of_first->get().error().code(), ErrorCode::kLimited);
  // It counts until it has gone, but is not asked again.
  EXPECT_EQ(table_.size(), 3u);
  EXPECT_EQ(table_.staying(), 2u);
  table_.displace_one();
  table_.displace_one();
  settle();
  EXPECT_TRUE(of_honest->done);
  EXPECT_TRUE(of_second->done);
  EXPECT_EQ(table_.staying(), 0u);
}

TEST_F(HalfOpen, AddressesOfOneHouseholdAreOneSource) {
  const auto v6 = [](std::uint8_t site, std::uint8_t host) {
    Bytes raw(16);
    raw[0] = 0x20;
    raw[1] = 0x01;
    raw[5] = site;
    raw[15] = host;
    return IpAddress::from_bytes(raw).value();
  };
  std::deque<Place> places;
  places.emplace_back(table_, v6(1, 1));
  for (std::uint8_t host = 1; host <= 3; ++host) places.emplace_back(table_, v6(2, host));
  const Outcome other = watch(places.front());
  table_.displace_one();
  table_.displace_one();
  settle();
  EXPECT_FALSE(other->done);
  while (!places.empty()) {
    if (places.size() == 1) table_.displace_one();
    settle();
    if (places.size() == 1) EXPECT_TRUE(other->done);
    places.pop_back();
  }
  EXPECT_EQ(table_.size(), 0u);
}

}  // namespace
}  // namespace warren::transport

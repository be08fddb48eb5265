// Changes of addresses: told in the simulated world; on the machine itself only that nothing is
// told while nothing changes (tests/netns changes real ones).

#include <gtest/gtest.h>

#include "runtime/deadline.hpp"
#include "runtime/run_task.hpp"
#include "sim/world.hpp"

namespace warren::runtime {
namespace {

TEST(InterfaceWatch, TellsOfAChangeAndOfOneThatCameBeforeTheCall) {
  sim::World world(sim::seed_from_env(1));
  const auto host = world.make_runtime(1);
  const auto other = world.make_runtime(2);
  const auto watch = host->watch_interfaces().value();
  const IpAddress added = IpAddress::v4(192, 168, 7, 1);
  world.add_address(1, added);
  EXPECT_TRUE(sim::run(world, watch->changed())) << "it came before the call";
  EXPECT_EQ(host->network_interfaces().value()[1].addresses.back(), added);
  world.schedule(world.now() + 5s, [&] { world.remove_address(1, added); });
  const TimePoint start = world.now();
  EXPECT_TRUE(sim::run(world, watch->changed()));
  EXPECT_EQ(world.now() - start, 5s);
  world.add_address(2, added);
  const auto nothing = sim::run(world, with_deadline(*host, world.now() + 1min, watch->changed()));
  EXPECT_EQ(nothing.error().code(), ErrorCode::kTimedOut) << "another host's";
}

TEST(InterfaceWatch, OnTheMachineItCanBeCancelledAndMadeAgain) {
  RealRuntime runtime(RealRuntimeOptions{.pool_threads = 1});
  for (int i = 0; i < 3; ++i) {
    const auto watch = runtime.watch_interfaces();
    ASSERT_TRUE(watch) << watch.error().message();
    const auto told =
        run_task(runtime, with_deadline(runtime, runtime.now() + 1ms, (*watch)->changed()));
    if (!told) EXPECT_EQ(told.error().code(), ErrorCode::kTimedOut);
  }
}

}  // namespace
}  // namespace warren::runtime

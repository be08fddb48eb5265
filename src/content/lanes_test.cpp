#include "content/lanes.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <latch>

#include "runtime/cancellation.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/run_task.hpp"

namespace warren::content {
namespace {

TEST(Lanes, RunsUnitsUntilOneSaysNo) {
  runtime::RealRuntime runtime({.pool_threads = 3});
  std::atomic<bool> stop{false};
  std::atomic<int> left{100};
  std::atomic<int> done{0};
  runtime::run_task(runtime, run_lanes(runtime.pool(), 3, stop, [&] {
                      if (left.fetch_sub(1) <= 0) return false;
                      ++done;
                      return true;
                    }));
  EXPECT_EQ(done, 100);
  EXPECT_FALSE(stop);
}

TEST(Lanes, RunAtTheSameTime) {
  runtime::RealRuntime runtime({.pool_threads = 2});
  std::atomic<bool> stop{false};
  std::latch both(2);  // Opens only if two units run at once.
  runtime::run_task(runtime, run_lanes(runtime.pool(), 2, stop, [&both] {
                      both.arrive_and_wait();
                      return false;
                    }));
}

TEST(Lanes, StopEndsThem) {
  runtime::RealRuntime runtime({.pool_threads = 2});
  std::atomic<bool> stop{false};
  std::atomic<int> done{0};
  runtime::run_task(runtime, run_lanes(runtime.pool(), 2, stop, [&] {
                      if (++done == 10) stop = true;
                      return true;
                    }));
  EXPECT_GE(done, 10);
  EXPECT_LE(done, 12);
}

TEST(Lanes, CancelStopsAndWaitsForUnitsInHand) {
  runtime::RealRuntime runtime({.pool_threads = 1});
  std::atomic<bool> stop{false};
  std::atomic<int> done{0};
  std::latch begun(1);
  std::latch cancelled(1);
  boost::asio::cancellation_signal signal;
  bool ended = false;
  boost::asio::co_spawn(runtime.executor(),
                        runtime::errors_as_values(run_lanes(runtime.pool(), 1, stop,
                                                            [&] {
                                                              begun.count_down();
                                                              cancelled.wait();
                                                              ++done;
                                                              return true;
                                                            })),
                        boost::asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) {
                          ended = true;
                          runtime.stop();
                        }));
  boost::asio::post(runtime.executor(), [&] {
    begun.wait();
    signal.emit(boost::asio::cancellation_type::terminal);
    cancelled.count_down();
  });
  runtime.run();
  EXPECT_TRUE(ended);
  EXPECT_TRUE(stop);
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace warren::content

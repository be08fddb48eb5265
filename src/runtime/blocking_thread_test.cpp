#include "runtime/blocking_thread.hpp"

#include <gtest/gtest.h>

#include "runtime/real_runtime.hpp"
#include "runtime/run_task.hpp"

namespace warren::runtime {
namespace {

awaitable<int> count_turns(BlockingThread& thread, std::thread::id& core, int& asked) {
  int turns = 0;
  for (;;) {
    const auto asks = co_await thread.next();
    if (!asks || !*asks) break;
    core = std::this_thread::get_id();
    asked += 10;
    ++turns;
  }
  co_return turns;
}

TEST(BlockingThread, TheCoreThreadDoesWhatItAsksFor) {
  RealRuntime runtime;
  int asked = 0;
  std::vector<int> seen;
  std::thread::id own;
  std::thread::id core;
  BlockingThread* self = nullptr;
  BlockingThread thread(runtime, [&] {
    own = std::this_thread::get_id();
    for (int i = 0; i < 1000; ++i) {
      self->ask();
      seen.push_back(asked);
    }
  });
  self = &thread;
  EXPECT_EQ(run_task(runtime, count_turns(thread, core, asked)), 1000);
  ASSERT_EQ(seen.size(), 1000u);
  EXPECT_EQ(seen.front(), 10);
  EXPECT_EQ(seen.back(), 10'000);
  EXPECT_EQ(core, std::this_thread::get_id());
  EXPECT_NE(own, core);
}

TEST(BlockingThread, OneThatWasNotBegunNeedsNoEnd) {
  RealRuntime runtime;
  const BlockingThread thread(runtime, [] { FAIL(); });
}

}  // namespace
}  // namespace warren::runtime

#pragma once
// Two stages on which one test plays: the machine itself, and the simulated world.

#include <gtest/gtest.h>

#include "runtime/run_task.hpp"
#include "sim/world.hpp"

namespace warren::runtime {

/// Two runtimes that can reach each other, on the machine's loopback. Both are the same one.
struct RealStage {
  RealRuntime runtime{RealRuntimeOptions{.pool_threads = 2}};
  IpAddress ip_a = IpAddress::v4(127, 0, 0, 1);
  IpAddress ip_b = ip_a;

  Runtime& a() { return runtime; }
  Runtime& b() { return runtime; }
  template <class T>
  T run(awaitable<T> task) {
    return run_task(runtime, std::move(task));
  }
};

/// Two simulated hosts.
struct SimStage {
  sim::World world{sim::seed_from_env(1)};
  std::unique_ptr<Runtime> host_a = world.make_runtime(1);
  std::unique_ptr<Runtime> host_b = world.make_runtime(2);
  IpAddress ip_a = sim::host_v4(1);
  IpAddress ip_b = sim::host_v4(2);

  Runtime& a() { return *host_a; }
  Runtime& b() { return *host_b; }
  template <class T>
  T run(awaitable<T> task) {
    return sim::run(world, std::move(task));
  }
};

struct StageNames {
  template <class Stage>
  static std::string GetName(int) {
    return std::is_same_v<Stage, RealStage> ? "Real" : "Sim";
  }
};

using BothStages = ::testing::Types<RealStage, SimStage>;

}  // namespace warren::runtime

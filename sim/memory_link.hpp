#pragma once
// The simulated network under the memory transport: the nodes of a hub are hosts of the world.
//
//   memory::Hub hub(std::make_shared<sim::MemoryLink>(world));
//   memory::MemoryTransport transport(*runtime, hub, key, {.node = host});

#include "sim/world.hpp"
#include "transport/memory/link.hpp"

namespace warren::sim {

class MemoryLink final : public transport::memory::Link {
 public:
  /// `world` must outlive the link.
  explicit MemoryLink(World& world) : world_(world) {}

  std::uint64_t new_channel() override { return world_.new_flow(); }
  void carry(std::uint64_t channel, std::uint64_t from, std::uint64_t to, std::size_t bytes,
             std::move_only_function<void()> deliver) override {
    world_.carry(channel, static_cast<Host>(from), static_cast<Host>(to), bytes,
                 std::move(deliver));
  }

 private:
  World& world_;
};

}  // namespace warren::sim

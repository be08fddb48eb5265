#pragma once
// The simulated network under the memory transport, where what is cut is lost: a machine that
// falls silent, a partition. A connection that lost a message carries nothing more in that
// direction, as one whose packets are gone for good; its ends have to find out by themselves.

#include <functional>
#include <set>
#include <unordered_set>

#include "sim/world.hpp"
#include "transport/memory/link.hpp"

namespace warren::sim {

class CutLink final : public transport::memory::Link {
 public:
  /// `world` must outlive the link.
  explicit CutLink(World& world) : world_(world) {}

  /// Whether nodes can reach each other, both alive; unset: all can.
  std::function<bool(std::uint64_t from, std::uint64_t to)> reachable;
  /// Nothing gets to it or away from it any more; what is under way is lost.
  void silence(std::uint64_t node) { silent_.insert(node); }
  void end_silence(std::uint64_t node) { silent_.erase(node); }

  std::uint64_t new_channel() override { return world_.new_flow(); }
  void carry(std::uint64_t channel, std::uint64_t from, std::uint64_t to, std::size_t bytes,
             std::move_only_function<void()> deliver) override {
    if (!passes(channel, from, to)) return;
    auto arrive = [this, channel, from, to, deliver = std::move(deliver)]() mutable {
      if (passes(channel, from, to)) deliver();
    };
    world_.carry(channel, host_at(from), host_at(to), bytes, std::move(arrive));
  }

  /// Memory ids are 65,536 for each network; in it the number of the host.
  static Host host_at(std::uint64_t node) { return static_cast<Host>(node & 0xffff); }

 private:
  bool passes(std::uint64_t channel, std::uint64_t from, std::uint64_t to) {
    if (broken_.contains(channel)) return false;
    const bool cut =
        silent_.contains(from) || silent_.contains(to) || (reachable && !reachable(from, to));
    if (cut) broken_.insert(channel);
    return !cut;
  }

  World& world_;
  std::set<std::uint64_t> silent_;
  std::unordered_set<std::uint64_t> broken_;  ///< Channels; never walked over.
};

}  // namespace warren::sim

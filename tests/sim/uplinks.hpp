#pragma once
// The simulated network under the memory transport, with an uplink for each host: what a host sends
// leaves at the rate of its uplink, one message of each connection in turn, as a fair queue does.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "sim/memory_link.hpp"

namespace warren::sim {

class Uplinks final : public transport::memory::Link {
 public:
  /// `world` must outlive it.
  Uplinks(World& world, std::uint64_t bytes_per_second)
      : world_(world), link_(world), rate_(static_cast<double>(bytes_per_second)) {}

  std::uint64_t new_channel() override { return link_.new_channel(); }
  void carry(std::uint64_t channel, std::uint64_t from, std::uint64_t to, std::size_t bytes,
             std::move_only_function<void()> deliver) override {
    Uplink& uplink = uplinks_[from];
    std::deque<Message>& messages = uplink.channels[channel];
    if (messages.empty()) uplink.turns.push_back(channel);
    messages.push_back({to, bytes, std::move(deliver)});
    if (!std::exchange(uplink.busy, true)) send_next(from, uplink);
  }
  /// All that the host has sent so far.
  std::uint64_t bytes_sent(std::uint64_t host) const {
    const auto found = uplinks_.find(host);
    return found == uplinks_.end() ? 0 : found->second.bytes_sent;
  }

 private:
  struct Message {
    std::uint64_t to = 0;
    std::size_t bytes = 0;
    std::move_only_function<void()> deliver;
  };
  struct Uplink {
    std::map<std::uint64_t, std::deque<Message>> channels;  ///< Those with messages.
    std::deque<std::uint64_t> turns;
    bool busy = false;
    std::uint64_t bytes_sent = 0;
  };

  void send_next(std::uint64_t from, Uplink& uplink) {
    const std::uint64_t channel = uplink.turns.front();
    uplink.turns.pop_front();
    const auto found = uplink.channels.find(channel);
    Message message = std::move(found->second.front());
    found->second.pop_front();
    if (found->second.empty()) {
      uplink.channels.erase(found);
    } else {
      uplink.turns.push_back(channel);
    }
    const Duration takes(
        static_cast<std::int64_t>(static_cast<double>(message.bytes) / rate_ * 1e9));
    world_.schedule(world_.now() + takes,
                    [this, from, channel, sent = std::move(message)]() mutable {
                      Uplink& after = uplinks_[from];
                      after.bytes_sent += sent.bytes;
                      link_.carry(channel, from, sent.to, sent.bytes, std::move(sent.deliver));
                      if (after.turns.empty()) {
                        after.busy = false;
                      } else {
                        send_next(from, after);
                      }
                    });
  }

  World& world_;
  MemoryLink link_;
  double rate_;
  std::map<std::uint64_t, Uplink> uplinks_;
};

}  // namespace warren::sim

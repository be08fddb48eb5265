#pragma once
// For tests: whom a source tells, on the machine itself and in the simulated world.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "discovery/peer_source.hpp"
#include "runtime/real_runtime.hpp"
#include "sim/world.hpp"

namespace warren::discovery::testing {

/// Keeps what it is told.
class Sink : public PeerSink {
 public:
  explicit Sink(runtime::Runtime& runtime) : changed(runtime.make_signal()) {}
  void peer_found(const PeerHint& hint) override {
    known[hint.peer] = hint;
    changed->notify();
  }
  void peer_lost(const PeerHint& hint) override {
    known.erase(hint.peer);
    ++lost;
    changed->notify();
  }
  std::map<PeerId, PeerHint> known;  ///< Found and not lost.
  int lost = 0;
  std::unique_ptr<runtime::Signal> changed;
};

/// Whether so many are known before the deadline.
inline awaitable<bool> wait_for(Sink& sink, std::size_t peers, TimePoint deadline) {
  while (sink.known.size() != peers) {
    const runtime::Wake wake = co_await sink.changed->wait_until(deadline);
    if (wake != runtime::Wake::kNotified) co_return sink.known.size() == peers;
  }
  co_return true;
}

/// The reason why loopback is out of the question here, or nothing.
inline std::string no_loopback(runtime::Runtime& runtime) {
  const auto interfaces = runtime.network_interfaces();
  if (!interfaces) return interfaces.error().message();
  for (const runtime::NetworkInterface& each : *interfaces) {
    if (each.name == "lo" && each.up && !each.addresses.empty()) return {};
  }
  return "the interface lo is down or has no address";
}

/// Both addresses of a simulated host, with the port a node listens on.
inline std::vector<Multiaddr> sim_addresses(sim::Host host) {
  return {Multiaddr::quic({sim::host_v4(host), 4001, 0}),
          Multiaddr::quic({sim::host_v6(host), 4001, 0})};
}

/// Hosts 1 to `count` of one simulated link, each with a `Node`: a `service` that is a PeerSource,
/// and its peer `id`, made of a runtime, the host, and `options`.
template <class Node>
class Lan {
 public:
  struct Member {
    template <class... Options>
    Member(sim::World& world, sim::Host host, const Options&... options)
        : runtime(world.make_runtime(host)), sink(*runtime), node(*runtime, host, options...) {}
    std::unique_ptr<runtime::Runtime> runtime;
    Sink sink;
    Node node;
  };

  template <class... Options>
  Lan(std::uint64_t seed, sim::Host count, const Options&... options) : world(seed) {
    for (sim::Host host = 1; host <= count; ++host) {
      members_.push_back(std::make_unique<Member>(world, host, options...));
    }
  }
  ~Lan() {
    for (const auto& member : members_) sim::run(world, stop(*member));
  }
  Member& operator[](std::size_t index) { return *members_.at(index); }
  const std::vector<std::unique_ptr<Member>>& members() const { return members_; }

  void start(std::size_t index) {
    ASSERT_TRUE(members_.at(index)->node.service.start(members_[index]->sink));
  }
  void start_all() {
    for (std::size_t index = 0; index < members_.size(); ++index) {
      world.run_for(world.between(0s, 100ms));
      start(index);
    }
  }
  bool all_know(std::size_t peers) const {
    return std::ranges::all_of(
        members_, [&](const auto& member) { return member->sink.known.size() == peers; });
  }

  sim::World world;

 private:
  static awaitable<bool> stop(Member& member) {
    co_await member.node.service.stop();
    co_return true;
  }
  std::vector<std::unique_ptr<Member>> members_;
};

// What every source of a link must do, in a simulated world.

/// Two of six halves of a network forget each other, and find each other again.
template <class Node>
void expect_partition_is_healed(Duration found, Duration noticed, Duration healed) {
  Lan<Node> lan(sim::seed_from_env(3), 6);
  lan.start_all();
  ASSERT_TRUE(lan.world.run_until([&] { return lan.all_know(5); }, found));
  lan.world.partition({1, 2, 3});
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(2); }, noticed))
      << lan.world.replay_hint();
  lan.world.heal();
  EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(5); }, healed))
      << lan.world.replay_hint();
}

/// Two links of two nodes each.
template <class Node>
void expect_links_keep_their_peers() {
  Lan<Node> lan(sim::seed_from_env(5), 4);
  lan.world.set_lan(3, 1);
  lan.world.set_lan(4, 1);
  lan.start_all();
  lan.world.run_for(1min);
  EXPECT_TRUE(lan.all_know(1)) << lan.world.replay_hint();
}

template <class Node>
void expect_two_find_each_other(Duration within) {
  for (const std::uint64_t seed : sim::seeds_from_env(1, 20)) {
    Lan<Node> lan(seed, 2);
    lan.start(0);
    lan.world.run_for(lan.world.between(0s, 5s));
    lan.start(1);
    EXPECT_TRUE(lan.world.run_until([&] { return lan.all_know(1); }, within))
        << lan.world.replay_hint();
    ASSERT_FALSE(lan[0].sink.known.empty());
    const PeerHint& hint = lan[0].sink.known.begin()->second;
    EXPECT_EQ(hint.peer, lan[1].node.id);
    EXPECT_EQ(hint.addresses.size(), 2u) << lan.world.replay_hint();
  }
}

template <class Node>
void expect_same_seed_gives_same_trace() {
  const auto trace = [](std::uint64_t seed) {
    Lan<Node> lan(seed, 5);
    lan.world.link.loss = 0.1;
    lan.start_all();
    lan.world.run_for(1min);
    return lan.world.trace_hash();
  };
  EXPECT_EQ(trace(7), trace(7));
  EXPECT_NE(trace(7), trace(8));
}

}  // namespace warren::discovery::testing

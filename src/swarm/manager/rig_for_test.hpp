#pragma once
// A connection manager with its book, driven by hand on a clock of the test.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "base/check.hpp"
#include "swarm/manager/connection_manager.hpp"

namespace warren::swarm::testing {

/// Peers in order of their number have ids in the same order.
inline PeerId peer_id(std::uint32_t number) {
  const auto byte = [&](int shift) { return static_cast<std::uint8_t>(number >> shift); };
  return PeerId::from_public_key(Bytes{8, 1, byte(24), byte(16), byte(8), byte(0)});
}

/// In the /16 number `network`, at most 20,000; 0 is the local one.
inline Multiaddr address(std::uint32_t network, std::uint32_t number) {
  const auto byte = [](std::uint32_t value) { return static_cast<std::uint8_t>(value % 256); };
  const std::array<std::uint8_t, 4> of_internet{byte(20 + network / 256), byte(network),
                                                byte(number / 256), byte(number)};
  const std::array<std::uint8_t, 4> of_lan{192, 168, byte(number / 256), byte(number)};
  const auto ip = IpAddress::from_bytes(network == 0 ? of_lan : of_internet);
  return Multiaddr::quic(Endpoint{*ip, 4001});
}

class Rig {
 public:
  explicit Rig(ManagerConfig config = {}, std::uint64_t seed = 1, std::uint32_t self = 0)
      : rng_(seed), book_(peer_id(self), {}, rng_), manager_(peer_id(self), config, book_, rng_) {}

  Moment now() const { return {steady_, civil_}; }
  void pass(Duration time) {
    steady_ += time;
    civil_ += time;
  }
  peers::PeerBook& book() { return book_; }
  const peers::PeerBook& book() const { return book_; }
  ConnectionManager& manager() { return manager_; }

  void learn(std::uint32_t number, std::uint32_t network,
             peers::Origin origin = peers::Origin::kExchange) {
    networks_[number] = network;
    peers::Learnt learnt{peer_id(number), {address(network, number)}, origin, {}, {}};
    book_.learn(learnt, civil_);
    manager_.book_changed(learnt.peer);
  }
  /// As if it had been dialled `ago` and gone again.
  void prove(std::uint32_t number, std::uint32_t network, Duration ago) {
    networks_[number] = network;
    book_.learn({peer_id(number), {address(network, number)}, peers::Origin::kExchange, {}, {}},
                civil_ - ago);
    book_.connected(peer_id(number), address(network, number), civil_ - ago);
    book_.disconnected(peer_id(number), 0, 0, civil_ - ago);
    manager_.book_changed(peer_id(number));
  }
  void inbound(std::uint32_t number, std::uint32_t network = 0) {
    networks_[number] = network;
    connect(number, false);
  }
  void set_network(std::uint32_t number, std::uint32_t network) { networks_[number] = network; }
  void connect(std::uint32_t number, bool outbound) {
    manager_.connected(peer_id(number), outbound, address(networks_[number], number), now());
    manager_.check_invariants();
  }
  void disconnect(std::uint32_t number) {
    manager_.disconnected(peer_id(number), 0, 0, now());
    manager_.check_invariants();
  }
  void answer(std::uint32_t number, bool success = true) {
    if (success) connect(number, true);
    manager_.dial_ended(peer_id(number), success, now());
    manager_.check_invariants();
  }

  struct Done {
    std::vector<std::uint32_t> dialled;
    std::vector<DialPeer::Kind> kinds;
    std::vector<std::uint32_t> closed;
    std::vector<LetGo> why;
    bool nothing() const { return dialled.empty() && closed.empty(); }
  };
  /// One next(); those to close are gone at once.
  Done next() {
    Done done;
    for (const ManagerAction& action : manager_.next(now())) {
      if (const auto* dial = std::get_if<DialPeer>(&action)) {
        WARREN_CHECK(!dial->addresses.empty());
        done.dialled.push_back(number_of(dial->peer));
        done.kinds.push_back(dial->kind);
      } else {
        const auto& close = std::get<ClosePeer>(action);
        done.closed.push_back(number_of(close.peer));
        done.why.push_back(close.why);
      }
    }
    manager_.check_invariants();
    for (const std::uint32_t number : done.closed) disconnect(number);
    return done;
  }
  /// Every dial succeeds until there is nothing more to do. Returns all that was done.
  Done settle() {
    Done all;
    for (;;) {
      const Done done = next();
      all.dialled.insert(all.dialled.end(), done.dialled.begin(), done.dialled.end());
      all.kinds.insert(all.kinds.end(), done.kinds.begin(), done.kinds.end());
      all.closed.insert(all.closed.end(), done.closed.begin(), done.closed.end());
      all.why.insert(all.why.end(), done.why.begin(), done.why.end());
      if (done.nothing()) return all;
      for (const std::uint32_t number : done.dialled) answer(number);
    }
  }
  /// Runs for `time`, waking as the manager asks; every dial succeeds.
  Done run(Duration time) {
    const TimePoint end = steady_ + time;
    Done all;
    for (;;) {
      const Done done = settle();
      all.dialled.insert(all.dialled.end(), done.dialled.begin(), done.dialled.end());
      all.kinds.insert(all.kinds.end(), done.kinds.begin(), done.kinds.end());
      all.closed.insert(all.closed.end(), done.closed.begin(), done.closed.end());
      all.why.insert(all.why.end(), done.why.begin(), done.why.end());
      const TimePoint wake = manager_.next_wake();
      WARREN_CHECK(wake > steady_);
      if (wake > end) break;
      pass(wake - steady_);
    }
    pass(end - steady_);
    return all;
  }

  std::uint32_t number_of(const PeerId& peer) const {
    std::uint32_t number = 0;
    for (const std::uint8_t byte : peer.inline_key().subspan(2)) number = number << 8 | byte;
    return number;
  }

 private:
  std::mt19937_64 rng_;
  peers::PeerBook book_;
  ConnectionManager manager_;
  std::map<std::uint32_t, std::uint32_t> networks_;
  TimePoint steady_{1h};
  WallTime civil_{std::chrono::hours(24 * 365 * 50)};
};

}  // namespace warren::swarm::testing

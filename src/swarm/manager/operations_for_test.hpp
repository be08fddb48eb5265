#pragma once
// Any order of events on a ConnectionManager, read from bytes; for the property test and the
// fuzzer. After each one what next() promises must hold.

#include "base/bytes.hpp"
#include "swarm/manager/rig_for_test.hpp"

namespace warren::swarm::testing {

class Operations {
 public:
  explicit Operations(BytesView input)
      : input_(input), config_(read_config()), rig_(config_, 1 + below(256), kSelf) {}

  void run() {
    while (at_ < input_.size()) {
      step();
      rig_.manager().check_invariants();
      act();
    }
  }

 private:
  static constexpr std::uint32_t kSelf = 12;
  static constexpr std::uint32_t kPeers = 24;
  static constexpr std::uint32_t kNetworks = 5;  ///< 0 is the local one.

  std::uint32_t below(std::uint32_t limit) {
    if (at_ >= input_.size() || limit == 0) return 0;
    return input_[at_++] % limit;
  }
  static std::uint32_t network_of(std::uint32_t peer) { return peer % kNetworks; }

  ManagerConfig read_config() {
    ManagerConfig config;
    config.target_peers = below(10);
    config.max_peers = below(12);
    config.neighbours_max = below(2) == 0 ? 0 : kPeers;
    config.near_share = below(5) / 4.0;
    config.surplus_max = below(4);
    if (below(2) == 1) config.outbound_min = below(6);
    config.group_share_max = below(5) / 4.0;
    config.veteran_share = below(5) / 4.0;
    config.anchors = below(4);
    config.low_water = below(8);
    config.high_water = config.low_water + below(8);
    config.grace = std::chrono::seconds(below(40));
    config.dials_max = 1 + below(4);
    return config;
  }

  void step() {
    const std::uint32_t who = below(kPeers);
    const PeerId id = peer_id(who);
    ConnectionManager& manager = rig_.manager();
    const Moment now = rig_.now();
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
        if (who != kSelf && linked_.insert(who).second) rig_.inbound(who, network_of(who));
        break;
      case 3:
      case 4: end_dial(who, true); break;
      case 5: end_dial(who, false); break;
      case 6:
        // Some go without having been told to.
        if (linked_.contains(who)) disconnect(who);
        break;
      case 7: rig_.pass(std::chrono::milliseconds(below(256)) * (1 + below(256))); break;
      case 8: rig_.pass(std::chrono::minutes(below(30))); break;
      case 9: manager.said_goodbye(id, std::chrono::seconds(below(256)), now); break;
      case 10:
        manager.leave(id, now);
        if (linked_.contains(who)) leaving_.insert(who);
        break;
      case 11: manager.retry_now(now); break;
      case 12:
        ++protections_[who];
        manager.protect(id);
        break;
      case 13:
        if (protections_[who] == 0) break;
        --protections_[who];
        manager.unprotect(id);
        break;
      case 14: manager.was_useful(id, std::uint64_t{1} << below(40), now); break;
      case 15:
        config_ = read_config();
        manager.configure(config_);
        break;
      case 16: {
        const bool neighbour = below(2) == 1;
        manager.set_neighbour(id, neighbour);
        if (neighbour && linked_.contains(who)) {
          neighbours_.insert(who);
        } else {
          neighbours_.erase(who);
        }
        break;
      }
      default: change_book(who); break;
    }
  }

  void disconnect(std::uint32_t who) {
    linked_.erase(who);
    leaving_.erase(who);
    neighbours_.erase(who);
    rig_.disconnect(who);
  }

  void change_book(std::uint32_t who) {
    const PeerId id = peer_id(who);
    peers::PeerBook& book = rig_.book();
    const WallTime now = rig_.now().civil;
    switch (below(10)) {
      case 0: (void)book.keep(id, address(network_of(who), who), now); break;
      case 1: book.release(id); break;
      case 2: (void)book.pin(id, now); break;
      case 3: (void)book.ban(id, now + std::chrono::minutes(below(60)), "test", now); break;
      case 4: (void)book.unban(id, now); break;
      case 5: book.report(id, static_cast<peers::ReputationEvent>(below(6)), now); break;
      case 6: (void)book.remove(id); break;
      case 7: book.measured(id, std::chrono::milliseconds(below(256)), now); break;
      default: rig_.learn(who, network_of(who), static_cast<peers::Origin>(below(7))); break;
    }
    if (below(2) == 0) {
      rig_.manager().book_changed();
    } else {
      rig_.manager().book_changed(id);
    }
  }

  void end_dial(std::uint32_t who, bool success) {
    const auto found = dials_.find(who);
    if (found == dials_.end()) return;
    dials_.erase(found);
    // The connection is told before the end of the dial, after it, or is gone again by then.
    const bool news = success && linked_.insert(who).second;
    const bool before = below(2) == 0;
    if (news && before) rig_.connect(who, true);
    rig_.manager().dial_ended(peer_id(who), success, rig_.now());
    if (news && !before) rig_.connect(who, true);
  }

  bool is_exempt(std::uint32_t who) const {
    const auto protections = protections_.find(who);
    if (protections != protections_.end() && protections->second > 0) return true;
    if (neighbours_.contains(who) && config_.neighbours_max > 0) return true;
    const peers::Peer* known = book().find(peer_id(who));
    return known != nullptr && (known->kept || known->pinned);
  }
  const peers::PeerBook& book() const { return rig_.book(); }

  void act() {
    ConnectionManager& manager = rig_.manager();
    const Moment now = rig_.now();
    std::set<std::uint32_t> closed;
    std::size_t dials = 0;
    for (const ManagerAction& action : manager.next(now)) {
      if (const auto* dial = std::get_if<DialPeer>(&action)) {
        const std::uint32_t who = rig_.number_of(dial->peer);
        WARREN_CHECK(who != kSelf);
        WARREN_CHECK(!linked_.contains(who) && !dials_.contains(who));
        WARREN_CHECK(!dial->addresses.empty());
        WARREN_CHECK(!book().is_banned(dial->peer, now.civil));
        dials_.insert(who);
        ++dials;
        rig_.set_network(who, network_of(who));
      } else {
        const auto& close = std::get<ClosePeer>(action);
        const std::uint32_t who = rig_.number_of(close.peer);
        WARREN_CHECK(linked_.contains(who) && !leaving_.contains(who));
        WARREN_CHECK(close.why == LetGo::kBanned || !is_exempt(who));
        leaving_.insert(who);
        closed.insert(who);
      }
    }
    manager.check_invariants();
    WARREN_CHECK(manager.next(now).empty());
    WARREN_CHECK(manager.next_wake() > now.steady);
    check_counts(dials);
    for (const std::uint32_t who : closed) {
      if (below(4) == 0) continue;  // It takes its time to go.
      disconnect(who);
    }
  }

  void check_counts(std::size_t new_dials) {
    WARREN_CHECK(new_dials == 0 || dials_.size() <= config_.dials_max);
    std::size_t counted = 0;
    std::size_t connected = 0;
    for (const std::uint32_t who : linked_) {
      if (leaving_.contains(who)) continue;
      ++connected;
      if (!is_exempt(who)) ++counted;
    }
    WARREN_CHECK(rig_.manager().counts().connected == connected);
    WARREN_CHECK(rig_.manager().counts().dials == dials_.size());
    WARREN_CHECK(counted <= config_.max_peers);
  }

  BytesView input_;
  std::size_t at_ = 0;
  ManagerConfig config_;
  Rig rig_;
  std::set<std::uint32_t> linked_;
  std::set<std::uint32_t> leaving_;
  std::set<std::uint32_t> dials_;
  std::set<std::uint32_t> neighbours_;
  std::map<std::uint32_t, std::uint32_t> protections_;
};

}  // namespace warren::swarm::testing

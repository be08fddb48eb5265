#pragma once
// A network of whole nodes (node::Node) that have to find and to keep each other: bootstrap list,
// exchange, heartbeat, goodbye, connection manager and the store of peers, as the program has them,
// on the memory transport and the virtual clock. Each node stands in a /16 of memory ids.

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "attackers.hpp"
#include "cut_link.hpp"
#include "node/node.hpp"
#include "sim/world.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::sim {

struct KeepingOptions {
  std::size_t nodes = 200;
  /// The first ones: on the bootstrap list of all, and always there.
  std::size_t entries = 4;
  /// The nodes are spread over so many /16s at random.
  std::uint32_t networks = 100;
  swarm::ManagerConfig manager;

  std::size_t attackers = 0;
  std::uint32_t attacker_networks = 16;
  /// Every node is dialled by one more attacker each time.
  Duration attack_interval = 5s;
};

class KeepingNetwork {
 public:
  /// One machine, with a node on it or without.
  struct Resident {
    Host host = 0;
    std::uint64_t memory_id = 0;
    PeerId id;
    Multiaddr address;  ///< With /p2p.
    bool late = false;  ///< It came after the attack had begun.
    TimePoint since{};  ///< When its node was started last.
    std::unique_ptr<runtime::Runtime> runtime;
    std::unique_ptr<node::Node> node;  ///< Null: it is gone.
    /// Of one that is gone without a word: nothing there refuses a dial.
    std::unique_ptr<transport::Transport> ghost;
    std::unique_ptr<transport::Listener> ghost_listener;
  };

  KeepingNetwork(std::uint64_t seed, KeepingOptions options);
  ~KeepingNetwork();
  KeepingNetwork(const KeepingNetwork&) = delete;
  KeepingNetwork& operator=(const KeepingNetwork&) = delete;

  /// One node leaves, with a goodbye or without; one joins: a fresh one, or one that left, with its
  /// store.
  void churn();
  /// Hosts with odd and even numbers cannot reach each other any more, or can again.
  void partition();
  void heal();
  void start_attack();
  /// All nodes end at one moment without a word, and begin anew with what their stores have.
  void restart_all();

  std::vector<const Resident*> live() const;
  bool is_entry(const Resident& resident) const { return resident.host <= options_.entries; }
  std::size_t target() const { return options_.manager.target_peers; }
  /// Peers that it is connected to and that are there.
  std::size_t peers(const Resident& of) const;
  Duration up(const Resident& of) const { return world.now() - of.since; }
  /// Its outbound connections to the other half.
  std::size_t links_across(const Resident& of) const;
  /// The attackers' share of what it chose itself, or wants to choose at least. Whom it is about
  /// to let go does not count, as those that it only tried.
  double attackers_share(const Resident& of) const;
  void check_invariants() const;

  World world;

 private:
  Resident& add();
  void start(Resident& resident);
  void stop(const std::vector<Resident*>& who, bool goodbye);
  void attack(Host host);
  bool reaches(const Resident& from, const Resident& to) const;
  std::vector<PeerId> connected(const Resident& of) const;
  const Resident* find(const PeerId& id) const;
  Resident& any(const std::vector<Resident*>& of);

  KeepingOptions options_;
  std::filesystem::path folder_;
  std::shared_ptr<CutLink> link_;
  transport::memory::Hub hub_;
  std::vector<Multiaddr> entries_;
  std::vector<std::unique_ptr<Resident>> residents_;  ///< Of host n at n - 1.
  std::map<PeerId, Resident*> by_id_;
  std::unique_ptr<runtime::Runtime> nobody_;  ///< On which ghosts stand.
  std::unique_ptr<Attackers> attackers_;
  bool attack_ = false;
};

}  // namespace warren::sim

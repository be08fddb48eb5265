#pragma once
// Many identities of one attacker: each listens, answers pings, identify and exchange like a node,
// never leaves and is never full, and tells of nobody but other identities of his.

#include <memory>
#include <vector>

#include "peers/network_group.hpp"
#include "protocols/identify.hpp"
#include "runtime/task_group.hpp"
#include "sim/world.hpp"
#include "swarm/swarm.hpp"
#include "transport/memory/hub.hpp"

namespace warren::sim {

class Attackers {
 public:
  using awaitable = runtime::awaitable<void>;

  /// `count` identities that listen in `networks` /16s of memory ids. `world` and `hub` outlive it.
  Attackers(World& world, const transport::memory::Hub& hub, std::size_t count,
            std::uint32_t networks);
  ~Attackers();
  Attackers(const Attackers&) = delete;
  Attackers& operator=(const Attackers&) = delete;

  /// Whether `group` is one of its networks; nobody else is there.
  bool owns(const peers::NetworkGroup& group) const;
  /// One of those that are not connected to the peer at `target`, which has a /p2p, dials it.
  void approach(const Multiaddr& target);

 private:
  struct Identity {
    Multiaddr address;
    std::unique_ptr<swarm::Swarm> swarm;
    std::unique_ptr<protocols::IdentifyService> identify;
  };
  void add(const transport::memory::Hub& hub, std::uint64_t memory_id, std::size_t number);
  awaitable tell(swarm::ProtocolStream stream);
  awaitable dial(swarm::Swarm& swarm, Multiaddr target);
  awaitable close();

  World& world_;
  std::uint32_t networks_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::vector<Identity> identities_;
  std::vector<Bytes> records_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::sim

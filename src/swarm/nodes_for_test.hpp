#pragma once
// Whole nodes up to the swarm, on the memory transport and the simulated network.

#include <memory>

#include "base/check.hpp"
#include "sim/memory_link.hpp"
#include "sim/world.hpp"
#include "swarm/swarm.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::swarm::fakes {

struct Network {
  explicit Network(std::uint64_t seed)
      : world(seed), hub(std::make_shared<sim::MemoryLink>(world)) {
    world.link = {.latency_min = 10ms, .latency_max = 10ms};
  }
  sim::World world;
  transport::memory::Hub hub;
};

/// A node that listens at /memory/<host>.
struct Node {
  Node(Network& network, sim::Host host, SwarmConfig config = {})
      : runtime(network.world.make_runtime(host)),
        key(crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host)))),
        id(PeerId::from_public_key(key.public_key().protobuf())),
        address(Multiaddr::memory(host)),
        swarm(std::make_unique<Swarm>(*runtime, id, config)) {
    swarm->add_transport(std::make_unique<transport::memory::MemoryTransport>(
        *runtime, network.hub, key.public_key(), transport::memory::MemoryConfig{.node = host}));
    WARREN_CHECK(swarm->listen(address));
  }

  std::unique_ptr<runtime::Runtime> runtime;
  crypto::PrivateKey key;
  PeerId id;
  Multiaddr address;
  std::unique_ptr<Swarm> swarm;
};

}  // namespace warren::swarm::fakes

#pragma once
// One whole node on one host of the simulated world, on the memory transport.

#include <functional>
#include <memory>
#include <vector>

#include "node/node.hpp"
#include "node/testing/temporary_directory.hpp"
#include "sim/memory_link.hpp"
#include "sim/world.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::node::testing {

/// Not started.
struct SimHost {
  /// `adjust` may change the options. `key`: of the identity; 0: as the host.
  SimHost(sim::World& world, const transport::memory::Hub& hub, sim::Host host,
          std::vector<ListenAddress> listen,
          const std::function<void(NodeOptions&)>& adjust = [](NodeOptions&) {},
          std::uint8_t key_seed = 0)
      : runtime(world.make_runtime(host)) {
    const auto seed = key_seed == 0 ? static_cast<std::uint8_t>(host) : key_seed;
    const auto key = crypto::PrivateKey::from_seed(Bytes(32, seed));
    NodeOptions options;
    options.keeper.book.simulated = true;
    options.listen = std::move(listen);
    options.database = ":memory:";
    options.download_dir = folder.path() + "/got";
    adjust(options);
    node = std::make_unique<Node>(*runtime, key, std::move(options));
    node->add_transport(std::make_unique<transport::memory::MemoryTransport>(
        *runtime, hub, key.public_key(), transport::memory::MemoryConfig{.node = host}));
  }
  std::string address(std::uint64_t memory_id) const {
    return Multiaddr::memory(memory_id).with_peer(node->id()).to_string();
  }

  TemporaryDirectory folder;
  std::unique_ptr<runtime::Runtime> runtime;
  std::unique_ptr<Node> node;
};

}  // namespace warren::node::testing

#pragma once
// One whole node on the machine itself: runtime, limits, Node and transports, in the order in
// which they depend on each other. The program and the library both run one of these.

#include <cstdint>
#include <functional>
#include <memory>

#include "crypto/keys.hpp"
#include "node/config.hpp"
#include "node/node.hpp"
#include "node/paths.hpp"
#include "resources/manager.hpp"
#include "runtime/real_runtime.hpp"

namespace warren::node {

struct MachineOptions {
  /// Its folders must be there.
  Paths paths;
  Config config;
  /// How many files and sockets this process may have open.
  std::uint64_t descriptors_max = 1024;
  /// Set: may change what node_options() made of the configuration.
  std::function<void(NodeOptions&)> adjust;
};

/// Not started: the owner runs runtime(), and in it node().start() and node().stop(). Must not be
/// destroyed while tasks of it run.
class Machine {
 public:
  /// Errors: add_transports().
  static Result<std::unique_ptr<Machine>> make(const MachineOptions& options,
                                               const crypto::PrivateKey& identity);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  runtime::RealRuntime& runtime() { return runtime_; }
  resources::Manager& resources() { return resources_; }
  Node& node() { return node_; }

 private:
  Machine(const MachineOptions& options, const crypto::PrivateKey& identity);

  runtime::RealRuntime runtime_;
  resources::Manager resources_;
  Node node_;
};

}  // namespace warren::node

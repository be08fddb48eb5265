#pragma once
// Looks at the machine and at a node, and has the doctor's checks judge what was found.

#include <optional>
#include <string>
#include <vector>

#include "node/config.hpp"
#include "node/doctor.hpp"
#include "node/node.hpp"
#include "node/paths.hpp"
#include "runtime/runtime.hpp"

namespace warren::node {

/// What the doctor is to look at.
struct Patient {
  Paths paths;
  Config config;                        ///< In force.
  std::optional<Error> config_problem;  ///< Why the file is not.
  /// Null: no node runs, and what it would do is tried out instead.
  const Node* node = nullptr;
};

/// Every check there is but that of the daemon, in the order in which they are shown. Takes a few
/// seconds at most: it sends datagrams and waits for them. `runtime` and the node outlive the call.
/// Cancel: safe.
runtime::awaitable<std::vector<Check>> examine(runtime::Runtime& runtime, Patient patient);

// ------------------------------------------------------------------- parts, for tests and examine

/// Sends a datagram to a multicast group of its own on each interface that is up and has
/// multicast, and waits at most `time` for them to come back.
runtime::awaitable<std::vector<MulticastFacts>> probe_multicast(runtime::Runtime& runtime,
                                                                Duration time);
/// Tries out each address for a moment. Errors stand in the facts.
std::vector<PortFacts> probe_ports(runtime::Runtime& runtime,
                                   const std::vector<ListenAddress>& addresses);
Ipv6Facts look_at_ipv6(runtime::Runtime& runtime);
/// How many sockets in the text of /proc/net/udp have `port` and none of the `own` inodes.
std::size_t count_udp_sockets(std::string_view table, std::uint16_t port,
                              const std::vector<std::uint64_t>& own);

}  // namespace warren::node

#pragma once
// The transports of a node that runs on the machine, and what secures them.

#include "crypto/keys.hpp"
#include "node/config.hpp"
#include "node/node.hpp"
#include "transport/upgrade/upgrader.hpp"

namespace warren::node {

/// What secures byte streams, in the order in which a dialler proposes it: TLS, then Noise. TLS
/// costs less processor time where the processor has AES. Source: docs/decisions/0004.
/// `runtime` must outlive what is returned. Errors: kInternal when OpenSSL fails.
Result<transport::Upgrader::Securities> make_securities(runtime::Runtime& runtime,
                                                        const crypto::PrivateKey& identity);

/// What peers may make this node hold, by its configuration and the descriptors it may have.
limits::Resources resource_limits(const Config& config, std::uint64_t descriptors_max);

/// Gives `node` QUIC, TCP and WebSocket, which count what they hold in `resources`; it must outlive
/// the node. Errors: those of the libraries below.
Result<> add_transports(Node& node, runtime::Runtime& runtime, const crypto::PrivateKey& identity,
                        resources::Manager& resources);

}  // namespace warren::node

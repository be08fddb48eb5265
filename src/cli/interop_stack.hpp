#pragma once
// One transport with one security protocol, as tests against other programs ask for it.

#include <string_view>

#include "crypto/keys.hpp"
#include "swarm/swarm.hpp"

namespace warren::cli {

/// Gives `swarm` the one transport of `stack`: "quic-v1", "tcp+noise", "tcp+tls", "ws+noise",
/// "ws+tls"; the last four with Yamux. Returns where such a node listens at `ip`, with port 0.
/// Errors: kInvalidArgument (no such stack, no IP address); those of the transport.
Result<Multiaddr> add_interop_stack(swarm::Swarm& swarm, runtime::Runtime& runtime,
                                    const crypto::PrivateKey& key, std::string_view stack,
                                    std::string_view ip);

}  // namespace warren::cli

// Which transports and security protocols a stack of that name has.

#include <fmt/format.h>

#include "interop_node.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::interop {

Result<Multiaddr> add_stack(swarm::Swarm& swarm, runtime::Runtime& runtime,
                            const crypto::PrivateKey& key, std::string_view stack,
                            std::string_view ip) {
  if (stack == "quic-v1") {
    WARREN_TRY(auto quic, transport::quic::make_quic_transport(runtime, key));
    swarm.add_transport(std::move(quic));
    return Multiaddr::parse(fmt::format("/ip4/{}/udp/0/quic-v1", ip));
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("there is no stack {}", stack));
}

}  // namespace warren::interop

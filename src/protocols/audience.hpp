#pragma once
// Whom a protocol is served that costs much and is asked for by anyone: measurements, echoes.

#include <cstdint>

#include "transport/transport.hpp"

namespace warren::protocols {

enum class Audience : std::uint8_t {
  kNobody,
  kLocal,  ///< Peers at addresses that are not of the Internet: this machine, a LAN, a simulation.
  kAnyone,
};

/// Whether the peer at the other end belongs to `audience`.
inline bool belongs_to(const transport::Connection& connection, Audience audience) {
  if (audience != Audience::kLocal) return audience == Audience::kAnyone;
  const auto remote = connection.info().remote_address.endpoint();
  return !remote || remote->ip.is_loopback() || remote->ip.is_private() ||
         remote->ip.is_link_local();
}

}  // namespace warren::protocols

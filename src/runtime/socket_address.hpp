#pragma once
// Endpoint to and from the kernel's sockaddr.

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "base/endpoint.hpp"

namespace warren::runtime {

/// nullopt for families other than IPv4 and IPv6.
std::optional<Endpoint> endpoint_of(const sockaddr& address);
/// Fills `out` and returns the length used.
socklen_t fill_sockaddr(const Endpoint& endpoint, sockaddr_storage& out);

}  // namespace warren::runtime

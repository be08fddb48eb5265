#include "runtime/socket_address.hpp"

#include <algorithm>
#include <cstring>

namespace warren::runtime {

std::optional<Endpoint> endpoint_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&v4.sin_addr);
    return Endpoint{*IpAddress::from_bytes({raw, 4}), ntohs(v4.sin_port), 0};
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&v6.sin6_addr);
    const IpAddress ip = *IpAddress::from_bytes({raw, 16});
    return Endpoint{ip, ntohs(v6.sin6_port), ip.is_link_local() ? v6.sin6_scope_id : 0};
  }
  return std::nullopt;
}

socklen_t fill_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) {
  out = {};
  const BytesView raw = endpoint.ip.bytes();
  if (!endpoint.ip.is_v6()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, raw.data(), 4);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  v6.sin6_scope_id = endpoint.scope_id;
  std::memcpy(&v6.sin6_addr, raw.data(), 16);
  return sizeof v6;
}

}  // namespace warren::runtime

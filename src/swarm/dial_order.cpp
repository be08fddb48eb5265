#include "swarm/dial_order.hpp"

#include <algorithm>
#include <ranges>
#include <tuple>

namespace warren::swarm {
namespace {

using multiformats::Protocol;

enum class Scope : std::uint8_t { kLan, kMachine, kPublic, kRelay };
enum class Kind : std::uint8_t { kQuic, kTcp, kWebSocket, kOther };

Scope scope_of(const Multiaddr& address) {
  if (address.has(Protocol::kP2pCircuit)) return Scope::kRelay;
  if (address.memory_id()) return Scope::kMachine;
  const auto endpoint = address.endpoint();
  if (!endpoint) return Scope::kPublic;  // A DNS name.
  if (endpoint->ip.is_loopback()) return Scope::kMachine;
  return endpoint->ip.is_private() ? Scope::kLan : Scope::kPublic;
}

Kind kind_of(const Multiaddr& address) {
  if (address.has(Protocol::kQuicV1) || address.memory_id()) return Kind::kQuic;
  if (address.has(Protocol::kWs) || address.has(Protocol::kWss)) return Kind::kWebSocket;
  return address.has(Protocol::kTcp) ? Kind::kTcp : Kind::kOther;
}

auto rank(const Multiaddr& address) {
  const Scope scope = scope_of(address);
  const bool v6 = address.has(Protocol::kIp6);
  return std::tuple(scope, kind_of(address), scope == Scope::kPublic ? !v6 : v6);
}

}  // namespace

std::vector<DialCandidate> order_for_dialing(std::vector<Multiaddr> addresses, DialStagger stagger,
                                             std::size_t addresses_max) {
  std::vector<std::size_t> order(addresses.size());
  std::ranges::iota_view positions(std::size_t{0}, addresses.size());
  std::ranges::copy(positions, order.begin());
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(rank(addresses[i]), i); });
  std::vector<DialCandidate> ordered;
  for (const std::size_t i : order) {
    Multiaddr& address = addresses[i];
    if (ordered.size() == addresses_max) break;
    if (std::ranges::find(ordered, address, &DialCandidate::address) != ordered.end()) continue;
    Duration head_start{};
    if (!ordered.empty()) {
      const Scope before = scope_of(ordered.back().address);
      head_start = before == Scope::kLan || before == Scope::kMachine ? stagger.after_private
                                                                      : stagger.after_public;
    }
    ordered.push_back({std::move(address), head_start});
  }
  return ordered;
}

}  // namespace warren::swarm

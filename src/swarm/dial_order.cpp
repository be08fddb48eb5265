#include "swarm/dial_order.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <tuple>
#include <utility>

namespace warren::swarm {
namespace {

using multiformats::Protocol;

enum class Group : std::uint8_t { kPrivate, kPublic, kRelay };
enum class Kind : std::uint8_t { kQuic, kTcp, kWebSocket, kOther };

constexpr std::size_t kGroups = 3;

struct Ranked {
  Multiaddr address;
  Kind kind = Kind::kOther;
  bool v6 = false;
};

bool on_this_machine(const Multiaddr& address) {
  const auto endpoint = address.endpoint();
  return address.memory_id() || (endpoint && endpoint->ip.is_loopback());
}

Group group_of(const Multiaddr& address) {
  if (address.has(Protocol::kP2pCircuit)) return Group::kRelay;
  const auto endpoint = address.endpoint();
  const bool near = address.memory_id() || (endpoint && endpoint->ip.is_private());
  return near ? Group::kPrivate : Group::kPublic;
}

Kind kind_of(const Multiaddr& address) {
  if (address.has(Protocol::kQuicV1) || address.memory_id()) return Kind::kQuic;
  if (address.has(Protocol::kWs) || address.has(Protocol::kWss)) return Kind::kWebSocket;
  return address.has(Protocol::kTcp) ? Kind::kTcp : Kind::kOther;
}

/// Sorts by `key` and keeps the order of equals. Insertion: there are few.
/// std::ranges::stable_sort uses what this library itself declares deprecated.
template <class T, class Key>
void sort_stably(std::vector<T>& items, Key key) {
  for (auto item = items.begin(); item != items.end(); ++item) {
    const auto place = std::ranges::upper_bound(items.begin(), item, std::invoke(key, *item),
                                                std::ranges::less{}, key);
    std::rotate(place, item, item + 1);
  }
}

/// Of one kind the second place goes to the other IP version.
void alternate(std::vector<Ranked>& of_kind) {
  if (of_kind.size() < 3) return;
  const auto other = std::ranges::find(of_kind, !of_kind.front().v6, &Ranked::v6);
  if (other != of_kind.end()) std::rotate(of_kind.begin() + 1, other, other + 1);
}

/// Appends one group, which starts at `offset`.
void schedule(std::vector<Ranked> group, bool v6_first, Duration step, Duration offset,
              std::vector<DialCandidate>& out) {
  sort_stably(group, [&](const Ranked& ranked) {
    return std::tuple(ranked.kind, on_this_machine(ranked.address), ranked.v6 != v6_first);
  });
  std::array<std::vector<Ranked>, 4> kinds;
  for (Ranked& ranked : group) {
    kinds[static_cast<std::size_t>(ranked.kind)].push_back(std::move(ranked));
  }
  for (std::vector<Ranked>& of_kind : kinds) alternate(of_kind);
  // In steps: the first of each kind begins one after that of the kind before it, the second
  // one later, the rest one later still.
  std::vector<DialCandidate> all;
  int first_step = 0;
  for (std::vector<Ranked>& of_kind : kinds) {
    for (std::size_t i = 0; i < of_kind.size(); ++i) {
      const int at = first_step + std::min(static_cast<int>(i), 2);
      all.push_back({std::move(of_kind[i].address), offset + at * step});
    }
    if (!of_kind.empty()) ++first_step;
  }
  sort_stably(all, &DialCandidate::delay);
  std::ranges::move(all, std::back_inserter(out));
}

}  // namespace

std::vector<DialCandidate> order_for_dialing(std::vector<Multiaddr> addresses, DialStagger stagger,
                                             std::size_t addresses_max) {
  std::array<std::vector<Ranked>, kGroups> groups;
  for (Multiaddr& address : addresses) {
    std::vector<Ranked>& group = groups[static_cast<std::size_t>(group_of(address))];
    if (std::ranges::find(group, address, &Ranked::address) != group.end()) continue;
    const Kind kind = kind_of(address);
    const bool v6 = address.has(Protocol::kIp6);
    group.push_back({std::move(address), kind, v6});
  }
  auto& [near, far, relayed] = groups;
  const Duration far_offset = near.empty() ? Duration{} : stagger.step_private;
  const Duration relay_offset = near.empty() && far.empty() ? Duration{} : stagger.before_relay;
  std::vector<DialCandidate> ordered;
  schedule(std::move(near), false, stagger.step_private, Duration{}, ordered);
  schedule(std::move(far), true, stagger.step_public, far_offset, ordered);
  schedule(std::move(relayed), true, stagger.step_public, relay_offset, ordered);
  sort_stably(ordered, &DialCandidate::delay);
  if (ordered.size() > addresses_max) ordered.resize(addresses_max);
  return ordered;
}

}  // namespace warren::swarm

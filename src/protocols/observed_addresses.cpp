#include "protocols/observed_addresses.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace warren::protocols {
namespace {

using multiformats::Component;
using multiformats::Protocol;

constexpr std::size_t kGroupBytesV4 = 2;  // A /16.
constexpr std::size_t kGroupBytesV6 = 4;  // A /32, as a provider has it.

/// IP version and transport, "41/udp/461": what two addresses of one listener have in common.
/// Nothing for what is no IP address with a port, or goes over a relay.
std::optional<std::string> kind_of(const Multiaddr& address) {
  if (!address.endpoint() || address.has(Protocol::kP2pCircuit)) return std::nullopt;
  std::string kind;
  for (const Component& part : address.components()) {
    kind += fmt::format("/{}", static_cast<std::uint32_t>(part.protocol));
  }
  return kind;
}

std::string group_of(const IpAddress& ip) {
  const BytesView raw = ip.bytes();
  return std::string(as_text(raw.first(ip.is_v6() ? kGroupBytesV6 : kGroupBytesV4)));
}

/// Whether `local` is the end of a connection at one of our listeners.
bool is_listener(const Multiaddr& local, const std::vector<Multiaddr>& listening) {
  const auto end = local.endpoint();
  const auto kind = kind_of(local);
  return std::ranges::any_of(listening, [&](const Multiaddr& address) {
    if (kind_of(address) != kind) return false;
    const auto bound = address.endpoint();
    return bound->port == end->port && (bound->ip == end->ip || end->ip.is_unspecified());
  });
}

}  // namespace

bool ObservedAddresses::observe(const Observation& observation,
                                const std::vector<Multiaddr>& listening, TimePoint now) {
  const Multiaddr seen = observation.seen.without_peer();
  const Multiaddr local = observation.local.without_peer();
  const auto kind = kind_of(local);
  const auto observer = observation.observer_at.endpoint();
  if (!kind || kind_of(seen) != kind || !kind_of(observation.observer_at)) return false;
  const Endpoint seen_at = *seen.endpoint();
  // A peer in our LAN, or one that names a private address, says nothing about the Internet.
  if (observer->ip.is_private() || seen_at.ip.is_private()) return false;
  if (seen_at.ip.is_unspecified() || seen_at.ip.is_multicast() || seen_at.port == 0) return false;
  if (!is_listener(local, listening)) return false;
  std::map<Group, Vote>& of_kind = votes_[*kind];
  const Group group = group_of(observer->ip);
  if (!of_kind.contains(group) && of_kind.size() >= config_.votes_max) {
    of_kind.erase(
        std::ranges::min_element(of_kind, {}, [](const auto& entry) { return entry.second.at; }));
  }
  of_kind.insert_or_assign(group, Vote{seen, local, observation.observer, now});
  return count_votes(listening);
}

bool ObservedAddresses::expire(const std::function<bool(const PeerId&)>& connected,
                               const std::vector<Multiaddr>& listening, TimePoint now) {
  for (auto& [kind, of_kind] : votes_) {
    for (auto& [group, vote] : of_kind) {
      if (connected(vote.observer)) vote.at = now;
    }
    std::erase_if(of_kind, [&](const auto& entry) {
      const Vote& vote = entry.second;
      return !is_listener(vote.local, listening) || now >= vote.at + config_.window;
    });
  }
  std::erase_if(votes_, [](const auto& entry) { return entry.second.empty(); });
  return count_votes(listening);
}

TimePoint ObservedAddresses::next_expiry() const {
  TimePoint next = kNever;
  for (const auto& [kind, of_kind] : votes_) {
    for (const auto& [group, vote] : of_kind) next = std::min(next, vote.at + config_.window);
  }
  return next;
}

std::size_t ObservedAddresses::votes() const {
  std::size_t all = 0;
  for (const auto& [kind, of_kind] : votes_) all += of_kind.size();
  return all;
}

bool ObservedAddresses::count_votes(const std::vector<Multiaddr>& listening) {
  std::vector<Multiaddr> believed;
  for (const auto& [kind, of_kind] : votes_) {
    std::map<Multiaddr, std::size_t> counts;
    for (const auto& [group, vote] : of_kind) ++counts[vote.seen];
    std::vector<std::pair<std::size_t, Multiaddr>> ranked;
    for (const auto& [address, count] : counts) {
      const bool known = std::ranges::find(listening, address) != listening.end();
      if (count >= config_.groups_min && !known) ranked.emplace_back(count, address);
    }
    std::ranges::sort(ranked, std::ranges::greater{});
    if (ranked.size() > config_.believed_max) ranked.resize(config_.believed_max);
    for (auto& [count, address] : ranked) believed.push_back(std::move(address));
  }
  std::ranges::sort(believed);  // A change of votes alone is no news.
  const bool changed = believed != believed_;
  believed_ = std::move(believed);
  return changed;
}

}  // namespace warren::protocols

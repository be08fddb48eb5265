// Node: whom it knows and reaches.

#include <fmt/format.h>

#include <algorithm>

#include "node/escape.hpp"
#include "node/node.hpp"

namespace warren::node {
namespace {

/// Characters at the end of a peer id from which on it may stand for the whole.
constexpr std::size_t kIdTailMin = 6;

/// "lan/quic": where the other end is, and over which transport.
std::string path_of(const transport::ConnectionInfo& info) {
  const auto endpoint = info.remote_address.endpoint();
  const bool lan = !endpoint || endpoint->ip.is_private();
  const std::string_view transport = info.transport == "quic-v1" ? "quic" : info.transport;
  return fmt::format("{}/{}", lan ? "lan" : "wan", transport);
}

void add_once(std::vector<Multiaddr>& list, Multiaddr address) {
  if (std::ranges::find(list, address) == list.end()) list.push_back(std::move(address));
}

}  // namespace

PeerView Node::view_of(const PeerId& peer_id) const {
  PeerView view;
  view.peer = peer_id;
  const auto connections = swarm_.connections_to(peer_id);
  view.connected = !connections.empty();
  view.connections = connections.size();
  for (const auto& connection : connections) {
    const transport::ConnectionStats stats = connection->stats();
    view.bytes_received += stats.bytes_received;
    view.bytes_sent += stats.bytes_sent;
    view.streams_open += stats.streams_open;
    // The port that an inbound connection comes from need not be one that listens.
    if (connection->info().outbound) {
      add_once(view.addresses, connection->info().remote_address.with_peer(peer_id));
    }
  }
  if (view.connected) {
    view.path = path_of(connections.front()->info());
    const Duration rtt = connections.front()->stats().rtt;
    if (rtt > Duration::zero()) view.rtt = rtt;
  }
  if (const protocols::PeerIdentity* identity = identify_.find(peer_id)) {
    view.agent = identity->agent_version;
    view.protocols = identity->protocols;
    for (const Multiaddr& address : identity->listen_addresses) {
      add_once(view.addresses, address.with_peer(peer_id));
    }
  }
  if (const KnownPeer* known = keeper_.find(peer_id)) {
    view.via = known->via;
    if (known->connected) view.connected_for = runtime_.now() - known->since;
    for (const Multiaddr& address : known->addresses) {
      add_once(view.addresses, address.with_peer(peer_id));
    }
  }
  if (view.addresses.empty() && view.connected) {
    view.addresses.push_back(connections.front()->info().remote_address.with_peer(peer_id));
  }
  return view;
}

std::vector<PeerView> Node::peers() const {
  std::set<PeerId> connected;
  for (const auto& connection : swarm_.connections()) {
    connected.insert(connection->info().remote_peer);
  }
  std::vector<PeerView> views;
  for (const PeerId& peer : connected) views.push_back(view_of(peer));
  for (const auto& [peer, known] : keeper_.peers()) {
    if (!connected.contains(peer)) views.push_back(view_of(peer));
  }
  return views;
}

std::optional<PeerView> Node::peer(const PeerId& peer_id) const {
  if (keeper_.find(peer_id) == nullptr && !swarm_.is_connected(peer_id)) return std::nullopt;
  return view_of(peer_id);
}

Result<PeerId> Node::find_peer(std::string_view text) const {
  auto whole = PeerId::parse(text);
  if (whole) return whole;
  std::vector<PeerId> fitting;
  if (text.size() >= kIdTailMin) {
    for (const PeerView& view : peers()) {
      if (view.peer.to_string().ends_with(text)) fitting.push_back(view.peer);
    }
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.size() > 1) {
    return fail(ErrorCode::kConflict,
                fmt::format("{} known peers end in '{}'", fitting.size(), escape_for_display(text)),
                "write more of the peer id, as 'warren peers --json' shows it");
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is neither a peer id nor the end of one that is known",
                          escape_for_display(text, 80)),
              "'warren peers' lists the peers that are known");
}

awaitable<Result<PeerId>> Node::reach(std::string target, TimePoint deadline) {
  if (target.starts_with('/')) {
    WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(target));
    if (address.peer_id() == id()) {
      co_return fail(ErrorCode::kInvalidArgument, "that is the address of this node itself");
    }
    WARREN_CO_TRY(const auto connection, co_await swarm_.connect(address, deadline));
    co_return connection->info().remote_peer;
  }
  WARREN_CO_TRY(const PeerId peer, find_peer(target));
  if (peer == id()) co_return fail(ErrorCode::kInvalidArgument, "that is this node itself");
  if (swarm_.is_connected(peer)) co_return peer;
  const KnownPeer* known = keeper_.find(peer);
  if (known == nullptr || known->addresses.empty()) {
    co_return fail(
        ErrorCode::kNotFound, fmt::format("no address of peer {} is known", peer.to_string()),
        "give one: warren connect /ip4/ADDRESS/udp/PORT/quic-v1/p2p/" + peer.to_string());
  }
  std::vector<Multiaddr> addresses = known->addresses;
  // A person asks: the back-off of an earlier failure does not hold.
  WARREN_CO_TRY_VOID(
      co_await swarm_.connect(peer, std::move(addresses), deadline, swarm::Retry::kTryAll));
  co_return peer;
}

awaitable<Result<PeerId>> Node::connect(std::string target, TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, co_await reach(target, deadline));
  if (target.starts_with('/')) {
    WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(target));
    keeper_.keep(peer, address.without_peer(), runtime_.now());
  }
  co_return peer;
}

Result<PeerId> Node::disconnect(std::string_view text) {
  WARREN_TRY(const PeerId peer, find_peer(text));
  keeper_.leave(peer, runtime_.now());
  if (swarm_.disconnect(peer) == 0) {
    return fail(ErrorCode::kNotFound, fmt::format("peer {} is not connected", peer.to_string()),
                "'warren peers' lists the peers that are");
  }
  return peer;
}

awaitable<Result<std::unique_ptr<protocols::PingSession>>> Node::open_ping(PeerId peer,
                                                                           TimePoint deadline) {
  return protocols::PingSession::open(swarm_, std::move(peer), deadline);
}

awaitable<Result<protocols::PerfResult>> Node::perf(PeerId peer, std::uint64_t upload_bytes,
                                                    std::uint64_t download_bytes,
                                                    TimePoint deadline) {
  return protocols::run_perf(swarm_, std::move(peer), upload_bytes, download_bytes, deadline);
}

}  // namespace warren::node

// Node: whom it knows and reaches.

#include <fmt/format.h>

#include <algorithm>

#include "catalog/catalog_service.hpp"
#include "node/escape.hpp"
#include "node/key_text.hpp"
#include "node/node.hpp"

namespace warren::node {
namespace {

/// Characters at the end of a peer id from which on it may stand for the whole.
constexpr std::size_t kIdTailMin = 6;
/// A dialler is through its handshake before it hears that the other side does not want it: so long
/// a person waits for an answer to a first ping.
constexpr Duration kProveTimeMax = 3s;

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
  const auto [received_before, sent_before] = keeper_.bytes_before(peer_id);
  view.bytes_received += received_before;
  view.bytes_sent += sent_before;
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
  const WallTime now = keeper_.civil_now();
  const peers::PeerBook& book = keeper_.book();
  view.name = book.name_of(peer_id);
  view.reputation = book.score(peer_id, now);
  view.outbound = keeper_.manager().is_outbound(peer_id);
  view.score = view.connected ? keeper_.manager().score(peer_id, {runtime_.now(), now}) : 0;
  if (const auto since = keeper_.connected_since(peer_id)) {
    view.connected_for = runtime_.now() - *since;
  }
  if (const peers::Peer* known = book.find(peer_id)) {
    view.via = peers::origin_name(known->origin);
    view.kept = known->kept;
    view.pinned = known->pinned;
    view.anchor = known->anchor;
    view.first_seen = known->first_seen;
    view.last_seen = view.connected ? now : known->last_seen;
    if (book.is_banned(peer_id, now)) view.banned_until = known->banned_until;
    if (!view.rtt) view.rtt = known->latency;
    view.public_key = key_text(known->public_key);
    for (const peers::AddressEntry& entry : known->addresses) {
      add_once(view.addresses, entry.address.with_peer(peer_id));
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
  const WallTime now = keeper_.civil_now();
  for (const auto& [peer, known] : keeper_.book().all()) {
    if (connected.contains(peer)) continue;
    const bool of_interest = known.kept || known.pinned || keeper_.sightings().is_near(peer) ||
                             keeper_.book().is_banned(peer, now) ||
                             !keeper_.book().name_of(peer).empty();
    if (of_interest) views.push_back(view_of(peer));
  }
  return views;
}

std::vector<PeerView> Node::known_peers() const {
  std::vector<PeerView> views;
  for (const auto& [peer, known] : keeper_.book().all()) views.push_back(view_of(peer));
  return views;
}

std::optional<PeerView> Node::peer(const PeerId& peer_id) const {
  if (keeper_.book().find(peer_id) == nullptr && !swarm_.is_connected(peer_id)) {
    return std::nullopt;
  }
  return view_of(peer_id);
}

Result<PeerId> Node::find_peer(std::string_view text) const {
  auto whole = PeerId::parse(text);
  if (whole) return whole;
  if (const auto named = keeper_.book().find_name(text)) return *named;
  std::vector<PeerId> fitting;
  if (text.size() >= kIdTailMin) {
    for (const auto& [peer, known] : keeper_.book().all()) {
      if (peer.to_string().ends_with(text)) fitting.push_back(peer);
    }
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.size() > 1) {
    return fail(ErrorCode::kConflict,
                fmt::format("{} known peers end in '{}'", fitting.size(), escape_for_display(text)),
                "write more of the peer id, as 'warren peers --json' shows it");
  }
  return fail(
      ErrorCode::kNotFound,
      fmt::format("'{}' is neither a peer id, nor a name, nor the end of an id that is known",
                  escape_for_display(text, 80)),
      "'warren peers' lists the peers that are known");
}

awaitable<Result<PeerId>> Node::reach(std::string target, TimePoint deadline) {
  if (target.starts_with('/')) {
    WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(target));
    if (address.peer_id() == id()) {
      co_return fail(ErrorCode::kInvalidArgument, "that is the address of this node itself");
    }
    if (const auto named = address.peer_id()) keeper_.come_back(*named);
    WARREN_CO_TRY(const PeerKeeper::Reached reached, co_await keeper_.dial(address, deadline));
    keeper_.come_back(reached.peer);
    // A person named the address: that is how the peer is known, if no source told of it.
    if (manual_ != nullptr) manual_->add(reached.peer, address, runtime_.now());
    co_return reached.peer;
  }
  WARREN_CO_TRY(const PeerId peer, find_peer(target));
  if (peer == id()) co_return fail(ErrorCode::kInvalidArgument, "that is this node itself");
  keeper_.come_back(peer);
  co_return co_await keeper_.dial(peer, deadline);
}

awaitable<Result<>> Node::prove(PeerId peer, TimePoint deadline) {
  auto session = co_await open_ping(peer, deadline);
  if (session) {
    const auto round_trip = co_await (*session)->ping(deadline);
    if (round_trip) co_return Result<>{};
  }
  // It need not answer pings; but if it does not want us, it is gone by now.
  if (swarm_.is_connected(peer)) co_return Result<>{};
  co_return fail(ErrorCode::kDenied,
                 fmt::format("peer {} has closed the connection at once", peer.to_string()),
                 "it may have banned this node, or have been told by hand to leave it alone");
}

awaitable<Result<PeerId>> Node::connect(std::string target, TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, co_await reach(target, deadline));
  WARREN_CO_TRY_VOID(co_await prove(peer, std::min(deadline, runtime_.now() + kProveTimeMax)));
  WARREN_CO_TRY_VOID(remember(peer, target));
  WARREN_CO_TRY_VOID(co_await keeper_.flush());
  co_return peer;
}

Result<> Node::remember(const PeerId& peer, const std::string& target) {
  std::optional<Multiaddr> address;
  if (target.starts_with('/')) {
    WARREN_TRY(address, Multiaddr::parse(target));
    address = address->without_peer();
  }
  return keeper_.keep(peer, address);
}

awaitable<Result<PeerId>> Node::add_peer(AddPeer what, TimePoint deadline) {
  std::optional<PeerId> expected;
  if (!what.expected_key.empty()) {
    WARREN_CO_TRY(expected, parse_key(what.expected_key));
  }
  if (!what.name.empty()) {
    if (const auto tied = keeper_.book().find_name(what.name)) {
      if (expected && *expected != *tied) {
        co_return fail(
            ErrorCode::kDenied,
            fmt::format("the name '{}' is tied to the key of {}, not to that of {}",
                        escape_for_display(what.name), tied->to_string(), expected->to_string()),
            "choose another name, or forget the old one: warren peers remove " + tied->to_string());
      }
      expected = tied;
    }
  }
  std::string target = what.address;
  if (target.starts_with('/')) {
    WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(target));
    const auto named = address.peer_id();
    if (expected && named && *named != *expected) co_return fail(other_key(*expected, *named));
    if (!named && expected) {
      // Whoever answers, so that the refusal can say who it was.
      WARREN_CO_TRY_VOID(co_await expect_key(address, *expected, deadline));
      target = address.with_peer(*expected).to_string();
    }
  } else if (expected) {
    WARREN_CO_TRY(const PeerId named, find_peer(target));
    if (named != *expected) co_return fail(other_key(*expected, named));
  }
  WARREN_CO_TRY(const PeerId peer, co_await reach(target, deadline));
  WARREN_CO_TRY_VOID(co_await prove(peer, std::min(deadline, runtime_.now() + kProveTimeMax)));
  if (!what.name.empty()) WARREN_CO_TRY_VOID(keeper_.book().tie_name(what.name, peer));
  WARREN_CO_TRY_VOID(remember(peer, target));
  if (!what.expected_key.empty()) {
    WARREN_CO_TRY_VOID(keeper_.book().pin(peer, keeper_.civil_now()));
    if (catalog_) catalog_->peer_changed(peer);
  }
  WARREN_CO_TRY_VOID(co_await keeper_.flush());
  co_return peer;
}

/// Dials `address` and refuses whoever is not `expected`.
awaitable<Result<>> Node::expect_key(Multiaddr address, PeerId expected, TimePoint deadline) {
  WARREN_CO_TRY(const PeerKeeper::Reached found,
                co_await keeper_.dial(std::move(address), deadline));
  if (found.peer == expected) co_return Result<>{};
  // What was there before for another reason stays.
  if (found.fresh) keeper_.turn_away(found.peer);
  co_return fail(other_key(expected, found.peer));
}

awaitable<Result<PeerId>> Node::disconnect(std::string text) {
  WARREN_CO_TRY(const PeerId peer, find_peer(text));
  const peers::Peer* known = keeper_.book().find(peer);
  const bool was_kept = known != nullptr && known->kept;
  if (!was_kept && !swarm_.is_connected(peer)) {
    co_return fail(ErrorCode::kNotFound, fmt::format("peer {} is not connected", peer.to_string()),
                   "'warren peers' lists the peers that are");
  }
  if (manual_ != nullptr) manual_->remove(peer, runtime_.now());
  keeper_.leave(peer);
  WARREN_CO_TRY_VOID(co_await keeper_.flush());
  co_return peer;
}

awaitable<Result<PeerId>> Node::remove_peer(std::string text) {
  WARREN_CO_TRY(const PeerId peer, find_peer(text));
  WARREN_CO_TRY_VOID(keeper_.remove(peer));
  if (catalog_) catalog_->peer_changed(peer);
  if (manual_ != nullptr) manual_->remove(peer, runtime_.now());
  WARREN_CO_TRY_VOID(co_await keeper_.flush());
  co_return peer;
}

awaitable<Result<peers::Ban>> Node::ban(std::string who, std::optional<Duration> how_long,
                                        std::string reason) {
  peers::Ban ban{.who = PeerId(), .until = WallTime::max(), .reason = reason};
  if (how_long) ban.until = keeper_.civil_now() + *how_long;
  if (const auto prefix = resources::Prefix::parse(who)) {
    ban.who = *prefix;
    WARREN_CO_TRY_VOID(keeper_.ban(*prefix, ban.until, std::move(reason)));
  } else {
    WARREN_CO_TRY(const PeerId peer, find_peer(who));
    ban.who = peer;
    WARREN_CO_TRY_VOID(keeper_.ban(peer, ban.until, std::move(reason)));
  }
  WARREN_CO_TRY_VOID(co_await keeper_.flush());
  co_return ban;
}

awaitable<Result<>> Node::unban(std::string who) {
  if (const auto prefix = resources::Prefix::parse(who)) {
    WARREN_CO_TRY_VOID(keeper_.unban(*prefix));
  } else {
    WARREN_CO_TRY(const PeerId peer, find_peer(who));
    WARREN_CO_TRY_VOID(keeper_.unban(peer));
  }
  co_return co_await keeper_.flush();
}

std::vector<peers::Ban> Node::bans() const { return keeper_.book().bans(keeper_.civil_now()); }

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

#include "swarm/swarm.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/log.hpp"
#include "swarm/dialer.hpp"
#include "swarm/links.hpp"

namespace warren::swarm {
namespace {

// A listener that fails for another reason than its end is asked again after this time.
constexpr Duration kAcceptRetryTime = 100ms;
// Listeners and short tasks of the swarm itself, beside those of connections.
constexpr std::size_t kOwnTasksMax = 64;

/// One for each inbound stream, and for each connection that takes streams in and for what tidies
/// up after it.
std::size_t tasks_max(const limits::Resources& limits) {
  return limits.node.streams_inbound + limits.allowed.streams_inbound +
         2 * (limits.node.connections + limits.allowed.connections) + kOwnTasksMax;
}

std::unique_ptr<resources::Manager> make_resources(runtime::Runtime& runtime,
                                                   const SwarmConfig& config) {
  if (config.resources != nullptr) return nullptr;
  resources::Manager::Options options;
  options.limits.with_connections(config.limits.connections_max);
  options.limits.connection.streams_inbound = config.limits.streams_inbound_max;
  return std::make_unique<resources::Manager>([&runtime] { return runtime.now(); },
                                              std::move(options));
}

/// Every address of this machine that `bound` listens on.
void expand(runtime::Runtime& runtime, const Multiaddr& bound, std::vector<Multiaddr>& out) {
  const auto endpoint = bound.endpoint();
  const bool known = bound.is_quic() || bound.is_tcp();
  if (!endpoint || !endpoint->ip.is_unspecified() || !known) {
    out.push_back(bound);
    return;
  }
  const auto interfaces = runtime.network_interfaces();
  if (!interfaces) {
    log::warn("swarm", "no interfaces are known: {}", interfaces.error().message());
    return;
  }
  for (const runtime::NetworkInterface& interface : *interfaces) {
    if (!interface.up) continue;
    for (const IpAddress& ip : interface.addresses) {
      if (ip.is_v6() != endpoint->ip.is_v6() || (ip.is_v6() && ip.is_link_local())) continue;
      const Endpoint here{ip, endpoint->port, 0};
      out.push_back(bound.is_quic() ? Multiaddr::quic(here) : Multiaddr::tcp(here));
    }
  }
}

}  // namespace

Swarm::Swarm(runtime::Runtime& runtime, PeerId local_peer, SwarmConfig config)
    : runtime_(runtime),
      local_peer_(std::move(local_peer)),
      config_(config),
      own_resources_(make_resources(runtime, config)),
      resources_(own_resources_ ? own_resources_.get() : config.resources),
      dialer_(std::make_unique<Dialer>(
          runtime, config_,
          Dialer::Hooks{[this](const Multiaddr& address) { return transport_for(address); },
                        [this](std::shared_ptr<Connection> connection) {
                          return adopt(std::move(connection));
                        }})),
      tasks_(runtime, tasks_max(resources_->limits())) {}

Swarm::~Swarm() = default;

void Swarm::add_transport(std::unique_ptr<transport::Transport> transport) {
  transports_.push_back(std::move(transport));
}

transport::Transport* Swarm::transport_for(const Multiaddr& address) const {
  for (const auto& transport : transports_) {
    if (transport->can_dial(address)) return transport.get();
  }
  return nullptr;
}

// ------------------------------------------------------------------------------- listening

Result<Multiaddr> Swarm::listen(const Multiaddr& address) {
  if (closing_) return fail(ErrorCode::kClosed, "the node is shutting down");
  if (listeners_.size() >= kOwnTasksMax / 2) {
    return fail(ErrorCode::kLimited,
                fmt::format("{} listeners are open, the most allowed", listeners_.size()));
  }
  for (const auto& transport : transports_) {
    if (!transport->can_listen(address)) continue;
    WARREN_TRY(std::shared_ptr<transport::Listener> listener, transport->listen(address));
    Multiaddr bound = listener->address();
    if (!tasks_.spawn(accept_connections(listener))) {
      return fail(ErrorCode::kLimited, "too many tasks of the swarm are running");
    }
    listeners_.push_back(std::move(listener));
    post_protocols_changed();
    return bound;
  }
  return fail(ErrorCode::kUnsupported,
              fmt::format("cannot listen on {}: no transport for it", address.to_string()),
              "listen addresses look like /ip4/0.0.0.0/udp/4001/quic-v1");
}

Result<> Swarm::unlisten(const Multiaddr& bound) {
  const auto found = std::ranges::find_if(
      listeners_, [&](const auto& listener) { return listener->address() == bound; });
  if (found == listeners_.end()) {
    return fail(ErrorCode::kNotFound, fmt::format("nobody listens on {}", bound.to_string()));
  }
  (*found)->close();  // Its accept loop ends by that.
  listeners_.erase(found);
  post_protocols_changed();
  return {};
}

std::vector<Multiaddr> Swarm::listen_addresses() const {
  std::vector<Multiaddr> all;
  for (const auto& listener : listeners_) expand(runtime_, listener->address(), all);
  std::vector<Multiaddr> once;
  for (Multiaddr& address : all) {
    if (std::ranges::find(once, address) == once.end()) once.push_back(std::move(address));
  }
  return once;
}

awaitable<void> Swarm::accept_connections(std::shared_ptr<transport::Listener> listener) {
  for (;;) {
    auto connection = co_await listener->accept();
    if (connection) {
      const auto adopted = adopt(std::move(*connection));
      if (!adopted) log::debug("swarm", "inbound refused: {}", adopted.error().message());
      continue;
    }
    const ErrorCode code = connection.error().code();
    if (code == ErrorCode::kClosed || code == ErrorCode::kCancelled) co_return;
    log::warn("swarm", "{}: {}", listener->address().to_string(), connection.error().message());
    const auto slept = co_await runtime_.sleep_for(kAcceptRetryTime);
    if (!slept) co_return;
  }
}

// ----------------------------------------------------------------------------- connections

/// Enters a connection into the table and serves its streams; closes it at a limit.
Result<std::shared_ptr<Connection>> Swarm::adopt(std::shared_ptr<Connection> connection) {
  const transport::ConnectionInfo& info = connection->info();
  const auto refuse = [&](CloseCode close_code, ErrorCode code, std::string why) {
    connection->close(close_code, why);
    if (!info.outbound) ++counted_.connections_refused;
    return fail(code, std::move(why));
  };
  if (closing_) {
    return refuse(CloseCode::kNone, ErrorCode::kClosed, "the node is shutting down");
  }
  if (connection->closed()) {
    return fail(ErrorCode::kClosed,
                fmt::format("the connection to {} ended at once: {}", info.remote_peer.to_string(),
                            connection->close_reason()));
  }
  if (info.remote_peer == local_peer_) {
    return refuse(CloseCode::kNone, ErrorCode::kInvalidArgument,
                  fmt::format("{} leads to this node itself", info.remote_address.to_string()));
  }
  if (gate_) {
    if (auto wanted = gate_(info.remote_peer, info.remote_address, info.outbound); !wanted) {
      return refuse(CloseCode::kGated, wanted.error().code(), wanted.error().message());
    }
  }
  const auto known = links_.find(info.remote_peer);
  const std::size_t of_peer = known == links_.end() ? 0 : known->second.size();
  if (of_peer >= config_.limits.connections_per_peer_max && of_peer > 0) {
    // A peer that was restarted comes back while its old connections have not timed out yet. It has
    // proven who it is, so it can only replace its own.
    const LinkPtr oldest = known->second.front();
    oldest->connection->close(CloseCode::kSupplanted, "replaced by a newer connection");
    drop(oldest);
  }
  auto link = std::make_shared<Link>();
  link->connection = connection;
  link->since = runtime_.now();
  if (auto counted = count(*link); !counted) {
    return refuse(CloseCode::kResourceLimit, counted.error().code(), counted.error().message());
  }
  std::vector<LinkPtr>& of = links_[info.remote_peer];
  of.push_back(link);
  ++links_count_;
  dialer_->heard_from(info.remote_peer);
  post({ConnectionEvent::Kind::kConnected, connection, of.size() == 1});
  if (!tasks_.spawn(accept_streams(link))) {
    drop(link);
    return refuse(CloseCode::kResourceLimit, ErrorCode::kLimited, "too many streams are served");
  }
  // Refused only while closing, and then nothing needs to be tidied up.
  if (was_dialled_from_both_sides(*link)) (void)tasks_.spawn(retire_spare(info.remote_peer));
  return connection;
}

/// Finds where the connection is counted, or counts it here: a transport without IP addresses does
/// not.
Result<> Swarm::count(Link& link) {
  link.scope = link.connection->scope();
  if (link.scope != nullptr && link.scope->belongs_to(*resources_)) return {};
  const transport::ConnectionInfo& info = link.connection->info();
  const Endpoint remote = info.remote_address.endpoint().value_or(Endpoint{});
  const auto direction =
      info.outbound ? resources::Direction::kOutbound : resources::Direction::kInbound;
  WARREN_TRY(link.own_scope,
             resources_->open_connection(direction, remote, false, info.remote_peer));
  WARREN_TRY_VOID(link.own_scope->set_peer(info.remote_peer));
  link.scope = link.own_scope.get();
  return {};
}

resources::ConnectionScope* Swarm::scope_of(const std::shared_ptr<Connection>& connection) const {
  const auto found = links_.find(connection->info().remote_peer);
  if (found == links_.end()) return nullptr;
  for (const LinkPtr& link : found->second) {
    if (link->connection == connection) return link->scope;
  }
  return nullptr;
}

// ------------------------------------------------------------------- dialled from both sides

bool Swarm::was_dialled_from_both_sides(const Link& link) const {
  const auto of = links_.find(link.connection->info().remote_peer);
  return of != links_.end() && std::ranges::any_of(of->second, [&](const LinkPtr& other) {
           return other.get() != &link && other->is_twin_of(link);
         });
}

/// Closes what nobody prefers of two connections that were dialled at the same time, once it is
/// without streams. Both sides prefer the same one, so no new stream comes to the other.
awaitable<void> Swarm::retire_spare(PeerId peer) {
  for (;;) {
    const auto slept = co_await runtime_.sleep_for(kSpareTime);
    if (!slept) co_return;
    const auto found = links_.find(peer);
    if (found == links_.end()) co_return;
    const std::vector<LinkPtr> of = found->second;
    bool busy = false;
    for (const LinkPtr& spare : of) {
      const bool beaten = std::ranges::any_of(of, [&](const LinkPtr& other) {
        return other != spare && !other->connection->closed() && other->is_twin_of(*spare) &&
               other->better_than(*spare);
      });
      if (!beaten) continue;
      if (spare->scope->usage().streams() > 0 || spare->connection->stats().streams_open > 0) {
        busy = true;
        continue;
      }
      spare->connection->close(CloseCode::kSupplanted, "another connection to this peer is used");
      drop(spare);
    }
    if (!busy) co_return;
  }
}

/// Takes the connection out of the table. Does nothing the second time.
void Swarm::drop(const LinkPtr& link) {
  if (std::exchange(link->dropped, true)) return;
  const auto found = links_.find(link->connection->info().remote_peer);
  std::erase(found->second, link);
  --links_count_;
  if (link->own_scope) link->own_scope->end();
  const bool last = found->second.empty();
  if (last) links_.erase(found);
  post({ConnectionEvent::Kind::kDisconnected, link->connection, last});
}

Swarm::LinkPtr Swarm::preferred(const PeerId& peer) const {
  const auto found = links_.find(peer);
  if (found == links_.end()) return nullptr;
  LinkPtr best;
  for (const LinkPtr& link : found->second) {
    if (link->connection->closed()) continue;  // Its accept loop has not run yet.
    if (!best || link->better_than(*best)) best = link;
  }
  return best;
}

std::vector<std::shared_ptr<Connection>> Swarm::connections() const {
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [peer, of] : links_) {
    for (const LinkPtr& link : of) all.push_back(link->connection);
  }
  return all;
}

std::vector<std::shared_ptr<Connection>> Swarm::connections_to(const PeerId& peer) const {
  std::vector<std::shared_ptr<Connection>> all;
  const LinkPtr first = preferred(peer);
  if (!first) return all;
  all.push_back(first->connection);
  const std::vector<LinkPtr>& of = links_.at(peer);
  for (auto link = of.rbegin(); link != of.rend(); ++link) {
    if (*link != first && !(*link)->connection->closed()) all.push_back((*link)->connection);
  }
  return all;
}

bool Swarm::is_connected(const PeerId& peer) const { return preferred(peer) != nullptr; }

std::size_t Swarm::disconnect(const PeerId& peer, CloseCode code, std::string_view why) {
  const auto found = links_.find(peer);
  if (found == links_.end()) return 0;
  const std::vector<LinkPtr> of = found->second;
  for (const LinkPtr& link : of) {
    link->connection->close(code, why);
    drop(link);
  }
  return of.size();
}

awaitable<Result<std::shared_ptr<Connection>>> Swarm::connect(PeerId peer,
                                                              std::vector<Multiaddr> addresses,
                                                              TimePoint deadline, Retry retry) {
  if (peer == local_peer_) {
    co_return fail(ErrorCode::kInvalidArgument,
                   fmt::format("{} is this node itself", peer.to_string()));
  }
  if (const LinkPtr there = preferred(peer)) co_return there->connection;
  if (gate_) {
    // Addresses are asked about one by one: the peer may have others.
    std::optional<Error> refused;
    std::erase_if(addresses, [&](const Multiaddr& address) {
      auto wanted = gate_(peer, address, true);
      if (!wanted) refused = std::move(wanted).error();
      return !wanted;
    });
    if (addresses.empty() && refused) co_return fail(*std::move(refused));
  }
  auto dialed = co_await dialer_->dial(peer, std::move(addresses), retry, deadline);
  if (dialed || dialed.error().code() == ErrorCode::kCancelled) co_return dialed;
  // The peer may have come to us meanwhile.
  if (const LinkPtr there = preferred(peer)) co_return there->connection;
  co_return dialed;
}

awaitable<Result<std::shared_ptr<Connection>>> Swarm::connect(Multiaddr address,
                                                              TimePoint deadline) {
  std::optional<PeerId> peer = address.peer_id();
  if (peer && *peer == local_peer_) {
    co_return fail(ErrorCode::kInvalidArgument,
                   fmt::format("{} leads to this node itself", address.to_string()));
  }
  if (peer) {
    if (const LinkPtr there = preferred(*peer)) co_return there->connection;
    if (gate_) WARREN_CO_TRY_VOID(gate_(*peer, address, true));
  }
  std::vector<Multiaddr> addresses;
  addresses.push_back(std::move(address));
  co_return co_await dialer_->dial(std::move(peer), std::move(addresses), Retry::kTryAll, deadline);
}

// ---------------------------------------------------------------------------------- events

void Swarm::on_connection(EventListener listener) {
  event_listeners_.push_back(std::move(listener));
}

void Swarm::on_protocols_changed(std::function<void()> listener) {
  protocol_listeners_.push_back(std::move(listener));
}

void Swarm::post(ConnectionEvent event) {
  if (event_listeners_.empty()) return;
  events_.push_back(std::move(event));
  start_delivery();
}

void Swarm::post_protocols_changed() {
  if (protocol_listeners_.empty()) return;
  protocols_changed_ = true;
  start_delivery();
}

void Swarm::start_delivery() {
  if (delivering_) return;
  delivering_ = true;
  // Refused only while closing, which delivers by itself.
  if (!tasks_.spawn(deliver_events())) delivering_ = false;
}

awaitable<void> Swarm::deliver_events() {
  // By way of the executor: a task of a group never starts inside spawn().
  deliver_all();
  delivering_ = false;
  co_return;
}

void Swarm::deliver_all() {
  while (!events_.empty() || protocols_changed_) {
    if (std::exchange(protocols_changed_, false)) {
      for (std::size_t i = 0; i < protocol_listeners_.size(); ++i) protocol_listeners_[i]();
      continue;
    }
    const ConnectionEvent event = std::move(events_.front());
    events_.pop_front();
    // A listener may add another one.
    for (std::size_t i = 0; i < event_listeners_.size(); ++i) event_listeners_[i](event);
  }
}

SwarmStats Swarm::stats() const {
  SwarmStats all = counted_;
  all.connections = links_count_;
  all.streams_inbound = resources_->total().of(resources::Resource::kStreamsInbound);
  all.dials = dialer_->dials();
  all.tasks_failed = tasks_.failed_count() + dialer_->tasks_failed();
  return all;
}

awaitable<void> Swarm::close() {
  closing_ = true;
  for (const auto& listener : listeners_) listener->close();
  co_await dialer_->close();
  while (!links_.empty()) {
    const LinkPtr link = links_.begin()->second.front();
    link->connection->close(CloseCode::kShutdown, "the node is shutting down");
    drop(link);
  }
  co_await tasks_.join();
  listeners_.clear();
  for (const auto& transport : transports_) co_await transport->close();
  deliver_all();
}

}  // namespace warren::swarm

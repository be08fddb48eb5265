#include "resources/manager.hpp"

#include <fmt/core.h>

#include <numeric>

#include "base/check.hpp"
#include "resources/core.hpp"

namespace warren::resources {

using detail::Chain;
using detail::Core;
using detail::Scope;

std::uint64_t Snapshot::refused_total() const {
  return std::accumulate(refused.begin(), refused.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Refusals& some) { return sum + some.count; });
}

// ----------------------------------------------------------------------------------- memory

namespace {

Result<> charge_memory(Scope& scope, std::size_t bytes, Need need) {
  const std::string& who = scope.kind == ScopeKind::kStream ? scope.connection->who : scope.who;
  auto charged = scope.core->charge(Chain(scope).scopes(), detail::memory(bytes), need, who);
  if (charged) scope.core->note_peak();
  return charged;
}

void uncharge_memory(Scope& scope, std::size_t bytes) {
  scope.core->uncharge(Chain(scope).scopes(), detail::memory(bytes));
}

}  // namespace

MemoryScope::MemoryScope(std::shared_ptr<Scope> scope) : scope_(std::move(scope)) {}

MemoryScope::~MemoryScope() { uncharge_memory(*scope_, own_bytes_); }

Result<> MemoryScope::reserve_memory(std::size_t bytes, Need need) {
  if (ended_) return fail(ErrorCode::kClosed, "the connection has ended");
  WARREN_TRY_VOID(charge_memory(*scope_, bytes, need));
  own_bytes_ += bytes;
  return {};
}

void MemoryScope::release_memory(std::size_t bytes) {
  if (ended_) return;
  WARREN_CHECK(bytes <= own_bytes_);
  own_bytes_ -= bytes;
  uncharge_memory(*scope_, bytes);
}

Result<MemoryReservation> MemoryScope::reserve(std::size_t bytes, Need need) {
  WARREN_TRY_VOID(charge_memory(*scope_, bytes, need));
  return MemoryReservation(scope_, bytes);
}

Usage MemoryScope::usage() const { return scope_->usage; }

MemoryReservation::MemoryReservation(std::shared_ptr<Scope> scope, std::size_t bytes)
    : scope_(std::move(scope)), bytes_(bytes) {}

MemoryReservation::MemoryReservation(MemoryReservation&& other) noexcept
    : scope_(std::move(other.scope_)), bytes_(std::exchange(other.bytes_, 0)) {}

MemoryReservation& MemoryReservation::operator=(MemoryReservation&& other) noexcept {
  if (this == &other) return *this;
  shrink(bytes_);
  scope_ = std::move(other.scope_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

Result<> MemoryReservation::grow(std::size_t bytes, Need need) {
  WARREN_CHECK(scope_ != nullptr);
  WARREN_TRY_VOID(charge_memory(*scope_, bytes, need));
  bytes_ += bytes;
  return {};
}

void MemoryReservation::shrink(std::size_t bytes) {
  WARREN_CHECK(bytes <= bytes_);
  if (bytes == 0) return;
  bytes_ -= bytes;
  uncharge_memory(*scope_, bytes);
}

// ---------------------------------------------------------------------------------- streams

StreamScope::StreamScope(std::shared_ptr<Scope> scope) : MemoryScope(std::move(scope)) {}

StreamScope::~StreamScope() {
  scope_->core->uncharge(Chain(*scope_).scopes(), detail::one_stream(scope_->direction));
}

Result<> StreamScope::set_protocol(std::string_view protocol) {
  Scope& scope = *scope_;
  WARREN_CHECK(scope.protocol == nullptr);
  const std::string name(protocol);
  auto of_all = scope.core->protocol_scope(name);
  auto of_peer = scope.core->protocol_peer_scope(name, scope.connection->peer->peer_id);
  const std::array<Scope*, 2> both = {of_peer.get(), of_all.get()};
  WARREN_TRY_VOID(scope.core->charge(both, scope.usage, Need::kNecessary, scope.connection->who));
  scope.protocol = std::move(of_all);
  scope.protocol_peer = std::move(of_peer);
  return {};
}

// ------------------------------------------------------------------------------ connections

ConnectionScope::ConnectionScope(std::shared_ptr<Scope> scope, bool uses_descriptor)
    : MemoryScope(std::move(scope)), uses_descriptor_(uses_descriptor) {}

ConnectionScope::~ConnectionScope() { end(); }

void ConnectionScope::end() {
  if (ended_) return;
  release_memory(own_bytes_);
  ended_ = true;
  scope_->core->uncharge(Chain(*scope_).scopes(),
                         detail::one_connection(scope_->direction, uses_descriptor_));
  scope_->core->sources.leave(scope_->ticket);
}

Result<> ConnectionScope::set_peer(const PeerId& peer) {
  Scope& scope = *scope_;
  Core& core = *scope.core;
  WARREN_CHECK(scope.peer == nullptr);
  const std::string who = fmt::format("of {}", peer.to_string());
  auto of_peer = core.peer_scope(peer);
  // Where it overflowed already as it was opened it stays.
  Scope* to = scope.pool == &core.allowed ? &core.allowed : &core.node;
  const bool may_overflow = scope.on_allowed_prefix || core.is_allowed(peer);
  if (may_overflow && to == &core.node && !core.fits(core.node, scope.usage)) to = &core.allowed;
  if (to == scope.pool) {
    const std::array<Scope*, 1> into = {of_peer.get()};
    WARREN_TRY_VOID(core.charge(into, scope.usage, Need::kNecessary, who));
  } else {
    const std::array<Scope*, 2> into = {of_peer.get(), to};
    WARREN_TRY_VOID(core.charge(into, scope.usage, Need::kNecessary, who));
    const std::array<Scope*, 1> from = {scope.pool};
    core.uncharge(from, scope.usage);
  }
  scope.pool = to;
  scope.peer = std::move(of_peer);
  scope.who = who;
  return {};
}

bool ConnectionScope::has_peer() const { return scope_->peer != nullptr; }

Direction ConnectionScope::direction() const { return scope_->direction; }

bool ConnectionScope::belongs_to(const Manager& manager) const {
  return scope_->core == manager.core_;
}

Result<std::unique_ptr<StreamScope>> ConnectionScope::open_stream(Direction direction) {
  WARREN_CHECK(scope_->peer != nullptr);
  if (ended_) return fail(ErrorCode::kClosed, "the connection has ended");
  Core& core = *scope_->core;
  auto scope = std::make_shared<Scope>(scope_->core, ScopeKind::kStream, core.limits.stream);
  scope->direction = direction;
  scope->connection = scope_;
  WARREN_TRY_VOID(core.charge(Chain(*scope).scopes(), detail::one_stream(direction),
                              Need::kNecessary, scope_->who));
  core.note_peak();
  return std::unique_ptr<StreamScope>(new StreamScope(std::move(scope)));
}

// ---------------------------------------------------------------------------------- manager

Manager::Manager(std::function<TimePoint()> now, Options options)
    : core_(std::make_shared<Core>(std::move(now), std::move(options))) {}

Manager::~Manager() = default;

Result<std::unique_ptr<ConnectionScope>> Manager::open_connection(
    Direction direction, const Endpoint& remote, bool uses_descriptor,
    const std::optional<PeerId>& expected) {
  Core& core = *core_;
  const bool inbound = direction == Direction::kInbound;
  const bool has_address = !remote.ip.is_unspecified();
  const bool listed = has_address && core.is_allowed(remote.ip);
  const std::string who =
      fmt::format("{} {}", inbound ? "from" : "to",
                  has_address ? remote.ip.to_string() : std::string("a peer of this process"));
  if (inbound && has_address && core.banned && !remote.ip.is_loopback() && core.banned(remote.ip)) {
    core.refusals.add(ScopeKind::kSource, Resource::kConnectionsInbound,
                      fmt::format("from {}", remote.ip.to_string()), "it is banned", core.now());
    return fail(ErrorCode::kDenied, fmt::format("a connection {} is refused: it is banned", who));
  }
  Sources::Ticket ticket;
  if (inbound && has_address && !listed && !remote.ip.is_loopback()) {
    Sources::Admission admission = core.sources.admit(remote.ip, core.now());
    if (admission.refused) {
      const Sources::Refused& refused = *admission.refused;
      core.refusals.add(ScopeKind::kSource,
                        refused.rate ? Resource::kRate : Resource::kConnectionsInbound,
                        fmt::format("from {}", refused.who), refused.why, core.now());
      return fail(ErrorCode::kLimited,
                  fmt::format("a connection {} is refused: {}", who, refused.why));
    }
    ticket = std::move(admission.ticket);
  }
  auto scope = std::make_shared<Scope>(core_, ScopeKind::kConnection, core.limits.connection);
  scope->direction = direction;
  scope->who = who;
  scope->on_allowed_prefix = listed;
  const Usage one = detail::one_connection(direction, uses_descriptor);
  const bool may_overflow = listed || (expected && core.is_allowed(*expected));
  scope->pool = may_overflow && !core.fits(core.transient, one) ? &core.allowed : &core.transient;
  auto charged = core.charge(Chain(*scope).scopes(), one, Need::kNecessary, who);
  if (!charged) {
    core.sources.leave(ticket);
    return fail(std::move(charged).error());
  }
  scope->ticket = std::move(ticket);
  core.note_peak();
  return std::unique_ptr<ConnectionScope>(new ConnectionScope(std::move(scope), uses_descriptor));
}

bool Manager::is_busy_source(const IpAddress& remote) {
  if (remote.is_unspecified() || remote.is_loopback() || core_->is_allowed(remote)) return false;
  return core_->sources.is_busy(remote, core_->now());
}

void Manager::note_displaced(const IpAddress& remote) {
  core_->refusals.add(ScopeKind::kTransient, Resource::kConnectionsInbound,
                      fmt::format("from {}", remote.to_string()),
                      "newer ones took their places among the handshakes", core_->now());
}

void Manager::limit_protocol(std::string_view protocol, std::size_t streams_max,
                             std::size_t streams_per_peer_max) {
  const std::string name(protocol);
  core_->protocol_maxima[name] = {streams_max, streams_per_peer_max};
  if (const auto found = core_->protocols.find(name); found != core_->protocols.end()) {
    if (const auto scope = found->second.lock()) {
      scope->limits = core_->protocol_limits(name, false);
    }
  }
  for (auto at = core_->protocol_peers.lower_bound({name, PeerId()});
       at != core_->protocol_peers.end() && at->first.first == name; ++at) {
    if (const auto scope = at->second.lock()) scope->limits = core_->protocol_limits(name, true);
  }
}

namespace {

template <class Set, class Value>
Result<> list(Set& set, const Value& value, std::size_t entries_max) {
  if (set.contains(value)) return {};
  if (set.size() >= entries_max) {
    return fail(
        ErrorCode::kLimited,
        fmt::format("the allow list has {} entries of this kind, the most allowed", entries_max));
  }
  set.insert(value);
  return {};
}

}  // namespace

Result<> Manager::allow(const PeerId& peer) {
  return list(core_->allowed_peers, peer, core_->limits.allowed_entries_max);
}
Result<> Manager::allow(const Prefix& prefix) {
  return list(core_->allowed_prefixes, Prefix::of(prefix.ip, prefix.bits),
              core_->limits.allowed_entries_max);
}
void Manager::disallow(const PeerId& peer) { core_->allowed_peers.erase(peer); }
void Manager::set_banned(std::function<bool(const IpAddress&)> banned) {
  core_->banned = std::move(banned);
}
void Manager::disallow(const Prefix& prefix) {
  core_->allowed_prefixes.erase(Prefix::of(prefix.ip, prefix.bits));
}

const limits::Resources& Manager::limits() const { return core_->limits; }

Usage Manager::total() const { return core_->total(); }

Snapshot Manager::snapshot() const {
  Snapshot all;
  all.node = core_->node.usage;
  all.transient = core_->transient.usage;
  all.allowed = core_->allowed.usage;
  all.total = core_->total();
  all.peak = core_->peak;
  for (const auto& [peer, weak] : core_->peers) {
    if (const auto scope = weak.lock()) all.peers.emplace_back(peer, scope->usage);
  }
  for (const auto& [protocol, weak] : core_->protocols) {
    if (const auto scope = weak.lock()) all.protocols.emplace_back(protocol, scope->usage);
  }
  all.sources = core_->sources.size();
  all.refused = core_->refusals.all();
  all.optional_refused = core_->refusals.optional();
  return all;
}

}  // namespace warren::resources

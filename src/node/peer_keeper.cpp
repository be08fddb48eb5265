#include "node/peer_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"

namespace warren::node {
namespace {

/// run(), beside dials and closings.
constexpr std::size_t kOwnTasksMax = 4;
constexpr std::size_t kClosingsMax = 64;
/// Told to a peer that is let go because there are enough. Source: ManagerConfig::left_alone.
constexpr Duration kFullRetryAfter = 10min;
/// A newcomer for whom there is no room has so much time to ask who else is there: else a node
/// whose first peers are all full would never find others.
constexpr Duration kInterviewTime = 2s;

protocols::Goodbye goodbye_for(swarm::LetGo why) {
  using protocols::GoodbyeReason;
  switch (why) {
    case swarm::LetGo::kFull: return {GoodbyeReason::kFull, kFullRetryAfter};
    case swarm::LetGo::kBanned: return {GoodbyeReason::kBanned, kFullRetryAfter};
    case swarm::LetGo::kFeeler: return {GoodbyeReason::kFeelerDone, {}};
    case swarm::LetGo::kReplaced: return {GoodbyeReason::kReplaced, kFullRetryAfter};
  }
  return {};
}

peers::Origin origin_of(std::string_view source) {
  for (const peers::Origin origin :
       {peers::Origin::kManual, peers::Origin::kMdns, peers::Origin::kBeacon,
        peers::Origin::kBootstrap, peers::Origin::kExchange, peers::Origin::kDht}) {
    if (peers::origin_name(origin) == source) return origin;
  }
  return peers::Origin::kInbound;
}

std::shared_ptr<const peers::SignedRecord> record_of(const std::shared_ptr<const Bytes>& envelope,
                                                     std::uint64_t sequence) {
  if (!envelope) return nullptr;
  return std::make_shared<const peers::SignedRecord>(peers::SignedRecord{*envelope, sequence});
}

}  // namespace

PeerKeeper::PeerKeeper(swarm::Swarm& swarm, protocols::IdentifyService& identify,
                       KeeperOptions options, EventHub& events)
    : swarm_(swarm),
      runtime_(swarm.runtime()),
      identify_(identify),
      options_(std::move(options)),
      events_(events),
      signal_(runtime_.make_signal()),
      tasks_(runtime_, kOwnTasksMax + kClosingsMax + options_.manager.dials_max) {
  make_book();
}

PeerKeeper::~PeerKeeper() = default;

void PeerKeeper::make_book() {
  manager_.reset();
  book_ = std::make_unique<peers::PeerBook>(swarm_.local_peer(), options_.book, runtime_.rng());
  manager_ = std::make_unique<swarm::ConnectionManager>(swarm_.local_peer(), options_.manager,
                                                        *book_, runtime_.rng());
}

awaitable<Result<>> PeerKeeper::open_store() {
  std::shared_ptr<peers::PeerStore> store;
  runtime_.random_bytes(options_.book.secret);
  if (!options_.database.empty()) {
    auto open = [this] {
      return peers::PeerStore::open(options_.database, options_.book.limits, options_.book.secret);
    };
    WARREN_CO_TRY(store, co_await runtime::run(runtime_.pool(), open));
    options_.book.secret = store->secret();
  }
  make_book();
  storing_ =
      std::make_unique<peers::BookKeeper>(runtime_, *book_, std::move(store), options_.keeping);
  WARREN_CO_TRY(const std::size_t skipped, co_await storing_->load());
  if (skipped > 0) {
    log::warn("peers", "{}: {} rows are damaged and were left out", options_.database, skipped);
  }
  storing_->start();
  co_return Result<>{};
}

awaitable<Result<>> PeerKeeper::start() {
  WARREN_CO_TRY_VOID(co_await open_store());
  swarm_.set_gate(
      [this](const PeerId& peer, const Multiaddr& remote) { return admit(peer, remote); });
  swarm_.resources().set_banned(
      [this](const IpAddress& ip) { return book_->is_banned(ip, civil_now()); });
  swarm_.on_connection([this](const swarm::ConnectionEvent& event) { on_connection(event); });
  identify_.on_identified([this](const PeerId& peer, const protocols::PeerIdentity& identity) {
    on_identified(peer, identity);
  });
  protocols::serve_goodbye(swarm_, [this](const PeerId& peer, const protocols::Goodbye& goodbye) {
    const auto present = present_.find(peer);
    if (present != present_.end()) present->second.said_goodbye = true;
    manager_->said_goodbye(peer, goodbye.retry_after, moment());
    wake();
  });
  heartbeat_ = std::make_unique<protocols::Heartbeat>(
      swarm_,
      protocols::HeartbeatListener{
          .on_round_trip =
              [this](const PeerId& peer, Duration round_trip) {
                book_->measured(peer, round_trip, civil_now());
              },
          .on_dead = [this](const PeerId& peer) { note(peer, peers::ReputationEvent::kTimeout); }},
      options_.heartbeat);
  if (!tasks_.spawn(run())) {
    co_return fail(ErrorCode::kClosed, "the node was stopped");
  }
  co_return Result<>{};
}

awaitable<void> PeerKeeper::stop() {
  stopping_ = true;
  co_await tasks_.join();
  const protocols::Goodbye goodbye{protocols::GoodbyeReason::kShuttingDown, {}};
  co_await protocols::say_goodbye_to_all(swarm_, goodbye,
                                         runtime_.now() + protocols::kGoodbyeToAllTimeMax);
}

awaitable<void> PeerKeeper::close() {
  // Only now every connection has ended, and the book knows what it carried.
  if (heartbeat_) co_await heartbeat_->close();
  if (!storing_) co_return;
  const auto stored = co_await storing_->stop();
  if (!stored) log::warn("peers", "not all is kept: {}", stored.error().message());
}

// ------------------------------------------------------------------------------ what is told

void PeerKeeper::found(const discovery::PeerHint& hint) {
  if (hint.peer == swarm_.local_peer()) return;
  peers::Learnt learnt{.peer = hint.peer,
                       .addresses = hint.addresses,
                       .origin = origin_of(hint.via),
                       .told_by = std::nullopt,
                       .record = record_of(hint.record, hint.record_sequence)};
  if (hint.told_by) learnt.told_by = peers::network_group(*hint.told_by);
  book_->learn(learnt, civil_now());
  if (sightings_.found(hint)) {
    events_.tell({.kind = NodeEvent::Kind::kPeerFound,
                  .peer = hint.peer,
                  .via = std::string(hint.via),
                  .address = hint.addresses.empty() ? Multiaddr() : hint.addresses.front(),
                  .reason = {}});
  }
  manager_->book_changed(hint.peer);
  wake();
}

void PeerKeeper::lost(const discovery::PeerHint& hint) {
  sightings_.lost(hint);
  events_.tell({.kind = NodeEvent::Kind::kPeerLost,
                .peer = hint.peer,
                .via = std::string(hint.via),
                .address = {},
                .reason = {}});
}

void PeerKeeper::note(const PeerId& peer, peers::ReputationEvent event) {
  if (!book_->report(peer, event, civil_now())) return;
  banned(peer, fmt::format("its reputation fell to {:.2f}, at last for a {}",
                           book_->score(peer, civil_now()), peers::reputation_event_name(event)));
}

void PeerKeeper::configure(swarm::ManagerConfig config) {
  manager_->configure(config);
  wake();
}

void PeerKeeper::retry_now() {
  manager_->retry_now(moment());
  wake();
}

// ------------------------------------------------------------------------------ what people do

awaitable<Result<PeerId>> PeerKeeper::dial(Multiaddr address, TimePoint deadline) {
  WARREN_CO_TRY(const auto connection, co_await swarm_.connect(std::move(address), deadline));
  co_return connection->info().remote_peer;
}

awaitable<Result<PeerId>> PeerKeeper::dial(PeerId peer, TimePoint deadline) {
  if (swarm_.is_connected(peer)) co_return peer;
  const peers::Peer* known = book_->find(peer);
  if (known == nullptr || known->addresses.empty()) {
    co_return fail(
        ErrorCode::kNotFound, fmt::format("no address of peer {} is known", peer.to_string()),
        "give one: warren connect /ip4/ADDRESS/udp/PORT/quic-v1/p2p/" + peer.to_string());
  }
  std::vector<Multiaddr> addresses;
  for (const peers::AddressEntry& entry : known->addresses) addresses.push_back(entry.address);
  // A person asks: the back-off of an earlier failure does not hold.
  WARREN_CO_TRY_VOID(
      co_await swarm_.connect(peer, std::move(addresses), deadline, swarm::Retry::kTryAll));
  co_return peer;
}

Result<> PeerKeeper::keep(const PeerId& peer, const std::optional<Multiaddr>& address) {
  WARREN_TRY_VOID(book_->keep(peer, address, civil_now()));
  manager_->book_changed(peer);
  wake();
  return {};
}

std::size_t PeerKeeper::leave(const PeerId& peer) {
  book_->release(peer);
  manager_->leave(peer, moment());
  const auto present = present_.find(peer);
  if (present != present_.end()) present->second.let_go = true;
  wake();
  return swarm_.disconnect(peer);
}

Result<> PeerKeeper::remove(const PeerId& peer) {
  leave(peer);
  auto removed = book_->remove(peer);
  manager_->book_changed(peer);
  return removed;
}

Result<> PeerKeeper::ban(const PeerId& peer, WallTime until, std::string reason) {
  const std::string why = reason.empty() ? "a person asked for it" : reason;
  WARREN_TRY_VOID(book_->ban(peer, until, std::move(reason), civil_now()));
  banned(peer, why);
  return {};
}

Result<> PeerKeeper::ban(const resources::Prefix& prefix, WallTime until, std::string reason) {
  WARREN_TRY_VOID(book_->ban(prefix, until, std::move(reason), civil_now()));
  close_banned();
  return {};
}

Result<> PeerKeeper::unban(const PeerId& peer) {
  WARREN_TRY_VOID(book_->unban(peer, civil_now()));
  manager_->book_changed(peer);
  wake();
  return {};
}

Result<> PeerKeeper::unban(const resources::Prefix& prefix) {
  WARREN_TRY_VOID(book_->unban(prefix));
  manager_->book_changed();
  wake();
  return {};
}

// ------------------------------------------------------------------------------ what is known

bool PeerKeeper::wants_peers() const { return manager_->wants_peers(moment()); }

std::optional<TimePoint> PeerKeeper::connected_since(const PeerId& peer) const {
  const auto present = present_.find(peer);
  if (present == present_.end()) return std::nullopt;
  return present->second.since;
}

WallTime PeerKeeper::civil_now() const { return runtime_.wall_now(); }
swarm::Moment PeerKeeper::moment() const { return {runtime_.now(), runtime_.wall_now()}; }
void PeerKeeper::wake() { signal_->notify(); }

// ------------------------------------------------------------------------------ transfers

void PeerKeeper::transfer_began(const PeerId& peer) { manager_->protect(peer); }
void PeerKeeper::transfer_ended(const PeerId& peer) {
  manager_->unprotect(peer);
  wake();
}
void PeerKeeper::gave(const PeerId& peer, std::uint64_t bytes) {
  manager_->was_useful(peer, bytes, moment());
}
void PeerKeeper::took(const PeerId& peer, std::uint64_t bytes) {
  manager_->was_useful(peer, bytes, moment());
}

// ------------------------------------------------------------------------------ connections

Result<> PeerKeeper::admit(const PeerId& peer, const Multiaddr& remote) const {
  const WallTime now = civil_now();
  if (book_->is_banned(peer, now)) {
    return fail(ErrorCode::kDenied, fmt::format("peer {} is banned", peer.to_string()),
                "'warren peers banned' lists the bans, 'warren peers unban PEER' lifts one");
  }
  const auto endpoint = remote.endpoint();
  if (endpoint && book_->is_banned(endpoint->ip, now)) {
    return fail(ErrorCode::kDenied, fmt::format("{} is banned", endpoint->ip.to_string()),
                "'warren peers banned' lists the bans, 'warren peers unban PREFIX' lifts one");
  }
  return {};
}

void PeerKeeper::on_connection(const swarm::ConnectionEvent& event) {
  switch (event.kind) {
    case swarm::ConnectionEvent::Kind::kConnected:
      if (event.first_or_last) on_connected(*event.connection);
      break;
    case swarm::ConnectionEvent::Kind::kDisconnected: {
      const auto present = present_.find(event.connection->info().remote_peer);
      if (present == present_.end()) break;
      const transport::ConnectionStats stats = event.connection->stats();
      present->second.received += stats.bytes_received;
      present->second.sent += stats.bytes_sent;
      if (event.first_or_last) on_disconnected(*event.connection);
      break;
    }
  }
}

void PeerKeeper::on_connected(const swarm::Connection& connection) {
  const transport::ConnectionInfo& info = connection.info();
  present_[info.remote_peer] = {.since = runtime_.now()};
  manager_->connected(info.remote_peer, info.outbound, info.remote_address, moment());
  book_->set_public_key(info.remote_peer, info.remote_key.protobuf());
  events_.tell({.kind = NodeEvent::Kind::kPeerConnected,
                .peer = info.remote_peer,
                .via = {},
                .address = info.remote_address,
                .reason = {}});
  wake();
}

void PeerKeeper::on_disconnected(const swarm::Connection& connection) {
  const transport::ConnectionInfo& info = connection.info();
  const auto found = present_.find(info.remote_peer);
  const Present present = found->second;
  present_.erase(found);
  if (!present.said_goodbye && !present.let_go && !stopping_) {
    note(info.remote_peer, peers::ReputationEvent::kDisconnect);
  }
  manager_->disconnected(info.remote_peer, present.received, present.sent, moment());
  events_.tell({.kind = NodeEvent::Kind::kPeerDisconnected,
                .peer = info.remote_peer,
                .via = {},
                .address = info.remote_address,
                .reason = connection.close_reason()});
  wake();
}

void PeerKeeper::on_identified(const PeerId& peer, const protocols::PeerIdentity& identity) {
  const auto connections = swarm_.connections_to(peer);
  if (connections.empty()) return;
  const Multiaddr& remote = connections.front()->info().remote_address;
  peers::Learnt learnt{.peer = peer,
                       .addresses = {},
                       .origin = peers::Origin::kInbound,
                       .told_by = std::nullopt,
                       .record = record_of(identity.signed_record, identity.record_sequence)};
  for (const Multiaddr& address : identity.listen_addresses) {
    // What means nothing from here would only fill the book.
    if (protocols::worth_telling(address, remote)) learnt.addresses.push_back(address);
  }
  book_->learn(learnt, civil_now());
  manager_->book_changed(peer);
}

void PeerKeeper::banned(const PeerId& peer, const std::string& why) {
  log::info("peers", "{} is banned: {}", peer.to_string(), why);
  events_.tell({.kind = NodeEvent::Kind::kPeerBanned,
                .peer = peer,
                .via = {},
                .address = {},
                .reason = why});
  manager_->book_changed(peer);
  close_banned();
}

/// The manager may not count all of them: what a person asks for is done at once.
void PeerKeeper::close_banned() {
  for (const auto& connection : swarm_.connections()) {
    const transport::ConnectionInfo& info = connection->info();
    if (admit(info.remote_peer, info.remote_address)) continue;
    const auto present = present_.find(info.remote_peer);
    if (present != present_.end()) present->second.let_go = true;
    swarm_.disconnect(info.remote_peer, swarm::CloseCode::kGated, "banned");
  }
  wake();
}

// ------------------------------------------------------------------------------ the loop

awaitable<void> PeerKeeper::run() {
  for (;;) {
    for (const swarm::ManagerAction& action : manager_->next(moment())) {
      if (const auto* dial = std::get_if<swarm::DialPeer>(&action)) {
        if (!tasks_.spawn(run_dial(*dial))) manager_->dial_ended(dial->peer, false, moment());
      } else if (const auto* close = std::get_if<swarm::ClosePeer>(&action)) {
        const auto present = present_.find(close->peer);
        if (present != present_.end()) present->second.let_go = true;
        // Without room for a goodbye it goes without.
        if (!tasks_.spawn(run_close(*close))) swarm_.disconnect(close->peer);
      }
    }
    const runtime::Wake woken = co_await signal_->wait_until(manager_->next_wake());
    if (woken == runtime::Wake::kCancelled) co_return;
  }
}

awaitable<void> PeerKeeper::run_dial(swarm::DialPeer dial) {
  const TimePoint deadline = runtime_.now() + options_.dial_time_max;
  const auto connection =
      co_await swarm_.connect(dial.peer, dial.addresses, deadline, swarm::Retry::kTryAll);
  if (!connection) {
    if (connection.error().code() != ErrorCode::kCancelled) ++dials_failed_;
    log::debug("peers", "dialling {} failed: {}", dial.peer.to_string(),
               connection.error().message());
  }
  manager_->dial_ended(dial.peer, connection.has_value(), moment());
  wake();
}

awaitable<void> PeerKeeper::run_close(swarm::ClosePeer close) {
  if (const auto since = connected_since(close.peer); since && close.why == swarm::LetGo::kFull) {
    const auto waited = co_await runtime_.sleep_until(*since + kInterviewTime);
    if (!waited) co_return;
  }
  co_await protocols::say_goodbye(swarm_, close.peer, goodbye_for(close.why),
                                  runtime_.now() + protocols::kGoodbyeTimeMax);
  const bool banned = close.why == swarm::LetGo::kBanned;
  swarm_.disconnect(close.peer,
                    banned ? swarm::CloseCode::kGated : swarm::CloseCode::kGarbageCollected,
                    banned ? "banned" : "there are enough peers");
}

}  // namespace warren::node

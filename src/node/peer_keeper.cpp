#include "node/peer_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"

namespace warren::node {
namespace {

/// run(), beside dials and closings.
constexpr std::size_t kOwnTasksMax = 4;
/// Beyond, a peer is closed without a goodbye, so that dials always have their tasks.
constexpr std::size_t kClosingsMax = 64;
/// What the book has dropped is still in the manager's lists until it looks at all of it.
constexpr Duration kLookAtAllEvery = 1min;
/// Peers that fall silent within this time fell silent for one reason, and that is likely ours.
/// Source: the heartbeat finds a dead peer within its interval and two pings.
constexpr Duration kOutageTime = 60s;
/// Bytes that we gave count for less than bytes that we got: a peer that only takes is no loss.
constexpr std::uint64_t kTakenShare = 8;
/// A newcomer for whom there is no room has so much time to ask who else is there: else a node
/// whose first peers are all full would never find others.
constexpr Duration kInterviewTime = 2s;

protocols::Goodbye goodbye_for(swarm::LetGo why, Duration stay_away) {
  using protocols::GoodbyeReason;
  switch (why) {
    case swarm::LetGo::kFull: return {GoodbyeReason::kFull, stay_away};
    case swarm::LetGo::kBanned: return {GoodbyeReason::kBanned, stay_away};
    case swarm::LetGo::kFeeler: return {GoodbyeReason::kFeelerDone, {}};
    case swarm::LetGo::kReplaced: return {GoodbyeReason::kReplaced, stay_away};
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

Error banned_address(const IpAddress& ip) {
  return Error(ErrorCode::kDenied, fmt::format("{} is banned", ip.to_string()),
               "'warren peers banned' lists the bans, 'warren peers unban PREFIX' lifts one");
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
  swarm_.set_gate([this](const PeerId& peer, const Multiaddr& remote, bool outbound) {
    return admit(peer, remote, outbound);
  });
  swarm_.resources().set_banned([this](const IpAddress& ip) {
    return book_->is_banned(ip, civil_now()) && !is_of_wanted_peer(ip);
  });
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
      protocols::HeartbeatListener{.on_round_trip =
                                       [this](const PeerId& peer, Duration round_trip) {
                                         book_->measured(peer, round_trip, civil_now());
                                       },
                                   .on_dead = [this](const PeerId& peer) { on_silence(peer); }},
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
  swarm_.resources().set_banned({});
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
  if (runtime_.now() - looked_at_all_ >= kLookAtAllEvery) {
    looked_at_all_ = runtime_.now();
    manager_->book_changed();
  } else {
    manager_->book_changed(hint.peer);
  }
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

awaitable<Result<PeerKeeper::Reached>> PeerKeeper::dial(Multiaddr address, TimePoint deadline) {
  const auto endpoint = address.endpoint();
  if (endpoint && !address.peer_id() && book_->is_banned(endpoint->ip, civil_now())) {
    co_return fail(banned_address(endpoint->ip));
  }
  const auto before = swarm_.connections();
  WARREN_CO_TRY(const auto connection, co_await swarm_.connect(std::move(address), deadline));
  co_return Reached{connection->info().remote_peer,
                    std::ranges::find(before, connection) == before.end()};
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
  wake();
  const std::size_t connections = swarm_.connections_to(peer).size();
  if (connections == 0) return 0;
  const auto present = present_.find(peer);
  if (present != present_.end()) present->second.let_go = true;
  if (!start_closing(close_left(peer))) close_now(peer, swarm::LetGo::kReplaced);
  return connections;
}

Result<> PeerKeeper::remove(const PeerId& peer) {
  WARREN_TRY_VOID(book_->remove(peer));
  manager_->leave(peer, moment());
  // At once: what it says in between would make it known again.
  close_now(peer, swarm::LetGo::kReplaced);
  manager_->book_changed(peer);
  wake();
  return {};
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

std::pair<std::uint64_t, std::uint64_t> PeerKeeper::bytes_before(const PeerId& peer) const {
  const auto present = present_.find(peer);
  if (present == present_.end()) return {0, 0};
  return {present->second.received, present->second.sent};
}

std::optional<TimePoint> PeerKeeper::connected_since(const PeerId& peer) const {
  const auto present = present_.find(peer);
  if (present == present_.end()) return std::nullopt;
  return present->second.since;
}

WallTime PeerKeeper::civil_now() const { return runtime_.wall_now(); }
swarm::Moment PeerKeeper::moment() const { return {runtime_.now(), runtime_.wall_now()}; }
void PeerKeeper::wake() { signal_->notify(); }

// ------------------------------------------------------------------- transfers and neighbours

void PeerKeeper::set_neighbour(const PeerId& peer, bool neighbour) {
  if (manager_->set_neighbour(peer, neighbour)) wake();
}

void PeerKeeper::transfer_began(const PeerId& peer, transfer::TransferDirection direction) {
  if (direction == transfer::TransferDirection::kFrom) {
    manager_->protect(peer);
    return;
  }
  // What others ask of us must not hold all places: half of them may be kept so.
  Serving& serving = serving_[peer];
  if (serving.requests++ > 0 || served_kept_ >= manager_->config().max_peers / 2) return;
  serving.kept = true;
  ++served_kept_;
  manager_->protect(peer);
}

void PeerKeeper::transfer_ended(const PeerId& peer, transfer::TransferDirection direction) {
  if (direction == transfer::TransferDirection::kFrom) {
    manager_->unprotect(peer);
  } else if (const auto found = serving_.find(peer); --found->second.requests == 0) {
    if (found->second.kept) {
      --served_kept_;
      manager_->unprotect(peer);
    }
    serving_.erase(found);
  }
  wake();
}

void PeerKeeper::gave(const PeerId& peer, std::uint64_t bytes) {
  manager_->was_useful(peer, bytes, moment());
}

void PeerKeeper::took(const PeerId& peer, std::uint64_t bytes) {
  manager_->was_useful(peer, bytes / kTakenShare, moment());
}

// ------------------------------------------------------------------------------ connections

bool PeerKeeper::is_wanted(const PeerId& peer) const {
  const peers::Peer* known = book_->find(peer);
  return known != nullptr && (known->kept || known->pinned);
}

bool PeerKeeper::is_of_wanted_peer(const IpAddress& ip) const {
  return std::ranges::any_of(book_->all(), [&](const auto& entry) {
    const peers::Peer& peer = entry.second;
    if (!peer.kept && !peer.pinned) return false;
    return std::ranges::any_of(peer.addresses, [&](const peers::AddressEntry& known) {
      const auto endpoint = known.address.endpoint();
      return endpoint && endpoint->ip == ip;
    });
  });
}

Result<> PeerKeeper::admit(const PeerId& peer, const Multiaddr& remote, bool outbound) const {
  const WallTime now = civil_now();
  if (book_->is_banned(peer, now)) {
    return fail(ErrorCode::kDenied, fmt::format("peer {} is banned", peer.to_string()),
                "'warren peers banned' lists the bans, 'warren peers unban PEER' lifts one");
  }
  // What its neighbours did is no reason to keep out a peer that a person chose.
  const auto endpoint = remote.endpoint();
  if (endpoint && !is_wanted(peer) && book_->is_banned(endpoint->ip, now)) {
    return fail(banned_address(endpoint->ip));
  }
  if (!outbound && is_left_by_person(peer)) {
    return fail(ErrorCode::kDenied, fmt::format("{} was disconnected by hand", peer.to_string()));
  }
  return {};
}

void PeerKeeper::on_connection(const swarm::ConnectionEvent& event) {
  switch (event.kind) {
    case swarm::ConnectionEvent::Kind::kConnected:
      if (event.first_or_last) {
        on_connected(*event.connection);
      } else if (const auto& info = event.connection->info(); info.outbound) {
        // It came to us first, but our dial has shown that it can be reached.
        book_->connected(info.remote_peer, info.remote_address.without_peer(), civil_now());
      }
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
  if (!present.said_goodbye && !present.let_go && !present.dead && !stopping_) {
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

/// The connection has been closed. One silent peer is the peer's fault, several at a time are more
/// likely that of our own link.
void PeerKeeper::on_silence(const PeerId& peer) {
  const auto present = present_.find(peer);
  if (present != present_.end()) present->second.dead = true;
  const bool alone = !silence_at_ || runtime_.now() - *silence_at_ > kOutageTime;
  silence_at_ = runtime_.now();
  if (alone) note(peer, peers::ReputationEvent::kTimeout);
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
    if (admit(info.remote_peer, info.remote_address, true)) continue;
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
        if (!tasks_.spawn(run_dial(*dial))) manager_->dial_not_tried(dial->peer, moment());
      } else if (const auto* close = std::get_if<swarm::ClosePeer>(&action)) {
        if (!start_closing(run_close(*close))) close_now(close->peer, close->why);
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
  if (connection) {
    manager_->dial_ended(dial.peer, true, moment());
  } else {
    log::debug("peers", "dialling {} failed: {}", dial.peer.to_string(),
               connection.error().message());
    switch (connection.error().code()) {
      case ErrorCode::kCancelled:
      case ErrorCode::kClosed:
      case ErrorCode::kDenied:
      case ErrorCode::kLimited:  // We did not get as far as the peer.
        manager_->dial_not_tried(dial.peer, moment());
        break;
      default:
        ++dials_failed_;
        manager_->dial_ended(dial.peer, false, moment());
        break;
    }
  }
  wake();
}

bool PeerKeeper::start_closing(awaitable<void> closing) {
  if (closings_ >= kClosingsMax || !tasks_.spawn(std::move(closing))) return false;
  ++closings_;
  return true;
}

void PeerKeeper::close_now(const PeerId& peer, swarm::LetGo why) {
  const auto present = present_.find(peer);
  if (present != present_.end()) present->second.let_go = true;
  const bool is_ban = why == swarm::LetGo::kBanned;
  swarm_.disconnect(peer, is_ban ? swarm::CloseCode::kGated : swarm::CloseCode::kGarbageCollected,
                    is_ban ? "banned" : "there are enough peers");
}

awaitable<void> PeerKeeper::run_close(swarm::ClosePeer close) {
  bool go_on = true;
  if (const auto since = connected_since(close.peer); since && close.why == swarm::LetGo::kFull) {
    const auto waited = co_await runtime_.sleep_until(*since + kInterviewTime);
    go_on = waited.has_value();
  }
  // Somebody may need it by now, or it may have come anew.
  if (go_on && manager_->confirm_closing(close.peer, moment())) {
    co_await protocols::say_goodbye(swarm_, close.peer,
                                    goodbye_for(close.why, manager_->stay_away(close.peer)),
                                    runtime_.now() + protocols::kGoodbyeTimeMax);
    if (manager_->confirm_closing(close.peer, moment())) close_now(close.peer, close.why);
  }
  --closings_;
  wake();
}

/// A person disconnected it.
awaitable<void> PeerKeeper::close_left(PeerId peer) {
  const protocols::Goodbye goodbye{protocols::GoodbyeReason::kUnspecified,
                                   manager_->config().left_alone};
  co_await protocols::say_goodbye(swarm_, peer, goodbye,
                                  runtime_.now() + protocols::kGoodbyeTimeMax);
  if (is_left_by_person(peer)) swarm_.disconnect(peer);
  --closings_;
}

}  // namespace warren::node

#include "node/node.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "node/paths.hpp"
#include "node/version.hpp"

namespace warren::node {
namespace {

/// keep_peers(), rehash_changed_shares(), watch_addresses(), and some room.
constexpr std::size_t kOwnTasksMax = 8;
constexpr Duration kDialTimeMax = 15s;
/// Changes of addresses within this time are told as one: an interface that comes up has several.
constexpr Duration kAddressesSettleTime = 200ms;

protocols::IdentifyConfig identify_config() {
  protocols::IdentifyConfig config;
  config.agent_version = fmt::format("warren/{}", version());
  return config;
}

/// What to do about an address that cannot be listened on.
std::string listen_hint(const Multiaddr& address, ErrorCode code) {
  const auto endpoint = address.endpoint();
  if (!endpoint || code != ErrorCode::kConflict) return {};
  const bool udp = address.has(multiformats::Protocol::kUdp);
  const Endpoint next{endpoint->ip, static_cast<std::uint16_t>(endpoint->port + 1), 0};
  return fmt::format(
      "another program has port {}: see which with 'ss -{}lpn sport = :{}', or choose another "
      "port, as in: warren up --listen {}",
      endpoint->port, udp ? 'u' : 't', endpoint->port,
      (udp ? Multiaddr::quic(next) : Multiaddr::tcp(next)).to_string());
}

}  // namespace

Node::Node(runtime::Runtime& runtime, crypto::PrivateKey identity, NodeOptions options)
    : runtime_(runtime),
      identity_(std::move(identity)),
      options_(std::move(options)),
      swarm_(runtime, PeerId::from_public_key(identity_.public_key().protobuf()), options_.swarm),
      identify_(swarm_, identity_, identify_config()),
      keeper_(swarm_.local_peer(), options_.keeper, runtime.rng()),
      keeper_signal_(runtime.make_signal()),
      tasks_(runtime, kOwnTasksMax + options_.keeper.dials_max + options_.jobs_max) {}

Node::~Node() = default;

void Node::add_transport(std::unique_ptr<transport::Transport> transport) {
  swarm_.add_transport(std::move(transport));
}

awaitable<Result<>> Node::start() {
  started_at_ = runtime_.now();
  auto open_store = [this]() -> Result<std::unique_ptr<content::Store>> {
    WARREN_TRY_VOID(ensure_directory(options_.download_dir));
    return content::Store::open(options_.database, options_.content);
  };
  WARREN_CO_TRY(store_, co_await runtime::run(runtime_.pool(), open_store));

  transfer::TransferConfig config;
  config.limits = options_.transfer;
  config.free_bytes_min = options_.free_bytes_min;
  transfers_ =
      std::make_unique<transfer::TransferManager>(runtime_, swarm_, *store_, std::move(config));
  WARREN_CO_TRY_VOID(co_await transfers_->open());

  protocols::serve_ping(swarm_);
  if (options_.measure != protocols::Audience::kNobody) {
    protocols::serve_perf(swarm_, {.audience = options_.measure});
    protocols::serve_echo(swarm_, {.audience = options_.measure});
  }
  swarm_.on_connection([this](const swarm::ConnectionEvent& event) { on_connection(event); });
  WARREN_CO_TRY_VOID(listen_all());
  start_watch();
  WARREN_CO_TRY_VOID(start_discovery());
  co_await count_shares();
  if (!tasks_.spawn(keep_peers()) || !tasks_.spawn(rehash_changed_shares())) {
    co_return fail(ErrorCode::kClosed, "the node was stopped");
  }
  started_ = true;
  co_return Result<>{};
}

awaitable<void> Node::stop() {
  if (std::exchange(stopped_, true)) co_return;
  started_ = false;
  for (Source& entry : sources_) {
    if (entry.problem.empty()) co_await entry.source->stop();
  }
  for (const auto& progress : job_progress_) progress->stop = true;
  co_await tasks_.join();
  if (transfers_) co_await transfers_->close();
  co_await swarm_.close();
  co_await identify_.close();
}

Result<> Node::listen_all() {
  std::optional<Error> last;
  std::size_t listening = 0;
  for (const ListenAddress& wanted : options_.listen) {
    const auto bound = swarm_.listen(wanted.address);
    if (bound) {
      ++listening;
      continue;
    }
    const ErrorCode code = bound.error().code();
    Error error(
        code,
        fmt::format("cannot listen on {}: {}", wanted.address.to_string(), bound.error().message()),
        bound.error().hint().empty() ? listen_hint(wanted.address, code) : bound.error().hint());
    if (wanted.required || code == ErrorCode::kConflict) return fail(std::move(error));
    warnings_.push_back(error.message());
    last = std::move(error);
  }
  if (listening == 0 && last) return fail(*std::move(last));
  return {};
}

void Node::start_watch() {
  auto watch = runtime_.watch_interfaces();
  if (!watch) {
    // Discovery looks at the interfaces by itself then.
    log::info("node", "no changes of addresses are told: {}", watch.error().message());
    return;
  }
  if (!tasks_.spawn(watch_addresses(std::move(*watch)))) return;
  if (options_.mdns) options_.mdns->poll_interval.reset();
  swarm_.on_protocols_changed([this] { tell_sources(); });
}

awaitable<void> Node::watch_addresses(std::unique_ptr<runtime::InterfaceWatch> watch) {
  for (;;) {
    const auto changed = co_await watch->changed();
    if (!changed) {
      if (changed.error().code() == ErrorCode::kCancelled) co_return;
      log::warn("node", "{}", changed.error().message());
    }
    const auto settled = co_await runtime_.sleep_for(kAddressesSettleTime);
    if (!settled) co_return;
    tell_sources();
    identify_.addresses_changed();
  }
}

void Node::tell_sources() {
  for (Source& entry : sources_) {
    if (entry.problem.empty()) entry.source->addresses_changed();
  }
}

Result<> Node::start_discovery() {
  if (!options_.mdns) return {};
  auto own_addresses = [this] { return swarm_.listen_addresses(); };
  sources_.push_back(
      {std::make_unique<discovery::MdnsService>(runtime_, id(), own_addresses, *options_.mdns),
       ""});
  Source& mdns = sources_.back();
  const auto begun = mdns.source->start(*this);
  if (!begun) {
    // A node without discovery still does all that it is told to by hand.
    mdns.problem = begun.error().message();
    warnings_.push_back("mDNS does not run: " + mdns.problem);
  }
  return {};
}

// ----------------------------------------------------------------------------------- events

void Node::peer_found(const discovery::PeerHint& hint) {
  keeper_.found(hint.peer, hint.addresses, hint.via, runtime_.now());
  keeper_signal_->notify();
}

void Node::peer_lost(const discovery::PeerHint& hint) { keeper_.lost(hint.peer); }

void Node::on_connection(const swarm::ConnectionEvent& event) {
  if (event.kind == swarm::ConnectionEvent::Kind::kDisconnected) {
    const transport::ConnectionStats stats = event.connection->stats();
    ended_bytes_received_ += stats.bytes_received;
    ended_bytes_sent_ += stats.bytes_sent;
  }
  if (!event.first_or_last) return;
  const PeerId& peer = event.connection->info().remote_peer;
  switch (event.kind) {
    case swarm::ConnectionEvent::Kind::kConnected: keeper_.connected(peer, runtime_.now()); break;
    case swarm::ConnectionEvent::Kind::kDisconnected:
      keeper_.disconnected(peer, runtime_.now());
      break;
  }
  keeper_signal_->notify();
}

awaitable<void> Node::keep_peers() {
  for (;;) {
    while (auto target = keeper_.next_dial(runtime_.now())) {
      const PeerId peer = target->peer;
      if (!tasks_.spawn(dial(*std::move(target)))) {
        keeper_.dial_ended(peer, false, runtime_.now());
        break;
      }
    }
    const runtime::Wake wake = co_await keeper_signal_->wait_until(keeper_.next_wake());
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

awaitable<void> Node::dial(PeerKeeper::Dial target) {
  const TimePoint deadline = runtime_.now() + kDialTimeMax;
  const auto connection = co_await swarm_.connect(target.peer, target.addresses, deadline);
  if (!connection) {
    log::debug("node", "dialling {} failed: {}", target.peer.to_string(),
               connection.error().message());
  }
  keeper_.dial_ended(target.peer, connection.has_value(), runtime_.now());
  keeper_signal_->notify();
}

// ----------------------------------------------------------------------------------- status

NodeStatus Node::status() const {
  NodeStatus status;
  status.peer = swarm_.local_peer();
  status.version = version();
  for (const Multiaddr& address : identify_.addresses()) {
    status.listen.push_back(address.with_peer(status.peer));
  }
  for (const Source& entry : sources_) {
    DiscoveryView view{.name = std::string(entry.source->name()), .problem = entry.problem};
    if (entry.problem.empty()) {
      view.summary = entry.source->summary();
      view.counters = entry.source->counters();
    }
    status.discovery.push_back(std::move(view));
  }
  status.uptime = runtime_.now() - started_at_;
  for (const auto& [peer, known] : keeper_.peers()) {
    ++status.peers_known;
    if (known.connected) ++status.peers_connected;
    status.dials_failed += known.dials_failed;
  }
  status.shares = shares_count_;
  if (transfers_) {
    for (const transfer::Progress& progress : transfers_->list()) {
      if (progress.state == transfer::State::kActive) ++status.transfers_active;
      if (progress.state == transfer::State::kPaused) ++status.transfers_paused;
    }
  }
  status.bytes_received = ended_bytes_received_;
  status.bytes_sent = ended_bytes_sent_;
  for (const auto& connection : swarm_.connections()) {
    const transport::ConnectionStats stats = connection->stats();
    status.bytes_received += stats.bytes_received;
    status.bytes_sent += stats.bytes_sent;
  }
  status.refused = swarm_.resources().snapshot().refused;
  status.warnings = warnings_;
  return status;
}

}  // namespace warren::node

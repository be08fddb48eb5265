#include "node/node.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "catalog/catalog_service.hpp"
#include "library/install/installer.hpp"
#include "library/reserved.hpp"
#include "node/paths.hpp"
#include "node/replicator.hpp"
#include "node/version.hpp"

namespace warren::node {
namespace {

/// rehash_changed_shares(), watch_addresses(), search_wider() with its dials, and some room.
constexpr std::size_t kOwnTasksMax = 24;
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
      keeper_(swarm_, identify_, options_.keeper, events_),
      search_signal_(runtime.make_signal()),
      tasks_(runtime, kOwnTasksMax + options_.jobs_max) {}

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
  config.bandwidth = options_.bandwidth;
  config.notes = &keeper_;
  config.trusted = [this](const PeerId& peer) { return is_trusted(peer); };
  config.entry_audience = [this](std::string_view id, std::string_view path) {
    return libraries_->audience(id, path);
  };
  config.may_place = [this](std::string_view directory, const content::Tree& tree,
                            const std::optional<peers::AccessRule>& audience) {
    return may_place(directory, tree, audience);
  };
  config.has_owner = [this](std::string_view directory) {
    return library_around(directory) != nullptr;
  };
  config.is_owners = library::is_reserved;
  config.takes_in = [this](std::string directory, std::string name) {
    return takes_in(std::move(directory), std::move(name));
  };
  config.take_in = [this](std::string directory, std::string temporary_name, std::string name) {
    return installer_->take_in(std::move(directory), std::move(temporary_name), std::move(name));
  };
  transfers_ =
      std::make_unique<transfer::TransferManager>(runtime_, swarm_, *store_, std::move(config));
  WARREN_CO_TRY_VOID(co_await open_libraries());
  WARREN_CO_TRY_VOID(co_await transfers_->open());

  protocols::serve_ping(swarm_);
  serve_measurements(options_.measure);
  swarm_.on_connection([this](const swarm::ConnectionEvent& event) { on_connection(event); });
  WARREN_CO_TRY_VOID(co_await keeper_.start());
  identify_.on_identified([this](const PeerId& peer, const protocols::PeerIdentity&) {
    if (exchange_ != nullptr) exchange_->look_again();  // It may speak that protocol.
    if (catalog_) catalog_->peer_identified(peer);
    if (replicator_) replicator_->look_again();  // It may have what is lacking.
  });
  WARREN_CO_TRY_VOID(co_await open_catalog());
  WARREN_CO_TRY_VOID(listen_all());
  start_watch();
  start_discovery();
  co_await count_shares();
  transfers_->on_state_changed([this](transfer::TransferId) { search_signal_->notify(); });
  if (!tasks_.spawn(rehash_changed_shares()) || !tasks_.spawn(search_wider())) {
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
  co_await close_catalog();
  if (libraries_) co_await libraries_->close();
  co_await tasks_.join();
  if (transfers_) co_await transfers_->close();
  co_await keeper_.stop();
  co_await swarm_.close();
  co_await identify_.close();
  co_await keeper_.close();
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
  watching_ = true;
  swarm_.on_protocols_changed([this] { tell_links(); });
}

std::vector<std::pair<std::uint32_t, IpAddress>> Node::usable_interfaces() {
  std::vector<std::pair<std::uint32_t, IpAddress>> usable;
  const auto interfaces = runtime_.network_interfaces();
  if (!interfaces) return usable;
  for (const runtime::NetworkInterface& interface : *interfaces) {
    if (!interface.up) continue;
    for (const IpAddress& ip : interface.addresses) usable.emplace_back(interface.index, ip);
  }
  std::ranges::sort(usable);
  return usable;
}

awaitable<void> Node::watch_addresses(std::unique_ptr<runtime::InterfaceWatch> watch) {
  auto last = usable_interfaces();
  for (;;) {
    const auto changed = co_await watch->changed();
    if (!changed) {
      if (changed.error().code() == ErrorCode::kCancelled) co_return;
      log::warn("node", "{}", changed.error().message());
    }
    const auto settled = co_await runtime_.sleep_for(kAddressesSettleTime);
    if (!settled) co_return;
    auto interfaces = usable_interfaces();
    // The kernel tells of much that changes nothing, as of a lifetime that was renewed.
    if (interfaces == last) continue;
    last = std::move(interfaces);
    tell_sources();
    identify_.addresses_changed();
    keeper_.retry_now();
  }
}

// ----------------------------------------------------------------------------------- events

void Node::on_connection(const swarm::ConnectionEvent& event) {
  if (event.kind == swarm::ConnectionEvent::Kind::kDisconnected) {
    const transport::ConnectionStats stats = event.connection->stats();
    ended_bytes_received_ += stats.bytes_received;
    ended_bytes_sent_ += stats.bytes_sent;
  }
}

// ----------------------------------------------------------------------------------- status

NodeStatus Node::status() const {
  NodeStatus status;
  status.peer = swarm_.local_peer();
  status.version = version();
  for (const Multiaddr& address : identify_.addresses()) {
    status.listen.push_back(address.with_peer(status.peer));
  }
  status.discovery = discovery();
  status.uptime = runtime_.now() - started_at_;
  for (const PeerView& peer : peers()) {
    ++status.peers_known;
    if (peer.connected) ++status.peers_connected;
  }
  status.dials_failed = keeper_.dials_failed();
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
  for (const Source& entry : sources_) {
    if (!entry.problem.empty()) status.warnings.push_back(problem_of(entry));
  }
  if (const auto trouble = keeper_.trouble()) {
    status.warnings.push_back("what is known of peers is not kept: " + trouble->message());
  }
  return status;
}

}  // namespace warren::node

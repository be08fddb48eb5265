// Node: the ways in which it finds peers.

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "catalog/catalog_service.hpp"
#include "node/node.hpp"
#include "node/replicator.hpp"

namespace warren::node {

void Node::start_discovery() {
  auto manual = std::make_unique<discovery::ManualSource>();
  manual_ = manual.get();
  start_source(std::move(manual));
  start_mdns();
  start_beacon();
  start_bootstrap();
  start_exchange();
}

void Node::start_source(std::unique_ptr<discovery::PeerSource> source) {
  sources_.push_back({std::move(source), ""});
  Source& entry = sources_.back();
  if (const auto begun = entry.source->start(*this); !begun) {
    // A node without it still finds peers in the other ways, and does what it is told to by hand.
    entry.problem = begun.error().message();
  }
}

awaitable<void> Node::end_source(std::string name) {
  const auto found = std::ranges::find_if(
      sources_, [&](const Source& entry) { return entry.source->name() == name; });
  if (found == sources_.end()) co_return;
  // Out of the list first: nobody may use it while it ends.
  const Source ended = std::move(*found);
  sources_.erase(found);
  if (exchange_ == ended.source.get()) exchange_ = nullptr;
  if (beacon_ == ended.source.get()) beacon_ = nullptr;
  keeper_.forget_source(name);
  if (ended.problem.empty()) co_await ended.source->stop();
}

void Node::start_mdns() {
  if (!options_.mdns) return;
  if (watching_) options_.mdns->poll_interval.reset();
  auto own_addresses = [this] { return swarm_.listen_addresses(); };
  start_source(
      std::make_unique<discovery::MdnsService>(runtime_, id(), own_addresses, *options_.mdns));
}

void Node::start_beacon() {
  if (!options_.beacon) return;
  if (watching_) options_.beacon->poll_interval.reset();
  auto own_addresses = [this] { return swarm_.listen_addresses(); };
  auto source = std::make_unique<discovery::BeaconService>(runtime_, identity_, own_addresses,
                                                           *options_.beacon);
  beacon_ = source.get();
  start_source(std::move(source));
}

void Node::start_bootstrap() {
  discovery::BootstrapHooks hooks;
  hooks.dial = [this](Multiaddr address, TimePoint deadline) {
    return dial_bootstrap(std::move(address), deadline);
  };
  // Neighbours are no way into the network at large.
  hooks.connected_peers = [this] {
    const auto counts = keeper_.manager().counts();
    return counts.connected - counts.neighbours;
  };
  hooks.is_connected = [this](const PeerId& peer) { return swarm_.is_connected(peer); };
  auto source = std::make_unique<discovery::BootstrapSource>(runtime_, id(), std::move(hooks),
                                                             options_.bootstrap);
  bootstrap_ = source.get();
  start_source(std::move(source));
}

awaitable<Result<PeerId>> Node::dial_bootstrap(Multiaddr address, TimePoint deadline) {
  WARREN_CO_TRY(const PeerKeeper::Reached reached,
                co_await keeper_.dial(std::move(address), deadline));
  co_return reached.peer;
}

void Node::start_exchange() {
  if (!options_.exchange) return;
  discovery::ExchangeHooks hooks;
  hooks.candidates = [this] { return exchange_candidates(); };
  hooks.wants_peers = [this] { return keeper_.wants_peers(); };
  hooks.sample = [this](const PeerId& asker, const Multiaddr& remote, std::size_t count) {
    return records_for(asker, remote, count);
  };
  hooks.report = [this](const PeerId& peer, peers::ReputationEvent event) {
    keeper_.note(peer, event);
  };
  auto source =
      std::make_unique<discovery::ExchangeSource>(swarm_, std::move(hooks), *options_.exchange);
  exchange_ = source.get();
  start_source(std::move(source));
}

std::vector<discovery::ExchangeCandidate> Node::exchange_candidates() const {
  std::vector<discovery::ExchangeCandidate> candidates;
  PeerId last;
  for (const auto& connection : swarm_.connections()) {
    const PeerId& peer = connection->info().remote_peer;
    if (peer == last) continue;
    last = peer;
    const protocols::PeerIdentity* identity = identify_.find(peer);
    if (identity == nullptr || !identity->speaks(discovery::kExchangeProtocol)) continue;
    candidates.push_back({peer, keeper_.manager().is_well_chosen(peer)});
  }
  return candidates;
}

std::vector<std::shared_ptr<const peers::SignedRecord>> Node::records_for(const PeerId& asker,
                                                                          const Multiaddr& remote,
                                                                          std::size_t count) const {
  const bool local = peers::network_group(remote).kind == peers::NetworkGroup::Kind::kLocal;
  const WallTime now = keeper_.civil_now();
  return keeper_.book().sample_records(count, [&](const peers::Peer& peer) {
    if (peer.id == asker || keeper_.book().is_banned(peer.id, now)) return false;
    // Addresses of a local network mean nothing outside of it, and tell of it.
    const bool peer_is_local = std::ranges::any_of(peer.addresses, [](const auto& entry) {
      return peers::network_group(entry.address).kind == peers::NetworkGroup::Kind::kLocal;
    });
    return local || !peer_is_local;
  });
}

void Node::tell_sources() {
  for (Source& entry : sources_) {
    if (entry.problem.empty()) entry.source->addresses_changed();
  }
}

void Node::tell_links() {
  for (Source& entry : sources_) {
    const bool is_list = entry.source.get() == bootstrap_;
    if (entry.problem.empty() && !is_list) entry.source->addresses_changed();
  }
}

void Node::refresh() {
  for (Source& entry : sources_) {
    if (entry.problem.empty()) entry.source->refresh();
  }
  keeper_.retry_now();
}

std::vector<DiscoveryView> Node::discovery() const {
  std::vector<DiscoveryView> views;
  for (const Source& entry : sources_) {
    DiscoveryView view{.name = std::string(entry.source->name()), .problem = entry.problem};
    if (entry.problem.empty()) {
      view.summary = entry.source->summary();
      view.counters = entry.source->counters();
    }
    view.seen = keeper_.sightings().of(entry.source->name(), runtime_.now());
    views.push_back(std::move(view));
  }
  return views;
}

awaitable<Result<>> Node::reconfigure(NodeSettings settings) {
  keeper_.configure(settings.manager);
  if (transfers_) transfers_->set_bandwidth(settings.bandwidth);
  if (replicator_) replicator_->configure(settings.replication);
  if (catalog_) catalog_->wants_changed();
  if (bootstrap_ != nullptr) {
    bootstrap_->configure(settings.bootstrap_times);
    bootstrap_->replace(settings.bootstrap);
  }
  if (settings.measure != options_.measure) {
    options_.measure = settings.measure;
    serve_measurements(settings.measure);
  }
  if (settings.mdns_changed) {
    co_await end_source(std::string(discovery::kMdnsName));
    options_.mdns = std::move(settings.mdns);
    start_mdns();
  }
  if (settings.beacon_changed) {
    co_await end_source(std::string(discovery::kBeaconName));
    options_.beacon = std::move(settings.beacon);
    start_beacon();
  }
  if (settings.exchange_changed) {
    co_await end_source(std::string(discovery::kExchangeName));
    options_.exchange = settings.exchange;
    start_exchange();
  }
  for (const Source& entry : sources_) {
    if (entry.problem.empty()) continue;
    co_return fail(ErrorCode::kUnsupported, problem_of(entry));
  }
  co_return Result<>{};
}

std::string Node::problem_of(const Source& entry) {
  return fmt::format("{} does not run: {}", entry.source->name(), entry.problem);
}

void Node::serve_measurements(protocols::Audience audience) {
  swarm_.remove_handler(protocols::kPerfProtocol);
  swarm_.remove_handler(protocols::kEchoProtocol);
  if (audience == protocols::Audience::kNobody) return;
  protocols::serve_perf(swarm_, {.audience = audience});
  protocols::serve_echo(swarm_, {.audience = audience});
}

void Node::peer_found(const discovery::PeerHint& hint) { keeper_.found(hint); }
void Node::peer_lost(const discovery::PeerHint& hint) { keeper_.lost(hint); }

}  // namespace warren::node

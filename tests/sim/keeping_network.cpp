#include "keeping_network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "node_network.hpp"

namespace warren::sim {
namespace {

constexpr Host kNobody = 60'001;  // No node of a test has it.
constexpr Duration kStopTimeMax = 1min;

}  // namespace

KeepingNetwork::KeepingNetwork(std::uint64_t seed, KeepingOptions options)
    : world(seed),
      options_(std::move(options)),
      folder_(make_temporary_folder()),
      link_(std::make_shared<CutLink>(world)),
      hub_(link_),
      nobody_(world.make_runtime(kNobody)) {
  world.link.latency_min = 20ms;
  world.link.latency_max = 120ms;
  for (std::size_t i = 0; i < options_.nodes; ++i) add();
  for (std::size_t i = 0; i < options_.entries; ++i) entries_.push_back(residents_[i]->address);
  if (options_.attackers > 0) {
    attackers_ =
        std::make_unique<Attackers>(world, hub_, options_.attackers, options_.attacker_networks);
  }
  for (const auto& resident : residents_) start(*resident);
}

KeepingNetwork::~KeepingNetwork() {
  attack_ = false;
  std::vector<Resident*> all;
  for (const auto& resident : residents_) {
    if (resident->node) all.push_back(resident.get());
  }
  stop(all, false);
  attackers_.reset();
  residents_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

// ----------------------------------------------------------------------------------- the nodes

KeepingNetwork::Resident& KeepingNetwork::add() {
  auto resident = std::make_unique<Resident>();
  resident->host = static_cast<Host>(residents_.size() + 1);
  const std::uint64_t network = 1 + world.rng()() % options_.networks;
  resident->memory_id = network << 16 | resident->host;
  resident->id = PeerId::from_public_key(key_of(resident->host).public_key().protobuf());
  resident->address = Multiaddr::memory(resident->memory_id).with_peer(resident->id);
  resident->late = attack_;
  by_id_.emplace(resident->id, resident.get());
  residents_.push_back(std::move(resident));
  return *residents_.back();
}

void KeepingNetwork::start(Resident& resident) {
  resident.ghost_listener.reset();
  resident.ghost.reset();
  link_->end_silence(resident.memory_id);
  const std::filesystem::path folder = folder_ / fmt::format("{:05}", resident.host);
  std::filesystem::create_directories(folder);

  node::NodeOptions options;
  options.listen.push_back({Multiaddr::memory(resident.memory_id), true});
  options.bootstrap.peers = entries_;
  options.exchange = discovery::ExchangeOptions{};
  options.keeper.database = (folder / "peers.db").string();
  options.keeper.book.simulated = true;
  options.keeper.manager = options_.manager;
  // What is written at the end is the same, and the disk is not the matter here.
  options.keeper.keeping.write_interval = 10min;
  options.rehash_interval = 24h;
  options.database = ":memory:";
  options.download_dir = folder.string();

  const crypto::PrivateKey key = key_of(resident.host);
  resident.runtime = world.make_runtime(resident.host);
  resident.node = std::make_unique<node::Node>(*resident.runtime, key, std::move(options));
  resident.node->add_transport(std::make_unique<transport::memory::MemoryTransport>(
      *resident.runtime, hub_, key.public_key(),
      transport::memory::MemoryConfig{.node = resident.memory_id}));
  WARREN_CHECK(run(world, resident.node->start()));
  resident.since = world.now();
  if (attack_) attack(resident.host);
}

void KeepingNetwork::stop(const std::vector<Resident*>& who, bool goodbye) {
  if (!goodbye) {
    for (const Resident* resident : who) link_->silence(resident->memory_id);
  }
  std::vector<std::shared_ptr<runtime::TaskOutcome<void>>> ends;
  for (Resident* resident : who) {
    ends.push_back(runtime::start_task(world.executor(), resident->node->stop(), [] {}));
  }
  const auto all_ended = [&] {
    return std::ranges::all_of(ends, [](const auto& end) { return end->done; });
  };
  WARREN_CHECK(world.run_until(all_ended, kStopTimeMax));
  for (const auto& end : ends) end->get();
  for (Resident* resident : who) {
    resident->node.reset();
    resident->runtime.reset();
    if (goodbye) continue;
    resident->ghost = std::make_unique<transport::memory::MemoryTransport>(
        *nobody_, hub_, key_of(resident->host).public_key(),
        transport::memory::MemoryConfig{.node = resident->memory_id});
    auto listener = resident->ghost->listen(Multiaddr::memory(resident->memory_id));
    WARREN_CHECK(listener);
    resident->ghost_listener = *std::move(listener);
  }
}

KeepingNetwork::Resident& KeepingNetwork::any(const std::vector<Resident*>& of) {
  return *of[world.rng()() % of.size()];
}

void KeepingNetwork::churn() {
  std::vector<Resident*> here;
  std::vector<Resident*> gone;
  for (const auto& resident : residents_) {
    if (!resident->node) {
      gone.push_back(resident.get());
    } else if (!is_entry(*resident)) {
      here.push_back(resident.get());
    }
  }
  Resident& leaves = any(here);
  const bool comes_back = !gone.empty() && world.chance(0.5);
  Resident& joins = comes_back ? any(gone) : add();
  stop({&leaves}, world.chance(0.5));
  start(joins);
}

void KeepingNetwork::restart_all() {
  std::vector<Resident*> all;
  for (const auto& resident : residents_) {
    if (resident->node) all.push_back(resident.get());
  }
  stop(all, false);
  for (Resident* resident : all) start(*resident);
}

void KeepingNetwork::partition() {
  link_->reachable = [](std::uint64_t from, std::uint64_t to) { return from % 2 == to % 2; };
}

void KeepingNetwork::heal() { link_->reachable = nullptr; }

bool KeepingNetwork::reaches(const Resident& from, const Resident& to) const {
  return !link_->reachable || link_->reachable(from.memory_id, to.memory_id);
}

// --------------------------------------------------------------------------------- the attack

void KeepingNetwork::start_attack() {
  attack_ = true;
  for (const auto& resident : residents_) {
    if (resident->node) attack(resident->host);
  }
}

/// Begins to send one attacker after the other to what runs on `host` now.
void KeepingNetwork::attack(Host host) {
  const Resident& resident = *residents_[host - 1];
  const TimePoint since = resident.since;
  world.schedule(world.now() + world.between(1ms, options_.attack_interval), [this, host, since] {
    const Resident& target = *residents_[host - 1];
    if (!attack_ || !target.node || target.since != since) return;
    attackers_->approach(target.address);
    attack(host);
  });
}

// --------------------------------------------------------------------------------- to look at

std::vector<const KeepingNetwork::Resident*> KeepingNetwork::live() const {
  std::vector<const Resident*> live;
  for (const auto& resident : residents_) {
    if (resident->node) live.push_back(resident.get());
  }
  return live;
}

const KeepingNetwork::Resident* KeepingNetwork::find(const PeerId& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

/// Peers, in order of their ids.
std::vector<PeerId> KeepingNetwork::connected(const Resident& of) const {
  std::vector<PeerId> peers;
  for (const auto& connection : of.node->swarm().connections()) {
    const PeerId& peer = connection->info().remote_peer;
    if (peers.empty() || peers.back() != peer) peers.push_back(peer);
  }
  return peers;
}

std::size_t KeepingNetwork::peers(const Resident& of) const {
  std::size_t count = 0;
  for (const PeerId& peer : connected(of)) {
    const Resident* other = find(peer);
    count += other == nullptr || (other->node && reaches(of, *other));
  }
  return count;
}

std::size_t KeepingNetwork::links_across(const Resident& of) const {
  std::size_t links = 0;
  for (const PeerId& peer : connected(of)) {
    const Resident* other = find(peer);
    links += other != nullptr && other->node && other->host % 2 != of.host % 2;
  }
  return links;
}

double KeepingNetwork::attackers_share(const Resident& of) const {
  std::size_t chosen = 0;
  std::size_t attackers = 0;
  for (const auto& [group, count] : of.node->keeper().manager().outbound_groups()) {
    chosen += count;
    if (attackers_ && attackers_->owns(group)) attackers += count;
  }
  const std::size_t least = options_.manager.outbound_min.value_or(target() / 4);
  return static_cast<double>(attackers) / static_cast<double>(std::max(chosen, least));
}

void KeepingNetwork::check_invariants() const {
  for (const Resident* resident : live()) {
    resident->node->keeper().manager().check_invariants();
    resident->node->keeper().book().check_invariants();
    WARREN_CHECK(resident->node->swarm().stats().tasks_failed == 0);
  }
}

}  // namespace warren::sim

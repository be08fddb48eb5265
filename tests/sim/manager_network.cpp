#include "manager_network.hpp"

#include <algorithm>
#include <set>

#include "base/check.hpp"
#include "swarm/manager/rig_for_test.hpp"

namespace warren::sim {
namespace {

using swarm::testing::address;
using swarm::testing::peer_id;

constexpr WallTime kCivilStart{std::chrono::hours(24 * 365 * 50)};
// As limits::Exchange has it of all tellers together.
constexpr double kAddressesPerSecond = 0.5;
constexpr double kAddressesBurst = 300;
constexpr std::size_t kRecordsMax = 32;
// From a connection to the question: who it is has been said by then.
constexpr Duration kAskChosenAfter = 1s;

std::shared_ptr<const peers::SignedRecord> record_of(std::uint32_t number) {
  peers::SignedRecord record;
  for (const int shift : {24, 16, 8, 0}) {
    record.envelope.push_back(static_cast<std::uint8_t>(number >> shift));
  }
  record.sequence = 1;
  return std::make_shared<const peers::SignedRecord>(std::move(record));
}

std::uint32_t number_in(const peers::SignedRecord& record) {
  std::uint32_t number = 0;
  for (const std::uint8_t byte : record.envelope) number = number << 8 | byte;
  return number;
}

}  // namespace

double ManagerNetwork::Outbound::share() const {
  return slots == 0 ? 0 : static_cast<double>(attackers) / static_cast<double>(slots);
}

ManagerNetwork::ManagerNetwork(std::uint64_t seed, ManagerNetworkOptions options)
    : options_(std::move(options)), rng_(seed) {
  for (std::size_t i = 0; i < options_.nodes; ++i) live_.push_back(add(false));
  for (std::size_t i = 0; i < options_.attackers; ++i) attackers_.push_back(add(true));
  for (const Number number : live_) start(*nodes_[number], true);
}

ManagerNetwork::Number ManagerNetwork::add(bool attacker) {
  auto node = std::make_unique<Node>();
  node->number = static_cast<Number>(nodes_.size());
  node->attacker = attacker;
  node->late = attack_;
  node->id = peer_id(node->number);
  // The attacker's networks are none of the others'.
  std::uniform_int_distribution<std::uint32_t> die(1, options_.networks);
  const std::uint32_t network =
      attacker ? 10'000 + node->number % options_.attacker_networks : die(rng_);
  node->address = address(network, node->number);
  node->rng.seed(rng_());
  numbers_.emplace(node->id, node->number);
  nodes_.push_back(std::move(node));
  return nodes_.back()->number;
}

// ----------------------------------------------------------------------------------- the nodes

void ManagerNetwork::start(Node& node, bool fresh) {
  node.live = true;
  node.since = now_;
  ++node.run;
  peers::BookConfig config;
  config.secret.fill(static_cast<std::uint8_t>(node.number));
  node.manager.reset();
  node.book = std::make_unique<peers::PeerBook>(node.id, config, node.rng);
  if (!fresh) node.book->restore(node.stored, {}, {}, moment().civil);
  node.manager =
      std::make_unique<swarm::ConnectionManager>(node.id, options_.config, *node.book, node.rng);
  node.asked.clear();
  node.allowance = kAddressesBurst;
  node.allowance_at = now_;
  node.wake = kNever;
  if (fresh) find_entries(node);
  post(between(0s, 1s), What::kLook, node);
  node.ask_interval = options_.ask_interval_first;
  post(between(1s, node.ask_interval), What::kAsk, node);
  if (attack_) post(between(0s, options_.attack_interval), What::kAttack, node);
}

void ManagerNetwork::stop(Node& node, bool goodbye) {
  node.stored.clear();
  for (const auto& [id, peer] : node.book->all()) node.stored.push_back(peer);
  node.live = false;
  ++node.run;
  for (const auto& [other, link] : node.links) {
    Node& there = *nodes_[other];
    if (there.attacker) {
      there.links.erase(node.number);
      continue;
    }
    const Duration after = goodbye ? between(options_.latency_min, options_.latency_max)
                                   : between(options_.loss_min, options_.loss_max);
    // A node that ends asks for nothing: it may be back soon.
    post(after, What::kGone, there, node.number, link.serial, goodbye ? Duration(0) : -1ns);
  }
  node.links.clear();
}

void ManagerNetwork::churn() {
  std::uniform_int_distribution<std::size_t> die(0, live_.size() - 1);
  const std::size_t index = die(rng_);
  const Number leaves = live_[index];
  live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(index));
  stop(*nodes_[leaves], std::bernoulli_distribution(0.5)(rng_));

  const bool comes_back = !gone_.empty() && std::bernoulli_distribution(0.5)(rng_);
  Number joins = 0;
  if (comes_back) {
    std::uniform_int_distribution<std::size_t> which(0, gone_.size() - 1);
    const std::size_t at = which(rng_);
    joins = gone_[at];
    gone_.erase(gone_.begin() + static_cast<std::ptrdiff_t>(at));
  } else {
    joins = add(false);
  }
  gone_.push_back(leaves);
  start(*nodes_[joins], !comes_back);
  live_.push_back(joins);
  trace(leaves);
  trace(joins);
}

void ManagerNetwork::restart(Number number) {
  Node& node = *nodes_[number];
  stop(node, false);
  start(node, false);
}

void ManagerNetwork::start_attack() {
  attack_ = true;
  for (const Number number : live_) {
    post(between(0s, options_.attack_interval), What::kAttack, *nodes_[number]);
  }
}

void ManagerNetwork::partition() {
  parted_ = true;
  for (const Number number : live_) {
    Node& node = *nodes_[number];
    for (const auto& [other, link] : node.links) {
      if (reachable(node, *nodes_[other])) continue;
      post(between(options_.loss_min, options_.loss_max), What::kGone, node, other, link.serial,
           -1ns);
    }
  }
}

void ManagerNetwork::heal() { parted_ = false; }

bool ManagerNetwork::reachable(const Node& a, const Node& b) const {
  return !parted_ || a.number % 2 == b.number % 2;
}

void ManagerNetwork::learn(Node& node, const Node& about, peers::Origin origin,
                           const Node* teller) {
  peers::Learnt learnt;
  learnt.peer = about.id;
  learnt.addresses = {about.address};
  learnt.origin = origin;
  if (teller != nullptr) learnt.told_by = peers::network_group(teller->address);
  if (origin != peers::Origin::kBootstrap) learnt.record = record_of(about.number);
  if (node.book->learn(learnt, moment().civil) > 0) node.manager->book_changed(about.id);
}

void ManagerNetwork::step(Node& node) {
  for (const swarm::ManagerAction& action : node.manager->next(moment())) {
    if (const auto* dial = std::get_if<swarm::DialPeer>(&action)) {
      const Number other = numbers_.at(dial->peer);
      trace(std::uint64_t{node.number} << 32 | other);
      Node& there = *nodes_[other];
      const bool answers = (there.live || there.attacker) && reachable(node, there);
      if (answers) {
        post(between(options_.latency_min, options_.latency_max), What::kArrive, node, other);
      } else {
        post(options_.dial_time, What::kDialFailed, node, other);
      }
    } else {
      const auto& goodbye = std::get<swarm::ClosePeer>(action);
      const bool full =
          goodbye.why == swarm::LetGo::kFull || goodbye.why == swarm::LetGo::kReplaced;
      const Number other = numbers_.at(goodbye.peer);
      trace(std::uint64_t{other} << 32 | node.number);
      close(node, other, full ? options_.config.left_alone : Duration(0));
    }
  }
  const TimePoint wake = node.manager->next_wake();
  if (wake == kNever || wake >= node.wake) return;
  node.wake = wake;
  post(std::max(wake - now_, Duration(0)), What::kWake, node);
}

void ManagerNetwork::link(Node& node, Node& other, bool outbound, std::uint64_t serial) {
  node.links[other.number] = {outbound, serial};
  if (node.attacker) return;
  node.manager->connected(other.id, outbound, other.address, moment());
  node.book->measured(other.id, 2 * between(options_.latency_min, options_.latency_max),
                      moment().civil);
  learn(node, other, outbound ? peers::Origin::kExchange : peers::Origin::kInbound, nullptr);
}

void ManagerNetwork::arrive(Node& from, Node& to) {
  const bool answers = (to.live || to.attacker) && reachable(from, to);
  if (!answers) return post(options_.dial_time, What::kDialFailed, from, to.number);
  const bool known = from.links.contains(to.number);
  // The other end may not have noticed yet that an earlier connection has gone.
  if (!to.attacker && to.links.contains(from.number) && !known) {
    to.links.erase(from.number);
    to.manager->disconnected(from.id, 1000, 1000, moment());
  }
  if (!known) {
    ++links_;
    link(from, to, true, links_);
    link(to, from, false, links_);
  }
  if (!from.attacker) {
    from.manager->dial_ended(to.id, true, moment());
    post(kAskChosenAfter, What::kAskChosen, from, to.number);
  }
  if (!to.attacker) step(to);
  if (!from.attacker && from.live) step(from);
}

void ManagerNetwork::close(Node& node, Number other, std::optional<Duration> retry_after) {
  const auto found = node.links.find(other);
  if (found == node.links.end()) return;
  const std::uint64_t serial = found->second.serial;
  node.links.erase(found);
  Node& there = *nodes_[other];
  node.manager->disconnected(there.id, 1000, 1000, moment());
  if (there.attacker) {
    there.links.erase(node.number);
    return;
  }
  if (!there.live) return;
  post(between(options_.latency_min, options_.latency_max), What::kGone, there, node.number, serial,
       retry_after.value_or(-1ns));
}

void ManagerNetwork::ask(Node& node) {
  std::vector<Number> candidates;
  for (const bool well_chosen : {true, false}) {
    for (const auto& [other, link] : node.links) {
      const auto asked = node.asked.find(other);
      const bool lately =
          asked != node.asked.end() && now_ - asked->second < options_.ask_same_interval;
      if (node.manager->is_well_chosen(nodes_[other]->id) == well_chosen && !lately) {
        candidates.push_back(other);
      }
    }
    if (!candidates.empty()) break;
  }
  if (candidates.empty()) return;
  std::uniform_int_distribution<std::size_t> die(0, candidates.size() - 1);
  Node& teller = *nodes_[candidates[die(node.rng)]];
  node.asked[teller.number] = now_;

  std::vector<Number> told;
  if (teller.attacker) {
    std::ranges::sample(attackers_, std::back_inserter(told), kRecordsMax, rng_);
  } else {
    const auto records = teller.book->sample_records(
        kRecordsMax, [&](const peers::Peer& peer) { return peer.id != node.id; });
    for (const auto& record : records) told.push_back(number_in(*record));
  }
  const double seconds = std::chrono::duration<double>(now_ - node.allowance_at).count();
  node.allowance = std::min(node.allowance + seconds * kAddressesPerSecond, kAddressesBurst);
  node.allowance_at = now_;
  for (const Number about : told) {
    if (node.allowance < 1) break;
    node.allowance -= 1;
    learn(node, *nodes_[about], peers::Origin::kExchange, &teller);
  }
}

void ManagerNetwork::find_entries(Node& node) {
  for (std::size_t i = 0; i < options_.entries; ++i) {
    const Number entry = any(live_);
    if (entry != node.number) learn(node, *nodes_[entry], peers::Origin::kBootstrap, nullptr);
  }
}

void ManagerNetwork::attack(Node& node) {
  Node& attacker = *nodes_[any(attackers_)];
  if (!node.links.contains(attacker.number)) arrive(attacker, node);
}

// ----------------------------------------------------------------------------------- the events

void ManagerNetwork::handle(const Event& event) {
  Node& node = *nodes_[event.node];
  if (event.run != node.run || !node.live) return;
  switch (event.what) {
    case What::kWake:
      if (event.at < node.wake) return;
      node.wake = kNever;
      break;
    case What::kArrive: return arrive(node, *nodes_[event.other]);
    case What::kDialFailed:
      node.manager->dial_ended(nodes_[event.other]->id, false, moment());
      break;
    case What::kGone: {
      const auto found = node.links.find(event.other);
      if (found == node.links.end() || found->second.serial != event.detail) return;
      const PeerId& other = nodes_[event.other]->id;
      if (event.retry_after >= Duration(0)) {
        node.manager->said_goodbye(other, event.retry_after, moment());
      }
      node.links.erase(found);
      node.manager->disconnected(other, 1000, 1000, moment());
      break;
    }
    case What::kAsk:
      ask(node);
      post(node.ask_interval, What::kAsk, node);
      node.ask_interval = std::min(2 * node.ask_interval, options_.ask_interval);
      break;
    case What::kAskChosen:
      if (node.links.contains(event.other) &&
          node.manager->is_well_chosen(nodes_[event.other]->id)) {
        ask(node);
      }
      break;
    case What::kLook:
      // What the bootstrap source does: it is there when there are too few.
      if (node.links.empty()) find_entries(node);
      if (node.manager->wants_peers(moment())) {
        for (int i = 0; i < 3; ++i) ask(node);
      }
      post(10s, What::kLook, node);
      break;
    case What::kAttack:
      attack(node);
      post(options_.attack_interval, What::kAttack, node);
      break;
  }
  step(node);
}

void ManagerNetwork::run_for(Duration time) {
  const TimePoint end = now_ + time;
  while (!events_.empty() && events_.top().at <= end) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    handle(event);
  }
  now_ = end;
}

void ManagerNetwork::post(Duration after, What what, const Node& node, Number other,
                          std::uint64_t detail, Duration retry_after) {
  events_.push({now_ + after, ++serial_, what, node.number, other, node.run, detail, retry_after});
}

// --------------------------------------------------------------------------------- to look at

std::size_t ManagerNetwork::peers(Number number) const {
  const Node& node = *nodes_[number];
  return static_cast<std::size_t>(std::ranges::count_if(node.links, [&](const auto& link) {
    const Node& other = *nodes_[link.first];
    return (other.live || other.attacker) && reachable(node, other);
  }));
}

ManagerNetwork::Outbound ManagerNetwork::outbound(Number number) const {
  Outbound outbound;
  for (const auto& [other, link] : nodes_[number]->links) {
    if (!link.outbound) continue;
    ++outbound.all;
    if (nodes_[other]->attacker) ++outbound.attackers;
  }
  outbound.slots = std::max(
      outbound.all, options_.config.outbound_min.value_or(options_.config.target_peers / 4));
  return outbound;
}

Duration ManagerNetwork::up(Number node) const { return now_ - nodes_[node]->since; }

bool ManagerNetwork::is_fresh(Number node) const { return nodes_[node]->late; }

std::size_t ManagerNetwork::links_across() const {
  std::size_t links = 0;
  for (const Number number : live_) {
    for (const auto& [other, link] : nodes_[number]->links) {
      if (link.outbound && other % 2 != number % 2 && nodes_[other]->live) ++links;
    }
  }
  return links;
}

void ManagerNetwork::check_invariants() const {
  for (const Number number : live_) {
    const Node& node = *nodes_[number];
    node.manager->check_invariants();
    WARREN_CHECK(node.manager->counts().connected <= node.links.size());
  }
}

swarm::Moment ManagerNetwork::moment() const {
  return {now_, kCivilStart + now_.time_since_epoch()};
}

Duration ManagerNetwork::between(Duration least, Duration most) {
  std::uniform_int_distribution<Duration::rep> die(least.count(), most.count());
  return Duration(die(rng_));
}

ManagerNetwork::Number ManagerNetwork::any(const std::vector<Number>& of) {
  std::uniform_int_distribution<std::size_t> die(0, of.size() - 1);
  return of[die(rng_)];
}

void ManagerNetwork::trace(std::uint64_t value) {
  trace_ = (trace_ ^ value) * 1'099'511'628'211ull;  // FNV-1a's prime.
  trace_ =
      (trace_ ^ static_cast<std::uint64_t>(now_.time_since_epoch().count())) * 1'099'511'628'211ull;
}

}  // namespace warren::sim

#pragma once
// Many connection managers with their books of peers, and between them a network that knows only
// who can reach whom and how long it takes: no protocols, no coroutines, a virtual clock. Fast
// enough for days of hundreds of nodes. What is left out is what keeping_test.cpp has.

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <vector>

#include "peers/peer_book.hpp"
#include "swarm/manager/connection_manager.hpp"

namespace warren::sim {

/// The initialisers are a network of machines at home.
struct ManagerNetworkOptions {
  std::size_t nodes = 200;
  /// The honest ones are spread over so many /16s at random.
  std::uint32_t networks = 100;
  swarm::ManagerConfig config;
  Duration latency_min = 20ms;
  Duration latency_max = 120ms;
  /// After this silence a dial has failed.
  Duration dial_time = 5s;
  /// A connection whose other end has gone without a word is noticed after so long: the heartbeat.
  Duration loss_min = 30s;
  Duration loss_max = 60s;
  Duration ask_interval = 5min;        ///< One connected peer is asked for others.
  Duration ask_interval_first = 10s;   ///< The same at the start: doubles to that.
  Duration ask_same_interval = 10min;  ///< The same peer not more often.
  std::size_t entries = 4;             ///< Nodes that a fresh one is told of.

  std::size_t attackers = 0;
  std::uint32_t attacker_networks = 16;
  /// Every node is dialled by one more attacker each time.
  Duration attack_interval = 1s;
};

class ManagerNetwork {
 public:
  using Number = std::uint32_t;

  ManagerNetwork(std::uint64_t seed, ManagerNetworkOptions options);

  void run_for(Duration time);
  TimePoint now() const { return now_; }

  /// One live node leaves, with a goodbye or without; one joins: a fresh one, or one that left.
  void churn();
  void start_attack();
  /// The node ends without a word and begins anew with what its store has.
  void restart(Number node);
  /// Nodes with odd and even numbers cannot reach each other any more, or can again.
  void partition();
  void heal();

  const std::vector<Number>& live() const { return live_; }
  /// Live peers that it is connected to, feelers not counted.
  std::size_t peers(Number node) const;
  struct Outbound {
    std::size_t slots = 0;  ///< Chosen peers, or those that it wants to have at least.
    std::size_t all = 0;
    std::size_t attackers = 0;
    double share() const;
  };
  Outbound outbound(Number node) const;
  /// How long it has been up since it joined or was started again.
  Duration up(Number node) const;
  /// It joined for the first time after the attack began.
  bool is_fresh(Number node) const;
  /// Connections between the halves of partition().
  std::size_t links_across() const;
  std::size_t target() const { return options_.config.target_peers; }
  std::uint64_t trace_hash() const { return trace_; }
  std::uint64_t events() const { return serial_; }
  void check_invariants() const;

 private:
  struct Link {
    bool outbound = false;
    std::uint64_t serial = 0;  ///< The same on both sides.
  };
  struct Node {
    Number number = 0;
    bool attacker = false;
    bool live = false;
    bool late = false;
    TimePoint since{};
    PeerId id;
    Multiaddr address;
    std::uint64_t run = 0;  ///< Of its starts: what was meant for an earlier one is dropped.
    std::mt19937_64 rng;
    std::unique_ptr<peers::PeerBook> book;
    std::unique_ptr<swarm::ConnectionManager> manager;
    std::vector<peers::Peer> stored;
    std::map<Number, Link> links;
    std::map<Number, TimePoint> asked;
    Duration ask_interval{};
    double allowance = 0;
    TimePoint allowance_at{};
    TimePoint wake = kNever;
  };
  enum class What : std::uint8_t {
    kWake,
    kArrive,
    kDialFailed,
    kGone,
    kAsk,
    kAskChosen,
    kAttack,
    kLook
  };
  struct Event {
    TimePoint at;
    std::uint64_t serial = 0;
    What what = What::kWake;
    Number node = 0;
    Number other = 0;
    std::uint64_t run = 0;     ///< Of `node`.
    std::uint64_t detail = 0;  ///< A link's serial, or why it went.
    Duration retry_after{};
    bool operator>(const Event& event) const {
      return std::tie(at, serial) > std::tie(event.at, event.serial);
    }
  };

  Number add(bool attacker);
  void start(Node& node, bool fresh);
  void stop(Node& node, bool goodbye);
  void step(Node& node);
  void handle(const Event& event);
  void arrive(Node& from, Node& to);
  void link(Node& node, Node& other, bool outbound, std::uint64_t serial);
  void close(Node& node, Number other, std::optional<Duration> retry_after);
  void ask(Node& node);
  void find_entries(Node& node);
  void attack(Node& node);
  void learn(Node& node, const Node& about, peers::Origin origin, const Node* teller);
  bool reachable(const Node& a, const Node& b) const;
  void post(Duration after, What what, const Node& node, Number other = 0, std::uint64_t detail = 0,
            Duration retry_after = {});
  swarm::Moment moment() const;
  Duration between(Duration least, Duration most);
  Number any(const std::vector<Number>& of);
  void trace(std::uint64_t value);

  ManagerNetworkOptions options_;
  std::mt19937_64 rng_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<PeerId, Number> numbers_;
  std::vector<Number> live_;
  std::vector<Number> gone_;
  std::vector<Number> attackers_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  TimePoint now_{1h};
  std::uint64_t serial_ = 0;
  std::uint64_t links_ = 0;
  std::uint64_t trace_ = 14'695'981'039'346'656'037ull;  // FNV-1a's offset basis.
  bool parted_ = false;
  bool attack_ = false;
};

}  // namespace warren::sim

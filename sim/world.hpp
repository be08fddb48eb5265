#pragma once
// The simulated world: one virtual clock, one seed, a network of hosts. Single-threaded.
//
//   sim::World world(sim::seed_from_env(42));
//   auto runtime = world.make_runtime(1);
//   const Result<int> got = sim::run(world, exchange(*runtime));
//   EXPECT_TRUE(got) << world.replay_hint();
//
// The same seed and the same code give the same trace_hash(). Nothing here iterates over an
// unordered container or a container keyed by pointers.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "runtime/cancellation.hpp"
#include "runtime/run_task.hpp"
#include "runtime/runtime.hpp"
#include "sim/link_model.hpp"

namespace warren::sim {

namespace asio = boost::asio;
using asio::awaitable;

/// A host of the simulated network, 1 to 65,534. 0 is no host.
using Host = std::uint32_t;

/// The seed in the environment variable SIM_SEED, else `fallback`.
std::uint64_t seed_from_env(std::uint64_t fallback);
/// `count` seeds for a test that runs over several: `first`, `first` + 1 ... SIM_SEED replaces them
/// all by one, SIM_SEEDS by that many.
std::vector<std::uint64_t> seeds_from_env(std::uint64_t first, std::size_t count);

/// Addresses of a host: 10.0.0.0/16 and fd00::/64 (routed), fe80::/64 on interface 2.
IpAddress host_v4(Host host);
IpAddress host_v6(Host host);
IpAddress host_link_local(Host host);
/// The host that has `ip`; 0 when none can.
Host host_of(const IpAddress& ip);

/// Interface indices on every simulated host.
inline constexpr std::uint32_t kLoopbackInterface = 1;
inline constexpr std::uint32_t kLanInterface = 2;

/// What the network did since the start.
struct Counters {
  std::uint64_t datagrams_sent = 0;
  std::uint64_t datagrams_lost = 0;        ///< By LinkModel::loss or a partition.
  std::uint64_t datagrams_queue_full = 0;  ///< Dropped at a full link queue.
  std::uint64_t datagrams_inbox_full = 0;  ///< Dropped at a full socket.
  std::uint64_t datagrams_no_socket = 0;   ///< Nobody listened.
  std::uint64_t stream_bytes_sent = 0;
  std::uint64_t events = 0;
};

/// What the name servers of the simulated world say about a name.
struct NameRecord {
  std::vector<IpAddress> addresses{};
  std::vector<std::string> texts{};
  Duration delay = 5ms;                           ///< Until the answer.
  std::optional<ErrorCode> error = std::nullopt;  ///< The answer is this failure.
  bool silent = false;                            ///< No answer ever.
};

class Network;

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// The world as `host` sees it. One per host and node; must not outlive the world. A host may be
  /// started again after its runtime is gone.
  std::unique_ptr<runtime::Runtime> make_runtime(Host host);
  asio::any_io_executor executor() { return loop_.get_executor(); }

  // ----------------------------------------------------------------------------- the network
  // Everything here may be changed while the world runs; what is under way keeps its arrival.

  /// Between any two hosts without a link of their own. A host reaches itself in 20 us.
  LinkModel link;
  /// The link from `from` to `to` alone; the other direction is its own.
  void set_link(Host from, Host to, LinkModel model);
  /// Both directions.
  void set_links_between(Host a, Host b, LinkModel model);
  void clear_links() { links_.clear(); }
  const LinkModel& link_between(Host from, Host to) const;

  /// Whether anything sent now gets from one host to another. Asked at the moment of arrival.
  std::function<bool(Host from, Host to)> reachable;
  /// Cuts the hosts in `island` off from all others.
  void partition(std::vector<Host> island);
  /// Ends all faults: no partition, `link` and every own link replaced by `model`.
  void heal(LinkModel model = {});
  /// Puts `host` on another virtual LAN: multicast stays within one. All begin on LAN 0.
  void set_lan(Host host, std::uint32_t lan) { lans_[host] = lan; }
  std::uint32_t lan_of(Host host) const;

  /// Gives `host` one more address on its LAN interface, from now on, or takes it back. It is
  /// routed like the built-in ones; one that is public is the source towards public addresses.
  void add_address(Host host, IpAddress ip);
  void remove_address(Host host, IpAddress ip);
  /// Puts `host` behind a NAT that maps it to `ip` alone: public addresses see it come from there
  /// and reach it there; the host itself does not know. At most one per host and family.
  void set_outside_address(Host host, IpAddress ip);
  const std::vector<IpAddress>& added_addresses(Host host) const;
  std::optional<IpAddress> outside_address(Host host, bool v6) const;
  /// The host that has `ip`, built-in, added or outside; 0 when none.
  Host owner_of(const IpAddress& ip) const;

  /// What names resolve to, on every host; any other name is not found. In lower case.
  std::map<std::string, NameRecord> names;
  /// Questions asked by name so far.
  std::map<std::string, std::size_t> names_asked;

  /// Carries `bytes` bytes from one host to another and then calls `deliver`: in order for one
  /// `flow`, never inline. During a partition it waits until the partition is over. For reliable
  /// transports; `flow` is one of new_flow().
  void carry(std::uint64_t flow, Host from, Host to, std::size_t bytes,
             std::move_only_function<void()> deliver);
  std::uint64_t new_flow() { return ++flow_serial_; }
  /// Drops what is under way on it.
  void end_flow(std::uint64_t flow);

  // -------------------------------------------------------------------------------- the time

  TimePoint now() const { return now_; }
  /// Runs every event up to and including `end`, then sets the clock to `end`.
  void run_to(TimePoint end);
  void run_for(Duration duration) { run_to(now_ + duration); }
  /// Runs until `done` holds, at most for `max` of virtual time. Asked after every event.
  /// Returns whether it holds.
  bool run_until(const std::function<bool()>& done, Duration max);

  using EventKey = std::pair<TimePoint, std::uint64_t>;  ///< The serial breaks ties.
  /// Runs `event` at `at`, or as soon as possible when that is past.
  EventKey schedule(TimePoint at, std::move_only_function<void()> event);
  /// False when it has run or was cancelled already.
  bool cancel(const EventKey& key) { return events_.erase(key) != 0; }

  // ---------------------------------------------------------------------- the seed, the trace

  std::uint64_t seed() const { return seed_; }
  /// "replay with SIM_SEED=42": belongs into every failure message.
  std::string replay_hint() const;
  std::uint64_t trace_hash() const { return trace_hash_; }
  /// Adds to the trace: what a test or a simulated part decides.
  void trace(std::initializer_list<std::uint64_t> values);
  const Counters& counters() const { return counters_; }
  Counters& counters() { return counters_; }

  /// Dice of the network. Nodes have their own (Runtime::rng).
  std::mt19937_64& rng() { return rng_; }
  bool chance(double probability);
  /// Uniform in [min, max].
  Duration between(Duration min, Duration max);

  // -------------------------------------------------- for the parts of the simulated world

  Network& network() { return *network_; }
  /// Parks the calling coroutine until wake(*waiter, ...), its cancellation or `deadline`.
  /// `waiter` must outlive the call; it is set before anything can happen.
  awaitable<runtime::Wake> park(TimePoint deadline, std::uint64_t* waiter);
  /// Wakes by way of the executor. False when nobody is parked there (any more).
  bool wake(std::uint64_t waiter, runtime::Wake how);
  /// Those that want to hear of a change of the addresses of `host`.
  std::map<Host, std::vector<std::function<void()>*>> address_watchers;
  /// When `bytes` bytes sent now are through the bottleneck of the link; nullopt when more than
  /// queue_bytes_max would wait there. Takes the room.
  std::optional<TimePoint> through_bottleneck(Host from, Host to, std::size_t bytes, bool may_drop);

 private:
  struct Waiter {
    std::move_only_function<void(runtime::Wake)> handler;
    std::optional<EventKey> timer;
  };
  struct Parcel {
    TimePoint at;
    Host from, to;
    std::move_only_function<void()> deliver;
  };

  void drain();
  bool step(TimePoint end);
  void arrive(std::uint64_t flow);

  std::uint64_t seed_;
  std::mt19937_64 rng_;
  TimePoint now_;
  std::uint64_t event_serial_ = 0;
  std::uint64_t waiter_serial_ = 0;
  std::uint64_t flow_serial_ = 0;
  std::uint64_t trace_hash_ = 14'695'981'039'346'656'037ull;  // FNV-1a's offset basis.
  Counters counters_;
  std::map<EventKey, std::move_only_function<void()>> events_;
  std::map<std::uint64_t, Waiter> waiters_;
  std::map<std::uint64_t, std::deque<Parcel>> flows_;
  std::map<std::pair<Host, Host>, LinkModel> links_;
  std::map<std::pair<Host, Host>, TimePoint> busy_until_;
  std::map<Host, std::uint32_t> lans_;
  std::map<Host, std::vector<IpAddress>> added_;
  std::map<Host, std::vector<IpAddress>> outside_;
  std::map<IpAddress, Host> owners_;
  LinkModel loopback_;
  std::unique_ptr<Network> network_;
  asio::io_context loop_{1};
};

namespace detail {

/// Runs the world until `done`. Throws std::runtime_error with the replay hint when it is not done
/// after `max`, or when nothing is left that could happen.
void drive(World& world, const bool& done, Duration max);
}  // namespace detail

/// Runs `task` as a root task, the world around it, and returns its result. For tests: throws when
/// the task throws, or has not ended after `max` of virtual time.
template <class T>
T run(World& world, awaitable<T> task, Duration max = std::chrono::hours(24)) {
  const auto outcome = runtime::start_task(world.executor(), std::move(task), [] {});
  detail::drive(world, outcome->done, max);
  return outcome->get();
}

}  // namespace warren::sim

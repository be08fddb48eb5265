#pragma once
// The beacon as a state machine without I/O: packets, changes and the times go in; packets, found
// peers and the next wake-up come out. Protocol: docs/protocols/beacon.md.

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "crypto/keys.hpp"
#include "discovery/beacon/beacon_codec.hpp"
#include "discovery/beacon/beacon_service.hpp"
#include "discovery/beacon/beacon_table.hpp"
#include "discovery/link_events.hpp"
#include "discovery/token_bucket.hpp"

namespace warren::discovery::beacon {

struct MachineConfig {
  BeaconMode mode = BeaconMode::kAuto;
  Duration interval = 2s;
  Duration timeout = 5s;
  Duration sweep = 1s;
  std::function<SpareCapacity()> spare{};
  limits::Beacon limits{};
};

// What the caller must then do.
/// Send it on the interface. Without an address to send from in an IP version, that is left out.
struct SendPacket {
  std::uint32_t interface_index = 0;
  Bytes bytes;
  std::optional<IpAddress> from_v4;
  std::optional<IpAddress> from_v6;
  bool multicast = false;
  bool broadcast = false;  ///< IPv4 alone.
};
using Action = std::variant<SendPacket, TellFound, TellLost, SetTimer>;

/// Both clocks at one moment.
struct Now {
  TimePoint mono;
  WallTime wall;
};

/// What happened on one interface.
struct LinkCounters {
  std::uint64_t heard = 0;        ///< Packets, our own left out.
  std::uint64_t heard_peers = 0;  ///< Beacons among them that hold, copies left out.
  std::uint64_t malformed = 0;
  std::uint64_t own_multicast = 0;  ///< Our own that came back by multicast.
  std::uint64_t multicast = 0;      ///< Of heard_peers and their copies, by multicast.
  std::uint64_t broadcast = 0;      ///< The same by broadcast.
};

class BeaconMachine {
 public:
  /// `rng` must outlive the machine. The times and limits of `config` must be positive.
  BeaconMachine(MachineConfig config, crypto::PrivateKey key, std::mt19937_64& rng);

  /// Takes one event, returns the actions in order. Total: every event is legal at any time.
  std::vector<Action> handle(const LinkEvent& event, Now now);

  /// Walks over everything; for tests and fuzzing.
  void check_all() const { table_.check_all(); }
  std::size_t peers() const noexcept { return table_.peers(); }
  std::size_t bytes() const noexcept { return table_.bytes(); }
  const std::map<std::uint32_t, LinkCounters>& counters() const noexcept { return counters_; }
  const BeaconDrops& drops() const noexcept { return drops_; }
  /// Signatures looked at.
  std::uint64_t checked() const noexcept { return checked_; }
  std::optional<Duration> clock_ahead() const { return table_.clock_ahead(); }
  std::optional<Duration> stale_ahead() const { return stale_ahead_; }
  /// Whether the last beacon there went by broadcast.
  bool broadcasting(std::uint32_t interface_index) const;

 private:
  static constexpr TimePoint kLongAgo{Duration::min() / 2};
  using Actions = std::vector<Action>;
  struct Link {
    LinkInterface interface;
    std::vector<Multiaddr> announced;
    TimePoint came_up;
    TimePoint next_send = kNever;
    TimePoint last_send = kLongAgo;
    TimePoint own_multicast_at = kLongAgo;
    int repeats_left = 0;  ///< Of the first beacon, soon after it.
    bool broadcasting = false;
  };

  void on(const InterfacesChanged& event, Now now, Actions& out);
  void on(const AddressesChanged& event, Now now, Actions& out);
  void on(const PacketReceived& event, Now now, Actions& out);
  void on(const TimerFired& event, Now now, Actions& out);
  void on(const RefreshAsked& event, Now now, Actions& out);
  void on(const StopAsked& event, Now now, Actions& out);

  void choose_addresses(Link& link, Now now);
  bool wants_broadcast(const Link& link, TimePoint now) const;
  void send(Link& link, bool goodbye, Now now, Actions& out);
  std::optional<Announcement> read(const RawKey& key, KnownPeer* peer, const Sighting* sighting,
                                   const PacketReceived& event, const Link& link, Now now);
  void take(const RawKey& key, const Arrival& arrival, const Announcement& said, Link& link,
            Now now);
  double known_rate() const;
  TokenBucket& bucket_of(const PacketReceived& event);
  void tell(TimePoint now, Actions& out);
  void set_timer(TimePoint now, Actions& out);
  Duration jitter(Duration low, Duration high);
  void check_invariants() const;

  MachineConfig config_;
  crypto::PrivateKey key_;
  RawKey own_key_{};
  std::mt19937_64* rng_;
  bool stopped_ = false;
  std::vector<Multiaddr> own_addresses_;
  std::uint64_t record_sequence_ = 0;
  std::uint64_t serial_ = 0;
  std::map<std::uint32_t, Link> links_;
  BeaconTable table_;
  TokenBucket strangers_;
  /// By a keyed hash of the source group: those that share one are one.
  std::vector<TokenBucket> sources_;
  std::uint64_t sources_key_;
  std::map<std::uint32_t, LinkCounters> counters_;
  BeaconDrops drops_;
  std::uint64_t checked_ = 0;
  std::optional<Duration> stale_ahead_;
  TimePoint next_sweep_ = kNever;
  TimePoint timer_at_ = kNever;
};

}  // namespace warren::discovery::beacon

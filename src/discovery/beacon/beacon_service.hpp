#pragma once
// The beacon as a PeerSource: the machine of beacon_machine.hpp with sockets, the interfaces of
// this computer and the clocks behind it. Protocol: docs/protocols/beacon.md.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.hpp"
#include "base/limits.hpp"
#include "crypto/keys.hpp"
#include "discovery/peer_source.hpp"
#include "runtime/runtime.hpp"

namespace warren::discovery {

/// PeerSource::name() and PeerHint::via of the beacon.
inline constexpr std::string_view kBeaconName = "multicast";
/// UDP port and IPv4 group. Both unregistered. Source: docs/protocols/beacon.md, "Where it goes".
inline constexpr std::uint16_t kBeaconPort = 4002;
inline constexpr IpAddress kBeaconGroup = IpAddress::v4(239, 192, 87, 114);
/// The group of IPv6, on the link, of those that nobody assigns.
inline constexpr std::string_view kBeaconGroupV6 = "ff12::8000:5772";

/// How beacons travel.
enum class BeaconMode : std::uint8_t {
  kAuto,       ///< By multicast; by broadcast too where no other node is heard by multicast.
  kMulticast,  ///< By multicast alone.
  kBroadcast,  ///< By broadcast alone, which only IPv4 has.
  kLoopback,   ///< As kAuto, but between the nodes of this computer alone.
};

struct BeaconOptions {
  BeaconMode mode = BeaconMode::kAuto;
  IpAddress group = kBeaconGroup;  ///< Of IPv4.
  std::uint16_t port = kBeaconPort;
  Duration interval = 2s;  ///< Between beacons, 50 ms at least.
  Duration timeout = 5s;   ///< A peer that was silent for so long is lost.
  Duration sweep = 1s;     ///< How often silent peers are looked for.
  /// What this node offers now; asked before each beacon. Unset: nothing.
  std::function<SpareCapacity()> spare{};
  /// Interfaces to use; empty: every one that is up and has an address.
  std::vector<std::string> interfaces{};
  /// How often interfaces and own addresses are looked at by itself. Unset: only when
  /// addresses_changed() is called, as a node does that hears of changes.
  std::optional<Duration> poll_interval = 3s;
  limits::Beacon limits{};
};

/// What works on one interface: for `warren doctor`.
struct BeaconLinkState {
  std::string interface;
  bool loopback = false;
  bool joined = false;              ///< In a multicast group there.
  bool broadcasting = false;        ///< The last beacon went by broadcast, too.
  std::uint64_t own_multicast = 0;  ///< Own beacons that came back by multicast.
  std::uint64_t multicast = 0;      ///< Beacons of others by multicast.
  std::uint64_t broadcast = 0;      ///< Beacons of others by broadcast.
};

/// What was dropped since the start.
struct BeaconDrops {
  std::uint64_t malformed = 0;
  std::uint64_t off_link = 0;    ///< From an address that is not of the link's networks.
  std::uint64_t replayed = 0;    ///< Not newer than what this peer had said.
  std::uint64_t stale = 0;       ///< Its clock, or ours, is more than five minutes off.
  std::uint64_t foreign = 0;     ///< From an address that the beacon does not name.
  std::uint64_t over_rate = 0;   ///< Too many that were to be checked.
  std::uint64_t forged = 0;      ///< The signature does not hold.
  std::uint64_t table_full = 0;  ///< A limit kept the peer out.
};

/// One per node. Core thread only.
class BeaconService final : public PeerSource {
 public:
  /// The addresses that the node listens on now, unspecified IPs replaced by those of the
  /// interfaces, with or without /p2p (Swarm::listen_addresses gives them).
  using AddressSource = std::function<std::vector<Multiaddr>()>;

  /// `runtime` must outlive the service.
  BeaconService(runtime::Runtime& runtime, const crypto::PrivateKey& key,
                AddressSource own_addresses, BeaconOptions options = {});
  ~BeaconService() override;

  std::string_view name() const override { return kBeaconName; }
  /// Errors: also kInvalidArgument when the group is not one of IPv4 or a time is out of range.
  Result<> start(PeerSink& sink) override;
  awaitable<void> stop() override;
  /// Sends a beacon now; those that hear a new peer answer with theirs.
  void refresh() override;
  void addresses_changed() override;
  std::vector<SourceCounters> counters() const override;
  /// "sent 4, heard 0 on eth0"; with what was dropped for its clock.
  std::string summary() const override;

  /// In order of interface index.
  std::vector<BeaconLinkState> links() const;
  BeaconDrops drops() const;
  /// How far the clocks of the peers heard now are ahead of ours, the median; nothing without
  /// peers.
  std::optional<Duration> clock_offset() const;
  /// What the last beacon that was dropped as stale was off, unproven; nothing without one.
  std::optional<Duration> stale_offset() const;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace warren::discovery

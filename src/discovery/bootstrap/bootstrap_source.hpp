#pragma once
// The bootstrap list as a PeerSource: connects to all of it at the start and again when too few
// peers are left or one of the list is lost.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "discovery/bootstrap/bootstrap_machine.hpp"
#include "discovery/peer_source.hpp"
#include "runtime/runtime.hpp"

namespace warren::discovery {

/// PeerSource::name() and PeerHint::via.
inline constexpr std::string_view kBootstrapName = "bootstrap";

/// The list that a build ships with: empty, so that a node tells nobody that it is there unless its
/// owner wants it. Who packages Warren for a network of his own puts its entries here.
std::vector<Multiaddr> shipped_bootstrap_peers();

struct BootstrapOptions {
  /// With or without /p2p; /dns*, /dnsaddr and IP addresses.
  std::vector<Multiaddr> peers = shipped_bootstrap_peers();
  BootstrapTimes times{};
  limits::Bootstrap limits{};
  /// For one dial, names and handshake included.
  Duration dial_time_max = 20s;
};

/// What the source needs of the node. All of them are called on the core thread.
struct BootstrapHooks {
  /// Connects to whoever answers at the address; with a /p2p in it only to that peer. The node
  /// checks bans there. Errors: as Swarm::connect. Cancel: must be safe.
  std::function<awaitable<Result<PeerId>>(Multiaddr, TimePoint deadline)> dial;
  /// Peers connected now.
  std::function<std::size_t()> connected_peers;
  std::function<bool(const PeerId&)> is_connected;
};

/// One per node. Core thread only. Tells the sink of a peer after each successful dial, with the
/// entry's address as it stands in the list: a name stays a name.
class BootstrapSource final : public PeerSource {
 public:
  /// `runtime` and what the hooks refer to must outlive the source.
  BootstrapSource(runtime::Runtime& runtime, PeerId self, BootstrapHooks hooks,
                  BootstrapOptions options);
  ~BootstrapSource() override;

  std::string_view name() const override { return kBootstrapName; }
  /// Never fails; an empty list may be replaced later.
  Result<> start(PeerSink& sink) override;
  awaitable<void> stop() override;
  /// Dials every entry that is not connected now.
  void refresh() override;
  void addresses_changed() override { refresh(); }
  std::vector<SourceCounters> counters() const override { return {}; }
  std::string summary() const override;

  /// Another list or other times from now on, as after a reload of the configuration. Connections
  /// to peers that are not in it any more stay.
  void replace(std::vector<Multiaddr> peers);
  void configure(BootstrapTimes times);
  /// In the order of the list.
  const std::vector<BootstrapEntry>& entries() const;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace warren::discovery

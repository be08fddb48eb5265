#pragma once
// mDNS discovery as a PeerSource: the machine of mdns_machine.hpp with sockets, the interfaces of
// this computer and the clock behind it. Protocol: docs/protocols/mdns.md.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/limits.hpp"
#include "discovery/mdns/mdns_machine.hpp"
#include "discovery/peer_source.hpp"
#include "runtime/runtime.hpp"

namespace warren::discovery {

struct MdnsOptions {
  /// Changed by tests alone, so that they hear no other node.
  std::uint16_t port = kMdnsPort;
  /// Protocol timing; MdnsConfig::peer and ::name are filled in by the service.
  MdnsConfig machine;
  /// How often interfaces and own addresses are looked at by itself. Unset: only when
  /// addresses_changed() is called, as a node does that hears of changes.
  std::optional<Duration> poll_interval = 3s;
  /// Interfaces to use; empty: every one that is up and has an address.
  std::vector<std::string> interfaces;
};

/// One per node. Core thread only.
class MdnsService final : public PeerSource {
 public:
  /// The addresses that the node listens on now, unspecified IPs replaced by those of the
  /// interfaces, with or without /p2p (Swarm::listen_addresses gives them).
  using AddressSource = std::function<std::vector<Multiaddr>()>;

  /// `runtime` must outlive the service.
  MdnsService(runtime::Runtime& runtime, PeerId self, AddressSource own_addresses,
              MdnsOptions options = {});
  ~MdnsService() override;

  std::string_view name() const override { return kMdnsName; }
  Result<> start(PeerSink& sink) override;
  awaitable<void> stop() override;
  void refresh() override;
  void addresses_changed() override;
  std::vector<SourceCounters> counters() const override;
  std::string summary() const override { return summary_of(counters()); }

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace warren::discovery

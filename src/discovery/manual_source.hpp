#pragma once
// What people say by hand, as a PeerSource like the others.

#include <set>

#include "discovery/peer_source.hpp"

namespace warren::discovery {

/// PeerSource::name() and PeerHint::via.
inline constexpr std::string_view kManualName = "manual";

/// Core thread only.
class ManualSource final : public PeerSource {
 public:
  std::string_view name() const override { return kManualName; }
  /// Never fails.
  Result<> start(PeerSink& sink) override;
  awaitable<void> stop() override;
  void refresh() override {}
  void addresses_changed() override {}
  std::vector<SourceCounters> counters() const override { return {}; }
  /// "2 peers added".
  std::string summary() const override;

  /// A person named `peer`, reached at `address`. Nothing before start() and after stop().
  void add(const PeerId& peer, const Multiaddr& address, TimePoint now);
  /// A person does not want it any more.
  void remove(const PeerId& peer, TimePoint now);

 private:
  PeerSink* sink_ = nullptr;
  std::set<PeerId> peers_;  ///< As many as people name.
};

}  // namespace warren::discovery

#pragma once
// Peer exchange as a PeerSource: asks connected peers for the signed records of others, and answers
// those that ask. Protocol: docs/protocols/exchange.md.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "discovery/exchange/exchange_machine.hpp"
#include "discovery/exchange/exchange_messages.hpp"
#include "discovery/peer_source.hpp"
#include "peers/peer_book.hpp"
#include "peers/reputation.hpp"
#include "swarm/swarm.hpp"

namespace warren::discovery {

/// PeerSource::name() and PeerHint::via.
inline constexpr std::string_view kExchangeName = "pex";

/// What the source needs of the node. All of them are called on the core thread.
struct ExchangeHooks {
  /// Connected peers that speak kExchangeProtocol, in any order.
  std::function<std::vector<ExchangeCandidate>()> candidates;
  /// Whether the node has fewer peers than it wants and nobody left to dial.
  std::function<bool()> wants_peers;
  /// Up to `count` records for `asker`, who is at `remote`, in random order; only such that were
  /// verified when they came. The source leaves out those that mean nothing to the asker.
  std::function<std::vector<std::shared_ptr<const peers::SignedRecord>>(
      const PeerId& asker, const Multiaddr& remote, std::size_t count)>
      sample;
  /// What a peer did.
  std::function<void(const PeerId& peer, peers::ReputationEvent event)> report;
};

struct ExchangeOptions {
  ExchangeTimes times{};
  limits::Exchange limits{};
  limits::Discovery hints{};
  /// For one exchange, as asker and as server.
  Duration exchange_time_max = 10s;
  /// How long askers of one network hear the same; asking again must not show the whole book.
  Duration sample_lifetime = 1h;
  /// A record that was told is not told again for so long.
  Duration retell_after = 10min;
};

/// What it did since the start.
struct ExchangeCounters {
  std::uint64_t asked = 0;           ///< Requests sent.
  std::uint64_t answered = 0;        ///< Of them, those with an answer that could be read.
  std::uint64_t failed = 0;          ///< Of them, those without.
  std::uint64_t heard = 0;           ///< Records that came and hold.
  std::uint64_t refused = 0;         ///< Records that do not hold, or were too large or too many.
  std::uint64_t over_rate = 0;       ///< Records that were ignored because too many came.
  std::uint64_t told = 0;            ///< Hints given to the sink.
  std::uint64_t served = 0;          ///< Answers given.
  std::uint64_t served_refused = 0;  ///< Requests of peers that came too often or were malformed.
};

/// One per node. Core thread only. Serves from start() to stop(). The swarm must outlive it, and
/// stop() be called before Swarm::close(); after stop() it may go, while the swarm runs on.
class ExchangeSource final : public PeerSource {
 public:
  ExchangeSource(swarm::Swarm& swarm, ExchangeHooks hooks, ExchangeOptions options = {});
  ~ExchangeSource() override;

  std::string_view name() const override { return kExchangeName; }
  /// Never fails.
  Result<> start(PeerSink& sink) override;
  awaitable<void> stop() override;
  /// Asks now, whoever may be asked.
  void refresh() override;
  void addresses_changed() override {}
  std::vector<SourceCounters> counters() const override { return {}; }
  /// "no peers to ask", "asked 3, heard 12, refused 2".
  std::string summary() const override;

  /// Something happened after which a peer may be asked or is wanted: a peer has said that it
  /// speaks the protocol, the first connection after the bootstrap is there. Cheap; many calls are
  /// as one.
  void look_again();
  /// Takes records that `teller`, who is at `told_by`, gave in another way, as GossipSub's PRUNE
  /// does: under the same limits as an answer, without waiting.
  void take(std::vector<Bytes> records, PeerId teller, Multiaddr told_by);
  const ExchangeCounters& exchange_counters() const;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace warren::discovery

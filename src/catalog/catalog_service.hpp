#pragma once
// Keeps the catalog: subscribes to the set of every connected peer that speaks the protocol, tells
// those that subscribe here of the set of this node, and answers questions. Protocol:
// docs/protocols/catalog.md.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "catalog/catalog_messages.hpp"
#include "catalog/catalog_store.hpp"
#include "catalog/limits.hpp"
#include "peers/reputation.hpp"
#include "swarm/swarm.hpp"

namespace warren::catalog {

using runtime::awaitable;

/// What a node thinks of each entry that peers list, as of the moment at which it was made. Core
/// thread only. Empty: it wants nothing.
using Classify = std::function<Claim(const Listing& listing)>;

/// What the service needs of the node. All of them are called on the core thread.
struct CatalogHooks {
  /// Whether a connected peer has said (by identify) that it speaks kCatalogProtocol.
  std::function<bool(const PeerId& peer)> speaks;
  /// Whether a person gave its key.
  std::function<bool(const PeerId& peer)> is_trusted;
  /// What we are now.
  std::function<Mode()> mode;
  /// Where we listen, of that what means something at `remote`.
  std::function<std::vector<Multiaddr>(const Multiaddr& remote)> addresses;
  /// "warren/<version>".
  std::function<std::string()> agent;
  /// What a peer did.
  std::function<void(const PeerId& peer, peers::ReputationEvent event)> report;
  /// What is kept of others has changed, and is on the disk.
  std::function<void()> changed;
  /// Whether a peer is reached on the local network, and one of the two lists something to the
  /// other. Told again and again.
  std::function<void(const PeerId& peer, bool neighbour)> neighbour{};
  /// What of others' entries this node wants and has. Unset: it wants nothing, and reports nothing.
  std::function<awaitable<Result<Classify>>()> wants{};
};

struct CatalogOptions {
  limits::Catalog limits{};
  /// Keeps the set of this node in the store too, as that of the peer that it is itself: seen at
  /// the end of time, so it comes first and never goes. Its owner sees all of it
  /// (LibrarySet::set_owner()).
  bool keeps_own = false;
  /// For opening a stream and the first answer; for a whole question.
  Duration exchange_time_max = 10s;
  /// Between two parts, and for a message to be taken.
  Duration part_time_max = 30s;
  /// For storing what was sent.
  Duration acknowledge_time_max = 2min;
  /// Before a subscription that has ended is opened again; doubles from the least to the most.
  Duration retry_min = 1s;
  Duration retry_max = 5min;
};

/// What is known of one peer and of what it knows of us.
struct CatalogPeer {
  KnownPeer stored;        ///< What is kept of its set.
  bool connected = false;  ///< Else its entries are as of stored.last_seen.
  bool following = false;  ///< Our subscription is open.
  Summary theirs;          ///< What it has now, as it says. Only while following.
  bool complete = false;   ///< What is kept is all of that.
  bool followed = false;   ///< It has subscribed to our set.
  Revision acknowledged;   ///< Of our set, that it has. Only while followed.
  bool told_all = false;   ///< That is all that it may see.
};

/// What one of two nodes lacks of the other's set.
struct SyncDirection {
  enum class State : std::uint8_t {
    kUnknown,   ///< It has not said, or there is no subscription.
    kUpToDate,  ///< Nothing of what it wants is missing.
    kSyncing,
    kWaiting,  ///< Something is missing and has not moved for 10 s: `reason`.
    kDiffers,  ///< The two have disagreed for 60 s about what is missing.
  };
  State state = State::kUnknown;
  Need need;  ///< As this node reckons it.
  Reason reason = Reason::kNone;
  std::vector<MissingItem> items;  ///< The first kNeedIdsMax, when it is this node that lacks them.
  bool compared = false;           ///< Both have said so of the present set, and agree.
  std::vector<std::string> differing;   ///< Ids, the first kNeedIdsMax. Empty: the sets differ.
  std::optional<Duration> differs_for;  ///< Set while they disagree.
};
/// "unknown", "up to date", "syncing", "waiting", "differs". A stable interface.
std::string_view sync_state_name(SyncDirection::State state) noexcept;

/// One connected peer.
struct PeerSync {
  PeerId peer;
  SyncDirection here;   ///< What this node lacks of its set.
  SyncDirection there;  ///< What it lacks of ours.
};

/// What it did since the start.
struct CatalogCounters {
  std::uint64_t subscriptions = 0;  ///< That were opened and answered.
  std::uint64_t served = 0;         ///< Subscriptions and questions of others.
  std::uint64_t refused = 0;        ///< Of others.
  std::uint64_t snapshots = 0;      ///< Of others, that were stored.
  std::uint64_t deltas = 0;         ///< Same.
  std::uint64_t reports = 0;        ///< Of what is missing here, to others.
  std::uint64_t violations = 0;     ///< Of the protocol, by either kind of peer.
  std::uint64_t bytes_sent = 0;     ///< Messages.
  std::uint64_t bytes_received = 0;
};

/// One per node. Core thread only. Serves from start() to stop(). `swarm`, `published` and `store`
/// must outlive it, and stop() be called before Swarm::close().
class CatalogService {
 public:
  CatalogService(swarm::Swarm& swarm, library::Published& published, CatalogStore& store,
                 CatalogHooks hooks, CatalogOptions options = {});
  ~CatalogService();
  CatalogService(const CatalogService&) = delete;
  CatalogService& operator=(const CatalogService&) = delete;

  void start();
  /// Says goodbye to subscribers, for 300 ms at most. Cancel: unsafe.
  awaitable<void> stop();

  /// A connected peer has said which protocols it speaks.
  void peer_identified(const PeerId& peer);
  /// A person has given its key, or taken it back: what it may see may be another set.
  void peer_changed(const PeerId& peer);
  /// What CatalogHooks::wants gives is other than before.
  void wants_changed();

  // ------------------------------------------------------------------ what is kept of others
  // As CatalogStore has it. Cancel: safe.

  awaitable<Result<CatalogPage>> list(CatalogQuery query);
  awaitable<Result<std::vector<Offer>>> find(std::string id);
  /// Not this node itself.
  awaitable<Result<std::vector<CatalogPeer>>> peers();
  awaitable<Result<std::vector<TopicCount>>> topics(std::size_t limit, std::uint64_t offset);
  awaitable<Result<>> subscribe(Subscription subscription);
  awaitable<Result<>> unsubscribe(std::string pattern);
  awaitable<Result<std::vector<Subscription>>> subscriptions();

  // ---------------------------------------------------------------------- questions to a peer
  // Errors: as Swarm::open_stream; kLimited when it is asked too often, kInvalidArgument when it
  // refuses the patterns, kMalformed. Cancel: safe.

  /// Of its own set, what we may see.
  awaitable<Result<QueryResult>> query(PeerId peer, QueryRequest request);
  awaitable<Result<PeerInfo>> peer_info(PeerId peer);

  /// Every connected peer, in the order of their ids. What is missing is as of at most some seconds
  /// ago.
  std::vector<PeerSync> sync() const;

  const CatalogCounters& counters() const;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace warren::catalog

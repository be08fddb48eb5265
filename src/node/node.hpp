#pragma once
// One whole node: identity, swarm, protocols, discovery, content and transfers, put together.
// It knows neither the machine's own Runtime nor the API, so that a simulated world runs it too.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "content/store.hpp"
#include "content/verify.hpp"
#include "crypto/keys.hpp"
#include "discovery/beacon/beacon_service.hpp"
#include "discovery/bootstrap/bootstrap_source.hpp"
#include "discovery/exchange/exchange_source.hpp"
#include "discovery/manual_source.hpp"
#include "discovery/mdns/mdns_service.hpp"
#include "library/install/limits.hpp"
#include "library/library_service.hpp"
#include "node/events.hpp"
#include "node/job.hpp"
#include "node/node_types.hpp"
#include "node/peer_keeper.hpp"
#include "node/replica_pruning.hpp"
#include "node/replication.hpp"
#include "protocols/echo.hpp"
#include "protocols/identify.hpp"
#include "protocols/perf.hpp"
#include "protocols/ping.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::install {
class Installer;
struct Installed;
}  // namespace warren::install
namespace warren::catalog {
class CatalogService;
class CatalogStore;
}  // namespace warren::catalog

namespace warren::node {

struct EntryChoice;
class Replicator;

struct ListenAddress {
  Multiaddr address;
  /// False: when the machine cannot do it (no IPv6), that is a warning. A port in use is always an
  /// error.
  bool required = true;
};

/// Of LibraryOptions what is not the node's own.
struct LibraryPart {
  std::string database = ":memory:";
  library::LibraryTimes times;
  limits::Library limits;
  limits::Install install;
  /// Unset: changes are found by scans alone.
  std::function<awaitable<Result<std::unique_ptr<runtime::TreeWatch>>>(std::string path)> watch;
};

/// What is known of others' libraries.
struct CatalogPart {
  std::string database = ":memory:";
  ReplicatorSettings replication;
};

struct NodeOptions {
  std::vector<ListenAddress> listen;
  /// Who may measure this node (perf, echo).
  protocols::Audience measure = protocols::Audience::kLocal;
  // Ways of finding peers; unset: it does not run.
  std::optional<discovery::MdnsOptions> mdns;
  std::optional<discovery::BeaconOptions> beacon;
  std::optional<discovery::ExchangeOptions> exchange;
  discovery::BootstrapOptions bootstrap;
  /// SQLite file of what is shared and of transfers; ":memory:" in a test.
  std::string database;
  LibraryPart library;
  CatalogPart catalog;
  /// Where downloads go unless a request says otherwise; absolute, made if missing.
  std::string download_dir;
  swarm::SwarmConfig swarm;
  limits::Content content;
  limits::Transfer transfer;
  transfer::BandwidthLimits bandwidth;
  /// Bytes that stay free on the volume of a download.
  std::uint64_t free_bytes_min = 64u << 20;
  KeeperOptions keeper;
  /// How often changed shares are looked for, to hash them again.
  Duration rehash_interval = 10s;
  /// Imports and verifications at a time; beyond: kLimited.
  std::size_t jobs_max = 8;
};

/// What of NodeOptions may change while a node runs.
struct NodeSettings {
  swarm::ManagerConfig manager;
  std::vector<Multiaddr> bootstrap;
  discovery::BootstrapTimes bootstrap_times;
  // Unset: it does not run any more.
  std::optional<discovery::MdnsOptions> mdns;
  std::optional<discovery::BeaconOptions> beacon;
  std::optional<discovery::ExchangeOptions> exchange;
  ReplicatorSettings replication;
  // Whether those differ from what runs: then the source ends and another one begins.
  bool mdns_changed = false;
  bool beacon_changed = false;
  bool exchange_changed = false;
  protocols::Audience measure = protocols::Audience::kLocal;
  transfer::BandwidthLimits bandwidth;
};

/// What to fetch, as a person says it.
struct GetOptions {
  /// A CID, the name under which a peer shares it, or an entry of the catalog: parse_entry_name().
  std::string what;
  /// Absolute; made if missing. Empty: of an entry `library` or the only library here, if there is
  /// one; otherwise NodeOptions::download_dir.
  std::string directory;
  std::string library;            ///< Path or last name of a library folder; empty: as above.
  std::string save_as;            ///< Empty: the name under which it is shared, else the CID.
  std::vector<std::string> from;  ///< Peer ids or multiaddrs. Empty: every connected peer.
  Duration wait = 60s;            ///< For a source; zero: for ever.
};

/// What to install or update, as a person says it.
struct InstallOptions {
  std::string entry;  ///< An id; where peers are asked as parse_entry_name() takes it.
  /// Its archives are unpacked while they come from peers, and not kept.
  bool stream = false;
  // Of a streamed one.
  std::string library;  ///< Of an entry that is not here, as in GetOptions.
  Duration wait = 60s;  ///< For a source; zero: for ever.
};

/// Core thread only. `runtime` outlives it. Call stop() before destruction, also after a start()
/// that failed.
class Node final : private discovery::PeerSink {
 public:
  Node(runtime::Runtime& runtime, crypto::PrivateKey identity, NodeOptions options);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Before start().
  void add_transport(std::unique_ptr<transport::Transport> transport);
  /// Opens the store, listens, looks for peers and goes on with transfers. Once.
  /// Errors: of the store; kConflict naming the address whose port is in use.
  awaitable<Result<>> start();
  /// Says goodbye, closes every connection, keeps the state of transfers. Idempotent.
  /// Cancel: unsafe.
  awaitable<void> stop();

  NodeStatus status() const;
  const PeerId& id() const { return swarm_.local_peer(); }

  // --------------------------------------------------------------------------------- peers

  /// Connected ones first, then those that a source hears of, that a person wants and that are
  /// banned; each in order of peer id.
  std::vector<PeerView> peers() const;
  /// All that are known, in order of peer id: up to limits::Peers::peers_max.
  std::vector<PeerView> known_peers() const;
  std::optional<PeerView> peer(const PeerId& id) const;
  /// The peer that `text` means: a whole peer id, a name that a person gave, or the last 6 or more
  /// characters of the id of a peer that is known. Errors: kInvalidArgument, kNotFound, kConflict
  /// when several fit.
  Result<PeerId> find_peer(std::string_view text) const;
  /// A connection to `target`, a multiaddr or what find_peer() takes: the one that is there, or a
  /// new one. Errors: those two, Swarm::connect. Cancel: gives up the wait.
  awaitable<Result<PeerId>> reach(std::string target, TimePoint deadline);
  /// reach(), and dials the peer again whenever it goes away, also after a restart.
  awaitable<Result<PeerId>> connect(std::string target, TimePoint deadline);
  /// connect(), to nobody but the one who has the key that is expected or that the name is tied to.
  /// Returns when it is on disk. Errors: connect(); kInvalidArgument for a key or name that is
  /// none; kDenied when another key answers, naming both; kConflict when the name is another key's.
  awaitable<Result<PeerId>> add_peer(AddPeer what, TimePoint deadline);
  /// Closes every connection to it and does not dial it for a while. Errors: find_peer(); kNotFound
  /// when it is not connected.
  awaitable<Result<PeerId>> disconnect(std::string peer);
  /// disconnect(), and forgets all about it but a ban. Errors: find_peer(), kNotFound.
  awaitable<Result<PeerId>> remove_peer(std::string peer);
  /// Bans a peer (as find_peer() takes it), an IP address or a prefix, closes its connections, and
  /// returns when it is on disk. Without `how_long` until somebody lifts it. Errors: find_peer();
  /// PeerBook::ban.
  awaitable<Result<peers::Ban>> ban(std::string who, std::optional<Duration> how_long,
                                    std::string reason);
  /// Errors: find_peer(), kNotFound.
  awaitable<Result<>> unban(std::string who);
  std::vector<peers::Ban> bans() const;
  awaitable<Result<std::unique_ptr<protocols::PingSession>>> open_ping(PeerId peer,
                                                                       TimePoint deadline);
  awaitable<Result<protocols::PerfResult>> perf(PeerId peer, std::uint64_t upload_bytes,
                                                std::uint64_t download_bytes, TimePoint deadline);

  // ------------------------------------------------------------------------------- discovery

  /// What each way of finding peers did and saw.
  std::vector<DiscoveryView> discovery() const;
  /// Asks all of them to look now.
  void refresh();
  /// Null when it does not run.
  const discovery::BeaconService* beacon() const { return beacon_; }
  /// Other settings from now on. Errors: of a source that cannot start; it shows as its problem,
  /// and the rest is done nevertheless.
  awaitable<Result<>> reconfigure(NodeSettings settings);
  /// Tells of what happens to peers.
  EventHub& events() { return events_; }
  const PeerKeeper& keeper() const { return keeper_; }
  /// What a program above saw a peer do. A peer that is banned for it is disconnected.
  void note(const PeerId& peer, peers::ReputationEvent event) { keeper_.note(peer, event); }

  // ------------------------------------------------------------------------------- content

  using ShareJob = Job<content::Shared>;
  using VerifyJob = Job<content::Verified>;
  /// Begins to import the file or folder at the absolute `path`. Empty name: its last name.
  /// `audience`: who may fetch it; unset: as before, at first peers on the LAN.
  /// Errors: kLimited, kClosed; the rest is the job's result.
  Result<std::shared_ptr<ShareJob>> share(std::string path, std::string name,
                                          std::optional<peers::AccessRule> audience = {});
  /// Begins to read a share, or an entry of a library, again. Errors: as share().
  Result<std::shared_ptr<VerifyJob>> verify(std::string name_or_cid);
  Result<std::shared_ptr<VerifyJob>> verify_entry(std::string id);
  /// In order of name.
  awaitable<Result<std::vector<content::ShareInfo>>> shares();
  /// The files stay. Errors: kNotFound.
  awaitable<Result<content::ShareInfo>> unshare(std::string name_or_cid);

  /// Library folders and their entries. Only after start() succeeded.
  library::LibraryService& libraries() { return *libraries_; }
  /// "lan", "anyone", "trusted", or peers as find_peer() takes them. Errors: AccessRule::parse.
  Result<peers::AccessRule> parse_audience(std::string_view text) const;
  /// Whether a download of `tree` for `audience` may stand in `directory`. Into a library goes
  /// nothing with names that are this node's own, and nothing that those it is for may not have.
  /// Errors: kDenied.
  Result<> may_place(std::string_view directory, const content::Tree& tree,
                     const std::optional<peers::AccessRule>& audience) const;
  /// The library folder that is `directory` or has it inside; null: none does. Read at once.
  const library::FolderSettings* library_around(std::string_view directory) const;

  // ------------------------------------------------------------------------------- install
  // Each begins an operation on an entry of a library here; only after start() succeeded. Errors:
  // kLimited, kClosed; the rest is the job's result (install::Installer).

  using InstallJob = Job<install::Installed>;
  /// The job's errors of a streamed one are also kNoPeer, those of choose_entry(), kNotFound (no
  /// library to put it into), kConflict (several), those of RemoteReader.
  Result<std::shared_ptr<InstallJob>> install(InstallOptions options);
  Result<std::shared_ptr<InstallJob>> uninstall(std::string id);
  /// Without a version or CID to the newer version that peers offer. The job's errors are also
  /// kNoPeer (nobody offers it), kConflict (no offer is known to be newer, or there is a choice),
  /// those of the transfer.
  Result<std::shared_ptr<InstallJob>> update(InstallOptions options);

  // ------------------------------------------------------------------------------- catalog

  /// What others' libraries offer, and those of this node. Only after start() succeeded.
  catalog::CatalogService& catalog() { return *catalog_; }
  /// Errors: as CatalogStore::subscribe().
  awaitable<Result<>> subscribe(std::string pattern, bool on_demand);
  /// Errors and Cancel: as prune_replicas().
  awaitable<Result<PruneReport>> prune(PruneOptions options);
  /// What is fetched by itself. Only after start() succeeded.
  const ReplicatorView& replication() const;

  // ----------------------------------------------------------------------------- transfers

  /// Begins a download, or finds the one under way. Errors: kInvalidArgument; reach() for a
  /// multiaddr in `from`; choose_entry() and choose_library() for an entry of the catalog;
  /// TransferManager::start; of the system for the directory.
  awaitable<Result<transfer::TransferId>> get(GetOptions options);
  /// For pausing, resuming, cancelling and watching. Only after start() succeeded.
  transfer::TransferManager& transfers() { return *transfers_; }

  swarm::Swarm& swarm() { return swarm_; }
  runtime::Runtime& runtime() { return runtime_; }

 private:
  void peer_found(const discovery::PeerHint& hint) override;
  void peer_lost(const discovery::PeerHint& hint) override;
  void on_connection(const swarm::ConnectionEvent& event);

  Result<> listen_all();
  void start_watch();
  awaitable<void> watch_addresses(std::unique_ptr<runtime::InterfaceWatch> watch);
  std::vector<std::pair<std::uint32_t, IpAddress>> usable_interfaces();
  void tell_sources();
  /// Only those that announce our addresses.
  void tell_links();
  void start_discovery();
  struct Source {
    std::unique_ptr<discovery::PeerSource> source;
    std::string problem;  ///< Why it does not run; empty when it does.
  };
  static std::string problem_of(const Source& entry);
  void start_source(std::unique_ptr<discovery::PeerSource> source);
  awaitable<void> end_source(std::string name);
  void start_mdns();
  void start_beacon();
  void start_bootstrap();
  awaitable<Result<PeerId>> dial_bootstrap(Multiaddr address, TimePoint deadline);
  void start_exchange();
  std::vector<discovery::ExchangeCandidate> exchange_candidates() const;
  std::vector<std::shared_ptr<const peers::SignedRecord>> records_for(const PeerId& asker,
                                                                      const Multiaddr& remote,
                                                                      std::size_t count) const;
  void serve_measurements(protocols::Audience audience);
  PeerView view_of(const PeerId& id) const;
  Result<> remember(const PeerId& peer, const std::string& target);
  awaitable<Result<>> prove(PeerId peer, TimePoint deadline);
  awaitable<Result<>> expect_key(Multiaddr address, PeerId expected, TimePoint deadline);
  awaitable<void> search_wider();
  bool is_searching() const;
  std::vector<PeerId> not_asked_yet();
  awaitable<void> dial_for_search(PeerId peer);
  awaitable<void> rehash_changed_shares();
  awaitable<Result<>> open_libraries();
  awaitable<Result<Cid>> hash_entry(std::string folder, std::string id);
  awaitable<void> forget_entry(std::string id);
  /// A person gave its key.
  bool is_trusted(const PeerId& peer) const;
  using Operate = awaitable<Result<install::Installed>> (Node::*)(
      InstallOptions options, std::shared_ptr<content::Progress> progress);
  Result<std::shared_ptr<InstallJob>> begin_install(InstallOptions options, Operate operate);
  awaitable<void> run_install(std::shared_ptr<InstallJob> job, InstallOptions options,
                              Operate operate);
  awaitable<Result<install::Installed>> install_here(InstallOptions options,
                                                     std::shared_ptr<content::Progress> progress);
  awaitable<Result<install::Installed>> install_streamed(
      InstallOptions options, std::shared_ptr<content::Progress> progress);
  awaitable<Result<install::Installed>> uninstall_here(InstallOptions options,
                                                       std::shared_ptr<content::Progress> progress);
  awaitable<Result<install::Installed>> update_here(InstallOptions options,
                                                    std::shared_ptr<content::Progress> progress);
  awaitable<Result<install::Installed>> update_streamed(
      InstallOptions options, std::shared_ptr<content::Progress> progress);
  awaitable<Result<install::Installed>> stream(EntryChoice choice, std::string folder, bool anew,
                                               Duration wait,
                                               std::shared_ptr<content::Progress> progress);
  awaitable<bool> takes_in(std::string directory, std::string name);
  awaitable<Result<EntryChoice>> find_newer(std::string entry);
  awaitable<Result<>> fetch_version(EntryChoice choice, std::string directory, std::string name,
                                    std::shared_ptr<content::Progress> progress);
  awaitable<Result<>> open_catalog();
  awaitable<void> close_catalog();
  std::string expected_version(std::string_view entry) const;
  Result<std::optional<library::Folder>> choose_library(std::string_view name) const;
  awaitable<Result<std::optional<EntryChoice>>> find_entry(std::string what,
                                                           std::vector<PeerId> from);
  awaitable<Result<transfer::TransferId>> fetch_entry(EntryChoice choice, library::Folder folder);
  void dial_sources(const std::vector<PeerId>& peers);
  std::string name_for_person(const PeerId& peer) const;
  awaitable<void> count_shares();
  awaitable<void> run_share(std::shared_ptr<ShareJob> job, std::string path, std::string name,
                            std::optional<peers::AccessRule> audience);
  using FindShare = std::function<Result<content::ShareInfo>(content::Store&)>;
  Result<std::shared_ptr<VerifyJob>> begin_verify(FindShare find);
  awaitable<void> run_verify(std::shared_ptr<VerifyJob> job, FindShare find);
  Result<> take_job_slot();

  runtime::Runtime& runtime_;
  crypto::PrivateKey identity_;
  NodeOptions options_;
  TimePoint started_at_{};
  bool started_ = false;
  bool watching_ = false;  ///< Changes of addresses are told: sources need not look for them.
  bool stopped_ = false;
  std::vector<std::string> warnings_;
  std::uint64_t ended_bytes_received_ = 0;  // By connections that have gone.
  std::uint64_t ended_bytes_sent_ = 0;
  std::size_t shares_count_ = 0;
  std::size_t jobs_ = 0;
  std::set<std::shared_ptr<content::Progress>> job_progress_;

  EventHub events_;
  swarm::Swarm swarm_;
  protocols::IdentifyService identify_;
  PeerKeeper keeper_;
  std::unique_ptr<content::Store> store_;
  std::unique_ptr<transfer::TransferManager> transfers_;
  std::unique_ptr<library::LibraryService> libraries_;
  std::unique_ptr<install::Installer> installer_;
  std::unique_ptr<catalog::CatalogStore> catalog_store_;
  std::unique_ptr<catalog::CatalogService> catalog_;
  std::unique_ptr<Replicator> replicator_;
  std::vector<Source> sources_;
  discovery::ManualSource* manual_ = nullptr;  // One of sources_, as the next three.
  discovery::BeaconService* beacon_ = nullptr;
  discovery::BootstrapSource* bootstrap_ = nullptr;
  discovery::ExchangeSource* exchange_ = nullptr;
  std::unique_ptr<runtime::Signal> search_signal_;
  std::map<PeerId, TimePoint> searched_;  ///< When a peer was dialled for a search last.
  std::size_t search_dials_ = 0;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::node

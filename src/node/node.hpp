#pragma once
// One whole node: identity, swarm, protocols, discovery, content and transfers, put together.
// It knows neither the machine's own Runtime nor the API, so that a simulated world runs it too.

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "content/store.hpp"
#include "content/verify.hpp"
#include "crypto/keys.hpp"
#include "discovery/mdns/mdns_service.hpp"
#include "node/job.hpp"
#include "node/node_types.hpp"
#include "node/peer_keeper.hpp"
#include "protocols/echo.hpp"
#include "protocols/identify.hpp"
#include "protocols/perf.hpp"
#include "protocols/ping.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::node {

struct ListenAddress {
  Multiaddr address;
  /// False: when the machine cannot do it (no IPv6), that is a warning. A port in use is always an
  /// error.
  bool required = true;
};

struct NodeOptions {
  std::vector<ListenAddress> listen;
  /// Who may measure this node (perf, echo).
  protocols::Audience measure = protocols::Audience::kLocal;
  /// Unset: no mDNS.
  std::optional<discovery::MdnsOptions> mdns;
  /// SQLite file of what is shared and of transfers; ":memory:" in a test.
  std::string database;
  /// Where downloads go unless a request says otherwise; absolute, made if missing.
  std::string download_dir;
  swarm::SwarmConfig swarm;
  limits::Content content;
  limits::Transfer transfer;
  /// Bytes that stay free on the volume of a download.
  std::uint64_t free_bytes_min = 64u << 20;
  KeeperConfig keeper;
  /// How often changed shares are looked for, to hash them again.
  Duration rehash_interval = 10s;
  /// Imports and verifications at a time; beyond: kLimited.
  std::size_t jobs_max = 8;
};

/// What to fetch, as a person says it.
struct GetOptions {
  std::string what;               ///< A CID, or the name under which a peer shares it.
  std::string directory;          ///< Absolute; made if missing. Empty: NodeOptions::download_dir.
  std::string save_as;            ///< Empty: the name under which it is shared, else the CID.
  std::vector<std::string> from;  ///< Peer ids or multiaddrs. Empty: every connected peer.
  Duration wait = 60s;            ///< For a source; zero: for ever.
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

  /// Connected ones first, then those heard of; each in order of peer id.
  std::vector<PeerView> peers() const;
  std::optional<PeerView> peer(const PeerId& id) const;
  /// The peer that `text` means: a whole peer id, or the last 6 or more characters of the id of a
  /// peer that is known. Errors: kInvalidArgument, kNotFound, kConflict when several fit.
  Result<PeerId> find_peer(std::string_view text) const;
  /// A connection to `target`, a multiaddr or what find_peer() takes: the one that is there, or a
  /// new one. Errors: those two, Swarm::connect. Cancel: gives up the wait.
  awaitable<Result<PeerId>> reach(std::string target, TimePoint deadline);
  /// reach(), and dials the peer again whenever it goes away.
  awaitable<Result<PeerId>> connect(std::string target, TimePoint deadline);
  /// Closes every connection to it and does not dial it for a while. Errors: find_peer(); kNotFound
  /// when it is not connected.
  Result<PeerId> disconnect(std::string_view peer);
  awaitable<Result<std::unique_ptr<protocols::PingSession>>> open_ping(PeerId peer,
                                                                       TimePoint deadline);
  awaitable<Result<protocols::PerfResult>> perf(PeerId peer, std::uint64_t upload_bytes,
                                                std::uint64_t download_bytes, TimePoint deadline);

  // ------------------------------------------------------------------------------- content

  using ShareJob = Job<content::Shared>;
  using VerifyJob = Job<content::Verified>;
  /// Begins to import the file or folder at the absolute `path`. Empty name: its last name.
  /// Errors: kLimited, kClosed; the rest is the job's result.
  Result<std::shared_ptr<ShareJob>> share(std::string path, std::string name);
  Result<std::shared_ptr<VerifyJob>> verify(std::string name_or_cid);
  /// In order of name.
  awaitable<Result<std::vector<content::ShareInfo>>> shares();
  /// The files stay. Errors: kNotFound.
  awaitable<Result<content::ShareInfo>> unshare(std::string name_or_cid);

  // ----------------------------------------------------------------------------- transfers

  /// Begins a download, or finds the one under way. Errors: kInvalidArgument; reach() for a
  /// multiaddr in `from`; TransferManager::start; of the system for the directory.
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
  void tell_sources();
  Result<> start_discovery();
  PeerView view_of(const PeerId& id) const;
  awaitable<void> keep_peers();
  awaitable<void> dial(PeerKeeper::Dial target);
  awaitable<void> rehash_changed_shares();
  awaitable<void> count_shares();
  awaitable<void> run_share(std::shared_ptr<ShareJob> job, std::string path, std::string name);
  awaitable<void> run_verify(std::shared_ptr<VerifyJob> job, std::string name_or_cid);
  Result<> take_job_slot();

  struct Source {
    std::unique_ptr<discovery::PeerSource> source;
    std::string problem;
  };

  runtime::Runtime& runtime_;
  crypto::PrivateKey identity_;
  NodeOptions options_;
  TimePoint started_at_{};
  bool started_ = false;
  bool stopped_ = false;
  std::vector<std::string> warnings_;
  std::uint64_t ended_bytes_received_ = 0;  // By connections that have gone.
  std::uint64_t ended_bytes_sent_ = 0;
  std::size_t shares_count_ = 0;
  std::size_t jobs_ = 0;
  std::set<std::shared_ptr<content::Progress>> job_progress_;

  swarm::Swarm swarm_;
  protocols::IdentifyService identify_;
  std::unique_ptr<content::Store> store_;
  std::unique_ptr<transfer::TransferManager> transfers_;
  std::vector<Source> sources_;
  PeerKeeper keeper_;
  std::unique_ptr<runtime::Signal> keeper_signal_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::node

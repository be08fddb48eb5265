#pragma once
// Drives the connection manager: dials, lets go, says goodbye, notes what peers do in the book, and
// keeps the book on disk. Whom and when is the manager's to decide (docs/decisions/0018).

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "discovery/peer_source.hpp"
#include "node/events.hpp"
#include "node/sightings.hpp"
#include "peers/peer_book.hpp"
#include "peers/peer_keeping.hpp"
#include "protocols/goodbye.hpp"
#include "protocols/heartbeat.hpp"
#include "protocols/identify.hpp"
#include "runtime/task_group.hpp"
#include "swarm/manager/connection_manager.hpp"
#include "swarm/swarm.hpp"
#include "transfer/peer_notes.hpp"

namespace warren::node {

using runtime::awaitable;

struct KeeperOptions {
  /// SQLite file of the peers that are known; empty: nothing is kept.
  std::string database;
  peers::KeepingConfig keeping;
  peers::BookConfig book;
  swarm::ManagerConfig manager;
  protocols::HeartbeatConfig heartbeat;
  /// For one dial that nobody asked for by hand, names and handshake included.
  Duration dial_time_max = 15s;
};

/// Core thread only. `swarm` and `identify` outlive it. start() comes before the swarm listens,
/// stop() before the swarm closes, close() after it.
class PeerKeeper final : public transfer::PeerNotes {
 public:
  PeerKeeper(swarm::Swarm& swarm, protocols::IdentifyService& identify, KeeperOptions options,
             EventHub& events);
  ~PeerKeeper() override;

  /// Opens the database and begins to hold peers. Errors: of the database.
  awaitable<Result<>> start();
  /// Dials nobody any more, says goodbye to all, and writes what is not on disk yet.
  awaitable<void> stop();
  awaitable<void> close();

  // ------------------------------------------------------------------------- what is told

  void found(const discovery::PeerHint& hint);
  void lost(const discovery::PeerHint& hint);
  /// The source does not run any more: nobody is heard by it.
  void forget_source(std::string_view name) { sightings_.forget(name); }
  void note(const PeerId& peer, peers::ReputationEvent event);
  /// Other limits from now on.
  void configure(swarm::ManagerConfig config);
  /// As ConnectionManager::set_neighbour().
  void set_neighbour(const PeerId& peer, bool neighbour);
  /// The network may have come back.
  void retry_now();

  // ------------------------------------------------------------------------- what people do

  /// Whoever answers at `address`; refused without a dial when that is known to be banned. `fresh`
  /// is set when the connection was not there before. Errors: as Swarm::connect, kDenied.
  struct Reached {
    PeerId peer;
    bool fresh = false;
  };
  awaitable<Result<Reached>> dial(Multiaddr address, TimePoint deadline);
  /// The same for a known peer.
  awaitable<Result<PeerId>> dial(PeerId peer, TimePoint deadline);
  /// A person wants to reach it: an earlier leave() does not hold any more.
  void come_back(const PeerId& peer) { manager_->come_back(peer); }
  /// A person wants this peer: remembered, dialled again for ever. Errors: of the book.
  Result<> keep(const PeerId& peer, const std::optional<Multiaddr>& address);
  /// Says goodbye, closes every connection to it, and keeps it away for a while, from both sides.
  /// Returns how many connections there were.
  std::size_t leave(const PeerId& peer);
  /// Closes what was just made to a peer that nobody meant.
  void turn_away(const PeerId& peer) { close_now(peer, swarm::LetGo::kBanned); }
  /// Forgets it.
  Result<> remove(const PeerId& peer);
  Result<> ban(const PeerId& peer, WallTime until, std::string reason);
  Result<> ban(const resources::Prefix& prefix, WallTime until, std::string reason);
  Result<> unban(const PeerId& peer);
  Result<> unban(const resources::Prefix& prefix);
  /// Waits until what was changed is on disk. Errors: of the database.
  awaitable<Result<>> flush() { return storing_->flush(); }

  // ------------------------------------------------------------------------- what is known

  peers::PeerBook& book() { return *book_; }
  const peers::PeerBook& book() const { return *book_; }
  const swarm::ConnectionManager& manager() const { return *manager_; }
  /// Why the book could not be written the last time; unset when it could.
  std::optional<Error> trouble() const { return storing_ ? storing_->trouble() : std::nullopt; }
  const Sightings& sightings() const { return sightings_; }
  bool wants_peers() const;
  /// Since when it is connected; nothing when it is not.
  std::optional<TimePoint> connected_since(const PeerId& peer) const;
  /// Bytes by connections to a connected peer that have ended while others stayed.
  std::pair<std::uint64_t, std::uint64_t> bytes_before(const PeerId& peer) const;
  bool is_left_by_person(const PeerId& peer) const {
    return manager_->is_left_by_person(peer, runtime_.now());
  }
  std::uint64_t dials_failed() const { return dials_failed_; }
  WallTime civil_now() const;

  void transfer_began(const PeerId& peer, transfer::TransferDirection direction) override;
  void transfer_ended(const PeerId& peer, transfer::TransferDirection direction) override;
  void gave(const PeerId& peer, std::uint64_t bytes) override;
  void took(const PeerId& peer, std::uint64_t bytes) override;
  void noted(const PeerId& peer, peers::ReputationEvent event) override { note(peer, event); }

 private:
  /// A connected peer.
  struct Present {
    TimePoint since{};
    std::uint64_t received = 0;  ///< By connections to it that have ended.
    std::uint64_t sent = 0;
    bool said_goodbye = false;
    bool let_go = false;  ///< We close it ourselves.
    bool dead = false;    ///< The heartbeat gave it up, and has told.
  };
  /// Requests of one peer that we serve.
  struct Serving {
    std::size_t requests = 0;
    bool kept = false;  ///< The manager was asked to keep it.
  };

  awaitable<Result<>> open_store();
  void make_book();
  swarm::Moment moment() const;
  void wake();
  void on_connection(const swarm::ConnectionEvent& event);
  void on_connected(const swarm::Connection& connection);
  void on_disconnected(const swarm::Connection& connection);
  void on_identified(const PeerId& peer, const protocols::PeerIdentity& identity);
  Result<> admit(const PeerId& peer, const Multiaddr& remote, bool outbound) const;
  bool is_wanted(const PeerId& peer) const;
  bool is_of_wanted_peer(const IpAddress& ip) const;
  void on_silence(const PeerId& peer);
  void banned(const PeerId& peer, const std::string& why);
  void close_banned();
  awaitable<void> run();
  awaitable<void> run_dial(swarm::DialPeer dial);
  awaitable<void> run_close(swarm::ClosePeer close);
  awaitable<void> close_left(PeerId peer);
  bool start_closing(awaitable<void> closing);
  void close_now(const PeerId& peer, swarm::LetGo why);

  swarm::Swarm& swarm_;
  runtime::Runtime& runtime_;
  protocols::IdentifyService& identify_;
  KeeperOptions options_;
  EventHub& events_;
  std::unique_ptr<peers::PeerBook> book_;
  std::unique_ptr<swarm::ConnectionManager> manager_;
  Sightings sightings_;
  std::map<PeerId, Present> present_;
  std::map<PeerId, Serving> serving_;
  std::size_t served_kept_ = 0;  ///< Of these, the ones that are kept.
  std::size_t closings_ = 0;
  TimePoint looked_at_all_{};  ///< When the manager was last asked to look at the whole book.
  std::optional<TimePoint> silence_at_;  ///< When a peer was last found silent.
  std::uint64_t dials_failed_ = 0;
  bool stopping_ = false;
  std::unique_ptr<peers::BookKeeper> storing_;
  std::unique_ptr<protocols::Heartbeat> heartbeat_;
  std::unique_ptr<runtime::Signal> signal_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::node

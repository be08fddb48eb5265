#pragma once
// Decides whom to dial, whom to keep and whom to let go: holds the target number of good peers of
// many networks. A state machine without I/O; the node drives it. Rules and numbers:
// docs/decisions/0018.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "peers/peer_book.hpp"
#include "swarm/manager/waits.hpp"

namespace warren::swarm {

/// How many peers a node is made for. Source: the systems' map, rows ME13 and ME21.
enum class Profile : std::uint8_t { kMinimal, kStandard, kBridge };
/// "minimal", "standard", "bridge".
std::string_view profile_name(Profile profile) noexcept;

struct ManagerConfig {
  /// Peers to hold. We dial while there are fewer.
  std::size_t target_peers = 16;
  /// Peers at most, protected ones not counted. Beyond: a newcomer takes the place of the worst one
  /// that may go, or is refused.
  std::size_t max_peers = 32;
  /// Neighbours: peers on the local network with which something is shared. So many are never let
  /// go and count for neither of the two above: in a LAN everybody sees what everybody has.
  std::size_t neighbours_max = 128;
  /// Of the local network, so many peers at least that are no neighbours yet, as a part of the
  /// target: one that is heard of is dialled although there are enough others.
  double near_share = 0.25;
  /// Peers above the target by so many are let go after their grace, worst first.
  std::size_t surplus_max = 2;
  /// Of the target, those that we chose ourselves, at least: what comes in can be arranged by
  /// somebody else. Unset: a quarter.
  std::optional<std::size_t> outbound_min;
  /// Of those that we chose, at most this share in one network group (at least one peer).
  double group_share_max = 0.125;
  /// So many networks, those of which the book knows most peers, hold together at most half of what
  /// we chose, as long as it knows enough others.
  std::size_t dense_networks = 32;
  /// Of those that we chose, this share is for peers that have been proven for longest.
  double veteran_share = 0.5;
  std::size_t anchors = 2;
  /// All connections: above `high_water` they are closed, worst first, down to `low_water`.
  std::size_t low_water = 100;
  std::size_t high_water = 400;
  /// A connection younger than this is not let go.
  Duration grace = 30s;
  /// Dials in progress that nobody asked for by hand. Source: quality statement P17.
  std::size_t dials_max = 8;
  /// An address is tried now and then although no peer is needed, to know whether it is real.
  Duration feeler_interval = 2min;
  /// Wait after a failed dial or a lost connection: doubles from the least to the most, with a
  /// fifth of jitter.
  Duration backoff_min = 5s;
  Duration backoff_max = 5min;
  /// Both sides of a link hear of each other at the same moment: the one with the larger peer id
  /// gives the other this head start.
  Duration head_start = 500ms;
  /// How long a peer that a person disconnected, or that said it is full, is left alone; and one
  /// of the local network that there was no room for.
  Duration left_alone = 10min;
  Duration left_alone_near = 1min;

  static ManagerConfig of(Profile profile);
};

/// Both clocks, taken at one moment.
struct Moment {
  TimePoint steady;
  WallTime civil;
};

/// Why a connection is closed; stands in the Goodbye.
enum class LetGo : std::uint8_t {
  kFull,      ///< Enough peers.
  kBanned,    ///< Its reputation, or a person.
  kFeeler,    ///< It was only tried whether the address is real.
  kReplaced,  ///< A better one takes its place.
};

struct DialPeer {
  enum class Kind : std::uint8_t { kKept, kAnchor, kNeeded, kFeeler } kind = Kind::kNeeded;
  PeerId peer;
  std::vector<Multiaddr> addresses;
};
struct ClosePeer {
  PeerId peer;
  LetGo why = LetGo::kFull;
};
using ManagerAction = std::variant<DialPeer, ClosePeer>;

class ConnectionManager {
 public:
  /// `book` and `rng` must outlive the manager. The manager tells the book of connections, dials
  /// and anchors; everybody else tells it the rest.
  ConnectionManager(PeerId self, ManagerConfig config, peers::PeerBook& book, std::mt19937_64& rng);

  /// New limits, at once; connections above them go at the next next().
  void configure(ManagerConfig config);
  const ManagerConfig& config() const { return config_; }

  // -------------------------------------------------------------------------- what happened

  /// The first connection to a peer is there. `remote` is its address; of an outbound one the
  /// address that worked. What it means comes out of next().
  void connected(const PeerId& peer, bool outbound, const Multiaddr& remote, Moment now);
  /// The last one went. `received` and `sent`: bytes of all its connections.
  void disconnected(const PeerId& peer, std::uint64_t received, std::uint64_t sent, Moment now);
  void dial_ended(const PeerId& peer, bool success, Moment now);
  /// A dial that next() asked for could not be tried: that says nothing of the peer.
  void dial_not_tried(const PeerId& peer, Moment now);
  /// Whether a peer that next() wanted closed is still to be closed. Not when it came anew
  /// meanwhile, or somebody needs it now: then it stays.
  bool confirm_closing(const PeerId& peer, Moment now);
  /// Something was learnt, banned, kept or released in the book. Cost of the next next(): one look
  /// at every peer of the book.
  void book_changed();
  /// The same, where it concerned `peer` alone. Cost: one look at it.
  void book_changed(const PeerId& peer);
  /// The peer said goodbye: it is left alone for `retry_after`, at most an hour.
  void said_goodbye(const PeerId& peer, Duration retry_after, Moment now);
  /// A person disconnected it: it is left alone for left_alone, whatever happens, until
  /// come_back().
  void leave(const PeerId& peer, Moment now);
  void come_back(const PeerId& peer);
  bool is_left_by_person(const PeerId& peer, TimePoint now) const;
  /// A person asks, or the network has changed (an address came, a partition is over): nothing is
  /// left alone any more but those whom a person disconnected.
  void retry_now(Moment now);

  /// It must not be let go while anyone holds a protection of it: a running transfer. Counted.
  void protect(const PeerId& peer);
  void unprotect(const PeerId& peer);
  /// Whether a connected peer is on the local network, and lists something to us or we to it: it is
  /// a neighbour then, until this is said otherwise or it goes. Returns whether that was not known.
  bool set_neighbour(const PeerId& peer, bool neighbour);
  /// It gave us `bytes` of verified data, or used `bytes` of ours: worth keeping.
  void was_useful(const PeerId& peer, std::uint64_t bytes, Moment now);

  // -------------------------------------------------------------------------- what to do

  /// What is to be done now, in order: dials are marked as running and end with dial_ended(), peers
  /// to close as leaving and end with disconnected().
  std::vector<ManagerAction> next(Moment now);
  /// When next() may have something that it has not now; kNever: only an event changes that.
  TimePoint next_wake() const;

  // -------------------------------------------------------------------------- to look at

  /// How long a peer that we let go for want of room is to stay away.
  Duration stay_away(const PeerId& peer) const;
  struct Counts {
    std::size_t connected = 0;  ///< Peers, those that are leaving not counted.
    std::size_t neighbours = 0;
    std::size_t outbound = 0;
    std::size_t protected_peers = 0;
    std::size_t dials = 0;
  };
  Counts counts() const;
  /// Below the target with nobody left to dial: sources should look for more.
  bool wants_peers(Moment now) const;
  /// Usefulness of a connected peer, larger is better; what decides whom to let go.
  double score(const PeerId& peer, Moment now) const;
  /// Whether we dialled it; false when it is not connected.
  bool is_outbound(const PeerId& peer) const;
  /// Whether we dialled it, and not in one of the densest networks: whom to ask for others first.
  bool is_well_chosen(const PeerId& peer) const;
  /// Network groups of the peers that we dialled, and how many are in each.
  std::map<peers::NetworkGroup, std::size_t> outbound_groups() const;
  void check_invariants() const;

 private:
  /// A connected peer.
  struct Link {
    bool outbound = false;
    Multiaddr remote;
    peers::NetworkGroup group;
    TimePoint since;
    std::uint64_t serial = 0;   ///< Larger is newer, where the time is the same.
    bool feeler = false;        ///< To be closed as soon as nothing needs it.
    bool veteran = false;       ///< Dialled because it has been proven for long.
    bool leaving = false;       ///< next() said so; disconnected() is to come.
    bool near = false;          ///< set_neighbour() says so.
    bool neighbour = false;     ///< One of the first `neighbours_max` of these.
    bool exempt = false;        ///< Protected, pinned, kept or a neighbour: never let go.
    bool said_goodbye = false;  ///< Its end is no loss to repair.
    LetGo why = LetGo::kFull;   ///< Of one that is leaving.
    WallTime proven{};          ///< Its first success.
    double useful = 0;          ///< Bytes, as of `useful_at`.
    TimePoint useful_at;
  };
  /// A dial in progress.
  struct Dialling {
    DialPeer::Kind kind = DialPeer::Kind::kNeeded;
    bool veteran = false;
    peers::NetworkGroup group;
    std::vector<Multiaddr> addresses;
    TimePoint ended{};  ///< Of one that succeeded.
  };
  /// What is there, counted anew whenever something has happened: some hundred links at most.
  /// Neighbours are in none of the other numbers.
  struct Tally {
    std::size_t neighbours = 0;
    std::size_t connected = 0;  ///< Not leaving.
    std::size_t settled = 0;    ///< Of these, exempt ones and those whose grace is over.
    std::size_t outbound = 0;   ///< Not leaving, no feelers.
    std::size_t veterans = 0;   ///< Of these, among those proven for longest.
    std::size_t counted = 0;    ///< Not leaving and not exempt: what max_peers is about.
    std::size_t near = 0;       ///< Heard of on the local network; with dials.
    std::size_t dials = 0;      ///< In progress to peers that are not connected; no feelers.
    std::size_t veteran_dials = 0;
    std::size_t dense = 0;          ///< Of outbound ones and dials, those in the densest networks.
    std::size_t dials_counted = 0;  ///< In progress to peers that max_peers is about; feelers too.
    std::map<peers::NetworkGroup, std::size_t> outbound_of;  ///< With dials; without kLocal.
    std::map<peers::NetworkGroup, std::size_t> inbound_of;   ///< Counted ones; without kLocal.
  };
  using LinkMap = std::map<PeerId, Link>;
  /// Which networks a choice is limited to: those that have room for one more, those where the
  /// densest ones may have more than their share, or all.
  enum class Networks : std::uint8_t { kDiverse, kAlsoDense, kAny };

  /// One run of next().
  struct Pass {
    Moment now;
    Tally tally;  ///< Of what is there after `actions`.
    std::vector<ManagerAction> actions;
  };

  // What happened (connection_manager.cpp), and what there is (counting.cpp).
  void something_happened();
  void look_at_book(Moment now);
  void look_at(const PeerId& peer, const peers::Peer* known, Moment now);
  void rank_veterans(Moment now);
  /// 0 for a veteran, kRanks for one that has not been proven for long or at all.
  std::size_t rank(const PeerId& peer, WallTime proven) const;
  bool is_exempt(const PeerId& peer) const;
  void mark_neighbours();
  Tally count(Moment now) const;
  std::size_t target() const;
  std::size_t near_min() const;
  std::size_t outbound_min() const;
  std::size_t surplus_from() const;
  std::size_t veterans() const;
  bool is_veteran(const PeerId& peer, const Link& link) const;
  std::size_t outbound_missing(const Tally& tally) const;
  bool veterans_missing(const Tally& tally, std::size_t outbound) const;
  void mark_anchors(Moment now);
  void set_wake(const Tally& tally, Moment now);
  void back_off(const PeerId& peer, Moment now);
  Duration jittered(Duration duration);

  // Networks (networks.cpp).
  void rank_networks();
  bool is_dense(const peers::NetworkGroup& group) const { return dense_.contains(group); }
  /// How many may be in one network, of those that we choose.
  std::size_t group_max() const;
  /// How many of `chosen` peers may be in the densest networks.
  std::size_t dense_max(std::size_t chosen) const;
  /// Whether one more that we choose may be in `group`.
  bool has_room(const peers::NetworkGroup& group, const Tally& tally, Networks networks) const;
  /// Connected peers that we chose in some networks.
  struct Chosen {
    LinkMap::iterator newest;  ///< Of those that may go.
    std::size_t count = 0;
  };
  Chosen chosen_in(const std::function<bool(const peers::NetworkGroup&)>& networks);

  // Whom to let go (letting_go.cpp).
  static double usefulness(const Link& link, TimePoint now);
  double score(const PeerId& peer, const Link& link, Moment now) const;
  bool is_banned(const PeerId& peer, const Link& link, Moment now) const;
  void let_go(LinkMap::iterator link, LetGo why, Pass& pass);
  void let_banned_go(Pass& pass);
  void let_feelers_go(Pass& pass);
  void let_crowded_go(Pass& pass);
  void make_room(Pass& pass);
  void let_surplus_go(Pass& pass);
  void keep_water(Pass& pass);
  bool let_one_go(Pass& pass);
  LinkMap::iterator who_makes_way(const Pass& pass);
  LinkMap::iterator worst(const Tally& tally, Moment now,
                          const std::function<bool(const PeerId&, const Link&)>& may_go);

  // Whom to dial (choosing.cpp).
  struct Choice {
    PeerId peer;
    DialPeer::Kind kind = DialPeer::Kind::kNeeded;
    bool veteran = false;
    Networks networks = Networks::kDiverse;
  };
  void dial(Pass& pass);
  void start(const Choice& choice, Pass& pass);
  std::optional<Choice> choose(const Tally& tally, Moment now);
  std::optional<Choice> choose_asked_for(Moment now);
  std::optional<Choice> choose_anchor(const Tally& tally, Moment now);
  std::optional<Choice> choose_local(const Tally& tally, Moment now);
  std::optional<Choice> choose_veteran(const Tally& tally, Moment now);
  std::optional<Choice> choose_any(const Tally& tally, Moment now,
                                   Networks networks = Networks::kDiverse);
  std::optional<Choice> choose_lost(const Tally& tally, Moment now);
  std::optional<Choice> choose_feeler(const Tally& tally, Moment now);
  std::optional<Choice> one_of(const std::vector<PeerId>& peers, bool veteran);
  bool is_free(const PeerId& peer, Moment now) const;
  bool may_dial(const peers::Peer& peer, const Tally& tally, Moment now,
                Networks networks = Networks::kDiverse) const;
  /// Not banned and in a network that has room.
  bool may_dial(const peers::Peer& peer, const peers::AddressEntry& entry, const Tally& tally,
                Moment now, Networks networks) const;
  std::vector<Multiaddr> addresses_of(const peers::Peer& peer, const Tally& tally, Moment now,
                                      Networks networks) const;
  /// Places to keep free for peers that we choose ourselves.
  std::size_t reserve(const Tally& tally) const;

  ManagerConfig config_;
  PeerId self_;
  peers::PeerBook& book_;
  std::mt19937_64& rng_;

  LinkMap links_;
  std::map<PeerId, Dialling> dials_;
  std::map<PeerId, std::uint32_t> protections_;
  Waits waits_;
  std::uint64_t serial_ = 0;

  // Indices of the book.
  bool looked_at_book_ = false;
  bool looked_once_ = false;
  std::optional<WallTime> started_;
  std::set<PeerId> changed_;  ///< To be looked at again.
  std::set<PeerId> kept_;
  std::set<PeerId> local_;                        ///< Heard of on the local network.
  std::set<std::pair<WallTime, PeerId>> proven_;  ///< By first success.
  std::map<PeerId, WallTime> proven_since_;
  std::vector<PeerId> anchors_to_dial_;
  std::vector<PeerId> anchors_;  ///< As they stand in the book.
  std::set<PeerId> lost_;        ///< Chosen ones that went without a word: tried again.

  std::map<PeerId, Dialling> answered_;  ///< Dials that succeeded before their connection came.
  std::map<PeerId, TimePoint> left_;     ///< Disconnected by a person, until then.

  bool bans_due_ = true;
  bool dirty_ = true;         ///< Something happened since the last next().
  bool may_choose_ = true;    ///< There may be somebody to dial who was not there before.
  bool nobody_left_ = false;  ///< As of the last next().
  bool looks_again_ = false;  ///< At `choose_again_`, as of the last next().
  bool anchors_changed_ = false;
  TimePoint anchors_due_{};
  TimePoint choose_again_{};  ///< When somebody may be there to dial, if nothing else happens.
  TimePoint veterans_due_{};
  std::optional<TimePoint> feeler_due_;
  TimePoint wake_{};
  /// The last one of the veterans, of twice as many, and so on: how long a peer has been proven
  /// compared to the others.
  static constexpr std::size_t kRanks = 4;
  std::vector<std::pair<WallTime, PeerId>> ranks_;
  std::set<peers::NetworkGroup> dense_;  ///< The networks of which the book knows most peers.
};

}  // namespace warren::swarm

#pragma once
// Decides whom to ask for peers and when. A state machine without I/O; ExchangeSource drives it.

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "base/time.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::discovery {

struct ExchangeTimes {
  /// One peer, of those that are well chosen if there is one, is asked so often, with a fifth of
  /// jitter.
  Duration ask_interval = 5min;
  /// The same at the start, doubling to ask_interval: who has just begun knows few, and should not
  /// know only those that come to it.
  Duration ask_interval_first = 10s;
  /// The same peer is never asked more often.
  Duration ask_same_interval = 10min;
  /// How often it is looked whether the node wants peers.
  Duration look_interval = 10s;
  /// From a new connection to the next look: who it is must have been said before.
  Duration look_delay = 1s;
  /// Requests in progress when the node wants peers.
  std::size_t asks_max = 3;
  /// Peers whose last request is remembered; beyond: the oldest is forgotten.
  std::size_t asked_max = 1'024;
};

/// A peer that may be asked.
struct ExchangeCandidate {
  PeerId peer;
  bool well_chosen = false;  ///< We dialled it, it did not choose us: it is asked first.
};

class ExchangeMachine {
 public:
  /// `rng` chooses and must outlive the machine. The first regular question is due at once.
  ExchangeMachine(ExchangeTimes times, std::mt19937_64& rng, TimePoint now);

  /// Whether next() could ask anyone now; saves making the list of candidates.
  bool wants_candidates(bool wants_peers, TimePoint now) const;
  /// Whom to ask now. Those are in progress until ended(). With `wants_peers` up to asks_max in
  /// all, else one when the regular question is due; after look_again() also those well chosen ones
  /// that were never asked. Well chosen ones come first.
  std::vector<PeerId> next(const std::vector<ExchangeCandidate>& candidates, bool wants_peers,
                           TimePoint now);
  /// The exchange is over, well or not.
  void ended(const PeerId& peer);
  /// Somebody came: next() is due soon.
  void look_again(TimePoint now);
  /// A person asks: the regular question is due, with asks_max peers.
  void ask_now(TimePoint now);
  /// When next() may have something to do; the caller looks at the candidates then.
  TimePoint next_wake() const;
  std::size_t in_progress() const { return in_progress_.size(); }
  void check_invariants() const;

 private:
  bool may_ask(const PeerId& peer, TimePoint now) const;
  void remember(const PeerId& peer, TimePoint now);

  ExchangeTimes times_;
  std::mt19937_64& rng_;
  std::map<PeerId, TimePoint> asked_;  ///< The last time.
  std::set<PeerId> in_progress_;
  Duration interval_;  ///< To the regular question after the next.
  TimePoint regular_at_;
  TimePoint look_at_;
  bool all_now_ = false;
  bool news_ = false;
};

}  // namespace warren::discovery

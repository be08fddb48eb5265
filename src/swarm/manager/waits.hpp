#pragma once
// Until when peers are left alone: after failed dials, lost connections and goodbyes.

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "base/time.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::swarm {

/// Bounded by kEntriesMax: beyond, the wait that ends first is forgotten.
class Waits {
 public:
  /// Twice what a full book of peers holds.
  static constexpr std::size_t kEntriesMax = 8'192;

  /// The peer failed: it waits `least`, then twice as long each time up to `most`, with a fifth of
  /// jitter, or as long as it waits already.
  void back_off(const PeerId& peer, Duration least, Duration most, TimePoint now,
                std::mt19937_64& rng);
  /// It waits until `until`, or longer when it does already.
  void leave_alone(const PeerId& peer, TimePoint until);
  /// Forgets its failures and its wait.
  void forgive(const PeerId& peer);
  /// Ends its wait but remembers its failures.
  void end_wait(const PeerId& peer);
  /// Nobody waits any more, nothing is remembered.
  void clear();

  bool waits(const PeerId& peer, TimePoint now) const;
  /// The beginning of time for a peer that does not wait.
  TimePoint until(const PeerId& peer) const;
  std::uint32_t failures(const PeerId& peer) const;
  /// The first end of a wait after `now`; kNever when nobody waits.
  TimePoint next_end(TimePoint now) const;
  std::size_t size() const { return entries_.size(); }
  void check_invariants() const;

 private:
  struct Entry {
    TimePoint until{};
    std::uint32_t failures = 0;
  };
  Entry& entry(const PeerId& peer);
  void set_until(const PeerId& peer, Entry& entry, TimePoint until);

  std::map<PeerId, Entry> entries_;
  std::set<std::pair<TimePoint, PeerId>> by_end_;
};

}  // namespace warren::swarm

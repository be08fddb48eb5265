#pragma once
// Which addresses failed lately and are left alone for a while.

#include <cstddef>
#include <map>
#include <optional>
#include <random>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"

namespace warren::swarm {

/// Per address (with its /p2p, so that one peer's failure is not another's): the wait doubles with
/// each failure in a row, from `least` to `most`, with up to a fifth more (never beyond `most`) so
/// that many nodes do not come back at one moment. Holds at most `entries_max`; beyond, what is due
/// first is forgotten.
class Backoff {
 public:
  Backoff(Duration least, Duration most, std::size_t entries_max = 1024)
      : least_(least), most_(most), entries_max_(entries_max) {}

  /// Until when `address` is left alone; nullopt when it may be tried.
  std::optional<TimePoint> until(const Multiaddr& address, TimePoint now) const;
  void failed(const Multiaddr& address, TimePoint now, std::mt19937_64& rng);
  void succeeded(const Multiaddr& address) { entries_.erase(address); }
  /// Forgets every address that leads to `peer`: it was heard from.
  void forget(const PeerId& peer);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    TimePoint until;
    Duration wait{};
  };
  Duration least_;
  Duration most_;
  std::size_t entries_max_;
  std::map<Multiaddr, Entry> entries_;
};

}  // namespace warren::swarm

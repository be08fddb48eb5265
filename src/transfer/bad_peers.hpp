#pragma once
// Peers that sent chunks that did not verify, over all transfers of a node.

#include <cstdint>
#include <deque>
#include <map>

#include "base/time.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::transfer {

/// A peer with 3 bad chunks in 10 minutes is not asked for an hour. Source: quality statement
/// TR-8. At most 1,024 peers are remembered; beyond, one of them is forgotten.
class BadPeers {
 public:
  /// Notes one bad chunk. True: the peer is banned from now on.
  bool on_bad_chunk(const PeerId& peer, TimePoint now) {
    std::deque<TimePoint>& times = seen_[peer];
    times.push_back(now);
    while (now - times.front() > kWindow) times.pop_front();
    if (times.size() >= kChunksMax) {
      banned_until_[peer] = now + kBan;
      seen_.erase(peer);
    }
    if (seen_.size() > kPeersMax) seen_.erase(seen_.begin());
    if (banned_until_.size() > kPeersMax) banned_until_.erase(banned_until_.begin());
    return banned(peer, now);
  }
  bool banned(const PeerId& peer, TimePoint now) const {
    const auto found = banned_until_.find(peer);
    return found != banned_until_.end() && now < found->second;
  }

 private:
  static constexpr std::size_t kChunksMax = 3;
  static constexpr std::size_t kPeersMax = 1024;
  static constexpr Duration kWindow = 10min;
  static constexpr Duration kBan = 1h;

  std::map<PeerId, std::deque<TimePoint>> seen_;
  std::map<PeerId, TimePoint> banned_until_;
};

}  // namespace warren::transfer

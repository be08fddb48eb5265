#pragma once
// What each source told of peers last: for `warren discover`. Bounded.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/peer_source.hpp"
#include "node/node_types.hpp"

namespace warren::node {

class Sightings {
 public:
  /// Of one source; beyond: the one not heard of for longest goes.
  static constexpr std::size_t kPeersPerSourceMax = 512;

  /// True: it is new, or was lost before.
  bool found(const discovery::PeerHint& hint);
  void lost(const discovery::PeerHint& hint);
  void forget(std::string_view source);
  /// In order of peer id.
  std::vector<SeenPeer> of(std::string_view source, TimePoint now) const;
  /// Whether a source of the local network hears of it now.
  bool is_near(const PeerId& peer) const;
  /// How many peers any source hears of now.
  std::size_t present() const;

 private:
  struct Entry {
    SeenPeer seen;
    TimePoint at{};
  };
  std::map<std::string, std::map<PeerId, Entry>, std::less<>> sources_;
};

}  // namespace warren::node

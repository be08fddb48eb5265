#pragma once
// What happens to a node's peers, as it happens.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::node {

struct NodeEvent {
  enum class Kind : std::uint8_t {
    kPeerFound,         ///< A source told of it for the first time, or again after it was lost.
    kPeerLost,          ///< The source has not heard of it any more, or it said goodbye there.
    kPeerConnected,     ///< The first connection to it is there.
    kPeerDisconnected,  ///< The last one has gone.
    kPeerBanned,
  };
  Kind kind = Kind::kPeerFound;
  PeerId peer;
  std::string via;     ///< Of kPeerFound and kPeerLost: the source.
  Multiaddr address;   ///< Of kPeerConnected and kPeerDisconnected: its remote address.
  std::string reason;  ///< Of kPeerDisconnected and kPeerBanned. May hold what the peer said.
};

/// Listeners to NodeEvents. Core thread only.
class EventHub {
 public:
  using Listener = std::function<void(const NodeEvent&)>;
  /// `listener` may add and remove listeners; it is called on the core thread. Returns a number for
  /// remove().
  std::uint64_t add(Listener listener);
  void remove(std::uint64_t id) { listeners_.erase(id); }
  void tell(const NodeEvent& event);

 private:
  std::uint64_t serial_ = 0;
  std::map<std::uint64_t, std::shared_ptr<const Listener>> listeners_;
};

}  // namespace warren::node

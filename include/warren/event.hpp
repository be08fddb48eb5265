#pragma once
// What a node tells a program of while it runs.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "warren/error.hpp"
#include "warren/peer_info.hpp"

namespace warren::WARREN_V1 {
/// The first connection to a peer is there; its key is proven.
struct PeerConnected {
  std::string peer_id{};
  std::string address{};  ///< With /p2p/ID at its end: where the peer is.
  bool outbound = false;  ///< We dialled it.
};

/// The last connection to a peer is gone.
struct PeerDisconnected {
  std::string peer_id{};
  std::string reason{};  ///< For a person; may be empty.
};

/// Somebody told of a peer that was not known, or of new addresses of one. Nothing of it is
/// proven: anyone on the network may have made it up.
struct PeerDiscovered {
  std::string peer_id{};
  std::vector<std::string> addresses{};  ///< With /p2p/ID at their end; at most 32.
  std::string via{};                     ///< PeerInfo::via.
};

/// A peer is banned now and was not before, by its reputation or by Node::ban().
struct PeerBanned {
  std::string peer_id{};
  Time until{};          ///< Time::max(): until Node::unban().
  std::string reason{};  ///< For a person; may be empty.
};

/// A transfer has changed its state: after Node::get() started one, or one of an earlier run goes
/// on.
struct TransferChanged {
  enum class State : std::uint8_t {
    kActive,
    kPaused,     ///< By the program, or because the disk is full (then it goes on by itself).
    kCompleted,  ///< All is here, verified, under its final name.
    kFailed,     ///< `error` says why.
  };
  std::uint64_t id = 0;
  State state = State::kActive;
  std::string cid{};   ///< Empty until it is known.
  std::string name{};  ///< As shown to a person.
  std::string path{};  ///< Where it is or will be; empty until it is known.
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_done = 0;
  std::optional<Error> error{};
};

/// The program was too slow: so many events were thrown away before the next one.
struct EventsLost {
  std::uint64_t count = 0;
};

/// Later versions may add kinds at the end; a program handles those it knows.
using Event = std::variant<PeerConnected, PeerDisconnected, PeerDiscovered, PeerBanned,
                           TransferChanged, EventsLost>;

/// Takes the events of a node, in the order in which they happened, one at a time, on a thread
/// that the node keeps for this alone. So a callback may take its time, and may call everything
/// in Node except stop(), which then fails with kConflict, and the destructor. While it works at
/// most 4,096 further events wait; beyond that new ones are dropped and an EventsLost takes their
/// place. It must not throw: like an exception that leaves a thread, that ends the program.
using EventCallback = std::function<void(const Event&)>;

/// Events come as long as this lives. Move-only; may outlive its node.
class WARREN_API Subscription {
 public:
  class Impl;  // The library's own.

  /// No subscription.
  Subscription() noexcept;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  /// As end().
  ~Subscription();

  /// Once it returns the callback does not run and never will again: it waits for a call in
  /// progress, except from inside the callback itself. Idempotent.
  void end() noexcept;
  /// False for a default-made, moved-from or ended one.
  bool active() const noexcept;

 private:
  friend class Node;
  explicit Subscription(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;
};

}  // namespace warren::WARREN_V1

#pragma once
// Who of those that ask at the same time is served next. With many askers a chunk that goes out
// whole is of use to all of them soon; fifty that go out together are of use to nobody for long.
// So only as much is under way as the network takes in a quarter of a second, peers come in turn,
// and a chunk that was given less often goes before one that others can have elsewhere already.

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "base/result.hpp"
#include "runtime/runtime.hpp"

namespace warren::transfer {

using runtime::awaitable;

/// Core thread only. Places may outlive it, and then `runtime` too.
class ServeGate {
 public:
  struct Shared;
  /// What one peer has under way. One object for all its streams.
  struct Peer {
    std::size_t places = 0;
  };

  /// What was let in, until it is destroyed.
  class Place {
   public:
    Place() = default;
    ~Place() { leave(); }
    Place(Place&& other) noexcept = default;
    Place& operator=(Place&& other) noexcept;

   private:
    friend class ServeGate;
    Place(std::shared_ptr<Shared> shared, std::uint64_t serial)
        : shared_(std::move(shared)), serial_(serial) {}
    void leave() noexcept;

    std::shared_ptr<Shared> shared_;
    std::uint64_t serial_ = 0;
  };

  /// At most `places_max` at a time, half of them for one peer.
  ServeGate(runtime::Runtime& runtime, std::size_t places_max);
  ~ServeGate();
  ServeGate(const ServeGate&) = delete;
  ServeGate& operator=(const ServeGate&) = delete;

  /// Waits until `bytes` bytes for `peer` may be read and sent. `given`: how often others got the
  /// same before. `meanwhile` is called twice a second. Errors: kTimedOut, kCancelled (also: the
  /// gate was closed). Cancel: safe.
  awaitable<Result<Place>> enter(std::shared_ptr<Peer> peer, std::uint64_t bytes,
                                 std::uint32_t given, TimePoint deadline,
                                 std::function<void()> meanwhile = {});
  /// Whether the peer waits for what it has not taken itself.
  bool is_full(const Peer& peer) const;
  /// Nobody is let in any more, and nobody waits.
  void close();

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace warren::transfer

#pragma once
// Byte streams on a hub: what TCP is to the network, for the connections that pass through the
// upgrade. Internal to the module.

#include "multiformats/multiaddr.hpp"
#include "runtime/runtime.hpp"
#include "transport/memory/hub.hpp"

namespace warren::transport::memory {

struct StreamPort;

/// A byte stream that also knows its ends as /memory addresses: it has no IP addresses.
class HubStream : public runtime::ByteStream {
 public:
  virtual Multiaddr local_address() const = 0;
  virtual Multiaddr remote_address() const = 0;
};

/// Errors: kUnreachable (nobody listens there, or refuses), kTimedOut, kCancelled.
/// Cancel: the attempt is given up.
runtime::awaitable<Result<std::unique_ptr<HubStream>>> connect_on_hub(runtime::Runtime& runtime,
                                                                      std::shared_ptr<HubState> hub,
                                                                      std::uint64_t node,
                                                                      std::uint64_t id,
                                                                      TimePoint deadline);

/// Takes at most `backlog_max` streams that nobody has accepted; the streams are HubStreams. `id`
/// is free (checked by the caller) and not 0.
std::unique_ptr<runtime::StreamListener> listen_on_hub(runtime::Runtime& runtime,
                                                       std::shared_ptr<HubState> hub,
                                                       std::uint64_t node, std::uint64_t id,
                                                       std::size_t backlog_max);

}  // namespace warren::transport::memory

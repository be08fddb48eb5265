#pragma once
// What lies between the nodes of a memory hub.

#include <cstddef>
#include <cstdint>
#include <functional>

namespace warren::transport::memory {

/// Carries messages between nodes, reliably and in order per channel. The default delivers at once
///; the simulated world brings latency, bandwidth and partitions.
class Link {
 public:
  virtual ~Link() = default;
  /// A channel that nobody else uses; one direction of one connection.
  virtual std::uint64_t new_channel() = 0;
  /// Calls `deliver` when `bytes` bytes sent now by `from` have arrived at `to`, never inline.
  virtual void carry(std::uint64_t channel, std::uint64_t from, std::uint64_t to, std::size_t bytes,
                     std::move_only_function<void()> deliver) = 0;
};

}  // namespace warren::transport::memory

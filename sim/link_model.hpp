#pragma once
// What lies between two simulated hosts.

#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace warren::sim {

/// Properties of one direction between two hosts. Probabilities are 0 to 1 and count per datagram;
/// byte streams and the memory transport are reliable and feel only latency, bandwidth and
/// partitions. The initialisers are a quiet local network.
struct LinkModel {
  Duration latency_min = 200us;
  Duration latency_max = 400us;
  double loss = 0;
  double duplicate = 0;  ///< Arrives twice.
  double reorder = 0;    ///< Arrives late, by up to `reorder_delay_max`.
  Duration reorder_delay_max = 20ms;
  double send_buffer_full = 0;               ///< try_send takes nothing; wait_writable waits 1 ms.
  std::uint64_t bytes_per_second = 0;        ///< 0: without bound.
  std::size_t queue_bytes_max = 256u << 10;  ///< Datagrams beyond it are dropped, streams wait.
  std::size_t mtu_bytes = 1'500;  ///< IP packet size; holds where do_not_fragment is set.
};

}  // namespace warren::sim

#pragma once
// UDP in batches: UDP_SEGMENT and UDP_GRO where the kernel has them, sendmmsg/recvmmsg elsewhere.

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "runtime/runtime.hpp"
#include "runtime/socket_address.hpp"

namespace warren::runtime {

/// What the kernel is asked to do; each is left out where it has none. Tests switch them off.
struct DatagramOffload {
  bool segment = true;  ///< UDP_SEGMENT
  bool gather = true;   ///< UDP_GRO
};

Result<std::unique_ptr<DatagramSocket>> bind_real_datagram(asio::any_io_executor executor,
                                                           Endpoint local,
                                                           const DatagramOptions& options,
                                                           DatagramOffload offload = {});

}  // namespace warren::runtime

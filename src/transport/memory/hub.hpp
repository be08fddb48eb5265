#pragma once
// The place where the memory transports of one process meet. An object, not a global: a test makes
// one, and as many nodes on it as it likes. Single-threaded.

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <map>
#include <memory>

#include "transport/memory/link.hpp"

namespace warren::transport::memory {

struct ListenerState;
struct StreamPort;

/// Shared by the hub, its transports and all that is under way.
struct HubState {
  std::shared_ptr<Link> link;
  std::map<std::uint64_t, std::weak_ptr<ListenerState>> listeners;  ///< By /memory/<id>.
  std::map<std::uint64_t, std::weak_ptr<StreamPort>> stream_ports;  ///< The same, for byte streams.
  std::uint64_t serial = 0;                                         ///< Of the ids made so far.

  std::shared_ptr<ListenerState> find(std::uint64_t id) const;
  std::shared_ptr<StreamPort> find_stream_port(std::uint64_t id) const;
  /// For /memory/0 and for diallers: above 32 bits a serial number, in them the low ones of `node`,
  /// so that one can tell whose it is, as with an IP address and a port.
  std::uint64_t new_id(std::uint64_t node);
};

class Hub {
 public:
  /// Messages arrive by way of `executor`, at once.
  explicit Hub(boost::asio::any_io_executor executor);
  explicit Hub(std::shared_ptr<Link> link);
  const std::shared_ptr<HubState>& state() const { return state_; }

 private:
  std::shared_ptr<HubState> state_;
};

}  // namespace warren::transport::memory

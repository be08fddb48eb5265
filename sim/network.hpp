#pragma once
// Who listens where in the simulated network, and how a datagram gets there. Internal to sim/.

#include <map>
#include <set>
#include <tuple>

#include "sim/world.hpp"

namespace warren::sim {

/// One SendBatch under way, or waiting in an inbox.
struct Packet {
  Endpoint from;
  Endpoint to;
  std::uint32_t interface_index = 0;
  Bytes bytes;
  std::size_t segment_bytes = 0;
  std::uint8_t ecn = 0;
};

/// A bound datagram socket as the network sees it.
class DatagramPort {
 public:
  virtual ~DatagramPort() = default;
  virtual Endpoint bound() const = 0;
  virtual bool takes_v4_too() const = 0;
  virtual bool reuses_port() const = 0;
  virtual bool joined(const IpAddress& group, std::uint32_t interface_index) const = 0;
  virtual void deliver(Packet packet) = 0;
};

/// 255.255.255.255, and the same of the loopback interface.
bool is_broadcast(const IpAddress& ip);

struct Pipe;

/// A listening stream socket as the network sees it.
class StreamPort {
 public:
  virtual ~StreamPort() = default;
  virtual Endpoint bound() const = 0;
  /// False: its queue is full, the connection is refused.
  virtual bool offer(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local,
                     Endpoint remote) = 0;
};

class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  void host_up(Host host) { up_.insert(host); }
  void host_down(Host host) { up_.erase(host); }
  bool is_up(Host host) const { return up_.contains(host); }

  /// The endpoint to bind: checks that `local` is the host's, picks a port for 0, and refuses one
  /// that is taken. Errors: kInvalidArgument, kConflict.
  Result<Endpoint> claim_datagram(Host host, Endpoint local, bool reuse_port);
  Result<Endpoint> claim_stream(Host host, Endpoint local);
  std::uint16_t ephemeral_port(Host host);

  std::uint64_t attach(Host host, DatagramPort& port);
  void detach(Host host, std::uint16_t port, std::uint64_t serial);
  std::uint64_t attach(Host host, StreamPort& port);
  void detach_stream(Host host, std::uint16_t port, std::uint64_t serial);

  StreamPort* stream_port(Host host, const Endpoint& to) const;

  /// The host that `ip` means to `from`; 0 when there is none that it could reach.
  Host resolve(Host from, const IpAddress& ip) const;
  /// The address `host` sends from when the socket is bound to none.
  IpAddress source_for(Host host, const IpAddress& to) const;
  /// `ip` of `host` as `peer` sees it: another one when a NAT stands between them.
  IpAddress seen_from_outside(Host host, const IpAddress& ip, const IpAddress& peer) const;
  /// The address of `host` that `ip` means to itself: the other direction of the NAT.
  IpAddress seen_from_inside(Host host, const IpAddress& ip) const;

  /// Sends to one host, with the faults of the link.
  void send_unicast(Host from, Host to, Packet packet);
  /// Sends to every host of the LAN on which a socket has joined the group; a broadcast, on which
  /// one has the port.
  void send_multicast(Host from, std::uint32_t interface_index, bool loop, const Packet& packet);

 private:
  using Key = std::tuple<Host, std::uint16_t, std::uint64_t>;

  /// Takes out segments that are lost or find the queue full. False: nothing is left.
  bool lose_segments(Host from, Host to, Packet& packet, TimePoint& through);
  void arrive(Host host, Packet packet);

  World& world_;
  std::set<Host> up_;
  std::uint64_t serial_ = 0;
  std::map<Key, DatagramPort*> datagram_;
  std::map<Key, StreamPort*> stream_;
  std::map<Host, std::uint16_t> next_port_;
  std::map<std::pair<Host, Host>, TimePoint> last_arrival_;
};

}  // namespace warren::sim

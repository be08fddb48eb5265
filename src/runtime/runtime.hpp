#pragma once
// The seam to the world. Time, randomness, sockets and threads reach the program only through
// these interfaces: RealRuntime (real_runtime.hpp) has the machine behind them, sim::World a
// virtual clock and network. Files: file.hpp.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/endpoint.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "runtime/resolver.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::runtime {

namespace asio = boost::asio;
using asio::awaitable;

// ------------------------------------------------------------------------------- datagrams

/// Datagrams of one sender in one buffer: all `segment_bytes` long, the last may be shorter.
/// A batch of one has `segment_bytes == bytes.size()`.
struct ReceivedBatch {
  Endpoint from;
  Endpoint to;  ///< Where it was sent to; port and IP of this socket.
  std::uint32_t interface_index = 0;
  std::span<std::uint8_t> bytes;  ///< Valid until the next receive(); may be decrypted in place.
  std::size_t segment_bytes = 0;
  std::uint8_t ecn = 0;  ///< The two ECN bits.
};

struct SendBatch {
  Endpoint to;
  BytesView bytes;
  std::size_t segment_bytes = 0;      ///< Size of each datagram; 0: one datagram of all bytes.
  IpAddress from{};                   ///< Source address; unspecified: the kernel chooses.
  std::uint32_t interface_index = 0;  ///< 0: by the routing table. Needed for multicast.
  std::uint8_t ecn = 0;
};

struct DatagramOptions {
  bool reuse_port = false;  ///< SO_REUSEADDR and SO_REUSEPORT, as mDNS shares its port.
  bool v6_only = true;      ///< Only for IPv6 sockets.
  bool multicast_loop = true;
  std::uint8_t multicast_ttl = 255;
  bool broadcast = false;  ///< SO_BROADCAST: may send to all on a link. Only for IPv4 sockets.
  std::size_t buffer_bytes = 0;  ///< SO_RCVBUF and SO_SNDBUF wished for; 0: the system's.
  bool do_not_fragment = false;  ///< IP_MTU_DISCOVER, as QUIC wants.
};

/// Largest number of bytes in one SendBatch and in one ReceivedBatch.
inline constexpr std::size_t kBatchBytesMax = 65'507;
/// Most datagrams in one SendBatch. Source: Linux UDP_MAX_SEGMENTS (64 before 6.?; 128 after).
inline constexpr std::size_t kBatchSegmentsMax = 64;

class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;
  virtual Endpoint local() const = 0;
  /// Waits until datagrams are there and returns all that a few system calls give. The result is
  /// valid until the next call. Lets other tasks run between calls even under full load.
  /// Errors: kCancelled, kClosed. A datagram that the kernel refuses is no error.
  /// Cancel: safe, nothing is lost.
  virtual awaitable<Result<std::span<const ReceivedBatch>>> receive() = 0;
  /// Hands one batch to the kernel without waiting. False: its buffer is full, nothing was taken;
  /// wait_writable() says when to try again. An unreachable destination is kUnreachable, a batch
  /// beyond the path's MTU kTooLarge.
  virtual Result<bool> try_send(const SendBatch& batch) = 0;
  /// Waits until try_send may take something. Cancel: safe.
  virtual awaitable<Result<>> wait_writable() = 0;
  /// Joins `group` on the interface. Joining twice is no error.
  virtual Result<> join_multicast(IpAddress group, std::uint32_t interface_index) = 0;
  virtual void leave_multicast(IpAddress group, std::uint32_t interface_index) = 0;
  /// Ends every pending call with kClosed.
  virtual void close() = 0;
};

// --------------------------------------------------------------------------------- streams

class ByteStream {
 public:
  virtual ~ByteStream() = default;  ///< Closes at once, unsent bytes may be lost.
  virtual Endpoint local() const = 0;
  virtual Endpoint remote() const = 0;
  /// At least one byte, or 0 at the end. Errors: kReset, kTimedOut, kCancelled, kClosed.
  virtual awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) = 0;
  /// All of `parts`, in order, with as few system calls as it takes. Cancel: an unknown part went.
  virtual awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) = 0;
  /// Half-close: the other side reads the end. Reading goes on.
  virtual Result<> close_write() = 0;
  virtual void close() = 0;
};

class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual Endpoint local() const = 0;
  virtual awaitable<Result<std::unique_ptr<ByteStream>>> accept() = 0;
  virtual void close() = 0;
};

// ---------------------------------------------------------------------------------- signal

enum class Wake {
  kNotified,
  kTimedOut,
  kCancelled,
};

/// An auto-reset event with a deadline: what a coroutine waits on for another one to act.
/// One waiter at a time (checked). A notify() without a waiter is kept for the next wait.
class Signal {
 public:
  virtual ~Signal() = default;
  /// Cancel: safe; a notification that came first is kept for the next wait.
  virtual awaitable<Wake> wait_until(TimePoint deadline) = 0;
  /// Wakes the waiter by way of the executor, never inline.
  virtual void notify() = 0;
};

// --------------------------------------------------------------------------------- runtime

struct NetworkInterface {
  std::string name;
  std::uint32_t index = 0;
  std::vector<IpAddress> addresses;
  bool up = false;
  bool loopback = false;
  bool multicast = false;
  /// Of each of `addresses`: how many of its first bits all on this link share.
  std::vector<std::uint8_t> prefix_lengths;
};

/// Tells when network_interfaces() may have changed: an address came or went, an interface went up
/// or down.
class InterfaceWatch {
 public:
  virtual ~InterfaceWatch() = default;
  /// Waits for the next change; one that came since the last call, or since the watch was made, is
  /// told at once, many together as one. One caller at a time. Errors: kCancelled, kIo.
  /// Cancel: safe, nothing is lost.
  virtual awaitable<Result<>> changed() = 0;
};

/// Everything non-deterministic that a node may touch. One per node; used on its core thread
/// only, except pool().
class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual asio::any_io_executor executor() = 0;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
  /// Fails with kCancelled when cancelled. Cancel: safe.
  virtual awaitable<Result<>> sleep_until(TimePoint when) = 0;
  virtual std::unique_ptr<Signal> make_signal() = 0;
  /// For jitter and choices, never for secrets.
  virtual std::mt19937_64& rng() = 0;
  /// For secrets, nonces and ids. Reproducible only in the simulated world.
  virtual void random_bytes(MutableBytes out) = 0;
  /// Errors: kConflict (port in use), kDenied, kInvalidArgument.
  virtual Result<std::unique_ptr<DatagramSocket>> bind_datagram(Endpoint local,
                                                                const DatagramOptions& options) = 0;
  virtual awaitable<Result<std::unique_ptr<ByteStream>>> connect_stream(Endpoint to,
                                                                        TimePoint deadline) = 0;
  virtual Result<std::unique_ptr<StreamListener>> listen_stream(Endpoint local) = 0;
  virtual Result<std::vector<NetworkInterface>> network_interfaces() = 0;
  /// Errors: kUnsupported or of the system, when the machine cannot tell of changes.
  virtual Result<std::unique_ptr<InterfaceWatch>> watch_interfaces() = 0;
  /// Names to addresses. Lives as long as the runtime.
  virtual Resolver& resolver() = 0;
  /// For hashing, disk and other slow work.
  virtual WorkerPool& pool() = 0;

  awaitable<Result<>> sleep_for(Duration duration) { return sleep_until(now() + duration); }
};

}  // namespace warren::runtime

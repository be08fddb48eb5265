#include "runtime/real_stream.hpp"

#include <fmt/core.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "runtime/cancellation.hpp"
#include "runtime/socket_address.hpp"

namespace warren::runtime {
namespace {

using Descriptor = asio::posix::stream_descriptor;

constexpr int kBacklog = 128;
constexpr std::size_t kVectorsMax = 64;
// Bytes that the kernel takes beyond those that are on their way. Measured over loopback: no slower
// than without.
constexpr int kUnsentBytes = 256 << 10;
// Reads or writes that succeed at once before others get their turn.
constexpr int kTurnsMax = 32;

/// One direction of a descriptor: a signal that the kernel's readiness notifies.
struct Side {
  std::unique_ptr<Signal> ready;
  bool armed = false;  ///< A wait of the kernel is under way.
};

/// Shared with the callbacks of waits that outlive their stream by a moment.
struct Socket {
  Socket(RealRuntime& own_runtime, int fd)
      : runtime(own_runtime), descriptor(own_runtime.context(), fd) {
    for (Side* side : {&read, &write}) side->ready = runtime.make_signal();
  }

  void close() {
    boost::system::error_code ignored;
    descriptor.close(ignored);
    read.ready->notify();
    write.ready->notify();
  }
  bool closed() const { return !descriptor.is_open(); }
  int fd() { return descriptor.native_handle(); }

  RealRuntime& runtime;
  Descriptor descriptor;
  Side read, write;
};

/// Waits until `socket` may be ready; may return early. The wait of the kernel stays armed when
/// the deadline passes first: the next call finds it.
awaitable<Wake> wait_ready(std::shared_ptr<Socket> socket, Descriptor::wait_type type,
                           TimePoint deadline) {
  Side& side = type == Descriptor::wait_read ? socket->read : socket->write;
  if (!side.armed) {
    side.armed = true;
    socket->descriptor.async_wait(type, [socket, &side](const boost::system::error_code&) {
      side.armed = false;
      side.ready->notify();
    });
  }
  co_return co_await side.ready->wait_until(deadline);
}

Endpoint name_of(int fd, int (*get)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (get(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return endpoint_of(reinterpret_cast<const sockaddr&>(address)).value_or(Endpoint{});
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

class RealByteStream final : public ByteStream {
 public:
  explicit RealByteStream(std::shared_ptr<Socket> socket)
      : socket_(std::move(socket)),
        local_(name_of(socket_->fd(), ::getsockname)),
        remote_(name_of(socket_->fd(), ::getpeername)) {
    // Small writes go out at once: the layers above gather what belongs together.
    const int on = 1;
    (void)::setsockopt(socket_->fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // On a slow link the kernel would queue megabytes, and what is urgent would wait behind them.
    const int unsent_bytes = kUnsentBytes;
    (void)::setsockopt(socket_->fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes,
                       sizeof unsent_bytes);
  }
  ~RealByteStream() override { RealByteStream::close(); }

  Endpoint local() const override { return local_; }
  Endpoint remote() const override { return remote_; }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    const std::shared_ptr<Socket> socket = socket_;
    const Endpoint remote = remote_;
    // Also where bytes never run out: who sends without end may not hold a place without end.
    if (deadline != kNever && deadline <= socket->runtime.now()) {
      co_return fail(ErrorCode::kTimedOut,
                     fmt::format("read from {}: the deadline has passed", remote.to_string()));
    }
    if (++read_turns_ % kTurnsMax == 0) {
      co_await asio::post(socket->descriptor.get_executor(), asio::use_awaitable);
    }
    for (;;) {
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (socket->closed()) co_return fail(ErrorCode::kClosed, "the stream is closed");
      const ssize_t got = ::recv(socket->fd(), out.data(), out.size(), MSG_DONTWAIT);
      if (got >= 0) co_return static_cast<std::size_t>(got);
      if (!would_block(errno)) {
        co_return fail(system_error(fmt::format("read from {}", remote.to_string()), errno));
      }
      const Wake wake = co_await wait_ready(socket, Descriptor::wait_read, deadline);
      if (wake == Wake::kTimedOut) {
        co_return fail(ErrorCode::kTimedOut,
                       fmt::format("read from {}: nothing came in time", remote.to_string()));
      }
    }
  }

  awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) override {
    const std::shared_ptr<Socket> socket = socket_;
    const Endpoint remote = remote_;
    if (++write_turns_ % kTurnsMax == 0) {
      co_await asio::post(socket->descriptor.get_executor(), asio::use_awaitable);
    }
    std::size_t done_of_front = 0;
    for (;;) {
      while (!parts.empty() && done_of_front == parts.front().size()) {
        parts = parts.subspan(1);
        done_of_front = 0;
      }
      if (parts.empty()) co_return Result<>{};
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (socket->closed()) co_return fail(ErrorCode::kClosed, "the stream is closed");
      ssize_t sent = send_now(*socket, parts, done_of_front);
      if (sent < 0 && !would_block(errno)) {
        co_return fail(system_error(fmt::format("write to {}", remote.to_string()), errno));
      }
      if (sent < 0) {
        const Wake wake = co_await wait_ready(socket, Descriptor::wait_write, deadline);
        if (wake != Wake::kTimedOut) continue;
        co_return fail(ErrorCode::kTimedOut,
                       fmt::format("write to {}: it took nothing in time", remote.to_string()));
      }
      while (sent > 0) {
        const std::size_t n =
            std::min(static_cast<std::size_t>(sent), parts.front().size() - done_of_front);
        sent -= static_cast<ssize_t>(n);
        done_of_front += n;
        if (done_of_front < parts.front().size()) break;
        parts = parts.subspan(1);
        done_of_front = 0;
      }
    }
  }

  Result<> close_write() override {
    if (socket_->closed()) return fail(ErrorCode::kClosed, "the stream is closed");
    if (::shutdown(socket_->fd(), SHUT_WR) == 0) return {};
    return fail(system_error(fmt::format("half-close to {}", remote_.to_string()), errno));
  }

  void close() override {
    if (!socket_->closed()) socket_->close();
  }

 private:
  static ssize_t send_now(Socket& socket, std::span<const BytesView> parts, std::size_t skip) {
    std::array<iovec, kVectorsMax> vectors;
    std::size_t count = 0;
    for (const BytesView& part : parts.first(std::min(parts.size(), kVectorsMax))) {
      const BytesView rest = count == 0 ? part.subspan(skip) : part;
      vectors[count++] = {const_cast<std::uint8_t*>(rest.data()), rest.size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    return ::sendmsg(socket.fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  std::shared_ptr<Socket> socket_;
  Endpoint local_, remote_;
  unsigned read_turns_ = 0;
  unsigned write_turns_ = 0;
};

class RealStreamListener final : public StreamListener {
 public:
  RealStreamListener(RealRuntime& runtime, int fd)
      : runtime_(runtime),
        socket_(std::make_shared<Socket>(runtime, fd)),
        local_(name_of(fd, ::getsockname)) {}
  ~RealStreamListener() override { RealStreamListener::close(); }

  Endpoint local() const override { return local_; }

  awaitable<Result<std::unique_ptr<ByteStream>>> accept() override {
    const std::shared_ptr<Socket> socket = socket_;
    RealRuntime& runtime = runtime_;
    for (;;) {
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (socket->closed()) co_return fail(ErrorCode::kClosed, "the listener is closed");
      const int fd = ::accept4(socket->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        co_return std::make_unique<RealByteStream>(std::make_shared<Socket>(runtime, fd));
      }
      if (errno == EMFILE || errno == ENFILE) {
        co_return fail(ErrorCode::kLimited, "accept: no file descriptor is left",
                       "raise the limit on open files (ulimit -n), or lower the connection limit");
      }
      // A connection that broke before it was accepted is no concern of the listener.
      if (errno == ECONNABORTED || errno == EPROTO) continue;
      if (!would_block(errno)) co_return fail(system_error("accept", errno));
      co_await wait_ready(socket, Descriptor::wait_read, kNever);
    }
  }

  void close() override {
    if (!socket_->closed()) socket_->close();
  }

 private:
  RealRuntime& runtime_;
  std::shared_ptr<Socket> socket_;
  Endpoint local_;
};

Result<int> open_socket(const Endpoint& endpoint) {
  const int family = endpoint.ip.is_v6() ? AF_INET6 : AF_INET;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(system_error("socket", errno));
  return fd;
}

}  // namespace

awaitable<Result<std::unique_ptr<ByteStream>>> connect_real_stream(RealRuntime& runtime,
                                                                   Endpoint to,
                                                                   TimePoint deadline) {
  const bool stop = co_await cancelled();
  if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
  const std::string what = fmt::format("connect to {}", to.to_string());
  WARREN_CO_TRY(const int fd, open_socket(to));
  const auto socket = std::make_shared<Socket>(runtime, fd);
  sockaddr_storage address;
  const socklen_t length = fill_sockaddr(to, address);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno != EINPROGRESS) {
      const int error = errno;
      socket->close();
      co_return fail(system_error(what, error));
    }
    const Wake wake = co_await wait_ready(socket, Descriptor::wait_write, deadline);
    int error = 0;
    socklen_t size = sizeof error;
    if (wake == Wake::kNotified) {
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (wake != Wake::kNotified || error != 0) {
      socket->close();
      if (error != 0) co_return fail(system_error(what, error));
      if (wake == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
      co_return fail(ErrorCode::kTimedOut, what + ": no answer in time");
    }
  }
  co_return std::make_unique<RealByteStream>(socket);
}

Result<std::unique_ptr<StreamListener>> listen_real_stream(RealRuntime& runtime, Endpoint local) {
  WARREN_TRY(const int fd, open_socket(local));
  const std::string what = fmt::format("listen on TCP {}", local.to_string());
  const auto give_up = [fd, &what](int error) {
    ::close(fd);
    return fail(system_error(what, error));
  };
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return give_up(errno);
  if (local.ip.is_v6() && ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
    return give_up(errno);
  }
  sockaddr_storage address;
  const socklen_t length = fill_sockaddr(local, address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) return give_up(errno);
  if (::listen(fd, kBacklog) != 0) return give_up(errno);
  return std::make_unique<RealStreamListener>(runtime, fd);
}

}  // namespace warren::runtime

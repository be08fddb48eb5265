#include "runtime/real_interface_watch.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>

#include "runtime/cancellation.hpp"

namespace warren::runtime {
namespace {

using Descriptor = asio::posix::stream_descriptor;

/// Shared with a wait of the kernel that outlives the watch by a moment.
struct Socket {
  Socket(asio::io_context& context, Runtime& runtime)
      : descriptor(context), ready(runtime.make_signal()) {}
  Descriptor descriptor;
  std::unique_ptr<Signal> ready;
  bool armed = false;
};

class RealInterfaceWatch final : public InterfaceWatch {
 public:
  explicit RealInterfaceWatch(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
  ~RealInterfaceWatch() override {
    boost::system::error_code ignored;
    socket_->descriptor.close(ignored);
  }

  awaitable<Result<>> changed() override {
    const std::shared_ptr<Socket> socket = socket_;
    for (;;) {
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      WARREN_CO_TRY(const bool any, drain(socket->descriptor.native_handle()));
      if (any) co_return Result<>{};
      arm(socket);
      const Wake how = co_await socket->ready->wait_until(kNever);
      if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    }
  }

 private:
  static void arm(const std::shared_ptr<Socket>& socket) {
    if (std::exchange(socket->armed, true)) return;
    socket->descriptor.async_wait(Descriptor::wait_read,
                                  [socket](const boost::system::error_code&) {
                                    socket->armed = false;
                                    socket->ready->notify();
                                  });
  }

  /// Reads all messages that wait, and whether one was there. What they say is not looked at: the
  /// whole list is read anew, which also makes up for messages that the kernel dropped.
  static Result<bool> drain(int fd) {
    std::array<std::uint8_t, 8192> message;
    for (bool any = false;; any = true) {
      const ssize_t got = ::recv(fd, message.data(), message.size(), MSG_DONTWAIT);
      if (got > 0 || (got < 0 && errno == ENOBUFS)) continue;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return any;
      return fail(system_error("read changes of the network interfaces", got == 0 ? EPIPE : errno));
    }
  }

  std::shared_ptr<Socket> socket_;
};

}  // namespace

Result<std::unique_ptr<InterfaceWatch>> make_real_interface_watch(asio::io_context& context,
                                                                  Runtime& runtime) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return fail(system_error("open a socket for changes of the interfaces", errno));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(fd);
    return fail(system_error("listen for changes of the interfaces", error));
  }
  const auto socket = std::make_shared<Socket>(context, runtime);
  boost::system::error_code error;
  socket->descriptor.assign(fd, error);
  if (error) {
    ::close(fd);
    return fail(system_error("watch for changes of the interfaces", error.value()));
  }
  return std::make_unique<RealInterfaceWatch>(socket);
}

}  // namespace warren::runtime

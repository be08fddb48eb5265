#include "runtime/real_datagram.hpp"

#include <fmt/core.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/cancellation.hpp"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace warren::runtime {
namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
// One receive takes up to this many buffers of kBatchBytesMax: half a mebibyte, the size of a
// level-2 cache. Pages that never see a packet are never touched.
constexpr std::size_t kReceiveBuffers = 8;
constexpr std::size_t kReceiveBufferBytes = 65'536;
constexpr std::size_t kControlBytes = 128;

template <class T>
Result<> set_option(int fd, int level, int name, T value, std::string_view what) {
  if (::setsockopt(fd, level, name, &value, sizeof value) != 0) {
    return fail(system_error(what, errno));
  }
  return {};
}

template <class T>
T control_value(const cmsghdr& header) {
  T value{};
  std::memcpy(&value, CMSG_DATA(&header), sizeof value);
  return value;
}

/// Appends one control message to a buffer that has room for it.
template <class T>
void put_control(msghdr& message, std::size_t& used, int level, int type, const T& value) {
  auto* header = reinterpret_cast<cmsghdr*>(static_cast<char*>(message.msg_control) + used);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
  used += CMSG_SPACE(sizeof value);
}

class RealDatagramSocket final : public DatagramSocket {
 public:
  /// Owns `fd`. With `parks`, what comes while nobody waits for it wakes nobody.
  RealDatagramSocket(asio::any_io_executor executor, int fd, Endpoint local, bool gso, bool parks)
      : descriptor_(std::move(executor)),
        fd_(fd),
        parks_(parks),
        local_(local),
        gso_(gso),
        buffer_(
            std::make_unique_for_overwrite<std::uint8_t[]>(kReceiveBuffers * kReceiveBufferBytes)) {
    for (std::size_t i = 0; i < kReceiveBuffers; ++i) {
      vectors_[i] = {buffer_.get() + i * kReceiveBufferBytes, kReceiveBufferBytes};
    }
  }
  ~RealDatagramSocket() override { RealDatagramSocket::close(); }

  Endpoint local() const override { return local_; }

  awaitable<Result<std::span<const ReceivedBatch>>> receive() override {
    // Under full load the kernel always has more: give the others their turn between batches.
    if (had_more_) co_await asio::post(descriptor_.get_executor(), asio::use_awaitable);
    for (;;) {
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (!is_open()) co_return fail(ErrorCode::kClosed, "the socket is closed");
      const std::span<const ReceivedBatch> got = receive_now();
      had_more_ = !got.empty();
      if (!got.empty()) co_return got;
      const auto error = co_await wait(asio::posix::stream_descriptor::wait_read);
      if (error == asio::error::operation_aborted) {
        const ErrorCode code = is_open() ? ErrorCode::kCancelled : ErrorCode::kClosed;
        co_return fail(code, "receive was ended");
      }
      if (error) co_return fail(ErrorCode::kIo, error.message());
    }
  }

  Result<bool> try_send(const SendBatch& batch) override {
    if (!is_open()) return fail(ErrorCode::kClosed, "the socket is closed");
    WARREN_CHECK(batch.bytes.size() <= kBatchBytesMax);
    const std::size_t segment = batch.segment_bytes == 0 ? batch.bytes.size() : batch.segment_bytes;
    if (segment >= batch.bytes.size()) return send_one(batch, batch.bytes, 0);
    if (gso_) {
      Result<bool> sent = send_one(batch, batch.bytes, static_cast<std::uint16_t>(segment));
      if (sent || !gso_refused_) return sent;
      // It may be the batch that is wrong, not the batching: only if the same packets pass one by
      // one is UDP_SEGMENT not to be had.
      Result<bool> each = send_each(batch, segment);
      if (each && *each) {
        log::info("udp", "the kernel refuses UDP_SEGMENT here; sending packets one by one");
        gso_ = false;
      }
      return each;
    }
    return send_each(batch, segment);
  }

  awaitable<Result<>> wait_writable() override {
    const bool stop = co_await cancelled();
    if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (!is_open()) co_return fail(ErrorCode::kClosed, "the socket is closed");
    const auto error = co_await wait(asio::posix::stream_descriptor::wait_write);
    if (!error) co_return Result<>{};
    co_return fail(is_open() ? ErrorCode::kCancelled : ErrorCode::kClosed, "the wait was ended");
  }

  Result<> join_multicast(IpAddress group, std::uint32_t interface_index) override {
    return change_membership(group, interface_index, true);
  }

  void leave_multicast(IpAddress group, std::uint32_t interface_index) override {
    (void)change_membership(group, interface_index, false);
  }

  void close() override {
    boost::system::error_code ignored;
    if (descriptor_.is_open()) {
      descriptor_.close(ignored);
    } else if (is_open()) {
      ::close(fd_);
    }
    fd_ = -1;
  }

 private:
  bool is_open() const { return fd_ >= 0; }

  /// Asio tells its loop of every packet from when it has the descriptor, also while nobody waits.
  awaitable<boost::system::error_code> wait(asio::posix::stream_descriptor::wait_type what) {
    if (!descriptor_.is_open()) {
      boost::system::error_code refused;
      descriptor_.assign(fd_, refused);
      if (refused) co_return refused;
    }
    ++waits_;
    const auto [error] = co_await descriptor_.async_wait(what, kToken);
    --waits_;
    if (parks_ && waits_ == 0 && descriptor_.is_open()) descriptor_.release();
    co_return error;
  }

  std::span<const ReceivedBatch> receive_now() {
    for (std::size_t i = 0; i < kReceiveBuffers; ++i) {
      msghdr& header = messages_[i].msg_hdr;
      header = {};
      header.msg_name = &senders_[i];
      header.msg_namelen = sizeof senders_[i];
      header.msg_iov = &vectors_[i];
      header.msg_iovlen = 1;
      header.msg_control = controls_[i].data();
      header.msg_controllen = kControlBytes;
    }
    // ECONNREFUSED and its like are answers to something sent earlier: they cost one try each.
    int got = -1;
    for (int tries = 0; got < 0 && tries < 8; ++tries) {
      got = ::recvmmsg(fd_, messages_.data(), kReceiveBuffers, MSG_DONTWAIT, nullptr);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    }
    std::size_t count = 0;
    for (int i = 0; i < got; ++i) {
      if (read_message(static_cast<std::size_t>(i), batches_[count])) ++count;
    }
    return std::span(batches_).first(count);
  }

  bool read_message(std::size_t i, ReceivedBatch& out) {
    const std::size_t length = messages_[i].msg_len;
    msghdr& header = messages_[i].msg_hdr;
    if ((header.msg_flags & MSG_TRUNC) != 0) return false;
    const auto from = endpoint_of(reinterpret_cast<const sockaddr&>(senders_[i]));
    if (!from) return false;
    out = {};
    out.from = *from;
    out.to = local_;
    out.bytes = {buffer_.get() + i * kReceiveBufferBytes, length};
    out.segment_bytes = length;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
        const int size = control_value<int>(*c);
        if (size > 0) out.segment_bytes = static_cast<std::size_t>(size);
      } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        const auto info = control_value<in_pktinfo>(*c);
        out.to.ip =
            *IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&info.ipi_addr), 4});
        out.interface_index = static_cast<std::uint32_t>(info.ipi_ifindex);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        const auto info = control_value<in6_pktinfo>(*c);
        out.to.ip =
            *IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&info.ipi6_addr), 16});
        out.interface_index = info.ipi6_ifindex;
      } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
        out.ecn = control_value<std::uint8_t>(*c) & 3;
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        out.ecn = static_cast<std::uint8_t>(control_value<int>(*c) & 3);
      }
    }
    return true;
  }

  Result<bool> send_one(const SendBatch& batch, BytesView bytes, std::uint16_t segment) {
    sockaddr_storage to;
    iovec vector{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = fill_sockaddr(batch.to, to);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, kControlBytes> control{};
    message.msg_control = control.data();
    std::size_t used = 0;
    if (segment != 0) put_control(message, used, SOL_UDP, UDP_SEGMENT, segment);
    put_source(message, used, batch);
    if (batch.ecn != 0) {
      const int level = local_.ip.is_v6() ? IPPROTO_IPV6 : IPPROTO_IP;
      put_control(message, used, level, local_.ip.is_v6() ? IPV6_TCLASS : IP_TOS, int{batch.ecn});
    }
    message.msg_controllen = used;
    if (used == 0) message.msg_control = nullptr;
    // A pending error of an earlier datagram is reported once, in place of this send.
    for (int tries = 0; tries < 3; ++tries) {
      if (::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        return true;
      }
      if (errno != ECONNREFUSED) break;
    }
    const int error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) return false;
    gso_refused_ = segment != 0 && (error == EIO || error == EINVAL || error == EOPNOTSUPP);
    if (error == EMSGSIZE) {
      return fail(ErrorCode::kTooLarge, fmt::format("{} bytes are beyond the MTU towards {}",
                                                    bytes.size(), batch.to.to_string()));
    }
    return fail(system_error(fmt::format("send to {}", batch.to.to_string()), error));
  }

  void put_source(msghdr& message, std::size_t& used, const SendBatch& batch) const {
    if (batch.from.is_unspecified() && batch.interface_index == 0) return;
    if (!local_.ip.is_v6()) {
      in_pktinfo info{};
      info.ipi_ifindex = static_cast<int>(batch.interface_index);
      if (!batch.from.is_v6()) std::memcpy(&info.ipi_spec_dst, batch.from.bytes().data(), 4);
      put_control(message, used, IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      info.ipi6_ifindex = batch.interface_index;
      if (batch.from.is_v6()) std::memcpy(&info.ipi6_addr, batch.from.bytes().data(), 16);
      put_control(message, used, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }

  /// Without UDP_SEGMENT. What the kernel has no room for after the first is dropped, as on a wire:
  /// the transport's loss recovery sends it again.
  Result<bool> send_each(const SendBatch& batch, std::size_t segment) {
    bool any = false;
    std::optional<Error> too_large;
    for (std::size_t at = 0; at < batch.bytes.size(); at += segment) {
      const BytesView rest = batch.bytes.subspan(at);
      const auto sent = send_one(batch, rest.first(std::min(segment, rest.size())), 0);
      if (!sent && sent.error().code() == ErrorCode::kTooLarge) {
        too_large = sent.error();  // What follows may be smaller.
        continue;
      }
      if (!sent) return fail(sent.error());
      if (!*sent) return any;
      any = true;
    }
    if (!any && too_large) return fail(*too_large);
    return true;
  }

  Result<> change_membership(IpAddress group, std::uint32_t interface_index, bool join) {
    group_req request{};
    request.gr_interface = interface_index;
    fill_sockaddr({group, 0, 0}, request.gr_group);
    const int level = group.is_v6() ? IPPROTO_IPV6 : IPPROTO_IP;
    const int name = join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP;
    if (::setsockopt(fd_, level, name, &request, sizeof request) == 0 ||
        (join && errno == EADDRINUSE)) {
      return {};
    }
    return fail(
        system_error(fmt::format("{} multicast group {} on interface {}", join ? "join" : "leave",
                                 group.to_string(), interface_index),
                     errno));
  }

  asio::posix::stream_descriptor descriptor_;  ///< Has `fd_`, except while it is parked.
  int fd_;
  bool parks_;
  int waits_ = 0;
  Endpoint local_;
  bool gso_;
  bool gso_refused_ = false;
  bool had_more_ = false;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::array<mmsghdr, kReceiveBuffers> messages_{};
  std::array<iovec, kReceiveBuffers> vectors_{};
  std::array<sockaddr_storage, kReceiveBuffers> senders_{};
  struct alignas(cmsghdr) Control : std::array<char, kControlBytes> {};
  std::array<Control, kReceiveBuffers> controls_{};
  std::array<ReceivedBatch, kReceiveBuffers> batches_{};
};

Result<> configure(int fd, const Endpoint& local, const DatagramOptions& options) {
  const bool v6 = local.ip.is_v6();
  if (v6) {
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, int{options.v6_only}, "IPV6_V6ONLY"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, int{options.multicast_loop},
                               "IPV6_MULTICAST_LOOP"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, int{options.multicast_ttl},
                               "IPV6_MULTICAST_HOPS"));
  } else {
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, int{options.multicast_loop},
                               "IP_MULTICAST_LOOP"));
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, int{options.multicast_ttl},
                               "IP_MULTICAST_TTL"));
    // Only the groups that this socket joined, not those of every socket on the machine.
    WARREN_TRY_VOID(set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL"));
    if (options.broadcast) {
      WARREN_TRY_VOID(set_option(fd, SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST"));
    }
  }
  if (options.reuse_port) {
    WARREN_TRY_VOID(set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
    WARREN_TRY_VOID(set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  }
  if (options.do_not_fragment) {
    const int probe = v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;
    WARREN_TRY_VOID(v6 ? set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, probe, "MTU_DISCOVER")
                       : set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, probe, "MTU_DISCOVER"));
  }
  if (options.buffer_bytes != 0) {
    const int wished = static_cast<int>(options.buffer_bytes);
    WARREN_TRY_VOID(set_option(fd, SOL_SOCKET, SO_RCVBUF, wished, "SO_RCVBUF"));
    WARREN_TRY_VOID(set_option(fd, SOL_SOCKET, SO_SNDBUF, wished, "SO_SNDBUF"));
    int granted = 0;
    socklen_t length = sizeof granted;
    ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &length);
    if (granted / 2 < wished) {  // The kernel reports twice what it grants.
      log::info("udp", "asked for {} bytes of socket buffer, got {}; raise net.core.rmem_max",
                wished, granted / 2);
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<DatagramSocket>> bind_real_datagram(asio::any_io_executor executor,
                                                           Endpoint local,
                                                           const DatagramOptions& options,
                                                           DatagramOffload offload) {
  const int family = local.ip.is_v6() ? AF_INET6 : AF_INET;
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(system_error("socket", errno));
  if (auto set = configure(fd, local, options); !set) {
    ::close(fd);
    return fail(std::move(set).error());
  }
  // Both are wishes: plain recvmmsg and sendmmsg remain where the kernel has neither.
  const int on = 1;
  if (offload.gather) (void)::setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
  int segment = 0;
  socklen_t segment_length = sizeof segment;
  const bool gso =
      offload.segment && ::getsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, &segment_length) == 0;

  sockaddr_storage address;
  socklen_t length = fill_sockaddr(local, address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    const int error = errno;
    ::close(fd);
    return fail(system_error(fmt::format("bind UDP {}", local.to_string()), error));
  }
  length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  const Endpoint bound = *endpoint_of(reinterpret_cast<const sockaddr&>(address));
  // A port that is shared is one on which everybody talks: its reader rests now and then.
  const bool parks = options.reuse_port;
  return std::make_unique<RealDatagramSocket>(std::move(executor), fd, bound, gso, parks);
}

}  // namespace warren::runtime

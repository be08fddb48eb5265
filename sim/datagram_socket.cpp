// Datagram sockets of the simulated network.

#include <fmt/core.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "base/check.hpp"
#include "sim/sim_runtime.hpp"

namespace warren::sim {
namespace {

using runtime::DatagramOptions;
using runtime::ReceivedBatch;
using runtime::SendBatch;
using runtime::Wake;

constexpr std::size_t kInboxBytesDefault = 212'992;  // Linux net.core.rmem_default.
constexpr std::size_t kInboxPacketsMax = 4'096;
constexpr std::size_t kBatchesPerReceive = 8;
constexpr std::size_t kHeaderBytesV4 = 28;
constexpr std::size_t kHeaderBytesV6 = 48;

class SimDatagramSocket final : public runtime::DatagramSocket, public DatagramPort {
 public:
  SimDatagramSocket(World& world, Host host, Endpoint local, const DatagramOptions& options)
      : world_(world),
        host_(host),
        local_(local),
        options_(options),
        inbox_bytes_max_(options.buffer_bytes == 0 ? kInboxBytesDefault : options.buffer_bytes),
        arrived_(make_sim_signal(world)),
        writable_(make_sim_signal(world)) {
    serial_ = world_.network().attach(host_, *this);
  }
  ~SimDatagramSocket() override { SimDatagramSocket::close(); }

  Endpoint local() const override { return local_; }

  awaitable<Result<std::span<const ReceivedBatch>>> receive() override {
    // As over the real network: others get their turn even if there is always more.
    if (had_more_) co_await asio::post(world_.executor(), asio::use_awaitable);
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (closed_) co_return fail(ErrorCode::kClosed, "the socket is closed");
      had_more_ = !inbox_.empty();
      if (had_more_) co_return take();
      co_await arrived_->wait_until(kNever);
    }
  }

  Result<bool> try_send(const SendBatch& batch) override {
    if (closed_) return fail(ErrorCode::kClosed, "the socket is closed");
    WARREN_CHECK(batch.bytes.size() <= runtime::kBatchBytesMax);
    const bool broadcast = is_broadcast(batch.to.ip);
    if (broadcast && !options_.broadcast) {
      return fail(ErrorCode::kDenied,
                  fmt::format("send to {}: the socket is not for broadcast", batch.to.to_string()));
    }
    const bool to_all = broadcast || batch.to.ip.is_multicast();
    const Host to = to_all ? host_ : world_.network().resolve(host_, batch.to.ip);
    const bool family_fits = batch.to.ip.is_v6() == local_.ip.is_v6() || takes_v4_too();
    if (to == 0 || !family_fits) {
      return fail(ErrorCode::kUnreachable,
                  fmt::format("send to {}: no route to that address", batch.to.to_string()));
    }
    Packet packet;
    packet.bytes = to_bytes(batch.bytes);
    packet.segment_bytes = batch.segment_bytes == 0 ? batch.bytes.size() : batch.segment_bytes;
    packet.segment_bytes = std::min(packet.segment_bytes, batch.bytes.size());
    WARREN_CHECK(batch.bytes.empty() ||
                 (batch.bytes.size() + packet.segment_bytes - 1) / packet.segment_bytes <=
                     runtime::kBatchSegmentsMax);
    const LinkModel& model = to_all ? world_.link : world_.link_between(host_, to);
    const std::size_t header = batch.to.ip.is_v6() ? kHeaderBytesV6 : kHeaderBytesV4;
    if (options_.do_not_fragment && packet.segment_bytes + header > model.mtu_bytes) {
      return fail(ErrorCode::kTooLarge, fmt::format("{} bytes are beyond the MTU towards {}",
                                                    packet.segment_bytes, batch.to.to_string()));
    }
    if (world_.chance(model.send_buffer_full)) {
      blocked_until_ = world_.now() + 1ms;
      return false;
    }
    address(packet, batch);
    if (to_all) {
      const bool loop = broadcast || options_.multicast_loop;
      world_.network().send_multicast(host_, packet.interface_index, loop, packet);
    } else {
      world_.network().send_unicast(host_, to, std::move(packet));
    }
    return true;
  }

  awaitable<Result<>> wait_writable() override {
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (closed_) co_return fail(ErrorCode::kClosed, "the socket is closed");
      if (world_.now() >= blocked_until_) co_return Result<>{};
      co_await writable_->wait_until(blocked_until_);
    }
  }

  Result<> join_multicast(IpAddress group, std::uint32_t interface_index) override {
    if (closed_) return fail(ErrorCode::kClosed, "the socket is closed");
    if (!group.is_multicast() || interface_index > kLanInterface) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("join multicast group {} on interface {}: no such group or interface",
                              group.to_string(), interface_index));
    }
    groups_.insert({group, interface_or_default(interface_index)});
    return {};
  }

  void leave_multicast(IpAddress group, std::uint32_t interface_index) override {
    groups_.erase({group, interface_or_default(interface_index)});
  }

  void close() override {
    if (std::exchange(closed_, true)) return;
    world_.network().detach(host_, local_.port, serial_);
    inbox_.clear();
    arrived_->notify();
    writable_->notify();
  }

  // What the network sees.
  Endpoint bound() const override { return local_; }
  bool takes_v4_too() const override { return local_.ip.is_v6() && !options_.v6_only; }
  bool reuses_port() const override { return options_.reuse_port; }
  bool joined(const IpAddress& group, std::uint32_t interface_index) const override {
    return groups_.contains({group, interface_index});
  }

  void deliver(Packet packet) override {
    if (inbox_bytes_ + packet.bytes.size() > inbox_bytes_max_ ||
        inbox_.size() == kInboxPacketsMax) {
      ++world_.counters().datagrams_inbox_full;
      return;
    }
    inbox_bytes_ += packet.bytes.size();
    inbox_.push_back(std::move(packet));
    arrived_->notify();
  }

 private:
  static std::uint32_t interface_or_default(std::uint32_t index) {
    return index == 0 ? kLanInterface : index;
  }

  void address(Packet& packet, const SendBatch& batch) const {
    IpAddress from = batch.from;
    if (from.is_unspecified()) from = local_.ip;
    if (from.is_unspecified() || from.is_multicast()) {
      from = world_.network().source_for(host_, batch.to.ip);
    }
    const bool loopback = batch.to.ip.is_loopback();
    packet.interface_index =
        loopback ? kLoopbackInterface : interface_or_default(batch.interface_index);
    packet.from = {from, local_.port, from.is_link_local() ? packet.interface_index : 0};
    packet.to = {batch.to.ip, batch.to.port,
                 batch.to.ip.is_link_local() ? packet.interface_index : 0};
    packet.ecn = batch.ecn;
  }

  std::span<const ReceivedBatch> take() {
    taken_.clear();
    batches_.clear();
    while (!inbox_.empty() && taken_.size() < kBatchesPerReceive) {
      inbox_bytes_ -= inbox_.front().bytes.size();
      taken_.push_back(std::move(inbox_.front()));
      inbox_.pop_front();
    }
    for (Packet& packet : taken_) {
      batches_.push_back({packet.from, packet.to, packet.interface_index, packet.bytes,
                          packet.segment_bytes, packet.ecn});
    }
    return batches_;
  }

  World& world_;
  Host host_;
  Endpoint local_;
  DatagramOptions options_;
  std::size_t inbox_bytes_max_;
  std::unique_ptr<runtime::Signal> arrived_;
  std::unique_ptr<runtime::Signal> writable_;
  std::uint64_t serial_ = 0;
  bool closed_ = false;
  bool had_more_ = false;
  TimePoint blocked_until_{};
  std::set<std::pair<IpAddress, std::uint32_t>> groups_;
  std::deque<Packet> inbox_;
  std::size_t inbox_bytes_ = 0;
  std::vector<Packet> taken_;
  std::vector<ReceivedBatch> batches_;
};

}  // namespace

Result<std::unique_ptr<runtime::DatagramSocket>> bind_sim_datagram(World& world, Host host,
                                                                   Endpoint local,
                                                                   const DatagramOptions& options) {
  WARREN_TRY(const Endpoint bound, world.network().claim_datagram(host, local, options.reuse_port));
  return std::make_unique<SimDatagramSocket>(world, host, bound, options);
}

}  // namespace warren::sim

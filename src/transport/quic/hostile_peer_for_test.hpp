#pragma once
// A QUIC peer that completes an honest handshake and then says whatever a test wants: the contents
// of its packets are replaced just before they are encrypted. Only in a program that also has
// hostile_peer_for_test.cpp's function, which stands in front of the library's.

#include <functional>
#include <memory>
#include <vector>

#include "runtime/run_task.hpp"
#include "runtime/task_group.hpp"
#include "sim/world.hpp"
#include "transport/quic/connection.hpp"

namespace warren::transport::quic::testing {

/// Writes frames into a packet of a given size; what is left becomes PADDING.
class FrameWriter {
 public:
  explicit FrameWriter(MutableBytes packet) : packet_(packet) {
    std::ranges::fill(packet_, std::uint8_t{0});
  }
  std::size_t room() const { return packet_.size() - used_; }
  /// Whether `count` bytes more fit, and then the frames of one call should be written.
  bool fits(std::size_t count) const { return count <= room(); }
  FrameWriter& byte(std::uint8_t value) {
    WARREN_CHECK(used_ < packet_.size());
    packet_[used_++] = value;
    return *this;
  }
  FrameWriter& bytes(std::size_t count, std::uint8_t value = 'x') {
    for (std::size_t i = 0; i < count; ++i) byte(value);
    return *this;
  }
  /// A variable-length integer of 8 bytes, or of 1 or 4 if it is small.
  FrameWriter& integer(std::uint64_t value) {
    if (value < 64) return byte(static_cast<std::uint8_t>(value));
    const int size = value < (1u << 30) ? 4 : 8;
    for (int i = size - 1; i >= 0; --i) {
      auto part = static_cast<std::uint8_t>(value >> (8 * i));
      if (i == size - 1) part = static_cast<std::uint8_t>(part | (size == 4 ? 0x80 : 0xc0));
      byte(part);
    }
    return *this;
  }

 private:
  MutableBytes packet_;
  std::size_t used_ = 0;
};

class HostilePeer final : private ConnectionOwner {
 public:
  using Fill = std::function<void(FrameWriter&)>;

  HostilePeer(sim::World& world, sim::Host host, Endpoint target, QuicConfig config = {});
  ~HostilePeer();

  /// The honest part. False: it failed.
  bool connect();
  /// Opens a stream and gives it so many bytes to send: what the packets are made of whose contents
  /// are then replaced.
  void queue_bytes(std::size_t count);
  /// From now on every packet of at least `least_bytes` says what `fill` writes, and nothing else
  /// goes out: no acknowledgement, no answer.
  void speak(Fill fill, std::size_t least_bytes = 300);
  std::size_t packets_spoken() const { return spoken_; }
  QuicConnection& connection() { return *connection_; }
  /// The source address of its last batch.
  const IpAddress& sent_from() const { return sent_from_; }
  Endpoint local_endpoint() const override { return socket_->local(); }

  /// Called by the function that stands in front of the library's encryption.
  static void replace(MutableBytes plaintext, BytesView header);

 private:
  runtime::Runtime& runtime() override { return *runtime_; }
  const QuicConfig& config() const override { return config_; }
  void register_cid(const CidKey&, QuicConnection&) override {}
  void unregister_cid(const CidKey&) override {}
  void make_reset_token(const ngtcp2_cid&, std::uint8_t* token) override {
    std::fill_n(token, NGTCP2_STATELESS_RESET_TOKENLEN, std::uint8_t{0x55});
  }
  void connection_dirty(QuicConnection&) override;
  void connection_ready(QuicConnection&) override {}
  Result<bool> send(const runtime::SendBatch& batch) override {
    sent_from_ = batch.from;
    return socket_->try_send(batch);
  }
  MutableBytes packet_buffer() override { return buffer_; }
  awaitable<void> receive_loop();
  void flush();

  sim::World& world_;
  std::unique_ptr<runtime::Runtime> runtime_;
  Endpoint target_;
  QuicConfig config_;
  resources::Manager resources_;
  std::unique_ptr<TlsContext> tls_;
  std::unique_ptr<runtime::DatagramSocket> socket_;
  Bytes buffer_;
  std::shared_ptr<QuicConnection> connection_;
  std::vector<std::unique_ptr<Stream>> streams_;
  IpAddress sent_from_;
  Fill fill_;
  std::size_t least_bytes_ = 0;
  std::size_t spoken_ = 0;
  bool scheduled_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  runtime::TaskGroup tasks_;
};

}  // namespace warren::transport::quic::testing

#pragma once
// A node that listens in the simulated world, honest diallers, and peers that the test plays by
// hand, down to single bytes. For tests of the upgrade.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "muxer/yamux/frame.hpp"
#include "security/noise/noise_security.hpp"
#include "sim/world.hpp"
#include "transport/contract_stage.hpp"
#include "transport/upgrade/handshake.hpp"
#include "transport/upgrade/upgrader.hpp"

namespace warren::transport {

namespace yamux = muxer::yamux;
using runtime::ByteStream;
using security::Side;

inline crypto::PrivateKey identity_of(std::uint8_t number) {
  return crypto::PrivateKey::from_seed(Bytes(32, number));
}
inline PeerId peer_of(std::uint8_t number) {
  return PeerId::from_public_key(identity_of(number).public_key().protobuf());
}

inline Upgrader::Securities noise_of(runtime::Runtime& runtime, std::uint8_t number,
                                     std::vector<std::string> muxers = {std::string(kYamux)}) {
  const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
  Upgrader::Securities made;
  made.push_back(
      security::noise::make_noise_security(std::make_shared<const security::noise::Credentials>(
                                               identity_of(number), std::move(muxers), random),
                                           random));
  return made;
}

inline awaitable<Result<RawStream>> name_ends(std::unique_ptr<ByteStream> stream, TimePoint) {
  RawStream raw;
  raw.local_address = Multiaddr::tcp(stream->local());
  raw.remote_address = Multiaddr::tcp(stream->remote());
  raw.stream = std::move(stream);
  co_return raw;
}

/// Waits in virtual time, at most for a while, until `done`.
template <class Done>
awaitable<bool> eventually(runtime::Runtime& runtime, Done done) {
  for (int i = 0; i < 1'000; ++i) {
    if (done()) co_return true;
    co_await runtime.sleep_for(1ms);
  }
  co_return false;
}

/// A byte stream whose written bytes are cut off, or changed, somewhere.
class TamperedStream final : public ByteStream {
 public:
  explicit TamperedStream(std::unique_ptr<ByteStream> inner) : inner_(std::move(inner)) {}
  std::size_t cut_at = SIZE_MAX;   ///< Closes when so many bytes are written.
  std::size_t flip_at = SIZE_MAX;  ///< One bit of this byte is changed.
  std::size_t written = 0;

  Endpoint local() const override { return inner_->local(); }
  Endpoint remote() const override { return inner_->remote(); }
  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    return inner_->read_some(out, deadline);
  }
  awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) override {
    Bytes bytes;
    for (const BytesView part : parts) append(bytes, part);
    if (flip_at >= written && flip_at - written < bytes.size()) bytes[flip_at - written] ^= 1;
    const bool cut = cut_at - written < bytes.size();
    if (cut) bytes.resize(cut_at - written);
    written += bytes.size();
    const BytesView part = bytes;
    const auto done = co_await inner_->write_all(std::span(&part, 1), deadline);
    if (cut) inner_->close();
    co_return done;
  }
  Result<> close_write() override { return inner_->close_write(); }
  void close() override { inner_->close(); }

 private:
  std::unique_ptr<ByteStream> inner_;
};

/// A dialler that the test plays by hand: raw bytes at first, sealed ones after shake().
class RawPeer {
 public:
  RawPeer(runtime::Runtime& runtime, std::unique_ptr<ByteStream> byte_stream)
      : stream(std::move(byte_stream)), runtime_(runtime) {}

  TimePoint soon() const { return runtime_.now() + 20s; }

  awaitable<Result<>> write(Bytes bytes) {
    const BytesView part = bytes;
    co_return co_await stream->write_all(std::span(&part, 1), soon());
  }
  /// Reads what comes until the other side closes.
  awaitable<void> wait_for_end() {
    Bytes buffer(64u << 10);
    for (;;) {
      const auto got = co_await stream->read_some(buffer, soon());
      if (!got || *got == 0) co_return;
    }
  }

  awaitable<Result<>> shake(Upgrader::Securities securities) {
    auto result = co_await shake_hands(*stream, Side::kDialler, securities, std::nullopt, soon());
    if (!result) co_return fail(result.error());
    channel = std::move(result->channel);
    ciphertext_ = std::move(result->ciphertext);
    plaintext_ = std::move(result->plaintext);
    co_return Result<>{};
  }
  Bytes seal(BytesView plain) {
    Bytes out(channel->sealed_bytes_max(plain.size()));
    out.resize(channel->seal(std::span(&plain, 1), out).value());
    return out;
  }
  awaitable<Result<>> send(Bytes plain) {
    Bytes all;
    for (BytesView left = plain; !left.empty();) {
      const BytesView piece = left.first(std::min(left.size(), channel->bulk_bytes()));
      append(all, seal(piece));
      left = left.subspan(piece.size());
    }
    co_return co_await write(std::move(all));
  }
  awaitable<Result<>> frame(yamux::Type type, unsigned flags, std::uint32_t id,
                            std::uint32_t length, Bytes payload = {}) {
    Bytes bytes = encoded(type, flags, id, length);
    append(bytes, payload);
    co_return co_await send(std::move(bytes));
  }
  static Bytes encoded(yamux::Type type, unsigned flags, std::uint32_t id, std::uint32_t length) {
    return to_bytes(yamux::Header{
        .type = type, .flags = static_cast<std::uint16_t>(flags), .stream = id, .length = length}
                        .encode());
  }
  /// The next frame; its body is in `body`.
  awaitable<Result<yamux::Header>> next_frame() {
    WARREN_CO_TRY_VOID(co_await need(yamux::kHeaderBytes));
    WARREN_CO_TRY(const yamux::Header header,
                  yamux::Header::decode(std::span<const std::uint8_t, yamux::kHeaderBytes>(
                      plaintext_.data(), yamux::kHeaderBytes)));
    const std::size_t count = header.type == yamux::Type::kData ? header.length : 0;
    WARREN_CO_TRY_VOID(co_await need(yamux::kHeaderBytes + count));
    const auto begin = plaintext_.begin() + yamux::kHeaderBytes;
    body.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    plaintext_.erase(plaintext_.begin(), begin + static_cast<std::ptrdiff_t>(count));
    co_return header;
  }
  /// The next frame of a kind, passing over others.
  awaitable<Result<yamux::Header>> next_frame(yamux::Type type) {
    for (;;) {
      WARREN_CO_TRY(const yamux::Header header, co_await next_frame());
      if (header.type == type) co_return header;
    }
  }

  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<security::SecureChannel> channel;
  Bytes body;

 private:
  awaitable<Result<>> need(std::size_t count) {
    while (plaintext_.size() < count) {
      WARREN_CO_TRY(const auto opened, channel->open(ciphertext_));
      append(plaintext_, opened.plaintext);
      ciphertext_.erase(ciphertext_.begin(),
                        ciphertext_.begin() + static_cast<std::ptrdiff_t>(opened.taken));
      if (opened.taken > 0) continue;
      const std::size_t before = ciphertext_.size();
      ciphertext_.resize(before + (64u << 10));
      const auto got =
          co_await stream->read_some(MutableBytes(ciphertext_).subspan(before), soon());
      ciphertext_.resize(before + got.value_or(0));
      if (!got) co_return fail(got.error());
      if (*got == 0) co_return fail(ErrorCode::kReset, "the bytes ended");
    }
    co_return Result<>{};
  }

  runtime::Runtime& runtime_;
  Bytes ciphertext_;
  Bytes plaintext_;
};

/// Host 1 is the node under test, host 2 whoever talks to it.
class UpgradeTest : public ::testing::Test {
 protected:
  static constexpr std::uint16_t kPort = 4001;
  static constexpr std::uint8_t kNode = 1;
  static constexpr std::uint8_t kOther = 2;

  UpgradeTest() { world_.link.latency_min = world_.link.latency_max = 1ms; }

  struct Ends {
    std::shared_ptr<Connection> dialler;
    std::shared_ptr<Connection> node;
  };

  void start(UpgradeConfig config = {}, std::vector<std::string> muxers = {std::string(kYamux)}) {
    node_ = std::make_unique<Upgrader>(*host_, identity_of(kNode).public_key(),
                                       noise_of(*host_, kNode, std::move(muxers)), "tcp", config);
    auto source = host_->listen_stream({sim::host_v4(1), kPort, 0}).value();
    const Multiaddr at = Multiaddr::tcp(source->local());
    listener_ = node_->listen(std::move(source), {.address = at, .prepare = &name_ends}).value();
  }
  /// Starts the node unless it is, plays `scene`, closes everything.
  void play(awaitable<void> scene) {
    if (!node_) start();
    sim::run(world_, play_all(std::move(scene)));
    EXPECT_EQ(node_->half_open(), 0u);
  }

  TimePoint soon() const { return world_.now() + 20s; }
  Upgrader::Securities other_securities() { return noise_of(*peer_host_, kOther); }

  awaitable<std::unique_ptr<ByteStream>> connect() {
    auto stream = co_await peer_host_->connect_stream({sim::host_v4(1), kPort, 0}, soon());
    co_return std::move(stream.value());
  }
  /// A peer played by hand that is through with the handshake, and the node's end.
  struct RawEnds {
    std::unique_ptr<RawPeer> raw;
    std::shared_ptr<Connection> node;
  };
  awaitable<RawEnds> shake() {
    auto stream = co_await connect();
    auto raw = std::make_unique<RawPeer>(*peer_host_, std::move(stream));
    const auto shaken = co_await raw->shake(other_securities());
    shaken.value();
    auto accepted = co_await listener_->accept();
    co_return RawEnds{std::move(raw), std::move(accepted.value())};
  }
  /// An honest peer dials.
  awaitable<Result<Ends>> dial() {
    auto stream = co_await connect();
    auto raw = co_await name_ends(std::move(stream), soon());
    auto dialled = co_await other_.dial(std::move(*raw), peer_of(kNode), soon());
    if (!dialled) co_return fail(dialled.error());
    auto accepted = co_await listener_->accept();
    co_return Ends{std::move(*dialled), std::move(accepted.value())};
  }
  /// An honest peer opens a stream; both ends, of which the first byte has gone over.
  awaitable<contract::StreamPair> open(Ends& ends) {
    contract::StreamPair pair;
    auto opened = co_await ends.dialler->open_stream(soon());
    pair.a = std::move(opened.value());
    const auto written = co_await pair.a->write(as_bytes("!"), soon());
    written.value();
    auto accepted = co_await ends.node->accept_stream();
    pair.b = std::move(accepted.value());
    Bytes first(1);
    const auto got = co_await pair.b->read_full(first, soon());
    EXPECT_EQ(got.value_or(0), 1u);
    co_return pair;
  }
  /// Whether an honest peer is served: it dials, and a byte goes over.
  awaitable<bool> is_served() {
    auto ends = co_await dial();
    if (!ends) co_return false;
    const auto pair = co_await open(*ends);
    co_return pair.b != nullptr;
  }

  sim::World world_{sim::seed_from_env(5)};
  std::unique_ptr<runtime::Runtime> host_ = world_.make_runtime(1);
  std::unique_ptr<runtime::Runtime> peer_host_ = world_.make_runtime(2);
  std::unique_ptr<Upgrader> node_;
  std::unique_ptr<Listener> listener_;
  Upgrader other_{*peer_host_, identity_of(kOther).public_key(), noise_of(*peer_host_, kOther),
                  "tcp"};

 private:
  awaitable<void> play_all(awaitable<void> scene) {
    co_await std::move(scene);
    co_await other_.close();
    co_await node_->close();
  }
};

}  // namespace warren::transport

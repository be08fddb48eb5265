#include "transport/quic/hostile_peer_for_test.hpp"

#include <utility>

#include "base/check.hpp"

namespace {
warren::transport::quic::testing::HostilePeer* speaking = nullptr;  // During one flush.
}  // namespace

/// Stands in front of the library's function of this name, which is this without the first line.
extern "C" int ngtcp2_crypto_encrypt_cb(std::uint8_t* dest, const ngtcp2_crypto_aead* aead,
                                        const ngtcp2_crypto_aead_ctx* context,
                                        const std::uint8_t* plaintext, std::size_t size,
                                        const std::uint8_t* nonce, std::size_t nonce_size,
                                        const std::uint8_t* header, std::size_t header_size) {
  warren::transport::quic::testing::HostilePeer::replace(
      {const_cast<std::uint8_t*>(plaintext), size}, {header, header_size});
  const int code = ngtcp2_crypto_encrypt(dest, aead, context, plaintext, size, nonce, nonce_size,
                                         header, header_size);
  return code == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

namespace warren::transport::quic::testing {

HostilePeer::HostilePeer(sim::World& world, sim::Host host, Endpoint target, QuicConfig config)
    : world_(world),
      runtime_(world.make_runtime(host)),
      target_(target),
      config_(config),
      resources_([this] { return world_.now(); }),
      tls_(TlsContext::create(
               *runtime_, crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host))))
               .value()),
      socket_(runtime_->bind_datagram({{}, 4001, 0}, {}).value()),
      buffer_(2 * 65'536),
      tasks_(*runtime_, 1) {
  config_.udp_payload_bytes = 1'200;  // No larger packets are probed for: those have a size.
  config_.unsent_bytes_max = 256u << 20;
  WARREN_CHECK(tasks_.spawn(receive_loop()));
}

HostilePeer::~HostilePeer() {
  *alive_ = false;
  streams_.clear();
  if (connection_) connection_->detach(Error(ErrorCode::kClosed, "the test is over"));
  socket_->close();
  sim::run(world_, tasks_.join());
}

bool HostilePeer::connect() {
  ConnectionStart start;
  start.remote = target_;
  start.handshake_deadline = world_.now() + 10s;
  start.scope = resources_.open_connection(resources::Direction::kOutbound, target_, false).value();
  WARREN_CHECK(start.scope->reserve_memory(config_.handshake_window_bytes));
  const PeerId self =
      PeerId::from_public_key(crypto::PrivateKey::from_seed(Bytes(32, 1)).public_key().protobuf());
  connection_ = QuicConnection::create(*this, *tls_, self, std::move(start)).value();
  connection_dirty(*connection_);
  const auto ready = sim::run(world_, connection_->wait_ready(world_.now() + 10s));
  world_.run_for(200ms);
  return ready.has_value() && !connection_->closed();
}

void HostilePeer::queue_bytes(std::size_t count) {
  auto stream = sim::run(world_, connection_->open_stream(world_.now() + 1s));
  WARREN_CHECK(stream);
  WARREN_CHECK(sim::run(world_, (*stream)->write(SharedBytes(Bytes(count, 'h')), kNever)));
  streams_.push_back(std::move(*stream));
}

void HostilePeer::speak(Fill fill, std::size_t least_bytes) {
  fill_ = std::move(fill);
  least_bytes_ = least_bytes;
}

void HostilePeer::replace(MutableBytes plaintext, BytesView header) {
  if (speaking == nullptr || !speaking->fill_ || (header[0] & 0x80) != 0) return;
  FrameWriter writer(plaintext);  // Nothing but PADDING so far.
  if (plaintext.size() < speaking->least_bytes_) return;
  speaking->fill_(writer);
  ++speaking->spoken_;
}

void HostilePeer::connection_dirty(QuicConnection&) {
  if (std::exchange(scheduled_, true)) return;
  world_.schedule(world_.now(), [this, alive = alive_] {
    if (*alive) flush();
  });
}

void HostilePeer::flush() {
  scheduled_ = false;
  if (connection_->finished()) return;
  speaking = this;
  const bool taken = connection_->flush(world_.now());
  speaking = nullptr;
  WARREN_CHECK(taken);
  const TimePoint expiry = connection_->expiry();
  if (expiry == kNever) return;
  world_.schedule(std::max(expiry, world_.now() + 1us), [this, alive = alive_] {
    if (!*alive || connection_->finished() || connection_->expiry() > world_.now()) return;
    connection_->handle_expiry(world_.now());
    connection_dirty(*connection_);
  });
}

awaitable<void> HostilePeer::receive_loop() {
  for (;;) {
    const auto batches = co_await socket_->receive();
    if (!batches) co_return;
    if (connection_ == nullptr) continue;
    for (const runtime::ReceivedBatch& batch : *batches) {
      for (std::size_t at = 0; at < batch.bytes.size(); at += batch.segment_bytes) {
        connection_->read_packet(
            batch, batch.bytes.subspan(at, std::min(batch.segment_bytes, batch.bytes.size() - at)),
            world_.now());
      }
    }
  }
}

}  // namespace warren::transport::quic::testing

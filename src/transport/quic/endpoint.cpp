#include "transport/quic/endpoint.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/log.hpp"
#include "crypto/sha256.hpp"
#include "runtime/socket_address.hpp"
#include "transport/quic/callbacks.hpp"

namespace warren::transport::quic {
namespace {

constexpr std::size_t kCidBytes = 8;
constexpr std::size_t kAcceptedMax = 64;  // Waiting for accept(); beyond, the newest is closed.
constexpr auto kRetryTokenLife = 10s;
constexpr std::size_t kResetCandidatesMax = 4;
constexpr auto kResetGap = 5ms;  // At most 200 stateless resets a second, and refusals.

BytesView view(const std::uint8_t* data, std::size_t size) { return {data, size}; }

}  // namespace

QuicEndpoint::QuicEndpoint(runtime::Runtime& runtime, const TlsContext& tls, PeerId local_peer,
                           const QuicConfig& config, resources::Manager& resources,
                           BytesView secret, std::unique_ptr<runtime::DatagramSocket> socket)
    : runtime_(runtime),
      tls_(tls),
      local_peer_(std::move(local_peer)),
      config_(config),
      resources_(resources),
      socket_(std::move(socket)),
      packet_buffer_(2 * 65'536),
      flush_signal_(runtime.make_signal()),
      timer_signal_(runtime.make_signal()),
      blocked_signal_(runtime.make_signal()),
      accept_signal_(runtime.make_signal()),
      tasks_(runtime, 4) {
  // Of the port too: two sockets of one node must not accept each other's tokens.
  Bytes material = to_bytes(secret);
  const std::uint16_t port = socket_->local().port;
  material.push_back(static_cast<std::uint8_t>(port >> 8));
  material.push_back(static_cast<std::uint8_t>(port & 0xff));
  secret_ = crypto::sha256(material);
}

QuicEndpoint::~QuicEndpoint() = default;

void QuicEndpoint::start() {
  WARREN_CHECK(tasks_.spawn(receive_loop()));
  WARREN_CHECK(tasks_.spawn(flush_loop()));
  WARREN_CHECK(tasks_.spawn(timer_loop()));
  WARREN_CHECK(tasks_.spawn(writable_loop()));
}

void QuicEndpoint::close() {
  if (std::exchange(closed_, true)) return;
  for (const auto& [key, connection] : connections_) {
    connection->close(CloseCode::kNone, "");
    connection->detach(Error(ErrorCode::kClosed, "the node is shutting down"));
  }
  by_cid_.clear();
  timers_.clear();
  dirty_.clear();
  accepted_.clear();
  connections_.clear();
  socket_->close();
  accept_signal_->notify();
  tasks_.cancel();
}

void QuicEndpoint::stop_accepting() {
  accepting_ = false;
  accept_signal_->notify();
}

// ----------------------------------------------------------------------------------- loops

awaitable<void> QuicEndpoint::receive_loop() {
  for (;;) {
    const auto batches = co_await socket_->receive();
    if (!batches) co_return;
    const TimePoint now = runtime_.now();
    for (const runtime::ReceivedBatch& batch : *batches) read_batch(batch, now);
    flush_dirty(now);
  }
}

awaitable<void> QuicEndpoint::flush_loop() {
  for (;;) {
    const runtime::Wake wake = co_await flush_signal_->wait_until(kNever);
    if (wake == runtime::Wake::kCancelled || closed_) co_return;
    flush_dirty(runtime_.now());
  }
}

awaitable<void> QuicEndpoint::timer_loop() {
  for (;;) {
    armed_ = timers_.empty() ? kNever : timers_.begin()->first;
    const runtime::Wake wake = co_await timer_signal_->wait_until(armed_);
    if (wake == runtime::Wake::kCancelled || closed_) co_return;
    const TimePoint now = runtime_.now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
      QuicConnection& connection = *timers_.begin()->second;
      timers_.erase(timers_.begin());
      connection.timer_key = kNever;
      connection.handle_expiry(now);
      connection_dirty(connection);  // Even if it has nothing to send, its timer is set anew.
    }
    flush_dirty(now);
  }
}

awaitable<void> QuicEndpoint::writable_loop() {
  for (;;) {
    while (!blocked_) {
      const runtime::Wake wake = co_await blocked_signal_->wait_until(kNever);
      if (wake == runtime::Wake::kCancelled || closed_) co_return;
    }
    const auto writable = co_await socket_->wait_writable();
    if (!writable) co_return;
    blocked_ = false;
    flush_dirty(runtime_.now());
  }
}

void QuicEndpoint::flush_dirty(TimePoint now) {
  // Whoever becomes dirty in here again waits for the next turn of the loop.
  std::vector<QuicConnection*> round;
  round.swap(dirty_);
  for (QuicConnection* connection : round) {
    connection->dirty = false;
    connection->close_if_refused();
    if (connection->finished()) {
      forget(*connection);
      continue;
    }
    if (blocked_ || !connection->flush(now)) {
      if (!std::exchange(blocked_, true)) blocked_signal_->notify();
      connection_dirty(*connection);
    }
    if (connection->finished()) {
      forget(*connection);
    } else {
      rearm(*connection);
    }
  }
}

void QuicEndpoint::connection_dirty(QuicConnection& connection) {
  if (std::exchange(connection.dirty, true)) return;
  dirty_.push_back(&connection);
  if (!blocked_) flush_signal_->notify();
}

void QuicEndpoint::rearm(QuicConnection& connection) {
  const TimePoint expiry = connection.expiry();
  if (expiry == connection.timer_key) return;
  if (connection.timer_key != kNever) timers_.erase({connection.timer_key, &connection});
  connection.timer_key = expiry;
  if (expiry == kNever) return;
  timers_.insert({expiry, &connection});
  if (expiry < armed_) timer_signal_->notify();
}

Result<bool> QuicEndpoint::send(const runtime::SendBatch& batch) {
  auto sent = socket_->try_send(batch);
  if (!sent) log::debug("quic", "{}", sent.error().message());
  return sent;
}

// ------------------------------------------------------------------------------ connections

Result<std::unique_ptr<resources::ConnectionScope>> QuicEndpoint::open_scope(
    resources::Direction direction, const Endpoint& remote, const std::optional<PeerId>& expected) {
  // All connections share the socket: none takes a descriptor of its own.
  WARREN_TRY(auto scope, resources_.open_connection(direction, remote, false, expected));
  WARREN_TRY_VOID(scope->reserve_memory(
      std::min(config_.handshake_window_bytes, config_.connection_window_bytes)));
  return scope;
}

void QuicEndpoint::adopt(std::shared_ptr<QuicConnection> connection) {
  QuicConnection& added = *connection;
  if (added.inbound()) ++half_open_;
  connections_.emplace(&added, std::move(connection));
  connection_dirty(added);
}

void QuicEndpoint::forget(QuicConnection& connection) {
  const auto found = connections_.find(&connection);
  if (found == connections_.end()) return;
  const std::shared_ptr<QuicConnection> keep = std::move(found->second);
  connections_.erase(found);
  if (keep->inbound() && !keep->ready()) --half_open_;
  for (const CidKey& id : keep->cids()) by_cid_.erase(id);
  if (keep->timer_key != kNever) timers_.erase({keep->timer_key, keep.get()});
  keep->timer_key = kNever;
  if (keep->dirty) std::erase(dirty_, keep.get());
  keep->detach(Error(ErrorCode::kClosed, "the connection has ended"));
}

void QuicEndpoint::register_cid(const CidKey& id, QuicConnection& connection) {
  by_cid_.emplace(id, &connection);
}

void QuicEndpoint::unregister_cid(const CidKey& id) { by_cid_.erase(id); }

void QuicEndpoint::make_reset_token(const ngtcp2_cid& id, std::uint8_t* token) {
  WARREN_CHECK(ngtcp2_crypto_generate_stateless_reset_token(token, secret_.data(), secret_.size(),
                                                            &id) == 0);
}

void QuicEndpoint::connection_ready(QuicConnection& connection) {
  if (!connection.inbound()) return;
  --half_open_;
  const auto found = connections_.find(&connection);
  if (found == connections_.end()) return;
  if (accepted_.size() >= kAcceptedMax) {
    log::warn("quic", "{} connections wait to be accepted; {} is dropped", accepted_.size(),
              connection.info().remote_address.to_string());
    connection.refuse(Error(ErrorCode::kLimited, "nobody accepts connections fast enough"));
    return;
  }
  accepted_.push_back(found->second);
  accept_signal_->notify();
}

awaitable<Result<std::shared_ptr<Connection>>> QuicEndpoint::accept() {
  for (;;) {
    if (closed_ || !accepting_) co_return fail(ErrorCode::kClosed, "the listener is closed");
    if (!accepted_.empty()) {
      std::shared_ptr<Connection> connection = std::move(accepted_.front());
      accepted_.pop_front();
      if (!connection->closed()) co_return connection;
      continue;
    }
    const runtime::Wake wake = co_await accept_signal_->wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
}

awaitable<Result<std::shared_ptr<Connection>>> QuicEndpoint::dial(Endpoint to,
                                                                  std::optional<PeerId> expected,
                                                                  TimePoint deadline) {
  if (closed_) co_return fail(ErrorCode::kClosed, "the node is shutting down");
  ConnectionStart start;
  start.remote = to;
  start.expected = std::move(expected);
  start.handshake_deadline =
      std::min(deadline, runtime_.now() + Duration(config_.limits.handshake_time_max));
  WARREN_CO_TRY(start.scope, open_scope(resources::Direction::kOutbound, to, start.expected));
  WARREN_CO_TRY(const std::shared_ptr<QuicConnection> connection,
                QuicConnection::create(*this, tls_, local_peer_, std::move(start)));
  adopt(connection);
  const auto ready = co_await connection->wait_ready(deadline);
  if (!ready) {
    connection->close(CloseCode::kNone, "");
    co_return fail(ready.error());
  }
  co_return std::static_pointer_cast<Connection>(connection);
}

// ---------------------------------------------------------------------------------- packets

void QuicEndpoint::read_batch(const runtime::ReceivedBatch& batch, TimePoint now) {
  // The segments of a batch nearly always belong to one connection.
  QuicConnection* last = nullptr;
  CidKey last_id;
  for (std::size_t at = 0; at < batch.bytes.size(); at += batch.segment_bytes) {
    const BytesView packet =
        batch.bytes.subspan(at, std::min(batch.segment_bytes, batch.bytes.size() - at));
    ngtcp2_version_cid ids{};
    const int code = ngtcp2_pkt_decode_version_cid(&ids, packet.data(), packet.size(), kCidBytes);
    if (code == NGTCP2_ERR_VERSION_NEGOTIATION) {
      send_version_negotiation(batch, ids);
      continue;
    }
    if (code != 0 || ids.dcidlen > NGTCP2_MAX_CIDLEN) continue;  // Not QUIC.
    const CidKey id(view(ids.dcid, ids.dcidlen));
    if (last == nullptr || id != last_id) {
      const auto found = by_cid_.find(id);
      if (found == by_cid_.end()) {
        read_unknown(batch, packet, ids, now);
        last = nullptr;
        continue;
      }
      last = found->second;
      last_id = id;
    }
    last->read_packet(batch, packet, now);
    if (last->finished()) {
      forget(*last);
      last = nullptr;
    }
  }
}

void QuicEndpoint::read_unknown(const runtime::ReceivedBatch& batch, BytesView packet,
                                const ngtcp2_version_cid& ids, TimePoint now) {
  if (ids.version == 0) {
    if ((packet[0] & 0x80) != 0) return;  // Version negotiation, which we never asked for.
    if (!read_as_reset(batch, packet, now)) send_stateless_reset(batch, packet, ids, now);
  } else if (accepting_) {
    accept_packet(batch, packet, now);
  }
}

/// A stateless reset bears no id that we know: the connections to its sender look at its token.
bool QuicEndpoint::read_as_reset(const runtime::ReceivedBatch& batch, BytesView packet,
                                 TimePoint now) {
  std::vector<std::shared_ptr<QuicConnection>> candidates;
  for (const auto& [key, connection] : connections_) {
    if (connection->remote() != batch.from || connection->closed()) continue;
    candidates.push_back(connection);
    if (candidates.size() == kResetCandidatesMax) break;
  }
  for (const auto& connection : candidates) {
    connection->read_packet(batch, packet, now);
    if (connection->finished()) forget(*connection);
    if (connection->closed()) return true;
  }
  return false;
}

void QuicEndpoint::accept_packet(const runtime::ReceivedBatch& batch, BytesView packet,
                                 TimePoint now) {
  ConnectionStart start;
  const int code = ngtcp2_accept(&start.header, packet.data(), packet.size());
  if (code != 0) return;  // Too short, or not an Initial: no state for it.
  if (batch.to.ip.is_multicast() || batch.to.ip == IpAddress::v4(255, 255, 255, 255)) return;
  if (start.header.token.len > 0) {
    ngtcp2_cid original{};
    sockaddr_storage from;
    const socklen_t length = runtime::fill_sockaddr(batch.from, from);
    const int valid = ngtcp2_crypto_verify_retry_token(
        &original, start.header.token.base, start.header.token.len, secret_.data(), secret_.size(),
        start.header.version, reinterpret_cast<const ngtcp2_sockaddr*>(&from), length,
        &start.header.dcid, static_cast<std::uint64_t>(Duration(kRetryTokenLife).count()),
        to_timestamp(now));
    if (valid == 0) start.original_dcid = original;
  }
  // Who may have forged his address must not use up what its owner may do.
  if (!start.original_dcid &&
      (is_under_pressure(now) || resources_.is_busy_source(batch.from.ip))) {
    send_retry(batch, start.header, now);
    return;
  }
  auto scope = open_scope(resources::Direction::kInbound, batch.from, std::nullopt);
  if (!scope) {
    if (start.original_dcid) send_refusal(batch, start.header, now);
    return;
  }
  start.scope = std::move(*scope);
  start.server = true;
  start.remote = batch.from;
  start.local_ip = batch.to.ip;
  start.handshake_deadline = now + Duration(config_.limits.handshake_time_max);
  auto made = QuicConnection::create(*this, tls_, local_peer_, std::move(start));
  if (!made) {
    log::warn("quic", "{}", made.error().message());
    return;
  }
  QuicConnection& connection = **made;
  adopt(std::move(*made));
  connection.read_packet(batch, packet, now);
  // The keys of a first packet stand in it: who does not use them is no QUIC client.
  if (!connection.heard()) {
    connection.detach(Error(ErrorCode::kMalformed, "the first packet was garbage"));
    forget(connection);
    garbage_until_.push_back(now + Duration(config_.limits.handshake_time_max));
    if (garbage_until_.size() > config_.retry_above) garbage_until_.pop_front();
  }
}

bool QuicEndpoint::is_under_pressure(TimePoint now) {
  while (!garbage_until_.empty() && garbage_until_.front() <= now) garbage_until_.pop_front();
  return half_open_ + garbage_until_.size() >= config_.retry_above;
}

void QuicEndpoint::send_retry(const runtime::ReceivedBatch& batch, const ngtcp2_pkt_hd& header,
                              TimePoint now) {
  ngtcp2_cid own{};
  own.datalen = kCidBytes;
  runtime_.random_bytes({own.data, own.datalen});
  sockaddr_storage from;
  const socklen_t length = runtime::fill_sockaddr(batch.from, from);
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN> token;
  const ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token(
      token.data(), secret_.data(), secret_.size(), header.version,
      reinterpret_cast<const ngtcp2_sockaddr*>(&from), length, &own, &header.dcid,
      to_timestamp(now));
  if (token_size < 0) return;
  std::array<std::uint8_t, NGTCP2_MAX_UDP_PAYLOAD_SIZE> out;
  const ngtcp2_ssize size =
      ngtcp2_crypto_write_retry(out.data(), out.size(), header.version, &header.scid, &own,
                                &header.dcid, token.data(), static_cast<std::size_t>(token_size));
  if (size < 0) return;
  (void)send({.to = batch.from,
              .bytes = view(out.data(), static_cast<std::size_t>(size)),
              .from = batch.to.ip});
}

/// CONNECTION_REFUSED, to an address that was shown to be the sender's.
void QuicEndpoint::send_refusal(const runtime::ReceivedBatch& batch, const ngtcp2_pkt_hd& header,
                                TimePoint now) {
  if (now < refusals_allowed_from_) return;
  refusals_allowed_from_ = now + kResetGap;
  std::array<std::uint8_t, NGTCP2_MAX_UDP_PAYLOAD_SIZE> out;
  const ngtcp2_ssize size =
      ngtcp2_crypto_write_connection_close(out.data(), out.size(), header.version, &header.scid,
                                           &header.dcid, NGTCP2_CONNECTION_REFUSED, nullptr, 0);
  if (size < 0) return;
  (void)send({.to = batch.from,
              .bytes = view(out.data(), static_cast<std::size_t>(size)),
              .from = batch.to.ip});
}

void QuicEndpoint::send_version_negotiation(const runtime::ReceivedBatch& batch,
                                            const ngtcp2_version_cid& ids) {
  // Smaller than what it answers, and never to a packet too small to be an Initial.
  if (!accepting_ || batch.segment_bytes < 1'200) return;
  const std::array<std::uint32_t, 1> versions = {NGTCP2_PROTO_VER_V1};
  std::array<std::uint8_t, 600> out;
  std::uint8_t random = 0;
  runtime_.random_bytes({&random, 1});
  const ngtcp2_ssize size =
      ngtcp2_pkt_write_version_negotiation(out.data(), out.size(), random, ids.scid, ids.scidlen,
                                           ids.dcid, ids.dcidlen, versions.data(), versions.size());
  if (size < 0) return;
  (void)send({.to = batch.from,
              .bytes = view(out.data(), static_cast<std::size_t>(size)),
              .from = batch.to.ip});
}

void QuicEndpoint::send_stateless_reset(const runtime::ReceivedBatch& batch, BytesView packet,
                                        const ngtcp2_version_cid& ids, TimePoint now) {
  // Shorter than what it answers, so that two ends cannot answer each other for ever.
  constexpr std::size_t kRandomBytes = NGTCP2_MIN_STATELESS_RESET_RANDLEN + 2;
  constexpr std::size_t kResetBytes = kRandomBytes + NGTCP2_STATELESS_RESET_TOKENLEN;
  if (packet.size() <= kResetBytes || now < resets_allowed_from_) return;
  resets_allowed_from_ = now + kResetGap;
  ngtcp2_cid id{};
  ngtcp2_cid_init(&id, ids.dcid, ids.dcidlen);
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token;
  make_reset_token(id, token.data());
  std::array<std::uint8_t, kRandomBytes> random;
  runtime_.random_bytes(random);
  std::array<std::uint8_t, kResetBytes> out;
  const ngtcp2_ssize size = ngtcp2_pkt_write_stateless_reset(out.data(), out.size(), token.data(),
                                                             random.data(), random.size());
  if (size < 0) return;
  (void)send({.to = batch.from,
              .bytes = view(out.data(), static_cast<std::size_t>(size)),
              .from = batch.to.ip});
}

}  // namespace warren::transport::quic

#include "transport/quic/connection.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/socket_address.hpp"
#include "transport/quic/callbacks.hpp"

namespace warren::transport::quic {
namespace {

// A window that is half used up within this time, or four round trips, was too small.
constexpr Duration kBusyWindowTime = 100ms;
constexpr std::size_t kCopiedStepBytes = 64u << 10;
constexpr std::size_t kLibraryStepBytes = 128 << 10;
constexpr std::size_t kLibraryNeedBytes = 1 << 20;
constexpr std::uint64_t kGrowthBytesMin = 32 << 10;  // Less is not worth a frame.
constexpr std::size_t kCidBytes = 8;  // Ours; enough to be unguessable among 160 connections.

std::string close_text(const ngtcp2_ccerr& error) {
  const std::string_view reason(reinterpret_cast<const char*>(error.reason), error.reasonlen);
  if (error.error_code == 0 && error.reasonlen == 0) return "the peer closed the connection";
  // 0x100 to 0x1ff are TLS alerts. Source: RFC 9001, section 4.8.
  if ((error.error_code & ~std::uint64_t{0xff}) == 0x100) {
    return fmt::format(
        "the peer refused the handshake with TLS alert {} ({})", error.error_code & 0xff,
        gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(error.error_code & 0xff)));
  }
  return fmt::format("the peer closed the connection (0x{:x}{}{})", error.error_code,
                     reason.empty() ? "" : ", ", reason);
}

/// Not broadcast or multicast: an address that an answer may come from.
bool is_own_address(const IpAddress& ip) {
  return !ip.is_multicast() && ip != IpAddress::v4(255, 255, 255, 255);
}

struct PathBuffer {
  sockaddr_storage local;
  sockaddr_storage remote;
  ngtcp2_path path{};
  PathBuffer(const Endpoint& from, const Endpoint& to) {
    path.local.addrlen = runtime::fill_sockaddr(from, local);
    path.remote.addrlen = runtime::fill_sockaddr(to, remote);
    path.local.addr = reinterpret_cast<ngtcp2_sockaddr*>(&local);
    path.remote.addr = reinterpret_cast<ngtcp2_sockaddr*>(&remote);
  }
};

}  // namespace

CidKey::CidKey(BytesView id) : size(static_cast<std::uint8_t>(id.size())) {
  WARREN_CHECK(id.size() <= bytes.size());
  std::ranges::copy(id, bytes.begin());
}

std::size_t CidHash::operator()(const CidKey& key) const noexcept {
  std::uint64_t word = 0;  // Ours are random; a client's first one it may choose, once.
  std::memcpy(&word, key.bytes.data(), sizeof word);
  return (word ^ key.size) * 0x9e3779b97f4a7c15u;
}

// ----------------------------------------------------------------------------------- start

QuicConnection::QuicConnection(ConnectionOwner& owner, PeerId local_peer, ConnectionStart& start)
    : owner_(&owner),
      runtime_(owner.runtime()),
      server_(start.server),
      local_(owner.local_endpoint()),
      remote_(start.remote),
      local_ip_(start.local_ip),
      expected_(start.expected),
      handshake_deadline_(start.handshake_deadline),
      window_bytes_max_(owner.config().connection_window_bytes),
      stream_window_bytes_max_(owner.config().stream_window_bytes),
      first_stream_window_bytes_(
          std::min(owner.config().first_stream_window_bytes, stream_window_bytes_max_)),
      scope_(std::move(start.scope)),
      unsent_bytes_max_(owner.config().unsent_bytes_max),
      library_bytes_max_(owner.config().library_bytes_max),
      library_([this](std::size_t bytes) { return allow_library(bytes); }),
      ready_signal_(runtime_.make_signal()),
      accept_signal_(runtime_.make_signal()),
      stream_credit_(runtime_) {
  window_.bytes = scope_->own_bytes();
  info_.local_peer = std::move(local_peer);
  info_.outbound = !start.server;
  info_.transport = "quic-v1";
  info_.remote_address = Multiaddr::quic(remote_);
  info_.local_address = Multiaddr::quic(local_);
}

QuicConnection::~QuicConnection() = default;

Result<std::shared_ptr<QuicConnection>> QuicConnection::create(ConnectionOwner& owner,
                                                               const TlsContext& tls,
                                                               PeerId local_peer,
                                                               ConnectionStart start) {
  std::shared_ptr<QuicConnection> connection(
      new QuicConnection(owner, std::move(local_peer), start));
  WARREN_TRY_VOID(connection->start_tls(tls));
  WARREN_TRY_VOID(connection->start_quic(start));
  return connection;
}

Result<> QuicConnection::start_tls(const TlsContext& tls) {
  WARREN_TRY(tls_, tls.make_session(server_, verify_certificate_callback));
  ref_.get_conn = [](ngtcp2_crypto_conn_ref* ref) {
    return static_cast<QuicConnection*>(ref->user_data)->conn_.get();
  };
  ref_.user_data = this;
  gnutls_session_set_ptr(tls_.get(), &ref_);
  return {};
}

Result<> QuicConnection::start_quic(const ConnectionStart& start) {
  const QuicConfig& config = owner_->config();
  const TimePoint now = runtime_.now();
  const bool loopback = remote_.ip.is_loopback() && config.loopback_payload_bytes != 0;

  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = to_timestamp(now);
  settings.cc_algo = NGTCP2_CC_ALGO_CUBIC;
  settings.rand_ctx.native_handle = &runtime_;
  settings.handshake_timeout =
      static_cast<std::uint64_t>(std::max<Duration>(handshake_deadline_ - now, 1ms).count());
  settings.max_tx_udp_payload_size =
      loopback ? config.loopback_payload_bytes : config.udp_payload_bytes;
  if (remote_.ip.is_loopback()) {
    // The path is this machine: what its interface carries is known, nothing needs probing.
    settings.no_tx_udp_payload_size_shaping = 1;
    settings.no_pmtud = 1;
  }

  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_stream_data_bidi_local = first_stream_window_bytes_;
  params.initial_max_stream_data_bidi_remote = first_stream_window_bytes_;
  params.initial_max_data = window_.bytes;  // Grows when the peer is proven.
  params.initial_max_streams_bidi = config.limits.streams_inbound_max;
  params.initial_max_streams_uni = 0;
  params.max_idle_timeout = static_cast<std::uint64_t>(config.idle_timeout.count());
  params.active_connection_id_limit = 4;
  params.disable_active_migration = 1;

  ngtcp2_cid own{};
  own.datalen = kCidBytes;
  runtime_.random_bytes({own.data, own.datalen});
  cids_.emplace_back(own);
  const ngtcp2_callbacks callbacks = make_callbacks(server_);
  PathBuffer path(local_, remote_);
  ngtcp2_conn* raw = nullptr;
  int code = 0;
  if (server_) {
    // Until the client has heard ours, it sends to the id that it chose for us.
    cids_.emplace_back(start.header.dcid);
    set_original_dcid(params, start.original_dcid.value_or(start.header.dcid));
    if (start.original_dcid) {
      set_retry_scid(params, start.header.dcid);
      set_token(settings, start.header.token);
    }
    params.stateless_reset_token_present = 1;
    owner_->make_reset_token(own, params.stateless_reset_token);
    code = ngtcp2_conn_server_new(&raw, &start.header.scid, &own, &path.path, start.header.version,
                                  &callbacks, &settings, &params, library_.functions(), this);
  } else {
    ngtcp2_cid first{};
    first.datalen = 16;
    runtime_.random_bytes({first.data, first.datalen});
    code = ngtcp2_conn_client_new(&raw, &first, &own, &path.path, NGTCP2_PROTO_VER_V1, &callbacks,
                                  &settings, &params, library_.functions(), this);
  }
  if (code != 0) {
    return fail(ErrorCode::kInternal,
                fmt::format("new QUIC connection: {}", ngtcp2_strerror(code)));
  }
  conn_.reset(raw);
  ngtcp2_conn_set_tls_native_handle(raw, tls_.get());
  for (const CidKey& id : cids_) owner_->register_cid(id, *this);
  return {};
}

bool QuicConnection::allow_library(std::size_t bytes) {
  if (bytes <= window_.bytes + library_reserved_bytes_) return true;
  const std::size_t missing = bytes - window_.bytes - library_reserved_bytes_;
  const std::size_t step = (missing / kLibraryStepBytes + 1) * kLibraryStepBytes;
  if (library_reserved_bytes_ + step > library_bytes_max_) return false;
  // A little every connection needs; for more there has to be room.
  const resources::Need need = library_reserved_bytes_ + step <= kLibraryNeedBytes
                                   ? resources::Need::kNecessary
                                   : resources::Need::kOptional;
  if (!scope_->reserve_memory(step, need)) return false;
  library_reserved_bytes_ += step;
  return true;
}

/// In steps, so that a small write does not go through all scopes.
bool QuicConnection::reserve_copied(std::size_t bytes) {
  const std::size_t wanted = copied_bytes_ + bytes;
  if (wanted > copied_reserved_bytes_) {
    const std::size_t missing = wanted - copied_reserved_bytes_;
    const std::size_t step = (missing / kCopiedStepBytes + 1) * kCopiedStepBytes;
    if (!scope_->reserve_memory(step)) return false;
    copied_reserved_bytes_ += step;
  }
  copied_bytes_ = wanted;
  return true;
}

void QuicConnection::release_copied(std::size_t bytes) {
  WARREN_CHECK(bytes <= copied_bytes_);
  copied_bytes_ -= bytes;
  if (copied_reserved_bytes_ < copied_bytes_ + 2 * kCopiedStepBytes) return;
  const std::size_t kept = (copied_bytes_ / kCopiedStepBytes + 1) * kCopiedStepBytes;
  scope_->release_memory(copied_reserved_bytes_ - kept);
  copied_reserved_bytes_ = kept;
}

void QuicConnection::on_handshake_completed() {
  ready_ = true;
  if (server_) info_.remote_address = Multiaddr::quic(remote_);
  // The packet in hand has proven the peer.
  if (local_ip_.is_unspecified() && is_own_address(packet_to_)) local_ip_ = packet_to_;
  const Endpoint local{local_ip_.is_unspecified() ? local_.ip : local_ip_, local_.port, 0};
  info_.local_address = Multiaddr::quic(local);
  ngtcp2_conn_set_keep_alive_timeout(
      conn_.get(), static_cast<std::uint64_t>(owner_->config().keep_alive.count()));
  ready_signal_->notify();
  const auto counted = scope_->set_peer(info_.remote_peer);
  if (!counted) {
    refuse(counted.error());
    return;
  }
  const std::uint64_t small = std::min(owner_->config().small_window_bytes, window_bytes_max_);
  if (small > window_.bytes) grow_window(small - window_.bytes, resources::Need::kNecessary);
  window_.since = runtime_.now();
  owner_->connection_ready(*this);
}

awaitable<Result<>> QuicConnection::wait_ready(TimePoint deadline) {
  while ((!ready_ || refusal_) && !end_) {
    const runtime::Wake wake = co_await ready_signal_->wait_until(deadline);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (wake == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut,
                     fmt::format("no answer from {} in time", info_.remote_address.to_string()));
    }
  }
  if (end_) co_return fail(*end_);
  co_return Result<>{};
}

// --------------------------------------------------------------------------------- streams

std::shared_ptr<StreamState> QuicConnection::add_stream(std::int64_t id) {
  auto state = std::make_shared<StreamState>(runtime_, *this, id, unsent_bytes_max_);
  state->window = {.bytes = first_stream_window_bytes_, .since = runtime_.now()};
  streams_.emplace(id, state);
  return state;
}

void QuicConnection::remove_stream(std::int64_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const std::shared_ptr<StreamState> state = std::move(found->second);
  streams_.erase(found);
  if (state->queued) {
    std::erase(send_queue_, state.get());
    std::erase(flow_blocked_, state.get());
  }
  if (state->finish()) unread_.emplace(id, state);
}

awaitable<Result<std::unique_ptr<Stream>>> QuicConnection::open_stream(TimePoint deadline) {
  for (;;) {
    if (end_) co_return fail(ErrorCode::kClosed, "the connection has ended: " + end_->message());
    if (ready_) {
      std::int64_t id = -1;
      const int code = ngtcp2_conn_open_bidi_stream(conn_.get(), &id, nullptr);
      if (code == 0) co_return std::make_unique<QuicStream>(add_stream(id));
      if (code != NGTCP2_ERR_STREAM_ID_BLOCKED) {
        co_return fail(ErrorCode::kInternal, fmt::format("open stream: {}", ngtcp2_strerror(code)));
      }
    }
    const runtime::Wake wake = co_await stream_credit_.wait_until(deadline);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (wake == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut, "the peer allows no further stream yet");
    }
  }
}

awaitable<Result<std::unique_ptr<Stream>>> QuicConnection::accept_stream() {
  for (;;) {
    if (!accepted_.empty()) {
      std::unique_ptr<Stream> stream = std::move(accepted_.front());
      accepted_.pop_front();
      co_return stream;
    }
    if (end_) co_return fail(ErrorCode::kClosed, end_->message());
    const runtime::Wake wake = co_await accept_signal_->wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
}

void QuicConnection::stream_ready(StreamState& stream) {
  if (end_) return;
  if (!stream.queued) {
    stream.queued = true;
    send_queue_.push_back(&stream);
  }
  if (owner_ != nullptr) owner_->connection_dirty(*this);
}

void QuicConnection::give_credit(std::int64_t stream_id, std::size_t count) {
  if (end_ || conn_ == nullptr) return;
  // The stream may have closed already: then only the connection's window matters.
  (void)ngtcp2_conn_extend_max_stream_offset(conn_.get(), stream_id, count);
  ngtcp2_conn_extend_max_offset(conn_.get(), count);
  tune_windows(stream_id, count);
  if (owner_ != nullptr) owner_->connection_dirty(*this);
}

void QuicConnection::grow_window(std::uint64_t bytes, resources::Need need) {
  // Half of it is better than nothing.
  for (std::uint64_t more = bytes; more >= kGrowthBytesMin; more /= 2) {
    if (!scope_->reserve_memory(more, need)) continue;
    window_.bytes += more;
    ngtcp2_conn_extend_max_offset(conn_.get(), more);
    return;
  }
}

void QuicConnection::tune_windows(std::int64_t stream_id, std::size_t consumed) {
  if (!ready_) return;
  const auto found = streams_.find(stream_id);
  WindowUse* stream = found == streams_.end() ? nullptr : &found->second->window;
  const bool connection_full = window_.bytes >= window_bytes_max_;
  const bool stream_full = stream == nullptr || stream->bytes >= stream_window_bytes_max_;
  if (connection_full && stream_full) return;
  const TimePoint now = runtime_.now();
  const Duration rtt{static_cast<std::int64_t>(rtt_of(conn_.get()).smoothed_ns)};
  const Duration busy_time = std::max(kBusyWindowTime, 4 * rtt);
  const bool grow_stream = !stream_full && stream->consume(consumed, now, busy_time);
  bool grow_connection = !connection_full && window_.consume(consumed, now, busy_time);
  if (grow_stream && stream->bytes >= window_.bytes / 2) grow_connection = !connection_full;
  if (grow_connection) {
    grow_window(std::min(window_.bytes, window_bytes_max_ - window_.bytes),
                resources::Need::kOptional);
  }
  if (!grow_stream) return;
  const std::uint64_t most = std::min(stream_window_bytes_max_, window_.bytes / 2);
  if (stream->bytes >= most) return;
  const std::uint64_t more = std::min(stream->bytes, most - stream->bytes);
  if (ngtcp2_conn_extend_max_stream_offset(conn_.get(), stream_id, more) == 0) {
    stream->bytes += more;
  }
}

void QuicConnection::stop_reading(std::int64_t stream_id, CloseCode code) {
  if (end_) return;
  (void)shutdown_read(conn_.get(), stream_id, static_cast<std::uint64_t>(code));
  if (owner_ != nullptr) owner_->connection_dirty(*this);
}

void QuicConnection::stop_writing(std::int64_t stream_id, CloseCode code) {
  if (end_) return;
  (void)shutdown_write(conn_.get(), stream_id, static_cast<std::uint64_t>(code));
  if (owner_ != nullptr) owner_->connection_dirty(*this);
}

ConnectionStats QuicConnection::stats() const {
  ConnectionStats stats;
  stats.bytes_sent = bytes_sent_;
  stats.bytes_received = bytes_received_;
  stats.streams_open = streams_.size();
  if (conn_ != nullptr && !end_) {
    const Rtt rtt = rtt_of(conn_.get());
    if (rtt.sampled) stats.rtt = Duration(static_cast<std::int64_t>(rtt.smoothed_ns));
  }
  return stats;
}

// --------------------------------------------------------------------------------- packets

void QuicConnection::read_packet(const runtime::ReceivedBatch& batch, BytesView packet,
                                 TimePoint now) {
  if (finished_ || owner_ == nullptr) return;
  if (end_) {
    // Answer the 1st, 2nd, 4th, 8th ... packet: the close may have been lost.
    ++packets_after_close_;
    if (!close_packet_.empty() && (packets_after_close_ & (packets_after_close_ - 1)) == 0) {
      (void)owner_->send({.to = batch.from, .bytes = close_packet_, .from = local_ip_});
    }
    return;
  }
  bytes_received_ += packet.size();
  received_ = true;
  PathBuffer path(local_, batch.from);
  ngtcp2_pkt_info info{};
  info.ecn = batch.ecn;
  packet_to_ = batch.to.ip;
  const OpenedPackets opened;
  const int code = ngtcp2_conn_read_pkt(conn_.get(), &path.path, &info, packet.data(),
                                        packet.size(), to_timestamp(now));
  if (opened.count() > 0) heard_ = true;
  // Where we send from changes only by what the peer itself has sent, which keys of the handshake
  // do not show: anybody has those of Initial packets.
  const bool from_peer = opened.count() > 0 && (packet[0] & 0x80) == 0;
  if (from_peer && is_own_address(batch.to.ip)) local_ip_ = batch.to.ip;
  if (code != 0) {
    on_library_error(code);
    return;
  }
  owner_->connection_dirty(*this);
}

void QuicConnection::handle_expiry(TimePoint now) {
  if (finished_ || owner_ == nullptr) return;
  if (end_) {
    if (now >= end_until_) finished_ = true;
    return;
  }
  const int code = ngtcp2_conn_handle_expiry(conn_.get(), to_timestamp(now));
  if (code != 0) {
    on_library_error(code);
    return;
  }
  owner_->connection_dirty(*this);
}

TimePoint QuicConnection::expiry() const {
  if (finished_) return kNever;
  if (end_) return end_until_;
  return from_timestamp(ngtcp2_conn_get_expiry(conn_.get()));
}

// --------------------------------------------------------------------------------- ending

void QuicConnection::on_library_error(int code) {
  ngtcp2_ccerr tell{};
  ngtcp2_ccerr_default(&tell);
  switch (code) {
    case NGTCP2_ERR_DRAINING: {
      const ngtcp2_ccerr received = received_close(conn_.get());
      const bool full = !ready_ && received.error_code == NGTCP2_CONNECTION_REFUSED;
      fail_with(full ? Error(ErrorCode::kLimited, "the peer has no room for this connection")
                     : Error(ErrorCode::kClosed, close_text(received)),
                nullptr);
      return;
    }
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
      fail_with(Error(ErrorCode::kReset, "the handshake was dropped"), nullptr);
      finished_ = true;
      return;
    case NGTCP2_ERR_IDLE_CLOSE:
      fail_with(Error(ErrorCode::kTimedOut, "the peer fell silent"), nullptr);
      finished_ = true;
      return;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      fail_with(Error(ErrorCode::kTimedOut,
                      fmt::format("no answer from {} in time", info_.remote_address.to_string())),
                nullptr);
      finished_ = true;
      return;
    case NGTCP2_ERR_NOMEM:
      // The library is in no state to say goodbye; what the peer still sends gets a reset.
      fail_with(Error(ErrorCode::kLimited,
                      fmt::format("the connection would need more than {} bytes beside its window",
                                  library_reserved_bytes_)),
                nullptr);
      finished_ = true;
      return;
    case NGTCP2_ERR_CRYPTO: {
      const std::uint8_t alert = ngtcp2_conn_get_tls_alert(conn_.get());
      ngtcp2_ccerr_set_tls_alert(&tell, alert, nullptr, 0);
      fail_with(
          verify_error_.value_or(Error(
              ErrorCode::kIntegrity,
              fmt::format("the TLS handshake failed ({})",
                          gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert))))),
          &tell);
      return;
    }
    default:
      ngtcp2_ccerr_set_liberr(&tell, code, nullptr, 0);
      fail_with(Error(ErrorCode::kMalformed, fmt::format("QUIC: {}", ngtcp2_strerror(code))),
                &tell);
  }
}

void QuicConnection::close(CloseCode code, std::string_view reason) {
  if (end_) return;
  ngtcp2_ccerr tell{};
  ngtcp2_ccerr_default(&tell);
  // Until the handshake is done the library turns this into a transport error by itself.
  const Bytes text = to_bytes(reason.substr(0, 128));
  ngtcp2_ccerr_set_application_error(&tell, static_cast<std::uint64_t>(code), text.data(),
                                     text.size());
  fail_with(Error(ErrorCode::kClosed,
                  reason.empty() ? "the connection was closed here" : std::string(reason)),
            &tell);
}

void QuicConnection::fail_without_route() {
  if (server_) return;
  fail_with(Error(ErrorCode::kUnreachable,
                  fmt::format("no way to {}: {}", info_.remote_address.to_string(),
                              unreachable_->message())),
            nullptr);
  finished_ = true;
}

void QuicConnection::close_if_refused() {
  if (!refusal_ || end_) return;
  ngtcp2_ccerr tell{};
  ngtcp2_ccerr_default(&tell);
  ngtcp2_ccerr_set_application_error(&tell, static_cast<std::uint64_t>(CloseCode::kResourceLimit),
                                     nullptr, 0);
  fail_with(*refusal_, &tell);
}

void QuicConnection::fail_with(Error error, const ngtcp2_ccerr* tell) {
  if (end_ || std::exchange(ending_, true)) return;
  const TimePoint now = runtime_.now();
  const std::uint64_t pto = ngtcp2_conn_get_pto(conn_.get());
  end_until_ = now + 3 * Duration(static_cast<std::int64_t>(pto));
  if (tell != nullptr && owner_ != nullptr && !ngtcp2_conn_in_closing_period(conn_.get()) &&
      !ngtcp2_conn_in_draining_period(conn_.get())) {
    // What streams still had to say goes first: a reset or the end of a stream fits in a packet.
    if (ready_) (void)flush(now);
    const MutableBytes out = owner_->packet_buffer().first(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
    PathBuffer path(local_, remote_);
    ngtcp2_pkt_info info{};
    const ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
        conn_.get(), &path.path, &info, out.data(), out.size(), tell, to_timestamp(now));
    if (size > 0) {
      close_packet_ = to_bytes(out.first(static_cast<std::size_t>(size)));
      remote_ = *runtime::endpoint_of(*reinterpret_cast<const sockaddr*>(path.path.remote.addr));
      (void)owner_->send({.to = remote_, .bytes = close_packet_, .from = local_ip_});
    }
  }
  enter_end(std::move(error));
}

void QuicConnection::enter_end(Error error) {
  if (end_) return;
  end_ = std::move(error);
  blocked_.reset();
  send_queue_.clear();
  flow_blocked_.clear();
  auto streams = std::move(streams_);
  streams_.clear();
  streams.merge(unread_);
  unread_.clear();
  for (const auto& [id, state] : streams) {
    state->queued = false;
    state->detach(Error(end_->code() == ErrorCode::kClosed ? ErrorCode::kClosed : ErrorCode::kReset,
                        "the connection ended: " + end_->message()));
  }
  ready_signal_->notify();
  accept_signal_->notify();
  stream_credit_.notify_all();
  if (owner_ != nullptr) owner_->connection_dirty(*this);  // To re-arm or drop its timer.
}

void QuicConnection::detach(const Error& reason) {
  owner_ = nullptr;
  finished_ = true;
  fail_with(reason, nullptr);
  scope_->end();
}

}  // namespace warren::transport::quic

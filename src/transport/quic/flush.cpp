// The sending half of QuicConnection: packets of one size gathered into batches for one system
// call. Source: docs/decisions/0004 (a batch of one costs three times a batch of 16).

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "runtime/socket_address.hpp"
#include "transport/quic/callbacks.hpp"
#include "transport/quic/connection.hpp"

namespace warren::transport::quic {
namespace {

constexpr std::size_t kViewsMax = 16;           // Pieces of stream data offered for one packet.
constexpr std::size_t kTurnBytes = 16 << 10;    // One stream's turn before the next one's.
constexpr std::size_t kFlushBytes = 256 << 10;  // Then others on the core thread have their turn.

/// Where a packet goes. Ours are IPv4 and IPv6 only.
Endpoint remote_of(const ngtcp2_path& path) {
  return *runtime::endpoint_of(*reinterpret_cast<const sockaddr*>(path.remote.addr));
}

}  // namespace

ngtcp2_ssize QuicConnection::write_packet(ngtcp2_path& path, ngtcp2_pkt_info& info,
                                          MutableBytes out, std::uint64_t now) {
  for (;;) {
    StreamState* stream = nullptr;
    while (!send_queue_.empty() && stream == nullptr) {
      stream = send_queue_.front();
      if (stream->wants_to_send()) break;
      stream->queued = false;
      send_queue_.pop_front();
      stream = nullptr;
    }
    std::array<BytesView, kViewsMax> views;
    std::array<ngtcp2_vec, kViewsMax> vectors;
    StreamState::Gathered gathered;
    std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
    std::size_t offered = 0;
    if (stream != nullptr) {
      gathered = stream->gather(views);
      for (std::size_t i = 0; i < gathered.count; ++i) {
        vectors[i] = {const_cast<std::uint8_t*>(views[i].data()), views[i].size()};
        offered += views[i].size();
      }
      if (gathered.fin) flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
    }
    ngtcp2_ssize taken = -1;
    const ngtcp2_ssize size = ngtcp2_conn_writev_stream(
        conn_.get(), &path, &info, out.data(), out.size(), &taken, flags,
        stream != nullptr ? stream->id() : -1, vectors.data(), gathered.count, now);
    if (stream != nullptr && taken >= 0) {
      const auto count = static_cast<std::size_t>(taken);
      stream->on_sent(count, gathered.fin && count == offered);
      turn_bytes_ += count;
      if (!stream->wants_to_send() || (turn_bytes_ >= kTurnBytes && send_queue_.size() > 1)) {
        send_queue_.pop_front();
        stream->queued = stream->wants_to_send();
        if (stream->queued) send_queue_.push_back(stream);
        turn_bytes_ = 0;
      }
    }
    if (stream != nullptr &&
        (size == NGTCP2_ERR_STREAM_DATA_BLOCKED || size == NGTCP2_ERR_STREAM_SHUT_WR ||
         size == NGTCP2_ERR_STREAM_NOT_FOUND)) {
      if (size == NGTCP2_ERR_STREAM_DATA_BLOCKED &&
          ngtcp2_conn_get_max_stream_data_left(conn_.get(), stream->id()) > 0) {
        // The whole connection is out of credit: control frames only, the queue stays.
        return ngtcp2_conn_writev_stream(conn_.get(), &path, &info, out.data(), out.size(), nullptr,
                                         NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0, now);
      }
      send_queue_.pop_front();
      turn_bytes_ = 0;
      if (size == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
        flow_blocked_.push_back(stream);  // Stays `queued`.
      } else {
        stream->queued = false;
        stream->on_stop_sending(0);
      }
      continue;
    }
    return size;
  }
}

bool QuicConnection::send_batch(BytesView bytes, std::size_t segment, std::uint8_t ecn,
                                const Endpoint& to) {
  if (bytes.empty()) return true;
  const runtime::SendBatch batch{
      .to = to, .bytes = bytes, .segment_bytes = segment, .from = local_ip_, .ecn = ecn};
  if (hand_over(batch)) {
    bytes_sent_ += bytes.size();
    return true;
  }
  blocked_ = Blocked{to_bytes(bytes), segment, ecn, to};
  return false;
}

bool QuicConnection::hand_over(const runtime::SendBatch& batch) {
  auto sent = owner_->send(batch);
  unreachable_.reset();
  if (sent) return *sent;
  // Once there was an answer, this is a lost packet: loss recovery and timers decide what follows.
  if (sent.error().code() == ErrorCode::kUnreachable) unreachable_ = std::move(sent).error();
  return true;
}

bool QuicConnection::send_blocked() {
  const Blocked& held = *blocked_;
  const runtime::SendBatch batch{.to = held.to,
                                 .bytes = held.bytes,
                                 .segment_bytes = held.segment,
                                 .from = local_ip_,
                                 .ecn = held.ecn};
  if (!hand_over(batch)) return false;
  bytes_sent_ += held.bytes.size();
  blocked_.reset();
  return true;
}

bool QuicConnection::flush(TimePoint now) {
  if (owner_ == nullptr || finished_ || end_) return true;
  if (blocked_ && !send_blocked()) return false;
  if (std::exchange(received_, false)) {
    // Credit may have come, or word that the peer reads no more: the library tells when asked.
    send_queue_.insert(send_queue_.end(), flow_blocked_.begin(), flow_blocked_.end());
    flow_blocked_.clear();
  }

  const std::uint64_t timestamp = to_timestamp(now);
  const MutableBytes buffer = owner_->packet_buffer();
  // The library never makes packets smaller again when a path comes to carry less. Two timeouts in
  // a row may be that; small packets cost little, and a stall would never end.
  if (!small_packets_ && !remote_.ip.is_loopback() && rtt_of(conn_.get()).timeouts >= 2) {
    small_packets_ = true;
  }
  const std::size_t packet_max = small_packets_
                                     ? NGTCP2_MAX_UDP_PAYLOAD_SIZE
                                     : ngtcp2_conn_get_max_tx_udp_payload_size(conn_.get());
  const std::size_t budget = std::min(kFlushBytes, ngtcp2_conn_get_send_quantum(conn_.get()) * 4);
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);

  // The batch lies at [start, end) of the buffer: packets of `segment` bytes towards `to`.
  std::size_t start = 0;
  std::size_t end = 0;
  std::size_t segment = 0;
  std::size_t packets = 0;
  std::size_t total = 0;
  std::uint8_t ecn = 0;
  Endpoint to;
  bool open = true;
  while (open && total < budget) {
    ngtcp2_pkt_info info{};
    const ngtcp2_ssize size =
        write_packet(path.path, info, buffer.subspan(end, packet_max), timestamp);
    if (size < 0) {
      (void)send_batch(BytesView(buffer).subspan(start, end - start), segment, ecn, to);
      on_library_error(static_cast<int>(size));
      return true;
    }
    if (size == 0) break;
    const auto bytes = static_cast<std::size_t>(size);
    total += bytes;
    const Endpoint packet_to = remote_of(path.path);
    const auto packet_ecn = static_cast<std::uint8_t>(info.ecn);
    if (packets > 0 && (bytes > segment || packet_ecn != ecn || packet_to != to)) {
      // It does not fit the batch: a path MTU probe, or another path.
      open = send_batch(BytesView(buffer).subspan(start, end - start), segment, ecn, to);
      start = end;
      packets = 0;
    }
    if (packets == 0) {
      segment = bytes;
      ecn = packet_ecn;
      to = packet_to;
    }
    end += bytes;
    ++packets;
    if (bytes < segment || packets == runtime::kBatchSegmentsMax ||
        end - start + segment > runtime::kBatchBytesMax || end + packet_max > buffer.size()) {
      open = open && send_batch(BytesView(buffer).subspan(start, end - start), segment, ecn, to);
      start = end = packets = 0;
    }
  }
  if (open) open = send_batch(BytesView(buffer).subspan(start, end - start), segment, ecn, to);
  // Before the first round trip the library paces for one of 333 ms and would hold the first bytes
  // of a stream back by a third of that.
  if (ngtcp2_conn_get_handshake_completed(conn_.get()) != 0) {
    ngtcp2_conn_update_pkt_tx_time(conn_.get(), timestamp);
  }
  if (no_route()) fail_without_route();
  // More to send, and neither congestion control nor pacing holds it back.
  if (open && total >= budget) owner_->connection_dirty(*this);
  return open;
}

}  // namespace warren::transport::quic

#include "protocols/perf.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "protocols/half_close.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using transport::CloseCode;
using transport::Stream;

// One buffer for reading and one for sending. Source: large enough that a wake-up of the coroutine
// costs little per byte, small against the window of a stream (16 MiB).
constexpr std::size_t kBufferBytes = 512u << 10;
// For the refusal of a peer that has stopped an upload: it was sent before the stop.
constexpr Duration kAnswerTimeMax = 1s;

Bytes big_endian(std::uint64_t value) {
  Bytes out;
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  return out;
}

/// Sends `bytes` bytes out of one buffer that is never copied. `head` goes first, in one write with
/// the beginning: js-libp2p reads the header from the first chunk that arrives.
awaitable<Result<>> send(runtime::Runtime& runtime, Stream& stream, Bytes head, std::uint64_t bytes,
                         Duration stall_time_max, TimePoint deadline) {
  if (!head.empty()) {
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, 1024));
    head.resize(head.size() + n);
    WARREN_CO_TRY_VOID(co_await stream.write(SharedBytes(std::move(head)),
                                             std::min(deadline, runtime.now() + stall_time_max)));
    bytes -= n;
  }
  if (bytes == 0) co_return Result<>{};
  const SharedBytes block(Bytes(std::min<std::uint64_t>(bytes, kBufferBytes)));
  while (bytes > 0) {
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, block.size()));
    const TimePoint stalled = std::min(deadline, runtime.now() + stall_time_max);
    WARREN_CO_TRY_VOID(co_await stream.write(block.slice(0, n), stalled));
    bytes -= n;
  }
  co_return Result<>{};
}

/// Reads to the end of the stream and returns how many bytes came. Errors: kTooLarge beyond
/// `bytes_max`.
awaitable<Result<std::uint64_t>> drain(runtime::Runtime& runtime, Stream& stream,
                                       std::uint64_t bytes_max, Duration stall_time_max,
                                       TimePoint deadline) {
  Bytes buffer(kBufferBytes);
  std::uint64_t received = 0;
  for (;;) {
    const TimePoint stalled = std::min(deadline, runtime.now() + stall_time_max);
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(buffer, stalled));
    if (n == 0) co_return received;
    received += n;
    if (received > bytes_max) {
      co_return fail(ErrorCode::kTooLarge,
                     fmt::format("the peer sent more than the {} bytes asked for", bytes_max));
    }
  }
}

awaitable<Result<>> serve(runtime::Runtime& runtime, Stream& stream, PerfLimits limits) {
  const TimePoint deadline = runtime.now() + limits.time_max;
  std::array<std::uint8_t, 8> header;
  WARREN_CO_TRY(const std::size_t n,
                co_await stream.read_full(header, runtime.now() + limits.stall_time_max));
  if (n < header.size()) {
    co_return fail(ErrorCode::kMalformed, fmt::format("the header has {} of 8 bytes", n));
  }
  std::uint64_t wanted = 0;
  for (const std::uint8_t byte : header) wanted = wanted << 8 | byte;
  if (wanted > limits.download_bytes_max) {
    co_return fail(ErrorCode::kTooLarge, fmt::format("{} bytes are asked for, the most is {}",
                                                     wanted, limits.download_bytes_max));
  }
  WARREN_CO_TRY_VOID(co_await drain(runtime, stream, UINT64_MAX, limits.stall_time_max, deadline));
  WARREN_CO_TRY_VOID(
      co_await send(runtime, stream, Bytes(), wanted, limits.stall_time_max, deadline));
  stream.close_write();
  co_return co_await stream.flush(deadline);
}

awaitable<void> serve_or_reset(swarm::Swarm& swarm, PerfLimits limits, ProtocolStream stream) {
  if (!belongs_to(*stream.connection, limits.audience)) {
    stream.stream->reset(CloseCode::kResourceLimit);
    co_return;
  }
  const auto served = co_await serve(swarm.runtime(), *stream.stream, limits);
  if (!served) {
    stream.stream->reset(served.error().code() == ErrorCode::kTooLarge ? CloseCode::kResourceLimit
                                                                       : CloseCode::kNone);
  }
}

/// Sends the request and the upload, to the last acknowledged byte.
awaitable<Result<>> upload(runtime::Runtime& runtime, const ProtocolStream& opened,
                           std::uint64_t upload_bytes, std::uint64_t download_bytes,
                           TimePoint deadline) {
  Stream& stream = *opened.stream;
  WARREN_CO_TRY_VOID(co_await send(runtime, stream, big_endian(download_bytes), upload_bytes,
                                   PerfLimits{}.stall_time_max, deadline));
  WARREN_CO_TRY_VOID(co_await close_write_behind(stream, opened.connection->info(), deadline));
  co_return co_await stream.flush(deadline);
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

void serve_perf(swarm::Swarm& swarm, PerfLimits limits) {
  swarm.set_handler(
      std::string(kPerfProtocol),
      [&swarm, limits](ProtocolStream stream) {
        return serve_or_reset(swarm, limits, std::move(stream));
      },
      {.streams_per_peer_max = limits.streams_per_peer_max, .streams_max = limits.streams_max});
}

awaitable<Result<PerfResult>> run_perf(swarm::Swarm& swarm, PeerId peer, std::uint64_t upload_bytes,
                                       std::uint64_t download_bytes, TimePoint deadline) {
  runtime::Runtime& runtime = swarm.runtime();
  const TimePoint start = runtime.now();
  std::vector<std::string> protocols(1, std::string(kPerfProtocol));
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await swarm.open_stream(std::move(peer), std::move(protocols), deadline));
  Stream& stream = *opened.stream;
  const auto sent = co_await upload(runtime, opened, upload_bytes, download_bytes, deadline);
  if (!sent && sent.error().code() == ErrorCode::kReset) {
    // A peer that does not speak the protocol stops the upload; its answer, if it came, says why.
    std::uint8_t byte = 0;
    const TimePoint soon = std::min(deadline, runtime.now() + kAnswerTimeMax);
    WARREN_CO_TRY_VOID(co_await stream.read_some(MutableBytes(&byte, 1), soon));
  }
  WARREN_CO_TRY_VOID(sent);
  const TimePoint uploaded = runtime.now();
  WARREN_CO_TRY(
      const std::uint64_t received,
      co_await drain(runtime, stream, download_bytes, PerfLimits{}.stall_time_max, deadline));
  if (received != download_bytes) {
    co_return fail(ErrorCode::kMalformed, fmt::format("the peer sent {} of the {} bytes asked for",
                                                      received, download_bytes));
  }
  co_return PerfResult{.uploaded_bytes = upload_bytes,
                       .downloaded_bytes = received,
                       .upload_seconds = seconds(uploaded - start),
                       .download_seconds = seconds(runtime.now() - uploaded)};
}

}  // namespace warren::protocols

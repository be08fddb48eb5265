#include "protocols/echo.hpp"

#include <fmt/core.h>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "protocols/half_close.hpp"
#include "runtime/cancellation.hpp"

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;
using transport::CloseCode;
using transport::Stream;

awaitable<Result<>> serve(runtime::Runtime& runtime, Stream& stream, EchoLimits limits) {
  Bytes buffer(limits.buffer_bytes);
  for (;;) {
    WARREN_CO_TRY(const std::size_t n,
                  co_await stream.read_some(buffer, runtime.now() + limits.stall_time_max));
    if (n == 0) break;
    const BytesView read = BytesView(buffer).first(n);
    WARREN_CO_TRY_VOID(co_await stream.write(read, runtime.now() + limits.stall_time_max));
  }
  stream.close_write();
  co_return co_await stream.flush(runtime.now() + limits.stall_time_max);
}

awaitable<void> serve_or_reset(swarm::Swarm& swarm, EchoLimits limits, ProtocolStream stream) {
  if (!belongs_to(*stream.connection, limits.audience)) {
    stream.stream->reset(CloseCode::kResourceLimit);
    co_return;
  }
  const auto served = co_await serve(swarm.runtime(), *stream.stream, limits);
  if (!served) stream.stream->reset();
}

awaitable<Result<>> send(const ProtocolStream& opened, BytesView bytes, TimePoint deadline) {
  WARREN_CO_TRY_VOID(co_await opened.stream->write(bytes, deadline));
  co_return co_await close_write_behind(*opened.stream, opened.connection->info(), deadline);
}

awaitable<Result<Bytes>> receive(Stream& stream, std::size_t bytes_max, TimePoint deadline) {
  Bytes received(bytes_max);
  WARREN_CO_TRY(const std::size_t n, co_await stream.read_full(received, deadline));
  received.resize(n);
  std::uint8_t more = 0;
  if (n == bytes_max) {
    WARREN_CO_TRY(const std::size_t extra,
                  co_await stream.read_some(MutableBytes(&more, 1), deadline));
    if (extra != 0) {
      co_return fail(ErrorCode::kTooLarge,
                     fmt::format("the echo is longer than the {} bytes that were sent", bytes_max));
    }
  }
  co_return received;
}

/// A failure breaks the stream off, so that sending does not go on for nothing.
awaitable<Result<Bytes>> receive_or_reset(Stream& stream, std::size_t bytes_max,
                                          TimePoint deadline) {
  auto received = co_await receive(stream, bytes_max, deadline);
  if (!received) stream.reset();
  co_return received;
}

}  // namespace

void serve_echo(swarm::Swarm& swarm, EchoLimits limits) {
  swarm.set_handler(
      std::string(kEchoProtocol),
      [&swarm, limits](ProtocolStream stream) {
        return serve_or_reset(swarm, limits, std::move(stream));
      },
      {.streams_per_peer_max = limits.streams_per_peer_max, .streams_max = limits.streams_max});
}

awaitable<Result<Bytes>> run_echo(swarm::Swarm& swarm, PeerId peer, Bytes bytes,
                                  TimePoint deadline) {
  using namespace boost::asio::experimental::awaitable_operators;
  std::vector<std::string> protocols(1, std::string(kEchoProtocol));
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await swarm.open_stream(std::move(peer), std::move(protocols), deadline));
  Stream& stream = *opened.stream;
  auto both = runtime::errors_as_values(send(opened, bytes, deadline)) &&
              runtime::errors_as_values(receive_or_reset(stream, bytes.size(), deadline));
  auto ends = co_await std::move(both);
  auto& [sent, received] = ends;
  if (!received) co_return fail(std::move(received).error());
  WARREN_CO_TRY_VOID(sent);
  co_return std::move(received);
}

}  // namespace warren::protocols

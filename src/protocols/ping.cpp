#include "protocols/ping.hpp"

#include <algorithm>
#include <array>

namespace warren::protocols {
namespace {

using swarm::ProtocolStream;

// Source: go-libp2p resets a stream on which no ping came for this long; ours is kinder to peers
// that ping on one stream every 15 s (rust-libp2p) and every 60 s.
constexpr Duration kServerIdleMax = 2min;
// js-libp2p opens a stream for each ping and gives the connection up when one is refused: a few may
// overlap.
constexpr swarm::HandlerLimits kServerLimits{.streams_per_peer_max = 8, .streams_max = 1024};

awaitable<void> serve(swarm::Swarm& swarm, ProtocolStream stream) {
  runtime::Runtime& runtime = swarm.runtime();
  std::array<std::uint8_t, kPingBytes> block;
  for (;;) {
    // A peer may half-close right after its ping: the echo goes out nevertheless.
    const auto n = co_await stream.stream->read_full(block, runtime.now() + kServerIdleMax);
    if (!n || *n < block.size()) break;
    const auto sent =
        co_await stream.stream->write(BytesView(block), runtime.now() + kServerIdleMax);
    if (!sent) break;
  }
  stream.stream->close_write();
  // Until the last echo has arrived; the handle resets what is left when it goes.
  co_await stream.stream->flush(runtime.now() + kServerIdleMax);
}

}  // namespace

void serve_ping(swarm::Swarm& swarm) {
  swarm.set_handler(
      std::string(kPingProtocol),
      [&swarm](ProtocolStream stream) { return serve(swarm, std::move(stream)); }, kServerLimits);
}

PingSession::PingSession(runtime::Runtime& runtime, ProtocolStream stream)
    : runtime_(runtime), stream_(std::move(stream)) {}

PingSession::~PingSession() { stream_.stream->close_write(); }

awaitable<Result<std::unique_ptr<PingSession>>> PingSession::open(swarm::Swarm& swarm, PeerId peer,
                                                                  TimePoint deadline) {
  std::vector<std::string> protocols(1, std::string(kPingProtocol));
  WARREN_CO_TRY(ProtocolStream stream,
                co_await swarm.open_stream(std::move(peer), std::move(protocols), deadline));
  co_return std::unique_ptr<PingSession>(new PingSession(swarm.runtime(), std::move(stream)));
}

awaitable<Result<std::unique_ptr<PingSession>>> PingSession::open(
    swarm::Swarm& swarm, std::shared_ptr<swarm::Connection> connection, TimePoint deadline) {
  std::vector<std::string> protocols(1, std::string(kPingProtocol));
  WARREN_CO_TRY(ProtocolStream stream,
                co_await swarm.open_stream(std::move(connection), std::move(protocols), deadline));
  co_return std::unique_ptr<PingSession>(new PingSession(swarm.runtime(), std::move(stream)));
}

awaitable<Result<Duration>> PingSession::ping(TimePoint deadline) {
  std::array<std::uint8_t, kPingBytes> sent;
  std::array<std::uint8_t, kPingBytes> echo;
  runtime_.random_bytes(sent);
  const TimePoint start = runtime_.now();
  WARREN_CO_TRY_VOID(co_await stream_.stream->write(BytesView(sent), deadline));
  WARREN_CO_TRY(const std::size_t n, co_await stream_.stream->read_full(echo, deadline));
  if (n < echo.size()) co_return fail(ErrorCode::kClosed, "the peer ended the stream of pings");
  if (!std::ranges::equal(sent, echo)) {
    stream_.stream->reset(transport::CloseCode::kProtocolViolation);
    co_return fail(ErrorCode::kIntegrity, "the peer echoed other bytes than it was sent");
  }
  co_return runtime_.now() - start;
}

awaitable<Result<Duration>> ping(swarm::Swarm& swarm, PeerId peer, TimePoint deadline) {
  WARREN_CO_TRY(const std::unique_ptr<PingSession> session,
                co_await PingSession::open(swarm, std::move(peer), deadline));
  co_return co_await session->ping(deadline);
}

}  // namespace warren::protocols

#include "protocols/goodbye.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "proto/goodbye.pb.h"
#include "protocols/half_close.hpp"
#include "runtime/task_group.hpp"
#include "transport/frame_io.hpp"
#include "wire/message.hpp"

namespace warren::protocols {
namespace {

using swarm::Connection;
using swarm::ProtocolStream;

// For the one message of a peer that has opened a stream.
constexpr Duration kHearTimeMax = 5s;
// A peer has one stream for each connection that it may have.
constexpr swarm::HandlerLimits kServerLimits{.streams_per_peer_max = 4, .streams_max = 512};
// Peers that are told at the same time. Source: above ConnectionManager's high water.
constexpr std::size_t kToldMax = 1024;

/// The connections that said goodbye and are there still.
using Heard = std::set<const Connection*>;

awaitable<void> hear(swarm::Swarm& swarm, GoodbyeListener listener, std::shared_ptr<Heard> heard,
                     ProtocolStream stream) {
  const TimePoint deadline = swarm.runtime().now() + kHearTimeMax;
  // Before the first wait, so that two streams of one connection are not both heard. One that has
  // gone meanwhile would never leave the set.
  const bool first = stream.connection->closed() || heard->insert(stream.connection.get()).second;
  if (!first) {
    stream.stream->reset(transport::CloseCode::kRateLimited);
    co_return;
  }
  const auto message = co_await transport::read_frame(*stream.stream, kGoodbyeBytesMax, deadline);
  const auto goodbye = message ? decode_goodbye(*message) : fail(message.error());
  if (!goodbye) {
    log::debug("goodbye", "{}: {}", stream.peer().to_string(), goodbye.error().message());
    stream.stream->reset(transport::CloseCode::kProtocolViolation);
    co_return;
  }
  listener(stream.peer(), *goodbye);
  stream.stream->close_write();
  std::uint8_t byte = 0;
  co_await stream.stream->read_some(MutableBytes(&byte, 1), deadline);
}

awaitable<Result<>> say(swarm::Swarm& swarm, PeerId peer, Goodbye goodbye, TimePoint deadline) {
  std::vector<std::string> protocols(1, std::string(kGoodbyeProtocol));
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await swarm.open_stream(std::move(peer), std::move(protocols), deadline));
  const Bytes message = encode_goodbye(goodbye);
  WARREN_CO_TRY_VOID(co_await transport::write_frame(*opened.stream, message, deadline));
  WARREN_CO_TRY_VOID(
      co_await close_write_behind(*opened.stream, opened.connection->info(), deadline));
  // The other side's end: it has heard. Or the refusal of a peer that does not speak the protocol.
  std::uint8_t byte = 0;
  WARREN_CO_TRY_VOID(co_await opened.stream->read_some(MutableBytes(&byte, 1), deadline));
  co_return Result<>{};
}

awaitable<void> say_and_count(swarm::Swarm& swarm, PeerId peer, Goodbye goodbye, TimePoint deadline,
                              std::size_t& left, runtime::Signal& done) {
  co_await say_goodbye(swarm, std::move(peer), goodbye, deadline);
  if (--left == 0) done.notify();
}

}  // namespace

std::string_view goodbye_reason_name(GoodbyeReason reason) noexcept {
  switch (reason) {
    case GoodbyeReason::kUnspecified: return "unspecified";
    case GoodbyeReason::kShuttingDown: return "shutting down";
    case GoodbyeReason::kFull: return "full";
    case GoodbyeReason::kBanned: return "banned";
    case GoodbyeReason::kFeelerDone: return "feeler done";
    case GoodbyeReason::kReplaced: return "replaced";
  }
  return "unspecified";
}

Bytes encode_goodbye(const Goodbye& goodbye) {
  proto::goodbye::Goodbye message;
  message.set_reason(static_cast<proto::goodbye::Reason>(goodbye.reason));
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
      std::clamp<Duration>(goodbye.retry_after, Duration{}, kGoodbyeRetryMax));
  message.set_retry_after_ms(static_cast<std::uint64_t>(wait.count()));
  return wire::serialize(message);
}

Result<Goodbye> decode_goodbye(BytesView message) {
  WARREN_TRY(const auto read,
             wire::parse<proto::goodbye::Goodbye>(
                 message, "goodbye", {.bytes_max = kGoodbyeBytesMax, .fields_max = 32}));
  Goodbye goodbye;
  const auto number = static_cast<std::int64_t>(read.reason());
  if (number > 0 && number <= static_cast<std::int64_t>(GoodbyeReason::kReplaced)) {
    goodbye.reason = static_cast<GoodbyeReason>(number);
  }
  constexpr auto kMost =
      static_cast<std::uint64_t>(std::chrono::milliseconds(kGoodbyeRetryMax / 1ms).count());
  goodbye.retry_after = std::chrono::milliseconds(std::min(read.retry_after_ms(), kMost));
  return goodbye;
}

void serve_goodbye(swarm::Swarm& swarm, GoodbyeListener listener) {
  auto heard = std::make_shared<Heard>();
  swarm.on_connection([heard](const swarm::ConnectionEvent& event) {
    if (event.kind == swarm::ConnectionEvent::Kind::kDisconnected) {
      heard->erase(event.connection.get());
    }
  });
  swarm.set_handler(
      std::string(kGoodbyeProtocol),
      [&swarm, heard, listener = std::move(listener)](ProtocolStream stream) {
        return hear(swarm, listener, heard, std::move(stream));
      },
      kServerLimits);
}

awaitable<void> say_goodbye(swarm::Swarm& swarm, PeerId peer, Goodbye goodbye, TimePoint deadline) {
  const std::string name = peer.to_string();
  const auto said = co_await say(swarm, std::move(peer), goodbye, deadline);
  if (!said) log::debug("goodbye", "to {}: {}", name, said.error().message());
}

awaitable<void> say_goodbye_to_all(swarm::Swarm& swarm, Goodbye goodbye, TimePoint deadline) {
  std::set<PeerId> peers;
  for (const auto& connection : swarm.connections()) {
    if (peers.size() == kToldMax) break;
    peers.insert(connection->info().remote_peer);
  }
  std::size_t left = peers.size();
  const auto done = swarm.runtime().make_signal();
  runtime::TaskGroup tasks(swarm.runtime(), kToldMax);
  for (const PeerId& peer : peers) {
    if (!tasks.spawn(say_and_count(swarm, peer, goodbye, deadline, left, *done))) --left;
  }
  if (left > 0) co_await done->wait_until(deadline);
  co_await tasks.join();
}

}  // namespace warren::protocols

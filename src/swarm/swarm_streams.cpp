// The streams of a Swarm: handlers, opening, accepting.

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/log.hpp"
#include "negotiate/multistream.hpp"
#include "swarm/links.hpp"
#include "swarm/negotiation.hpp"
#include "swarm/swarm.hpp"

namespace warren::swarm {

// ------------------------------------------------------------------------------- protocols

void Swarm::set_handler(std::string protocol, StreamHandler handler, HandlerLimits limits) {
  WARREN_CHECK(negotiate::is_valid_protocol(protocol) && handler);
  auto entry = std::make_shared<Handler>();
  entry->serve = std::move(handler);
  resources_->limit_protocol(protocol, limits.streams_max, limits.streams_per_peer_max);
  const bool added = handlers_.insert_or_assign(std::move(protocol), std::move(entry)).second;
  if (added) post_protocols_changed();
}

void Swarm::remove_handler(std::string_view protocol) {
  const auto found = handlers_.find(protocol);
  if (found == handlers_.end()) return;
  handlers_.erase(found);
  post_protocols_changed();
}

std::vector<std::string> Swarm::protocols() const {
  std::vector<std::string> all;
  for (const auto& [protocol, handler] : handlers_) all.push_back(protocol);
  return all;
}

// --------------------------------------------------------------------------------- streams

awaitable<Result<ProtocolStream>> Swarm::open_stream(PeerId peer,
                                                     std::vector<std::string> protocols,
                                                     TimePoint deadline) {
  const LinkPtr link = preferred(peer);
  if (!link) {
    co_return fail(ErrorCode::kNotFound, fmt::format("not connected to {}", peer.to_string()));
  }
  co_return co_await open_stream(link->connection, std::move(protocols), deadline);
}

awaitable<Result<ProtocolStream>> Swarm::open_stream(std::shared_ptr<Connection> connection,
                                                     std::vector<std::string> protocols,
                                                     TimePoint deadline) {
  if (protocols.empty() || !std::ranges::all_of(protocols, negotiate::is_valid_protocol)) {
    co_return fail(ErrorCode::kInvalidArgument, "no protocol, or one that cannot be proposed");
  }
  const TimePoint agreed_by =
      std::min(deadline, runtime_.now() + config_.limits.negotiation_time_max);
  resources::ConnectionScope* const counted_in = scope_of(connection);
  if (counted_in == nullptr) {
    co_return fail(ErrorCode::kClosed, fmt::format("the connection to {} has ended",
                                                   connection->info().remote_peer.to_string()));
  }
  WARREN_CO_TRY(auto scope, counted_in->open_stream(resources::Direction::kOutbound));
  const bool lazy = protocols.size() == 1;
  if (lazy) WARREN_CO_TRY_VOID(scope->set_protocol(protocols.front()));
  WARREN_CO_TRY(std::unique_ptr<Stream> stream, co_await connection->open_stream(agreed_by));
  if (lazy) {
    std::string protocol = protocols.front();
    WARREN_CO_TRY(stream, co_await propose_without_waiting(std::move(stream), protocol, agreed_by));
    stream = std::make_unique<CountedStream>(std::move(stream), std::move(scope));
    co_return ProtocolStream{std::move(stream), std::move(protocol), std::move(connection)};
  }
  auto agreed = co_await propose(*stream, std::move(protocols), agreed_by);
  if (!agreed) {
    stream->reset(CloseCode::kNegotiationFailed);
    co_return fail(std::move(agreed).error().in(
        fmt::format("stream to {}", connection->info().remote_peer.to_string())));
  }
  if (auto counted = scope->set_protocol(*agreed); !counted) {
    stream->reset(CloseCode::kResourceLimit);
    co_return fail(std::move(counted).error());
  }
  stream = std::make_unique<CountedStream>(std::move(stream), std::move(scope));
  co_return ProtocolStream{std::move(stream), std::move(*agreed), std::move(connection)};
}

awaitable<void> Swarm::accept_streams(LinkPtr link) {
  for (;;) {
    auto accepted = co_await link->connection->accept_stream();
    if (!accepted) break;
    std::unique_ptr<Stream> stream = std::move(*accepted);
    auto scope = link->scope->open_stream(resources::Direction::kInbound);
    if (!scope) {
      ++counted_.streams_refused;
      stream->reset(CloseCode::kResourceLimit);
      continue;
    }
    auto slot = std::make_unique<StreamSlot>(link, std::move(*scope), nullptr);
    // A task that is refused resets the stream as it is dropped.
    if (!tasks_.spawn(serve_stream(link, std::move(stream), std::move(slot)))) {
      ++counted_.streams_refused;
    }
  }
  link->connection->close();
  drop(link);
}

awaitable<void> Swarm::serve_stream(LinkPtr link, std::unique_ptr<Stream> stream,
                                    std::unique_ptr<StreamSlot> slot) {
  const TimePoint agreed_by = runtime_.now() + config_.limits.negotiation_time_max;
  negotiate::Responder responder([this](std::string_view id) { return handlers_.contains(id); });
  const auto agreed = co_await respond(*stream, responder, agreed_by);
  const auto found = handlers_.find(responder.protocol());
  if (!agreed || found == handlers_.end()) {
    ++counted_.negotiations_failed;
    if (!agreed) {
      log::debug("swarm", "stream of {}: {}", slot->peer().to_string(), agreed.error().message());
    }
    if (responder.refused().empty()) {
      stream->reset(CloseCode::kNegotiationFailed);
    } else {
      // What came after a refusal was data that went out with the proposal. The refusal itself must
      // arrive, which a reset would overtake.
      stream->close_write();
      const auto arrived = co_await stream->flush(agreed_by);
      if (!arrived) stream->reset(CloseCode::kNegotiationFailed);
    }
    co_return;
  }
  slot->handler = found->second;
  const auto counted = slot->scope->set_protocol(responder.protocol());
  if (!counted) {
    ++counted_.streams_refused;
    stream->reset(CloseCode::kResourceLimit);
    co_return;
  }
  const Bytes echo = responder.take_output();
  const auto written = co_await stream->write(BytesView(echo), agreed_by);
  if (!written) co_return;
  ProtocolStream served{std::move(stream), responder.protocol(), link->connection};
  co_await slot->handler->serve(std::move(served));
}

}  // namespace warren::swarm

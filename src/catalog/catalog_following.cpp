// Our subscriptions to the sets of others, one for each connected peer that speaks the protocol.

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "catalog/catalog_driver.hpp"
#include "peers/access_rule.hpp"

namespace warren::catalog {

using peers::ReputationEvent;

void CatalogService::Driver::peer_identified(const PeerId& peer) {
  if (stopping_ || !hooks_.speaks(peer)) return;
  const auto found = follows_.find(peer);
  if (found != follows_.end()) {
    found->second.wake->notify();
    return;
  }
  if (follows_.size() >= options_.limits.subscriptions_max) return;
  follows_.try_emplace(peer, Follow{runtime_.make_signal(), std::nullopt, nullptr});
  if (!tasks_.spawn(follow(peer))) follows_.erase(peer);
}

/// One in the same LAN first: more may be seen from there.
std::shared_ptr<swarm::Connection> CatalogService::Driver::connection_to(const PeerId& peer) const {
  const auto connections = swarm_.connections_to(peer);
  const auto on_lan = std::ranges::find_if(connections, [](const auto& connection) {
    return peers::is_on_lan(connection->info().remote_address);
  });
  if (on_lan != connections.end()) return *on_lan;
  return connections.empty() ? nullptr : connections.front();
}

awaitable<void> CatalogService::Driver::follow(PeerId peer) {
  Follow& follow = follows_.at(peer);
  Duration wait = options_.retry_min;
  while (!stopping_ && swarm_.is_connected(peer) && hooks_.speaks(peer)) {
    const TimePoint begun = runtime_.now();
    const auto ended = co_await follow_once(peer, follow);
    follow.subscriber.reset();
    end_telling(follow);
    if (stopping_) break;
    if (!ended) {
      log::debug("catalog", "{}: {}", peer.to_string(), ended.error().message());
      report_error(peer, ended.error());
      // Not before it has another connection, or says anew what it speaks.
      const ErrorCode code = ended.error().code();
      if (code == ErrorCode::kMalformed || code == ErrorCode::kUnsupported) break;
      if (code == ErrorCode::kLimited) wait = options_.retry_max;
    }
    if (runtime_.now() - begun >= options_.retry_max) wait = options_.retry_min;
    const bool at_once = ended && *ended == GoodbyeReason::kRenew;
    const TimePoint again = runtime_.now() + (at_once ? Duration{} : wait);
    const runtime::Wake woken = co_await follow.wake->wait_until(again);
    if (woken == runtime::Wake::kCancelled) break;
    wait = woken == runtime::Wake::kNotified ? options_.retry_min
                                             : std::min(2 * wait, options_.retry_max);
  }
  follows_.erase(peer);
  tell_neighbour(peer, subscription_of(peer));
}

awaitable<Result<GoodbyeReason>> CatalogService::Driver::follow_once(PeerId peer, Follow& follow) {
  const auto connection = connection_to(peer);
  if (!connection) co_return fail(ErrorCode::kNotFound, "not connected");
  auto look = [this, &peer] { return store_.known(peer); };
  WARREN_CO_TRY(const Summary known, co_await runtime::run(runtime_.pool(), std::move(look)));
  follow.subscriber.emplace(known, options_.limits);
  Subscriber& subscriber = *follow.subscriber;

  TimePoint deadline = runtime_.now() + options_.exchange_time_max;
  std::vector<std::string> protocols(1, std::string(kCatalogProtocol));
  WARREN_CO_TRY(const swarm::ProtocolStream opened,
                co_await swarm_.open_stream(connection, std::move(protocols), deadline));
  transport::Stream& stream = *opened.stream;
  Hello hello{introduce(*connection), known};
  WARREN_CO_TRY_VOID(co_await send(stream, std::move(hello)));

  transport::FrameReader reader(stream);
  discovery::Allowance intake(options_.limits.intake_per_second, options_.limits.intake_burst,
                              runtime_.now());
  for (;;) {
    // Between changes there is nothing to wait for: the end of the connection ends it.
    if (!subscriber.is_midway()) deadline = kNever;
    WARREN_CO_TRY(const std::optional<Bytes> frame,
                  co_await reader.read_frame_or_end(options_.limits.message_bytes_max, deadline));
    if (!frame) co_return fail(ErrorCode::kClosed, "the peer ended the subscription");
    counters_.bytes_received += frame->size();
    WARREN_CO_TRY(Message message, decode_message(*frame, options_.limits));
    if (const auto* goodbye = std::get_if<Goodbye>(&message)) co_return goodbye->reason;
    if (const auto* refusal = std::get_if<Refusal>(&message)) {
      const bool other_version = refusal->code == RefusalCode::kVersion;
      co_return fail(other_version ? ErrorCode::kUnsupported : ErrorCode::kLimited,
                     "refused: " + refusal->text);
    }
    const bool first = !subscriber.introduction();
    WARREN_CO_TRY(std::optional<Subscriber::Action> action, subscriber.handle(std::move(message)));
    if (first) {
      const Introduction& self = *subscriber.introduction();
      if (self.version != kCatalogVersion) {
        co_return fail(ErrorCode::kUnsupported, "another version of the protocol");
      }
      if (self.peer != peer) co_return fail(ErrorCode::kMalformed, "it says it is another peer");
      ++counters_.subscriptions;
      auto note = [this, &peer, mode = self.mode, now = runtime_.wall_now()] {
        return store_.seen(peer, mode, now);
      };
      WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), std::move(note)));
      begin_telling(peer, follow);
    }
    if (action) {
      if (const auto* write = std::get_if<Subscriber::Write>(&*action)) {
        const std::size_t entries = write->write.put.size() + write->write.removed.size() + 1;
        co_await wait_for_room(entries, intake);
      }
      auto reply = co_await take_in(peer, subscriber, std::move(*action));
      if (!reply && reply.error().code() == ErrorCode::kLimited) {
        co_await send(stream, Goodbye{GoodbyeReason::kFull});
      }
      if (!reply) co_return fail(reply.error());
      if (*reply) {
        WARREN_CO_TRY_VOID(co_await send(stream, std::move(**reply)));
      }
      if (follow.telling) {
        follow.telling->exchange.changed(runtime_.now());
        follow.telling->wake->notify();
      }
    }
    tell_neighbour(peer, subscription_of(peer));
    deadline = runtime_.now() + options_.part_time_max;
  }
}

void CatalogService::Driver::tell_neighbour(const PeerId& peer, const SessionPtr& session) {
  if (!hooks_.neighbour || stopping_) return;
  const auto follow = follows_.find(peer);
  const bool opening = follow != follows_.end() &&
                       !(follow->second.subscriber && follow->second.subscriber->introduction());
  const bool lists =
      follow != follows_.end() && !opening && follow->second.subscriber->theirs().count > 0;
  const bool is_told = session && published_.summary(session->publisher->visitor()).count > 0;
  // While one of the two subscriptions is opened anew, nothing is known of it.
  if (!lists && !is_told && (opening || !session)) return;
  const auto connection = connection_to(peer);
  const bool near = connection && peers::is_on_lan(connection->info().remote_address);
  hooks_.neighbour(peer, near && (lists || is_told));
}

/// Reading waits, and with it the peer.
awaitable<void> CatalogService::Driver::wait_for_room(std::size_t entries,
                                                      discovery::Allowance& intake) {
  const auto count = static_cast<double>(entries);
  const auto until_enough = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(count / options_.limits.intake_per_second));
  while (!intake.take(count, runtime_.now())) {
    const auto slept = co_await runtime_.sleep_for(until_enough);
    if (!slept) co_return;
  }
}

/// Stores what came. What is to be answered then.
awaitable<Result<std::optional<Message>>> CatalogService::Driver::take_in(
    PeerId peer, Subscriber& subscriber, Subscriber::Action action) {
  if (auto* const sent = std::get_if<Subscriber::Send>(&action)) {
    co_return std::move(sent->message);
  }
  if (const auto* adopt = std::get_if<Subscriber::Adopt>(&action)) {
    auto work = [this, &peer, revision = adopt->revision, now = runtime_.wall_now()] {
      return store_.adopt(peer, revision, now);
    };
    WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), std::move(work)));
    co_return subscriber.adopted(adopt->revision);
  }
  const CatalogWrite& write = std::get<Subscriber::Write>(action).write;
  auto work = [this, &peer, &write, now = runtime_.wall_now()] {
    return store_.write(peer, write, now);
  };
  WARREN_CO_TRY(const CatalogWritten written,
                co_await runtime::run(runtime_.pool(), std::move(work)));
  WARREN_CO_TRY(std::optional<Message> reply, subscriber.stored(written));
  if (write.last && written.matches) {
    ++(write.snapshot ? counters_.snapshots : counters_.deltas);
    if (!stopping_ && hooks_.changed) hooks_.changed();
  }
  co_return reply;
}

}  // namespace warren::catalog

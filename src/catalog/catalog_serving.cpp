// Streams of others: their subscriptions to our set, and their questions.

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "catalog/catalog_driver.hpp"
#include "catalog/patterns.hpp"
#include "peers/access_rule.hpp"

namespace warren::catalog {
namespace {

using peers::ReputationEvent;

// What a subscriber says after its Hello is small.
constexpr std::size_t kAnswerBytesMax = 1024;
// For goodbyes at the end of the node. Source: say_goodbye_to_all() takes as long.
constexpr Duration kGoodbyeTimeMax = 300ms;
// Peers whose questions are counted; beyond: they share one allowance.
constexpr std::size_t kAskersMax = 1'024;

bool matches(const Listing& listing, const QueryRequest& request) {
  if (!request.id.empty() && listing.id != request.id) return false;
  if (!request.topic.empty() && !topic_matches(request.topic, listing.topic)) return false;
  return request.name.empty() || name_matches(request.name, listing.name) ||
         name_matches(request.name, listing.id);
}

}  // namespace

CatalogService::Driver::Driver(swarm::Swarm& swarm, library::Published& published,
                               CatalogStore& store, CatalogHooks hooks, CatalogOptions options)
    : swarm_(swarm),
      runtime_(swarm.runtime()),
      published_(published),
      store_(store),
      hooks_(std::move(hooks)),
      options_(options),
      gate_(std::make_shared<Gate>()),
      askers_(options.limits.queries_per_second, options.limits.queries_burst, kAskersMax),
      reporters_(options.limits.reports_per_second, options.limits.reports_burst, kAskersMax),
      to_judge_(runtime_),
      own_changed_(runtime_.make_signal()),
      tasks_(runtime_,
             2 * options.limits.subscriptions_max + 2 * options.limits.serve_streams_max + 1) {}

void CatalogService::Driver::start() {
  WARREN_CHECK(gate_->driver == nullptr && !stopping_);
  gate_->driver = this;
  started_at_ = runtime_.now();
  end_listening_ = published_.on_changed([this] {
    wake_sessions();
    own_changed_->notify();
    wants_changed();
  });
  if (options_.keeps_own) WARREN_CHECK(tasks_.spawn(keep_own()));
  swarm_.set_handler(
      std::string(kCatalogProtocol),
      [gate = gate_](swarm::ProtocolStream stream) { return accept(gate, std::move(stream)); },
      {.streams_per_peer_max = options_.limits.serve_streams_per_peer_max,
       .streams_max = options_.limits.serve_streams_max});
  for (const auto& connection : swarm_.connections()) {
    peer_identified(connection->info().remote_peer);
  }
}

awaitable<void> CatalogService::Driver::stop() {
  if (gate_->driver != nullptr) swarm_.remove_handler(kCatalogProtocol);
  gate_->driver = nullptr;
  stopping_ = true;
  wants_changed();
  if (end_listening_) end_listening_();
  end_listening_ = {};
  wake_sessions();
  // The others wait for their peers and would not end by themselves.
  const TimePoint deadline = runtime_.now() + kGoodbyeTimeMax;
  while (!sessions_.empty() && runtime_.now() < deadline) {
    const SessionPtr session = sessions_.begin()->second;
    const runtime::Wake woken = co_await session->done->wait_until(deadline);
    if (woken == runtime::Wake::kCancelled) break;
  }
  co_await tasks_.join();
}

void CatalogService::Driver::wake_sessions() {
  for (const auto& [serial, session] : sessions_) session->wake->notify();
}

void CatalogService::Driver::peer_changed(const PeerId& peer) {
  for (const auto& [serial, session] : sessions_) {
    if (session->stream.peer() != peer) continue;
    const bool trusted = hooks_.is_trusted(peer);
    if (trusted == session->publisher->visitor().trusted) continue;
    session->renew = true;
    session->wake->notify();
  }
}

Introduction CatalogService::Driver::introduce(const swarm::Connection& connection) const {
  Introduction self;
  self.peer = swarm_.local_peer();
  self.addresses = hooks_.addresses(connection.info().remote_address);
  if (self.addresses.size() > options_.limits.addresses_max) {
    self.addresses.resize(options_.limits.addresses_max);
  }
  self.features.emplace_back(kNeedFeature);
  self.mode = hooks_.mode();
  return self;
}

peers::Visitor CatalogService::Driver::visitor_of(const Session& session) const {
  const PeerId& peer = session.stream.peer();
  return {peer, peers::is_on_lan(session.stream.connection->info().remote_address),
          hooks_.is_trusted(peer)};
}

bool CatalogService::Driver::may_ask(const PeerId& peer) {
  return askers_.of(peer, runtime_.now()).take(1, runtime_.now());
}

void CatalogService::Driver::report_error(const PeerId& peer, const Error& error) {
  switch (error.code()) {
    case ErrorCode::kMalformed:
    case ErrorCode::kTooLarge:
      ++counters_.violations;
      if (hooks_.report) hooks_.report(peer, ReputationEvent::kMalformedMessage);
      break;
    case ErrorCode::kTimedOut:
      if (hooks_.report) hooks_.report(peer, ReputationEvent::kTimeout);
      break;
    default: break;  // It is gone, busy, or our own disk is full.
  }
}

// -------------------------------------------------------------------------------- streams

/// Keeps the stream's place among the swarm's until it has been served. After stop() it only ends.
awaitable<void> CatalogService::Driver::accept(std::shared_ptr<Gate> gate,
                                               swarm::ProtocolStream stream) {
  if (gate->driver == nullptr) co_return;
  Driver& driver = *gate->driver;
  const auto session = std::make_shared<Session>(std::move(stream), driver.runtime_);
  const auto served = std::shared_ptr<runtime::Signal>(driver.runtime_.make_signal());
  if (!driver.tasks_.spawn(driver.serve(session, served))) {
    session->stream.stream->reset(transport::CloseCode::kResourceLimit);
    co_return;
  }
  co_await served->wait_until(kNever);
}

awaitable<void> CatalogService::Driver::serve(SessionPtr session,
                                              std::shared_ptr<runtime::Signal> served) {
  const auto ended = co_await serve_first(session);
  session->ended = true;
  sessions_.erase(session->serial);
  if (!ended) {
    const PeerId& peer = session->stream.peer();
    log::debug("catalog", "serving {}: {}", peer.to_string(), ended.error().message());
    const ErrorCode code = ended.error().code();
    const bool violation = code == ErrorCode::kMalformed || code == ErrorCode::kTooLarge ||
                           code == ErrorCode::kUnsupported;
    session->stream.stream->reset(violation ? transport::CloseCode::kProtocolViolation
                                            : transport::CloseCode::kNone);
    if (!stopping_) report_error(peer, ended.error());
  } else {
    session->stream.stream->reset();  // Ends the task that listens; nothing after a clean end.
  }
  session->done->notify();
  served->notify();
}

awaitable<Result<>> CatalogService::Driver::serve_first(SessionPtr session) {
  const TimePoint deadline = runtime_.now() + options_.exchange_time_max;
  WARREN_CO_TRY(const Bytes frame,
                co_await session->reader.read_frame(options_.limits.message_bytes_max, deadline));
  counters_.bytes_received += frame.size();
  WARREN_CO_TRY(Message message, decode_message(frame, options_.limits));
  ++counters_.served;
  if (auto* const hello = std::get_if<Hello>(&message)) {
    co_return co_await serve_subscription(session, std::move(*hello));
  }
  if (auto* const report = std::get_if<NeedReport>(&message)) {
    co_return co_await answer_need(*session, std::move(*report));
  }
  const bool question =
      std::holds_alternative<QueryRequest>(message) || std::holds_alternative<GetPeerInfo>(message);
  if (!question) co_return fail(ErrorCode::kMalformed, "a stream begins with another message");
  if (!may_ask(session->stream.peer())) {
    co_return co_await refuse(*session, RefusalCode::kRateLimited, "too many questions");
  }
  if (auto* const query = std::get_if<QueryRequest>(&message)) {
    co_return co_await answer_query(*session, std::move(*query));
  }
  co_return co_await answer_peer_info(*session);
}

awaitable<Result<>> CatalogService::Driver::send(transport::Stream& stream, Message message) {
  const Bytes bytes = encode_message(message);
  counters_.bytes_sent += bytes.size();
  const TimePoint deadline = runtime_.now() + options_.part_time_max;
  co_return co_await transport::write_frame(stream, bytes, deadline);
}

awaitable<Result<>> CatalogService::Driver::send_last(Session& session, Message message) {
  transport::Stream& stream = *session.stream.stream;
  WARREN_CO_TRY_VOID(co_await send(stream, std::move(message)));
  stream.close_write();
  const TimePoint deadline = runtime_.now() + options_.exchange_time_max;
  co_return co_await stream.flush(deadline);
}

awaitable<Result<>> CatalogService::Driver::refuse(Session& session, RefusalCode code,
                                                   std::string text) {
  ++counters_.refused;
  co_return co_await send_last(session, Refusal{code, std::move(text)});
}

// ------------------------------------------------------------------------- subscriptions

awaitable<Result<>> CatalogService::Driver::serve_subscription(SessionPtr session, Hello hello) {
  if (hello.self.version != kCatalogVersion) {
    co_return co_await refuse(*session, RefusalCode::kVersion, "version 1 is spoken here");
  }
  if (hello.self.peer != session->stream.peer()) {
    co_return fail(ErrorCode::kMalformed, "it says it is another peer");
  }
  session->publisher.emplace(published_, visitor_of(*session), hello.known, options_.limits);
  session->serial = ++session_serial_;
  sessions_.emplace(session->serial, session);
  Publisher& publisher = *session->publisher;
  HelloAck ack{introduce(*session->stream.connection), publisher.first_summary()};
  WARREN_CO_TRY_VOID(co_await send(*session->stream.stream, std::move(ack)));
  if (!tasks_.spawn(hear_subscriber(session))) {
    co_return fail(ErrorCode::kLimited, "too many subscribers");
  }
  TimePoint deadline = kNever;
  for (;;) {
    if (session->ended) co_return Result<>{};
    if (stopping_) co_return co_await send_last(*session, Goodbye{GoodbyeReason::kShuttingDown});
    if (session->renew) co_return co_await send_last(*session, Goodbye{GoodbyeReason::kRenew});
    std::optional<Message> message = publisher.next();
    if (message) {
      WARREN_CO_TRY_VOID(co_await send(*session->stream.stream, std::move(*message)));
      deadline = runtime_.now() + options_.acknowledge_time_max;
      continue;
    }
    if (publisher.state() != Publisher::State::kWaiting) deadline = kNever;
    tell_neighbour(session->stream.peer(), session);
    const runtime::Wake woken = co_await session->wake->wait_until(deadline);
    if (woken == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut, "what was told is not acknowledged");
    }
    if (woken == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "the node stops");
  }
}

awaitable<void> CatalogService::Driver::hear_subscriber(SessionPtr session) {
  const auto heard = co_await hear_subscriber_on(*session);
  if (!heard && !session->ended && !stopping_) {
    report_error(session->stream.peer(), heard.error());
    if (heard.error().code() == ErrorCode::kMalformed) {
      session->stream.stream->reset(transport::CloseCode::kProtocolViolation);
    }
  }
  session->ended = true;
  session->wake->notify();
}

awaitable<Result<>> CatalogService::Driver::hear_subscriber_on(Session& session) {
  for (;;) {
    WARREN_CO_TRY(const std::optional<Bytes> frame,
                  co_await session.reader.read_frame_or_end(kAnswerBytesMax, kNever));
    if (!frame) co_return Result<>{};
    counters_.bytes_received += frame->size();
    WARREN_CO_TRY(const Message message, decode_message(*frame, options_.limits));
    if (std::holds_alternative<Goodbye>(message)) co_return Result<>{};
    // Each snapshot is the whole set again.
    if (std::holds_alternative<SnapshotRequest>(message) && !may_ask(session.stream.peer())) {
      ++counters_.refused;
      co_return fail(ErrorCode::kLimited, "too many snapshots");
    }
    WARREN_CO_TRY_VOID(session.publisher->handle(message));
    session.wake->notify();
  }
}

// ------------------------------------------------------------------------------ questions

awaitable<Result<>> CatalogService::Driver::answer_query(Session& session, QueryRequest request) {
  if (!request.topic.empty()) {
    const auto checked = check_topic_pattern(request.topic);
    if (!checked) {
      co_return co_await refuse(session, RefusalCode::kBadRequest, checked.error().message());
    }
  }
  const std::size_t most = options_.limits.page_entries_max;
  const std::size_t limit = request.limit == 0 ? most : std::min<std::size_t>(request.limit, most);
  const peers::Visitor visitor = visitor_of(session);
  QueryResult result;
  result.revision = published_.summary(visitor).revision;
  std::size_t room = options_.limits.page_bytes_max;
  bool full = false;
  std::string after;
  for (;;) {
    const std::vector<Listing> page = published_.page(visitor, after, most);
    for (const Listing& listing : page) {
      if (!matches(listing, request) || result.total++ < request.offset || full) continue;
      const std::size_t bytes = message_bytes_of(listing);
      full = result.entries.size() >= limit || bytes > room;
      if (full) continue;
      room -= bytes;
      result.entries.push_back(listing);
    }
    if (page.size() < most) break;
    after = page.back().id;
    // Others have their turn between two pages of a large set.
    WARREN_CO_TRY_VOID(co_await runtime_.sleep_for(Duration{}));
  }
  co_return co_await send_last(session, std::move(result));
}

awaitable<Result<>> CatalogService::Driver::answer_peer_info(Session& session) {
  const Summary summary = published_.summary(visitor_of(session));
  PeerInfo info;
  info.peer = swarm_.local_peer();
  info.agent = hooks_.agent();
  info.mode = hooks_.mode();
  info.protocols = swarm_.protocols();
  info.revision = summary.revision;
  info.count = summary.count;
  info.uptime = std::chrono::duration_cast<std::chrono::milliseconds>(runtime_.now() - started_at_);
  co_return co_await send_last(session, std::move(info));
}

}  // namespace warren::catalog

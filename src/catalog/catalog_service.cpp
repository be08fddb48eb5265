#include "catalog/catalog_service.hpp"

#include <algorithm>
#include <utility>

#include "catalog/catalog_driver.hpp"
#include "protocols/half_close.hpp"

namespace warren::catalog {
namespace {

/// What a refusal means to the one who asked.
Error error_of(const Refusal& refusal) {
  const std::string text = "the peer refuses: " + refusal.text;
  switch (refusal.code) {
    case RefusalCode::kBadRequest: return {ErrorCode::kInvalidArgument, text};
    case RefusalCode::kVersion: return {ErrorCode::kUnsupported, text};
    case RefusalCode::kRateLimited:
    case RefusalCode::kBusy: return {ErrorCode::kLimited, text};
    case RefusalCode::kRefused: break;
  }
  return {ErrorCode::kDenied, text};
}

}  // namespace

awaitable<Result<Message>> CatalogService::Driver::ask(PeerId peer, Message question) {
  const TimePoint deadline = runtime_.now() + options_.exchange_time_max;
  std::vector<std::string> protocols(1, std::string(kCatalogProtocol));
  WARREN_CO_TRY(const swarm::ProtocolStream opened,
                co_await swarm_.open_stream(std::move(peer), std::move(protocols), deadline));
  transport::Stream& stream = *opened.stream;
  WARREN_CO_TRY_VOID(co_await send(stream, std::move(question)));
  WARREN_CO_TRY_VOID(
      co_await protocols::close_write_behind(stream, opened.connection->info(), deadline));
  WARREN_CO_TRY(const Bytes frame, co_await transport::read_frame(
                                       stream, options_.limits.message_bytes_max, deadline));
  counters_.bytes_received += frame.size();
  WARREN_CO_TRY(Message answer, decode_message(frame, options_.limits));
  if (const auto* refusal = std::get_if<Refusal>(&answer)) co_return fail(error_of(*refusal));
  co_return answer;
}

awaitable<Result<std::vector<CatalogPeer>>> CatalogService::Driver::peers() {
  auto work = [this] { return store_.peers(); };
  WARREN_CO_TRY(std::vector<KnownPeer> stored,
                co_await runtime::run(runtime_.pool(), std::move(work)));
  std::vector<CatalogPeer> peers;
  for (KnownPeer& each : stored) {
    if (each.peer == swarm_.local_peer()) continue;
    CatalogPeer peer;
    peer.connected = swarm_.is_connected(each.peer);
    const auto follow = follows_.find(each.peer);
    if (follow != follows_.end() && follow->second.subscriber) {
      const Subscriber& subscriber = *follow->second.subscriber;
      peer.following = subscriber.introduction().has_value();
      peer.theirs = subscriber.theirs();
      peer.complete = peer.following && subscriber.known().digest == subscriber.theirs().digest;
    }
    for (const auto& [serial, session] : sessions_) {
      if (session->stream.peer() != each.peer || session->ended) continue;
      peer.followed = true;
      peer.acknowledged = session->publisher->acknowledged();
      peer.told_all = session->publisher->is_current();
    }
    peer.stored = std::move(each);
    peers.push_back(std::move(peer));
  }
  co_return peers;
}

CatalogService::CatalogService(swarm::Swarm& swarm, library::Published& published,
                               CatalogStore& store, CatalogHooks hooks, CatalogOptions options)
    : driver_(std::make_unique<Driver>(swarm, published, store, std::move(hooks), options)) {}
CatalogService::~CatalogService() = default;

void CatalogService::start() { driver_->start(); }
awaitable<void> CatalogService::stop() { return driver_->stop(); }
void CatalogService::peer_identified(const PeerId& peer) { driver_->peer_identified(peer); }
void CatalogService::peer_changed(const PeerId& peer) { driver_->peer_changed(peer); }
void CatalogService::wants_changed() { driver_->wants_changed(); }
std::vector<PeerSync> CatalogService::sync() const { return driver_->sync(); }
awaitable<Result<std::vector<CatalogPeer>>> CatalogService::peers() { return driver_->peers(); }
const CatalogCounters& CatalogService::counters() const { return driver_->counters(); }

awaitable<Result<CatalogPage>> CatalogService::list(CatalogQuery query) {
  auto work = [&store = driver_->store(), wanted = std::move(query)] { return store.list(wanted); };
  co_return co_await runtime::run(driver_->runtime().pool(), std::move(work));
}

awaitable<Result<std::vector<Offer>>> CatalogService::find(std::string id) {
  auto work = [&store = driver_->store(), wanted = std::move(id)] { return store.find(wanted); };
  co_return co_await runtime::run(driver_->runtime().pool(), std::move(work));
}

awaitable<Result<std::vector<TopicCount>>> CatalogService::topics(std::size_t limit,
                                                                  std::uint64_t offset) {
  auto work = [&store = driver_->store(), limit, offset] { return store.topics(limit, offset); };
  co_return co_await runtime::run(driver_->runtime().pool(), std::move(work));
}

awaitable<Result<>> CatalogService::subscribe(Subscription subscription) {
  auto work = [&store = driver_->store(), wanted = std::move(subscription)] {
    return store.subscribe(wanted);
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(driver_->runtime().pool(), std::move(work)));
  driver_->wants_changed();
  co_return Result<>{};
}

awaitable<Result<>> CatalogService::unsubscribe(std::string pattern) {
  auto work = [&store = driver_->store(), gone = std::move(pattern)] {
    return store.unsubscribe(gone);
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(driver_->runtime().pool(), std::move(work)));
  driver_->wants_changed();
  co_return Result<>{};
}

awaitable<Result<std::vector<Subscription>>> CatalogService::subscriptions() {
  auto work = [&store = driver_->store()] { return store.subscriptions(); };
  co_return co_await runtime::run(driver_->runtime().pool(), std::move(work));
}

awaitable<Result<QueryResult>> CatalogService::query(PeerId peer, QueryRequest request) {
  WARREN_CO_TRY(Message answer, co_await driver_->ask(std::move(peer), std::move(request)));
  auto* const result = std::get_if<QueryResult>(&answer);
  if (result == nullptr) co_return fail(ErrorCode::kMalformed, "no QueryResult to a Query");
  co_return std::move(*result);
}

awaitable<Result<PeerInfo>> CatalogService::peer_info(PeerId peer) {
  const PeerId asked = peer;
  WARREN_CO_TRY(Message answer, co_await driver_->ask(std::move(peer), GetPeerInfo{}));
  auto* const info = std::get_if<PeerInfo>(&answer);
  if (info == nullptr || info->peer != asked) {
    co_return fail(ErrorCode::kMalformed, "no PeerInfo of that peer to a GetPeerInfo");
  }
  co_return std::move(*info);
}

}  // namespace warren::catalog

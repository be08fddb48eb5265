#include "protocols/identify.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/log.hpp"
#include "protocols/half_close.hpp"
#include "transport/frame_io.hpp"
#include "wire/peer_record.hpp"

namespace warren::protocols {
namespace {

using swarm::Connection;
using swarm::ConnectionEvent;
using swarm::ProtocolStream;
using transport::Stream;

// Exchanges in progress, ours and the answers to pushes; beyond, a connection is not asked.
constexpr std::size_t kExchangesMax = 512;
// One for each connection that a peer may have.
constexpr swarm::HandlerLimits kHandlerLimits{.streams_per_peer_max = 4, .streams_max = 256};
// Of ours that a peer is told. Source: each takes up to 100 bytes, twice.
constexpr std::size_t kToldAddressesMax = 16;

std::vector<std::string> only(std::string_view protocol) {
  return std::vector<std::string>(1, std::string(protocol));
}

}  // namespace

bool worth_telling(const Multiaddr& ours, const Multiaddr& remote) {
  const auto here = ours.endpoint();
  const auto there = remote.endpoint();
  if (!here || !there || there->ip.is_loopback()) return true;
  if (there->ip.is_private()) return !here->ip.is_loopback();
  return !here->ip.is_private();
}

bool PeerIdentity::speaks(std::string_view protocol) const {
  return std::ranges::find(protocols, protocol) != protocols.end();
}

IdentifyService::IdentifyService(swarm::Swarm& swarm, crypto::PrivateKey key, IdentifyConfig config)
    : swarm_(swarm),
      key_(std::move(key)),
      config_(std::move(config)),
      observed_(config_.observed),
      tasks_(swarm.runtime(), kExchangesMax) {
  swarm_.on_connection([this](const ConnectionEvent& event) { on_connection(event); });
  swarm_.on_protocols_changed([this] { on_local_change(); });
  swarm_.set_handler(
      std::string(kIdentifyProtocol),
      [this](ProtocolStream stream) { return answer(std::move(stream)); }, kHandlerLimits);
  swarm_.set_handler(
      std::string(kIdentifyPushProtocol),
      [this](ProtocolStream stream) { return accept_push(std::move(stream)); }, kHandlerLimits);
}

const PeerIdentity* IdentifyService::find(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? nullptr : &found->second;
}

void IdentifyService::on_identified(Listener listener) {
  listeners_.push_back(std::move(listener));
}

awaitable<void> IdentifyService::close() { co_await tasks_.join(); }

// ------------------------------------------------------------------------- what we hear

void IdentifyService::on_connection(const ConnectionEvent& event) {
  if (event.kind == ConnectionEvent::Kind::kConnected) {
    if (!tasks_.spawn(ask(event.connection))) ++failures_;
  } else if (event.first_or_last) {
    peers_.erase(event.connection->info().remote_peer);
    told_.erase(event.connection->info().remote_peer);
    allowances_.erase(event.connection->info().remote_peer);
  }
}

awaitable<void> IdentifyService::ask(std::shared_ptr<Connection> connection) {
  const auto asked = co_await exchange(connection);
  if (asked) co_return;
  ++failures_;
  log::debug("identify", "{}: {}", connection->info().remote_peer.to_string(),
             asked.error().message());
}

awaitable<Result<>> IdentifyService::exchange(std::shared_ptr<Connection> connection) {
  const TimePoint deadline = swarm_.runtime().now() + config_.exchange_time_max;
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await swarm_.open_stream(connection, only(kIdentifyProtocol), deadline));
  opened.stream->close_write();
  const PeerId& peer = opened.peer();
  WARREN_CO_TRY(IdentifyMessage message, co_await receive(*opened.stream, peer));
  learn(*connection, std::move(message));
  co_return Result<>{};
}

/// Takes one from what `peer` may begin; false when nothing is left.
bool IdentifyService::within_rate(const PeerId& peer) {
  const TimePoint now = swarm_.runtime().now();
  const auto [entry, added] =
      allowances_.try_emplace(peer, Allowance{config_.exchanges_burst, now});
  Allowance& allowance = entry->second;
  const double seconds = std::chrono::duration<double>(now - allowance.at).count();
  allowance.left =
      std::min(config_.exchanges_burst, allowance.left + seconds * config_.exchanges_per_second);
  allowance.at = now;
  if (allowance.left < 1) {
    ++refused_;
    return false;
  }
  allowance.left -= 1;
  return true;
}

awaitable<void> IdentifyService::accept_push(ProtocolStream stream) {
  const PeerId& peer = stream.peer();
  if (!within_rate(peer)) {
    stream.stream->reset(transport::CloseCode::kRateLimited);
    co_return;
  }
  auto message = co_await receive(*stream.stream, peer);
  if (!message) {
    ++failures_;
    log::debug("identify", "push of {}: {}", peer.to_string(), message.error().message());
    stream.stream->reset(transport::CloseCode::kProtocolViolation);
    co_return;
  }
  learn(*stream.connection, std::move(*message));
  stream.stream->close_write();
  const TimePoint deadline = swarm_.runtime().now() + config_.exchange_time_max;
  const auto flushed = co_await stream.stream->flush(deadline);
  if (!flushed) log::debug("identify", "push of {}: the end did not arrive", peer.to_string());
}

/// All parts up to the end of the stream, merged. Errors: kTooLarge, kMalformed, kIntegrity when
/// the key is not that of `peer`.
awaitable<Result<IdentifyMessage>> IdentifyService::receive(Stream& stream, PeerId peer) {
  const TimePoint deadline = swarm_.runtime().now() + config_.exchange_time_max;
  transport::FrameReader reader(stream);
  IdentifyMessage message;
  for (std::size_t parts = 0;; ++parts) {
    WARREN_CO_TRY(const std::optional<Bytes> part,
                  co_await reader.read_frame_or_end(config_.limits.identify_bytes_max, deadline));
    if (!part) break;
    if (parts == config_.limits.identify_messages_max) {
      co_return fail(ErrorCode::kTooLarge, fmt::format("identify in more than {} messages", parts));
    }
    WARREN_CO_TRY_VOID(merge_identify(*part, config_.limits, message));
  }
  if (!message.public_key.empty()) {
    const PeerId named = PeerId::from_public_key(message.public_key);
    if (named != peer) {
      co_return fail(ErrorCode::kIntegrity,
                     fmt::format("{} sent the key of {}", peer.to_string(), named.to_string()));
    }
  }
  co_return message;
}

/// What the message has replaces what was known; what it leaves out stays.
void IdentifyService::learn(const Connection& connection, IdentifyMessage message) {
  const PeerId peer = connection.info().remote_peer;
  if (!swarm_.is_connected(peer)) return;
  PeerIdentity& known = peers_[peer];
  if (!message.agent_version.empty()) known.agent_version = std::move(message.agent_version);
  if (!message.protocol_version.empty()) {
    known.protocol_version = std::move(message.protocol_version);
  }
  if (!message.protocols.empty()) known.protocols = std::move(message.protocols);
  if (message.observed_address) known.observed_address = message.observed_address;
  const std::optional<Multiaddr> seen = message.observed_address;

  bool record_used = false;
  if (!message.signed_peer_record.empty()) {
    auto record = wire::open_peer_record(message.signed_peer_record);
    if (record && record->peer == peer) {
      record_used = true;
      if (record->seq >= known.record_sequence) {
        known.record_sequence = record->seq;
        known.listen_addresses = std::move(record->addresses);
        known.addresses_signed = true;
        known.signed_record = std::make_shared<const Bytes>(std::move(message.signed_peer_record));
      }
    } else {
      // The connection has proven the peer; its unsigned addresses are hints as good as any.
      log::debug("identify", "the signed record of {} does not hold: {}", peer.to_string(),
                 record ? "it is another peer's" : record.error().message());
    }
  }
  if (!record_used && !message.listen_addresses.empty()) {
    known.listen_addresses = std::move(message.listen_addresses);
    known.addresses_signed = false;
  }
  for (Multiaddr& address : known.listen_addresses) address = address.without_peer();
  const PeerIdentity said = known;  // A listener may cause the entry to go.
  for (std::size_t i = 0; i < listeners_.size(); ++i) listeners_[i](peer, said);
  if (seen) learn_observed(connection, *seen);
}

void IdentifyService::learn_observed(const Connection& connection, const Multiaddr& seen) {
  const transport::ConnectionInfo& info = connection.info();
  const bool changed =
      observed_.observe({info.remote_peer, info.remote_address, info.local_address, seen},
                        swarm_.listen_addresses(), swarm_.runtime().now());
  if (changed) tell_observed();
  if (!expiring_ && observed_.votes() > 0) expiring_ = tasks_.spawn(expire_observed());
}

/// What others say may change as fast as they like, and each change goes to every peer.
void IdentifyService::tell_observed() {
  if (!telling_observed_) telling_observed_ = tasks_.spawn(tell_observed_later());
}

awaitable<void> IdentifyService::tell_observed_later() {
  runtime::Runtime& runtime = swarm_.runtime();
  const auto slept = co_await runtime.sleep_until(std::max(runtime.now(), tell_observed_at_));
  if (!slept) co_return;
  tell_observed_at_ = runtime.now() + config_.observed_told_every;
  telling_observed_ = false;
  on_local_change();
}

/// Runs as long as there are votes.
awaitable<void> IdentifyService::expire_observed() {
  while (observed_.votes() > 0) {
    const auto slept = co_await swarm_.runtime().sleep_until(observed_.next_expiry());
    if (!slept) co_return;
    const auto connected = [this](const PeerId& peer) { return swarm_.is_connected(peer); };
    if (observed_.expire(connected, swarm_.listen_addresses(), swarm_.runtime().now())) {
      on_local_change();
    }
  }
  expiring_ = false;
}

// --------------------------------------------------------------------------- what we say

std::vector<Multiaddr> IdentifyService::addresses() const {
  std::vector<Multiaddr> all = swarm_.listen_addresses();
  for (const Multiaddr& address : observed_.believed()) {
    if (std::ranges::find(all, address) == all.end()) all.push_back(address);
  }
  return all;
}

IdentifyService::Told IdentifyService::told_to(const Connection& connection) const {
  const Multiaddr& remote = connection.info().remote_address;
  Told told{.addresses = {}, .protocols = swarm_.protocols()};
  for (Multiaddr& address : addresses()) {
    if (told.addresses.size() == kToldAddressesMax) break;
    if (worth_telling(address, remote)) told.addresses.push_back(std::move(address));
  }
  return told;
}

/// In parts that every implementation reads: none over kPartBytesMax unless one address or protocol
/// alone is.
std::vector<Bytes> IdentifyService::describe_self(const Connection& connection) {
  Told told = told_to(connection);
  IdentifyMessage message;
  message.public_key = key_.public_key().protobuf();
  message.listen_addresses = told.addresses;
  message.protocols = told.protocols;
  message.observed_address = connection.info().remote_address;
  message.protocol_version = config_.protocol_version;
  message.agent_version = config_.agent_version;
  // By the clock, so that it grows across restarts, and by one when the clock stands or goes back.
  const auto wall = swarm_.runtime().wall_now().time_since_epoch().count();
  sequence_ =
      std::max(sequence_ + 1, static_cast<std::uint64_t>(std::max<decltype(wall)>(wall, 0)));
  message.signed_peer_record = wire::seal_peer_record(key_, sequence_, message.listen_addresses);
  told_.insert_or_assign(connection.info().remote_peer, std::move(told));
  return encode_identify_parts(std::move(message));
}

awaitable<Result<>> IdentifyService::write_self(Stream& stream,
                                                std::shared_ptr<Connection> connection,
                                                TimePoint deadline) {
  const std::vector<Bytes> parts = describe_self(*connection);
  for (const Bytes& part : parts) {
    WARREN_CO_TRY_VOID(co_await transport::write_frame(stream, part, deadline));
  }
  co_return co_await close_write_behind(stream, connection->info(), deadline);
}

awaitable<void> IdentifyService::answer(ProtocolStream stream) {
  if (!within_rate(stream.peer())) {
    stream.stream->reset(transport::CloseCode::kRateLimited);
    co_return;
  }
  const TimePoint deadline = swarm_.runtime().now() + config_.exchange_time_max;
  auto sent = co_await write_self(*stream.stream, stream.connection, deadline);
  if (sent) sent = co_await stream.stream->flush(deadline);
  if (sent) co_return;
  told_.erase(stream.peer());
  ++failures_;
  log::debug("identify", "answer to {}: {}", stream.peer().to_string(), sent.error().message());
}

void IdentifyService::addresses_changed() {
  const auto connected = [this](const PeerId& peer) { return swarm_.is_connected(peer); };
  observed_.expire(connected, swarm_.listen_addresses(), swarm_.runtime().now());
  on_local_change();
}

void IdentifyService::on_local_change() {
  PeerId last;
  for (const auto& connection : swarm_.connections()) {
    const PeerId& peer = connection->info().remote_peer;
    if (std::exchange(last, peer) != peer) start_push(peer);
  }
}

/// Whether what `peer` was told last is not so any more, or it was not told anything.
bool IdentifyService::has_news_for(const PeerId& peer) const {
  const auto connections = swarm_.connections_to(peer);
  if (connections.empty()) return false;
  const auto told = told_.find(peer);
  return told == told_.end() || told->second != told_to(*connections.front());
}

/// Tells `peer` once more, after the push that is under way if there is one.
void IdentifyService::start_push(const PeerId& peer) {
  const PeerIdentity* const known = find(peer);
  if (known != nullptr && !known->speaks(kIdentifyPushProtocol)) return;
  if (!has_news_for(peer)) return;
  const auto [entry, added] = pushing_.try_emplace(peer, false);
  entry->second = !added;
  if (added && !tasks_.spawn(push(peer))) pushing_.erase(entry);
}

awaitable<void> IdentifyService::push(PeerId peer) {
  for (bool again = true; again;) {
    pushing_[peer] = false;
    const auto connections = swarm_.connections_to(peer);
    if (connections.empty()) break;
    const auto sent = co_await send_push(connections.front());
    if (!sent) {
      told_.erase(peer);
      ++failures_;
      log::debug("identify", "push to {}: {}", peer.to_string(), sent.error().message());
    }
    again = sent && pushing_[peer] && has_news_for(peer);
  }
  pushing_.erase(peer);
}

awaitable<Result<>> IdentifyService::send_push(std::shared_ptr<Connection> connection) {
  const TimePoint deadline = swarm_.runtime().now() + config_.exchange_time_max;
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await swarm_.open_stream(connection, only(kIdentifyPushProtocol), deadline));
  WARREN_CO_TRY_VOID(co_await write_self(*opened.stream, connection, deadline));
  // The peer's end, which also shows whether it took the protocol at all.
  std::uint8_t byte = 0;
  WARREN_CO_TRY(const std::size_t n,
                co_await opened.stream->read_some(MutableBytes(&byte, 1), deadline));
  if (n != 0) co_return fail(ErrorCode::kMalformed, "the peer answered a push with bytes");
  co_return Result<>{};
}

}  // namespace warren::protocols

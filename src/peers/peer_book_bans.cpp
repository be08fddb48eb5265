// Reputation and bans.

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "peers/peer_book.hpp"
#include "peers/text.hpp"
#include "peers/wall_time.hpp"

namespace warren::peers {
namespace {

using resources::Prefix;

// So many different peers of one IP address, banned within this time, ban the address.
constexpr std::size_t kStrikesForBan = 4;
constexpr Duration kStrikeTime = std::chrono::hours(1);
// Behind one private address may be a whole household of others.
constexpr Duration kPrivateBanMax = 10min;
constexpr std::uint8_t kIpv6HostBits = 64;
constexpr std::uint32_t kDoublingsMax = 31;

// What one owner probably has.
Prefix household(const IpAddress& ip) {
  return Prefix::of(ip, ip.is_v6() && !ip.is_private() ? kIpv6HostBits : 128);
}

std::string cut(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  // Not in the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

}  // namespace

// ---------------------------------------------------------------------------------- reputation

std::optional<WallTime> PeerBook::report(const PeerId& id, ReputationEvent event, WallTime now) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return std::nullopt;
  Peer& peer = found->second;
  const double score = peer.reputation.apply(event, config_.reputation, now);
  changed(id);
  if (score >= config_.reputation.banned_below || peer.pinned || peer.kept || is_banned(id, now)) {
    return std::nullopt;
  }
  // Good news of a peer whose ban has just ended is no reason for the next one.
  if (config_.reputation.weights[static_cast<std::size_t>(event)] >= 0) return std::nullopt;
  const WallTime until = end_of_next_ban(peer, now);
  const std::uint32_t bans =
      age(peer.last_ban_end, now) > config_.reputation.ban_time_max ? 0 : peer.bans;
  if (!put_ban({.who = id, .until = until, .reason = std::string(reputation_event_name(event))},
               now)) {
    return std::nullopt;  // Ten thousand bans that persons made.
  }
  peer.bans = std::min(bans, kDoublingsMax) + 1;
  peer.last_ban_end = until;
  strike(peer, until, now);
  return until;
}

WallTime PeerBook::end_of_next_ban(const Peer& peer, WallTime now) const {
  const ReputationConfig& config = config_.reputation;
  Duration time = config.ban_time_min;
  if (age(peer.last_ban_end, now) <= config.ban_time_max) {
    for (std::uint32_t i = 0; i < peer.bans && time < config.ban_time_max; ++i) time *= 2;
  }
  return later(now, std::min(time, config.ban_time_max));
}

double PeerBook::score(const PeerId& peer, WallTime now) const {
  const Peer* const known = find(peer);
  return known == nullptr ? config_.reputation.start
                          : known->reputation.score(config_.reputation, now);
}

std::optional<IpAddress> PeerBook::proven_ip(const Peer& peer) const {
  // What a peer says of itself proves nothing: it could have others banned.
  if (const auto connection = connections_.find(peer.id); connection != connections_.end()) {
    if (!connection->second.remote) return std::nullopt;
    const auto endpoint = connection->second.remote->endpoint();
    return endpoint ? std::optional(endpoint->ip) : std::nullopt;
  }
  WallTime last{};
  std::optional<IpAddress> ip;
  for (const AddressEntry& entry : peer.addresses) {
    const auto endpoint = entry.address.endpoint();
    if (!endpoint || entry.last_success <= last ||
        entry.address.has(multiformats::Protocol::kP2pCircuit))
      continue;
    last = entry.last_success;
    ip = endpoint->ip;
  }
  return ip;
}

void PeerBook::strike(const Peer& peer, WallTime until, WallTime now) {
  const auto ip = proven_ip(peer);
  if (!ip || ip->is_loopback()) return;
  const Prefix prefix = household(*ip);
  if (is_loopback_in(prefix)) return;
  auto found = strikes_.find(prefix);
  if (found == strikes_.end()) {
    if (strikes_.size() >= config_.limits.strikes_max) {
      if (strikes_.empty()) return;
      strikes_.erase(std::ranges::min_element(strikes_, {},
                                              [](const auto& entry) { return entry.second.last; }));
    }
    found = strikes_.emplace(prefix, Strikes{}).first;
  }
  Strikes& strikes = found->second;
  if (age(strikes.last, now) > kStrikeTime) strikes.peers.clear();
  strikes.last = std::max(strikes.last, stamp(now));
  strikes.peers.insert(peer.id);
  if (strikes.peers.size() < kStrikesForBan) return;
  strikes_.erase(found);
  // Nobody that a person chose is shut out by what its neighbours did.
  for (const auto& [id, other] : peers_) {
    if (!other.kept && !other.pinned) continue;
    const auto in_prefix = [&prefix](const Multiaddr& address) {
      const auto endpoint = address.endpoint();
      return endpoint && prefix.contains(endpoint->ip);
    };
    if (std::ranges::any_of(other.addresses, in_prefix, &AddressEntry::address)) return;
    const auto connection = connections_.find(id);
    if (connection == connections_.end() || !connection->second.remote) continue;
    if (in_prefix(*connection->second.remote)) return;
  }
  const WallTime end = ip->is_private() ? std::min(until, later(now, kPrivateBanMax)) : until;
  const auto put = put_ban(
      {.who = prefix, .until = end, .reason = fmt::format("{} banned peers", kStrikesForBan)}, now);
  static_cast<void>(put);  // No room among what persons banned: then the peers alone are.
}

// ---------------------------------------------------------------------------------------- bans

const Ban* PeerBook::find_ban(const std::variant<PeerId, Prefix>& who) const {
  if (const PeerId* const peer = std::get_if<PeerId>(&who)) {
    const auto found = peer_bans_.find(*peer);
    return found == peer_bans_.end() ? nullptr : &found->second;
  }
  const auto found = prefix_bans_.find(std::get<Prefix>(who));
  return found == prefix_bans_.end() ? nullptr : &found->second;
}

Result<> PeerBook::put_ban(Ban ban, WallTime now) {
  const PeerId* const peer = std::get_if<PeerId>(&ban.who);
  const Ban* const before = find_ban(ban.who);
  const bool known = before != nullptr;
  if (known && before->until > now && !ban.by_person) {
    // Events only make a ban longer; one by a person stays one, with what the person said.
    if (before->until >= ban.until) return {};
    if (before->by_person) {
      ban.by_person = true;
      ban.reason = before->reason;
    }
  }
  if (!known && !make_room_for_ban(ban.by_person, now)) {
    return fail(ErrorCode::kLimited,
                fmt::format("{} bans are the most, and none of them ends by itself",
                            config_.limits.bans_max),
                "lift some with `warren peers unban`");
  }
  ban.reason = cut(std::move(ban.reason), config_.limits.reason_bytes_max);
  if (peer != nullptr) {
    const PeerId id = *peer;
    if (const auto found = peers_.find(id); found != peers_.end()) {
      found->second.banned_until = ban.until;
      changed(id);
    }
    if (!changes_.all) changes_.peer_bans.insert(id);
    peer_bans_.insert_or_assign(id, std::move(ban));
  } else {
    const Prefix prefix = std::get<Prefix>(ban.who);
    if (!known) ++prefix_lengths_[{prefix.ip.is_v6(), prefix.bits}];
    if (!changes_.all) changes_.prefix_bans.insert(prefix);
    prefix_bans_.insert_or_assign(prefix, std::move(ban));
  }
  noted();
  return {};
}

bool PeerBook::make_room_for_ban(bool by_person, WallTime now) {
  const auto full = [this] {
    return peer_bans_.size() + prefix_bans_.size() >= config_.limits.bans_max;
  };
  if (!full()) return true;
  erase_ended_bans(now);
  if (!full()) return true;
  // The one by events that ends first; for a person also one by a person that ends some day.
  const Ban* victim = nullptr;
  const auto consider = [&](const Ban& ban) {
    if (ban.until == WallTime::max() || (ban.by_person && !by_person)) return;
    const auto rank = [](const Ban& of) { return std::pair(of.by_person, of.until); };
    if (victim == nullptr || rank(ban) < rank(*victim)) victim = &ban;
  };
  for (const auto& [id, ban] : peer_bans_) consider(ban);
  for (const auto& [prefix, ban] : prefix_bans_) consider(ban);
  if (victim == nullptr) return false;
  std::visit([this](const auto& who) { lift(who); }, std::variant(victim->who));
  return true;
}

void PeerBook::erase_ended_bans(WallTime now) {
  std::vector<PeerId> peers;
  std::vector<Prefix> prefixes;
  for (const auto& [id, ban] : peer_bans_) {
    if (ban.until <= now) peers.push_back(id);
  }
  for (const auto& [prefix, ban] : prefix_bans_) {
    if (ban.until <= now) prefixes.push_back(prefix);
  }
  for (const PeerId& id : peers) lift(id);
  for (const Prefix& prefix : prefixes) lift(prefix);
}

void PeerBook::lift(const PeerId& id) {
  peer_bans_.erase(id);
  if (!changes_.all) changes_.peer_bans.insert(id);
  if (const auto found = peers_.find(id); found != peers_.end()) {
    found->second.banned_until = {};
    changed(id);
  }
  noted();
}

void PeerBook::lift(const Prefix& prefix) {
  prefix_bans_.erase(prefix);
  const auto length = prefix_lengths_.find({prefix.ip.is_v6(), prefix.bits});
  WARREN_CHECK(length != prefix_lengths_.end());
  if (--length->second == 0) prefix_lengths_.erase(length);
  if (!changes_.all) changes_.prefix_bans.insert(prefix);
  noted();
}

Result<> PeerBook::ban(const PeerId& peer, WallTime until, std::string reason, WallTime now) {
  if (peer.empty() || peer == self_) {
    return fail(ErrorCode::kInvalidArgument, "this node cannot ban itself");
  }
  WARREN_TRY_VOID(
      put_ban({.who = peer, .until = until, .reason = std::move(reason), .by_person = true}, now));
  if (const auto found = peers_.find(peer); found != peers_.end()) {
    found->second.last_ban_end = until;
  }
  return {};
}

Result<> PeerBook::ban(const Prefix& given, WallTime until, std::string reason, WallTime now) {
  const Prefix prefix = Prefix::of(given.ip, given.bits);
  if (is_loopback_in(prefix)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} has the loopback addresses in it, which are never banned",
                            prefix.to_string()),
                "give a longer prefix");
  }
  return put_ban({.who = prefix, .until = until, .reason = std::move(reason), .by_person = true},
                 now);
}

Result<> PeerBook::unban(const PeerId& peer, WallTime now) {
  if (!is_banned(peer, now)) {
    return fail(ErrorCode::kNotFound, fmt::format("peer {} is not banned", peer.to_string()),
                "`warren peers banned` lists who is");
  }
  lift(peer);
  // A person forgives: the next small fault is not to bring the ban back.
  if (const auto found = peers_.find(peer); found != peers_.end()) {
    found->second.reputation = {};
    found->second.bans = 0;
    found->second.last_ban_end = {};
  }
  return {};
}

Result<> PeerBook::unban(const Prefix& given) {
  const Prefix prefix = Prefix::of(given.ip, given.bits);
  if (!prefix_bans_.contains(prefix)) {
    return fail(ErrorCode::kNotFound, fmt::format("{} is not banned", prefix.to_string()),
                "`warren peers banned` lists what is; name the prefix as it stands there");
  }
  lift(prefix);
  return {};
}

std::vector<Ban> PeerBook::bans(WallTime now) const {
  std::vector<Ban> list;
  for (const auto& [id, ban] : peer_bans_) {
    if (ban.until > now) list.push_back(ban);
  }
  for (const auto& [prefix, ban] : prefix_bans_) {
    if (ban.until > now) list.push_back(ban);
  }
  return list;
}

bool PeerBook::is_banned(const PeerId& peer, WallTime now) const {
  const auto found = peer_bans_.find(peer);
  return found != peer_bans_.end() && found->second.until > now;
}

bool PeerBook::is_banned(const IpAddress& ip, WallTime now) const {
  if (ip.is_loopback()) return false;
  // One look for each length of prefix that is in use.
  for (const auto& [length, count] : prefix_lengths_) {
    if (length.first != ip.is_v6()) continue;
    const auto found = prefix_bans_.find(Prefix::of(ip, length.second));
    if (found != prefix_bans_.end() && found->second.until > now) return true;
  }
  return false;
}

bool PeerBook::is_banned(const Multiaddr& address, WallTime now) const {
  const auto endpoint = address.endpoint();
  return endpoint && is_banned(endpoint->ip, now);
}

}  // namespace warren::peers

#include "resources/sources.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::resources {
namespace {

// A full table is searched for what may be forgotten at most so often.
constexpr Duration kSweepInterval = 1s;

double refilled(double tokens, TimePoint at, TimePoint now, const limits::InboundRate& rate) {
  const double seconds = std::chrono::duration<double>(now - at).count();
  return std::min(rate.burst, tokens + std::max(seconds, 0.0) * rate.per_second);
}

std::string rate_text(const limits::InboundRate& rate, std::string_view of) {
  if (rate.per_second >= 1) {
    return fmt::format("{:.0f} at once and then {:.0f} a second {} are the most", rate.burst,
                       rate.per_second, of);
  }
  return fmt::format("{:.0f} at once and then one every {:.0f} s {} are the most", rate.burst,
                     1 / rate.per_second, of);
}

std::string of_text(const Prefix& prefix) {
  const bool whole = prefix.bits == (prefix.ip.is_v6() ? 128 : 32);
  return whole ? "from one address" : fmt::format("from one /{}", prefix.bits);
}

}  // namespace

std::size_t Sources::Hash::operator()(const Prefix& prefix) const noexcept {
  return std::hash<Endpoint>{}(Endpoint{prefix.ip, prefix.bits, 0});
}

std::vector<Sources::Rule> Sources::rules_for(const IpAddress& ip) const {
  if (ip.is_private()) {
    return {{Prefix::of(ip, 128), limits_.inbound_per_private, limits_.rate_private}};
  }
  if (!ip.is_v6()) return {{Prefix::of(ip, 32), limits_.inbound_per_ipv4, limits_.rate_ipv4}};
  return {{Prefix::of(ip, 56), limits_.inbound_per_ipv6_56, limits_.rate_ipv6_56},
          {Prefix::of(ip, 48), limits_.inbound_per_ipv6_48, limits_.rate_ipv6_48}};
}

Sources::Table& Sources::table_of(const Prefix& prefix) {
  return prefix.ip.is_private() ? private_ : internet_;
}
const Sources::Table& Sources::table_of(const Prefix& prefix) const {
  return prefix.ip.is_private() ? private_ : internet_;
}

Sources::Admission Sources::admit(const IpAddress& ip, TimePoint now) {
  const std::vector<Rule> rules = rules_for(ip);
  Table& table = table_of(rules.front().prefix);
  std::size_t missing = 0;
  for (const Rule& rule : rules) {
    const auto found = table.find(rule.prefix);
    if (found == table.end()) {
      ++missing;
      continue;
    }
    Source& source = found->second;
    if (source.connections >= rule.connections_max) {
      return {
          {},
          Refused{false, rule.prefix.to_string(),
                  fmt::format("{} {} are the most", rule.connections_max, of_text(rule.prefix))}};
    }
    source.tokens = refilled(source.tokens, source.at, now, rule.rate);
    source.at = now;
    if (source.tokens < 1) {
      return {{},
              Refused{true, rule.prefix.to_string(), rate_text(rule.rate, of_text(rule.prefix))}};
    }
  }
  std::optional<TimePoint>& swept_at = &table == &private_ ? private_swept_at_ : internet_swept_at_;
  if (table.size() + missing > limits_.sources_max && !make_room(table, swept_at, now)) {
    if (!others_) others_ = Source{0, limits_.rate_others.burst, now};
    others_->tokens = refilled(others_->tokens, others_->at, now, limits_.rate_others);
    others_->at = now;
    if (others_->tokens < 1) {
      return {{},
              Refused{true, ip.to_string(),
                      rate_text(limits_.rate_others,
                                fmt::format("beside those from {} others", table.size()))}};
    }
    --others_->tokens;
    return {};
  }
  Admission admitted;
  for (const Rule& rule : rules) {
    Source& source = table.try_emplace(rule.prefix, Source{0, rule.rate.burst, now}).first->second;
    ++source.connections;
    source.tokens -= 1;
    admitted.ticket.push_back(rule.prefix);
  }
  return admitted;
}

/// Forgets those of which nothing needs to be known.
bool Sources::make_room(Table& table, std::optional<TimePoint>& swept_at, TimePoint now) {
  if (swept_at && now < *swept_at + kSweepInterval) return false;
  swept_at = now;
  std::erase_if(table, [&](const auto& entry) {
    if (entry.second.connections > 0) return false;
    for (const Rule& rule : rules_for(entry.first.ip)) {
      if (rule.prefix.bits != entry.first.bits) continue;
      return refilled(entry.second.tokens, entry.second.at, now, rule.rate) >= rule.rate.burst;
    }
    return true;
  });
  // Room for both prefixes of an IPv6 address.
  return table.size() + 2 <= limits_.sources_max;
}

void Sources::leave(const Ticket& ticket) {
  for (const Prefix& prefix : ticket) {
    Table& table = table_of(prefix);
    const auto found = table.find(prefix);
    WARREN_CHECK(found != table.end() && found->second.connections > 0);
    --found->second.connections;
  }
}

bool Sources::is_busy(const IpAddress& ip, TimePoint now) const {
  const std::vector<Rule> rules = rules_for(ip);
  const Table& table = table_of(rules.front().prefix);
  for (const Rule& rule : rules) {
    const auto found = table.find(rule.prefix);
    if (found == table.end()) {
      if (table.size() >= limits_.sources_max) return true;
      continue;
    }
    const Source& source = found->second;
    if (source.connections * 2 >= rule.connections_max) return true;
    if (refilled(source.tokens, source.at, now, rule.rate) < rule.rate.burst / 2) return true;
  }
  return false;
}

std::size_t Sources::connections(const Prefix& prefix) const {
  const Table& table = table_of(prefix);
  const auto found = table.find(prefix);
  return found == table.end() ? 0 : found->second.connections;
}

}  // namespace warren::resources

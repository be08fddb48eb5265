#include "swarm/resolve.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace warren::swarm {
namespace {

using multiformats::Component;
using multiformats::Protocol;
using runtime::AddressFamily;

constexpr std::string_view kTextPrefix = "dnsaddr=";
constexpr std::string_view kTextHost = "_dnsaddr.";
// Different addresses with names that one attempt follows. Source: each question gives several.
constexpr std::size_t kPendingMax = 256;

struct Named {
  NameQuestion question;
  std::string host;  ///< As the address writes it, in lower case.
  std::string rest;
};

/// The name at the front of `address`, and what stands behind it.
std::optional<Named> split(const Multiaddr& address) {
  const std::vector<Component> parts = address.components();
  if (parts.empty()) return std::nullopt;
  Named named;
  switch (parts.front().protocol) {
    case Protocol::kDns: named.question.family = AddressFamily::kAny; break;
    case Protocol::kDns4: named.question.family = AddressFamily::kV4; break;
    case Protocol::kDns6: named.question.family = AddressFamily::kV6; break;
    case Protocol::kDnsaddr: named.question.kind = NameQuestion::Kind::kText; break;
    default: return std::nullopt;
  }
  named.host = std::string(as_text(parts.front().value));
  std::ranges::transform(named.host, named.host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (named.host.ends_with('.')) named.host.pop_back();
  const bool text = named.question.kind == NameQuestion::Kind::kText;
  named.question.name = (text ? std::string(kTextHost) : std::string()) + named.host;
  // A name has no '/': the rest begins at the third one.
  const std::string whole = address.to_string();
  const std::size_t value = whole.find('/', 1);
  const std::size_t rest = whole.find('/', value + 1);
  if (rest != std::string::npos) named.rest = whole.substr(rest);
  return named;
}

/// The rest of an address whose name becomes an IP address: a WebSocket over TLS keeps the name.
std::string keep_name_for_tls(const Multiaddr& address, std::string rest, const std::string& host) {
  if (address.has(Protocol::kSni)) return rest;
  const auto replace = [&](std::string_view what) {
    const std::size_t at = rest.find(what);
    const std::size_t end = at + what.size();
    if (at == std::string::npos || (end < rest.size() && rest[end] != '/')) return false;
    rest.replace(at, what.size(), "/tls/sni/" + host + "/ws");
    return true;
  };
  if (!replace("/wss")) replace("/tls/ws");
  return rest;
}

bool worth_dialling(const IpAddress& ip) {
  const bool needs_zone = ip.is_v6() && ip.is_link_local();
  return !ip.is_unspecified() && !ip.is_multicast() && !needs_zone;
}

}  // namespace

bool begins_with_name(const Multiaddr& address) { return split(address).has_value(); }

void AddressExpansion::add(const Multiaddr& address) { add_at(address, 1); }

void AddressExpansion::add_at(const Multiaddr& address, std::size_t depth) {
  if (seen_.contains(address)) return;
  auto named = split(address);
  if (!named) return;
  const auto refuse = [&](std::string why) {
    failures_.emplace_back(address, Error(ErrorCode::kTooLarge, std::move(why),
                                          "give an address of the peer with an IP address in it"));
  };
  if (seen_.size() == kPendingMax) return;
  seen_.insert(address);
  if (depth > limits_.depth_max) {
    return refuse(fmt::format("{}: names that lead to names more than {} times", named->host,
                              limits_.depth_max));
  }
  const NameQuestion& question = named->question;
  Pending pending{address, std::move(named->rest), depth};
  if (const auto known = hosts_.find(question); known != hosts_.end()) {
    if (known->second) return expand_host(pending, named->host, *known->second);
    failures_.emplace_back(address, known->second.error());
    return;
  }
  if (const auto known = texts_.find(question); known != texts_.end()) {
    if (known->second) return expand_text(pending, *known->second);
    failures_.emplace_back(address, known->second.error());
    return;
  }
  if (!asked_.contains(question)) {
    if (lookups_ == limits_.lookups_max) {
      return refuse(fmt::format("{}: not asked for, {} lookups for one peer are the most",
                                named->host, limits_.lookups_max));
    }
    ++lookups_;
    to_ask_.push_back(question);
  }
  asked_[question].push_back(std::move(pending));
}

std::optional<NameQuestion> AddressExpansion::next_question() {
  if (to_ask_.empty()) return std::nullopt;
  NameQuestion next = std::move(to_ask_.front());
  to_ask_.erase(to_ask_.begin());
  return next;
}

void AddressExpansion::fail_all(const NameQuestion& question, const Error& error) {
  const Entry waiting = std::move(asked_.extract(question).mapped());
  for (const Pending& pending : waiting) {
    failures_.emplace_back(pending.address, error);
  }
}

void AddressExpansion::answer(const NameQuestion& question,
                              const Result<std::vector<IpAddress>>& found) {
  if (!asked_.contains(question) || hosts_.contains(question)) return;
  hosts_.emplace(question, found);
  if (!found) return fail_all(question, found.error());
  const Entry waiting = std::move(asked_.extract(question).mapped());
  for (const Pending& pending : waiting) expand_host(pending, question.name, *found);
}

void AddressExpansion::answer(const NameQuestion& question,
                              const Result<std::vector<std::string>>& found) {
  if (!asked_.contains(question) || texts_.contains(question)) return;
  texts_.emplace(question, found);
  if (!found) return fail_all(question, found.error());
  const Entry waiting = std::move(asked_.extract(question).mapped());
  for (const Pending& pending : waiting) expand_text(pending, *found);
}

void AddressExpansion::expand_host(const Pending& pending, const std::string& name,
                                   const std::vector<IpAddress>& found) {
  const std::string rest = keep_name_for_tls(pending.address, pending.rest, name);
  bool any = full();
  for (const IpAddress& ip : found) {
    if (full()) break;
    if (!worth_dialling(ip)) continue;
    const auto address = Multiaddr::parse((ip.is_v6() ? "/ip6/" : "/ip4/") + ip.to_string() + rest);
    if (!address) continue;
    make_ready(*address);
    any = true;
  }
  if (any) return;
  failures_.emplace_back(
      pending.address,
      Error(ErrorCode::kNotFound,
            fmt::format("{}: none of its {} addresses can be dialled", name, found.size())));
}

void AddressExpansion::expand_text(const Pending& pending, const std::vector<std::string>& found) {
  std::size_t useful = 0;
  for (const std::string& text : found) {
    if (full()) return;
    if (!text.starts_with(kTextPrefix)) continue;
    const auto address = Multiaddr::parse(std::string_view(text).substr(kTextPrefix.size()));
    // What stands behind the domain, as a rule /p2p/ID, is what the results have to end in.
    if (!address || !address->to_string().ends_with(pending.rest)) continue;
    ++useful;
    if (begins_with_name(*address)) {
      add_at(*address, pending.depth + 1);
    } else {
      make_ready(*address);
    }
  }
  if (useful > 0) return;
  const std::string what =
      pending.rest.empty() ? "address" : "address that ends in " + pending.rest;
  failures_.emplace_back(
      pending.address, Error(ErrorCode::kNotFound,
                             fmt::format("{}: its {} texts name no {}", pending.address.to_string(),
                                         found.size(), what),
                             "ask whoever runs that name for a present address"));
}

void AddressExpansion::make_ready(const Multiaddr& address) {
  if (!full() && given_.insert(address).second) ready_.push_back(address);
}

std::vector<Multiaddr> AddressExpansion::open() const {
  std::vector<Multiaddr> all;
  for (const auto& [question, waiting] : asked_) {
    for (const Pending& pending : waiting) all.push_back(pending.address);
  }
  return all;
}

}  // namespace warren::swarm

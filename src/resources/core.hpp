#pragma once
// What stands behind the handles of manager.hpp. Internal to the module.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "resources/manager.hpp"
#include "resources/refusal_log.hpp"
#include "resources/sources.hpp"

namespace warren::resources::detail {

/// One place where things are counted. Lives as long as anything stands in it.
struct Scope {
  Scope(std::shared_ptr<Core> of, ScopeKind what, const limits::Holdings& most);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  std::shared_ptr<Core> core;  // Null for the three pools, which are part of it.
  ScopeKind kind;
  limits::Holdings limits;
  Usage usage;
  std::string who;  // As a refusal names it: "from 192.0.2.7", "of 12D3...".

  // Of a connection.
  Scope* pool = nullptr;
  std::shared_ptr<Scope> peer;
  Direction direction = Direction::kInbound;
  Sources::Ticket ticket;
  bool on_allowed_prefix = false;

  // Of a stream.
  std::shared_ptr<Scope> connection;
  std::shared_ptr<Scope> protocol;
  std::shared_ptr<Scope> protocol_peer;

  // Of a peer, a protocol, and both of a protocol's share of a peer: the key in the core's tables.
  PeerId peer_id;
  std::string protocol_name;
};

/// A scope and all that it stands in, innermost first.
class Chain {
 public:
  explicit Chain(Scope& scope);
  std::span<Scope* const> scopes() const { return std::span(scopes_).first(count_); }

 private:
  void add(Scope* scope) {
    if (scope != nullptr) scopes_[count_++] = scope;
  }
  std::array<Scope*, 6> scopes_{};
  std::size_t count_ = 0;
};

struct Core : std::enable_shared_from_this<Core> {
  Core(std::function<TimePoint()> clock, Manager::Options options);

  /// Counts `delta` in each of `scopes`, or in none.
  Result<> charge(std::span<Scope* const> scopes, const Usage& delta, Need need,
                  const std::string& who);
  /// Whether charge() would count it as necessary.
  bool fits(const Scope& scope, const Usage& delta) const;
  void uncharge(std::span<Scope* const> scopes, const Usage& delta);
  void note_peak();
  Usage total() const;

  std::shared_ptr<Scope> peer_scope(const PeerId& peer);
  std::shared_ptr<Scope> protocol_scope(const std::string& protocol);
  std::shared_ptr<Scope> protocol_peer_scope(const std::string& protocol, const PeerId& peer);
  limits::Holdings protocol_limits(const std::string& protocol, bool of_one_peer) const;
  bool is_allowed(const IpAddress& ip) const;
  bool is_allowed(const PeerId& peer) const { return allowed_peers.contains(peer); }

  std::function<TimePoint()> now;
  std::function<bool(const IpAddress&)> banned;  ///< Unset: nobody is.
  limits::Resources limits;
  RefusalLog refusals;
  Sources sources;
  Scope node;
  Scope transient;
  Scope allowed;
  Usage peak;
  std::map<PeerId, std::weak_ptr<Scope>> peers;
  std::map<std::string, std::weak_ptr<Scope>> protocols;
  std::map<std::pair<std::string, PeerId>, std::weak_ptr<Scope>> protocol_peers;
  std::map<std::string, std::pair<std::size_t, std::size_t>> protocol_maxima;
  std::set<PeerId> allowed_peers;
  std::set<Prefix> allowed_prefixes;
  std::unordered_set<const Scope*> connections;  // For check_invariants().
  std::unordered_set<const Scope*> streams;
};

/// What one connection or stream is, as an amount.
Usage one_connection(Direction direction, bool uses_descriptor);
Usage one_stream(Direction direction);
Usage memory(std::size_t bytes);

}  // namespace warren::resources::detail

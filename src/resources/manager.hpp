#pragma once
// What peers make this node hold, counted and limited: memory, streams, connections, descriptors.
// Decision and values: docs/decisions/0014-resource-manager.md.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/endpoint.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "multiformats/peer_id.hpp"
#include "resources/prefix.hpp"
#include "resources/usage.hpp"

namespace warren::resources {

/// What is held and what was refused; for status, metrics and tests.
struct Snapshot {
  Usage node;
  Usage transient;
  Usage allowed;
  Usage total;                                  ///< The three together.
  Usage peak;                                   ///< The most of each that `total` has been.
  std::vector<std::pair<PeerId, Usage>> peers;  ///< In order of peer id.
  std::vector<std::pair<std::string, Usage>> protocols;  ///< In alphabetical order.
  std::size_t sources = 0;                               ///< Addresses and prefixes remembered.
  std::vector<Refusals> refused;                         ///< Only those that were, in order.
  /// Optional memory that was not given: windows that stay smaller. No refusal, nothing breaks.
  std::uint64_t optional_refused = 0;
  std::uint64_t refused_total() const;
};

class Manager;
class MemoryReservation;
namespace detail {
struct Core;
struct Scope;
}  // namespace detail

/// What connection and stream have in common: they hold memory.
class MemoryScope {
 public:
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

  /// Counts `bytes` more, here and in all that this stands in. Errors: kLimited, naming the limit.
  Result<> reserve_memory(std::size_t bytes, Need need = Need::kNecessary);
  /// Gives back what reserve_memory() counted; at most that (checked). What is left goes with this.
  void release_memory(std::size_t bytes);
  /// What reserve_memory() counted and release_memory() has not given back.
  std::size_t own_bytes() const { return own_bytes_; }
  /// The same as an object of its own, which may outlive this one.
  Result<MemoryReservation> reserve(std::size_t bytes, Need need = Need::kNecessary);
  /// With all that stands in it.
  Usage usage() const;

 protected:
  explicit MemoryScope(std::shared_ptr<detail::Scope> scope);
  ~MemoryScope();
  std::shared_ptr<detail::Scope> scope_;
  std::size_t own_bytes_ = 0;
  bool ended_ = false;  // Nothing is counted here any more.
};

/// Memory that is counted as long as this lives. May be empty.
class MemoryReservation {
 public:
  MemoryReservation() = default;
  ~MemoryReservation() { shrink(bytes_); }
  MemoryReservation(MemoryReservation&& other) noexcept;
  MemoryReservation& operator=(MemoryReservation&& other) noexcept;

  std::size_t bytes() const { return bytes_; }
  /// Errors: kLimited; nothing has changed then. Not on an empty one that was never made by
  /// reserve() (checked).
  Result<> grow(std::size_t bytes, Need need = Need::kNecessary);
  /// By at most bytes() (checked).
  void shrink(std::size_t bytes);

 private:
  friend class MemoryScope;
  MemoryReservation(std::shared_ptr<detail::Scope> scope, std::size_t bytes);
  std::shared_ptr<detail::Scope> scope_;
  std::size_t bytes_ = 0;
};

/// One stream, counted as long as this lives.
class StreamScope final : public MemoryScope {
 public:
  ~StreamScope();
  /// Both sides have agreed on `protocol`, or it is proposed: counts in it from now on. Once
  /// (checked). Errors: kLimited; the stream then has to be reset with kResourceLimit.
  Result<> set_protocol(std::string_view protocol);

 private:
  friend class ConnectionScope;
  explicit StreamScope(std::shared_ptr<detail::Scope> scope);
};

/// One connection, counted as long as this lives, from its first packet on.
class ConnectionScope final : public MemoryScope {
 public:
  ~ConnectionScope();
  /// The peer has proven who it is: out of the transient connections, into those of the node and of
  /// `peer`. Once it succeeded, not again (checked). Errors: kLimited; the connection then has to
  /// be closed with kResourceLimit.
  Result<> set_peer(const PeerId& peer);
  bool has_peer() const;
  /// Only with a peer (checked). Errors: kLimited, kClosed after end().
  Result<std::unique_ptr<StreamScope>> open_stream(Direction direction);
  Direction direction() const;
  /// The connection has ended: gives back what it holds itself, before this is destroyed. Further
  /// streams and memory are refused with kClosed; releasing memory does nothing. Idempotent.
  void end();
  /// Whether `manager` counts it.
  bool belongs_to(const Manager& manager) const;

 private:
  friend class Manager;
  ConnectionScope(std::shared_ptr<detail::Scope> scope, bool uses_descriptor);
  bool uses_descriptor_;
};

/// Counts for one node. Core thread only. Scopes may outlive it.
class Manager {
 public:
  struct Options {
    limits::Resources limits;
    /// Gets the lines that say what was refused; unset: the log, as warnings.
    std::function<void(std::string)> report;
  };
  /// `now` is asked whenever something is opened or refused, never when something is released.
  explicit Manager(std::function<TimePoint()> now, Options options = {});
  ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// For a connection of which nothing is known but where it comes from or goes to; the first thing
  /// to do with it, before any cryptography. `expected` is the peer that is dialled. Transports
  /// without IP addresses leave `remote` as it is made; it is then as free as loopback.
  /// Errors: kLimited, naming the limit.
  Result<std::unique_ptr<ConnectionScope>> open_connection(
      Direction direction, const Endpoint& remote, bool uses_descriptor,
      const std::optional<PeerId>& expected = std::nullopt);
  /// Whether half of the connections that `remote` may have, or make in a time, is used up. What
  /// cannot be sure of the address (QUIC) lets it show itself first: else somebody who forges it
  /// could use up the rest.
  bool is_busy_source(const IpAddress& remote);

  /// A handshake with `remote` was given up so that a newer one has its place; a refusal like
  /// others.
  void note_displaced(const IpAddress& remote);

  /// Inbound streams of `protocol` over all peers and of one. What is held already stays.
  void limit_protocol(std::string_view protocol, std::size_t streams_max,
                      std::size_t streams_per_peer_max);

  /// The allow list: what stands on it is not refused for its address or rate, and finds room in a
  /// share of its own when the node's is used up. At most limits::Resources::allowed_entries_max
  /// of each. Errors: kLimited.
  Result<> allow(const PeerId& peer);
  Result<> allow(const Prefix& prefix);
  void disallow(const PeerId& peer);
  /// Inbound connections from an address for which `banned` is true are refused before anything
  /// else is done for them; loopback never. It is asked for each one: it must be cheap.
  void set_banned(std::function<bool(const IpAddress&)> banned);
  void disallow(const Prefix& prefix);

  const limits::Resources& limits() const;
  /// What is held in all. Cheaper than snapshot().
  Usage total() const;
  Snapshot snapshot() const;
  /// Aborts when a sum is not the sum of its parts. Takes time: for tests.
  void check_invariants() const;

 private:
  friend class ConnectionScope;
  std::shared_ptr<detail::Core> core_;
};

}  // namespace warren::resources

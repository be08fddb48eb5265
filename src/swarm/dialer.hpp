#pragma once
// Tries the addresses of peers and keeps the first good connection of each.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/task_group.hpp"
#include "swarm/backoff.hpp"
#include "swarm/resolve.hpp"
#include "swarm/swarm.hpp"

namespace warren::swarm {

/// The dialing half of a Swarm. One attempt per peer: those who ask for it meanwhile wait for the
/// same one and add their addresses to it. Addresses that begin with a name are resolved as part of
/// it, and join it when the answer comes. An attempt that nobody waits for any more is given up.
class Dialer {
 public:
  struct Hooks {
    /// The transport that dials `address`; nullptr when there is none.
    std::function<transport::Transport*(const Multiaddr&)> transport_for;
    /// Takes the winner over; refuses it by an error after having closed it.
    std::function<Result<std::shared_ptr<Connection>>(std::shared_ptr<Connection>)> adopt;
  };
  Dialer(runtime::Runtime& runtime, const SwarmConfig& config, Hooks hooks);
  ~Dialer();

  /// The first good connection, adopted. Without `peer` whoever answers is taken. Errors and
  /// Cancel: as Swarm::connect.
  awaitable<Result<std::shared_ptr<Connection>>> dial(std::optional<PeerId> peer,
                                                      std::vector<Multiaddr> addresses, Retry retry,
                                                      TimePoint deadline);
  /// Addresses being tried now.
  std::size_t dials() const { return dials_; }
  /// `peer` was heard from: nothing of it needs to be left alone any longer.
  void heard_from(const PeerId& peer) { backoff_.forget(peer); }
  std::size_t tasks_failed() const;

  /// Fails every caller with kClosed, gives up every attempt and waits for it. Cancel: unsafe.
  awaitable<void> close();

 private:
  struct Attempt;
  struct Waiter;
  using AttemptPtr = std::shared_ptr<Attempt>;

  /// Adds what may be tried of `addresses` to `attempt`, and why not for the rest.
  void add_addresses(Attempt& attempt, std::vector<Multiaddr> addresses);
  /// Takes over what the names of the attempt have become.
  void take_resolved(Attempt& attempt);
  Result<AttemptPtr> find_or_start(std::optional<PeerId> peer, std::vector<Multiaddr> addresses,
                                   Retry retry);
  void start_due(const AttemptPtr& attempt);
  void start_lookups(const AttemptPtr& attempt);
  bool may_start(const Attempt& attempt) const;
  void settle(const AttemptPtr& attempt);
  awaitable<void> run(AttemptPtr attempt);
  awaitable<void> race(AttemptPtr attempt, Multiaddr address);
  awaitable<void> look_up(AttemptPtr attempt, NameQuestion question);

  runtime::Runtime& runtime_;
  const SwarmConfig& config_;
  Hooks hooks_;
  Backoff backoff_;
  std::vector<AttemptPtr> attempts_;  // Not settled yet.
  std::size_t dials_ = 0;
  std::size_t racers_failed_ = 0;
  bool closing_ = false;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::swarm

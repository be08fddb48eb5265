#pragma once
// Decides which entries of the bootstrap list to dial and when. A state machine without I/O;
// BootstrapSource drives it.

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::discovery {

/// Source of the times: the systems' map, row BI4.
struct BootstrapTimes {
  /// Connected peers of any kind below which the list is dialled.
  std::size_t min_peers = 1;
  /// Connected peers from which on an entry that was lost is not dialled again: it is there for
  /// those who have nobody, and everybody's in the network.
  std::size_t enough_peers = 16;
  /// Wait after a failed dial: doubles from the least to the most, with a fifth of jitter.
  Duration retry_interval = 5s;
  Duration max_retry_interval = 1h;
  /// How often connections are looked at.
  Duration monitor_interval = 10s;
  /// A connection that went sooner is like a failed dial, or a peer that is full (and closes at
  /// once) would be dialled again and again.
  Duration settled_after = 10min;
};

/// One entry of the list, as a person sees it.
struct BootstrapEntry {
  enum class State : std::uint8_t {
    kUntried,    ///< Not dialled yet.
    kDialling,   ///< A dial is in progress.
    kConnected,  ///< Its peer is connected, by whoever's doing.
    kFailed,     ///< The last dial failed: `error`.
    kLost,       ///< It was connected and went.
  };
  Multiaddr address;           ///< As configured.
  std::optional<PeerId> peer;  ///< Of its /p2p, or who answered there last.
  State state = State::kUntried;
  std::optional<Error> error;  ///< Of the last dial, until one succeeds.
  std::uint32_t failures = 0;  ///< In a row.
  TimePoint next_try{};        ///< Not before.

  // What the machine remembers besides.
  bool wanted = true;           ///< To be dialled however many peers there are.
  TimePoint soonest{};          ///< retry_interval after the last dial; retry_now() waits for it.
  bool lost = false;            ///< It was connected and is not, whatever was tried since.
  std::uint32_t brief = 0;      ///< Connections in a row that went before they were settled.
  TimePoint connected_since{};  ///< While kConnected.
};
/// "untried", "dialling", "connected", "failed", "lost".
std::string_view bootstrap_state_name(BootstrapEntry::State state) noexcept;

class BootstrapMachine {
 public:
  /// `rng` gives the jitter and must outlive the machine.
  BootstrapMachine(PeerId self, BootstrapTimes times, limits::Bootstrap limits,
                   std::mt19937_64& rng);

  /// The whole list from now on. Entries that were there keep their state; those twice, those that
  /// lead to this node itself and those beyond limits::Bootstrap::entries_max are left out. New
  /// ones are dialled at the next next(), however many peers there are.
  void replace(const std::vector<Multiaddr>& addresses, TimePoint now);
  void configure(BootstrapTimes times) { times_ = times; }

  /// Every entry that is not connected is to be dialled once more without waiting for its back-off:
  /// the network came back, or a person asks. No sooner than retry_interval after its last dial,
  /// and when that fails too the back-off goes on where it was: a network that flaps, or a program
  /// that asks again and again, must not become a storm of dials.
  void retry_now(TimePoint now);

  /// Looks at the connections and says which entries to dial now; each is marked as being dialled
  /// and ends with dial_ended(). The wait after a failure counts from then.
  std::vector<Multiaddr> next(std::size_t connected_peers,
                              const std::function<bool(const PeerId&)>& is_connected,
                              TimePoint now);
  /// Who answered at an entry that next() gave. Another peer than the one in its /p2p is
  /// kIntegrity. Returns the peer that was reached. An entry that has gone meanwhile is no error.
  Result<PeerId> dial_ended(const Multiaddr& address, Result<PeerId> answered, TimePoint now);
  /// When next() is due; kNever without entries.
  TimePoint next_wake() const;

  /// In the order of the list.
  const std::vector<BootstrapEntry>& entries() const { return entries_; }
  std::size_t dials() const { return dials_; }
  /// "2 of 3 reachable (1 timed out)", "0 of 3 reachable (2 timed out, 1 refused)", "no list
  /// configured". Reachable: connected now.
  std::string summary() const;
  /// Aborts when a bound or a sum does not hold.
  void check_invariants() const;

 private:
  void back_off(BootstrapEntry& entry, TimePoint now);
  void look_at(BootstrapEntry& entry, bool connected, TimePoint now);
  void mark_connected(BootstrapEntry& entry, TimePoint now);
  bool is_due_some_day(const BootstrapEntry& entry) const;

  PeerId self_;
  BootstrapTimes times_;
  limits::Bootstrap limits_;
  std::mt19937_64& rng_;
  std::vector<BootstrapEntry> entries_;
  std::size_t dials_ = 0;
  bool dial_all_ = false;  ///< At the last look too few peers were there.
  TimePoint look_at_{};    ///< The next look.
};

}  // namespace warren::discovery

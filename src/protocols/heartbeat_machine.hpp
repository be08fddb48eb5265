#pragma once
// Decides which quiet peer to ping and when a connection is dead. A state machine without I/O;
// Heartbeat drives it.

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "base/time.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::protocols {

struct HeartbeatConfig {
  /// A peer is pinged when nothing came from it for this long (and found out at most as much
  /// later), less a tenth of jitter. Source: the systems' map, rows ME16 and LA9.
  Duration interval = 30s;
  /// For the answer to one ping.
  Duration ping_time_max = 10s;
  /// Pings in progress; beyond: a peer waits for the next second.
  std::size_t pings_max = 64;
  /// Answers without a ping in a row (the stream is refused) after which a peer is not pinged any
  /// more on this connection.
  std::uint32_t refusals_max = 3;
};

struct HeartbeatStats {
  std::uint64_t checks = 0;    ///< Times that a peer was looked at.
  std::uint64_t pings = 0;     ///< Sent, retries included.
  std::uint64_t answered = 0;  ///< Of them.
  std::uint64_t missed = 0;    ///< Of them.
  std::uint64_t refused = 0;   ///< Of them: the peer is there but does not answer pings.
  std::uint64_t dead = 0;      ///< Connections given up.
};

class HeartbeatMachine {
 public:
  /// `rng` gives the jitter and must outlive the machine.
  HeartbeatMachine(HeartbeatConfig config, std::mt19937_64& rng);

  /// A peer has a connection to be watched, or another one than before. `received`: bytes that
  /// have come over it.
  void watch(const PeerId& peer, std::uint64_t received, TimePoint now);
  void forget(const PeerId& peer);

  /// The next peer whose check is due; it has to be followed by check().
  std::optional<PeerId> next_due(TimePoint now) const;
  /// When there is one; kNever: not before another peer comes.
  TimePoint next_wake() const;

  enum class Verdict : std::uint8_t {
    kLeave,  ///< Nothing to do now.
    kPing,   ///< Send a ping; answered(), missed() or refused() has to follow.
    kDead,   ///< Close the connection.
  };
  /// The check of a due peer, over whose connection `received` bytes have come.
  Verdict check(const PeerId& peer, std::uint64_t received, TimePoint now);
  void answered(const PeerId& peer, std::uint64_t received, TimePoint now);
  /// No answer in time. kPing: once more, at once.
  Verdict missed(const PeerId& peer, std::uint64_t received, TimePoint now);
  /// The peer is there but gave no answer. `for_good`: it does not speak the protocol.
  void refused(const PeerId& peer, std::uint64_t received, bool for_good, TimePoint now);
  /// The ping could not be sent for a reason of ours: later.
  void put_off(const PeerId& peer, TimePoint now);

  bool watches(const PeerId& peer) const { return peers_.contains(peer); }
  std::size_t pings_in_progress() const { return pinging_; }
  const HeartbeatConfig& config() const { return config_; }
  const HeartbeatStats& stats() const { return stats_; }
  void check_invariants() const;

 private:
  enum class State : std::uint8_t {
    kQuiet,     ///< The next look is at `due`.
    kPinged,    ///< A ping is under way.
    kRepeated,  ///< It was missed, and a second one is under way.
    kLeft,      ///< It does not answer pings: the transport's own idle timeout has to do.
    kDead,      ///< Given up; it is about to be forgotten.
  };
  struct Entry {
    State state = State::kQuiet;
    std::uint64_t received = 0;  ///< At the last check, answer or ping.
    TimePoint due = kNever;      ///< kNever unless kQuiet.
    std::uint32_t refusals = 0;
  };
  void set_due(const PeerId& peer, Entry& entry, TimePoint at);
  void leave_state(Entry& entry, State next);
  Duration wait();

  HeartbeatConfig config_;
  std::mt19937_64* rng_;
  std::map<PeerId, Entry> peers_;
  std::set<std::pair<TimePoint, PeerId>> due_;
  std::size_t pinging_ = 0;
  HeartbeatStats stats_;
};

}  // namespace warren::protocols

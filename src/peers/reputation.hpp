#pragma once
// How good a peer has been: one number between 0 and 1, moved by events, drifting back to the
// middle with time. No I/O, no clock.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.hpp"

namespace warren::peers {

/// What a peer did. The numbers index ReputationConfig::weights.
enum class ReputationEvent : std::uint8_t {
  kVerifiedChunk,       ///< Data that hashed to the name asked for.
  kUsefulAnswer,        ///< An answer that helped: peers, a catalog, a dataset found.
  kFailedVerification,  ///< Data, a signature or a record that is not what it claims to be.
  kMalformedMessage,    ///< A message that breaks its protocol.
  kTimeout,             ///< No answer in time, or a failed dial.
  kDisconnect,          ///< The connection was lost without a word.
};
inline constexpr std::size_t kReputationEvents = 6;
/// "verified chunk", "failed verification", ...
std::string_view reputation_event_name(ReputationEvent event) noexcept;

struct ReputationConfig {
  double start = 0.5;
  double banned_below = 0.2;  ///< Source: the systems' map, row ME12.
  double trusted_from = 0.6;  ///< Same.
  /// Added to the score by each event, in the order of ReputationEvent. A bad one weighs more than
  /// a good one, so that a peer cannot pay for lies with cheap truths.
  std::array<double, kReputationEvents> weights{+0.002, +0.01, -0.10, -0.05, -0.01, -0.005};
  /// The distance to `start` halves in this time.
  Duration half_life = std::chrono::hours(24);
  /// The first ban of a peer; each further one is twice as long, up to the most. A peer that was
  /// not banned for `ban_time_max` begins anew.
  Duration ban_time_min = std::chrono::minutes(10);
  Duration ban_time_max = std::chrono::hours(24 * 7);
};

/// The reputation of one peer, by value. Times that run backwards count as no time passed.
class Reputation {
 public:
  /// The score at `now`, decay included: 0 to 1.
  double score(const ReputationConfig& config, WallTime now) const;
  /// Applies one event. Returns the new score.
  double apply(ReputationEvent event, const ReputationConfig& config, WallTime now);

  /// As they stand in the store: the score at the time `at`. Nothing yet: `at` is 1970.
  std::optional<double> raw_score() const { return known_ ? std::optional(score_) : std::nullopt; }
  WallTime at() const { return at_; }
  /// `score` is clamped to 0..1; NaN counts as the start.
  static Reputation restore(double score, WallTime at);

 private:
  double score_ = 0;
  WallTime at_{};
  bool known_ = false;
};

}  // namespace warren::peers

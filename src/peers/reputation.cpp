#include "peers/reputation.hpp"

#include <algorithm>
#include <cmath>

namespace warren::peers {

std::string_view reputation_event_name(ReputationEvent event) noexcept {
  switch (event) {
    case ReputationEvent::kVerifiedChunk: return "verified chunk";
    case ReputationEvent::kUsefulAnswer: return "useful answer";
    case ReputationEvent::kFailedVerification: return "failed verification";
    case ReputationEvent::kMalformedMessage: return "malformed message";
    case ReputationEvent::kTimeout: return "timeout";
    case ReputationEvent::kDisconnect: return "disconnect";
  }
  return "unknown";
}

double Reputation::score(const ReputationConfig& config, WallTime now) const {
  if (!known_) return config.start;
  if (now <= at_ || config.half_life <= Duration::zero()) return std::clamp(score_, 0.0, 1.0);
  // In doubles: the difference of two extreme times does not fit into the integer.
  const double passed = static_cast<double>(now.time_since_epoch().count()) -
                        static_cast<double>(at_.time_since_epoch().count());
  const double halvings = passed / static_cast<double>(config.half_life.count());
  return std::clamp(config.start + (score_ - config.start) * std::exp2(-halvings), 0.0, 1.0);
}

double Reputation::apply(ReputationEvent event, const ReputationConfig& config, WallTime now) {
  const double weight = config.weights[static_cast<std::size_t>(event)];
  score_ = std::clamp(score(config, now) + weight, 0.0, 1.0);
  // A clock that was set back must not make the same time pass twice.
  at_ = known_ ? std::max(at_, now) : now;
  known_ = true;
  return score_;
}

Reputation Reputation::restore(double score, WallTime at) {
  Reputation reputation;
  if (std::isnan(score)) return reputation;
  reputation.score_ = std::clamp(score, 0.0, 1.0);
  reputation.at_ = at;
  reputation.known_ = true;
  return reputation;
}

}  // namespace warren::peers

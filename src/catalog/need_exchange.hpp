#pragma once
// When a follower reckons what it lacks of one publisher's set and tells it, since when the two
// disagree, and how much of the time that takes. State machines without I/O.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "catalog/need.hpp"

namespace warren::catalog {

/// Two ends that say different things: since when, and about what.
class Disagreement {
 public:
  /// What the last comparison gave. `ids`: on which they differ, when they do.
  void saw(bool agree, std::vector<std::string> ids, TimePoint now);
  /// Was there still for as long that it is an error, and not one of them that heard of a change
  /// first.
  bool lasts() const;
  /// lasts(), the first time that it is asked and true.
  bool is_news();
  std::optional<TimePoint> since() const { return since_; }
  /// A comparison from then on tells whether it lasts.
  TimePoint lasts_at() const;
  const std::vector<std::string>& ids() const { return ids_; }

 private:
  std::optional<TimePoint> since_;
  TimePoint last_{};  ///< Of the last comparison.
  std::vector<std::string> ids_;
  bool told_ = false;
};

/// Bounds how much of the time one kind of work takes, whoever it is done for: a twentieth, but the
/// first second at once. No pause is longer than 10 min.
class WorkPace {
 public:
  /// Nothing is to begin sooner.
  TimePoint next() const;
  void took(Duration took, TimePoint now);

 private:
  TimePoint paid_{};  ///< When what was done is made up for.
};

/// The follower's side of one subscription.
class NeedExchange {
 public:
  enum class State : std::uint8_t {
    kResting,    ///< Until something changes, or next() without that.
    kDue,        ///< Something has changed: reckon at next().
    kReckoning,  ///< Since begin().
    kAsked,      ///< A report is out.
  };

  /// `compares`: the publisher answers reports. `not_before`: that of the subscription before.
  NeedExchange(bool compares, TimePoint now, TimePoint not_before = {})
      : compares_(compares), changed_at_(now), not_before_(not_before) {}

  /// Anything that the need depends on may be other than it was.
  void changed(TimePoint now);
  /// When to begin(); kNever: after changed() only.
  TimePoint next() const;
  /// The end of the gap after what was reckoned last.
  TimePoint not_before() const { return not_before_; }
  /// It is being reckoned: reckoned() or not_reckoned() follows.
  void begin(TimePoint now);
  /// Since begin() so much time has gone. True: report() is to be sent; answered() or failed()
  /// follows.
  bool reckoned(const NeedBuilder& builder, Duration took, TimePoint now);
  /// It could not be done, or the set changed meanwhile.
  void not_reckoned(Duration took, TimePoint now);
  void answered(const NeedAnswer& answer, TimePoint now);
  /// No answer came.
  void failed(TimePoint now);

  State state() const { return state_; }
  /// Unset before the first reckoned().
  const std::optional<NeedReport>& report() const { return report_; }
  const std::vector<MissingItem>& items() const { return items_; }
  /// The last answer is of report() as it is, and not kNotYet.
  bool is_compared() const { return compared_; }
  Disagreement& disagreement() { return disagreement_; }
  const Disagreement& disagreement() const { return disagreement_; }
  void check_invariants() const;

 private:
  void rest(TimePoint now);
  Duration gap() const;

  bool compares_;
  State state_ = State::kDue;
  TimePoint changed_at_;
  bool changed_meanwhile_ = false;  ///< Since begin().
  TimePoint not_before_;            ///< The least time between two.
  TimePoint again_ = kNever;        ///< Without a change: while something is missing or differs.
  unsigned retries_ = 0;            ///< In a row, of what was not settled.

  std::optional<NeedReport> report_;
  std::vector<MissingItem> items_;
  std::uint64_t bytes_done_ = 0;
  TimePoint moved_at_{};  ///< When something came last, or more was missing.
  Duration took_{};
  bool compared_ = false;
  Disagreement disagreement_;
};

}  // namespace warren::catalog

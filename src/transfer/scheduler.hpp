#pragma once
// Which leaf to ask of which source: a state machine without I/O. Events and the time go in,
// actions come out. How it decides: docs/protocols/data.md, "The scheduler".

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "content/tree.hpp"
#include "transfer/leaf_set.hpp"

namespace warren::transfer {

/// Numbers that the scheduler's owner (sources) and the scheduler (requests) give; never reused.
using SourceId = std::uint32_t;
using RequestId = std::uint64_t;

/// Tuning. The initialisers are the defaults.
struct SchedulerConfig {
  /// Bytes of one request, lower and upper bound; between them what a source delivers in
  /// `request_time`, so that little is lost when one fails. Source: docs/decisions/0007.
  std::uint64_t request_bytes_min = 1u << 20;
  std::uint64_t request_bytes_max = 16u << 20;
  std::uint64_t request_leaves_max = 8192;
  Duration request_time = 500ms;
  /// Silence on all requests of a source after which they go elsewhere.
  Duration stall_time = 10s;
  /// How long a source that stalled or broke is left alone: this, doubled each time, up to 64 s.
  Duration backoff = 1s;
  /// Chunks that do not verify until a source is used no more. Source: quality statement TR-8.
  std::uint32_t bad_chunks_max = 3;
  /// End game: a leaf is asked of at most so many sources at a time.
  std::uint32_t copies_max = 2;
  /// End game: a request is doubled when it has been silent for so long, or when another source
  /// would have it `speedup_min` times as fast.
  Duration patience = 1s;
  std::uint32_t speedup_min = 2;
  /// Of the choice among equally rare leaves. Each node has to have another one.
  std::uint64_t seed = 1;
};

// What may happen.
namespace events {
/// A source that can be asked. `leaves`: which ones it has; unset: all. `bad_chunks`: of before.
struct SourceAdded {
  SourceId source = 0;
  std::uint32_t requests_max = 1;
  std::optional<LeafSet> leaves;
  std::uint32_t bad_chunks = 0;
};
/// What a source has now. `leaves` unset: all.
struct LeavesHeld {
  SourceId source = 0;
  std::optional<LeafSet> leaves;
};
/// Others fetch the same, and will have parts soon: `count` nodes, of which this is number
/// `position`, from 0 on.
struct Company {
  std::uint64_t position = 0;
  std::uint64_t count = 2;
};
/// Whether others are to come first: then one request at a time, and a small one.
struct Yield {
  bool yields = false;
};
/// It is gone; its requests are over.
struct SourceRemoved {
  SourceId source = 0;
};
/// Bytes came for a request; verified or not.
struct Arrived {
  RequestId request = 0;
  std::uint64_t bytes = 0;
};
/// These leaves are to be got, also when they came once: for who has all of them `done` at first
/// and keeps some at a time. With Verified, without a request, they are wanted no more.
struct Wanted {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
/// Leaves are verified and written.
struct Verified {
  RequestId request = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
/// A leaf did not hash to its name.
struct Bad {
  RequestId request = 0;
  std::uint64_t leaf = 0;
};
/// The source does not have these leaves after all.
struct Missing {
  RequestId request = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
/// No fault of the source: these leaves came, and could not be written.
struct Dropped {
  RequestId request = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
/// Everything that came for the request has been reported; what was not returns to the others.
/// `broken`: its stream failed or the source refused, which is then left alone for a while.
struct Ended {
  RequestId request = 0;
  bool broken = false;
};
struct TimerFired {};
}  // namespace events
using SchedulerEvent =
    std::variant<events::SourceAdded, events::LeavesHeld, events::Company, events::Yield,
                 events::SourceRemoved, events::Arrived, events::Wanted, events::Verified,
                 events::Bad, events::Missing, events::Dropped, events::Ended, events::TimerFired>;

// What the owner must then do.
namespace actions {
/// Ask `source` for the leaves [first, first + count).
struct Ask {
  RequestId request = 0;
  SourceId source = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
/// Break the request off; Ended is not awaited. What still comes of it may be reported, or not.
struct Abandon {
  RequestId request = 0;
  SourceId source = 0;
  bool stalled = false;  ///< It was silent for too long; else others have delivered its rest.
};
/// This source sent too many bad leaves; it is asked no more, its requests are over.
struct Ban {
  SourceId source = 0;
};
/// Call with TimerFired at `at`. Replaces the timer set before.
struct SetTimer {
  TimePoint at;
};
}  // namespace actions
using SchedulerAction =
    std::variant<actions::Ask, actions::Abandon, actions::Ban, actions::SetTimer>;

/// See the head of the file. Memory: about 2 bytes a leaf, and where a source has not
/// all of them 4 bytes a leaf more and a bit for each such source.
class Scheduler {
 public:
  enum class State : std::uint8_t {
    kWorking,   ///< Something is asked for, or may be asked for.
    kStarved,   ///< No source that is there has any of the leaves that are left.
    kDefeated,  ///< As kStarved, and every source that had them has been banned.
    kComplete,
  };

  /// `done`: the leaves that are here already.
  Scheduler(std::shared_ptr<const content::Tree> tree, LeafSet done, SchedulerConfig config = {});

  /// Takes one event, returns the actions in order. Total: any event is legal at any time; one
  /// about an unknown source or request changes nothing, except that Verified always counts.
  std::vector<SchedulerAction> handle(const SchedulerEvent& event, TimePoint now);

  State state() const;
  const LeafSet& done() const noexcept { return done_; }
  std::uint64_t bytes_done() const noexcept { return bytes_done_; }
  /// Requests whose leaves went back, or were asked twice.
  std::uint32_t retries() const noexcept { return retries_; }
  /// The first leaf that no usable source has; nullopt when there is none.
  std::optional<std::uint64_t> first_unavailable() const;
  std::size_t requests_in_flight() const noexcept { return requests_.size(); }
  bool has_source(SourceId source) const { return sources_.contains(source); }
  /// Whether nothing is asked of it and it has nothing that could be.
  bool gives_nothing(SourceId source) const;
  bool demoted(SourceId source) const;
  /// Bytes a second that the source delivers; 0 before it has.
  std::uint64_t rate(SourceId source) const;

  /// Aborts when the tables disagree. For tests; O(leaves).
  void check_invariants() const;

 private:
  struct Source {
    std::uint32_t requests_max = 1;
    std::uint32_t requests = 0;
    std::uint64_t planned_bytes = 0;  ///< Of leaves that are open in its requests.
    bool part = false;                ///< It had only a part when it came: it fetches, too.
    std::uint32_t missed = 0;         ///< Leaves that it did not have after all.
    std::optional<LeafSet> leaves;    ///< Unset: all.
    std::uint32_t bad_chunks = 0;
    std::uint32_t failures = 0;  ///< In a row.
    TimePoint resume_at{};       ///< Left alone until then.
    TimePoint heard_at{};        ///< Last byte, or when it was asked first.
    TimePoint window_start{};
    std::uint64_t window_bytes = 0;
    double rate = 0;  ///< Bytes a second.
  };
  struct Request {
    SourceId source = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    std::uint64_t bytes_left = 0;  ///< Of leaves that are open in it.
    TimePoint asked_at{};
    TimePoint heard_at{};
    std::vector<bool> open;  ///< By position: neither reported here nor done elsewhere.
    std::uint64_t open_count = 0;
  };
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  using Actions = std::vector<SchedulerAction>;

  void on(const events::SourceAdded& event, TimePoint now, Actions& out);
  void on(const events::LeavesHeld& event, TimePoint now, Actions& out);
  void on(const events::Company& event, TimePoint now, Actions& out);
  void on(const events::Yield& event, TimePoint now, Actions& out);
  void on(const events::SourceRemoved& event, TimePoint now, Actions& out);
  void on(const events::Arrived& event, TimePoint now, Actions& out);
  void on(const events::Wanted& event, TimePoint now, Actions& out);
  void on(const events::Verified& event, TimePoint now, Actions& out);
  void on(const events::Bad& event, TimePoint now, Actions& out);
  void on(const events::Missing& event, TimePoint now, Actions& out);
  void on(const events::Dropped& event, TimePoint now, Actions& out);
  void on(const events::Ended& event, TimePoint now, Actions& out);
  void on(const events::TimerFired& event, TimePoint now, Actions& out);

  bool has(const Source& source, std::uint64_t leaf) const;
  bool usable(const Source& source, std::uint64_t leaf) const;
  void lose(Source& source, std::uint64_t leaf);
  void count_holder(const Source& source, bool comes);
  std::int32_t holders(std::uint64_t leaf) const;
  void remove_source(SourceId id);
  void close_leaf(Request& request, std::uint64_t leaf, bool back);
  void end_request(RequestId id);
  void end_requests_of(SourceId id);
  void penalise(Source& source, TimePoint now);
  void measure(Source& source, std::uint64_t bytes, TimePoint now);
  void find_stalled(TimePoint now, Actions& out);
  void move_cursor();
  void fill(TimePoint now, Actions& out);
  Duration patience() const;
  void spare_seeds(TimePoint now, Actions& out);
  bool may_ask(const Source& source, TimePoint now) const;
  bool helps(const Source& source, TimePoint now) const;
  bool others_suffice(const Source& source, TimePoint now) const;
  bool others_have(std::uint64_t leaf, TimePoint now) const;
  std::uint64_t request_bytes(const Source& source) const;
  std::optional<Run> pick(const Source& source) const;
  std::optional<Run> pick_rarest(const Source& source, TimePoint now);
  std::optional<std::uint64_t> rarest(const Source& source, std::uint64_t begin, std::uint64_t end,
                                      bool alone, TimePoint now) const;
  std::uint64_t roll(std::uint64_t bound);
  std::optional<Run> pick_end_game(SourceId id, const Source& source, TimePoint now) const;
  Run extend(const Source& source, std::uint64_t first) const;
  void ask(SourceId id, Source& source, Run run, TimePoint now, Actions& out);
  void set_timer(TimePoint now, Actions& out);
  bool any_partial() const;
  bool in_swarm() const { return company_.has_value() || (sources_.size() > 1 && parts_ > 0); }

  std::shared_ptr<const content::Tree> tree_;
  SchedulerConfig config_;
  LeafSet done_;
  LeafSet todo_;                      ///< Neither done nor open in a request.
  std::vector<std::uint8_t> copies_;  ///< By leaf: requests in which it is open.
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_todo_ = 0;               ///< Of todo_.
  std::uint64_t cursor_ = 0;                   ///< No leaf below it is to do.
  std::int32_t full_holders_ = 0;              ///< Sources that have all leaves.
  std::size_t parts_ = 0;                      ///< Sources that fetch, too.
  std::vector<std::int32_t> partial_holders_;  ///< By leaf; empty while every source has all.
  std::map<SourceId, Source> sources_;
  std::map<RequestId, Request> requests_;
  RequestId request_serial_ = 0;
  std::uint64_t random_;
  std::optional<events::Company> company_;
  bool yields_ = false;
  double waited_ = 0;  ///< Seconds from asking to the first bytes; moving average.
  std::uint32_t retries_ = 0;
  bool banned_any_ = false;
  std::optional<TimePoint> timer_;
};

}  // namespace warren::transfer

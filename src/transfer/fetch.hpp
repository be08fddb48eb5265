#pragma once
// Gets the leaves of one dataset that its scheduler asks for, from whoever has them. What becomes
// of a leaf is for who derives from it: Download keeps them, RemoteReader gives them on.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "content/store.hpp"
#include "runtime/task_group.hpp"
#include "runtime/wait_list.hpp"
#include "swarm/swarm.hpp"
#include "transfer/bad_peers.hpp"
#include "transfer/buffer_pool.hpp"
#include "transfer/destination.hpp"
#include "transfer/peer_session.hpp"
#include "transfer/rate_meter.hpp"
#include "transfer/scheduler.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::transfer {

/// What all of a node share that get datasets. Everything outlives them.
struct DownloadContext {
  runtime::Runtime& runtime;
  swarm::Swarm& swarm;
  content::Store& store;
  const TransferConfig& config;
  BufferPool& buffers;
  BadPeers& bad_peers;
  Bandwidth& bandwidth;
  /// Whether a transfer that is not in the background moves bytes now.
  std::function<bool()> user_moves_bytes;
  /// One of them has ended.
  std::function<void()> ended;
};

/// Core thread only. Flow: fetch.cpp; who has it: fetch_sources.cpp; streams:
/// fetch_streams.cpp.
class Fetch {
 public:
  /// The first connection to a peer came, or the last one went.
  void peer_changed(const PeerId& peer);
  /// Whether bytes came in the last seconds.
  bool moves_bytes() const;
  bool is_running() const { return tasks_.size() > 0; }

 protected:
  /// Requests on one stream: while one is answered the next is on its way.
  static constexpr std::size_t kSentPerStream = 2;

  using Entry = content::Entry;
  // A peer that has been asked, or will be.
  enum class SourceState : std::uint8_t { kNew, kAsking, kHolder, kNothing, kFailed, kBanned };
  struct Source;
  // A request of the scheduler that is under way.
  struct Asked {
    actions::Ask ask;
    std::uint64_t next = 0;  ///< The first leaf that has not come.
    std::size_t jobs = 0;    ///< Batches being verified and written.
    bool received = false;   ///< Nothing more will come.
    bool broken = false;
    bool limited = false;    ///< It waits for our own limit.
    bool abandoned = false;  ///< The scheduler does not wait for it any more.
  };
  // One stream to a source, and the requests that were sent on it in order.
  struct Lane {
    std::unique_ptr<PeerSession> session;
    std::deque<std::shared_ptr<Asked>> sent;
    bool opening = false;
    bool given_up = false;  ///< We broke it off ourselves.
  };
  struct Source {
    Source(runtime::Runtime& runtime, PeerId id_of_peer)
        : peer(std::move(id_of_peer)), lanes_wake(runtime) {}
    PeerId peer;
    SourceState state = SourceState::kNew;
    TimePoint retry_at{};
    std::uint32_t failures = 0;  ///< In a row.
    HoldingResponse holding;
    TimePoint grew_at{};                      ///< It told of more, or that it has a part.
    std::optional<SourceId> id;               ///< While the scheduler knows it.
    TransferMark mark;                        ///< Same.
    std::deque<std::shared_ptr<Asked>> asks;  ///< Not yet sent.
    std::set<Lane*> lanes;
    runtime::WaitList lanes_wake;
    std::uint64_t bytes = 0;
    std::uint32_t errors = 0;
    std::uint32_t bad_chunks = 0;
    std::uint32_t missed = 0;  ///< Leaves of its part that it did not give, one after the other.
    RateMeter rate;
  };

  /// Of `record` its root, name, audience and priority count. `wait`: how long to look for a
  /// source; zero: for ever.
  Fetch(DownloadContext context, content::TransferRecord record, std::vector<PeerId> from,
        Duration wait);
  ~Fetch();
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  /// Verifies leaves that came, which lie in `bytes` one after the other, and does with them what
  /// they are got for. Cancel: ignored, `bytes` stay until it returns.
  virtual awaitable<WriteResult> take(std::uint64_t first, std::uint64_t count,
                                      BytesView bytes) = 0;
  /// A leaf was taken that was not there before.
  virtual void came(std::uint64_t leaf) = 0;

  // --- fetch.cpp: the flow.
  void begin(TimePoint now);
  void set_phase(Phase phase, std::string waiting_for = {});
  std::vector<PeerId> wanted_peers() const;
  awaitable<Result<Source*>> wait_for_holder();
  awaitable<Result<>> fetch_tree(content::TreeReader& reader);
  awaitable<Result<>> fetch_tree_from(Source& source, content::TreeReader& reader,
                                      bool& dataset_is_bad);
  void make_scheduler(LeafSet done);
  TimePoint tend(TimePoint now);
  void obey(const Source& source);
  Result<> check_progress(TimePoint now);
  Result<> check_sources(TimePoint now);
  bool give_up_waiting(TimePoint now) const;
  bool nothing_will_come(TimePoint now) const;
  std::string bad_peers_text() const;
  std::string_view stuck_reason(TimePoint now) const;
  void report_peers(Progress& progress, TimePoint now) const;

  // --- fetch_sources.cpp: who has it, and what is asked of whom.
  TimePoint ask_peers(TimePoint now);
  bool make_place();
  void tell_company();
  awaitable<void> ask_task(Source& source);
  awaitable<Result<HoldingResponse>> ask_peer(PeerId peer);
  bool any_in_state(SourceState state) const;
  static bool breaks_protocol(const Error& error);
  void on_source_error(Source& source, const Error& error);
  void ban_if_bad(Source& source);
  void note(const Source& source, peers::ReputationEvent event);
  void drop_disconnected();
  void attach_holders();
  void detach(Source& source, SourceState state, Duration pause);
  void apply(std::vector<SchedulerAction> actions);
  void on_action(const actions::Ask& action);
  void on_action(const actions::Abandon& action);
  void on_action(const actions::Ban& action);
  void on_action(const actions::SetTimer& action);
  void feed(const SchedulerEvent& event);
  void keep_alive();
  awaitable<void> watch_task(Source& source, SourceId id);
  Result<LeafSet> leaves_of(const HoldingResponse& holding) const;

  // --- fetch_streams.cpp: on which the chunks come.
  awaitable<void> lane_task(Source& source, SourceId id);
  bool others_take(const Source& source) const;
  awaitable<Result<>> lane_step(Source& source, Lane& lane);
  awaitable<Result<>> receive_segment(Source& source, Lane& lane, std::shared_ptr<Asked> asked);
  awaitable<Result<Duration>> wait_for_limit(RateLimit& limit, Asked& asked, std::size_t bytes);
  awaitable<Result<>> receive_batch(Source& source, Lane& lane, std::shared_ptr<Asked> asked,
                                    std::uint64_t count, std::size_t bytes);
  awaitable<void> write_task(Source& source, std::shared_ptr<Asked> asked, Buffer buffer,
                             std::uint64_t first, std::uint64_t count, std::size_t bytes);
  void on_written(Source& source, Asked& asked, std::uint64_t first, std::uint64_t count,
                  WriteResult result);
  void on_missing(Source& source, std::uint64_t first, const SegmentResponse& segment);
  void on_bad_leaf(Source& source, Asked& asked, std::uint64_t leaf);
  void lane_failed(Source& source, Lane& lane, const Error& error);
  void finish_asked(Asked& asked);

  DownloadContext context_;
  runtime::Runtime& runtime_;
  content::TransferRecord record_;
  std::vector<PeerId> from_;
  Duration wait_;
  TimePoint started_at_{};
  TimePoint waiting_since_{};  ///< No source that helps since then.
  TimePoint moved_at_{};       ///< The last leaf was verified, or the run began.
  TimePoint limited_at_{};     ///< The limit let nothing through.
  std::set<PeerId> company_;   ///< Others that fetch the same.
  bool yields_ = false;
  bool fruitless_ = false;  ///< A source failed, and nothing has come since.

  bool obeyed_ = false;    ///< A source has said to whom it may be passed on.
  bool narrowed_ = false;  ///< It has changed the record, which is not stored so yet.
  Phase phase_ = Phase::kResolving;
  std::string waiting_for_;
  bool stopping_ = false;
  bool ended_ = false;
  Result<> result_;
  std::optional<Error> write_error_;
  std::optional<Error> last_source_error_;
  std::string missing_text_;  ///< The last chunk that a source did not have after all.

  std::shared_ptr<const content::Tree> tree_;
  std::unique_ptr<Scheduler> scheduler_;
  TimePoint scheduler_timer_ = kNever;

  std::map<PeerId, std::unique_ptr<Source>> sources_;
  std::map<SourceId, Source*> attached_;
  std::map<RequestId, std::shared_ptr<Asked>> asked_;
  SourceId source_serial_ = 0;
  std::uint64_t order_ = 0;  ///< Where in the order of peers this one begins; at random.
  std::size_t write_jobs_ = 0;
  bool all_there_ = false;  ///< Every leaf is written: no job begins any more.
  std::uint32_t bad_chunks_ = 0;
  RateMeter rate_;

  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;  ///< Of those who derive, too: they join it.
};

}  // namespace warren::transfer

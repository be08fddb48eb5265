#pragma once
// One run of one transfer: from a CID or a name to files under their final name, or to the reason
// why not. Pausing ends the run; what is verified stays, and another run goes on from there.

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
#include "transfer/existing.hpp"
#include "transfer/partial_dataset.hpp"
#include "transfer/peer_session.hpp"
#include "transfer/rate_meter.hpp"
#include "transfer/scheduler.hpp"
#include "transfer/stored_leaves.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::transfer {

/// What all downloads of a node share. Everything outlives them.
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
};

/// How a run ended.
struct Outcome {
  enum class Kind : std::uint8_t {
    kCompleted,
    kStopped,  ///< stop() was called.
    kNoSpace,  ///< The volume is full; `error` has the numbers, `bytes_needed` what to wait for.
    kFailed,
  } kind = Kind::kFailed;
  std::optional<Error> error;
  std::uint64_t bytes_needed = 0;
};

/// Core thread only. Flow: download.cpp; who has it: download_sources.cpp; streams:
/// download_streams.cpp.
class Download {
 public:
  /// `record` is in the store already. Its root may be unset (all zeros): then its name is looked
  /// up. `wait`: how long to look for a source; zero: for ever.
  Download(DownloadContext context, content::TransferRecord record, std::vector<PeerId> from,
           Duration wait);
  ~Download();

  /// Once. Cancel: as stop().
  awaitable<Outcome> run();
  /// Makes run() return soon. Idempotent.
  void stop();
  /// The first connection to a peer came, or the last one went.
  void peer_changed(const PeerId& peer);
  /// The peer asked for what this fetches, and may have it: it will have a part of it too.
  void peer_asked(const PeerId& peer);
  /// Who may have what is here, and who wants it, from now on.
  void set_terms(std::optional<peers::AccessRule> audience, bool background);
  /// Whether bytes came in the last seconds.
  bool moves_bytes() const;
  /// What is here so far; null before the tree is known and files are made.
  const std::shared_ptr<PartialDataset>& partial() const noexcept { return partial_; }
  /// The record with what this run has learned: root, name, paths, bytes.
  const content::TransferRecord& record() const noexcept { return record_; }
  /// Fills in everything but id, state, priority and error.
  void report(Progress& progress) const;

 private:
  /// A kill costs at most so much: well below what quality statement TR-6 allows (64 MiB), because
  /// the chunks in flight are lost with it.
  static constexpr std::uint64_t kCommitBytes = 16u << 20;
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
    RateMeter rate;
  };

  // --- download.cpp: the flow.
  awaitable<void> main_task();
  awaitable<Result<>> main_steps();
  awaitable<Result<>> resolve();
  awaitable<Result<>> load_tree();
  awaitable<Result<>> fetch_tree();
  void obey(const Source& source);
  Result<> may_stand() const;
  awaitable<Result<>> fetch_tree_from(Source& source, content::TreeReader& reader,
                                      bool& dataset_is_bad);
  Result<> decide_name(const std::string& shared_as);
  awaitable<Result<Source*>> wait_for_holder();
  awaitable<Result<bool>> already_there();
  awaitable<Result<>> prepare();
  awaitable<Result<>> move_data();
  awaitable<Result<>> place();
  Result<> check_progress(TimePoint now);
  Result<> check_sources(TimePoint now);
  bool give_up_waiting(TimePoint now) const;
  std::string bad_peers_text() const;
  DestinationPaths destination_paths() const;
  void set_phase(Phase phase, std::string waiting_for = {});
  std::string_view stuck_reason(TimePoint now) const;

  // --- download_commit.cpp: what is known to be safe.
  awaitable<Result<StoredLeaves>> stored_leaves();
  awaitable<Result<>> forget_missing(StoredLeaves& stored);
  awaitable<void> keep_serving();
  awaitable<Result<>> forget_leaves();
  void commit_if_due(TimePoint now);
  awaitable<void> commit_task(bool sync);
  awaitable<Result<>> commit(bool sync);
  void count_verified(std::uint64_t leaf, TimePoint now);
  void count_files();

  // --- download_sources.cpp: who has it, and what is asked of whom.
  std::vector<PeerId> wanted_peers() const;
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

  // --- download_streams.cpp: on which the chunks come.
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
  std::string directory_;  ///< Of both names.
  TimePoint started_at_{};
  TimePoint ended_at_ = kNever;
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
  std::uint64_t bytes_needed_ = 0;

  std::shared_ptr<const content::Tree> tree_;
  std::unique_ptr<Destination> destination_;
  std::shared_ptr<PartialDataset> partial_;
  std::unique_ptr<Scheduler> scheduler_;
  TimePoint scheduler_timer_ = kNever;
  CompareProgress compare_;

  std::map<PeerId, std::unique_ptr<Source>> sources_;
  std::map<SourceId, Source*> attached_;
  std::map<RequestId, std::shared_ptr<Asked>> asked_;
  SourceId source_serial_ = 0;
  std::uint64_t order_ = 0;  ///< Where in the order of peers this one begins; at random.
  std::size_t write_jobs_ = 0;
  bool all_there_ = false;  ///< Every leaf is written: no job begins any more.

  // Progress.
  std::uint64_t bytes_reused_ = 0;
  std::uint64_t bytes_verified_ = 0;
  std::uint64_t files_total_ = 0;
  std::uint64_t files_done_ = 0;
  std::uint64_t links_left_out_ = 0;
  std::vector<std::size_t> files_;          ///< Entries with leaves, in order of leaves.
  std::vector<std::uint64_t> leaves_left_;  ///< By position in files_.
  std::uint32_t bad_chunks_ = 0;
  RateMeter rate_;

  // Commits.
  bool committing_ = false;
  std::uint64_t bytes_since_commit_ = 0;
  std::uint64_t bytes_since_sync_ = 0;
  TimePoint committed_at_{};
  TimePoint synced_at_{};
  LeafSet synced_;  ///< Leaves that survive a loss of power.
  std::string boot_id_;

  std::unique_ptr<runtime::Signal> wake_;
  std::unique_ptr<runtime::Signal> end_;
  runtime::TaskGroup tasks_;
};

}  // namespace warren::transfer

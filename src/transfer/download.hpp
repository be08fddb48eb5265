#pragma once
// One run of one transfer: from a CID or a name to files under their final name, or to the reason
// why not. Pausing ends the run; what is verified stays, and another run goes on from there.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transfer/existing.hpp"
#include "transfer/fetch.hpp"
#include "transfer/partial_dataset.hpp"
#include "transfer/stored_leaves.hpp"

namespace warren::transfer {

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

/// Core thread only. Flow: download.cpp; what is safe: download_commit.cpp; the rest: Fetch.
class Download final : public Fetch {
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
  /// The peer asked for what this fetches, and may have it: it will have a part of it too.
  void peer_asked(const PeerId& peer);
  /// Who may have what is here, and who wants it, from now on.
  void set_terms(std::optional<peers::AccessRule> audience, bool background);
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

  awaitable<WriteResult> take(std::uint64_t first, std::uint64_t count, BytesView bytes) override;
  void came(std::uint64_t leaf) override;

  // --- download.cpp: the flow.
  awaitable<void> main_task();
  awaitable<Result<>> main_steps();
  awaitable<Result<>> resolve();
  awaitable<Result<>> load_tree();
  Result<> may_stand() const;
  Result<> decide_name(const std::string& shared_as);
  awaitable<Result<bool>> already_there();
  awaitable<Result<>> prepare();
  awaitable<Result<>> move_data();
  awaitable<Result<>> place();
  awaitable<bool> is_taken_in();
  DestinationPaths destination_paths() const;

  // --- download_commit.cpp: what is known to be safe.
  awaitable<Result<StoredLeaves>> stored_leaves();
  awaitable<Result<>> forget_missing(StoredLeaves& stored);
  awaitable<void> keep_serving();
  awaitable<Result<>> forget_leaves();
  void commit_if_due(TimePoint now);
  awaitable<void> commit_task(bool sync);
  awaitable<Result<>> commit(bool sync);
  void count_files();

  std::string directory_;  ///< Of both names.
  TimePoint ended_at_ = kNever;
  std::uint64_t bytes_needed_ = 0;
  bool takes_in_ = false;  ///< What has the final name takes the dataset in.
  std::unique_ptr<Destination> destination_;
  std::shared_ptr<PartialDataset> partial_;
  CompareProgress compare_;

  // Progress.
  std::uint64_t bytes_reused_ = 0;
  std::uint64_t bytes_verified_ = 0;
  std::uint64_t files_total_ = 0;
  std::uint64_t files_done_ = 0;
  std::uint64_t links_left_out_ = 0;
  std::vector<std::size_t> files_;          ///< Entries with leaves, in order of leaves.
  std::vector<std::uint64_t> leaves_left_;  ///< By position in files_.

  // Commits.
  bool committing_ = false;
  std::uint64_t bytes_since_commit_ = 0;
  std::uint64_t bytes_since_sync_ = 0;
  TimePoint committed_at_{};
  TimePoint synced_at_{};
  LeafSet synced_;  ///< Leaves that survive a loss of power.
  std::string boot_id_;

  std::unique_ptr<runtime::Signal> end_;
};

}  // namespace warren::transfer

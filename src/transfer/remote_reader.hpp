#pragma once
// Reads the files of a dataset that peers have, without keeping them.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "content/tree.hpp"
#include "transfer/fetch.hpp"

namespace warren::transfer {

/// Core thread only; open() and read() one at a time. Leaves are got and verified as by a Download,
/// from several sources, some ahead of what is read: more as long as one reads on, few after a
/// jump. Memory: ahead_bytes_max and behind_bytes_max, with what one leaf has beyond, whatever the
/// size of the dataset.
class RemoteReader final : public Fetch {
 public:
  /// What is kept behind the last leaf that was read, and got ahead of it.
  static constexpr std::uint64_t kBehindBytesMax = 4u << 20;
  static constexpr std::uint64_t kAheadBytesMax = 24u << 20;

  /// `name`: for the log and for errors. `from`: only these peers; empty: every connected one.
  /// `wait`: how long to look for a source, each time that there is none; zero: for ever.
  RemoteReader(DownloadContext context, Cid root, std::string name, std::vector<PeerId> from,
               Duration wait);
  /// After close().
  ~RemoteReader();

  /// What the dataset is made of; begins to look for it. Errors: kTimedOut, then it goes on and may
  /// be called again; kNoPeer, kIntegrity, and those of TreeReader. Cancel: safe.
  awaitable<Result<std::shared_ptr<const content::Tree>>> open(TimePoint deadline);
  /// Reads the file Tree::entries[entry] until `out` is full, the file ends, or the deadline has
  /// passed and something came: what is behind that is to be asked for next, since the window has
  /// moved on. After open() gave the tree. Errors: kTimedOut (nothing came), then it may be called
  /// again; kNoPeer (no source for `wait`), kNotFound (none has all of it), kIntegrity (naming who
  /// lied), from then on always. Cancel: safe.
  awaitable<Result<std::size_t>> read(std::size_t entry, std::uint64_t offset, MutableBytes out,
                                      TimePoint deadline);
  /// Ends it. Cancel: unsafe.
  awaitable<void> close();

  /// Of verified leaves in memory.
  std::uint64_t held_bytes() const noexcept { return held_bytes_; }
  Progress progress() const;

 private:
  awaitable<WriteResult> take(std::uint64_t first, std::uint64_t count, BytesView bytes) override;
  void came(std::uint64_t leaf) override;

  awaitable<void> main_task();
  awaitable<Result<>> main_steps();
  awaitable<Result<>> load_tree();
  void want(const content::Entry& file, std::uint64_t leaf);
  void move_window(std::uint64_t begin, std::uint64_t end);
  awaitable<Result<>> wait_for_change(TimePoint deadline);

  bool begun_ = false;
  std::unique_ptr<runtime::Signal> changed_;  ///< Something came, or it ended.

  // The leaves [begin_, end_) are here or wanted; the last that was read is at_.
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t ahead_bytes_ = 0;
  bool through_files_ = false;  ///< What is got ahead does not end with the file.
  std::map<std::uint64_t, Bytes> held_;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace warren::transfer

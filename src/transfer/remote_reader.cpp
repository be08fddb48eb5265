#include "transfer/remote_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "content/tree_reader.hpp"
#include "crypto/sha256.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::transfer {
namespace {

using content::Entry;

/// Got ahead of the first leaf after a jump; doubled with each leaf that is read on.
constexpr std::uint64_t kAheadBytesMin = 1u << 20;
/// What a leaf counts at least: many of one byte are no less work.
constexpr std::uint64_t kLeafCostMin = 8u << 10;

content::TransferRecord record_of(const Cid& root, std::string name) {
  content::TransferRecord record;
  record.root = root;
  record.name = std::move(name);
  return record;  // For no audience: nothing of it is passed on.
}

std::uint64_t cost_of(const content::Leaf& leaf) {
  return std::max<std::uint64_t>(leaf.bytes, kLeafCostMin);
}

}  // namespace

RemoteReader::RemoteReader(DownloadContext context, Cid root, std::string name,
                           std::vector<PeerId> from, Duration wait)
    : Fetch(context, record_of(root, std::move(name)), std::move(from), wait),
      changed_(runtime_.make_signal()) {}

RemoteReader::~RemoteReader() = default;

awaitable<Result<std::shared_ptr<const content::Tree>>> RemoteReader::open(TimePoint deadline) {
  if (!std::exchange(begun_, true)) {
    begin(runtime_.now());
    ended_ = !tasks_.spawn(main_task());
  }
  while (!scheduler_) {
    WARREN_CO_TRY_VOID(co_await wait_for_change(deadline));
  }
  co_return tree_;
}

awaitable<Result<>> RemoteReader::wait_for_change(TimePoint deadline) {
  if (ended_ && !result_) co_return fail(result_.error());
  if (ended_) co_return fail(ErrorCode::kClosed, "it was closed");
  const runtime::Wake wake = co_await changed_->wait_until(deadline);
  if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "stopped");
  if (wake == runtime::Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, "nothing came yet");
  co_return Result<>();
}

awaitable<void> RemoteReader::close() {
  stopping_ = true;
  tasks_.cancel();
  co_await tasks_.join();
  ended_ = true;
  context_.ended();
}

awaitable<void> RemoteReader::main_task() {
  result_ = co_await main_steps();
  ended_ = true;
  changed_->notify();
}

awaitable<Result<>> RemoteReader::main_steps() {
  WARREN_CO_TRY_VOID(co_await load_tree());
  make_scheduler(LeafSet(tree_->leaves.size(), true));
  set_phase(Phase::kDownloading);
  changed_->notify();
  for (;;) {
    const TimePoint now = runtime_.now();
    const TimePoint next = tend(now);
    WARREN_CO_TRY_VOID(check_progress(now));
    const runtime::Wake wake = co_await wake_->wait_until(next);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "stopped");
  }
}

awaitable<Result<>> RemoteReader::load_tree() {
  const Cid root = record_.root;
  auto known =
      co_await runtime::run(runtime_.pool(), [this, root] { return context_.store.tree(root); });
  if (!known) {
    content::TreeReader reader(root);
    WARREN_CO_TRY_VOID(co_await fetch_tree(reader));
    auto read = co_await runtime::run(runtime_.pool(), [&reader] { return reader.finish(); });
    if (!read) co_return fail(std::move(read).error().in("this dataset can not be read"));
    known = std::make_shared<const content::Tree>(*std::move(read));
  }
  WARREN_CO_TRY_VOID(check_leaf_sizes(**known));
  tree_ = *std::move(known);
  record_.bytes_total = tree_->bytes_total;
  co_return Result<>();
}

// ---------------------------------------------------------------------------------- the window

awaitable<Result<std::size_t>> RemoteReader::read(std::size_t index, std::uint64_t offset,
                                                  MutableBytes out, TimePoint deadline) {
  WARREN_CHECK(scheduler_ && index < tree_->entries.size());
  const Entry& file = tree_->entries[index];
  std::size_t done = 0;
  while (done < out.size() && offset + done < file.bytes) {
    // All leaves of a file but the last are of one size.
    const std::uint64_t leaf_bytes = tree_->leaves[file.first_leaf].bytes;
    const std::uint64_t position = leaf_bytes == 0 ? file.leaf_count : (offset + done) / leaf_bytes;
    const std::uint64_t inner = leaf_bytes == 0 ? 0 : (offset + done) % leaf_bytes;
    if (position >= file.leaf_count || inner >= tree_->leaves[file.first_leaf + position].bytes) {
      co_return fail(ErrorCode::kMalformed, fmt::format("the chunks of '{}' do not lie one behind "
                                                        "the other",
                                                        file.path));
    }
    want(file, file.first_leaf + position);
    const auto held = held_.find(file.first_leaf + position);
    if (held == held_.end()) {
      auto waited = co_await wait_for_change(deadline);
      if (waited) continue;
      if (done > 0 && waited.error().code() == ErrorCode::kTimedOut) break;
      co_return fail(std::move(waited).error());
    }
    const BytesView rest = BytesView(held->second).subspan(static_cast<std::size_t>(inner));
    const std::size_t count = std::min(rest.size(), out.size() - done);
    std::ranges::copy(rest.first(count), out.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
  }
  co_return done;
}

// Moves the window to `leaf`, which is read now, unless it is in it and was passed already.
void RemoteReader::want(const Entry& file, std::uint64_t leaf) {
  const bool inside = begin_ <= leaf && leaf < end_;
  if (inside && leaf <= at_ && at_ < end_) return;
  const bool goes_on = inside || (end_ > begin_ && leaf == end_);
  ahead_bytes_ = goes_on ? std::min(ahead_bytes_ * 2, kAheadBytesMax) : kAheadBytesMin;
  // Who has read on from one file to the next reads many: of one alone what is behind it is not
  // wanted.
  through_files_ = goes_on && (through_files_ || leaf == file.first_leaf);
  const std::uint64_t behind_last =
      through_files_ ? tree_->leaves.size() : file.first_leaf + file.leaf_count;
  at_ = leaf;
  std::uint64_t begin = leaf;
  for (std::uint64_t bytes = 0; goes_on && begin > begin_; --begin) {
    bytes += cost_of(tree_->leaves[begin - 1]);
    if (bytes > kBehindBytesMax) break;
  }
  std::uint64_t end = leaf + 1;
  for (std::uint64_t bytes = 0; end < behind_last; ++end) {
    bytes += cost_of(tree_->leaves[end]);
    if (bytes > ahead_bytes_) break;
  }
  move_window(begin, goes_on ? std::max(end, end_) : end);
}

void RemoteReader::move_window(std::uint64_t begin, std::uint64_t end) {
  const auto tell = [this](std::uint64_t first, std::uint64_t behind, bool wanted) {
    if (first >= behind) return;
    if (wanted) {
      feed(events::Wanted{first, behind - first});
    } else {
      feed(events::Verified{0, first, behind - first});
    }
  };
  const std::uint64_t old_begin = std::exchange(begin_, begin);
  const std::uint64_t old_end = std::exchange(end_, end);
  std::erase_if(held_, [&](const auto& held) {
    if (held.first >= begin && held.first < end) return false;
    held_bytes_ -= held.second.size();
    return true;
  });
  if (scheduler_->done().full()) {  // Nobody was asked for anything, nor told that he is slow.
    waiting_since_ = runtime_.now();
    wake_->notify();
  }
  tell(old_begin, std::min(old_end, begin), false);
  tell(std::max(old_begin, end), old_end, false);
  tell(begin, std::min(end, old_begin), true);
  tell(std::max(begin, old_end), end, true);
}

awaitable<WriteResult> RemoteReader::take(std::uint64_t first, std::uint64_t count,
                                          BytesView bytes) {
  struct Taken {
    WriteResult result;
    std::vector<std::pair<std::uint64_t, Bytes>> good;
  };
  const auto verify = [this, first, count, bytes] {
    Taken taken;
    BytesView rest = bytes;
    for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
      const content::Leaf& expected = tree_->leaves[leaf];
      const BytesView chunk = rest.first(expected.bytes);
      rest = rest.subspan(expected.bytes);
      if (crypto::sha256(chunk) == expected.digest.bytes) {
        taken.good.emplace_back(leaf, Bytes(chunk.begin(), chunk.end()));
      } else {
        taken.result.bad.push_back(leaf);
      }
      ++taken.result.written;
    }
    return taken;
  };
  Taken taken = co_await runtime::run(runtime_.pool(), verify);
  for (auto& [leaf, chunk] : taken.good) {
    if (leaf < begin_ || leaf >= end_) continue;  // It is too late for it.
    const std::size_t size = chunk.size();
    if (held_.try_emplace(leaf, std::move(chunk)).second) held_bytes_ += size;
  }
  co_return std::move(taken.result);
}

void RemoteReader::came(std::uint64_t) { changed_->notify(); }

Progress RemoteReader::progress() const {
  Progress progress;
  progress.phase = phase_;
  progress.waiting_for = waiting_for_;
  progress.reason = stuck_reason(runtime_.now());
  progress.name = record_.name;
  progress.root = record_.root;
  progress.bytes_total = record_.bytes_total;
  progress.rate = rate_.rate(runtime_.now());
  progress.bad_chunks = bad_chunks_;
  progress.retries = scheduler_ ? scheduler_->retries() : 0;
  report_peers(progress, runtime_.now());
  return progress;
}

}  // namespace warren::transfer

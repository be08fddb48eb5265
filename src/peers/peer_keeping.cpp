#include "peers/peer_keeping.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::peers {

using runtime::Wake;

BookKeeper::BookKeeper(runtime::Runtime& runtime, PeerBook& book, std::shared_ptr<PeerStore> store,
                       KeepingConfig config)
    : runtime_(runtime),
      book_(book),
      store_(std::move(store)),
      config_(config),
      retry_(config.retry_min),
      written_(runtime),
      wake_(runtime.make_signal()),
      tasks_(runtime, 1) {}

BookKeeper::~BookKeeper() { book_.on_changes({}); }

awaitable<Result<std::size_t>> BookKeeper::load() {
  if (!store_) co_return std::size_t{0};
  const std::shared_ptr<PeerStore> store = store_;
  const auto read = [store] { return store->load(); };
  WARREN_CO_TRY(LoadedPeers loaded, co_await runtime::run(runtime_.pool(), read));
  book_.restore(std::move(loaded.peers), std::move(loaded.bans), std::move(loaded.names),
                runtime_.wall_now());
  if (loaded.skipped > 0) {
    log::warn("peers", "{}: {} damaged rows were left out", store_->path(), loaded.skipped);
    book_.change_all();  // They are not met again.
  }
  book_.prune(runtime_.wall_now());
  co_return loaded.skipped;
}

void BookKeeper::start() {
  book_.on_changes([this] { wake_->notify(); });
  const bool started = tasks_.spawn(run());
  static_cast<void>(started);  // False only after stop().
}

void BookKeeper::save_soon() {
  soon_ = true;
  wake_->notify();
}

awaitable<void> BookKeeper::run() {
  TimePoint next_write = runtime_.now();
  TimePoint next_prune = runtime_.now() + config_.prune_interval;
  for (;;) {
    const TimePoint now = runtime_.now();
    if (now >= next_prune) {
      book_.prune(runtime_.wall_now());
      next_prune = now + config_.prune_interval;
    }
    const bool waiting = book_.has_changes() || !pending_.empty();
    if (waiting && (now >= next_write || (soon_ && !trouble_))) {
      soon_ = false;
      const auto written = co_await write(false);
      next_write = runtime_.now() + (written ? config_.write_interval : retry_);
      if (!written) retry_ = std::min(retry_ * 2, config_.retry_max);
      continue;
    }
    const Wake wake =
        co_await wake_->wait_until(waiting ? std::min(next_write, next_prune) : next_prune);
    if (wake == Wake::kCancelled) co_return;
  }
}

awaitable<Result<>> BookKeeper::write(bool durable) {
  if (!store_) {
    book_.take_changes();
    co_return Result<>{};
  }
  while (writing_) {
    const Wake wake = co_await written_.wait_until(kNever);
    if (wake == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  pending_.merge(book_.take_changes());
  if (pending_.empty() && !(durable && unsynced_)) co_return Result<>{};

  writing_ = true;
  BookChanges changes = std::exchange(pending_, {});
  const auto batch = std::make_shared<StoreBatch>(snapshot(book_, changes));
  batch->durable = durable;
  const std::shared_ptr<PeerStore> store = store_;
  const auto save = [store, batch] { return store->save(*batch); };
  const Result<> saved = co_await runtime::run(runtime_.pool(), save);
  writing_ = false;
  written_.notify_all();
  if (saved) {
    ++counters_.transactions;
    unsynced_ = !durable;
    retry_ = config_.retry_min;
    if (trouble_) log::info("peers", "{}: peers are written again", store_->path());
    trouble_.reset();
    co_return Result<>{};
  }
  ++counters_.failures;
  // Whatever has changed since is in the book's own list; the newest state is written next time.
  changes.merge(std::move(pending_));
  pending_ = std::move(changes);
  if (!trouble_) {
    log::error("peers", "{}; {}; it is tried again", saved.error().message(), saved.error().hint());
  }
  trouble_ = saved.error();
  wake_->notify();  // It may be asleep, with nothing to do when it looked last.
  co_return saved;
}

awaitable<Result<>> BookKeeper::flush() { return write(true); }

awaitable<Result<>> BookKeeper::stop() {
  book_.on_changes({});
  co_await tasks_.join();
  const Result<> written = co_await write(true);
  co_return written;
}

}  // namespace warren::peers

// What this node has itself, kept beside what others have: it is searched and paged as one.

#include "base/log.hpp"
#include "catalog/catalog_driver.hpp"

namespace warren::catalog {

awaitable<void> CatalogService::Driver::keep_own() {
  for (;;) {
    const auto kept = co_await bring_own_up_to_date();
    TimePoint again = kNever;
    if (!kept && kept.error().code() != ErrorCode::kCancelled) {
      log::warn("catalog", "the own entries are not in the catalog: {}", kept.error().message());
      again = runtime_.now() + options_.retry_max;
    }
    const runtime::Wake woken = co_await own_changed_->wait_until(again);
    if (woken == runtime::Wake::kCancelled) co_return;
  }
}

awaitable<Result<>> CatalogService::Driver::bring_own_up_to_date() {
  const peers::Visitor self{swarm_.local_peer(), true, true};
  const std::size_t most = options_.limits.page_entries_max;
  auto look = [this, &self] { return store_.known(self.peer); };
  WARREN_CO_TRY(Summary known, co_await runtime::run(runtime_.pool(), std::move(look)));
  // Other rules are another epoch, and then all is told again; so is what somebody has changed.
  bool told_all = false;
  while (!stopping_) {
    const Summary now = published_.summary(self);
    if (known.revision == now.revision && known.digest != now.digest && !told_all) known = {};
    if (known.revision == now.revision) co_return Result<>{};
    CatalogWrite write;
    write.first = true;
    write.last = true;
    write.to = now.revision;
    if (auto changes = published_.changes(self, known.revision, most)) {
      write.to = changes->to;
      write.put = std::move(changes->added);
      write.put.insert(write.put.end(), changes->updated.begin(), changes->updated.end());
      write.removed = std::move(changes->removed);
      WARREN_CO_TRY(known, co_await store_own(std::move(write)));
      continue;
    }
    // What changes while it is told comes after it, as a delta.
    told_all = true;
    write.snapshot = true;
    do {
      std::string after = write.put.empty() ? std::string() : write.put.back().id;
      write.first = after.empty();
      write.put = published_.page(self, after, most);
      write.last = write.put.size() < most;
      WARREN_CO_TRY(known, co_await store_own(write));
    } while (!write.last && !stopping_);
  }
  co_return Result<>{};
}

awaitable<Result<Summary>> CatalogService::Driver::store_own(CatalogWrite write) {
  auto work = [this, &write] { return store_.write(swarm_.local_peer(), write, WallTime::max()); };
  WARREN_CO_TRY(const CatalogWritten written,
                co_await runtime::run(runtime_.pool(), std::move(work)));
  if (write.last && !stopping_ && hooks_.changed) hooks_.changed();
  co_return written.known;
}

}  // namespace warren::catalog

// What transfers that are not complete have for others.

#include <filesystem>

#include "runtime/worker_pool.hpp"
#include "transfer/destination.hpp"
#include "transfer/manager_impl.hpp"
#include "transfer/stored_leaves.hpp"

namespace warren::transfer {

using content::TransferRecord;

awaitable<std::shared_ptr<PartialDataset>> TransferManager::Impl::find_partial(
    Cid root, peers::Visitor visitor) {
  std::vector<std::shared_ptr<Entry>> found;
  for (const auto& [id, entry] : entries_) {
    const TransferRecord& record = entry->download ? entry->download->record() : entry->record;
    if (record.root != root || entry->state == State::kCompleted) continue;
    if (!record.audience || !record.audience->allows(visitor)) continue;
    if (entry->download) entry->download->peer_asked(visitor.peer);
    found.push_back(entry);
  }
  for (const std::shared_ptr<Entry>& entry : found) {
    if (entry->gone) continue;
    auto partial = entry->download ? entry->download->partial() : entry->resting.lock();
    if (!partial && !entry->download) partial = co_await load_partial(entry);
    if (!partial) continue;
    const TransferRecord& record = entry->download ? entry->download->record() : entry->record;
    if (!record.audience || !record.audience->allows(visitor)) continue;
    partial->set_audience(*record.audience);
    co_return partial;
  }
  co_return nullptr;
}

// What the run before has left, of a transfer that rests.
awaitable<std::shared_ptr<PartialDataset>> TransferManager::Impl::load_partial(
    std::shared_ptr<Entry> entry) {
  const TransferRecord record = entry->record;
  const auto load = [this, &record]() -> Result<std::shared_ptr<PartialDataset>> {
    const std::filesystem::path temporary(record.temporary_path);
    const DestinationPaths paths{temporary.parent_path().string(), temporary.filename().string(),
                                 std::filesystem::path(record.out_path).filename().string()};
    WARREN_TRY(const auto tree, store_.tree(record.root));
    WARREN_TRY(const Bytes blob, store_.transfer_bitmap(record.id));
    StoredLeaves leaves = decode_leaves(blob, tree->leaves.size(), read_boot_id());
    WARREN_TRY_VOID(Destination::drop_missing(*tree, paths, leaves.written));
    return std::make_shared<PartialDataset>(runtime_, tree, paths, std::move(leaves.written));
  };
  const auto loaded = co_await runtime::run(runtime_.pool(), load);
  if (!loaded || entry->download || entry->gone) co_return nullptr;
  entry->resting = *loaded;
  co_return *loaded;
}

}  // namespace warren::transfer

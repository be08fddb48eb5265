// What downloads and readers share, and reading without keeping.

#include <algorithm>

#include "transfer/manager_impl.hpp"

namespace warren::transfer {

DownloadContext TransferManager::Impl::context() {
  return {runtime_,
          swarm_,
          store_,
          config_,
          buffers_,
          bad_peers_,
          bandwidth_,
          [this] { return user_moves_bytes(); },
          [this] { trim_buffers(); }};
}

std::shared_ptr<RemoteReader> TransferManager::Impl::read(const Cid& root, std::string name,
                                                          std::vector<PeerId> from, Duration wait) {
  std::erase_if(readers_, [](const auto& known) { return known.expired(); });
  auto reader =
      std::make_shared<RemoteReader>(context(), root, std::move(name), std::move(from), wait);
  readers_.push_back(reader);
  return reader;
}

bool TransferManager::Impl::user_moves_bytes() const {
  for (const auto& known : readers_) {
    if (const auto reader = known.lock(); reader && reader->moves_bytes()) return true;
  }
  return std::ranges::any_of(entries_, [](const auto& known) {
    const Entry& entry = *known.second;
    return entry.counted_as_user && entry.download && entry.download->moves_bytes();
  });
}

// When nothing runs that would soon want them again.
void TransferManager::Impl::trim_buffers() {
  for (const auto& known : readers_) {
    if (const auto reader = known.lock(); reader && reader->is_running()) return;
  }
  const bool any = std::ranges::any_of(
      entries_, [](const auto& known) { return known.second->download != nullptr; });
  if (!any) buffers_.trim();
}

}  // namespace warren::transfer

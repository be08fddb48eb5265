// LibraryService: what an operation left behind that a process was killed in.

#include <algorithm>

#include "base/log.hpp"
#include "library/library_service.hpp"

namespace warren::library {
namespace {

/// What could not be ended is tried again after this time.
constexpr Duration kRecoverAgain = 5min;

}  // namespace

void LibraryService::want_recovery(const std::string& path, const std::string& id) {
  if (!options_.recover || operations_.contains(id)) return;
  const auto failed = recovery_failures_.find(id);
  if (failed != recovery_failures_.end() && runtime_.now() < failed->second.at + kRecoverAgain) {
    return;
  }
  if (std::ranges::find(to_recover_, std::pair(path, id)) != to_recover_.end()) return;
  to_recover_.emplace_back(path, id);
  if (!recovering_) recovering_ = tasks_.spawn(recover_entries());
}

awaitable<void> LibraryService::recover_entries() {
  while (!to_recover_.empty() && !*stop_) {
    const auto [path, id] = std::move(to_recover_.front());
    to_recover_.pop_front();
    const auto operation = begin_operation(id);
    if (!operation) continue;
    const auto recovered = co_await options_.recover(path, id);
    if (recovered) {
      // Should the look after it find something left all the same, it is not begun anew at once.
      recovery_failures_[id] = {runtime_.now(), ""};
      continue;
    }
    log::warn("library", "an interrupted operation on '{}' cannot be ended: {}", id,
              recovered.error().message());
    recovery_failures_[id] = {runtime_.now(), recovered.error().message()};
  }
  recovering_ = false;
  wake();
}

std::string LibraryService::problem_of(const LibraryMachine::View& view) const {
  const auto failed = recovery_failures_.find(view.entry->published.listing.id);
  const bool told = failed != recovery_failures_.end() && !failed->second.why.empty();
  return told ? failed->second.why : view.problem;
}

}  // namespace warren::library

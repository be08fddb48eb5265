#pragma once
// What of others' entries this node wants and has, and why what is missing does not come.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog_service.hpp"
#include "library/library_service.hpp"
#include "node/replicator.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::node {

/// Core thread only. All that is referred to must outlive it and what classify() gives.
class SyncStatus {
 public:
  /// `expected`: as Replicator::Hooks has it.
  SyncStatus(library::LibraryService& libraries, transfer::TransferManager& transfers,
             const Replicator& replicator, std::function<std::string(std::string_view)> expected);

  /// As of now: wanted is what the mode fetches by itself, and what somebody has begun to get; here
  /// is what a library here lists as ready with the same root. Errors: of the database.
  awaitable<Result<catalog::Classify>> classify();

 private:
  /// Transfers that are not completed, by root.
  using Transfers = std::map<Cid, transfer::Progress>;
  Transfers unfinished() const;
  catalog::Claim claim(const library::Listing& listing, const std::vector<std::string>& patterns,
                       const Transfers& transfers) const;

  library::LibraryService& libraries_;
  transfer::TransferManager& transfers_;
  const Replicator& replicator_;
  std::function<std::string(std::string_view)> expected_;
};

/// Why a transfer that is not completed does not go on; kNone: it does.
catalog::Reason reason_of(const transfer::Progress& progress);

}  // namespace warren::node

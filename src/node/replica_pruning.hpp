#pragma once
// Frees what this node fetched by itself and does not want any more; only when a person asks.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "catalog/catalog_store.hpp"
#include "library/library_service.hpp"
#include "runtime/runtime.hpp"

namespace warren::node {

using runtime::awaitable;

struct PruneOptions {
  std::string entry;     ///< Only this one; empty: all.
  bool force = false;    ///< Also what is wanted, and what nobody else has.
  bool dry_run = false;  ///< Only says what would be done.
};

/// Whether the entry `id` in `folder` is what it was when the index saw these stamps, and nothing
/// is installed or under way in it. Asks the disk: the pool's. Errors: of the system.
Result<bool> is_as_fetched(const std::string& folder, const std::string& id, const Digest& stamps);

struct PruneReport {
  struct Item {
    std::string id;
    std::uint64_t bytes = 0;
    std::string kept_why;  ///< Empty: it is freed.
  };
  std::vector<Item> items;  ///< In order of id.
  std::uint64_t bytes_freed = 0;
};

/// What pruning asks of the node. All must be set.
struct PruneHooks {
  /// Whether the mode would fetch what somebody lists under this topic.
  std::function<bool(std::string_view topic)> wanted;
  /// Whether the peer is connected.
  std::function<bool(const PeerId&)> connected;
};

/// Removes replicas in the library folder at `folder`. Kept are those that the mode wants, that a
/// person changed or installed, that something works on, and those of which no connected peer lists
/// the same content as ready. A process that is killed leaves each of them whole or gone, perhaps
/// with a hidden folder in `folder` that the next call removes.
/// Errors: kNotFound when options.entry is no replica; of the database, of the system (what came
/// before it is freed). Cancel: safe, between two entries.
awaitable<Result<PruneReport>> prune_replicas(runtime::Runtime& runtime,
                                              catalog::CatalogStore& store,
                                              library::LibraryService& libraries,
                                              std::string folder, PruneHooks hooks,
                                              PruneOptions options);

}  // namespace warren::node

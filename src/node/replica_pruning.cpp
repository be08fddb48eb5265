#include "node/replica_pruning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "library/look.hpp"
#include "library/reserved.hpp"
#include "node/escape.hpp"
#include "runtime/cancellation.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::node {
namespace {

namespace fs = std::filesystem;
using catalog::Replica;

constexpr std::size_t kPageReplicas = 256;
/// Where a replica goes before it is removed piece by piece; hidden, so no entry.
constexpr std::string_view kPrunedFolder = ".warren-pruned";

class Pruning {
 public:
  Pruning(runtime::Runtime& runtime, catalog::CatalogStore& store,
          library::LibraryService& libraries, std::string folder, PruneHooks hooks,
          PruneOptions options)
      : runtime_(runtime),
        store_(store),
        libraries_(libraries),
        folder_(std::move(folder)),
        hooks_(std::move(hooks)),
        options_(std::move(options)) {}

  awaitable<Result<PruneReport>> run() {
    bool found = options_.entry.empty();
    std::string after;
    for (;;) {
      auto read = [&] { return store_.replicas(after, kPageReplicas); };
      WARREN_CO_TRY(const std::vector<Replica> page,
                    co_await runtime::run(runtime_.pool(), std::move(read)));
      for (const Replica& replica : page) {
        after = replica.id;
        if (!options_.entry.empty() && replica.id != options_.entry) continue;
        found = true;
        const bool stop = co_await runtime::cancelled();
        if (stop) co_return fail(ErrorCode::kCancelled, "stopped");
        WARREN_CO_TRY_VOID(co_await consider(replica));
      }
      if (page.size() < kPageReplicas) break;
    }
    if (!found) {
      co_return fail(ErrorCode::kNotFound,
                     fmt::format("'{}' was not fetched by this node itself",
                                 escape_for_display(options_.entry, 200)),
                     "what you got yourself is yours to remove");
    }
    co_return std::move(report_);
  }

 private:
  awaitable<Result<>> consider(const Replica& replica) {
    const auto here = libraries_.find(replica.id);
    if (!here || here->folder != folder_) {
      // A person took it away: there is nothing to free.
      if (options_.dry_run) co_return Result<>{};
      co_return co_await forget(replica);
    }
    const library::Listing& listing = here->entry.published.listing;
    std::string kept_why = co_await why_kept(replica, listing);
    PruneReport::Item item{replica.id, listing.bytes, std::move(kept_why)};
    if (item.kept_why.empty() && !options_.dry_run) {
      auto operation = libraries_.begin_operation(replica.id);
      if (operation) {
        WARREN_CO_TRY(const bool freed, co_await free(replica, here->entry.stamps));
        if (!freed) item.kept_why = "it was changed here";
      } else {
        item.kept_why = operation.error().message();
      }
    }
    if (item.kept_why.empty()) report_.bytes_freed += item.bytes;
    report_.items.push_back(std::move(item));
    co_return Result<>{};
  }

  /// Empty: it is not.
  awaitable<std::string> why_kept(const Replica& replica, const library::Listing& listing) {
    if (listing.installed) co_return "it is installed";
    if (listing.root != replica.root) co_return "it was changed here, or is being looked at";
    if (options_.force) co_return "";
    auto look = [&] { return store_.find(replica.id); };
    const auto offers = co_await runtime::run(runtime_.pool(), std::move(look));
    if (!offers) co_return offers.error().message();
    const bool wanted = std::ranges::any_of(
        *offers, [&](const catalog::Offer& offer) { return hooks_.wanted(offer.listing.topic); });
    if (wanted || hooks_.wanted(listing.topic)) co_return "the mode of this node wants it";
    const bool elsewhere = std::ranges::any_of(*offers, [&](const catalog::Offer& offer) {
      return offer.listing.root == replica.root &&
             offer.listing.availability == library::Availability::kReady &&
             hooks_.connected(offer.peer);
    });
    if (!elsewhere) co_return "no other node that is here has it";
    co_return "";
  }

  /// False: a person has touched it.
  awaitable<Result<bool>> free(const Replica& replica, Digest stamps) {
    const fs::path pruned = fs::path(folder_) / kPrunedFolder;
    auto remove = [this, &replica, &pruned, &stamps]() -> Result<bool> {
      WARREN_TRY(const bool untouched, is_as_fetched(folder_, replica.id, stamps));
      if (!untouched) return false;
      std::error_code error;
      fs::remove_all(pruned, error);  // Of a process that was killed.
      if (!error) fs::rename(fs::path(folder_) / replica.id, pruned, error);
      if (error) return fail(system_error("remove " + replica.id, error.value()));
      WARREN_TRY(const runtime::Directory folder, runtime::Directory::open(folder_));
      WARREN_TRY_VOID(folder.sync());
      WARREN_TRY_VOID(store_.forget_replica(replica.id));
      fs::remove_all(pruned, error);
      if (error) return fail(system_error("remove " + pruned.string(), error.value()));
      return true;
    };
    co_return co_await runtime::run(runtime_.pool(), std::move(remove));
  }

  awaitable<Result<>> forget(const Replica& replica) {
    auto write = [&] { return store_.forget_replica(replica.id); };
    co_return co_await runtime::run(runtime_.pool(), std::move(write));
  }

  runtime::Runtime& runtime_;
  catalog::CatalogStore& store_;
  library::LibraryService& libraries_;
  std::string folder_;
  PruneHooks hooks_;
  PruneOptions options_;
  PruneReport report_;
};

}  // namespace

Result<bool> is_as_fetched(const std::string& folder, const std::string& id, const Digest& stamps) {
  WARREN_TRY(const runtime::Directory opened, runtime::Directory::open(folder));
  WARREN_TRY(const runtime::Directory entry, opened.open_directory(id));
  const limits::Library limits;
  WARREN_TRY(const auto names, entry.list(limits.top_names_max));
  for (const runtime::DirectoryItem& item : names) {
    if (library::is_reserved(item.name)) return false;
  }
  const std::atomic<bool> stop{false};
  WARREN_TRY(const library::Measure measured, library::measure(opened, id, limits, stop));
  return measured.stamps == stamps;
}

awaitable<Result<PruneReport>> prune_replicas(runtime::Runtime& runtime,
                                              catalog::CatalogStore& store,
                                              library::LibraryService& libraries,
                                              std::string folder, PruneHooks hooks,
                                              PruneOptions options) {
  Pruning pruning(runtime, store, libraries, std::move(folder), std::move(hooks),
                  std::move(options));
  co_return co_await pruning.run();
}

}  // namespace warren::node

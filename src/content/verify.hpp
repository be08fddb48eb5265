#pragma once
// Sharing and re-checking as whole operations on the store.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "content/importer.hpp"
#include "content/store.hpp"

namespace warren::content {

struct Shared {
  ShareInfo info;
  std::vector<Skipped> skipped;
  std::uint64_t skipped_count = 0;
  std::uint64_t bytes_hashed = 0;
};

/// Imports `path` and keeps it in `store` under `name` (empty: the last name of the path). What
/// the store knows of the same path is not hashed again. Also brings a changed share up to date.
/// `audience`: as in Store::add_share().
/// Errors and Cancel: as import_path() and Store::add_share(). `runtime` and `store` outlive it.
boost::asio::awaitable<Result<Shared>> share_path(runtime::Runtime& runtime, Store& store,
                                                  std::string path, std::string name,
                                                  std::shared_ptr<Progress> progress,
                                                  std::optional<peers::AccessRule> audience = {});

/// Imports the folder at `path` without what is directly in it and `leave_out` names, and keeps it
/// in `store` as the entry `id` of a library. What the store knows of the entry at the same path is
/// not hashed again. Errors and Cancel: as import_path() and Store::add_entry().
boost::asio::awaitable<Result<Cid>> import_entry(runtime::Runtime& runtime, Store& store,
                                                 std::string id, std::string path,
                                                 std::function<bool(std::string_view)> leave_out,
                                                 std::shared_ptr<Progress> progress);

struct Verified {
  ShareInfo info;
  std::uint64_t files_ok = 0;
  std::uint64_t bytes_read = 0;
  /// kNotFound: gone. kConflict: changed since it was hashed (size, mtime or inode).
  /// kIntegrity: same stamp, other bytes: the disk or something that hides its writes.
  std::vector<Skipped> bad;
  std::uint64_t bad_count = 0;
};

/// Reads every byte of a share or entry again and compares with its tree. Files that differ are
/// marked changed in the store. `find` says which: Store::find_share() or find_entry(); it is
/// called twice, in the pool. Errors: kCancelled, those of `find`. Cancel: as import_path().
boost::asio::awaitable<Result<Verified>> verify(runtime::Runtime& runtime, Store& store,
                                                std::function<Result<ShareInfo>(Store&)> find,
                                                std::shared_ptr<Progress> progress);

}  // namespace warren::content

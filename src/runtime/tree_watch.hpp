#pragma once
// Changes below one folder, told by the kernel (inotify), by the name directly in it that they are
// under: which of many things in a folder has changed, however deep.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "runtime/runtime.hpp"

namespace warren::runtime {

/// What has happened since the last news.
struct TreeNews {
  bool names = false;             ///< Names came or went in the folder itself.
  std::set<std::string> touched;  ///< Names in the folder below which something changed.
  bool lost = false;              ///< Some news were lost: all may have changed.
};

class TreeWatch {
 public:
  virtual ~TreeWatch() = default;
  /// Waits for the next news; what came since the last call, or since the watch was made, is told
  /// at once, together. Folders that come are watched, too. One caller at a time.
  /// Errors: kCancelled, kIo. Cancel: safe, nothing is lost.
  virtual awaitable<Result<TreeNews>> changed() = 0;
  /// Whether all folders are watched; else changes below some are not told (too many, or the
  /// kernel has no more watches).
  virtual bool is_whole() const = 0;
  /// Folders that are watched. 0: the folder itself was removed or moved away, which changed() has
  /// told as lost news; nothing more comes.
  virtual std::size_t watches() const = 0;
};

/// Watches the folder at the absolute `path` and all folders below it, up to `watches_max`; links
/// are not followed. Folders directly in one of its folders whose name `left_out` says yes to are
/// told when they come and go, what happens in them is not; unset: none. It runs in the pool.
/// Reads all folders once, in the pool. `context` and `runtime` outlive the watch. Errors:
/// kNotFound, kDenied; of the system: no inotify instances left. Cancel: safe.
awaitable<Result<std::unique_ptr<TreeWatch>>> make_tree_watch(
    asio::io_context& context, Runtime& runtime, std::string path, std::size_t watches_max,
    std::function<bool(std::string_view)> left_out);

}  // namespace warren::runtime

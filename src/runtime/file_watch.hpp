#pragma once
// Changes of one file, told by the kernel (inotify). For files that a person edits: the watch
// lies on folders, since an editor replaces a file by renaming another one over it.

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "runtime/runtime.hpp"

namespace warren::runtime {

/// Tells when the content behind a path may have changed.
class FileWatch {
 public:
  virtual ~FileWatch() = default;
  /// Waits for the next change: the file was written, replaced, made or removed, or a symlink on
  /// the way to it now leads elsewhere. One that came since the last call, or since the watch was
  /// made, is told at once, many together as one. A write that is still going on is told, too: who
  /// reads the file waits until it is quiet. One caller at a time. Errors: kCancelled, kIo.
  /// Cancel: safe, nothing is lost.
  virtual awaitable<Result<>> changed() = 0;
};

/// Watches the absolute `path`. Nothing has to be there yet, not even its folder. At most 16
/// symlinks are followed; each costs one watch. When a folder above the file's own is renamed, it
/// goes unnoticed. `context` and `runtime` must outlive the watch. Blocks for a moment.
/// Errors: kInvalidArgument for a relative path; of the system: no inotify instances left.
Result<std::unique_ptr<FileWatch>> make_file_watch(asio::io_context& context, Runtime& runtime,
                                                   std::string path);

}  // namespace warren::runtime

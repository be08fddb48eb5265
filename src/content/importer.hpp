#pragma once
// From a folder or file on this disk to a dataset: walks, hashes on all threads of the pool, and
// builds the tree. The bytes stay where they are.

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "content/tree.hpp"
#include "content/unixfs.hpp"
#include "runtime/file.hpp"
#include "runtime/runtime.hpp"

namespace warren::content {

/// How far an import or a verification is. Written by pool threads, read from any.
struct Progress {
  std::atomic<std::uint64_t> files_found{0};
  std::atomic<std::uint64_t> files_done{0};
  std::atomic<std::uint64_t> bytes_found{0};
  std::atomic<std::uint64_t> bytes_done{0};  ///< Read and hashed, or known unchanged.
  std::atomic<bool> walking{true};           ///< `found` still grows.
  std::atomic<bool> stop{false};             ///< Set it to end the work with kCancelled.
};

/// Something that is not in the dataset, or not as it was.
struct Skipped {
  std::string path;  ///< Relative to what is imported.
  Error error;       ///< kUnsupported: a device, socket or pipe. kDenied: unreadable, or its name
                     ///< can not be shared. kConflict: it changed while it was read.
};

/// A dataset and where its bytes lie.
struct Imported {
  std::string path;  ///< Absolute, without symlinks.
  std::shared_ptr<const Tree> tree;
  std::vector<NodeBlock> nodes;  ///< Parents before children. Empty when the root is a leaf.
  /// One for each entry of the tree; of a file what was seen when it was hashed, else zeros.
  std::vector<runtime::FileStamp> stamps;
  /// Wall time, in ns since 1970, before the first file was looked at. A file whose mtime is not
  /// clearly older may have changed unseen and is hashed again the next time.
  std::int64_t started_ns = 0;
  std::vector<Skipped> skipped;
  std::uint64_t skipped_count = 0;  ///< May be more than are listed.
  std::uint64_t bytes_hashed = 0;   ///< Read now; the rest was known from `previous`.
};

struct ImportOptions {
  /// An earlier import of the same path: files with the same stamp are not read again.
  std::shared_ptr<const Imported> previous;
  /// Names directly in the root that are no part of the dataset, nor listed in `skipped`. Called on
  /// a thread of the pool. Unset: every name is a part.
  std::function<bool(std::string_view name)> leave_out;
  limits::Tree tree_limits;
  limits::Content content_limits;
};

/// Imports the folder or file at `path`. Hidden files and empty folders are included, symlinks
/// stay symlinks, hard links become two files; what can not be read is listed in `skipped`.
///
/// Errors: kNotFound, kDenied (the root itself is unreadable), kUnsupported (it is a device),
/// kTooLarge, kCancelled. Cancel: stops within about 16 MiB of hashing a thread; nothing is kept.
/// Cost: one read of every byte not known, about 1 MiB of buffer a thread, and the tree.
/// Thread: the core. `runtime` must outlive the call.
boost::asio::awaitable<Result<Imported>> import_path(runtime::Runtime& runtime, std::string path,
                                                     ImportOptions options,
                                                     std::shared_ptr<Progress> progress);

}  // namespace warren::content

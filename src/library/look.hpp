#pragma once
// What the disk says of one entry: a cheap look at its top, and a walk through all of it. Both
// block: the worker pool's.

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "library/entry.hpp"
#include "library/limits.hpp"
#include "library/sentinel.hpp"
#include "runtime/file.hpp"

namespace warren::library {

/// What the top of an entry says, without going deeper.
struct Look {
  /// SHA-256 over name, kind, size, mtime and inode of what lies in the top, of `local/` its
  /// presence alone. Equal: taken for unchanged. Changes deeper down do not show; what is served is
  /// checked file by file anyway (content::Dataset).
  Digest fingerprint;
  /// The fingerprint is the one that was known: the sentinel was not read, and the next two say
  /// nothing.
  bool unchanged = false;
  bool has_sentinel = false;
  SentinelContent sentinel;   ///< Of an empty one what the record in `local/` says.
  bool installed = false;     ///< `local/` is a folder.
  bool empty = false;         ///< Nothing lies there, or only what has a reserved name.
  bool in_operation = false;  ///< An install was under way here when a process ended: intent log.
};

/// Looks at the folder `id` in `folder`. `known`: the fingerprint with which what the sentinel says
/// is known; all zeros: none. Errors: kNotFound, kDenied, kTooLarge; of the system, also when it is
/// no folder.
Result<Look> look_at(const runtime::Directory& folder, std::string_view id,
                     const SentinelSettings& sentinel, const limits::Library& limits,
                     const Digest& known = {});

/// What a walk finds.
struct Measure {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  /// SHA-256 over path and size of each file, in the order of their paths' bytes. Reserved names in
  /// the top, and what is no file, are left out.
  Digest manifest;
  /// SHA-256 over path, size, mtime and inode of each file and link and over the paths of the
  /// folders: whether anything changed that its root is made of.
  Digest stamps;
};

/// Walks through all of it. Errors: as look_at(); kCancelled once `stop` is set.
Result<Measure> measure(const runtime::Directory& folder, std::string_view id,
                        const limits::Library& limits, const std::atomic<bool>& stop);

}  // namespace warren::library

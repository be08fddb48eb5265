#pragma once
// One node per state directory.

#include <string>
#include <utility>

#include "base/result.hpp"
#include "runtime/file.hpp"

namespace warren::node {

/// Holds the lock of a state directory until destroyed; the kernel lets it go when the process
/// ends in any way, so a lock is never stale.
class InstanceLock {
 public:
  /// Takes flock(2) on `state_dir`/lock, made if missing with mode 0600, and writes this process's
  /// id there. Errors: kConflict naming the process that holds it; of the system.
  static Result<InstanceLock> acquire(const std::string& state_dir);

 private:
  explicit InstanceLock(runtime::File file) : file_(std::move(file)) {}
  runtime::File file_;  // The lock goes with its descriptor.
};

}  // namespace warren::node

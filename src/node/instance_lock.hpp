#pragma once
// One node per state directory.

#include <string>
#include <utility>

#include "base/result.hpp"

namespace warren::node {

/// Holds the lock of a state directory until destroyed; the kernel lets it go when the process
/// ends in any way, so a lock is never stale.
class InstanceLock {
 public:
  /// Takes flock(2) on `path`, made if missing with mode 0600, and writes this process's id there.
  /// Errors: kConflict naming the process that holds it; of the system.
  static Result<InstanceLock> acquire(const std::string& path);

  InstanceLock(InstanceLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  InstanceLock& operator=(InstanceLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~InstanceLock();

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace warren::node

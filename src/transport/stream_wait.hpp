#pragma once
// What the streams of every transport do when they wait. Internal to the transports.

#include "base/check.hpp"
#include "base/error.hpp"
#include "runtime/runtime.hpp"

namespace warren::transport {

/// Claims one direction of a stream for one call, and checks that no other has it. Gives it up when
/// the coroutine leaves, also when its frame is destroyed while it waits.
class Turn {
 public:
  explicit Turn(bool& taken) : taken_(taken) {
    WARREN_CHECK(!taken);
    taken = true;
  }
  ~Turn() { taken_ = false; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  bool& taken_;
};

/// Why a wait ended that was not notified.
inline Error wake_error(runtime::Wake wake) {
  return wake == runtime::Wake::kTimedOut
             ? Error(ErrorCode::kTimedOut, "the stream stalled until its deadline")
             : Error(ErrorCode::kCancelled, "cancelled");
}

}  // namespace warren::transport

#pragma once
#include <list>
#include <memory>
#include <utility>

#include "runtime/runtime.hpp"

namespace warren::runtime {

/// Coroutines that wait for the same thing, woken in the order in which they came.
class WaitList {
 public:
  explicit WaitList(Runtime& runtime) : runtime_(runtime) {}

  /// Cancel: safe.
  awaitable<Wake> wait_until(TimePoint deadline) {
    const auto place = waiters_.insert(waiters_.end(), runtime_.make_signal());
    const Wake wake = co_await (*place)->wait_until(deadline);
    waiters_.erase(place);
    co_return wake;
  }
  void notify_one() {
    if (!waiters_.empty()) waiters_.front()->notify();
  }
  void notify_all() {
    for (const auto& waiter : waiters_) waiter->notify();
  }
  std::size_t size() const noexcept { return waiters_.size(); }

 private:
  Runtime& runtime_;
  std::list<std::unique_ptr<Signal>> waiters_;
};

}  // namespace warren::runtime

#pragma once
// What one thread waits for while the core thread works: the result of a call.

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/result.hpp"

namespace warren::embed {

/// Held by the one who waits and by the one who works. Whoever gives it up without a result leaves
/// kClosed in it.
template <class T>
class Call {
 public:
  /// The first result counts.
  void finish(Result<T> result) {
    const std::lock_guard lock(mutex_);
    if (!result_) result_.emplace(std::move(result));
    done_.notify_all();
  }
  /// nullopt: it was not there in `time`.
  std::optional<Result<T>> wait(std::chrono::nanoseconds time) {
    std::unique_lock lock(mutex_);
    done_.wait_for(lock, time, [this] { return result_.has_value(); });
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  std::optional<Result<T>> result_;
};

/// The working end of a Call.
template <class T>
class Promise {
 public:
  explicit Promise(std::shared_ptr<Call<T>> call) : call_(std::move(call)) {}
  Promise(Promise&& other) noexcept = default;
  Promise& operator=(Promise&& other) = delete;
  ~Promise() {
    if (call_) call_->finish(fail(ErrorCode::kClosed, "the node has been stopped"));
  }
  void finish(Result<T> result) { std::exchange(call_, nullptr)->finish(std::move(result)); }

 private:
  std::shared_ptr<Call<T>> call_;
};

}  // namespace warren::embed

#pragma once
// Work that someone started and that others watch: how far it is, and its result at the end.

#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/result.hpp"
#include "content/importer.hpp"
#include "runtime/runtime.hpp"

namespace warren::node {

using runtime::awaitable;

/// An import or verification in progress. Core thread only. Whoever holds it may watch; the work
/// itself belongs to the node.
template <class T>
class Job {
 public:
  explicit Job(runtime::Runtime& runtime) : done_(runtime.make_signal()) {}

  const content::Progress& progress() const { return *progress_; }
  const std::shared_ptr<content::Progress>& shared_progress() const { return progress_; }
  /// The result, once there is one.
  const std::optional<Result<T>>& result() const { return result_; }
  /// Waits for the result until `deadline`; true when it is there. One waiter at a time.
  /// Cancel: safe, the work goes on.
  awaitable<bool> wait_until(TimePoint deadline) {
    if (!result_) co_await done_->wait_until(deadline);
    co_return result_.has_value();
  }
  /// Ends the work soon, with kCancelled.
  void stop() { progress_->stop = true; }
  void finish(Result<T> result) {
    result_.emplace(std::move(result));
    done_->notify();
  }

 private:
  std::shared_ptr<content::Progress> progress_ = std::make_shared<content::Progress>();
  std::optional<Result<T>> result_;
  std::unique_ptr<runtime::Signal> done_;
};

/// Has the node stop the work when it ends itself, as long as this lives.
class Stoppable {
 public:
  Stoppable(std::set<std::shared_ptr<content::Progress>>& running,
            std::shared_ptr<content::Progress> progress)
      : running_(running), progress_(std::move(progress)) {
    running_.insert(progress_);
  }
  ~Stoppable() { running_.erase(progress_); }
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;

 private:
  std::set<std::shared_ptr<content::Progress>>& running_;
  std::shared_ptr<content::Progress> progress_;
};

}  // namespace warren::node

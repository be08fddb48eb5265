#pragma once
// Shows the caller of a route how far a job of the node is, until it ends.

#include <memory>
#include <string_view>

#include "api/router.hpp"
#include "api/views.hpp"
#include "node/job.hpp"

namespace warren::api {

/// Between two progress lines.
inline constexpr Duration kIntervalDefault = 500ms;
inline constexpr Duration kIntervalMin = 50ms;
inline constexpr Duration kIntervalMax = 60s;

/// Stops a job when its watcher goes away before its end.
template <class T>
class StopUnlessDone {
 public:
  explicit StopUnlessDone(std::shared_ptr<node::Job<T>> job) : job_(std::move(job)) {}
  ~StopUnlessDone() {
    if (!job_->result()) job_->stop();
  }
  StopUnlessDone(const StopUnlessDone&) = delete;
  StopUnlessDone& operator=(const StopUnlessDone&) = delete;

 private:
  std::shared_ptr<node::Job<T>> job_;
};

/// Sends progress lines until the job has ended. The job stops when the caller has gone.
template <class T>
awaitable<Result<>> watch(runtime::Runtime& runtime, std::shared_ptr<node::Job<T>> job,
                          std::string_view phase, Duration interval, Lines& lines) {
  const StopUnlessDone<T> guard(job);
  const TimePoint begun = runtime.now();
  for (;;) {
    const bool done = co_await job->wait_until(runtime.now() + interval);
    if (done) break;
    WARREN_CO_TRY_VOID(
        co_await lines.send(job_line(job->progress(), phase, runtime.now() - begun)));
  }
  co_return Result<>{};
}

}  // namespace warren::api

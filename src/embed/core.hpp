#pragma once
// A node with its core thread: lets other threads call into it, start it and stop it.

#include <boost/asio/post.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "embed/call.hpp"
#include "embed/event_thread.hpp"
#include "node/instance_lock.hpp"
#include "node/machine/machine.hpp"
#include "runtime/deadline.hpp"
#include "runtime/task_group.hpp"

namespace warren::embed {

using runtime::awaitable;

/// Calls of other threads that wait for the network or the disk at a time; beyond: kLimited.
inline constexpr std::size_t kCallsMax = 256;
/// What a call waits for the core thread beyond its own deadline. Source: CL-7 stops in 5 s too.
inline constexpr Duration kCoreTimeMax = 5s;

class Core {
 public:
  /// Makes the threads; nothing is on the network. Errors: Machine::make();
  /// kLimited when the system gives no thread.
  static Result<std::unique_ptr<Core>> make(const node::MachineOptions& options,
                                            const crypto::PrivateKey& identity,
                                            node::InstanceLock lock);
  /// ended() must be true. What waits for callbacks is dropped.
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // A timeout is at most a year (time_of()).

  /// Errors: Node::start(); kTimedOut; then it stops. kClosed when it was started or stopped
  /// before.
  Result<> start(Duration timeout);
  /// Ends everything. Errors: kTimedOut: then the node, or one of its callbacks, is yet to end.
  Result<> stop(Duration timeout);
  /// Nothing of the node is left, its storage is free; a callback may still run.
  bool ended();

  /// Runs `work`, `Result<T>(node::Node&)`, on the core thread. Any other thread.
  template <class T, class Work>
  Result<T> look(Work work);
  /// Runs the task that `work`, `awaitable<Result<T>>(node::Node&, TimePoint deadline)`, makes on
  /// the core thread. It is cancelled when its time is over or the node stops.
  template <class T, class Work>
  Result<T> run(Duration timeout, Work work);

  /// The monotonic time. Errors: kClosed.
  Result<TimePoint> now();

  EventThread& events() { return *events_; }

 private:
  enum class Phase { kMade, kStarting, kRunning, kStopping };

  explicit Core(node::InstanceLock lock) : lock_(std::move(lock)) {}
  Result<> check_running() const;
  void watch_transfers();
  /// What cancels calls is the stop of the node.
  Error closed_if_stopping(Error error);
  awaitable<void> start_node(Promise<void> promise);
  awaitable<void> stop_node();
  void begin_stop();
  void run_core();

  template <class T, class Work>
  static awaitable<void> run_call(Core* core, Work work, TimePoint deadline, Promise<T> promise);

  std::mutex mutex_;
  Phase phase_ = Phase::kMade;
  bool ended_ = true;  ///< Also until make() has its thread.
  // The core thread lets go of these at its end. Others touch machine_ before kStopping only.
  std::optional<node::InstanceLock> lock_;
  std::unique_ptr<node::Machine> machine_;
  std::unique_ptr<runtime::TaskGroup> calls_;  ///< Core thread only.
  std::unique_ptr<EventThread> events_;        ///< Until destruction: subscribe() asks it.
  std::thread thread_;
};

// ----------------------------------------------------------------------------------- calling in

template <class T, class Work>
Result<T> Core::look(Work work) {
  const auto call = std::make_shared<Call<T>>();
  {
    const std::lock_guard lock(mutex_);
    WARREN_TRY_VOID(check_running());
    boost::asio::post(machine_->runtime().executor(),
                      [this, work = std::move(work), promise = Promise<T>(call)]() mutable {
                        promise.finish(work(machine_->node()));
                      });
  }
  auto result = call->wait(kCoreTimeMax);
  if (!result) return fail(ErrorCode::kTimedOut, "the node did not answer within 5 s");
  return *std::move(result);
}

template <class T, class Work>
awaitable<void> Core::run_call(Core* core, Work work, TimePoint deadline, Promise<T> promise) {
  auto result = co_await runtime::with_deadline<T>(core->machine_->runtime(), deadline,
                                                   work(core->machine_->node(), deadline));
  promise.finish(std::move(result));
}

template <class T, class Work>
Result<T> Core::run(Duration timeout, Work work) {
  // What is quick enough would be done all the same before anyone looks at the time.
  if (timeout <= Duration::zero()) return fail(ErrorCode::kTimedOut, "no time was left for it");
  const auto call = std::make_shared<Call<T>>();
  {
    const std::lock_guard lock(mutex_);
    WARREN_TRY_VOID(check_running());
    const TimePoint deadline = machine_->runtime().now() + timeout;
    boost::asio::post(machine_->runtime().executor(), [this, deadline, work = std::move(work),
                                                       promise = Promise<T>(call)]() mutable {
      if (calls_->size() >= kCallsMax) {
        promise.finish(fail(ErrorCode::kLimited, "256 calls into this node wait already"));
        return;
      }
      // Refused only while the node stops: then the promise says so.
      static_cast<void>(
          calls_->spawn(run_call<T, Work>(this, std::move(work), deadline, std::move(promise))));
    });
  }
  auto result = call->wait(timeout + kCoreTimeMax);
  if (!result) return fail(ErrorCode::kTimedOut, "the node did not answer in time");
  if (!*result) return fail(closed_if_stopping(std::move(*result).error()));
  return *std::move(result);
}

}  // namespace warren::embed

#pragma once
// A thread for work that blocks for long in the code of others, and needs the core thread for what
// it waits for.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/result.hpp"
#include "runtime/runtime.hpp"

namespace warren::runtime {

/// Runs `work` on a thread of its own, and the core thread, in turns: the work asks for something
/// and rests until the core thread has done it. What both use of each other's needs no lock.
///
/// Once begun, next() has to be called until it says that the work has ended.
class BlockingThread {
 public:
  /// `work` may not throw. `runtime` outlives it.
  BlockingThread(Runtime& runtime, std::move_only_function<void()> work)
      : executor_(runtime.executor()), work_(std::move(work)) {}
  ~BlockingThread();
  BlockingThread(const BlockingThread&) = delete;
  BlockingThread& operator=(const BlockingThread&) = delete;

  /// Core thread: begins, or goes on with, the work. True: it asks for something, which the caller
  /// does before the next call. False: it has ended, and its thread with it.
  /// Errors: kLimited, before it has begun: the system gives no thread. Cancel: ignored.
  awaitable<Result<bool>> next();
  /// That thread: lets the core thread do what is asked for, and waits for it.
  void ask() { give_turn(false); }

 private:
  void give_turn(bool ended);

  asio::any_io_executor executor_;
  std::move_only_function<void()> work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::move_only_function<void()> core_;  ///< Goes on there; empty: it is the turn of the core.
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace warren::runtime

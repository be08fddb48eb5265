#pragma once
// Hands the events of one node to the program, on a thread of its own: whatever a callback does,
// the core thread of the node goes on.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "warren/event.hpp"

namespace warren::v1 {

/// One callback. Any thread.
class __attribute__((visibility("hidden"))) Subscription::Impl {
 public:
  explicit Impl(EventCallback callback) : callback_(std::move(callback)) {}
  /// Unless it has ended. Only the event thread.
  void deliver(const Event& event);
  /// Subscription::end().
  void end() noexcept;
  bool active() const noexcept;

 private:
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  EventCallback callback_;
  bool ended_ = false;
  bool running_ = false;
  std::thread::id thread_;  ///< Of the call in progress.
};

}  // namespace warren::v1

namespace warren::embed {

/// Events that wait for a callback that is busy. Beyond: dropped and counted.
inline constexpr std::size_t kEventsWaitingMax = 4096;
inline constexpr std::size_t kSubscriptionsMax = 64;

class EventThread {
 public:
  using SubscriptionPtr = std::shared_ptr<v1::Subscription::Impl>;

  EventThread();
  /// Drops what waits. A callback that has not returned yet is left to itself, and is the last one.
  /// Any other thread than this one.
  ~EventThread();
  EventThread(const EventThread&) = delete;
  EventThread& operator=(const EventThread&) = delete;

  enum class Added { kYes, kTooMany, kClosed };
  /// Any thread, as all of these.
  Added add(SubscriptionPtr subscription);
  void push(v1::Event event);
  /// Takes nothing more; what waits is still delivered, then the thread ends.
  void close();
  /// Waits until it has ended; false when `time` was not enough.
  bool wait_ended(std::chrono::nanoseconds time);
  bool is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  /// Outlives this while a callback does not return.
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<v1::Event> events;
    std::vector<SubscriptionPtr> subscriptions;
    std::uint64_t lost = 0;
    bool telling = false;  ///< A callback may be running.
    bool closed = false;
    bool ended = false;
    std::atomic<bool> abandoned = false;  ///< Nobody is told of anything more.
  };
  static void run(State& state);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;
};

}  // namespace warren::embed

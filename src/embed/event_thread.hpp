#pragma once
// Hands the events of one node to the program, on a thread of its own: whatever a callback does,
// the core thread of the node goes on.

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
  /// close() must have been called and is_idle() be true, or wait_idle() have said so.
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
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<v1::Event> events_;
  std::vector<SubscriptionPtr> subscriptions_;
  std::uint64_t lost_ = 0;
  bool closed_ = false;
  bool ended_ = false;
  std::thread thread_;  // Last: it uses everything above.
};

}  // namespace warren::embed

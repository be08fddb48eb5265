#include "embed/event_thread.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace warren::v1 {

void Subscription::Impl::deliver(const Event& event) {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  running_ = true;
  thread_ = std::this_thread::get_id();
  lock.unlock();
  callback_(event);
  EventCallback dropped;  // What it holds is destroyed without the lock.
  lock.lock();
  running_ = false;
  if (ended_) dropped = std::exchange(callback_, nullptr);
  idle_.notify_all();
  lock.unlock();
}

void Subscription::Impl::end() noexcept {
  EventCallback dropped;
  std::unique_lock lock(mutex_);
  ended_ = true;
  if (running_ && thread_ == std::this_thread::get_id()) return;
  idle_.wait(lock, [this] { return !running_; });
  dropped = std::exchange(callback_, nullptr);
  lock.unlock();
}

bool Subscription::Impl::active() const noexcept {
  const std::lock_guard lock(mutex_);
  return !ended_;
}

Subscription::Subscription() noexcept = default;
Subscription::Subscription(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Subscription::Subscription(Subscription&& other) noexcept = default;
Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  end();
  impl_ = std::move(other.impl_);
  return *this;
}
Subscription::~Subscription() { end(); }

void Subscription::end() noexcept {
  const std::shared_ptr<Impl> ended = std::exchange(impl_, nullptr);
  if (ended) ended->end();
}

bool Subscription::active() const noexcept { return impl_ && impl_->active(); }

}  // namespace warren::v1

namespace warren::embed {

EventThread::EventThread() : thread_([this] { run(); }) {}

EventThread::~EventThread() {
  close();
  WARREN_CHECK(!is_this_thread());
  thread_.join();
}

EventThread::Added EventThread::add(SubscriptionPtr subscription) {
  const std::lock_guard lock(mutex_);
  if (closed_) return Added::kClosed;
  std::erase_if(subscriptions_, [](const SubscriptionPtr& old) { return !old->active(); });
  if (subscriptions_.size() >= kSubscriptionsMax) return Added::kTooMany;
  subscriptions_.push_back(std::move(subscription));
  return Added::kYes;
}

void EventThread::push(v1::Event event) {
  const std::lock_guard lock(mutex_);
  if (closed_ || subscriptions_.empty()) return;
  if (events_.size() >= kEventsWaitingMax) {
    ++lost_;
    return;
  }
  events_.push_back(std::move(event));
  changed_.notify_all();
}

void EventThread::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

bool EventThread::wait_ended(std::chrono::nanoseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return ended_; });
}

void EventThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closed_ || !events_.empty(); });
    if (events_.empty()) break;
    const v1::Event event = std::move(events_.front());
    events_.pop_front();
    // Those that were lost came after everything that waits here.
    if (lost_ > 0) events_.push_back(v1::EventsLost{std::exchange(lost_, 0)});
    std::erase_if(subscriptions_, [](const SubscriptionPtr& old) { return !old->active(); });
    const std::vector<SubscriptionPtr> told = subscriptions_;
    lock.unlock();
    for (const SubscriptionPtr& subscription : told) subscription->deliver(event);
    lock.lock();
  }
  subscriptions_.clear();
  ended_ = true;
  changed_.notify_all();
}

}  // namespace warren::embed

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

EventThread::EventThread() : thread_([state = state_] { run(*state); }) {}

EventThread::~EventThread() {
  WARREN_CHECK(!is_this_thread());
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  state_->abandoned = true;
  state_->events.clear();
  state_->changed.notify_all();
  const bool telling = state_->telling;
  lock.unlock();
  if (telling) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

EventThread::Added EventThread::add(SubscriptionPtr subscription) {
  const std::lock_guard lock(state_->mutex);
  if (state_->closed) return Added::kClosed;
  std::erase_if(state_->subscriptions, [](const SubscriptionPtr& old) { return !old->active(); });
  if (state_->subscriptions.size() >= kSubscriptionsMax) return Added::kTooMany;
  state_->subscriptions.push_back(std::move(subscription));
  return Added::kYes;
}

void EventThread::push(v1::Event event) {
  const std::lock_guard lock(state_->mutex);
  if (state_->closed || state_->subscriptions.empty()) return;
  if (state_->events.size() >= kEventsWaitingMax) {
    ++state_->lost;
    return;
  }
  state_->events.push_back(std::move(event));
  state_->changed.notify_all();
}

void EventThread::close() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
  state_->changed.notify_all();
}

bool EventThread::wait_ended(std::chrono::nanoseconds time) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, time, [this] { return state_->ended; });
}

void EventThread::run(State& state) {
  std::unique_lock lock(state.mutex);
  for (;;) {
    state.changed.wait(lock, [&state] { return state.closed || !state.events.empty(); });
    if (state.events.empty()) break;
    const v1::Event event = std::move(state.events.front());
    state.events.pop_front();
    // Those that were lost came after everything that waits here.
    if (state.lost > 0) state.events.push_back(v1::EventsLost{std::exchange(state.lost, 0)});
    std::erase_if(state.subscriptions, [](const SubscriptionPtr& old) { return !old->active(); });
    const std::vector<SubscriptionPtr> told = state.subscriptions;
    state.telling = true;
    lock.unlock();
    for (const SubscriptionPtr& subscription : told) {
      if (!state.abandoned) subscription->deliver(event);
    }
    lock.lock();
    state.telling = false;
  }
  state.subscriptions.clear();
  state.ended = true;
  state.changed.notify_all();
}

}  // namespace warren::embed

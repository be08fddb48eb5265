#include "embed/event_thread.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

namespace warren::embed {
namespace {

using namespace std::chrono_literals;

std::string id_of(const v1::Event& event) { return std::get<v1::PeerDisconnected>(event).peer_id; }

std::shared_ptr<v1::Subscription::Impl> made(v1::EventCallback callback) {
  return std::make_shared<v1::Subscription::Impl>(std::move(callback));
}

TEST(EventThread, TellsInOrderAndTellsTheRestBeforeItEnds) {
  std::vector<std::string> told;
  EventThread events;
  ASSERT_EQ(events.add(made([&](const v1::Event& event) { told.push_back(id_of(event)); })),
            EventThread::Added::kYes);
  for (const char* id : {"a", "b", "c"}) events.push(v1::PeerDisconnected{.peer_id = id});
  events.close();
  events.push(v1::PeerDisconnected{.peer_id = "too late"});
  ASSERT_TRUE(events.wait_ended(10s));
  EXPECT_EQ(told, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(events.add(made([](const v1::Event&) {})), EventThread::Added::kClosed);
}

TEST(EventThread, DropsWhatASlowCallbackCannotTakeAndSaysHowMuch) {
  std::promise<void> inside;
  std::promise<void> go_on;
  std::size_t told = 0;
  std::vector<std::uint64_t> lost;
  EventThread events;
  ASSERT_EQ(events.add(made([&](const v1::Event& event) {
    if (const auto* gone = std::get_if<v1::EventsLost>(&event)) {
      lost.push_back(gone->count);
    } else if (told++ == 0) {
      inside.set_value();
      go_on.get_future().wait();
    }
  })),
            EventThread::Added::kYes);
  events.push(v1::PeerDisconnected{});
  inside.get_future().wait();
  constexpr std::size_t kTooMany = 100;
  for (std::size_t i = 0; i < kEventsWaitingMax + kTooMany; ++i) {
    events.push(v1::PeerDisconnected{});
  }
  go_on.set_value();
  events.close();
  ASSERT_TRUE(events.wait_ended(10s));
  EXPECT_EQ(told, 1 + kEventsWaitingMax);
  EXPECT_EQ(lost, (std::vector<std::uint64_t>{kTooMany}));
}

TEST(EventThread, EndWaitsForACallInProgress) {
  std::promise<void> inside;
  std::atomic<bool> left = false;
  EventThread events;
  std::promise<void> go_on;
  const auto subscription = made([&](const v1::Event&) {
    inside.set_value();
    go_on.get_future().wait();
    left = true;
  });
  ASSERT_EQ(events.add(subscription), EventThread::Added::kYes);
  events.push(v1::PeerDisconnected{});
  inside.get_future().wait();
  auto ended = std::async(std::launch::async, [&] {
    subscription->end();
    return left.load();
  });
  EXPECT_EQ(ended.wait_for(0s), std::future_status::timeout);
  go_on.set_value();
  EXPECT_TRUE(ended.get()) << "end() returned while the callback still ran";
  events.close();
  ASSERT_TRUE(events.wait_ended(10s));
}

TEST(EventThread, MayGoWhileACallbackDoesNotReturn) {
  std::promise<void> inside;
  std::promise<void> go_on;
  std::atomic<int> told = 0;
  auto first = made([&](const v1::Event&) {
    if (told++ > 0) return;
    inside.set_value();
    go_on.get_future().wait();
  });
  auto second = made([&](const v1::Event&) { ++told; });
  const std::weak_ptr<v1::Subscription::Impl> held_by_thread = second;
  {
    EventThread events;
    ASSERT_EQ(events.add(first), EventThread::Added::kYes);
    ASSERT_EQ(events.add(second), EventThread::Added::kYes);
    second.reset();
    for (int i = 0; i < 3; ++i) events.push(v1::PeerDisconnected{});
    inside.get_future().wait();
    events.close();
    EXPECT_FALSE(events.wait_ended(1ms));
  }
  go_on.set_value();
  while (!held_by_thread.expired()) std::this_thread::yield();  // Until the thread has ended.
  EXPECT_EQ(told, 1) << "nobody is told of anything more";
}

TEST(EventThread, EventsWithoutASubscriptionAreNotKept) {
  EventThread events;
  events.push(v1::PeerDisconnected{});
  std::size_t told = 0;
  ASSERT_EQ(events.add(made([&](const v1::Event&) { ++told; })), EventThread::Added::kYes);
  events.close();
  ASSERT_TRUE(events.wait_ended(10s));
  EXPECT_EQ(told, 0u);
}

}  // namespace
}  // namespace warren::embed

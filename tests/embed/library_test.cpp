// The contract of the library's calls: what each headers' comments promise, on real nodes.

#include <atomic>
#include <csignal>
#include <future>
#include <thread>

#include "rig.hpp"

namespace warren::test {
namespace {

/// A node on a storage that another one is about to leave.
Result<Node> build_when_free(const NodeBuilder& builder) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto node = builder.build();
    if (node || node.error().code != ErrorCode::kConflict) return node;
    if (std::chrono::steady_clock::now() > deadline) return node;
    std::this_thread::yield();
  }
}

TEST(NodeBuilder, NamesTheChoiceThatIsNone) {
  const TempFolder folder;
  const auto refused = [](const NodeBuilder& builder) {
    const auto node = builder.build();
    EXPECT_FALSE(node);
    return node ? Error{} : node.error();
  };
  EXPECT_EQ(refused(NodeBuilder()).code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused(NodeBuilder()).hint.find("with_storage"), std::string::npos);

  NodeBuilder builder = quiet(folder / "n");
  builder.with_listen_addresses({"/ip4/nonsense"});
  EXPECT_NE(refused(builder).message.find("nonsense"), std::string::npos);
  builder = quiet(folder / "n");
  builder.with_listen_addresses(std::vector<std::string>(33, "/ip4/127.0.0.1/tcp/0"));
  EXPECT_NE(refused(builder).message.find("33"), std::string::npos);
  builder = quiet(folder / "n");
  builder.with_bootstrap_nodes({"/ip4/127.0.0.1/tcp/4001"});
  EXPECT_NE(refused(builder).message.find("/p2p"), std::string::npos);
  builder = quiet(folder / "n");
  builder.with_max_peers(4).with_target_peers(5);
  EXPECT_NE(refused(builder).message.find("target_peers is 5"), std::string::npos);
  builder = quiet(folder / "n");
  builder.with_heartbeat(1ms);
  EXPECT_EQ(refused(builder).code, ErrorCode::kInvalidArgument);
  builder = quiet(folder / "n");
  write_file(folder / "bad.yaml", "mnds:\n  enabled: true\n");
  builder.with_configuration(folder / "bad.yaml");
  EXPECT_NE(refused(builder).message.find("bad.yaml:1:1"), std::string::npos);
}

TEST(NodeBuilder, IsUsedAgainAndTheStorageKeepsTheIdentity) {
  const TempFolder folder;
  const NodeBuilder builder = quiet(folder / "n");
  std::string id;
  {
    const auto node = builder.build();
    ASSERT_TRUE(node) << said(node);
    id = node->peer_id();
    EXPECT_TRUE(id.starts_with("12D3KooW")) << id;
    EXPECT_EQ(node->public_key().size(), 36u);
    const auto second = builder.build();
    ASSERT_FALSE(second) << "two nodes on one storage";
    EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  }
  const auto again = builder.start();
  ASSERT_TRUE(again) << said(again);
  EXPECT_EQ(again->peer_id(), id);
}

TEST(Node, SaysClosedBeforeStartAfterStopAndWhenMovedFrom) {
  const TempFolder folder;
  auto node = quiet(folder / "n").build();
  ASSERT_TRUE(node) << said(node);
  EXPECT_EQ(node->list_peers().error().code, ErrorCode::kClosed);
  EXPECT_EQ(node->share("/tmp").error().code, ErrorCode::kClosed);
  EXPECT_FALSE(node->peer_id().empty());
  ASSERT_TRUE(node->start());
  EXPECT_EQ(node->start().error().code, ErrorCode::kClosed) << "only once";
  EXPECT_TRUE(node->list_peers());

  Node moved = *std::move(node);
  EXPECT_EQ(node->list_peers().error().code, ErrorCode::kClosed);
  EXPECT_EQ(node->subscribe([](const Event&) {}).error().code, ErrorCode::kClosed);
  EXPECT_EQ(node->peer_id(), "");
  EXPECT_TRUE(node->stop());

  EXPECT_TRUE(moved.stop());
  EXPECT_TRUE(moved.stop()) << "idempotent";
  EXPECT_EQ(moved.list_peers().error().code, ErrorCode::kClosed);
  EXPECT_EQ(moved.add_peer("/ip4/127.0.0.1/udp/1/quic-v1").error().code, ErrorCode::kClosed);
  EXPECT_EQ(moved.subscribe([](const Event&) {}).error().code, ErrorCode::kClosed);
  EXPECT_FALSE(moved.peer_id().empty());
}

TEST(Node, NamesThePortThatIsInUse) {
  const TempFolder folder;
  TestNode first(folder / "a");
  const std::string taken = first.address().substr(0, first.address().find("/p2p"));
  NodeBuilder builder = quiet(folder / "b");
  builder.with_listen_addresses({taken});
  const auto second = builder.start();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_NE(second.error().message.find(taken), std::string::npos) << second.error().message;
}

TEST(Node, AStartThatTimesOutLeavesNothingBehind) {
  const TempFolder folder;
  const NodeBuilder builder = quiet(folder / "n");
  auto node = builder.build();
  ASSERT_TRUE(node) << said(node);
  EXPECT_EQ(node->start(0ms).error().code, ErrorCode::kTimedOut);
  const Error error = node->list_peers().error();
  EXPECT_EQ(said(error), "closed: the node has been stopped");
  auto again = build_when_free(builder);
  ASSERT_TRUE(again) << said(again);
  EXPECT_TRUE(again->start());
  EXPECT_TRUE(node->stop());
}

TEST(Node, ListensNowhereWhenTold) {
  const TempFolder folder;
  NodeBuilder builder = quiet(folder / "a");
  builder.with_listen_addresses({});
  TestNode deaf(builder);
  EXPECT_EQ(deaf->listen_addresses().value().size(), 0u);
  TestNode other(folder / "b");
  EXPECT_TRUE(deaf->add_peer(other.address())) << "it dials nevertheless";
}

TEST(Node, EveryWaitEndsAtItsTimeout) {
  const TempFolder folder;
  TestNode node(folder / "a");
  // Reserved for documentation: nobody answers there. Loopback has no route to it either.
  const auto begun = std::chrono::steady_clock::now();
  const auto added = node->add_peer("/ip4/127.0.0.1/udp/9/quic-v1", {}, 300ms);
  const auto took = std::chrono::steady_clock::now() - begun;
  ASSERT_FALSE(added);
  EXPECT_LT(took, 5s);
  const auto zero = node->add_peer("/ip4/127.0.0.1/udp/9/quic-v1", {}, 0ms);
  ASSERT_FALSE(zero);
  EXPECT_EQ(zero.error().code, ErrorCode::kTimedOut) << said(zero);
  const auto negative = node->shares(-5s);
  ASSERT_FALSE(negative);
  EXPECT_EQ(negative.error().code, ErrorCode::kTimedOut) << said(negative);
  EXPECT_TRUE(node->shares(std::chrono::milliseconds::max())) << "more than a year is a year";
}

TEST(Node, StopEndsTheWaitsOfOtherThreads) {
  const TempFolder folder;
  TestNode node(folder / "a");
  std::promise<void> begun;
  auto waiting = std::async(std::launch::async, [&] {
    begun.set_value();
    return node->get({.what = "what-nobody-has"}, 1h).error();
  });
  begun.get_future().wait();
  ASSERT_TRUE(node->stop());
  ASSERT_EQ(waiting.wait_for(kPatience), std::future_status::ready);
  const Error error = waiting.get();
  EXPECT_EQ(error.code, ErrorCode::kClosed) << said(error);
}

TEST(Node, ManyThreadsMayCallIt) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(a->add_peer(b.address()));
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        if (!a->list_peers() || !a->find_peer(b.id()) || !a->shares()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
}

TEST(Node, SharesAndGetsAFolderWithProgress) {
  const TempFolder folder;
  const std::string text(3'000'000, 'w');
  write_file(folder / "files/one.txt", text);
  write_file(folder / "files/deep/two.txt", "two");
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  const auto shared = a->share(folder / "files", "things");
  ASSERT_TRUE(shared) << said(shared);
  EXPECT_EQ(shared->name, "things");
  EXPECT_EQ(shared->bytes, text.size() + 3);
  ASSERT_EQ(a->shares().value().size(), 1u);
  EXPECT_EQ(a->shares()->front().cid, shared->cid);

  ASSERT_TRUE(b->add_peer(a.address()));
  std::vector<GetProgress> seen;
  const auto here = std::this_thread::get_id();
  const auto got =
      b->get({.what = "things", .folder = folder / "got"}, 1min, [&](const GetProgress& progress) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        seen.push_back(progress);
        return true;
      });
  ASSERT_TRUE(got) << said(got);
  EXPECT_EQ(got->cid, shared->cid);
  EXPECT_EQ(got->path, folder / "got/things");
  EXPECT_EQ(got->bytes, shared->bytes);
  EXPECT_EQ(read_file(folder / "got/things/one.txt"), text);
  EXPECT_EQ(read_file(folder / "got/things/deep/two.txt"), "two");
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().bytes_done, shared->bytes);
  const auto completed = b.wait_for<TransferChanged>([](const TransferChanged& change) {
    return change.state == TransferChanged::State::kCompleted;
  });
  ASSERT_TRUE(completed);
  EXPECT_EQ(completed->cid, shared->cid);

  const auto peers = b->list_peers();
  ASSERT_TRUE(peers);
  ASSERT_EQ(peers->size(), 1u);
  EXPECT_GT(peers->front().bytes_received, text.size());
  ASSERT_TRUE(a->unshare("things"));
  EXPECT_EQ(a->shares().value().size(), 0u);
  EXPECT_EQ(a->unshare("things").error().code, ErrorCode::kNotFound);
}

TEST(Node, AGetThatIsStoppedGoesOnLater) {
  const TempFolder folder;
  write_file(folder / "file", std::string(2'000'000, 'x'));
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  ASSERT_TRUE(a->share(folder / "file", "thing"));
  const GetRequest request{.what = "thing", .folder = folder / "got"};
  // Nobody has it yet: the callback stops the wait.
  const auto stopped = b->get(request, 1min, [](const GetProgress&) { return false; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled) << said(stopped);
  ASSERT_TRUE(b->add_peer(a.address()));
  const auto got = b->get(request, 1min);
  ASSERT_TRUE(got) << said(got);
  EXPECT_EQ(std::filesystem::file_size(got->path), 2'000'000u);
}

TEST(Node, WhatTheProgressCallbackThrowsComesOutOfGet) {
  const TempFolder folder;
  TestNode node(folder / "a");
  EXPECT_THROW(static_cast<void>(node->get(
                   {.what = "thing", .folder = folder / "got"}, 1min,
                   [](const GetProgress&) -> bool { throw std::runtime_error("enough"); })),
               std::runtime_error);
  EXPECT_TRUE(node->list_peers()) << "the node goes on";
}

TEST(Node, SaysNoPeerWhenNobodyHasIt) {
  const TempFolder folder;
  TestNode node(folder / "a");
  const auto got = node->get({.what = "nothing-like-this", .folder = folder / "got"}, 500ms);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().code == ErrorCode::kNoPeer || got.error().code == ErrorCode::kTimedOut)
      << said(got);
}

// ---------------------------------------------------------------------------------- callbacks

TEST(Callbacks, MayCallTheNodeButNotStopIt) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  struct Seen {
    std::size_t peers = 0;
    ErrorCode stop = ErrorCode::kInternal;
    bool added = false;
  };
  std::promise<Seen> seen;
  const auto subscription = a->subscribe([&](const Event& event) {
    if (!std::holds_alternative<PeerConnected>(event)) return;
    Seen now;
    now.peers = a->list_peers().value().size();
    now.added = a->add_peer(b.address()).has_value();
    const auto stopped = a->stop();
    now.stop = stopped ? ErrorCode::kInternal : stopped.error().code;
    seen.set_value(now);
  });
  ASSERT_TRUE(subscription) << said(subscription);
  ASSERT_TRUE(b->add_peer(a.address()));
  auto told = seen.get_future();
  ASSERT_EQ(told.wait_for(kPatience), std::future_status::ready);
  const Seen what = told.get();
  EXPECT_EQ(what.peers, 1u);
  EXPECT_TRUE(what.added);
  EXPECT_EQ(what.stop, ErrorCode::kConflict);
  EXPECT_TRUE(a->list_peers()) << "still running";
}

TEST(Callbacks, ThatTakeTheirTimeDoNotHoldTheNodeUp) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  std::promise<void> inside;
  std::promise<void> leave;
  auto subscription = a->subscribe([&, once = false](const Event&) mutable {
    if (std::exchange(once, true)) return;
    inside.set_value();
    leave.get_future().wait();
  });
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(b->add_peer(a.address()));
  ASSERT_EQ(inside.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(a->list_peers().value().size(), 1u);
  EXPECT_EQ(a->stop(50ms).error().code, ErrorCode::kTimedOut) << "the callback still runs";
  leave.set_value();
  EXPECT_TRUE(a->stop());
}

TEST(Callbacks, ThatDoNotReturnDoNotKeepTheStorage) {
  const TempFolder folder;
  const NodeBuilder builder = quiet(folder / "a");
  TestNode b(folder / "b");
  std::promise<void> inside;
  std::promise<void> leave;
  std::atomic<int> told = 0;
  Subscription subscription;
  {
    auto a = builder.build();
    ASSERT_TRUE(a) << said(a);
    auto made = a->subscribe([&](const Event&) {
      if (told++ > 0) return;
      inside.set_value();
      leave.get_future().wait();
    });
    ASSERT_TRUE(made);
    subscription = *std::move(made);
    ASSERT_TRUE(a->start());
    ASSERT_TRUE(b->add_peer(a->listen_addresses().value().front()));
    ASSERT_EQ(inside.get_future().wait_for(kPatience), std::future_status::ready);
    EXPECT_EQ(a->stop(50ms).error().code, ErrorCode::kTimedOut);
    auto again = build_when_free(builder);
    ASSERT_TRUE(again) << said(again);
    EXPECT_TRUE(again->start());
  }
  EXPECT_TRUE(builder.start()) << "the first one is destroyed";
  leave.set_value();
  subscription.end();
  EXPECT_EQ(told, 1) << "what waited was dropped";
}

TEST(Callbacks, AreNotCalledAnyMoreOnceTheSubscriptionHasEnded) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  auto held = std::make_shared<std::atomic<int>>(0);
  {
    auto subscription = a->subscribe([held](const Event&) { ++*held; });
    ASSERT_TRUE(subscription);
    EXPECT_TRUE(subscription->active());
    Subscription moved = *std::move(subscription);
    EXPECT_FALSE(subscription->active());
    EXPECT_TRUE(moved.active());
  }
  EXPECT_EQ(held.use_count(), 1) << "what the callback held is gone";
  ASSERT_TRUE(b->add_peer(a.address()));
  ASSERT_TRUE(a.wait_for<PeerConnected>(b.id()));
  EXPECT_EQ(*held, 0);
}

TEST(Callbacks, MayEndTheirOwnSubscription) {
  const TempFolder folder;
  TestNode a(folder / "a");
  TestNode b(folder / "b");
  Subscription mine;
  std::promise<void> ended;
  auto subscription = a->subscribe([&](const Event&) {
    mine.end();
    ended.set_value();  // A second call would throw.
  });
  ASSERT_TRUE(subscription);
  mine = *std::move(subscription);
  ASSERT_TRUE(b->add_peer(a.address()));
  ASSERT_EQ(ended.get_future().wait_for(kPatience), std::future_status::ready);
  ASSERT_TRUE(b->stop());
  ASSERT_TRUE(a.wait_for<PeerDisconnected>(b.id()));
  EXPECT_FALSE(mine.active());
}

TEST(Callbacks, AreBounded) {
  const TempFolder folder;
  TestNode node(folder / "a");
  std::vector<Subscription> all;
  for (int i = 0; i < 63; ++i) {  // One is the rig's.
    auto subscription = node->subscribe([](const Event&) {});
    ASSERT_TRUE(subscription) << i;
    all.push_back(*std::move(subscription));
  }
  EXPECT_EQ(node->subscribe([](const Event&) {}).error().code, ErrorCode::kLimited);
  EXPECT_EQ(node->subscribe({}).error().code, ErrorCode::kInvalidArgument);
  all.clear();
  EXPECT_TRUE(node->subscribe([](const Event&) {}));
}

// ------------------------------------------------------------------------------------ the host

int signals_of_this_thread = 0;
void count_signal(int) { ++signals_of_this_thread; }

// A signal to the process goes to a thread that does not block it: only the program's own do not.
TEST(Host, KeepsItsSignals) {
  const TempFolder folder;
  TestNode node(folder / "a");
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = count_signal;
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  signals_of_this_thread = 0;
  for (int i = 0; i < 100; ++i) ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  EXPECT_EQ(signals_of_this_thread, 100) << "delivered before kill() returns, to this thread";
  ::sigaction(SIGUSR1, &before, nullptr);
}

// Connections that break while bytes are on their way to them must not raise SIGPIPE, whose
// default ends the program.
TEST(Host, DoesNotDieOfSigpipe) {
  const TempFolder folder;
  struct sigaction before{};
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ASSERT_EQ(::sigaction(SIGPIPE, &standard, &before), 0);
  write_file(folder / "file", std::string(4'000'000, 'x'));
  NodeBuilder builder = quiet(folder / "a");
  builder.with_listen_addresses({"/ip4/127.0.0.1/tcp/0"});
  TestNode a(builder);
  ASSERT_TRUE(a->share(folder / "file", "thing"));
  for (int round = 0; round < 5; ++round) {
    TestNode b(quiet(folder / ("b" + std::to_string(round))));
    ASSERT_TRUE(b->add_peer(a.address()));
    static_cast<void>(b->get({.what = "thing", .folder = folder / "got"}, 1min,
                             [](const GetProgress& progress) { return progress.bytes_done == 0; }));
    ASSERT_TRUE(b->stop());
  }
  EXPECT_TRUE(a->list_peers());
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST(Host, TwoNodesInOneProcessComeAndGo) {
  const TempFolder folder;
  for (int round = 0; round < 3; ++round) {
    TestNode a(folder / "a");
    TestNode b(folder / "b");
    ASSERT_TRUE(a->add_peer(b.address()));
    EXPECT_TRUE(b.wait_for<PeerConnected>(a.id()));
  }
}

TEST(Version, IsThatOfTheProject) { EXPECT_EQ(version(), WARREN_VERSION_EXPECTED); }

}  // namespace
}  // namespace warren::test

// The serving side as a peer sees it.

#include "transfer/data_server.hpp"

#include "base/varint.hpp"
#include "runtime/task_group.hpp"
#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

Bytes framed(const Request& request) {
  const Bytes message = encode(request);
  Bytes out;
  append_uvarint(out, message.size());
  append(out, message);
  return out;
}

// Asks for leaves on a stream and reads nothing, until cancelled.
awaitable<void> ask_and_read_nothing(TestNode& node, PeerId peer, Cid root, std::uint64_t leaves) {
  std::vector<std::string> protocols(1, std::string(kDataProtocol));
  auto stream = co_await node.swarm().open_stream(peer, std::move(protocols), kNever);
  if (!stream) co_return;
  const Bytes request = framed(RangeRequest{root, 0, leaves});
  (void)co_await stream->stream->write(BytesView(request), kNever);
  (void)co_await node.runtime().sleep_for(1h);
}

TEST(DataServer, APeerThatTakesNothingDoesNotStarveTheOthers) {
  TestNet net;
  write_file(net.path() / "big", random_text(40u << 20, 1));
  TransferConfig config;
  config.limits.serve_bytes_max = 4u << 20;
  const auto server = net.node(1, config);
  const auto greedy = net.node(2);
  const auto honest = net.node(3);
  const Cid root = server->share(net.path() / "big", "big");
  greedy->connect(*server);
  honest->connect(*server);
  runtime::TaskGroup tasks(greedy->runtime(), 16);
  for (int i = 0; i < 16; ++i) {
    EXPECT_TRUE(tasks.spawn(ask_and_read_nothing(*greedy, server->peer(), root, 40)));
  }
  net.world.run_for(5s);
  const TimePoint before = net.world.now();
  EXPECT_EQ(honest->get(root).state, State::kCompleted);
  EXPECT_LT(net.world.now() - before, 10s);
  sim::run(net.world, tasks.join());
}

// The same peer, started again: its old connections look alive to the server for a while.
TEST(DataServer, APeerThatComesBackAfterAKillIsServedWithinSeconds) {
  TestNet net;
  write_file(net.path() / "big", random_text(40u << 20, 1));
  TransferConfig config;
  config.limits.serve_bytes_max = 4u << 20;
  const auto server = net.node(1, config);
  const auto peer = net.node(2);
  const Cid root = server->share(net.path() / "big", "big");
  runtime::TaskGroup tasks(peer->runtime(), 16);
  for (int i = 0; i < 3; ++i) {
    peer->connect(*server);
    for (int k = 0; k < 4; ++k) {
      EXPECT_TRUE(tasks.spawn(ask_and_read_nothing(*peer, server->peer(), root, 40)));
    }
    net.world.run_for(100ms);
  }
  const TimePoint before = net.world.now();
  peer->connect(*server);
  // What is asked on the connections of before must not be waited for.
  const TransferId id = peer->start_get({root, {}, {}, {}, {}, 60s});
  net.world.run_for(1ms);
  EXPECT_EQ(peer->wait(id).state, State::kCompleted);
  EXPECT_LT(net.world.now() - before, 10s);
  sim::run(net.world, tasks.join());
}

TEST(DataServer, AStreamThatIsNotReadIsResetInTheEnd) {
  TestNet net;
  write_file(net.path() / "big", random_text(8u << 20, 1));
  TransferConfig config;
  config.limits.serve_bytes_max = 4u << 20;
  const auto server = net.node(1, config);
  const auto greedy = net.node(2);
  const Cid root = server->share(net.path() / "big", "big");
  greedy->connect(*server);
  runtime::TaskGroup tasks(greedy->runtime(), 16);
  EXPECT_TRUE(tasks.spawn(ask_and_read_nothing(*greedy, server->peer(), root, 8)));
  net.world.run_for(1min);
  const auto streams = [&] { return server->swarm().connections().front()->stats().streams_open; };
  EXPECT_EQ(streams(), 1u);
  net.world.run_for(70s);
  EXPECT_EQ(streams(), 0u);
  sim::run(net.world, tasks.join());
}

TEST(DataServer, AnIdleStreamIsClosed) {
  TestNet net;
  const auto server = net.node(1);
  const auto idle = net.node(2);
  idle->connect(*server);
  std::vector<std::string> protocols(1, std::string(kDataProtocol));
  const auto stream =
      sim::run(net.world, idle->swarm().open_stream(server->peer(), std::move(protocols), kNever));
  ASSERT_TRUE(stream);
  const auto streams = [&] { return server->swarm().connections().front()->stats().streams_open; };
  net.world.run_for(50s);
  EXPECT_EQ(streams(), 1u);
  net.world.run_for(20s);
  EXPECT_EQ(streams(), 0u);
}

}  // namespace
}  // namespace warren::transfer

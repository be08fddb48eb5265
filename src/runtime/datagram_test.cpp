// Datagram batches: UDP on the machine's loopback, and the simulated network.

#include <algorithm>
#include <numeric>
#include <set>

#include "runtime/real_datagram.hpp"
#include "runtime/task_group.hpp"
#include "runtime/test_stages.hpp"

namespace warren::runtime {
namespace {

template <class Stage>
class DatagramTest : public ::testing::Test {
 public:
  Stage stage;
};
TYPED_TEST_SUITE(DatagramTest, BothStages, StageNames);

using Socket = std::unique_ptr<DatagramSocket>;

Bytes pattern(std::size_t size, std::uint8_t first) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

/// One datagram, copied out of its batch.
struct Datagram {
  Endpoint from, to;
  std::uint8_t ecn = 0;
  Bytes bytes;
};

/// Receives until `count` datagrams are there.
awaitable<Result<std::vector<Datagram>>> receive(DatagramSocket& socket, std::size_t count) {
  std::vector<Datagram> all;
  while (all.size() < count) {
    WARREN_CO_TRY(const auto batches, co_await socket.receive());
    for (const ReceivedBatch& batch : batches) {
      std::size_t at = 0;
      do {
        const BytesView rest = BytesView(batch.bytes).subspan(at);
        const BytesView one = rest.first(std::min(batch.segment_bytes, rest.size()));
        all.push_back({batch.from, batch.to, batch.ecn, to_bytes(one)});
        at += one.size();
      } while (at < batch.bytes.size());
    }
  }
  co_return all;
}

template <class Stage>
awaitable<void> segments(Stage& stage) {
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  const Bytes bytes = pattern(1'200 * 20 + 77, 3);
  SendBatch batch;
  batch.to = to->local();
  batch.bytes = bytes;
  batch.segment_bytes = 1'200;
  EXPECT_TRUE(from->try_send(batch).value());
  const auto got = co_await receive(*to, 21);
  EXPECT_EQ(got->size(), 21u);
  Bytes joined;
  for (std::size_t i = 0; i < got->size(); ++i) {
    const Datagram& one = (*got)[i];
    EXPECT_EQ(one.bytes.size(), i < 20 ? 1'200u : 77u);
    EXPECT_EQ(one.from, from->local());
    EXPECT_EQ(one.to, to->local());
    append(joined, one.bytes);
  }
  EXPECT_TRUE(joined == bytes);
}

TYPED_TEST(DatagramTest, SegmentSizesOfABatchArePreserved) {
  this->stage.run(segments(this->stage));
}

template <class Stage>
awaitable<void> largest_batch(Stage& stage) {
  DatagramOptions options;
  options.buffer_bytes = 1u << 20;
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, options).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, options).value();
  const Bytes bytes = pattern(kBatchSegmentsMax * 1'000, 3);
  SendBatch batch;
  batch.to = to->local();
  batch.bytes = bytes;
  batch.segment_bytes = 1'000;
  EXPECT_TRUE(from->try_send(batch).value());
  const auto got = co_await receive(*to, kBatchSegmentsMax);
  EXPECT_EQ(got->size(), kBatchSegmentsMax);
  for (const Datagram& one : *got) EXPECT_EQ(one.bytes.size(), 1'000u);
}

TYPED_TEST(DatagramTest, ABatchTakesTheMostSegments) {
  this->stage.run(largest_batch(this->stage));
}

// Loopback has a broadcast address too: every socket with the port gets what is sent there.
template <class Stage>
awaitable<void> broadcast(Stage& stage) {
  DatagramOptions options;
  options.reuse_port = true;
  const Socket quiet = stage.a().bind_datagram({IpAddress(), 0}, options).value();
  options.broadcast = true;
  const Endpoint all{IpAddress(), quiet->local().port, 0};
  const Socket first = stage.a().bind_datagram(all, options).value();
  const Socket second = stage.a().bind_datagram(all, options).value();
  const Bytes bytes = pattern(40, 1);
  SendBatch batch;
  batch.to = {IpAddress::v4(127, 255, 255, 255), all.port, 0};
  batch.from = IpAddress::v4(127, 0, 0, 1);
  batch.interface_index = 1;
  batch.bytes = bytes;
  const auto refused = quiet->try_send(batch);
  EXPECT_FALSE(refused.has_value());
  EXPECT_TRUE(first->try_send(batch).value());
  const auto own = co_await receive(*first, 1);
  EXPECT_EQ(own->at(0).to.ip, batch.to.ip);
  EXPECT_EQ(own->at(0).from.ip, batch.from);
  const auto other = co_await receive(*second, 1);
  EXPECT_TRUE(other->at(0).bytes == bytes);
}

TYPED_TEST(DatagramTest, ABroadcastReachesAllAndNeedsItsOption) {
  this->stage.run(broadcast(this->stage));
}

template <class Stage>
awaitable<void> singles(Stage& stage) {
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  const std::vector<std::size_t> sizes{1, 1'400, 1'400, 3, 0, 900};
  for (const std::size_t size : sizes) {
    const Bytes bytes = pattern(size, 1);
    SendBatch batch;
    batch.to = to->local();
    batch.bytes = bytes;
    batch.ecn = 2;
    EXPECT_TRUE(from->try_send(batch).value());
  }
  const auto got = co_await receive(*to, sizes.size());
  std::vector<std::size_t> seen;
  for (const Datagram& one : *got) {
    seen.push_back(one.bytes.size());
    EXPECT_EQ(one.ecn, 2);
  }
  EXPECT_EQ(seen, sizes);
}

TYPED_TEST(DatagramTest, SingleDatagramsKeepOrderSizeAndEcn) {
  this->stage.run(singles(this->stage));
}

/// `begun` is told; whoever waits for it runs when receive() waits.
awaitable<void> receive_into(DatagramSocket& socket, Signal& begun, Result<>* ended) {
  begun.notify();
  const auto got = co_await socket.receive();
  if (!got) *ended = fail(got.error());
}

template <class Stage>
awaitable<void> cancel_then_receive(Stage& stage) {
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  const auto begun = stage.b().make_signal();
  Result<> ended;
  {
    TaskGroup tasks(stage.b(), 1);
    EXPECT_TRUE(tasks.spawn(receive_into(*to, *begun, &ended)));
    co_await begun->wait_until(kNever);
    co_await tasks.join();
  }
  EXPECT_EQ(ended.error().code(), ErrorCode::kCancelled);
  SendBatch batch;
  batch.to = to->local();
  batch.bytes = as_bytes("still there");
  EXPECT_TRUE(from->try_send(batch).value());
  const auto got = co_await receive(*to, 1);
  EXPECT_EQ(as_text(got->front().bytes), "still there");
}

TYPED_TEST(DatagramTest, CancelledReceiveLosesNothing) {
  this->stage.run(cancel_then_receive(this->stage));
}

template <class Stage>
awaitable<void> close_ends(Stage& stage) {
  const Socket socket = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  const auto begun = stage.b().make_signal();
  Result<> ended;
  TaskGroup tasks(stage.b(), 1);
  EXPECT_TRUE(tasks.spawn(receive_into(*socket, *begun, &ended)));
  co_await begun->wait_until(kNever);
  socket->close();
  co_await tasks.drain(kNever);
  EXPECT_FALSE(ended);
  if (!ended) EXPECT_EQ(ended.error().code(), ErrorCode::kClosed);
  SendBatch batch;
  batch.to = {stage.ip_a, 9};
  EXPECT_EQ(socket->try_send(batch).error().code(), ErrorCode::kClosed);
  const auto again = co_await socket->receive();
  EXPECT_EQ(again.error().code(), ErrorCode::kClosed);
  const auto writable = co_await socket->wait_writable();
  EXPECT_EQ(writable.error().code(), ErrorCode::kClosed);
}

TYPED_TEST(DatagramTest, CloseEndsEveryCall) { this->stage.run(close_ends(this->stage)); }

TYPED_TEST(DatagramTest, APortInUseIsAConflictUnlessShared) {
  Runtime& host = this->stage.b();
  const auto first = host.bind_datagram({this->stage.ip_b, 0}, {});
  ASSERT_TRUE(first);
  const auto second = host.bind_datagram((*first)->local(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  DatagramOptions shared;
  shared.reuse_port = true;
  const auto third = host.bind_datagram({this->stage.ip_b, 0}, shared);
  ASSERT_TRUE(third);
  EXPECT_TRUE(host.bind_datagram((*third)->local(), shared));
}

template <class Stage>
awaitable<void> refused_is_no_error(Stage& stage) {
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  Socket gone = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  SendBatch batch;
  batch.to = gone->local();
  batch.bytes = as_bytes("nobody");
  gone.reset();
  // On loopback the kernel answers before the call returns.
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(from->try_send(batch).has_value());
  // The answers of the kernel disturb neither what is sent next nor what is received.
  batch.to = to->local();
  batch.bytes = as_bytes("somebody");
  EXPECT_TRUE(from->try_send(batch).value());
  const auto got = co_await receive(*to, 1);
  batch.to = from->local();
  EXPECT_TRUE(to->try_send(batch).value());
  const auto back = co_await receive(*from, 1);
  EXPECT_EQ(as_text(back->front().bytes), "somebody");
}

TYPED_TEST(DatagramTest, SendingToAClosedPortDisturbsNothing) {
  this->stage.run(refused_is_no_error(this->stage));
}

template <class Stage>
awaitable<void> unspecified(Stage& stage) {
  const Socket from = stage.a().bind_datagram({IpAddress(), 0}, {}).value();
  const Socket to = stage.b().bind_datagram({IpAddress(), 0}, {}).value();
  SendBatch batch;
  batch.to = {stage.ip_b, to->local().port};
  batch.bytes = as_bytes("hello");
  EXPECT_TRUE(from->try_send(batch).value());
  const auto got = co_await receive(*to, 1);
  // Where it came in is known, so that an answer leaves from there.
  EXPECT_EQ(got->front().to.ip, stage.ip_b);
  EXPECT_EQ(got->front().from, (Endpoint{stage.ip_a, from->local().port}));
  SendBatch answer;
  answer.to = got->front().from;
  answer.from = got->front().to.ip;
  answer.bytes = as_bytes("answer");
  EXPECT_TRUE(to->try_send(answer).value());
  const auto back = co_await receive(*from, 1);
  EXPECT_EQ(back->front().from.ip, stage.ip_b);
}

TYPED_TEST(DatagramTest, AnUnspecifiedSocketKnowsWhereADatagramCameIn) {
  this->stage.run(unspecified(this->stage));
}

awaitable<void> flood(DatagramSocket& from, Endpoint to, Runtime& runtime, std::size_t count) {
  const Bytes bytes(1'000, 5);
  SendBatch batch;
  batch.to = to;
  batch.bytes = bytes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto sent = from.try_send(batch);
    EXPECT_TRUE(sent.has_value());
    if (!*sent) (void)co_await from.wait_writable();
    if (i % 50 == 49) (void)co_await runtime.sleep_for(100us);
  }
}

template <class Stage>
awaitable<void> no_starvation(Stage& stage) {
  // A reader that always finds more must let a sleeper wake.
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  TaskGroup tasks(stage.a(), 1);
  EXPECT_TRUE(tasks.spawn(flood(*from, to->local(), stage.a(), 1'000)));
  const auto got = co_await receive(*to, 500);
  EXPECT_GE(got->size(), 500u);
  co_await tasks.join();
}

TYPED_TEST(DatagramTest, SenderAndReceiverTakeTurns) {
  this->stage.run(no_starvation(this->stage));
}

// ----------------------------------------------------------------------------------- multicast

std::uint32_t multicast_interface(RealStage& stage) {
  const auto all = stage.a().network_interfaces();
  for (const NetworkInterface& one : *all) {
    if (one.loopback) return one.index;
  }
  return 0;
}
std::uint32_t multicast_interface(SimStage&) { return sim::kLanInterface; }

template <class Stage>
awaitable<void> multicast(Stage& stage, IpAddress group, IpAddress any) {
  const std::uint32_t index = multicast_interface(stage);
  DatagramOptions options;
  options.reuse_port = true;
  const Socket one = stage.a().bind_datagram({any, 0}, options).value();
  const std::uint16_t port = one->local().port;
  const Socket two = stage.b().bind_datagram({any, port}, options).value();
  const Socket deaf = stage.b().bind_datagram({any, port}, options).value();
  for (const Socket* socket : {&one, &two}) {
    const auto joined = (*socket)->join_multicast(group, index);
    EXPECT_TRUE(joined) << joined.error().message();
    EXPECT_TRUE((*socket)->join_multicast(group, index));  // Twice is no error.
  }
  SendBatch batch;
  batch.to = {group, port, group.is_link_local() ? index : 0};
  batch.interface_index = index;
  batch.bytes = as_bytes("who is there");
  const auto sent = one->try_send(batch);
  EXPECT_TRUE(sent) << sent.error().message();
  for (const Socket* socket : {&one, &two}) {  // The sender hears itself too.
    const auto got = co_await receive(**socket, 1);
    EXPECT_EQ(as_text(got->front().bytes), "who is there");
    EXPECT_EQ(got->front().to.ip, group);
  }
  Result<> heard;
  const auto begun = stage.b().make_signal();
  TaskGroup tasks(stage.b(), 2);
  EXPECT_TRUE(tasks.spawn(receive_into(*deaf, *begun, &heard)));
  two->leave_multicast(group, index);
  EXPECT_TRUE(one->try_send(batch));
  Result<> left;
  EXPECT_TRUE(tasks.spawn(receive_into(*two, *begun, &left)));
  co_await stage.a().sleep_for(5ms);
  co_await tasks.join();
  EXPECT_FALSE(heard) << "a socket that did not join got a datagram of the group";
  EXPECT_FALSE(left) << "a socket that left got a datagram of the group";
}

TYPED_TEST(DatagramTest, MulticastReachesThoseThatJoined) {
  this->stage.run(multicast(this->stage, IpAddress::v4(224, 0, 0, 251), IpAddress()));
}

TEST(RealDatagram, EveryInterfaceHasAnIndexAndANameOnce) {
  RealStage stage;
  const auto all = stage.a().network_interfaces();
  ASSERT_TRUE(all);
  std::set<std::uint32_t> indices;
  bool loopback = false;
  for (const NetworkInterface& one : *all) {
    EXPECT_NE(one.index, 0u) << one.name;
    EXPECT_TRUE(indices.insert(one.index).second) << one.name;
    EXPECT_EQ(one.prefix_lengths.size(), one.addresses.size());
    if (!one.loopback || !one.up) continue;
    loopback = !one.addresses.empty();
    for (std::size_t i = 0; i < one.addresses.size(); ++i) {
      if (one.addresses[i] == IpAddress::v4(127, 0, 0, 1)) EXPECT_EQ(one.prefix_lengths[i], 8);
      if (one.addresses[i].is_v6()) EXPECT_EQ(one.prefix_lengths[i], 128);
    }
  }
  EXPECT_TRUE(loopback);
}

awaitable<void> too_large(RealStage& stage) {
  DatagramOptions options;
  options.do_not_fragment = true;
  const Socket socket = stage.a().bind_datagram({stage.ip_a, 0}, options).value();
  const Bytes bytes(kBatchBytesMax, 0);
  SendBatch batch;
  batch.to = socket->local();
  batch.bytes = bytes;
  // Loopback's MTU is 65,536 and takes the largest datagram there is.
  EXPECT_TRUE(socket->try_send(batch).value());
  const auto got = co_await receive(*socket, 1);
  EXPECT_EQ(got->front().bytes.size(), kBatchBytesMax);
}

TEST(RealDatagram, TheLargestDatagramCrossesLoopback) {
  RealStage stage;
  stage.run(too_large(stage));
}

// With and without the kernel's help a batch looks the same to both sides.
awaitable<void> with_offload(RealStage& stage, DatagramOffload sender, DatagramOffload receiver) {
  const auto executor = stage.a().executor();
  const Socket from = bind_real_datagram(executor, {stage.ip_a, 0}, {}, sender).value();
  const Socket to = bind_real_datagram(executor, {stage.ip_b, 0}, {}, receiver).value();
  const Bytes bytes = pattern(1'200 * 9 + 5, 3);
  SendBatch batch;
  batch.to = to->local();
  batch.bytes = bytes;
  batch.segment_bytes = 1'200;
  batch.ecn = 1;
  EXPECT_TRUE(from->try_send(batch).value());
  const auto got = co_await receive(*to, 10);
  Bytes joined;
  for (const Datagram& one : *got) {
    EXPECT_LE(one.bytes.size(), 1'200u);
    EXPECT_EQ(one.ecn, 1);
    append(joined, one.bytes);
  }
  EXPECT_EQ(got->size(), 10u);
  EXPECT_TRUE(joined == bytes);
}

TEST(RealDatagram, BatchesAreTheSameWithAndWithoutOffload) {
  for (const DatagramOffload sender : {DatagramOffload{true, true}, DatagramOffload{false, true}}) {
    for (const DatagramOffload receiver :
         {DatagramOffload{true, true}, DatagramOffload{true, false}}) {
      RealStage stage;
      stage.run(with_offload(stage, sender, receiver));
    }
  }
}

// ---------------------------------------------------------------------------- simulated faults

struct Received {
  std::vector<std::uint64_t> numbers;
};

awaitable<void> collect(DatagramSocket& socket, Received* out) {
  for (;;) {
    const auto got = co_await receive(socket, 1);
    if (!got) co_return;
    for (const Datagram& one : *got) {
      out->numbers.push_back(std::uint64_t{one.bytes[0]} << 8 | one.bytes[1]);
    }
  }
}

awaitable<Received> send_numbers(SimStage& stage, std::uint16_t count) {
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, {}).value();
  Received received;
  TaskGroup tasks(stage.b(), 1);
  EXPECT_TRUE(tasks.spawn(collect(*to, &received)));
  for (std::uint16_t i = 0; i < count; ++i) {
    const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>(i >> 8),
                                            static_cast<std::uint8_t>(i & 0xff)};
    SendBatch batch;
    batch.to = to->local();
    batch.bytes = bytes;
    auto sent = from->try_send(batch);
    while (!*sent) {
      (void)co_await from->wait_writable();
      sent = from->try_send(batch);
    }
    co_await stage.a().sleep_for(100us);
  }
  co_await stage.a().sleep_for(1s);
  co_await tasks.join();
  co_return received;
}

TEST(SimDatagram, AQuietLinkKeepsAllInOrder) {
  SimStage stage;
  const Received got = stage.run(send_numbers(stage, 1'000));
  EXPECT_EQ(got.numbers.size(), 1'000u);
  EXPECT_TRUE(std::ranges::is_sorted(got.numbers));
}

TEST(SimDatagram, LossDuplicatesAndReorderAsTheModelSays) {
  SimStage stage;
  stage.world.link.loss = 0.2;
  const Received lossy = stage.run(send_numbers(stage, 2'000));
  EXPECT_NEAR(static_cast<double>(lossy.numbers.size()), 1'600, 100);
  EXPECT_TRUE(std::ranges::is_sorted(lossy.numbers));
  stage.world.heal();
  stage.world.link.duplicate = 0.1;
  const Received doubled = stage.run(send_numbers(stage, 2'000));
  EXPECT_NEAR(static_cast<double>(doubled.numbers.size()), 2'200, 80);
  stage.world.heal();
  stage.world.link.reorder = 0.1;
  const Received mixed = stage.run(send_numbers(stage, 2'000));
  EXPECT_EQ(mixed.numbers.size(), 2'000u);
  EXPECT_FALSE(std::ranges::is_sorted(mixed.numbers));
  stage.world.heal();
  stage.world.link.send_buffer_full = 0.3;
  const Received pressed = stage.run(send_numbers(stage, 2'000));
  EXPECT_EQ(pressed.numbers.size(), 2'000u);
}

awaitable<void> path_mtu(SimStage& stage) {
  DatagramOptions options;
  options.do_not_fragment = true;
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, options).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, options).value();
  const Bytes bytes(1'473, 0);
  SendBatch batch;
  batch.to = to->local();
  batch.bytes = bytes;
  EXPECT_EQ(from->try_send(batch).error().code(), ErrorCode::kTooLarge);
  batch.bytes = BytesView(bytes).first(1'472);
  EXPECT_TRUE(from->try_send(batch).value());
  co_return;
}

TEST(SimDatagram, BeyondTheMtuIsTooLarge) {
  SimStage stage;
  stage.run(path_mtu(stage));
}

TEST(SimDatagram, SixIsReachedOnItsLinkLocalAddress) {
  SimStage stage;
  const IpAddress group = *IpAddress::parse("ff02::fb");
  stage.run(multicast(stage, group, *IpAddress::parse("::")));
}

awaitable<void> fill_inbox(SimStage& stage) {
  DatagramOptions options;
  options.buffer_bytes = 10'000;
  const Socket from = stage.a().bind_datagram({stage.ip_a, 0}, {}).value();
  const Socket to = stage.b().bind_datagram({stage.ip_b, 0}, options).value();
  const Bytes bytes(1'000, 0);
  SendBatch batch;
  batch.to = to->local();
  batch.bytes = bytes;
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(from->try_send(batch).value());
  co_await stage.a().sleep_for(1s);
  EXPECT_EQ(stage.world.counters().datagrams_inbox_full, 20u);
}

TEST(SimDatagram, AFullInboxDropsAndCounts) {
  SimStage stage;
  stage.run(fill_inbox(stage));
}

}  // namespace
}  // namespace warren::runtime

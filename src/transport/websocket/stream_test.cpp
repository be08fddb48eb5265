// On the machine's loopback and in the simulated network, in both roles. "far" is the end that the
// test speaks by hand.

#include "transport/websocket/stream.hpp"

#include "transport/websocket/test_wire.hpp"

namespace warren::transport::websocket {
namespace {

using runtime::TaskGroup;

constexpr Role kRoles[] = {Role::kClient, Role::kServer};

/// What a test plays on: a stage, and what the streams on it share.
template <class Stage>
struct Scenery {
  /// Ours on the near end of `wire`.
  std::unique_ptr<ByteStream> ours(Wire& wire, Role role, Bytes first = {}) {
    return make_websocket_stream(shared, std::move(wire.near), role, std::move(first));
  }
  /// Runs `scene` and joins the tasks of the streams.
  void play(awaitable<void> scene) { stage.run(with_end(std::move(scene))); }
  awaitable<void> with_end(awaitable<void> scene) {
    co_await std::move(scene);
    co_await shared->tasks.join();
    EXPECT_EQ(shared->tasks.failed_count(), 0u);
  }

  Stage stage;
  std::shared_ptr<Shared> shared = std::make_shared<Shared>(stage.a());
};

template <class Stage>
class WebSocketStreamTest : public ::testing::Test {};
TYPED_TEST_SUITE(WebSocketStreamTest, runtime::BothStages, runtime::StageNames);

/// A coroutine with `role` (ours), played on both stages in both roles.
#define WEBSOCKET_TEST(name)              \
  template <class Stage>                  \
  struct name : Scenery<Stage> {          \
    awaitable<void> scene(Role role);     \
  };                                      \
  TYPED_TEST(WebSocketStreamTest, name) { \
    for (const Role role : kRoles) {      \
      name<TypeParam> scenery;            \
      scenery.play(scenery.scene(role));  \
    }                                     \
  }                                       \
  template <class Stage>                  \
  awaitable<void> name<Stage>::scene(Role role)

awaitable<void> write_into(ByteStream& stream, Bytes bytes, Result<>* result) {
  *result = co_await write(stream, std::move(bytes));
}

WEBSOCKET_TEST(CarriesBytesOfAnyAmountInAnyParts) {
  Wire wire = co_await connect_wire(this->stage);
  auto far_shared = this->shared;
  const auto far = make_websocket_stream(far_shared, std::move(wire.far), other(role), Bytes{});
  const auto near = this->ours(wire, role);
  const Bytes text = pattern(700'000);
  std::size_t sent = 0;
  for (const std::size_t size : {1u, 2u, 125u, 126u, 65'535u, 65'536u, 200'000u}) {
    const BytesView all = BytesView(text).subspan(sent, size);
    const BytesView parts[] = {all.first(size / 3), {}, all.subspan(size / 3)};
    TaskGroup tasks(this->stage.a(), 1);
    Bytes come;
    Result<> written;
    const bool spawned = tasks.spawn(write_into(*near, to_bytes(all), &written));
    EXPECT_TRUE(spawned);
    come = co_await read_bytes(*far, size);
    EXPECT_TRUE(come == to_bytes(all)) << size;
    co_await tasks.join();
    EXPECT_TRUE(written);
    if (size < 100'000) {
      const auto in_parts = co_await near->write_all(parts, kNever);
      EXPECT_TRUE(in_parts);
      come = co_await read_bytes(*far, size);
      EXPECT_TRUE(come == to_bytes(all)) << size << " in parts";
    }
    sent += size;
  }
  near->close();
  far->close();
}

WEBSOCKET_TEST(GivesTheFirstBytesThatCameWithTheHttpHead) {
  Wire wire = co_await connect_wire(this->stage);
  Bytes first = frame_for(role, "first");
  const Bytes second = frame_for(role, "second");
  append(first, BytesView(second).first(4));
  const auto near = this->ours(wire, role, first);
  (void)co_await write(*wire.far, to_bytes(BytesView(second).subspan(4)));
  const std::string text = co_await read_text(*near, 11);
  EXPECT_EQ(text, "firstsecond");
}

WEBSOCKET_TEST(AnswersAPing) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  (void)co_await write(*wire.far, frame_for(role, "are you there", Opcode::kPing));
  (void)co_await write(*wire.far, frame_for(role, "x"));
  const std::string text = co_await read_text(*near, 1);
  EXPECT_EQ(text, "x");
  const std::size_t header = role == Role::kClient ? 6 : 2;
  const Bytes pong = co_await read_bytes(*wire.far, header + 13);
  EXPECT_EQ(pong[0], 0x8a);
  EXPECT_EQ(pong[1], role == Role::kClient ? 0x80 | 13 : 13);
  Bytes payload = to_bytes(BytesView(pong).subspan(header));
  if (role == Role::kClient) {
    MaskKey key;
    std::ranges::copy(BytesView(pong).subspan(2, 4), key.begin());
    mask_into(payload, to_bytes(payload), key, 0);
  }
  EXPECT_EQ(as_text(payload), "are you there");
}

WEBSOCKET_TEST(NeverPutsAPongIntoAFrame) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  const Bytes text = pattern(6'000'000);  // More than the buffers of a connection hold.
  TaskGroup tasks(this->stage.a(), 1);
  Result<> written;
  EXPECT_TRUE(tasks.spawn(write_into(*near, text, &written)));
  (void)co_await write(*wire.far, frame_for(role, "now", Opcode::kPing));
  (void)co_await write(*wire.far, frame_for(role, "x"));
  (void)co_await read_text(*near, 1);
  FrameReader reader(other(role));
  Bytes come;
  Bytes buffer(100'000);
  // A pong between frames changes nothing but the number of bytes: 46 masked frames, or 1 plain.
  const std::size_t most = text.size() + (role == Role::kClient ? 46 * 14 + 9 : 10 + 5);
  std::size_t total = 0;
  while (total < most) {
    const auto got = co_await wire.far->read_some(buffer, this->stage.a().now() + 10s);
    if (!got || *got == 0) break;
    total += *got;
    const auto count = reader.read(MutableBytes(buffer).first(*got));
    EXPECT_TRUE(count);
    if (!count) break;
    append(come, BytesView(buffer).first(*count));
  }
  EXPECT_EQ(total, most);
  EXPECT_TRUE(come == text);
  co_await tasks.join();
  EXPECT_TRUE(written);
}

WEBSOCKET_TEST(AnswersACloseAndReadsTheEnd) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  (void)co_await write(*wire.far, frame_for(role, "last"));
  (void)co_await write(*wire.far, frame_for(role, "\x03\xe8", Opcode::kClose));
  (void)co_await write(*wire.far, Bytes(20, 0xff));
  const Bytes all = co_await read_to_end(*near);
  EXPECT_EQ(as_text(all), "last");
  const Bytes answer = co_await read_to_end(*wire.far);
  EXPECT_EQ(answer.size(), role == Role::kClient ? 8u : 4u);
  EXPECT_EQ(answer.at(0), 0x88);
  if (role == Role::kServer) {
    EXPECT_EQ(to_hex(answer), "880203e8");
  }
  const auto late = co_await write(*near, Bytes(1));
  EXPECT_FALSE(late);
  if (!late) {
    EXPECT_EQ(late.error().code(), ErrorCode::kClosed);
  }
}

WEBSOCKET_TEST(SaysGoodbyeAndStillReads) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  EXPECT_TRUE(near->close_write());
  EXPECT_TRUE(near->close_write()) << "twice is no error";
  const Bytes goodbye = co_await read_to_end(*wire.far);
  EXPECT_EQ(goodbye.size(), role == Role::kClient ? 8u : 4u) << "one close frame, and the end";
  (void)co_await write(*wire.far, frame_for(role, "late"));
  (void)co_await write(*wire.far, frame_for(role, "", Opcode::kClose));
  const Bytes all = co_await read_to_end(*near);
  EXPECT_EQ(as_text(all), "late");
}

WEBSOCKET_TEST(StillSendsItsGoodbyeWhenClosedAtOnce) {
  Wire wire = co_await connect_wire(this->stage);
  auto near = this->ours(wire, role);
  (void)co_await write(*near, Bytes(10));
  EXPECT_TRUE(near->close_write());
  near.reset();
  const Bytes all = co_await read_to_end(*wire.far);
  EXPECT_EQ(all.size(), role == Role::kClient ? 16u + 8u : 12u + 4u);
}

// A frame that the peer does not take must not keep the goodbye, and with it the stream, alive.
WEBSOCKET_TEST(ClosesWhileAWriteIsStuck) {
  for (const bool pinged : {true, false}) {
    Wire wire = co_await connect_wire(this->stage);
    auto near = this->ours(wire, role);
    if (pinged) {
      // A pong waits, and may still do so when the writer begins.
      (void)co_await write(*wire.far, frame_for(role, "", Opcode::kPing));
      (void)co_await write(*wire.far, frame_for(role, "x"));
      (void)co_await read_text(*near, 1);
    }
    TaskGroup tasks(this->stage.a(), 1);
    Result<> written;
    EXPECT_TRUE(tasks.spawn(write_into(*near, Bytes(20'000'000), &written)));
    const TimePoint begin = this->stage.a().now();
    (void)co_await this->stage.a().sleep_for(1ms);
    EXPECT_TRUE(near->close_write());
    near->close();
    const TimePoint soon = this->stage.a().now() + 5s;
    while (tasks.size() > 0 && this->stage.a().now() < soon) {
      (void)co_await this->stage.a().sleep_for(1ms);
    }
    EXPECT_LT(this->stage.a().now() - begin, 3s);
    EXPECT_EQ(tasks.size(), 0u);
    EXPECT_FALSE(written);
    co_await tasks.join();
  }
}

WEBSOCKET_TEST(EndsWithTheStreamBelow) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  (void)co_await write(*wire.far, frame_for(role, "cut off"));
  (void)wire.far->close_write();
  const Bytes all = co_await read_to_end(*near);
  EXPECT_EQ(as_text(all), "cut off");
}

WEBSOCKET_TEST(TellsAPeerThatBreaksTheRules) {
  struct Case {
    Bytes bytes;
    ErrorCode code;
    std::uint16_t status;
  };
  const Case cases[] = {
      {frame_for(role, "text", Opcode::kText), ErrorCode::kUnsupported, 1003},
      {frame_for(other(role), "masked or not"), ErrorCode::kMalformed, 1002},
      {frame_for(role, std::string(126, 'p'), Opcode::kPing), ErrorCode::kMalformed, 1002},
      {Bytes(20, 0xff), ErrorCode::kMalformed, 1002},
  };
  for (const Case& one : cases) {
    Wire wire = co_await connect_wire(this->stage);
    const auto near = this->ours(wire, role);
    (void)co_await write(*wire.far, one.bytes);
    Bytes buffer(1'000);
    const auto got = co_await near->read_some(buffer, kNever);
    EXPECT_FALSE(got);
    if (!got) {
      EXPECT_EQ(got.error().code(), one.code);
    }
    const Bytes told = co_await read_to_end(*wire.far);
    const std::size_t at = role == Role::kClient ? 6 : 2;
    EXPECT_EQ(told.size(), at + 2);
    if (told.size() != at + 2) continue;
    EXPECT_EQ(told[0], 0x88);
    Bytes status = to_bytes(BytesView(told).subspan(at));
    if (role == Role::kClient) {
      MaskKey key;
      std::ranges::copy(BytesView(told).subspan(2, 4), key.begin());
      mask_into(status, to_bytes(status), key, 0);
    }
    EXPECT_EQ(status[0] << 8 | status[1], one.status);
  }
}

WEBSOCKET_TEST(WritesNothingBehindAFrameThatIsCutOff) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  const auto written = co_await write(*near, Bytes(20'000'000), this->stage.a().now() + 50ms);
  EXPECT_FALSE(written);
  if (!written) {
    EXPECT_EQ(written.error().code(), ErrorCode::kTimedOut);
  }
  const auto again = co_await write(*near, Bytes(1));
  EXPECT_FALSE(again);
  EXPECT_TRUE(near->close_write()) << "no frame, only the end";
}

WEBSOCKET_TEST(LosesNothingWhenAReadTimesOut) {
  Wire wire = co_await connect_wire(this->stage);
  const auto near = this->ours(wire, role);
  const Bytes frame = frame_for(role, "in two halves");
  (void)co_await write(*wire.far, to_bytes(BytesView(frame).first(2)));
  Bytes buffer(100);
  const auto none = co_await near->read_some(buffer, this->stage.a().now() + 20ms);
  EXPECT_FALSE(none);
  if (!none) {
    EXPECT_EQ(none.error().code(), ErrorCode::kTimedOut);
  }
  (void)co_await write(*wire.far, to_bytes(BytesView(frame).subspan(2)));
  const std::string text = co_await read_text(*near, 13);
  EXPECT_EQ(text, "in two halves");
}

WEBSOCKET_TEST(HasTheNamesOfTheStreamBelow) {
  Wire wire = co_await connect_wire(this->stage);
  const Endpoint local = wire.near->local();
  const Endpoint remote = wire.near->remote();
  const auto near = this->ours(wire, role);
  EXPECT_EQ(near->local(), local);
  EXPECT_EQ(near->remote(), remote);
}

}  // namespace
}  // namespace warren::transport::websocket

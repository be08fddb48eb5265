#include "cli/redis.hpp"

#include <gtest/gtest.h>

#include "runtime/task_group.hpp"
#include "sim/world.hpp"

namespace warren::cli {
namespace {

using Kind = RedisReply::Kind;

Result<std::optional<ParsedReply>> parse(std::string_view text) {
  return parse_redis_reply(as_bytes(text));
}

RedisReply whole(std::string_view text) {
  const auto parsed = parse(text);
  EXPECT_TRUE(parsed && *parsed) << text;
  if (!parsed || !*parsed) return {};
  EXPECT_EQ((*parsed)->taken, text.size());
  return (*parsed)->reply;
}

ErrorCode refusal(std::string_view text) {
  const auto parsed = parse(text);
  EXPECT_FALSE(parsed) << text;
  return parsed ? ErrorCode::kInternal : parsed.error().code();
}

TEST(RedisReply, EachKindIsRead) {
  EXPECT_EQ(whole("+OK\r\n"), (RedisReply{.kind = Kind::kText, .text = "OK"}));
  EXPECT_EQ(whole("-ERR no\r\n"), (RedisReply{.kind = Kind::kError, .text = "ERR no"}));
  EXPECT_EQ(whole(":-12\r\n"), (RedisReply{.kind = Kind::kNumber, .number = -12}));
  EXPECT_EQ(whole("$4\r\na\r\nb\r\n"), (RedisReply{.kind = Kind::kText, .text = "a\r\nb"}));
  EXPECT_EQ(whole("$-1\r\n"), RedisReply{});
  EXPECT_EQ(whole("*-1\r\n"), RedisReply{});
  EXPECT_EQ(whole("*3\r\n$1\r\nk\r\n:7\r\n$-1\r\n"),
            (RedisReply{.kind = Kind::kList, .items = {"k", "7", ""}}));
  EXPECT_EQ(whole("*0\r\n"), RedisReply{.kind = Kind::kList});
}

TEST(RedisReply, CutAnywhereItAsksForMoreAndTakesNothingOfTheNext) {
  const std::string text = "*2\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto parsed = parse(std::string_view(text).substr(0, size));
    ASSERT_TRUE(parsed) << size;
    EXPECT_FALSE(*parsed) << size;
  }
  const auto followed = parse(text + "+next\r\n");
  ASSERT_TRUE(followed && *followed);
  EXPECT_EQ((*followed)->taken, text.size());
}

TEST(RedisReply, AHostileServerIsRefusedAtOnce) {
  EXPECT_EQ(refusal("$65537\r\n"), ErrorCode::kTooLarge);
  EXPECT_EQ(refusal("$9223372036854775807\r\n"), ErrorCode::kTooLarge);
  EXPECT_EQ(refusal("*65\r\n"), ErrorCode::kTooLarge);
  EXPECT_EQ(refusal("+" + std::string(kRedisReplyBytesMax, 'a')), ErrorCode::kTooLarge);
  std::string many = "*64\r\n";
  for (int i = 0; i < 3; ++i) many += "$60000\r\n" + std::string(60'000, 'a') + "\r\n";
  EXPECT_EQ(refusal(many), ErrorCode::kTooLarge);
  EXPECT_EQ(refusal("*1\r\n*1\r\n:1\r\n"), ErrorCode::kUnsupported);
  for (const char* text : {"\r\n", "?\r\n", "$\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", ":\r\n",
                           ":1 \r\n", "$99999999999999999999\r\n", "$1\r\nabc\r\n", "*1\r\n\r\n"}) {
    EXPECT_EQ(refusal(text), ErrorCode::kMalformed) << text;
  }
}

TEST(RedisCommand, IsAListOfStrings) {
  const Bytes bytes = encode_redis_command({"RPUSH", "", "a\r\n"});
  EXPECT_EQ(as_text(bytes), "*3\r\n$5\r\nRPUSH\r\n$0\r\n\r\n$3\r\na\r\n\r\n");
}

/// Accepts one connection, answers what it reads with the given replies, one a command.
runtime::awaitable<void> serve(runtime::Runtime& runtime, std::vector<std::string> replies,
                               std::string& heard) {
  auto listener = runtime.listen_stream({.ip = sim::host_v4(2), .port = 6379});
  EXPECT_TRUE(listener);
  auto stream = co_await (*listener)->accept();
  if (!stream) co_return;
  for (const std::string& reply : replies) {
    Bytes buffer(4096);
    const auto n = co_await (*stream)->read_some(buffer, kNever);
    if (!n) co_return;
    heard += as_text(BytesView(buffer).first(*n));
    const std::array<BytesView, 1> parts{as_bytes(reply)};
    const auto written = co_await (*stream)->write_all(parts, kNever);
    if (!written) co_return;
  }
  for (;;) {  // Listens, and says nothing more.
    Bytes buffer(4096);
    const auto n = co_await (*stream)->read_some(buffer, kNever);
    if (!n || *n == 0) co_return;
  }
}

struct RedisWorld {
  explicit RedisWorld(std::vector<std::string> replies) {
    EXPECT_TRUE(server_tasks.spawn(serve(*server, std::move(replies), heard)));
  }
  ~RedisWorld() { sim::run(world, server_tasks.join()); }
  std::unique_ptr<RedisClient> connect() {
    auto made = sim::run(
        world, RedisClient::connect(*client, sim::host_v4(2).to_string(), 6379, world.now() + 5s));
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(*made) : nullptr;
  }

  sim::World world{sim::seed_from_env(1)};
  std::unique_ptr<runtime::Runtime> client = world.make_runtime(1);
  std::unique_ptr<runtime::Runtime> server = world.make_runtime(2);
  std::string heard;
  runtime::TaskGroup server_tasks{*server, 1};
};

TEST(RedisClient, PushesAndPops) {
  RedisWorld redis({":1\r\n", "*2\r\n$1\r\nk\r\n$5\r\nvalue\r\n"});
  const auto client = redis.connect();
  ASSERT_TRUE(client);
  EXPECT_TRUE(sim::run(redis.world, client->push("k", "value", redis.world.now() + 1s)));
  const auto value = sim::run(redis.world, client->pop("k", redis.world.now() + 1500ms));
  ASSERT_TRUE(value) << value.error().message();
  EXPECT_EQ(*value, "value");
  EXPECT_EQ(redis.heard,
            "*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$5\r\nvalue\r\n*3\r\n$5\r\nBLPOP\r\n$1\r\nk\r\n$1\r\n"
            "2\r\n");
}

TEST(RedisClient, WhatTheServerSaysInsteadIsAnError) {
  RedisWorld redis({"-NOAUTH no\r\n", "*-1\r\n", "*2\r\n$1\r\nx\r\n$1\r\nv\r\n", ":3\r\n"});
  const auto client = redis.connect();
  ASSERT_TRUE(client);
  const auto pushed = sim::run(redis.world, client->push("k", "v", redis.world.now() + 1s));
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code(), ErrorCode::kDenied);
  EXPECT_NE(pushed.error().message().find("NOAUTH"), std::string::npos);
  for (const ErrorCode expected :
       {ErrorCode::kTimedOut, ErrorCode::kMalformed, ErrorCode::kMalformed}) {
    const auto value = sim::run(redis.world, client->pop("k", redis.world.now() + 1s));
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error().code(), expected) << value.error().message();
  }
}

TEST(RedisClient, ASilentServerAndAMissingOneEndByTheDeadline) {
  RedisWorld redis({});
  const auto client = redis.connect();
  ASSERT_TRUE(client);
  const TimePoint began = redis.world.now();
  const auto pushed = sim::run(redis.world, client->push("k", "v", began + 1s));
  ASSERT_FALSE(pushed);
  EXPECT_EQ(redis.world.now() - began, 1s);
  const auto missing =
      sim::run(redis.world, RedisClient::connect(*redis.client, sim::host_v4(3).to_string(), 6379,
                                                 redis.world.now() + 1s));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ErrorCode::kTimedOut) << missing.error().message();
}

}  // namespace
}  // namespace warren::cli

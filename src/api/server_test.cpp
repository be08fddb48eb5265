#include "api/server.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <filesystem>

#include "api/client.hpp"
#include "api/socket_address.hpp"
#include "node/testing/temporary_directory.hpp"
#include "runtime/deadline.hpp"
#include "runtime/run_task.hpp"

namespace warren::api {
namespace {

using node::testing::TemporaryDirectory;

awaitable<Result<Json>> echo(Request request, Lines&) {
  Json query = Json::object();
  for (const auto& [key, value] : request.query) query[key] = value;
  co_return Json{{"method", request.method}, {"body", request.body}, {"query", query}};
}

awaitable<Result<Json>> refuse(Request, Lines&) {
  co_return fail(ErrorCode::kNotFound, "no such thing", "look elsewhere");
}

awaitable<Result<Json>> count(Request request, Lines& lines) {
  const int most = request.body.value("most", 3);
  for (int i = 1; i <= most; ++i) {
    WARREN_CO_TRY_VOID(co_await lines.send(Json{{"type", "progress"}, {"i", i}}));
  }
  if (request.body.value("fail", false)) co_return fail(ErrorCode::kNoSpace, "the disk is full");
  co_return Json{{"counted", most}};
}

awaitable<Result<Json>> wait_for_ever(runtime::Runtime& runtime, bool& ended) {
  const auto slept = co_await runtime.sleep_until(kNever);
  ended = true;
  co_return fail(ErrorCode::kClosed, slept ? "it came" : "shutting down");
}

/// Sends a line, and the answer only when the caller has seen that line.
awaitable<Result<Json>> until_seen(runtime::Runtime& runtime, runtime::Signal& seen, Lines& lines) {
  WARREN_CO_TRY_VOID(co_await lines.send(Json{{"type", "progress"}}));
  const auto wake = co_await seen.wait_until(runtime.now() + 10s);
  co_return Json{{"seen", wake == runtime::Wake::kNotified}};
}

/// Everything on one core thread: server, callers and a raw socket beside them.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    Router router;
    router.add("POST", "/echo", echo);
    router.add("GET", "/refuse", refuse);
    router.add("POST", "/count", count);
    router.add("GET", "/wait",
               [this](Request, Lines&) { return wait_for_ever(runtime_, wait_ended_); });
    router.add("GET", "/until-seen",
               [this](Request, Lines& lines) { return until_seen(runtime_, *seen_, lines); });
    HttpLimits limits;
    limits.connections_max = 4;
    server_.emplace(runtime_, std::move(router), limits);
  }
  ~ServerTest() override { runtime::run_task(runtime_, server_->stop()); }

  void start() {
    const auto started = server_->start(path());
    ASSERT_TRUE(started) << started.error().message();
  }
  std::string path() const { return folder_.path() + "/api.sock"; }
  Result<Json> ask(Call request, OnLine on_line = {}) {
    return runtime::run_task(runtime_, call(runtime_, path(), std::move(request), on_line));
  }
  /// Sends `bytes` as they are and returns all that comes back. Only for requests that the server
  /// answers by closing; it runs in the meantime.
  std::string raw(std::string_view bytes) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    std::string answer;
    char piece[4096];
    for (;;) {
      turn(1);
      const ssize_t n = ::recv(fd, piece, sizeof piece, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN)) break;
      if (n > 0) answer.append(piece, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return answer;
  }

  /// Lets everything run that can run now, `times` times.
  void turn(int times) {
    for (int i = 0; i < times; ++i) {
      runtime_.context().restart();
      runtime_.context().poll();
    }
  }
  std::shared_ptr<runtime::TaskOutcome<Result<Json>>> begin_waiting() {
    return runtime::start_task(runtime_.executor(), call(runtime_, path(), {.target = "/wait"}),
                               [] {});
  }

  TemporaryDirectory folder_;
  runtime::RealRuntime runtime_{{.pool_threads = 1}};
  bool wait_ended_ = false;
  std::unique_ptr<runtime::Signal> seen_ = runtime_.make_signal();
  std::optional<Server> server_;
};

TEST_F(ServerTest, AnswersARequest) {
  start();
  const auto answer =
      ask({.method = "POST", .target = "/echo?a=b%20c", .body = {{"x", {1, 2, "\xc3\xa9"}}}});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ((*answer)["method"], "POST");
  EXPECT_EQ((*answer)["query"]["a"], "b c");
  EXPECT_EQ((*answer)["body"]["x"][2], "\xc3\xa9");
}

TEST_F(ServerTest, AnErrorArrivesWhole) {
  start();
  const auto answer = ask({.target = "/refuse"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(answer.error().message(), "no such thing");
  EXPECT_EQ(answer.error().hint(), "look elsewhere");
  EXPECT_EQ(ask({.target = "/nowhere"}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(ask({.target = "/echo"}).error().code(), ErrorCode::kUnsupported);
}

TEST_F(ServerTest, LinesComeBeforeTheAnswer) {
  start();
  std::vector<int> seen;
  const auto answer = ask({.method = "POST", .target = "/count", .body = {{"most", 1000}}},
                          [&](const Json& line) { seen.push_back(line["i"]); });
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(seen.back(), 1000);
  EXPECT_EQ(*answer, (Json{{"counted", 1000}}));
}

TEST_F(ServerTest, ALineIsSeenBeforeTheNextOneIsSent) {
  start();
  const auto answer = ask({.target = "/until-seen"}, [this](const Json&) { seen_->notify(); });
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ((*answer)["seen"], true);
}

TEST_F(ServerTest, AnErrorAfterLinesArrivesToo) {
  start();
  int seen = 0;
  const auto answer = ask({.method = "POST", .target = "/count", .body = {{"fail", true}}},
                          [&](const Json&) { ++seen; });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(seen, 3);
}

TEST_F(ServerTest, TheSocketIsForItsOwnerAlone) {
  start();
  struct stat seen{};
  ASSERT_EQ(::stat(path().c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 0777u, 0600u);
}

TEST_F(ServerTest, ASocketLeftByACrashIsReplaced) {
  folder_.write("api.sock", "not even a socket");
  start();
  EXPECT_TRUE(ask({.method = "POST", .target = "/echo"}));
}

TEST_F(ServerTest, ALongPathIsNoObstacle) {
  const std::string folder = folder_.path() + "/" + std::string(120, 'd');
  std::filesystem::create_directories(folder);
  const auto started = server_->start(folder + "/api.sock");
  ASSERT_TRUE(started) << started.error().message();
  EXPECT_TRUE(std::filesystem::is_socket(folder + "/api.sock"));
  const auto answer = runtime::run_task(
      runtime_, call(runtime_, folder + "/api.sock", {.method = "POST", .target = "/echo"}));
  EXPECT_TRUE(answer) << answer.error().message();
}

TEST_F(ServerTest, WithoutADaemonTheErrorSaysWhatToDo) {
  const auto answer = ask({.target = "/echo"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kNoDaemon);
  EXPECT_NE(answer.error().message().find(path()), std::string::npos);
  EXPECT_NE(answer.error().hint().find("warren up"), std::string::npos);
}

TEST_F(ServerTest, MalformedAndOversizedRequestsEndTheirConnection) {
  start();
  EXPECT_TRUE(raw("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(
      raw("POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\n[1]").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(raw("GET /refuse HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n")
                  .starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(
      raw("POST /echo HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n").starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(ask({.method = "POST", .target = "/echo"})) << "others are served on";
}

TEST_F(ServerTest, APageInABrowserIsRefused) {
  start();
  const std::string answer =
      raw("POST /echo HTTP/1.1\r\nOrigin: http://example.com\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403")) << answer;
  EXPECT_NE(answer.find("origin_not_allowed"), std::string::npos);
}

TEST_F(ServerTest, StopEndsRequestsInProgress) {
  start();
  const auto outcome = begin_waiting();
  turn(200);
  EXPECT_FALSE(outcome->done);
  runtime::run_task(runtime_, server_->stop());
  while (!outcome->done) turn(1);
  EXPECT_TRUE(wait_ended_);
  const auto answer = outcome->get();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message(), "shutting down") << "the caller is told in spite of it";
  EXPECT_FALSE(std::filesystem::exists(path())) << "the socket is removed";
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  start();
  std::vector<std::shared_ptr<runtime::TaskOutcome<Result<Json>>>> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(begin_waiting());
  turn(200);
  const auto answer = ask({.method = "POST", .target = "/echo"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kClosed);
  runtime::run_task(runtime_, server_->stop());
  for (const auto& outcome : waiting) {
    while (!outcome->done) turn(1);
  }
}

}  // namespace
}  // namespace warren::api

#include "api/server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "api/socket_address.hpp"
#include "base/log.hpp"
#include "base/time.hpp"
#include "runtime/cancellation.hpp"
#include "runtime/deadline.hpp"
#include "runtime/task_group.hpp"

namespace warren::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Socket = asio::local::stream_protocol::socket;
using Parser = http::request_parser<http::string_body>;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
/// For the whole request to arrive, and for the caller to take each piece of the answer.
constexpr Duration kRequestTimeMax = 10s;
constexpr Duration kWriteTimeMax = 10s;

/// Whether the process at the other end runs as our user, or as root.
bool is_allowed(Socket& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

std::unexpected<Error> gone(const boost::system::error_code& error) {
  if (error == asio::error::operation_aborted) return fail(ErrorCode::kCancelled, "cancelled");
  return fail(ErrorCode::kReset, "the caller has gone: " + error.message());
}

/// References of the coroutines below are to the frame of Listener::serve, which awaits them.
awaitable<Result<>> read_request(Socket& socket, beast::flat_buffer& buffer, Parser& parser) {
  const auto [error, size] = co_await http::async_read(socket, buffer, parser, kToken);
  if (!error) co_return Result<>{};
  if (error == http::error::header_limit || error == http::error::body_limit ||
      error == http::error::buffer_overflow) {
    co_return fail(ErrorCode::kTooLarge, "the request is larger than the API takes");
  }
  if (error.category() == http::make_error_code(http::error::end_of_stream).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    co_return fail(ErrorCode::kMalformed, "this is not HTTP: " + error.message());
  }
  co_return gone(error);
}

/// What is left to a task that was told to stop: as much as the socket takes at once.
void write_what_fits(Socket& socket, std::string_view bytes) {
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(bytes), ignored);
}

awaitable<Result<>> write_bytes(Socket& socket, std::string bytes) {
  const auto [error, size] = co_await asio::async_write(socket, asio::buffer(bytes), kToken);
  if (error) co_return gone(error);
  co_return Result<>{};
}

awaitable<Result<>> write_in_time(runtime::Runtime& runtime, Socket& socket, std::string bytes) {
  const bool stop = co_await runtime::cancelled();
  if (stop) {
    write_what_fits(socket, bytes);
    co_return fail(ErrorCode::kCancelled, "the API is being stopped");
  }
  const TimePoint deadline = runtime.now() + kWriteTimeMax;
  co_return co_await runtime::with_deadline(runtime, deadline,
                                            write_bytes(socket, std::move(bytes)));
}

std::string head(unsigned status, std::string_view type, std::string_view framing) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nServer: warren\r\nContent-Type: {}\r\n{}\r\n"
      "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
      status, std::string_view(http::obsolete_reason(http::int_to_status(status))), type, framing);
}

std::string whole_response(unsigned status, std::string_view type, const Json& value) {
  const std::string body = to_line(value) + "\n";
  return head(status, type, fmt::format("Content-Length: {}", body.size())) + body;
}

/// The lines of one exchange, as chunks of one response.
class ChunkedLines final : public Lines {
 public:
  ChunkedLines(runtime::Runtime& runtime, Socket& socket) : runtime_(runtime), socket_(socket) {}

  awaitable<Result<>> send(Json line) override {
    std::string bytes;
    if (!begun_) bytes = head(200, "application/x-ndjson", "Transfer-Encoding: chunked");
    begun_ = true;
    const std::string text = to_line(line) + "\n";
    bytes += fmt::format("{:x}\r\n{}\r\n", text.size(), text);
    co_return co_await write(std::move(bytes));
  }

  /// The last line and the end of the response, in one write.
  awaitable<Result<>> end(Json line) {
    const std::string text = to_line(line) + "\n";
    return write(fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", text.size(), text));
  }
  bool begun() const { return begun_; }

 private:
  awaitable<Result<>> write(std::string bytes) {
    return write_in_time(runtime_, socket_, std::move(bytes));
  }

  runtime::Runtime& runtime_;
  Socket& socket_;
  bool begun_ = false;
};

Json final_line(const Result<Json>& answer) {
  Json line = answer ? *answer : to_problem(answer.error());
  line["type"] = answer ? "result" : "error";
  return line;
}

}  // namespace

class Server::Listener {
 public:
  Listener(runtime::Runtime& runtime, Router router, HttpLimits limits)
      : runtime_(runtime),
        router_(std::move(router)),
        limits_(limits),
        acceptor_(runtime.executor()),
        tasks_(runtime, limits.connections_max + 1) {}

  Result<> start(const std::string& path) {
    WARREN_TRY(const SocketAddress address, socket_address(path));
    ::unlink(address.path.c_str());
    boost::system::error_code error;
    acceptor_.open({}, error);
    if (!error) acceptor_.bind(asio::local::stream_protocol::endpoint(address.path), error);
    // The folder is 0700, so nobody comes in before the mode is set.
    if (!error && ::chmod(address.path.c_str(), 0600) != 0) {
      error.assign(errno, boost::system::system_category());
    }
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return fail(system_error("cannot listen at the socket " + path, error.value()));
    path_ = path;
    if (!tasks_.spawn(accept_all())) return fail(ErrorCode::kClosed, "the API was stopped");
    return {};
  }

  awaitable<void> stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    co_await tasks_.join();
    if (!path_.empty()) ::unlink(path_.c_str());
  }

 private:
  awaitable<void> accept_all() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kToken);
      if (error == asio::error::operation_aborted || !acceptor_.is_open()) co_return;
      if (error) {  // No descriptors left, most likely: wait for some to come back.
        log::warn("api", "cannot accept a connection: {}", error.message());
        const auto slept = co_await runtime_.sleep_for(100ms);
        if (!slept) co_return;
        continue;
      }
      if (!tasks_.spawn(serve(std::move(socket)))) {
        log::warn("api", "a connection was refused: {} are open", limits_.connections_max);
      }
    }
  }

  awaitable<void> serve(Socket socket) {
    if (!is_allowed(socket)) {
      co_await reply(socket,
                     fail(ErrorCode::kDenied, "only the user who runs this node may ask it"));
      co_return;
    }
    beast::flat_buffer buffer(limits_.header_bytes_max + limits_.body_bytes_max);
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
    parser.body_limit(limits_.body_bytes_max);
    const TimePoint deadline = runtime_.now() + kRequestTimeMax;
    const auto read =
        co_await runtime::with_deadline(runtime_, deadline, read_request(socket, buffer, parser));
    if (!read) {
      const ErrorCode code = read.error().code();
      if (code == ErrorCode::kTooLarge || code == ErrorCode::kMalformed) {
        co_await reply(socket, fail(read.error()));
      }
      co_return;
    }
    co_await answer(socket, parser.release());
  }

  awaitable<void> answer(Socket& socket, http::request<http::string_body> message) {
    // A browser always says where a page comes from; no page has any business here.
    if (message.find(http::field::origin) != message.end()) {
      co_await reply(socket, fail(ErrorCode::kDenied, "origin_not_allowed"));
      co_return;
    }
    auto match =
        router_.find(std::string_view(message.method_string()), std::string_view(message.target()));
    if (!match) {
      co_await reply(socket, fail(match.error()));
      co_return;
    }
    auto body = parse_object(message.body(), limits_.json_depth_max);
    if (!body) {
      co_await reply(socket, fail(body.error()));
      co_return;
    }
    Request request{.method = std::string(message.method_string()),
                    .path = std::move(match->path),
                    .query = std::move(match->query),
                    .body = *std::move(body)};
    ChunkedLines lines(runtime_, socket);
    const Handler& handler = *match->handler;
    const Result<Json> result = co_await handler(std::move(request), lines);
    if (!lines.begun()) {
      co_await reply(socket, result);
      co_return;
    }
    co_await lines.end(final_line(result));
  }

  awaitable<void> reply(Socket& socket, Result<Json> result) {
    std::string bytes =
        result ? whole_response(200, "application/json", *result)
               : whole_response(http_status(result.error().code()), "application/problem+json",
                                to_problem(result.error()));
    const auto sent = co_await write_in_time(runtime_, socket, std::move(bytes));
    if (!sent) log::debug("api", "an answer was not taken: {}", sent.error().message());
  }

  runtime::Runtime& runtime_;
  Router router_;
  HttpLimits limits_;
  asio::local::stream_protocol::acceptor acceptor_;
  std::string path_;
  runtime::TaskGroup tasks_;
};

Server::Server(runtime::Runtime& runtime, Router router, HttpLimits limits)
    : listener_(std::make_unique<Listener>(runtime, std::move(router), limits)) {}

Server::~Server() = default;

Result<> Server::start(const std::string& path) { return listener_->start(path); }

awaitable<void> Server::stop() { return listener_->stop(); }

}  // namespace warren::api

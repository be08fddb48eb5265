#include "api/client.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "api/socket_address.hpp"

namespace warren::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Socket = asio::local::stream_protocol::socket;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
/// One line, and one answer that is not a stream. A list of 10,000 transfers fits.
constexpr std::size_t kAnswerBytesMax = 64u << 20;

std::unexpected<Error> lost(const boost::system::error_code& error) {
  if (error == asio::error::operation_aborted) return fail(ErrorCode::kCancelled, "cancelled");
  return fail(ErrorCode::kClosed, "the daemon ended before it had answered: " + error.message(),
              "look at what 'warren up' printed last, and start it again");
}

Result<> connect_error(const std::string& path, const boost::system::error_code& error) {
  if (error == boost::system::errc::permission_denied) {
    return fail(ErrorCode::kDenied, "the socket of the daemon is not ours: " + path,
                "run this as the user who runs 'warren up'");
  }
  return fail(ErrorCode::kNoDaemon, "no daemon answers at " + path,
              "start one with 'warren up', with the same --home if you use one");
}

/// Cuts a growing text into lines and tells of all but the last, which is the answer.
class LineReader {
 public:
  explicit LineReader(OnLine on_line) : on_line_(std::move(on_line)) {}

  Result<> add(std::string_view bytes) {
    pending_ += bytes;
    if (pending_.size() > kAnswerBytesMax)
      return fail(ErrorCode::kTooLarge, "the answer of the daemon is too large");
    std::size_t start = 0;
    for (;;) {
      const std::size_t end = pending_.find('\n', start);
      if (end == std::string::npos) break;
      WARREN_TRY_VOID(line(std::string_view(pending_).substr(start, end - start)));
      start = end + 1;
    }
    pending_.erase(0, start);
    return {};
  }
  /// The answer, when there was one.
  Result<Json> finish() const {
    if (answer_.is_null()) return lost(http::make_error_code(http::error::partial_message));
    return answer_;
  }

 private:
  Result<> line(std::string_view text) {
    Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!value.is_object())
      return fail(ErrorCode::kMalformed, "the daemon answered with something else than JSON");
    const auto type = value.find("type");
    if (type != value.end() && (*type == "result" || *type == "error")) {
      answer_ = std::move(value);
    } else if (on_line_) {
      on_line_(value);
    }
    return {};
  }

  OnLine on_line_;
  std::string pending_;
  Json answer_;
};

using HeaderParser = http::response_parser<http::buffer_body>;

/// References of the coroutine are to the frame of exchange(), which awaits it.
awaitable<Result<std::size_t>> read_piece(Socket& socket, beast::flat_buffer& buffer,
                                          HeaderParser& parser, std::array<char, 16'384>& piece) {
  parser.get().body().data = piece.data();
  parser.get().body().size = piece.size();
  // Some, not all: a line is to be seen when it comes, not when the piece is full.
  const auto [error, ignored] = co_await http::async_read_some(socket, buffer, parser, kToken);
  if (error && error != http::error::need_buffer) co_return lost(error);
  co_return piece.size() - parser.get().body().size;
}

awaitable<Result<Json>> exchange(Socket& socket, Call call, OnLine on_line) {
  http::request<http::string_body> request;
  request.method_string(call.method);
  request.target(call.target);
  request.version(11);
  request.set(http::field::host, "localhost");
  if (!call.body.empty()) {
    request.set(http::field::content_type, "application/json");
    request.body() = to_line(call.body);
  }
  request.prepare_payload();
  const auto [write_error, written] = co_await http::async_write(socket, request, kToken);
  if (write_error) co_return lost(write_error);

  beast::flat_buffer buffer(64u << 10);
  HeaderParser parser;
  parser.body_limit(boost::none);
  const auto [read_error, header] =
      co_await http::async_read_header(socket, buffer, parser, kToken);
  if (read_error) co_return lost(read_error);
  const bool streamed = parser.chunked();
  const unsigned status = parser.get().result_int();

  LineReader lines(std::move(on_line));
  std::string whole;
  std::array<char, 16'384> piece{};
  while (!parser.is_done()) {
    WARREN_CO_TRY(const std::size_t size, co_await read_piece(socket, buffer, parser, piece));
    const std::string_view bytes(piece.data(), size);
    if (streamed) {
      WARREN_CO_TRY_VOID(lines.add(bytes));
    } else {
      whole += bytes;
      if (whole.size() > kAnswerBytesMax)
        co_return fail(ErrorCode::kTooLarge, "the answer of the daemon is too large");
    }
  }
  if (!streamed) {
    Json answer = Json::parse(whole, nullptr, /*allow_exceptions=*/false);
    if (!answer.is_object())
      co_return fail(ErrorCode::kMalformed, "the daemon answered with something else than JSON");
    if (status != 200) co_return fail(from_problem(answer));
    co_return answer;
  }
  WARREN_CO_TRY(Json answer, lines.finish());
  if (answer["type"] == "error") co_return fail(from_problem(answer));
  answer.erase("type");
  co_return answer;
}

}  // namespace

awaitable<Result<Json>> call(runtime::Runtime& runtime, std::string path, Call call,
                             OnLine on_line) {
  const auto address = socket_address(path);
  if (!address)
    co_return fail(connect_error(path, boost::system::errc::make_error_code(
                                           boost::system::errc::no_such_file_or_directory))
                       .error());
  Socket socket(runtime.executor());
  const asio::local::stream_protocol::endpoint endpoint(address->path);
  const auto [error] = co_await socket.async_connect(endpoint, kToken);
  if (error == asio::error::operation_aborted) co_return fail(ErrorCode::kCancelled, "cancelled");
  if (error) co_return fail(connect_error(path, error).error());
  co_return co_await exchange(socket, std::move(call), std::move(on_line));
}

}  // namespace warren::api

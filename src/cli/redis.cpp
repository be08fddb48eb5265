#include "cli/redis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace warren::cli {
namespace {

using runtime::awaitable;

constexpr Duration kRetryInterval = 100ms;
/// For the answer to a wait whose time is up on the server.
constexpr Duration kAnswerTimeMax = 2s;
constexpr std::size_t kReadBytes = 4096;

/// The pieces of a reply, one after another. What is not whole yet is nullopt.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  std::size_t taken() const { return size_ - rest_.size(); }

  /// Up to the next CR LF, which is taken too.
  Result<std::optional<std::string_view>> line() {
    const std::size_t end = rest_.find("\r\n");
    if (end == std::string_view::npos) {
      if (rest_.size() > kRedisReplyBytesMax) return too_large(rest_.size());
      return std::nullopt;
    }
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return text;
  }

  /// `count` bytes and the CR LF behind them.
  Result<std::optional<std::string_view>> bytes(std::size_t count) {
    if (rest_.size() < count + 2) return std::nullopt;
    const std::string_view text = rest_.substr(0, count);
    if (rest_.substr(count, 2) != "\r\n") {
      return fail(ErrorCode::kMalformed, "Redis: a string without its end");
    }
    rest_.remove_prefix(count + 2);
    return text;
  }

  static std::unexpected<Error> too_large(std::uint64_t what) {
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("Redis: {} in a reply, at most {} bytes are taken", what, kRedisReplyBytesMax));
  }

 private:
  std::string_view rest_;
  std::size_t size_;
};

Result<std::int64_t> number_in(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) {
    return fail(ErrorCode::kMalformed, "Redis: no number where one belongs");
  }
  return value;
}

/// A length, -1 for nothing.
Result<std::int64_t> length_in(std::string_view text, std::size_t most) {
  WARREN_TRY(const std::int64_t length, number_in(text));
  if (length < -1) return fail(ErrorCode::kMalformed, fmt::format("Redis: length {}", length));
  if (length > static_cast<std::int64_t>(most)) {
    return Reader::too_large(static_cast<std::uint64_t>(length));
  }
  return length;
}

using MaybeReply = Result<std::optional<RedisReply>>;

MaybeReply string_reply(Reader& reader, std::string_view head) {
  WARREN_TRY(const std::int64_t length, length_in(head, kRedisReplyBytesMax));
  if (length < 0) return RedisReply{};
  WARREN_TRY(const auto text, reader.bytes(static_cast<std::size_t>(length)));
  if (!text) return std::nullopt;
  return RedisReply{.kind = RedisReply::Kind::kText, .text = std::string(*text)};
}

/// Everything but a list. `line` is the first line, with its mark.
MaybeReply simple_reply(Reader& reader, std::string_view line) {
  using Kind = RedisReply::Kind;
  const std::string_view rest = line.substr(1);
  switch (line.front()) {
    case '+': return RedisReply{.kind = Kind::kText, .text = std::string(rest)};
    case '-': return RedisReply{.kind = Kind::kError, .text = std::string(rest)};
    case ':': {
      WARREN_TRY(const std::int64_t number, number_in(rest));
      return RedisReply{.kind = Kind::kNumber, .number = number};
    }
    case '$': return string_reply(reader, rest);
    case '*': return fail(ErrorCode::kUnsupported, "Redis: a list within a list");
    default: return fail(ErrorCode::kMalformed, "Redis: a reply of an unknown kind");
  }
}

MaybeReply list_reply(Reader& reader, std::string_view head) {
  WARREN_TRY(const std::int64_t count, length_in(head, kRedisItemsMax));
  if (count < 0) return RedisReply{};
  RedisReply list{.kind = RedisReply::Kind::kList};
  for (std::int64_t i = 0; i < count; ++i) {
    WARREN_TRY(const auto line, reader.line());
    if (!line) return std::nullopt;
    if (line->empty()) return fail(ErrorCode::kMalformed, "Redis: an empty line");
    WARREN_TRY(auto item, simple_reply(reader, *line));
    if (!item) return std::nullopt;
    const bool number = item->kind == RedisReply::Kind::kNumber;
    list.items.push_back(number ? fmt::format("{}", item->number) : std::move(item->text));
  }
  return list;
}

awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_once(runtime::Runtime& runtime,
                                                                     std::string host,
                                                                     std::uint16_t port,
                                                                     TimePoint deadline) {
  std::vector<IpAddress> addresses;
  if (const auto ip = IpAddress::parse(host)) {
    addresses.push_back(*ip);
  } else {
    WARREN_CO_TRY(addresses, co_await runtime.resolver().resolve_host(
                                 std::move(host), runtime::AddressFamily::kAny, deadline));
  }
  std::optional<Error> last;
  for (const IpAddress& ip : addresses) {
    auto stream = co_await runtime.connect_stream(Endpoint{.ip = ip, .port = port}, deadline);
    if (stream) co_return std::move(*stream);
    last = stream.error();
  }
  co_return fail(last.value_or(Error(ErrorCode::kNotFound, "no address")));
}

}  // namespace

Result<std::optional<ParsedReply>> parse_redis_reply(BytesView bytes) {
  Reader reader(as_text(bytes));
  WARREN_TRY(const auto line, reader.line());
  if (!line) return std::nullopt;
  if (line->empty()) return fail(ErrorCode::kMalformed, "Redis: an empty line");
  const bool list = line->front() == '*';
  WARREN_TRY(auto reply, list ? list_reply(reader, line->substr(1)) : simple_reply(reader, *line));
  if (!reply) {
    if (bytes.size() > kRedisReplyBytesMax) return Reader::too_large(bytes.size());
    return std::nullopt;
  }
  return ParsedReply{.reply = *std::move(reply), .taken = reader.taken()};
}

Bytes encode_redis_command(const std::vector<std::string>& words) {
  Bytes out = to_bytes(fmt::format("*{}\r\n", words.size()));
  for (const std::string& word : words) {
    append(out, as_bytes(fmt::format("${}\r\n", word.size())));
    append(out, as_bytes(word));
    append(out, as_bytes("\r\n"));
  }
  return out;
}

awaitable<Result<std::unique_ptr<RedisClient>>> RedisClient::connect(runtime::Runtime& runtime,
                                                                     std::string host,
                                                                     std::uint16_t port,
                                                                     TimePoint deadline) {
  for (;;) {
    auto stream = co_await connect_once(runtime, host, port, deadline);
    if (stream) co_return std::make_unique<RedisClient>(runtime, *std::move(stream));
    const ErrorCode code = stream.error().code();
    if (code == ErrorCode::kInvalidArgument || code == ErrorCode::kCancelled) {
      co_return fail(std::move(stream).error());
    }
    if (runtime.now() + kRetryInterval >= deadline) {
      co_return fail(ErrorCode::kTimedOut, fmt::format("no Redis server at {}:{}: {}", host, port,
                                                       stream.error().message()));
    }
    WARREN_CO_TRY_VOID(co_await runtime.sleep_for(kRetryInterval));
  }
}

awaitable<Result<RedisReply>> RedisClient::call(std::vector<std::string> words,
                                                TimePoint deadline) {
  const Bytes command = encode_redis_command(words);
  const std::array<BytesView, 1> parts{BytesView(command)};
  WARREN_CO_TRY_VOID(co_await stream_->write_all(parts, deadline));
  for (;;) {
    WARREN_CO_TRY(auto parsed, parse_redis_reply(buffered_));
    if (parsed) {
      buffered_.erase(buffered_.begin(),
                      buffered_.begin() + static_cast<std::ptrdiff_t>(parsed->taken));
      if (parsed->reply.kind == RedisReply::Kind::kError) {
        co_return fail(ErrorCode::kDenied, "Redis: " + parsed->reply.text);
      }
      co_return std::move(parsed->reply);
    }
    std::array<std::uint8_t, kReadBytes> more;
    WARREN_CO_TRY(const std::size_t n, co_await stream_->read_some(more, deadline));
    if (n == 0) co_return fail(ErrorCode::kClosed, "Redis closed the connection");
    append(buffered_, BytesView(more).first(n));
  }
}

awaitable<Result<>> RedisClient::push(std::string key, std::string value, TimePoint deadline) {
  std::vector<std::string> words{"RPUSH", std::move(key), std::move(value)};
  WARREN_CO_TRY_VOID(co_await call(std::move(words), deadline));
  co_return Result<>{};
}

awaitable<Result<std::string>> RedisClient::pop(std::string key, TimePoint deadline) {
  // Whole seconds, at least one: 0 would be for ever.
  const auto left = std::chrono::ceil<std::chrono::seconds>(deadline - runtime_.now());
  std::vector<std::string> words{"BLPOP", key, fmt::format("{}", std::max<long>(1, left.count()))};
  WARREN_CO_TRY(RedisReply reply, co_await call(std::move(words), deadline + kAnswerTimeMax));
  if (reply.kind == RedisReply::Kind::kNothing) {
    co_return fail(ErrorCode::kTimedOut, fmt::format("nobody put anything into '{}'", key));
  }
  if (reply.kind != RedisReply::Kind::kList || reply.items.size() != 2 || reply.items[0] != key) {
    co_return fail(ErrorCode::kMalformed, "Redis: another answer than that to a BLPOP");
  }
  co_return std::move(reply.items[1]);
}

}  // namespace warren::cli

#pragma once
// As much of a Redis client as the interop harness needs: one command at a time, its reply.
// Source: the Redis serialization protocol, version 2.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "runtime/runtime.hpp"

namespace warren::cli {

/// Most bytes of a reply, with everything around them. Beyond: kTooLarge.
inline constexpr std::size_t kRedisReplyBytesMax = 64u << 10;
/// Most items of a list. Beyond: kTooLarge.
inline constexpr std::size_t kRedisItemsMax = 64;

struct RedisReply {
  enum class Kind : std::uint8_t {
    kText,     ///< A status or a string: `text`.
    kError,    ///< What the server complains of: `text`.
    kNumber,   ///< `number`.
    kList,     ///< `items`; texts, or numbers as text.
    kNothing,  ///< A null, as after a wait that was in vain.
  } kind = Kind::kNothing;
  std::string text{};
  std::int64_t number = 0;
  std::vector<std::string> items{};

  bool operator==(const RedisReply&) const = default;
};

struct ParsedReply {
  RedisReply reply;
  std::size_t taken = 0;  ///< Bytes of the reply.
};

/// The reply at the front of `bytes`; nullopt while it is not whole. Nothing is reserved for a
/// length that a server only claims. Errors: kMalformed; kTooLarge; kUnsupported for a list within
/// a list. Any thread.
Result<std::optional<ParsedReply>> parse_redis_reply(BytesView bytes);

/// A command and its arguments, as a server reads them.
Bytes encode_redis_command(const std::vector<std::string>& words);

/// One connection. One call at a time. Core thread only; `runtime` must outlive it.
class RedisClient {
 public:
  /// `host` is an IP address or a name; tries again until it answers or the deadline has passed.
  /// Errors: kTimedOut with the last failure, kInvalidArgument for what can be no host, kCancelled.
  static runtime::awaitable<Result<std::unique_ptr<RedisClient>>> connect(runtime::Runtime& runtime,
                                                                          std::string host,
                                                                          std::uint16_t port,
                                                                          TimePoint deadline);

  RedisClient(runtime::Runtime& runtime, std::unique_ptr<runtime::ByteStream> stream)
      : runtime_(runtime), stream_(std::move(stream)) {}

  /// Appends `value` to the list `key` (RPUSH). Errors: what the server complains of (kDenied);
  /// those of parse_redis_reply and ByteStream. Cancel or error: the client is of no further use.
  runtime::awaitable<Result<>> push(std::string key, std::string value, TimePoint deadline);
  /// Takes the first value off the list `key`, waiting for one (BLPOP). Errors and Cancel: as push;
  /// kTimedOut when none came in time.
  runtime::awaitable<Result<std::string>> pop(std::string key, TimePoint deadline);

 private:
  runtime::awaitable<Result<RedisReply>> call(std::vector<std::string> words, TimePoint deadline);

  runtime::Runtime& runtime_;
  std::unique_ptr<runtime::ByteStream> stream_;
  Bytes buffered_;
};

}  // namespace warren::cli

#pragma once
// Protobuf messages from and to bytes, with limits before anything is built from them.

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::wire {

struct ParseLimits {
  /// Longest message.
  std::size_t bytes_max = 4u << 20;
  /// Fields on the top level, so that two bytes each cannot become an object each without end.
  std::size_t fields_max = 1u << 16;
  /// Messages inside messages.
  int depth_max = 16;
};

/// Reads `bytes` into `message`, which is cleared first. `what` names the message in the error.
/// Unknown fields are skipped; repeated occurrences of a single field merge, the last one wins.
/// Errors: kMalformed, kTooLarge.
Result<> parse_into(google::protobuf::MessageLite& message, BytesView bytes, std::string_view what,
                    ParseLimits limits = {});

template <class Message>
Result<Message> parse(BytesView bytes, std::string_view what, ParseLimits limits = {}) {
  Message message;
  WARREN_TRY_VOID(parse_into(message, bytes, what, limits));
  return message;
}

/// Fields in ascending order, the same bytes each time.
Bytes serialize(const google::protobuf::MessageLite& message);
/// serialize() with its length in front: what goes on a stream.
Bytes serialize_frame(const google::protobuf::MessageLite& message);

}  // namespace warren::wire

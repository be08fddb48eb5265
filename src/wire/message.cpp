#include "wire/message.hpp"

#include <fmt/core.h>
#include <google/protobuf/io/coded_stream.h>

#include "base/check.hpp"
#include "base/varint.hpp"

namespace warren::wire {
namespace {

using google::protobuf::io::CodedInputStream;

// Skips the value of a field; false when it is cut off or of a kind that is not read (groups).
bool skip_value(CodedInputStream& in, std::uint32_t wire_type) {
  std::uint64_t ignored = 0;
  std::uint32_t length = 0;
  switch (wire_type) {
    case 0: return in.ReadVarint64(&ignored);
    case 1: return in.Skip(8);
    case 2:
      return in.ReadVarint32(&length) && length <= INT32_MAX && in.Skip(static_cast<int>(length));
    case 5: return in.Skip(4);
    default: return false;
  }
}

// Walks over the top level without building anything.
Result<> check_fields(BytesView bytes, std::string_view what, std::size_t fields_max) {
  CodedInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  for (std::size_t count = 0; static_cast<std::size_t>(in.CurrentPosition()) < bytes.size();
       ++count) {
    if (count == fields_max) {
      return fail(ErrorCode::kTooLarge, fmt::format("{}: more than {} fields", what, fields_max));
    }
    const int at = in.CurrentPosition();
    const std::uint32_t tag = in.ReadTag();
    if (tag >> 3 == 0 || !skip_value(in, tag & 7)) {
      return fail(ErrorCode::kMalformed,
                  fmt::format("{}: no whole field at byte {} of {}", what, at, bytes.size()));
    }
  }
  return {};
}

void append_serialized(Bytes& out, const google::protobuf::MessageLite& message, std::size_t size) {
  const std::size_t start = out.size();
  out.resize(start + size);
  WARREN_CHECK(message.SerializeToArray(out.data() + start, static_cast<int>(size)));
}

}  // namespace

Result<> parse_into(google::protobuf::MessageLite& message, BytesView bytes, std::string_view what,
                    ParseLimits limits) {
  if (bytes.size() > limits.bytes_max || bytes.size() > INT32_MAX) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("{}: {} bytes; {} is the most", what, bytes.size(), limits.bytes_max));
  }
  WARREN_TRY_VOID(check_fields(bytes, what, limits.fields_max));
  CodedInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  in.SetRecursionLimit(limits.depth_max);
  if (!message.ParseFromCodedStream(&in) || !in.ConsumedEntireMessage()) {
    return fail(ErrorCode::kMalformed,
                fmt::format("{}: {} bytes are no such message", what, bytes.size()));
  }
  return {};
}

Bytes serialize(const google::protobuf::MessageLite& message) {
  Bytes bytes;
  append_serialized(bytes, message, message.ByteSizeLong());
  return bytes;
}

Bytes serialize_frame(const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  Bytes bytes;
  bytes.reserve(uvarint_size(size) + size);
  append_uvarint(bytes, size);
  append_serialized(bytes, message, size);
  return bytes;
}

}  // namespace warren::wire

#include "content/dag_pb.hpp"

#include <fmt/format.h>

#include "base/varint.hpp"

namespace warren::content {
namespace {

// A field's key: its number and how its value is written. Source: protobuf encoding.
enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
constexpr std::uint8_t key(std::uint8_t field, Wire wire) {
  return static_cast<std::uint8_t>(field << 3 | static_cast<std::uint8_t>(wire));
}

constexpr std::uint8_t kNodeData = key(1, Wire::kBytes);
constexpr std::uint8_t kNodeLink = key(2, Wire::kBytes);
constexpr std::uint8_t kLinkHash = key(1, Wire::kBytes);
constexpr std::uint8_t kLinkName = key(2, Wire::kBytes);
constexpr std::uint8_t kLinkTsize = key(3, Wire::kVarint);

constexpr std::size_t kCidBytes = 36;    // Version, codec, and a sha2-256 multihash.
constexpr std::size_t kCidV0Bytes = 34;  // The multihash alone.

void append_bytes_field(Bytes& out, std::uint8_t field_key, BytesView value) {
  out.push_back(field_key);
  append_uvarint(out, value.size());
  append(out, value);
}

void append_varint_field(Bytes& out, std::uint8_t field_key, std::uint64_t value) {
  out.push_back(field_key);
  append_uvarint(out, value);
}

// A cursor over one message. Keys above one byte do not occur in these messages.
class Reader {
 public:
  Reader(BytesView bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  bool done() const { return bytes_.empty(); }
  std::uint8_t peek_key() const { return bytes_.front(); }
  void skip_key() { bytes_ = bytes_.subspan(1); }

  Result<std::uint64_t> varint() {
    const auto value = read_whole_uvarint(bytes_);
    if (!value) return malformed(value.error().message());
    bytes_ = bytes_.subspan(value->size);
    return value->value;
  }
  Result<BytesView> bytes() {
    WARREN_TRY(const std::uint64_t size, varint());
    if (size > bytes_.size()) {
      return malformed(fmt::format("a field of {} bytes where {} are left", size, bytes_.size()));
    }
    const BytesView value = bytes_.first(static_cast<std::size_t>(size));
    bytes_ = bytes_.subspan(value.size());
    return value;
  }
  Result<> skip(std::size_t count) {
    if (count > bytes_.size()) return malformed("it is cut off");
    bytes_ = bytes_.subspan(count);
    return {};
  }
  std::unexpected<Error> malformed(std::string_view why) const {
    return fail(ErrorCode::kMalformed, fmt::format("{} is malformed: {}", what_, why));
  }

 private:
  BytesView bytes_;
  std::string_view what_;
};

Result<Cid> link_cid(BytesView hash) {
  if (hash.size() == kCidV0Bytes && hash[0] == 0x12 && hash[1] == 0x20) {
    Cid cid{Codec::kDagPb, {}};
    std::copy(hash.begin() + 2, hash.end(), cid.digest.bytes.begin());
    return cid;
  }
  return Cid::from_bytes(hash);
}

Result<PbLink> decode_link(BytesView bytes) {
  Reader reader(bytes, "a link of a dag-pb block");
  PbLink link;
  if (reader.done() || reader.peek_key() != kLinkHash) return reader.malformed("it has no hash");
  reader.skip_key();
  WARREN_TRY(const BytesView hash, reader.bytes());
  WARREN_TRY(link.cid, link_cid(hash));
  if (!reader.done() && reader.peek_key() == kLinkName) {
    reader.skip_key();
    WARREN_TRY(const BytesView name, reader.bytes());
    link.name = as_text(name);
  }
  if (!reader.done() && reader.peek_key() == kLinkTsize) {
    reader.skip_key();
    WARREN_TRY(link.tree_bytes, reader.varint());
  }
  if (!reader.done()) return reader.malformed("a field is unknown or out of order");
  return link;
}

}  // namespace

std::size_t encoded_link_bytes(std::size_t name_bytes, std::uint64_t tree_bytes) {
  const std::size_t body =
      2 + kCidBytes + 1 + uvarint_size(name_bytes) + name_bytes + 1 + uvarint_size(tree_bytes);
  return 1 + uvarint_size(body) + body;
}

std::size_t encoded_data_bytes(std::size_t data_bytes) {
  return data_bytes == 0 ? 0 : 1 + uvarint_size(data_bytes) + data_bytes;
}

Bytes encode_node(const PbNode& node) {
  std::size_t size = encoded_data_bytes(node.data.size());
  for (const PbLink& link : node.links) {
    size += encoded_link_bytes(link.name.size(), link.tree_bytes);
  }
  Bytes out;
  out.reserve(size);
  for (const PbLink& link : node.links) {
    const std::size_t body = 2 + kCidBytes + 1 + uvarint_size(link.name.size()) + link.name.size() +
                             1 + uvarint_size(link.tree_bytes);
    append_varint_field(out, kNodeLink, body);
    append_bytes_field(out, kLinkHash, link.cid.to_bytes());
    append_bytes_field(out, kLinkName, as_bytes(link.name));
    append_varint_field(out, kLinkTsize, link.tree_bytes);
  }
  if (!node.data.empty()) append_bytes_field(out, kNodeData, node.data);
  return out;
}

Result<PbNode> decode_node(BytesView block) {
  Reader reader(block, "a dag-pb block");
  PbNode node;
  while (!reader.done() && reader.peek_key() == kNodeLink) {
    if (node.links.size() >= kPbLinksMax) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("a dag-pb block has more than {} links", kPbLinksMax));
    }
    reader.skip_key();
    WARREN_TRY(const BytesView link, reader.bytes());
    WARREN_TRY(PbLink decoded, decode_link(link));
    node.links.push_back(std::move(decoded));
  }
  if (!reader.done() && reader.peek_key() == kNodeData) {
    reader.skip_key();
    WARREN_TRY(const BytesView data, reader.bytes());
    node.data = to_bytes(data);
  }
  if (!reader.done()) return reader.malformed("a field is unknown or out of order");
  return node;
}

// ------------------------------------------------------------------------------------ UnixFS

Bytes encode_unixfs(const UnixfsData& message) {
  Bytes out;
  append_varint_field(out, key(1, Wire::kVarint), static_cast<std::uint64_t>(message.type));
  if (!message.data.empty()) append_bytes_field(out, key(2, Wire::kBytes), message.data);
  if (message.file_bytes) append_varint_field(out, key(3, Wire::kVarint), *message.file_bytes);
  for (const std::uint64_t size : message.block_bytes) {
    append_varint_field(out, key(4, Wire::kVarint), size);  // Not packed: the format is proto2.
  }
  if (message.hash_type) append_varint_field(out, key(5, Wire::kVarint), *message.hash_type);
  if (message.fanout) append_varint_field(out, key(6, Wire::kVarint), *message.fanout);
  return out;
}

Result<UnixfsData> decode_unixfs(BytesView bytes) {
  Reader reader(bytes, "a UnixFS message");
  UnixfsData message;
  bool typed = false;
  while (!reader.done()) {
    const std::uint8_t field_key = reader.peek_key();
    reader.skip_key();
    switch (field_key) {
      case key(1, Wire::kVarint): {
        WARREN_TRY(const std::uint64_t type, reader.varint());
        if (type > static_cast<std::uint64_t>(UnixfsType::kHamtShard)) {
          return reader.malformed(fmt::format("its type is {}", type));
        }
        message.type = static_cast<UnixfsType>(type);
        typed = true;
        break;
      }
      case key(2, Wire::kBytes): {
        WARREN_TRY(const BytesView data, reader.bytes());
        message.data = to_bytes(data);
        break;
      }
      case key(3, Wire::kVarint): {
        WARREN_TRY(message.file_bytes, reader.varint());
        break;
      }
      case key(4, Wire::kVarint): {
        WARREN_TRY(const std::uint64_t size, reader.varint());
        message.block_bytes.push_back(size);
        break;
      }
      case key(4, Wire::kBytes): {  // Packed, as some writers do.
        WARREN_TRY(const BytesView packed, reader.bytes());
        Reader sizes(packed, "a UnixFS message");
        while (!sizes.done()) {
          WARREN_TRY(const std::uint64_t size, sizes.varint());
          message.block_bytes.push_back(size);
        }
        break;
      }
      case key(5, Wire::kVarint): {
        WARREN_TRY(message.hash_type, reader.varint());
        break;
      }
      case key(6, Wire::kVarint): {
        WARREN_TRY(message.fanout, reader.varint());
        break;
      }
      case key(7, Wire::kVarint): {  // Mode.
        WARREN_TRY([[maybe_unused]] const std::uint64_t mode, reader.varint());
        break;
      }
      case key(8, Wire::kBytes): {  // Mtime.
        WARREN_TRY([[maybe_unused]] const BytesView mtime, reader.bytes());
        break;
      }
      default: return reader.malformed(fmt::format("field key {} is unknown", field_key));
    }
  }
  if (!typed) return reader.malformed("it has no type");
  return message;
}

}  // namespace warren::content

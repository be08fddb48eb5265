#pragma once
// dag-pb blocks and the UnixFS message inside them, in the one canonical form. Written by hand:
// a block must come out byte for byte as every IPFS tool makes it, or its name differs.
// Source: ipld.io/specs/codecs/dag-pb/spec, ipfs/specs UNIXFS.md; proto/dag_pb.proto.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "multiformats/cid.hpp"

namespace warren::content {

/// Most links of one block that are read. Beyond: kTooLarge. A block of 2 MiB holds fewer.
inline constexpr std::size_t kPbLinksMax = 65'536;

struct PbLink {
  Cid cid;
  std::string name;
  std::uint64_t tree_bytes = 0;  ///< Tsize.
};

struct PbNode {
  std::vector<PbLink> links;
  Bytes data;
};

/// Links in the order given (dag-pb wants them sorted by name, stably; the builders do), then
/// data. Every link has Hash, Name and Tsize.
Bytes encode_node(const PbNode& node);
/// Size that encode_node() would give, without encoding.
std::size_t encoded_link_bytes(std::size_t name_bytes, std::uint64_t tree_bytes);
std::size_t encoded_data_bytes(std::size_t data_bytes);

/// Strict: fields in canonical order, minimal varints, nothing unknown, CIDs of sha2-256.
/// Errors: kMalformed, kUnsupported (another hash or codec), kTooLarge.
Result<PbNode> decode_node(BytesView block);

enum class UnixfsType : std::uint8_t {
  kRaw = 0,
  kDirectory = 1,
  kFile = 2,
  kMetadata = 3,
  kSymlink = 4,
  kHamtShard = 5,
};

/// The message in PbNode::data. Mode and mtime are not part of a dataset: not written, and
/// ignored when read.
struct UnixfsData {
  UnixfsType type = UnixfsType::kDirectory;
  Bytes data;
  std::optional<std::uint64_t> file_bytes;
  std::vector<std::uint64_t> block_bytes;
  std::optional<std::uint64_t> hash_type;
  std::optional<std::uint64_t> fanout;
};

Bytes encode_unixfs(const UnixfsData& message);
/// Errors: kMalformed.
Result<UnixfsData> decode_unixfs(BytesView bytes);

}  // namespace warren::content

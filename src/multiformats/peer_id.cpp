#include "multiformats/peer_id.hpp"

#include <fmt/core.h>
#include <openssl/sha.h>

#include <array>

#include "base/check.hpp"
#include "base/varint.hpp"
#include "multiformats/cid.hpp"
#include "multiformats/multibase.hpp"
#include "multiformats/multihash.hpp"
#include "multiformats/quote.hpp"

namespace warren::multiformats {
namespace {

// Source: libp2p specs, peer-ids/peer-ids.md, "Peer Ids".
constexpr std::size_t kInlineKeyBytesMax = 42;
constexpr std::size_t kPeerIdTextMax = 256;

Result<Bytes> multihash_of_text(std::string_view text) {
  if (text.starts_with('1') || text.starts_with("Qm")) {
    return decode_bare(Base::kBase58btc, text);
  }
  WARREN_TRY(const Bytes cid, decode_multibase(text));
  WARREN_TRY(const Uvarint version, read_whole_uvarint(cid));
  const BytesView behind_version = BytesView(cid).subspan(version.size);
  WARREN_TRY(const Uvarint codec, read_whole_uvarint(behind_version));
  if (version.value != 1 || codec.value != static_cast<std::uint64_t>(Codec::kLibp2pKey)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("CID version {} with codec 0x{:x} instead of 1 with libp2p-key (0x72)",
                            version.value, codec.value));
  }
  return to_bytes(behind_version.subspan(codec.size));
}

Result<PeerId> parse_any(std::string_view text) {
  WARREN_TRY(const Bytes multihash, multihash_of_text(text));
  return PeerId::from_bytes(multihash);
}

}  // namespace

Result<PeerId> PeerId::from_bytes(BytesView multihash) {
  auto hash = read_whole_multihash(multihash);
  if (!hash) return fail(ErrorCode::kMalformed, "peer id: " + hash.error().message());
  if (hash->code == kHashIdentity) {
    if (hash->digest.empty() || hash->digest.size() > kInlineKeyBytesMax) {
      return fail(ErrorCode::kMalformed,
                  fmt::format("a peer id with an inline key of {} bytes, not 1 to {}",
                              hash->digest.size(), kInlineKeyBytesMax));
    }
  } else if (hash->code != kHashSha256) {
    return fail(ErrorCode::kMalformed,
                fmt::format("peer id hash function 0x{:x} is neither identity (0x00) nor "
                            "sha2-256 (0x12)",
                            hash->code));
  }
  PeerId id;
  id.bytes_ = as_text(multihash);
  return id;
}

PeerId PeerId::from_public_key(BytesView key_protobuf) {
  WARREN_CHECK(!key_protobuf.empty());
  Bytes multihash;
  if (key_protobuf.size() <= kInlineKeyBytesMax) {
    append_multihash(multihash, kHashIdentity, key_protobuf);
  } else {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    ::SHA256(key_protobuf.data(), key_protobuf.size(), digest.data());
    append_multihash(multihash, kHashSha256, digest);
  }
  PeerId id;
  id.bytes_ = as_text(multihash);
  return id;
}

Result<PeerId> PeerId::parse(std::string_view text) {
  if (text.size() > kPeerIdTextMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} characters are not a peer id; {} is the most", text.size(),
                            kPeerIdTextMax));
  }
  auto id = parse_any(text);
  if (!id) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is not a peer id: {}", quote(text), id.error().message()),
                "a peer id looks like 12D3KooW... or Qm...");
  }
  return id;
}

std::string PeerId::to_string() const { return encode_bare(Base::kBase58btc, bytes()); }

std::string PeerId::to_cid_string() const {
  Bytes cid;
  append_uvarint(cid, 1);
  append_uvarint(cid, static_cast<std::uint64_t>(Codec::kLibp2pKey));
  append(cid, bytes());
  return encode_multibase(Base::kBase32, cid);
}

BytesView PeerId::inline_key() const noexcept {
  // Both varints of an identity multihash take one byte each.
  if (bytes_.empty() || bytes_.front() != 0) return {};
  return bytes().subspan(2);
}

}  // namespace warren::multiformats

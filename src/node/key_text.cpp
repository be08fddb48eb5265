#include "node/key_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "crypto/keys.hpp"
#include "node/escape.hpp"

namespace warren::node {
namespace {

constexpr std::size_t kEd25519Bytes = 32;
/// What stands before an Ed25519 key in its PublicKey message: type 1, then 32 bytes of data.
/// Source: libp2p specs, peer-ids/peer-ids.md.
constexpr std::array<std::uint8_t, 4> kEd25519Head{0x08, 0x01, 0x12, 0x20};

std::optional<std::uint8_t> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.empty() || text.size() % 2 != 0 || text.size() > 2 * crypto::kKeyProtobufBytesMax) {
    return std::nullopt;
  }
  Bytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = digit(text[i]);
    const auto low = digit(text[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
  }
  return bytes;
}

}  // namespace

std::string key_text(BytesView protobuf) {
  const BytesView head(kEd25519Head);
  const bool is_ed25519 = protobuf.size() == head.size() + kEd25519Bytes &&
                          std::ranges::equal(protobuf.first(head.size()), head);
  return to_hex(is_ed25519 ? protobuf.subspan(head.size()) : protobuf);
}

Result<PeerId> parse_key(std::string_view text) {
  if (const auto id = PeerId::parse(text)) return id;
  if (const auto bytes = from_hex(text)) {
    if (bytes->size() == kEd25519Bytes) {
      return PeerId::from_public_key(crypto::PublicKey::from_ed25519(*bytes).protobuf());
    }
    const auto key = crypto::PublicKey::from_protobuf(*bytes);
    if (key) return PeerId::from_public_key(key->protobuf());
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is no key of a peer", escape_for_display(text, 80)),
              "give its peer id, or its Ed25519 key as 64 hexadecimal digits, as 'warren peers "
              "--json' shows them");
}

Error other_key(const PeerId& expected, const PeerId& found) {
  return Error(ErrorCode::kDenied,
               fmt::format("another key answers there: {} was expected, {} found",
                           expected.to_string(), found.to_string()),
               "somebody may be in between; if the other side was set up anew, compare its "
               "'warren status' and add it with its new key");
}

}  // namespace warren::node

#pragma once
// The Identify message (proto/identify.proto), with limits, and the merging of its parts.

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "multiformats/multiaddr.hpp"

namespace warren::protocols {

/// One Identify message, or several merged. Absent and empty fields are the same.
struct IdentifyMessage {
  Bytes public_key{};  ///< libp2p's PublicKey message.
  std::vector<Multiaddr> listen_addresses{};
  std::vector<std::string> protocols{};
  std::optional<Multiaddr> observed_address{};
  std::string protocol_version{};
  std::string agent_version{};
  Bytes signed_peer_record{};  ///< An envelope.

  bool operator==(const IdentifyMessage&) const = default;
};

/// Most bytes kept of the two version texts; the rest is cut off.
inline constexpr std::size_t kVersionTextBytesMax = 256;

/// Longest part that encode_identify_parts makes. Source: rust-libp2p refuses messages beyond 4
/// KiB.
inline constexpr std::size_t kIdentifyPartBytesMax = 4096;

/// Deterministic. Fields in ascending order.
Bytes encode_identify(const IdentifyMessage& message);

/// The message in as many as it takes, to be merged by the reader: the first has everything but
/// the signed record if not all of it fits, then the record, then protocols that were left. Each is
/// at most kIdentifyPartBytesMax long if the record is; those beyond identify_messages_max are
/// dropped.
std::vector<Bytes> encode_identify_parts(IdentifyMessage message);

/// Merges one serialized Identify into `into`: single fields are replaced, lists grow up to their
/// limits, beyond which (and for an address or protocol id that nobody could use) an item is left
/// out. Duplicates are kept once. Errors: kMalformed when it is no protobuf, kTooLarge beyond
/// identify_bytes_max; `into` is then unchanged. The caller bounds the number of parts.
Result<> merge_identify(BytesView bytes, const limits::Messages& limits, IdentifyMessage& into);

}  // namespace warren::protocols

#pragma once
// Public keys as people write them.

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::node {

/// An Ed25519 key as 64 hexadecimal digits; any other as its PublicKey message in hexadecimal.
/// `protobuf`: libp2p's PublicKey message; empty gives an empty text.
std::string key_text(BytesView protobuf);

/// The peer whose key `text` is: a peer id, or what key_text() gives.
/// Errors: kInvalidArgument.
Result<PeerId> parse_key(std::string_view text);

/// The refusal of a peer that has another key than the one that is expected, naming both. kDenied.
Error other_key(const PeerId& expected, const PeerId& found);

}  // namespace warren::node

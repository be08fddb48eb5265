#pragma once
// From a byte stream to a proven one: which security protocol, the handshake, which muxer.
// Internal to the module.

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/runtime.hpp"
#include "security/secure_channel.hpp"

namespace warren::transport {

inline constexpr std::string_view kYamux = "/yamux/1.0.0";

struct HandshakeResult {
  crypto::PublicKey remote_key;
  PeerId remote;
  std::unique_ptr<security::SecureChannel> channel;
  Bytes ciphertext;  ///< Read behind the last message of all, and not yet opened.
  Bytes plaintext;   ///< Opened behind the last message of all.
};

/// `stream` and `securities` must outlive the call. Reads at most a few kilobytes beyond what it
/// needs, and gives them back in the result.
/// Errors: kIntegrity, kUnsupported, kMalformed, kTooLarge, kReset (the bytes ended), kTimedOut,
/// kCancelled. Cancel: the stream is of no further use.
runtime::awaitable<Result<HandshakeResult>> shake_hands(
    runtime::ByteStream& stream, security::Side side,
    const std::vector<std::shared_ptr<security::SecurityProtocol>>& securities,
    std::optional<PeerId> expected, TimePoint deadline);

}  // namespace warren::transport

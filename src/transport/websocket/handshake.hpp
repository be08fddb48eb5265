#pragma once
// The HTTP exchange on a byte stream, after which it is a WebSocket.

#include <string>

#include "transport/websocket/stream.hpp"

namespace warren::transport::websocket {

/// Longest time for it, if the deadline is not sooner.
inline constexpr Duration kUpgradeTimeMax = 5s;

/// The client's side. `host` is what the header Host says. Errors: kTimedOut, kMalformed,
/// kTooLarge, kUnsupported (no WebSocket there), kReset, kClosed, kCancelled. Cancel: the stream is
/// closed.
runtime::awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_websocket(
    std::shared_ptr<Shared> shared, std::unique_ptr<runtime::ByteStream> inner, std::string host,
    TimePoint deadline);

/// The server's side. A request that is refused is answered with an HTTP status. Errors and Cancel:
/// as above.
runtime::awaitable<Result<std::unique_ptr<runtime::ByteStream>>> accept_websocket(
    std::shared_ptr<Shared> shared, std::unique_ptr<runtime::ByteStream> inner, TimePoint deadline);

}  // namespace warren::transport::websocket

#pragma once
// TLS to a server with a name, below WebSocket: a byte stream on another one.

#include <memory>

#include "runtime/runtime.hpp"
#include "security/tls/web_client.hpp"

namespace warren::transport::websocket {

/// Does the handshake on `inner`; then what is written and read is encrypted. close_write() ends
/// `inner` without TLS's goodbye, since WebSocket has one of its own.
/// Errors: kIntegrity when the server's certificate is not to be trusted; kTimedOut, kMalformed,
/// kReset, kClosed, kCancelled. Cancel: `inner` is closed.
runtime::awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_tls(
    std::unique_ptr<runtime::ByteStream> inner, std::unique_ptr<security::WebHandshake> handshake,
    TimePoint deadline);

}  // namespace warren::transport::websocket

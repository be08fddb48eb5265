#pragma once
// A byte stream in the binary frames of a WebSocket, over another byte stream.

#include <memory>

#include "runtime/runtime.hpp"
#include "runtime/task_group.hpp"
#include "transport/websocket/frame.hpp"

namespace warren::transport::websocket {

/// What the WebSockets of one transport share.
struct Shared {
  explicit Shared(runtime::Runtime& own_runtime) : runtime(own_runtime), tasks(own_runtime, 1024) {}

  runtime::Runtime& runtime;
  /// Pongs and close frames on their way. Its owner joins it before the last of these streams goes.
  runtime::TaskGroup tasks;
};

/// The WebSocket on `inner`, whose HTTP exchange is done; `first` are bytes that came behind it.
///
/// read_some() gives data however it was framed, and 0 behind the peer's close frame as behind the
/// end of `inner`; kMalformed and kUnsupported (text) when the peer breaks a rule, which it is
/// told. Frames are taken apart in the caller's buffer: nothing is held but a header or a control
/// frame. write_all() makes one frame of all parts, a client several: it has to mask, and so to
/// copy. close_write() sends a close frame; a peer answers with its own and sends no more. Errors
/// of write_all(): kClosed after either side's close frame.
std::unique_ptr<runtime::ByteStream> make_websocket_stream(
    std::shared_ptr<Shared> shared, std::unique_ptr<runtime::ByteStream> inner, Role role,
    Bytes first);

}  // namespace warren::transport::websocket

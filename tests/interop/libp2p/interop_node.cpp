#include "interop_node.hpp"

#include <algorithm>

#include "cli/interop_stack.hpp"
#include "crypto/sha256.hpp"

namespace warren::interop {
namespace {

/// Longer than any case of the tests takes.
constexpr Duration kCaseTimeMax = 60s;
constexpr std::size_t kStreamsMax = 4096;

/// What the inbound streams of all protocols have in common: an error resets, a good end closes.
awaitable<void> run_handler(Node& node, ProtocolStream stream,
                            awaitable<Result<>> (*serve)(Node&, Stream&, TimePoint)) {
  const auto served = co_await serve(node, *stream.stream, node.runtime.now() + kCaseTimeMax);
  if (!served) stream.stream->reset();
}

awaitable<Result<>> serve_sink(Node& node, Stream& stream, TimePoint deadline) {
  const auto sink = std::make_shared<Sink>();
  node.sinks.push_back(sink);
  Bytes buffer(kWriteBytes);
  for (;;) {
    const auto n = co_await stream.read_some(buffer, deadline);
    if (!n || *n == 0) {
      sink->ended = n                                       ? "end"
                    : n.error().code() == ErrorCode::kReset ? "reset"
                                                            : n.error().message();
      co_return Result<>{};
    }
    const bool enough = sink->bytes < kMiB && sink->bytes + *n >= kMiB;
    sink->bytes += *n;
    if (!enough) continue;
    const Bytes mark(1);
    WARREN_CO_TRY_VOID(co_await stream.write(BytesView(mark), deadline));
  }
}

awaitable<Result<>> serve_hold(Node& node, Stream& stream, TimePoint deadline) {
  const Bytes holding(1);
  WARREN_CO_TRY_VOID(co_await stream.write(BytesView(holding), deadline));
  const std::shared_ptr<runtime::Signal> released = node.runtime.make_signal();
  node.held.push_back(released);
  const runtime::Wake wake = co_await released->wait_until(deadline);
  if (wake != runtime::Wake::kNotified) co_return fail(ErrorCode::kTimedOut, "never released");
  crypto::Sha256 hash;
  Bytes buffer(kWriteBytes);
  for (;;) {
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(buffer, deadline));
    if (n == 0) break;
    hash.update(BytesView(buffer).first(n));
  }
  const auto digest = hash.finish();
  WARREN_CO_TRY_VOID(co_await stream.write(BytesView(digest), deadline));
  stream.close_write();
  co_return co_await stream.flush(deadline);
}

awaitable<Result<>> serve_abort_upload(Node&, Stream& stream, TimePoint deadline) {
  Bytes buffer(kMiB);
  WARREN_CO_TRY_VOID(co_await stream.read_full(buffer, deadline));
  stream.reset();
  co_return Result<>{};
}

awaitable<Result<>> serve_abort_download(Node&, Stream& stream, TimePoint deadline) {
  WARREN_CO_TRY_VOID(co_await write_all(stream, SharedBytes(Bytes(kMiB)), deadline));
  Bytes marks(2);
  WARREN_CO_TRY_VOID(co_await stream.read_full(marks, deadline));
  stream.reset();
  co_return Result<>{};
}

}  // namespace

void Countdown::done() {
  if (--left_ == 0) signal_->notify();
}

awaitable<Result<>> Countdown::wait(TimePoint deadline) {
  while (left_ > 0) {
    const runtime::Wake wake = co_await signal_->wait_until(deadline);
    if (wake == runtime::Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, "not all ended");
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  co_return Result<>{};
}

awaitable<Result<>> write_all(Stream& stream, SharedBytes bytes, TimePoint deadline) {
  for (std::size_t at = 0; at < bytes.size(); at += kWriteBytes) {
    const std::size_t count = std::min(kWriteBytes, bytes.size() - at);
    WARREN_CO_TRY_VOID(co_await stream.write(bytes.slice(at, count), deadline));
  }
  co_return Result<>{};
}

Result<std::unique_ptr<Node>> Node::make(runtime::RealRuntime& runtime, std::string_view stack,
                                         std::string_view ip, bool listen) {
  WARREN_TRY(crypto::PrivateKey key, crypto::PrivateKey::generate());
  auto node = std::make_unique<Node>(runtime, std::move(key));
  WARREN_TRY(const Multiaddr address,
             cli::add_interop_stack(node->swarm, runtime, node->key, stack, ip));
  if (listen) WARREN_TRY_VOID(node->swarm.listen(address));
  return node;
}

Node::Node(runtime::RealRuntime& its_runtime, crypto::PrivateKey its_key)
    : runtime(its_runtime),
      key(std::move(its_key)),
      swarm(runtime, PeerId::from_public_key(key.public_key().protobuf())),
      identify(swarm, key) {
  serve();
}

void Node::serve() {
  protocols::serve_ping(swarm);
  protocols::serve_echo(swarm);
  protocols::serve_perf(swarm, {.streams_max = 256, .streams_per_peer_max = 64});
  const swarm::HandlerLimits many{.streams_per_peer_max = kStreamsMax, .streams_max = kStreamsMax};
  const auto handle = [&](std::string_view protocol,
                          awaitable<Result<>> (*serve)(Node&, Stream&, TimePoint)) {
    swarm.set_handler(
        std::string(protocol),
        [this, serve](ProtocolStream stream) {
          return run_handler(*this, std::move(stream), serve);
        },
        many);
  };
  handle(kSink, serve_sink);
  handle(kHold, serve_hold);
  handle(kAbortUpload, serve_abort_upload);
  handle(kAbortDownload, serve_abort_download);
}

awaitable<void> Node::close() {
  co_await swarm.close();
  co_await identify.close();
}

}  // namespace warren::interop

#include "transport/memory/byte_stream.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <deque>

#include "runtime/cancellation.hpp"

namespace warren::transport::memory {

using runtime::awaitable;
using runtime::Signal;
using runtime::Wake;

namespace {

constexpr std::size_t kWindowBytes = 256u << 10;  // Written and not yet read.
constexpr std::size_t kPieceBytes = 64u << 10;
constexpr std::size_t kMessageBytes = 24;  // A message without payload.

/// One direction. Both ends and everything under way hold it.
struct Pipe {
  Pipe(std::shared_ptr<HubState> on_hub, std::uint64_t from_node, std::uint64_t to_node)
      : hub(std::move(on_hub)),
        channel(hub->link->new_channel()),
        back(hub->link->new_channel()),
        from(from_node),
        to(to_node) {}

  void wake_reader() const {
    if (readable) readable->notify();
  }
  void wake_writer() const {
    if (writable) writable->notify();
  }

  std::shared_ptr<HubState> hub;
  std::uint64_t channel;
  std::uint64_t back;  ///< Credit and resets travel against the bytes.
  std::uint64_t from;
  std::uint64_t to;
  std::unique_ptr<Signal> readable;  ///< Of the reader's runtime, once there is one.
  std::unique_ptr<Signal> writable;  ///< Of the writer's.
  std::deque<Bytes> arrived;
  std::size_t front_read = 0;  ///< Of arrived.front().
  std::size_t outstanding = 0;
  bool end_sent = false;
  bool end_arrived = false;
  bool reader_gone = false;
  bool broken = false;  ///< The writer knows that the reader has gone.
};
using PipePtr = std::shared_ptr<Pipe>;

void arrive(const PipePtr& pipe, Bytes bytes) {
  if (pipe->reader_gone) {
    pipe->hub->link->carry(pipe->back, pipe->to, pipe->from, kMessageBytes, [pipe] {
      pipe->broken = true;
      pipe->wake_writer();
    });
    return;
  }
  pipe->arrived.push_back(std::move(bytes));
  pipe->wake_reader();
}

void send_end(const PipePtr& pipe) {
  if (std::exchange(pipe->end_sent, true)) return;
  pipe->hub->link->carry(pipe->channel, pipe->from, pipe->to, kMessageBytes, [pipe] {
    pipe->end_arrived = true;
    pipe->wake_reader();
  });
}

class PipeStream final : public HubStream {
 public:
  PipeStream(PipePtr in, PipePtr out, Multiaddr local, Multiaddr remote)
      : in_(std::move(in)),
        out_(std::move(out)),
        local_(std::move(local)),
        remote_(std::move(remote)) {}
  ~PipeStream() override { PipeStream::close(); }

  Endpoint local() const override { return {}; }
  Endpoint remote() const override { return {}; }
  Multiaddr local_address() const override { return local_; }
  Multiaddr remote_address() const override { return remote_; }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    const PipePtr pipe = in_;
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (pipe->reader_gone) co_return fail(ErrorCode::kClosed, "the stream is closed");
      if (!pipe->arrived.empty()) co_return take(pipe, out);
      if (pipe->end_arrived) co_return std::size_t{0};
      const Wake wake = co_await pipe->readable->wait_until(deadline);
      if (wake == Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, "read: nothing came");
    }
  }

  awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) override {
    const PipePtr pipe = out_;
    for (const BytesView& part : parts) {
      BytesView left = part;
      while (!left.empty()) {
        const bool stop = co_await runtime::cancelled();
        if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
        if (pipe->end_sent) co_return fail(ErrorCode::kClosed, "the stream is closed for writing");
        if (pipe->broken) co_return fail(ErrorCode::kReset, "the other side closed the stream");
        const std::size_t room = kWindowBytes - pipe->outstanding;
        if (room == 0) {
          const Wake wake = co_await pipe->writable->wait_until(deadline);
          if (wake == Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, "write: no room came");
          continue;
        }
        const std::size_t count = std::min({room, left.size(), kPieceBytes});
        pipe->outstanding += count;
        pipe->hub->link->carry(pipe->channel, pipe->from, pipe->to, count,
                               [pipe, bytes = to_bytes(left.first(count))]() mutable {
                                 arrive(pipe, std::move(bytes));
                               });
        left = left.subspan(count);
      }
    }
    co_return Result<>{};
  }

  Result<> close_write() override {
    send_end(out_);
    return {};
  }

  void close() override {
    send_end(out_);
    in_->reader_gone = true;
    in_->arrived.clear();
    in_->wake_reader();
    out_->wake_writer();
  }

 private:
  static std::size_t take(const PipePtr& pipe, MutableBytes out) {
    std::size_t count = 0;
    while (count < out.size() && !pipe->arrived.empty()) {
      const BytesView rest = BytesView(pipe->arrived.front()).subspan(pipe->front_read);
      const std::size_t n = std::min(rest.size(), out.size() - count);
      std::ranges::copy(rest.first(n), out.subspan(count).begin());
      count += n;
      pipe->front_read += n;
      if (n < rest.size()) break;
      pipe->arrived.pop_front();
      pipe->front_read = 0;
    }
    pipe->hub->link->carry(pipe->back, pipe->to, pipe->from, kMessageBytes, [pipe, count] {
      pipe->outstanding -= count;
      pipe->wake_writer();
    });
    return count;
  }

  PipePtr in_, out_;
  Multiaddr local_, remote_;
};

/// A dial in progress. Held by the dialler and by the messages under way.
struct Attempt {
  std::unique_ptr<Signal> answered;
  bool done = false;
  bool accepted = false;
};

}  // namespace

/// A place where streams arrive.
struct StreamPort {
  StreamPort(runtime::Runtime& own_runtime, std::shared_ptr<HubState> on_hub,
             std::uint64_t own_node, std::uint64_t own_id, std::size_t most)
      : runtime(own_runtime),
        hub(std::move(on_hub)),
        node(own_node),
        id(own_id),
        backlog_max(most),
        arrived(own_runtime.make_signal()) {}

  bool offer(const PipePtr& in, const PipePtr& out, Multiaddr remote) {
    if (waiting.size() >= backlog_max) return false;
    in->readable = runtime.make_signal();
    out->writable = runtime.make_signal();
    waiting.push_back(
        std::make_unique<PipeStream>(in, out, Multiaddr::memory(id), std::move(remote)));
    arrived->notify();
    return true;
  }
  void close() {
    if (std::exchange(closed, true)) return;
    hub->stream_ports.erase(id);
    waiting.clear();
    arrived->notify();
  }

  runtime::Runtime& runtime;
  std::shared_ptr<HubState> hub;
  std::uint64_t node;
  std::uint64_t id;
  std::size_t backlog_max;
  std::deque<std::unique_ptr<PipeStream>> waiting;
  std::unique_ptr<Signal> arrived;
  bool closed = false;
};

namespace {

class HubListener final : public runtime::StreamListener {
 public:
  explicit HubListener(std::shared_ptr<StreamPort> port) : port_(std::move(port)) {}
  ~HubListener() override { HubListener::close(); }

  Endpoint local() const override { return {}; }
  awaitable<Result<std::unique_ptr<runtime::ByteStream>>> accept() override {
    const std::shared_ptr<StreamPort> port = port_;
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (port->closed) co_return fail(ErrorCode::kClosed, "the listener is closed");
      if (!port->waiting.empty()) {
        auto stream = std::move(port->waiting.front());
        port->waiting.pop_front();
        co_return stream;
      }
      co_await port->arrived->wait_until(kNever);
    }
  }
  void close() override { port_->close(); }

 private:
  std::shared_ptr<StreamPort> port_;
};

}  // namespace

awaitable<Result<std::unique_ptr<HubStream>>> connect_on_hub(runtime::Runtime& runtime,
                                                             std::shared_ptr<HubState> hub,
                                                             std::uint64_t node, std::uint64_t id,
                                                             TimePoint deadline) {
  const bool stop = co_await runtime::cancelled();
  if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
  const auto port = hub->find_stream_port(id);
  const std::string what = fmt::format("connect to /memory/{}", id);
  if (!port) co_return fail(ErrorCode::kUnreachable, what + ": nobody listens there");
  const Multiaddr own = Multiaddr::memory(hub->new_id(node));
  const auto out = std::make_shared<Pipe>(hub, node, port->node);
  const auto in = std::make_shared<Pipe>(hub, port->node, node);
  out->writable = runtime.make_signal();
  in->readable = runtime.make_signal();
  const auto attempt = std::make_shared<Attempt>();
  attempt->answered = runtime.make_signal();
  hub->link->carry(out->channel, node, port->node, kMessageBytes, [hub, id, in, out, own, attempt] {
    const auto at = hub->find_stream_port(id);
    const bool taken = at && at->offer(out, in, own);
    hub->link->carry(in->channel, in->from, in->to, kMessageBytes, [attempt, taken] {
      attempt->done = true;
      attempt->accepted = taken;
      attempt->answered->notify();
    });
  });
  // Owned from now on, so that a dialler that gives up is seen by the other side.
  auto stream = std::make_unique<PipeStream>(in, out, own, Multiaddr::memory(id));
  while (!attempt->done) {
    const Wake wake = co_await attempt->answered->wait_until(deadline);
    if (wake == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (wake == Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, what + ": no answer in time");
  }
  if (!attempt->accepted) co_return fail(ErrorCode::kUnreachable, what + ": refused");
  co_return stream;
}

std::unique_ptr<runtime::StreamListener> listen_on_hub(runtime::Runtime& runtime,
                                                       std::shared_ptr<HubState> hub,
                                                       std::uint64_t node, std::uint64_t id,
                                                       std::size_t backlog_max) {
  const auto port = std::make_shared<StreamPort>(runtime, hub, node, id, backlog_max);
  hub->stream_ports[id] = port;
  return std::make_unique<HubListener>(port);
}

std::shared_ptr<StreamPort> HubState::find_stream_port(std::uint64_t id) const {
  const auto found = stream_ports.find(id);
  return found == stream_ports.end() ? nullptr : found->second.lock();
}

}  // namespace warren::transport::memory

// Byte streams and listeners of the simulated network: TCP as a program sees it.

#include <fmt/core.h>

#include "sim/sim_runtime.hpp"

namespace warren::sim {

using runtime::Signal;
using runtime::Wake;

/// One direction of a byte stream. Both ends and everything under way hold it.
struct Pipe {
  Pipe(World& in_world, Host from_host, Host to_host)
      : world(in_world),
        from(from_host),
        to(to_host),
        flow(in_world.new_flow()),
        readable(make_sim_signal(in_world)),
        writable(make_sim_signal(in_world)) {}

  World& world;
  Host from, to;
  std::uint64_t flow;
  std::unique_ptr<Signal> readable;
  std::unique_ptr<Signal> writable;
  std::deque<Bytes> arrived;
  std::size_t front_read = 0;   ///< Of arrived.front().
  std::size_t outstanding = 0;  ///< Written, and not yet known to the writer as read.
  bool end_sent = false;
  bool end_arrived = false;
  bool reader_gone = false;  ///< What still arrives is answered by a reset.
  bool broken = false;       ///< The reader's reset has reached the writer.
};

namespace {

constexpr std::size_t kWindowBytes = 256u << 10;  // Both socket buffers and what is under way.
constexpr std::size_t kSegmentBytes = 64u << 10;
constexpr std::size_t kBacklogMax = 128;

void arrive(const std::shared_ptr<Pipe>& pipe, Bytes bytes) {
  if (pipe->reader_gone) {
    pipe->world.carry(pipe->flow, pipe->to, pipe->from, 0, [pipe] {
      pipe->broken = true;
      pipe->writable->notify();
    });
    return;
  }
  pipe->arrived.push_back(std::move(bytes));
  pipe->readable->notify();
}

void send_end(const std::shared_ptr<Pipe>& pipe) {
  if (std::exchange(pipe->end_sent, true)) return;
  pipe->world.carry(pipe->flow, pipe->from, pipe->to, 0, [pipe] {
    pipe->end_arrived = true;
    pipe->readable->notify();
  });
}

/// Tells the writer, one latency later, that `bytes` were read.
void return_credit(const std::shared_ptr<Pipe>& pipe, std::size_t bytes) {
  const LinkModel& model = pipe->world.link_between(pipe->to, pipe->from);
  pipe->world.schedule(pipe->world.now() + model.latency_min, [pipe, bytes] {
    pipe->outstanding -= bytes;
    pipe->writable->notify();
  });
}

class SimByteStream final : public runtime::ByteStream {
 public:
  SimByteStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local,
                Endpoint remote)
      : in_(std::move(in)), out_(std::move(out)), local_(local), remote_(remote) {}
  ~SimByteStream() override { SimByteStream::close(); }

  Endpoint local() const override { return local_; }
  Endpoint remote() const override { return remote_; }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    const std::shared_ptr<Pipe> pipe = in_;  // The stream may be closed and destroyed meanwhile.
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (pipe->reader_gone) co_return fail(ErrorCode::kClosed, "the stream is closed");
      if (!pipe->arrived.empty()) co_return take(pipe, out);
      if (pipe->end_arrived) co_return std::size_t{0};
      const Wake how = co_await pipe->readable->wait_until(deadline);
      if (how == Wake::kTimedOut) co_return fail(ErrorCode::kTimedOut, "read: the deadline passed");
    }
  }

  awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) override {
    const std::shared_ptr<Pipe> pipe = out_;
    for (const BytesView& part : parts) {
      std::size_t at = 0;
      while (at < part.size()) {
        const bool stop = co_await runtime::cancelled();
        if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
        if (pipe->end_sent) co_return fail(ErrorCode::kClosed, "the stream is closed for writing");
        if (pipe->broken) {
          co_return fail(ErrorCode::kReset,
                         fmt::format("{} closed the stream", remote_.to_string()));
        }
        const std::size_t room = kWindowBytes - pipe->outstanding;
        if (room == 0) {
          const Wake how = co_await pipe->writable->wait_until(deadline);
          if (how != Wake::kTimedOut) continue;
          co_return fail(ErrorCode::kTimedOut, "write: the deadline passed");
        }
        const std::size_t count = std::min({room, part.size() - at, kSegmentBytes});
        pipe->outstanding += count;
        pipe->world.carry(pipe->flow, pipe->from, pipe->to, count,
                          [pipe, bytes = to_bytes(part.subspan(at, count))]() mutable {
                            arrive(pipe, std::move(bytes));
                          });
        at += count;
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
    in_->readable->notify();
    out_->writable->notify();
  }

 private:
  static std::size_t take(const std::shared_ptr<Pipe>& pipe, MutableBytes out) {
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
    return_credit(pipe, count);
    return count;
  }

  std::shared_ptr<Pipe> in_, out_;
  Endpoint local_, remote_;
};

class SimListener final : public runtime::StreamListener, public StreamPort {
 public:
  SimListener(World& world, Host host, Endpoint local)
      : world_(world), host_(host), local_(local), arrived_(make_sim_signal(world)) {
    serial_ = world_.network().attach(host_, *this);
  }
  ~SimListener() override { SimListener::close(); }

  Endpoint local() const override { return local_; }
  Endpoint bound() const override { return local_; }

  awaitable<Result<std::unique_ptr<runtime::ByteStream>>> accept() override {
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (closed_) co_return fail(ErrorCode::kClosed, "the listener is closed");
      if (!waiting_.empty()) {
        auto stream = std::move(waiting_.front());
        waiting_.pop_front();
        co_return stream;
      }
      co_await arrived_->wait_until(kNever);
    }
  }

  bool offer(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local,
             Endpoint remote) override {
    if (waiting_.size() == kBacklogMax) return false;
    waiting_.push_back(
        std::make_unique<SimByteStream>(std::move(in), std::move(out), local, remote));
    arrived_->notify();
    return true;
  }

  void close() override {
    if (std::exchange(closed_, true)) return;
    world_.network().detach_stream(host_, local_.port, serial_);
    waiting_.clear();
    arrived_->notify();
  }

 private:
  World& world_;
  Host host_;
  Endpoint local_;
  std::unique_ptr<Signal> arrived_;
  std::uint64_t serial_ = 0;
  bool closed_ = false;
  std::deque<std::unique_ptr<runtime::ByteStream>> waiting_;
};

enum class Answer { kNone, kAccepted, kRefused };

struct Attempt {
  std::unique_ptr<Signal> answered;
  Answer answer = Answer::kNone;
};

/// Runs on the host that is called.
void knock(World& world, Host host, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out,
           Endpoint local, Endpoint remote, std::shared_ptr<Attempt> attempt) {
  if (!world.network().is_up(host)) return;  // Nobody answers.
  StreamPort* port = world.network().stream_port(host, local);
  const bool taken = port != nullptr && port->offer(in, out, local, remote);
  world.carry(out->flow, out->from, out->to, 0, [attempt = std::move(attempt), taken] {
    attempt->answer = taken ? Answer::kAccepted : Answer::kRefused;
    attempt->answered->notify();
  });
}

}  // namespace

awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_sim_stream(World& world, Host host,
                                                                           Endpoint to,
                                                                           TimePoint deadline) {
  const bool stop = co_await runtime::cancelled();
  if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
  const Host target = world.network().resolve(host, to.ip);
  if (target == 0) {
    co_return fail(ErrorCode::kUnreachable,
                   fmt::format("connect to {}: no route to that address", to.to_string()));
  }
  const Network& network = world.network();
  const Endpoint local{network.source_for(host, to.ip), world.network().ephemeral_port(host), 0};
  // The two ends as the host that is called sees them.
  const Endpoint called{network.seen_from_inside(target, to.ip), to.port, to.scope_id};
  const Endpoint caller{network.seen_from_outside(host, local.ip, to.ip), local.port, 0};
  const auto out = std::make_shared<Pipe>(world, host, target);
  const auto in = std::make_shared<Pipe>(world, target, host);
  const auto attempt = std::make_shared<Attempt>(make_sim_signal(world));
  world.carry(out->flow, host, target, 0, [&world, target, in, out, called, caller, attempt] {
    knock(world, target, out, in, called, caller, attempt);
  });
  auto stream = std::make_unique<SimByteStream>(in, out, local, to);
  const Wake how = co_await attempt->answered->wait_until(deadline);
  if (how == Wake::kTimedOut) {
    co_return fail(ErrorCode::kTimedOut,
                   fmt::format("connect to {}: no answer in time", to.to_string()));
  }
  if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  if (attempt->answer == Answer::kRefused) {
    co_return fail(ErrorCode::kUnreachable,
                   fmt::format("connect to {}: connection refused", to.to_string()));
  }
  co_return stream;
}

Result<std::unique_ptr<runtime::StreamListener>> listen_sim_stream(World& world, Host host,
                                                                   Endpoint local) {
  WARREN_TRY(const Endpoint bound, world.network().claim_stream(host, local));
  return std::make_unique<SimListener>(world, host, bound);
}

}  // namespace warren::sim

#include "transport/websocket/stream.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.hpp"

namespace warren::transport::websocket {
namespace {

using runtime::awaitable;
using runtime::ByteStream;
using runtime::Wake;

// A pong that the peer does not take in this time ends the connection.
constexpr Duration kPongTimeMax = 10s;
// A close frame is a courtesy.
constexpr Duration kCloseTimeMax = 1s;
// Payload of a masked frame: what is copied, and then written at once.
constexpr std::size_t kMaskedBytesMax = 128u << 10;
// Keys are asked for in bulk.
constexpr std::size_t kKeysAtOnce = 64;

struct Core {
  Core(std::shared_ptr<Shared> own_shared, std::unique_ptr<ByteStream> own_inner, Role own_role,
       Bytes own_first)
      : shared(std::move(own_shared)),
        inner(std::move(own_inner)),
        role(own_role),
        reader(own_role),
        first(std::move(own_first)),
        turn_free(shared->runtime.make_signal()) {}

  std::optional<MaskKey> next_key();
  bool has_control() const { return pong || close_status; }
  void queue_close(CloseStatus status);
  std::optional<Error> write_refusal() const;

  std::shared_ptr<Shared> shared;
  std::unique_ptr<ByteStream> inner;
  Role role;

  FrameReader reader;
  Bytes first;
  std::size_t first_read = 0;

  // Writing goes in turns: a frame is never begun within another.
  bool writing = false;
  std::unique_ptr<runtime::Signal> turn_free;
  std::optional<Error> write_failed;
  std::optional<Bytes> pong;                ///< To be sent.
  std::optional<CloseStatus> close_status;  ///< To be sent.
  bool closing = false;                     ///< A close frame is sent or to be sent.
  bool flushing = false;                    ///< A task sends control frames.
  bool pong_under_way = false;              ///< And what it sends now is a pong.
  bool closed = false;                      ///< close() was called.

  std::array<std::uint8_t, kKeysAtOnce * sizeof(MaskKey)> keys{};
  std::size_t keys_used = kKeysAtOnce;
};
using CorePtr = std::shared_ptr<Core>;

std::optional<MaskKey> Core::next_key() {
  if (role == Role::kServer) return std::nullopt;
  if (keys_used == kKeysAtOnce) {
    shared->runtime.random_bytes(keys);
    keys_used = 0;
  }
  MaskKey key;
  std::memcpy(key.data(), keys.data() + keys_used++ * key.size(), key.size());
  return key;
}

void Core::queue_close(CloseStatus status) {
  if (std::exchange(closing, true)) return;
  pong.reset();
  close_status = status;
}

std::optional<Error> Core::write_refusal() const {
  if (closed) return Error(ErrorCode::kClosed, "the stream is closed");
  if (closing) return Error(ErrorCode::kClosed, "the WebSocket is closing");
  return write_failed;
}

/// Sends the control frames that wait, unless a frame is being written: then its writer does.
awaitable<void> flush(CorePtr core) {
  while (core->has_control() && !core->writing && !core->write_failed) {
    core->writing = true;
    const bool is_close = core->close_status.has_value();
    const Bytes frame = is_close ? control_frame(Opcode::kClose, close_payload(*core->close_status),
                                                 core->next_key())
                                 : control_frame(Opcode::kPong, *core->pong, core->next_key());
    core->pong.reset();
    core->close_status.reset();
    core->pong_under_way = !is_close;
    const BytesView part = frame;
    const TimePoint deadline =
        core->shared->runtime.now() + (is_close ? kCloseTimeMax : kPongTimeMax);
    const auto written = co_await core->inner->write_all({&part, 1}, deadline);
    core->pong_under_way = false;
    core->writing = false;
    if (!written) core->write_failed = written.error();
    if (is_close) (void)core->inner->close_write();
  }
  core->flushing = false;
  core->turn_free->notify();
  // What could not go out while a frame was being written is given up.
  if (core->closed) core->inner->close();
}

/// Sees to it that what waits in `core` is sent.
void kick(const CorePtr& core) {
  if (!core->has_control() || core->writing || core->flushing) return;
  core->flushing = core->shared->tasks.spawn(flush(core));
  if (core->flushing) return;
  // Only while the node ends, or in a flood of connections: without a frame, then.
  const bool is_close = core->close_status.has_value();
  core->pong.reset();
  core->close_status.reset();
  if (is_close) (void)core->inner->close_write();
}

/// The right to write frames, for a scope.
class Turn {
 public:
  explicit Turn(CorePtr core) : core_(std::move(core)) { core_->writing = true; }
  ~Turn() {
    core_->writing = false;
    if (core_->closed && !core_->flushing) core_->inner->close();
    if (!core_->closed) kick(core_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  CorePtr core_;
};

/// All parts as one frame, as they lie.
awaitable<Result<>> write_plain(CorePtr core, std::span<const BytesView> parts, std::size_t total,
                                TimePoint deadline) {
  const Header header(Opcode::kBinary, total, std::nullopt);
  std::vector<BytesView> pieces;
  pieces.reserve(parts.size() + 1);
  pieces.push_back(header.view());
  pieces.insert(pieces.end(), parts.begin(), parts.end());
  co_return co_await core->inner->write_all(pieces, deadline);
}

/// Frames of about one size, masked into a buffer one after the other.
awaitable<Result<>> write_masked(CorePtr core, std::span<const BytesView> parts, std::size_t total,
                                 TimePoint deadline) {
  const std::size_t frames = (total + kMaskedBytesMax - 1) / kMaskedBytesMax;
  const std::size_t most = (total + frames - 1) / frames;
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kHeaderBytesMax + most);
  BytesView front;
  while (total > 0) {
    const std::size_t count = std::min(most, total);
    const std::optional<MaskKey> key = core->next_key();
    const Header header(Opcode::kBinary, count, key);
    std::memcpy(buffer.get(), header.bytes.data(), header.size);
    for (std::size_t at = 0; at < count;) {
      while (front.empty()) {
        front = parts.front();
        parts = parts.subspan(1);
      }
      const std::size_t n = std::min(front.size(), count - at);
      mask_into({buffer.get() + header.size + at, n}, front.first(n), *key, at);
      front = front.subspan(n);
      at += n;
    }
    total -= count;
    const BytesView frame(buffer.get(), header.size + count);
    WARREN_CO_TRY_VOID(co_await core->inner->write_all({&frame, 1}, deadline));
  }
  co_return Result<>{};
}

class WebSocketStream final : public ByteStream {
 public:
  explicit WebSocketStream(CorePtr core) : core_(std::move(core)) {}
  ~WebSocketStream() override { WebSocketStream::close(); }

  Endpoint local() const override { return core_->inner->local(); }
  Endpoint remote() const override { return core_->inner->remote(); }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    const CorePtr core = core_;
    WARREN_CHECK(!out.empty());
    for (;;) {
      if (core->reader.closed()) co_return std::size_t{0};
      std::size_t got = 0;
      if (!core->first.empty()) {
        const BytesView rest = BytesView(core->first).subspan(core->first_read);
        got = std::min(rest.size(), out.size());
        std::ranges::copy(rest.first(got), out.begin());
        core->first_read += got;
        if (got == rest.size()) core->first = {};
      } else {
        WARREN_CO_TRY(got, co_await core->inner->read_some(out, deadline));
        if (got == 0) co_return std::size_t{0};
      }
      const auto data = core->reader.read(out.first(got));
      if (!data || core->reader.closed()) {
        core->queue_close(core->reader.close_status());
      } else if (auto ping = core->reader.take_ping(); ping && !core->closing) {
        core->pong = std::move(ping);
      }
      kick(core);
      if (!data) co_return fail(data.error());
      if (*data > 0) co_return *data;
    }
  }

  awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) override {
    const CorePtr core = core_;
    std::size_t total = 0;
    for (const BytesView& part : parts) total += part.size();
    while (core->writing) {
      const Wake wake = co_await core->turn_free->wait_until(deadline);
      if (wake == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (wake == Wake::kTimedOut) {
        co_return fail(ErrorCode::kTimedOut, "write: the peer took nothing in time");
      }
    }
    if (auto refused = core->write_refusal()) co_return fail(std::move(*refused));
    if (total == 0) co_return Result<>{};
    const Turn turn(core);
    const auto written =
        co_await (core->role == Role::kServer ? write_plain(core, parts, total, deadline)
                                              : write_masked(core, parts, total, deadline));
    // A frame that is cut off leaves no place to begin another.
    if (!written) core->write_failed = written.error();
    co_return written;
  }

  Result<> close_write() override {
    if (core_->closed) return fail(ErrorCode::kClosed, "the stream is closed");
    if (core_->write_failed) return core_->inner->close_write();
    core_->queue_close(CloseStatus::kNormal);
    kick(core_);
    return {};
  }

  void close() override {
    if (std::exchange(core_->closed, true)) return;
    // A close frame that is on its way may still go out.
    if (!core_->flushing || core_->pong_under_way) core_->inner->close();
  }

 private:
  CorePtr core_;
};

}  // namespace

std::unique_ptr<runtime::ByteStream> make_websocket_stream(
    std::shared_ptr<Shared> shared, std::unique_ptr<runtime::ByteStream> inner, Role role,
    Bytes first) {
  return std::make_unique<WebSocketStream>(
      std::make_shared<Core>(std::move(shared), std::move(inner), role, std::move(first)));
}

}  // namespace warren::transport::websocket

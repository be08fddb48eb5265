#include "transport/websocket/tls_stream.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace warren::transport::websocket {
namespace {

using runtime::awaitable;
using runtime::ByteStream;

// Four full records: what a write of the layers above makes.
constexpr std::size_t kBufferBytes = 68u << 10;

struct Core {
  std::unique_ptr<ByteStream> inner;
  std::unique_ptr<security::SecureChannel> channel;
  Bytes buffer;  ///< What was read; [begin, end) is still to be opened.
  std::size_t begin = 0;
  std::size_t end = 0;
  BytesView plaintext;  ///< Opened and not taken yet; lies in `buffer`.
  bool ended = false;
};

class TlsStream final : public ByteStream {
 public:
  explicit TlsStream(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~TlsStream() override { TlsStream::close(); }

  Endpoint local() const override { return core_->inner->local(); }
  Endpoint remote() const override { return core_->inner->remote(); }

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    const std::shared_ptr<Core> core = core_;
    for (;;) {
      if (!core->plaintext.empty()) {
        const std::size_t n = std::min(out.size(), core->plaintext.size());
        std::memcpy(out.data(), core->plaintext.data(), n);
        core->plaintext = core->plaintext.subspan(n);
        co_return n;
      }
      if (core->ended) co_return std::size_t{0};
      const MutableBytes waiting =
          MutableBytes(core->buffer).subspan(core->begin, core->end - core->begin);
      WARREN_CO_TRY(const auto opened, core->channel->open(waiting));
      core->begin += opened.taken;
      core->plaintext = opened.plaintext;
      core->ended = opened.end;
      if (opened.taken > 0 || opened.end) continue;
      std::memmove(core->buffer.data(), waiting.data(), waiting.size());
      core->begin = 0;
      core->end = waiting.size();
      const MutableBytes room = MutableBytes(core->buffer).subspan(core->end);
      WARREN_CO_TRY(const std::size_t got, co_await core->inner->read_some(room, deadline));
      core->end += got;
      core->ended = got == 0;
    }
  }

  awaitable<Result<>> write_all(std::span<const BytesView> parts, TimePoint deadline) override {
    const std::shared_ptr<Core> core = core_;
    security::SecureChannel& channel = *core->channel;
    const std::size_t bulk = channel.bulk_bytes();
    Bytes sealed;
    std::vector<BytesView> now;
    std::size_t count = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      BytesView rest = parts[i];
      while (!rest.empty()) {
        const std::size_t n = std::min(rest.size(), bulk - count);
        now.push_back(rest.first(n));
        count += n;
        rest = rest.subspan(n);
        const bool last = rest.empty() && i + 1 == parts.size();
        if (count < bulk && !last) continue;
        sealed.resize(channel.sealed_bytes_max(count));
        WARREN_CO_TRY(const std::size_t size, channel.seal(now, sealed));
        const BytesView frame = BytesView(sealed).first(size);
        WARREN_CO_TRY_VOID(co_await core->inner->write_all({&frame, 1}, deadline));
        now.clear();
        count = 0;
      }
    }
    co_return Result<>{};
  }

  Result<> close_write() override { return core_->inner->close_write(); }
  void close() override { core_->inner->close(); }

 private:
  std::shared_ptr<Core> core_;
};

awaitable<Result<>> write(ByteStream& stream, Bytes bytes, TimePoint deadline) {
  const BytesView part = bytes;
  co_return co_await stream.write_all({&part, 1}, deadline);
}

}  // namespace

awaitable<Result<std::unique_ptr<ByteStream>>> connect_tls(
    std::unique_ptr<ByteStream> inner, std::unique_ptr<security::WebHandshake> handshake,
    TimePoint deadline) {
  const auto core = std::make_shared<Core>();
  core->buffer.resize(kBufferBytes);
  for (;;) {
    const Bytes said = handshake->take_output();
    if (!said.empty()) WARREN_CO_TRY_VOID(co_await write(*inner, said, deadline));
    if (handshake->done()) break;
    const std::size_t room = std::clamp<std::size_t>(handshake->wants(), 1, kBufferBytes);
    WARREN_CO_TRY(const std::size_t got,
                  co_await inner->read_some(MutableBytes(core->buffer).first(room), deadline));
    if (got == 0) {
      co_return fail(ErrorCode::kReset, "TLS: the server closed within the handshake");
    }
    const auto taken = handshake->feed(BytesView(core->buffer).first(got));
    if (!taken) {
      (void)co_await write(*inner, handshake->take_output(), deadline);
      co_return fail(taken.error());
    }
    core->begin = *taken;
    core->end = got;
  }
  core->inner = std::move(inner);
  core->channel = handshake->take_channel();
  co_return std::make_unique<TlsStream>(core);
}

}  // namespace warren::transport::websocket

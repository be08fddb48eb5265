#include "swarm/negotiation.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace warren::swarm {
namespace {

using negotiate::Initiator;
using transport::CloseCode;
using transport::Stream;

using Buffer = std::array<std::uint8_t, negotiate::kMessageBytesMax>;

Error ended_early() {
  return {ErrorCode::kClosed, "the peer ended the stream before a protocol was agreed on"};
}

/// The bytes of `buffer` that `machine` wants next.
template <class Machine>
MutableBytes wanted(Buffer& buffer, const Machine& machine) {
  return MutableBytes(buffer).first(std::min(machine.wants(), buffer.size()));
}

/// A stream whose proposal is on its way and whose answer has not been read yet. Everything but
/// the first reads goes straight to the stream below, without a frame or a copy of its own.
class LazyStream final : public Stream {
 public:
  LazyStream(std::unique_ptr<Stream> stream, Initiator initiator)
      : stream_(std::move(stream)), initiator_(std::move(initiator)) {}

  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint deadline) override {
    if (initiator_.done()) return stream_->read_some(out, deadline);
    return first_read_some(out, deadline);
  }
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint deadline) override {
    if (initiator_.done()) return stream_->read_full(out, deadline);
    return first_read_full(out, deadline);
  }
  awaitable<Result<>> write(BytesView bytes, TimePoint deadline) override {
    return stream_->write(bytes, deadline);
  }
  awaitable<Result<>> write(SharedBytes bytes, TimePoint deadline) override {
    return stream_->write(std::move(bytes), deadline);
  }
  awaitable<Result<>> flush(TimePoint deadline) override { return stream_->flush(deadline); }
  void close_write() override { stream_->close_write(); }
  void reset(CloseCode code) override { stream_->reset(code); }
  std::uint64_t id() const override { return stream_->id(); }

 private:
  awaitable<Result<std::size_t>> first_read_some(MutableBytes out, TimePoint deadline) {
    WARREN_CO_TRY_VOID(co_await read_answer(deadline));
    co_return co_await stream_->read_some(out, deadline);
  }
  awaitable<Result<std::size_t>> first_read_full(MutableBytes out, TimePoint deadline) {
    WARREN_CO_TRY_VOID(co_await read_answer(deadline));
    co_return co_await stream_->read_full(out, deadline);
  }

  // With read_some, of which a cancelled or late call loses nothing: it may be called again.
  awaitable<Result<>> read_answer(TimePoint deadline) {
    if (refusal_) co_return fail(*refusal_);
    Buffer buffer;
    while (!initiator_.done()) {
      WARREN_CO_TRY(const std::size_t n,
                    co_await stream_->read_some(wanted(buffer, initiator_), deadline));
      if (n == 0) co_return fail(ended_early());
      const auto taken = initiator_.feed(BytesView(buffer).first(n));
      if (!taken) {
        refusal_ = taken.error();
        stream_->reset(CloseCode::kNegotiationFailed);
        co_return fail(*refusal_);
      }
    }
    co_return Result<>{};
  }

  std::unique_ptr<Stream> stream_;
  Initiator initiator_;
  std::optional<Error> refusal_;
};

}  // namespace

awaitable<Result<std::string>> propose(Stream& stream, std::vector<std::string> protocols,
                                       TimePoint deadline) {
  Initiator initiator(std::move(protocols));
  Buffer buffer;
  while (!initiator.done()) {
    const Bytes output = initiator.take_output();
    if (!output.empty()) {
      WARREN_CO_TRY_VOID(co_await stream.write(BytesView(output), deadline));
    }
    const MutableBytes want = wanted(buffer, initiator);
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_full(want, deadline));
    if (n < want.size()) co_return fail(ended_early());
    WARREN_CO_TRY_VOID(initiator.feed(want));
  }
  co_return initiator.protocol();
}

awaitable<Result<std::unique_ptr<Stream>>> propose_without_waiting(std::unique_ptr<Stream> stream,
                                                                   std::string protocol,
                                                                   TimePoint deadline) {
  std::vector<std::string> protocols;
  protocols.push_back(std::move(protocol));
  Initiator initiator(std::move(protocols));
  const Bytes proposal = initiator.take_output();
  WARREN_CO_TRY_VOID(co_await stream->write(BytesView(proposal), deadline));
  co_return std::make_unique<LazyStream>(std::move(stream), std::move(initiator));
}

awaitable<Result<>> respond(Stream& stream, negotiate::Responder& responder, TimePoint deadline) {
  Buffer buffer;
  while (!responder.done()) {
    const Bytes output = responder.take_output();
    if (!output.empty()) {
      WARREN_CO_TRY_VOID(co_await stream.write(BytesView(output), deadline));
    }
    const MutableBytes want = wanted(buffer, responder);
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_full(want, deadline));
    if (n < want.size()) co_return fail(ended_early());
    WARREN_CO_TRY_VOID(responder.feed(want));
  }
  co_return Result<>{};
}

}  // namespace warren::swarm

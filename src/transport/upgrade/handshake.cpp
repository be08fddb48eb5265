#include "transport/upgrade/handshake.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "negotiate/multistream.hpp"

namespace warren::transport {
namespace {

using runtime::awaitable;
using security::SecureChannel;
using security::Side;

// Read at a time. What a handshake takes together; half-open connections cost no more.
constexpr std::size_t kReadBytes = 4u << 10;

/// The byte stream with what was read too much.
class RawIo {
 public:
  explicit RawIo(runtime::ByteStream& stream) : stream_(stream) {}

  BytesView buffered() const { return buffer_; }
  Bytes& buffer() { return buffer_; }
  void consume(std::size_t count) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  /// Waits for at least one byte more.
  awaitable<Result<>> fill(TimePoint deadline) {
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kReadBytes);
    const auto got = co_await stream_.read_some(MutableBytes(buffer_).subspan(before), deadline);
    buffer_.resize(before + got.value_or(0));
    if (!got) co_return fail(got.error());
    if (*got == 0) {
      co_return fail(ErrorCode::kReset, "the peer closed in the middle of the handshake");
    }
    co_return Result<>{};
  }
  awaitable<Result<>> write(Bytes bytes, TimePoint deadline) {
    const BytesView part = bytes;
    co_return co_await stream_.write_all(std::span(&part, 1), deadline);
  }

 private:
  runtime::ByteStream& stream_;
  Bytes buffer_;
};

/// The same inside a channel.
class ChannelIo {
 public:
  ChannelIo(RawIo& raw, SecureChannel& channel) : raw_(raw), channel_(channel) {}

  BytesView buffered() const { return plaintext_; }
  Bytes take_buffered() { return std::move(plaintext_); }
  void consume(std::size_t count) {
    plaintext_.erase(plaintext_.begin(), plaintext_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  awaitable<Result<>> fill(TimePoint deadline) {
    const std::size_t before = plaintext_.size();
    while (plaintext_.size() == before) {
      const auto opened = channel_.open(raw_.buffer());
      const Bytes said = channel_.take_output();
      if (!said.empty()) WARREN_CO_TRY_VOID(co_await raw_.write(said, deadline));
      if (!opened) co_return fail(opened.error());
      append(plaintext_, opened->plaintext);
      if (opened->taken > 0) {
        raw_.consume(opened->taken);
      } else {
        WARREN_CO_TRY_VOID(co_await raw_.fill(deadline));
      }
      if (opened->end) co_return fail(ErrorCode::kReset, "the peer said goodbye at once");
    }
    co_return Result<>{};
  }
  awaitable<Result<>> write(Bytes bytes, TimePoint deadline) {
    WARREN_CHECK(bytes.size() <= channel_.bulk_bytes());
    const BytesView part = bytes;
    Bytes sealed(channel_.sealed_bytes_max(bytes.size()));
    WARREN_CO_TRY(const std::size_t count, channel_.seal(std::span(&part, 1), sealed));
    sealed.resize(count);
    co_return co_await raw_.write(std::move(sealed), deadline);
  }

 private:
  RawIo& raw_;
  SecureChannel& channel_;
  Bytes plaintext_;
};

/// Runs a state machine of a handshake to its end. What is read beyond it stays in `io`.
template <class Io, class Machine>
awaitable<Result<>> drive(Io& io, Machine& machine, TimePoint deadline) {
  for (;;) {
    Bytes out = machine.take_output();
    if (!out.empty()) WARREN_CO_TRY_VOID(co_await io.write(std::move(out), deadline));
    if (machine.done()) co_return Result<>{};
    if (io.buffered().empty()) WARREN_CO_TRY_VOID(co_await io.fill(deadline));
    const auto taken = machine.feed(io.buffered());
    if (!taken) {
      Bytes alert = machine.take_output();
      if (!alert.empty()) (void)co_await io.write(std::move(alert), deadline);
      co_return fail(taken.error());
    }
    io.consume(*taken);
  }
}

/// Agrees on one of `protocols` by multistream-select.
template <class Io>
awaitable<Result<std::string>> negotiate_one(Io& io, Side side, std::vector<std::string> protocols,
                                             TimePoint deadline) {
  if (side == Side::kDialler) {
    negotiate::Initiator machine(std::move(protocols));
    WARREN_CO_TRY_VOID(co_await drive(io, machine, deadline));
    co_return machine.protocol();
  }
  negotiate::Responder machine([&protocols](std::string_view id) {
    return std::ranges::find(protocols, id) != protocols.end();
  });
  WARREN_CO_TRY_VOID(co_await drive(io, machine, deadline));
  co_return machine.protocol();
}

Error in_step(Error error, std::string_view step) { return std::move(error).in(step); }

}  // namespace

awaitable<Result<HandshakeResult>> shake_hands(
    runtime::ByteStream& stream, Side side,
    const std::vector<std::shared_ptr<security::SecurityProtocol>>& securities,
    std::optional<PeerId> expected, TimePoint deadline) {
  RawIo raw(stream);
  std::vector<std::string> names;
  for (const auto& security : securities) names.emplace_back(security->name());
  const auto name = co_await negotiate_one(raw, side, names, deadline);
  if (!name) co_return fail(in_step(name.error(), "choosing a security protocol"));

  const auto chosen = std::ranges::find(securities, std::string_view(*name),
                                        [](const auto& security) { return security->name(); });
  const auto handshake = (*chosen)->start(side, std::move(expected));
  const auto shaken = co_await drive(raw, *handshake, deadline);
  if (!shaken) co_return fail(in_step(shaken.error(), *name));
  auto outcome = handshake->take_outcome();

  HandshakeResult result{.remote_key = std::move(outcome.remote_key),
                         .remote = std::move(outcome.remote),
                         .channel = std::move(outcome.channel),
                         .ciphertext = {},
                         .plaintext = {}};
  if (outcome.muxer.empty()) {
    ChannelIo secured(raw, *result.channel);
    const auto muxer = co_await negotiate_one(secured, side, {std::string(kYamux)}, deadline);
    if (!muxer) co_return fail(in_step(muxer.error(), "choosing a muxer"));
    result.plaintext = secured.take_buffered();
  } else if (outcome.muxer != kYamux) {
    co_return fail(ErrorCode::kUnsupported,
                   fmt::format("{} agreed on the muxer {}", *name, outcome.muxer));
  }
  result.ciphertext = std::move(raw.buffer());
  co_return result;
}

}  // namespace warren::transport

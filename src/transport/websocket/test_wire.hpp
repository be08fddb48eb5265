#pragma once
// A WebSocket of ours on a byte stream whose other end a test speaks by hand.

#include "runtime/test_stages.hpp"
#include "transport/websocket/stream.hpp"

namespace warren::transport::websocket {

using runtime::awaitable;
using runtime::ByteStream;

struct Wire {
  std::unique_ptr<runtime::StreamListener> listener;
  std::unique_ptr<ByteStream> near;  ///< The dialler's end.
  std::unique_ptr<ByteStream> far;
};

template <class Stage>
awaitable<Wire> connect_wire(Stage& stage) {
  Wire wire;
  wire.listener = stage.b().listen_stream({stage.ip_b, 0}).value();
  auto near = co_await stage.a().connect_stream(wire.listener->local(), stage.a().now() + 5s);
  wire.near = std::move(near.value());
  auto far = co_await wire.listener->accept();
  wire.far = std::move(far.value());
  co_return wire;
}

inline Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 5;
  for (std::uint8_t& byte : bytes) {
    state = state * 1'664'525u + 1'013'904'223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

inline awaitable<Result<>> write(ByteStream& stream, Bytes bytes, TimePoint deadline = kNever) {
  const BytesView part = bytes;
  co_return co_await stream.write_all({&part, 1}, deadline);
}

/// So many bytes, or fewer at the end.
inline awaitable<Bytes> read_bytes(ByteStream& stream, std::size_t count) {
  Bytes all(count);
  std::size_t at = 0;
  while (at < count) {
    const auto got = co_await stream.read_some(MutableBytes(all).subspan(at), kNever);
    if (!got || *got == 0) break;
    at += *got;
  }
  all.resize(at);
  co_return all;
}

inline awaitable<std::string> read_text(ByteStream& stream, std::size_t count) {
  const Bytes bytes = co_await read_bytes(stream, count);
  co_return std::string(as_text(bytes));
}

/// Everything up to the end of the stream, or an error.
inline awaitable<Bytes> read_to_end(ByteStream& stream) {
  Bytes all;
  Bytes buffer(50'000);
  for (;;) {
    const auto got = co_await stream.read_some(buffer, kNever);
    if (!got || *got == 0) co_return all;
    append(all, BytesView(buffer).first(*got));
  }
}

inline constexpr MaskKey kTestKey = {1, 2, 3, 4};

/// The key with which a peer of ours masks.
inline std::optional<MaskKey> key_towards(Role ours) {
  return ours == Role::kServer ? std::optional(kTestKey) : std::nullopt;
}

/// A frame from the peer of such a role of ours.
inline Bytes frame_for(Role ours, std::string_view text, Opcode opcode = Opcode::kBinary) {
  const auto key = key_towards(ours);
  Bytes bytes = to_bytes(Header(opcode, text.size(), key).view());
  const std::size_t begin = bytes.size();
  append(bytes, as_bytes(text));
  if (key) mask_into(MutableBytes(bytes).subspan(begin), as_bytes(text), *key, 0);
  return bytes;
}

inline constexpr Role other(Role role) {
  return role == Role::kClient ? Role::kServer : Role::kClient;
}

}  // namespace warren::transport::websocket

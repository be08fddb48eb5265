#pragma once
// WebSocket frames without I/O. The data frames of a connection are one byte stream here: where a
// frame or a message ends means nothing. Source: RFC 6455, section 5.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "transport/websocket/mask.hpp"

namespace warren::transport::websocket {

enum class Role : std::uint8_t { kClient, kServer };  ///< Who dialled is the client.

enum class Opcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

/// Why a side closes. Source: RFC 6455, section 7.4.1.
enum class CloseStatus : std::uint16_t {
  kNormal = 1000,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
};

inline constexpr std::size_t kHeaderBytesMax = 14;
/// Of a control frame. Source: RFC 6455, section 5.5.
inline constexpr std::size_t kControlBytesMax = 125;

/// The header of a frame that is a whole message, masked with `key` if there is one.
struct Header {
  Header(Opcode opcode, std::uint64_t payload_bytes, const std::optional<MaskKey>& key);
  BytesView view() const { return BytesView(bytes).first(size); }

  std::array<std::uint8_t, kHeaderBytesMax> bytes{};
  std::size_t size = 0;
};

/// A whole control frame. `payload` has at most kControlBytesMax bytes (checked).
Bytes control_frame(Opcode opcode, BytesView payload, const std::optional<MaskKey>& key);
/// The payload of a close frame.
Bytes close_payload(CloseStatus status);

/// Takes what a peer sends apart, however it is cut. Holds one header or control frame at most;
/// data of any length goes through.
class FrameReader {
 public:
  /// `role` is our own: a server takes only masked frames, a client only plain ones.
  explicit FrameReader(Role role) : role_(role) {}

  /// Turns `bytes`, which came next, into the data in them, at the front of `bytes`; returns how
  /// many. What comes behind a close frame is dropped.
  /// Errors: kMalformed for broken frames, kUnsupported for text; close_status() then says what the
  /// peer is to be told. The reader stays failed.
  Result<std::size_t> read(MutableBytes bytes);

  /// The payload of the last ping since the last call: only that one need be answered.
  std::optional<Bytes> take_ping() { return std::exchange(ping_, std::nullopt); }
  /// The peer has sent a close frame.
  bool closed() const { return closed_; }
  /// What to answer it with, or to tell a peer that broke a rule.
  CloseStatus close_status() const { return close_status_; }

 private:
  Result<> take_header();
  Result<> begin_data(Opcode opcode, bool is_final);
  Result<> end_control();
  std::unexpected<Error> refuse(std::string message);

  Role role_;
  std::optional<Error> failed_;
  bool closed_ = false;
  CloseStatus close_status_ = CloseStatus::kNormal;
  std::optional<Bytes> ping_;

  // The header that is being read.
  std::array<std::uint8_t, kHeaderBytesMax> header_{};
  std::size_t header_bytes_ = 0;
  // The frame whose payload is being read.
  bool in_payload_ = false;
  Opcode opcode_ = Opcode::kBinary;
  MaskKey key_{};
  std::uint64_t left_ = 0;
  std::size_t phase_ = 0;
  std::array<std::uint8_t, kControlBytesMax> control_{};
  std::size_t control_bytes_ = 0;
  // A message whose last frame has not come yet.
  bool in_message_ = false;
};

}  // namespace warren::transport::websocket

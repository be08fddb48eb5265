#pragma once
// The HTTP exchange before the first frame, without I/O. Source: RFC 6455, section 4; RFC 9110.

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::transport::websocket {

/// Of a request or a response up to the empty line. Beyond: kTooLarge.
inline constexpr std::size_t kHeadBytesMax = 8u << 10;
/// Random bytes in a client's key.
inline constexpr std::size_t kKeyBytes = 16;

/// Gathers a head, however it is cut.
class Head {
 public:
  /// Takes what came next; true when the head is whole. Errors: kMalformed as soon as a byte comes
  /// that no head has (another protocol), kTooLarge; nothing may be added after one.
  Result<bool> add(BytesView bytes);
  /// With the empty line; once whole.
  std::string_view text() const { return std::string_view(bytes_).substr(0, end_); }
  /// What came behind it: the first frames.
  BytesView rest() const { return as_bytes(std::string_view(bytes_).substr(end_)); }

 private:
  std::string bytes_;
  std::size_t end_ = 0;
};

/// What the header Sec-WebSocket-Key says for `random`, kKeyBytes of them.
std::string key_text(BytesView random);

/// A client's request. `host` is what the header Host says.
std::string make_request(std::string_view host, std::string_view key);
/// Whether the server agreed. Errors: kUnsupported (another status, with it), kMalformed (not the
/// answer to `key`, or something that was not asked for).
Result<> check_response(std::string_view head, std::string_view key);

/// A server's answer: to be sent, and then either frames follow or the connection ends.
struct Answer {
  std::string text;
  Result<> agreed;  ///< Errors: kMalformed, kUnsupported.
};
/// Any path will do, as with every other libp2p program; no subprotocol, no extension.
Answer answer_request(std::string_view head);

}  // namespace warren::transport::websocket

#pragma once
// The header of a Yamux frame. Source: libp2p specs, yamux/README.md.

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::muxer::yamux {

inline constexpr std::size_t kHeaderBytes = 12;

enum class Type : std::uint8_t { kData = 0, kWindowUpdate = 1, kPing = 2, kGoAway = 3 };

enum Flag : std::uint16_t { kSyn = 1, kAck = 2, kFin = 4, kRst = 8 };
inline constexpr std::uint16_t kAllFlags = kSyn | kAck | kFin | kRst;

enum class GoAwayCode : std::uint32_t { kNormal = 0, kProtocolError = 1, kInternalError = 2 };

/// Stream ids: the dialler's are odd, the listener's even, 0 is the session.
using StreamId = std::uint32_t;

struct Header {
  Type type = Type::kData;
  std::uint16_t flags = 0;
  StreamId stream = 0;
  std::uint32_t length = 0;  ///< Body bytes, window delta, ping value, or go-away code.

  bool has(Flag flag) const { return (flags & flag) != 0; }
  std::array<std::uint8_t, kHeaderBytes> encode() const;
  /// Errors: kMalformed (version, type, flags).
  static Result<Header> decode(std::span<const std::uint8_t, kHeaderBytes> bytes);
};

}  // namespace warren::muxer::yamux

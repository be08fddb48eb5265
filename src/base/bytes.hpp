#pragma once
// Bytes in memory: owned, viewed, and shared without a copy.
//
// A byte is std::uint8_t, not std::byte: every library at our edges (OpenSSL, GnuTLS, ngtcp2,
// SQLite) and every shift of a codec wants an integer (docs/decisions/0003).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// The bytes of a text, without a copy.
inline BytesView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The same bytes seen as text, without a copy. They need not be UTF-8.
inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Bytes to_bytes(BytesView view) { return {view.begin(), view.end()}; }
inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

inline void append(Bytes& out, BytesView more) { out.insert(out.end(), more.begin(), more.end()); }

/// Immutable bytes that stay where they are until the last holder lets go. Copying copies a
/// pointer. What a transport is given to send without copying, and returns when acknowledged.
class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(Bytes bytes) {
    auto owned = std::make_shared<const Bytes>(std::move(bytes));
    view_ = *owned;
    owner_ = std::move(owned);
  }
  /// `view` must lie in memory that `owner` keeps alive and unchanged.
  SharedBytes(std::shared_ptr<const void> owner, BytesView view)
      : owner_(std::move(owner)), view_(view) {}

  BytesView view() const noexcept { return view_; }
  std::size_t size() const noexcept { return view_.size(); }
  bool empty() const noexcept { return view_.empty(); }
  /// The part from `offset` on, at most `count` bytes; shares the owner.
  SharedBytes slice(std::size_t offset, std::size_t count = std::dynamic_extent) const {
    const BytesView rest = view_.subspan(offset);
    return {owner_, rest.first(count < rest.size() ? count : rest.size())};
  }

 private:
  std::shared_ptr<const void> owner_;
  BytesView view_;
};

/// Lower-case hexadecimal.
std::string to_hex(BytesView bytes);

}  // namespace warren

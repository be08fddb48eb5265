#pragma once
// A set of leaves as a bitmap, in the form that stands on the wire and in the store: leaf i is bit
// i % 8, least significant first, of byte i / 8; the bits behind the last leaf are 0.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/bytes.hpp"

namespace warren::transfer {

/// By value. All positions must be below size().
class LeafSet {
 public:
  LeafSet() = default;
  explicit LeafSet(std::uint64_t size, bool all = false)
      : size_(size), bits_(static_cast<std::size_t>((size + 7) / 8), all ? 0xff : 0) {
    clear_padding();
    if (all) count_ = size;
  }
  /// From a bitmap of any length: missing bits are 0, bits behind the last leaf are ignored.
  static LeafSet from_bytes(BytesView bytes, std::uint64_t size) {
    LeafSet set(size);
    std::copy_n(bytes.begin(), std::min(bytes.size(), set.bits_.size()), set.bits_.begin());
    set.clear_padding();
    for (const std::uint8_t byte : set.bits_) {
      set.count_ += static_cast<std::uint64_t>(std::popcount(byte));
    }
    return set;
  }

  std::uint64_t size() const noexcept { return size_; }
  std::uint64_t count() const noexcept { return count_; }
  bool full() const noexcept { return count_ == size_; }
  BytesView bytes() const noexcept { return bits_; }

  bool contains(std::uint64_t leaf) const { return (bits_[leaf / 8] >> (leaf % 8) & 1) != 0; }
  /// Whether it was not in the set before.
  bool add(std::uint64_t leaf) {
    if (contains(leaf)) return false;
    bits_[leaf / 8] = static_cast<std::uint8_t>(bits_[leaf / 8] | 1u << (leaf % 8));
    ++count_;
    return true;
  }
  /// Whether it was in the set before.
  bool remove(std::uint64_t leaf) {
    if (!contains(leaf)) return false;
    bits_[leaf / 8] = static_cast<std::uint8_t>(bits_[leaf / 8] & ~(1u << (leaf % 8)));
    --count_;
    return true;
  }
  /// The first leaf from `from` on that is in both, which have one size. About a nanosecond for
  /// 64 leaves that are not.
  static std::optional<std::uint64_t> next_in_both(const LeafSet& a, const LeafSet& b,
                                                   std::uint64_t from) {
    for (std::size_t byte = static_cast<std::size_t>(from / 8); byte < a.bits_.size();) {
      if (byte + 8 <= a.bits_.size() && (a.word(byte) & b.word(byte)) == 0) {
        byte += 8;
        continue;
      }
      std::uint32_t both = static_cast<std::uint32_t>(a.bits_[byte] & b.bits_[byte]);
      if (byte == from / 8) both &= 0xffu << (from % 8);
      if (both != 0) return byte * 8 + static_cast<std::uint64_t>(std::countr_zero(both));
      ++byte;
    }
    return std::nullopt;
  }
  bool operator==(const LeafSet&) const = default;

 private:
  std::uint64_t word(std::size_t byte) const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, bits_.data() + byte, sizeof bits);
    return bits;
  }
  void clear_padding() {
    if (size_ % 8 != 0)
      bits_.back() = static_cast<std::uint8_t>(bits_.back() & (0xffu >> (8 - size_ % 8)));
  }

  std::uint64_t size_ = 0;
  std::uint64_t count_ = 0;
  Bytes bits_;
};

}  // namespace warren::transfer

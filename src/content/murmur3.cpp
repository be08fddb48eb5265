#include "content/murmur3.hpp"

#include <bit>

namespace warren::content {
namespace {

constexpr std::uint64_t kC1 = 0x87C3'7B91'1142'53D5;
constexpr std::uint64_t kC2 = 0x4CF5'AD43'2745'937F;

// Up to eight bytes, the first one lowest.
std::uint64_t load_little(BytesView bytes) noexcept {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    word |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return word;
}

std::uint64_t scramble_1(std::uint64_t k) noexcept { return std::rotl(k * kC1, 31) * kC2; }
std::uint64_t scramble_2(std::uint64_t k) noexcept { return std::rotl(k * kC2, 33) * kC1; }

std::uint64_t finish(std::uint64_t k) noexcept {
  k = (k ^ (k >> 33)) * 0xFF51'AFD7'ED55'8CCD;
  k = (k ^ (k >> 33)) * 0xC4CE'B9FE'1A85'EC53;
  return k ^ (k >> 33);
}

}  // namespace

std::uint64_t murmur3_x64_64(BytesView bytes) noexcept {
  const std::size_t size = bytes.size();
  std::uint64_t h1 = 0;
  std::uint64_t h2 = 0;
  while (bytes.size() >= 16) {
    h1 = (std::rotl(h1 ^ scramble_1(load_little(bytes.first(8))), 27) + h2) * 5 + 0x52DC'E729;
    h2 = (std::rotl(h2 ^ scramble_2(load_little(bytes.subspan(8, 8))), 31) + h1) * 5 + 0x3849'5AB5;
    bytes = bytes.subspan(16);
  }
  if (bytes.size() > 8) h2 ^= scramble_2(load_little(bytes.subspan(8)));
  if (!bytes.empty())
    h1 ^= scramble_1(load_little(bytes.first(bytes.size() < 8 ? bytes.size() : 8)));
  h1 ^= size;
  h2 ^= size;
  h1 += h2;
  h2 += h1;
  h1 = finish(h1);
  h2 = finish(h2);
  return h1 + h2;
}

}  // namespace warren::content

#include "library/published.hpp"

#include <cstddef>

namespace warren::library {
namespace {

/// To `sum`, lowest byte first, with `flip` 0xff for the complement and a first carry: 256-bit
/// addition and subtraction.
void add_bytes(std::array<std::uint8_t, 32>& sum, const std::array<std::uint8_t, 32>& bytes,
               std::uint8_t flip, unsigned carry) {
  for (std::size_t i = 0; i < sum.size(); ++i) {
    carry += sum[i] + static_cast<unsigned>(bytes[i] ^ flip);
    sum[i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
}

}  // namespace

void SetDigest::add(const Digest& digest) { add_bytes(bytes, digest.bytes, 0, 0); }

void SetDigest::remove(const Digest& digest) { add_bytes(bytes, digest.bytes, 0xff, 1); }

SetDigest& SetDigest::operator+=(const SetDigest& other) {
  add_bytes(bytes, other.bytes, 0, 0);
  return *this;
}

}  // namespace warren::library

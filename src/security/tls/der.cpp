#include "security/tls/der.hpp"

#include <fmt/core.h>

#include "base/check.hpp"

namespace warren::security {
namespace {

constexpr std::size_t kLongForm = 0x80;

// Length octets at the front of `in`: contents length, and how many octets it took.
struct Length {
  std::size_t contents;
  std::size_t octets;
};

Result<Length> read_length(BytesView in) {
  if (in.empty()) return fail(ErrorCode::kMalformed, "DER ends before a length");
  if (in[0] < kLongForm) return Length{in[0], 1};
  const std::size_t octets = in[0] - kLongForm;
  if (octets < 1 || octets > 2 || in.size() < 1 + octets) {
    return fail(ErrorCode::kMalformed,
                fmt::format("a DER length with first octet 0x{:02x}", in[0]));
  }
  const std::size_t contents =
      octets == 1 ? std::size_t{in[1]} : std::size_t{in[1]} << 8 | std::size_t{in[2]};
  const std::size_t least = octets == 1 ? kLongForm : 0x100;
  if (contents < least) return fail(ErrorCode::kMalformed, "a DER length that is not minimal");
  return Length{contents, 1 + octets};
}

}  // namespace

Result<BytesView> take_der(BytesView& in, std::uint8_t tag) {
  if (in.empty() || in[0] != tag) {
    return fail(ErrorCode::kMalformed, fmt::format("no DER element with tag 0x{:02x}", tag));
  }
  WARREN_TRY(const Length length, read_length(in.subspan(1)));
  const BytesView rest = in.subspan(1 + length.octets);
  if (rest.size() < length.contents) {
    return fail(ErrorCode::kMalformed, fmt::format("a DER element of {} bytes ends after {}",
                                                   length.contents, rest.size()));
  }
  in = rest.subspan(length.contents);
  return rest.first(length.contents);
}

void append_der(Bytes& out, std::uint8_t tag, BytesView contents) {
  WARREN_CHECK(contents.size() < 0x10000);
  out.push_back(tag);
  if (contents.size() >= 0x100) {
    out.push_back(0x82);
    out.push_back(static_cast<std::uint8_t>(contents.size() >> 8));
  } else if (contents.size() >= kLongForm) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(contents.size()));
  append(out, contents);
}

}  // namespace warren::security

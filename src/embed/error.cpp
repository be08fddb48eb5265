#include "base/error.hpp"

#include "warren/error.hpp"

namespace warren::v1 {

std::string_view error_name(ErrorCode code) noexcept {
  // The numbers are those of the inside, which has more of them.
  if (code > ErrorCode::kIo) return "internal";
  return warren::error_name(static_cast<warren::ErrorCode>(code));
}

}  // namespace warren::v1

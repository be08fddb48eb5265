#pragma once
#include <string_view>

namespace warren::node {

/// "0.1.0": of this build.
std::string_view version() noexcept;

}  // namespace warren::node

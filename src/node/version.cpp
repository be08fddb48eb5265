#include "node/version.hpp"

namespace warren::node {

std::string_view version() noexcept { return WARREN_VERSION; }

}  // namespace warren::node

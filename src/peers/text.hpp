#pragma once
// Text that comes from a person, a peer or a disk.

#include <string_view>

#include "resources/prefix.hpp"

namespace warren::peers {

/// Whether `text` is UTF-8 without control characters. Surrogates and overlong forms are not UTF-8.
bool is_plain_text(std::string_view text);

/// Whether some loopback address is in `prefix`.
bool is_loopback_in(const resources::Prefix& prefix);

}  // namespace warren::peers

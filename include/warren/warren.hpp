#pragma once
// All of the library.

#include "warren/error.hpp"         // IWYU pragma: export
#include "warren/event.hpp"         // IWYU pragma: export
#include "warren/node.hpp"          // IWYU pragma: export
#include "warren/node_builder.hpp"  // IWYU pragma: export
#include "warren/peer_info.hpp"     // IWYU pragma: export
#include "warren/result.hpp"        // IWYU pragma: export
#include "warren/version.hpp"       // IWYU pragma: export

#pragma once
// What interop_peer can be asked to do as the one who opens streams. README.md says what each does.

#include <nlohmann/json.hpp>

#include "interop_node.hpp"

namespace warren::interop {

using nlohmann::json;

/// Does `request["do"]` on `node` and returns the fields of the answer. Errors: what went wrong.
awaitable<Result<json>> act(Node& node, json request, TimePoint deadline);

}  // namespace warren::interop

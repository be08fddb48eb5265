#pragma once
#include "node/node.hpp"

namespace warren::embed {

/// Starts a transfer. What came to be only after `deadline` is paused: nobody would know of it.
/// Errors: node::Node::get(); kTimedOut. Cancel: safe.
runtime::awaitable<Result<transfer::TransferId>> begin_get(node::Node* node,
                                                           node::GetOptions wanted,
                                                           TimePoint deadline);

}  // namespace warren::embed

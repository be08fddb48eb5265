#pragma once
// "No peers yet": which ways of finding peers ran, what each saw, and what to do next.

#include <string>

#include "node/node_types.hpp"

namespace warren::node {

/// One line: "no peers yet (8 s). mdns: sent 4, heard 0 on wlan0, eth0." With peers that are known
/// but not connected, or connected without having what is asked for, it says so instead.
/// Source: quality statement DI-2.
std::string discovery_report(const NodeStatus& status);

/// What to try next, for the hint of an error.
std::string discovery_advice();

}  // namespace warren::node

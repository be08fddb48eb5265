#pragma once
// From the configuration to the options of a node on this machine.

#include <cstdint>

#include "node/config.hpp"
#include "node/node.hpp"
#include "node/paths.hpp"
#include "resources/manager.hpp"

namespace warren::node {

/// What `config` asks for, with databases and downloads where `paths` says; its folders must be
/// there already. `resources` must outlive the node.
NodeOptions node_options(const Config& config, const Paths& paths, resources::Manager& resources);

/// What of `after` can be put in force while a node runs that was made from `before`.
NodeSettings node_settings(const Config& before, const Config& after, const Paths& paths);

/// As many descriptors as the system lets this process have: each shared file and socket takes
/// one. Returns how many that are. Changes the process: for a program, not for a library.
std::uint64_t raise_descriptor_limit();

/// How many descriptors this process may have as it is.
std::uint64_t descriptor_limit();

}  // namespace warren::node

#pragma once
// From words to an exit code.

#include <string>
#include <vector>

#include "cli/output.hpp"
#include "node/paths.hpp"

namespace warren::cli {

/// Runs one command line, without the program's name. `environment` gives HOME and the XDG
/// folders.
ExitCode run(std::vector<std::string> words, Terminal terminal,
             const node::Environment& environment);

}  // namespace warren::cli

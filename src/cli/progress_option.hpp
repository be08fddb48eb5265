#pragma once
// --progress, WARREN_PROGRESS_FPS and TERM of one invocation.

#include "cli/progress.hpp"
#include "cli/session.hpp"

namespace warren::cli {

/// Errors: kInvalidArgument.
inline Result<ProgressChoice> progress_choice(const Invocation& invocation) {
  const node::Environment environment = node::process_environment();
  return choose_progress(invocation.output, invocation.args.text("progress"),
                         environment("WARREN_PROGRESS_FPS").value_or(""),
                         environment("TERM").value_or("dumb") == "dumb");
}

}  // namespace warren::cli

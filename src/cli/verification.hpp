#pragma once
// What the commands share that read files again, or for the first time: progress, and what was
// wrong with which file.

#include <string>
#include <string_view>

#include "cli/session.hpp"

namespace warren::cli {

/// The number in a field of an answer; 0 when it is not there.
std::uint64_t bytes_of(const api::Json& object, const char* key);

/// Asks for what takes its time, and shows how far it is. Errors: also of --progress.
Result<api::Json> post_with_progress(Invocation& invocation, std::string target, api::Json body);

/// Names of `items` with their messages, the first ones; `count` are meant.
void note_items(Output& output, const api::Json& items, std::uint64_t count, std::string_view what);

/// Has what is behind `target` read again, and says what was found.
ExitCode verify_at(Invocation& invocation, std::string target, const std::string& reference);

}  // namespace warren::cli

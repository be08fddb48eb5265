// Prints the root CID of each path given, one a line. Problems go to stderr. For tests
// that compare with programs written by others.

#include <fmt/core.h>

#include <cstdio>

#include "content/importer.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/run_task.hpp"

int main(int argc, char** argv) {
  using namespace warren;
  runtime::RealRuntime runtime;
  int status = 0;
  for (int i = 1; i < argc; ++i) {
    const auto imported = runtime::run_task(
        runtime, content::import_path(runtime, argv[i], {}, std::make_shared<content::Progress>()));
    if (!imported) {
      fmt::print(stderr, "{}: {}\n", argv[i], imported.error().message());
      fmt::print("-\n");
      status = 1;
      continue;
    }
    for (const content::Skipped& skipped : imported->skipped) {
      fmt::print(stderr, "{}/{}: {}\n", argv[i], skipped.path, skipped.error.message());
      status = 1;
    }
    fmt::print("{}\n", imported->tree->root.to_string());
  }
  return status;
}

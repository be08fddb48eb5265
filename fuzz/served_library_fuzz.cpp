// Asks a real data server for what the bytes say, while the library that it gives away is used:
// names, roots, blocks, ranges, garbage; operations, installs, files that change. Finds: anything
// of `local/` or of another reserved name in an answer, a leaf or a block of what the peer may not
// see, more than was asked for.
// Links: warren::transfer warren::library_install warren::transport_memory warren::sim

#include <cstdio>

#include "tests/sim/library_asker.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 2'048) return 0;
  static warren::served::LibraryAsker asker;
  const std::string found = asker.play(warren::BytesView(data, size));
  if (!found.empty()) std::fprintf(stderr, "%s\n", found.c_str());
  WARREN_CHECK(found.empty());
  return 0;
}

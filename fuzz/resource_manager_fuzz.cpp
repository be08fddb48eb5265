// Drives the resource manager with arbitrary operations in any order. Finds: a sum that is not the
// sum of its parts, something above its limit, and something held when all handles are gone.
// Links: warren::resources

#include "resources/operations_for_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  warren::resources::testing::Operations(warren::BytesView(data, size)).run();
  return 0;
}

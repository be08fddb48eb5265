// Drives the connection manager with arbitrary events in any order. Finds: more peers or dials than
// the limits allow, a protected peer that is let go, a banned or connected one that is dialled, and
// indices that disagree.
// Links: warren::swarm_manager

#include "swarm/manager/operations_for_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  warren::swarm::testing::Operations(warren::BytesView(data, size)).run();
  return 0;
}

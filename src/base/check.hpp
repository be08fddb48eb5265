#pragma once
#include <cstdio>
#include <cstdlib>

/// Aborts on a broken invariant, in every build type. For our own bugs, never for peer input.
#define WARREN_CHECK(condition)                                                          \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

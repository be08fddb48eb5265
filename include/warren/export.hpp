#pragma once
// What marks the surface of the library. Programs need nothing of this file.

/// Everything else in libwarren.so is hidden.
#define WARREN_API __attribute__((visibility("default")))

// All names stand in warren::v1, which is inline: programs write warren::Node, and a program that
// was built for this surface can never be linked with an incompatible later one. Only inside the
// library, which has other types of the same names, v1 is not inline.
#ifdef WARREN_BUILDING_LIBRARY
#define WARREN_V1 v1
#else
#define WARREN_V1 inline v1
#endif

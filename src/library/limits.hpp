#pragma once
// Bounds of libraries. What happens beyond each stands beside it.

#include <cstddef>

#include "base/time.hpp"

namespace warren::limits {

struct Library {
  /// Library folders of a node. Beyond: kLimited.
  std::size_t folders_max = 64;
  /// Entries of all folders together. Beyond: left out, and told.
  std::size_t entries_max = 200'000;
  /// Names looked at in the top of one entry; in one entry altogether when it is measured. Beyond:
  /// the entry is left out.
  std::size_t top_names_max = 100'000;
  std::size_t names_max = 10'000'000;
  /// Of a sentinel file, that are read.
  std::size_t sentinel_bytes_max = 64u << 10;
  /// Removals that are remembered for deltas. Beyond: the oldest; deltas begin after it.
  std::size_t removed_max = 10'000;
  /// Entries that change in one revision. Beyond: in the next one.
  std::size_t batch_max = 1'000;
  /// Expected versions of one folder. Beyond: kLimited.
  std::size_t expected_max = 100'000;
  /// Folders that are watched in one library. Beyond: found by the full scan only, and told.
  std::size_t watches_max = 131'072;
};

}  // namespace warren::limits

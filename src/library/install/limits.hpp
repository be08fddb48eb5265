#pragma once
// Bounds of what is unpacked. What happens beyond each: the operation fails, and the entry is as it
// was.

#include <cstddef>
#include <cstdint>

namespace warren::limits {

struct Install {
  /// Files, folders and links of all archives of an entry together.
  std::uint64_t names_max = 1'000'000;
  /// Bytes of all their paths, which are kept in memory while they are unpacked.
  std::size_t path_bytes_max = 64u << 20;
  /// Bytes of all files together, as they are unpacked.
  std::uint64_t bytes_max = std::uint64_t{1} << 40;
  /// Bytes that stay free on the disk. Source: quality statement TR-7.
  std::uint64_t free_bytes_min = 64u << 20;
  /// Archives in the top of one entry.
  std::size_t archives_max = 1'000;
};

}  // namespace warren::limits

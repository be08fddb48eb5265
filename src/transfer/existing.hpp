#pragma once
// Whether what stands under the final name already is the dataset.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "content/tree.hpp"

namespace warren::transfer {

/// Written by the pool thread, read by any.
struct CompareProgress {
  std::atomic<std::uint64_t> bytes_compared{0};
  std::atomic<bool> stop{false};  ///< Set it to end the work with kCancelled.
};

enum class Existing : std::uint8_t {
  kNone,       ///< Nothing of that name.
  kIdentical,  ///< The same entries with the same bytes, and no more.
  kDifferent,
};

/// Compares `name` in `directory` with `tree`, reading every byte as long as they are equal.
/// Blocks: the pool's. `leave_out`: names directly in it that do not count; unset: all do. `where`
/// receives the first difference, for a person. Errors: kCancelled, kIo, kDenied.
Result<Existing> compare_existing(const content::Tree& tree, const std::string& directory,
                                  const std::string& name,
                                  const std::function<bool(std::string_view name)>& leave_out,
                                  CompareProgress& progress, std::string& where);

}  // namespace warren::transfer

#pragma once
// Copies between files without the bytes coming here, where the file system can.

#include <cstdint>

#include "base/result.hpp"
#include "runtime/file.hpp"

namespace warren::runtime {

/// Copies up to `count` bytes at `offset` of `from` to the same place in `to`; shares the blocks on
/// the disk where the file system can do that. Returns how many: fewer than `count` at the end of
/// `from`, or when the system gives fewer at a time; 0 at the end. Errors: kNoSpace, kIo.
Result<std::uint64_t> copy_bytes(const File& from, const File& to, std::uint64_t offset,
                                 std::uint64_t count);

}  // namespace warren::runtime

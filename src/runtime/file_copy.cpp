#include "runtime/file_copy.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/bytes.hpp"

namespace warren::runtime {
namespace {

constexpr std::size_t kBufferBytes = 1u << 20;

}  // namespace

Result<std::uint64_t> copy_bytes(const File& from, const File& to, std::uint64_t offset,
                                 std::uint64_t count) {
  auto read_at = static_cast<off64_t>(offset);
  auto write_at = static_cast<off64_t>(offset);
  const ssize_t copied = ::copy_file_range(from.fd(), &read_at, to.fd(), &write_at,
                                           static_cast<std::size_t>(count), 0);
  // Zero may also mean that this file system says nothing of its size (procfs and its like).
  if (copied > 0) return static_cast<std::uint64_t>(copied);
  if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)) {
    return fail(system_error("copy a file", errno));
  }
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(count, kBufferBytes)));
  WARREN_TRY(const std::size_t read, from.read_at(offset, buffer));
  if (read > 0) WARREN_TRY_VOID(to.write_at(offset, BytesView(buffer).first(read)));
  return read;
}

}  // namespace warren::runtime

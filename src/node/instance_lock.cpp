#include "node/instance_lock.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace warren::node {
namespace {

/// The process id in the lock file, or "unknown".
std::string holder(const runtime::File& file) {
  std::array<std::uint8_t, 16> text{};
  const auto size = file.read_at(0, text);
  std::string digits;
  for (std::size_t i = 0; size && i < *size && text[i] >= '0' && text[i] <= '9'; ++i) {
    digits += static_cast<char>(text[i]);
  }
  return digits.empty() ? "unknown" : digits;
}

Result<runtime::File> open_or_create(const std::string& directory) {
  WARREN_TRY(const runtime::Directory state, runtime::Directory::open(directory));
  auto created = state.create_file("lock", 0600);
  if (created || created.error().code() != ErrorCode::kExists) return created;
  return state.open_file_for_writing("lock");
}

}  // namespace

Result<InstanceLock> InstanceLock::acquire(const std::string& state_dir) {
  auto file = open_or_create(state_dir);
  if (!file) return fail(std::move(file).error().in("cannot open the lock of " + state_dir));
  if (::flock(file->fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(system_error("cannot lock " + state_dir, errno));
    return fail(ErrorCode::kConflict,
                fmt::format("another warren (process {}) already runs on the state {}",
                            holder(*file), state_dir),
                "use that one, stop it first, or give this one a home of its own with --home DIR");
  }
  WARREN_TRY_VOID(file->truncate(0));
  WARREN_TRY_VOID(file->write_at(0, as_bytes(fmt::format("{}\n", ::getpid()))));
  return InstanceLock(*std::move(file));
}

}  // namespace warren::node

#include "crypto/identity.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

namespace warren::crypto {
namespace {

constexpr std::size_t kFileBytesMax = 16u << 10;
constexpr mode_t kPrivateMode = S_IRUSR | S_IWUSR;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Text that holds a private key; wiped when it goes.
struct Secret {
  std::string text;
  Secret() = default;
  explicit Secret(std::string owned) : text(std::move(owned)) {}
  ~Secret() { ::OPENSSL_cleanse(text.data(), text.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
};

std::string named(std::string_view what, const std::filesystem::path& path) {
  return fmt::format("{} {}", what, path.string());
}

Result<> check_owner_and_mode(int fd, const std::filesystem::path& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail(system_error(named("identity", path), errno));
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kDenied, named("no regular file:", path),
                "put the identity file itself at this path");
  }
  if (status.st_uid != ::geteuid()) {
    return fail(ErrorCode::kDenied,
                fmt::format("identity {} belongs to user {}, not to {}", path.string(),
                            status.st_uid, ::geteuid()),
                "run as its owner, or use another --home");
  }
  const unsigned mode = status.st_mode & 07777u;
  if ((mode & 077u) != 0) {
    return fail(ErrorCode::kDenied,
                fmt::format("identity {} has mode {:04o}, so others can read or change the private "
                            "key",
                            path.string(), mode),
                fmt::format("chmod 600 '{}'; if others have read it, delete it to get a new "
                            "identity",
                            path.string()));
  }
  if (status.st_size > static_cast<off_t>(kFileBytesMax)) {
    return fail(ErrorCode::kTooLarge, fmt::format("identity {} has {} bytes; {} is the most",
                                                  path.string(), status.st_size, kFileBytesMax));
  }
  return {};
}

Result<> read_all(int fd, const std::filesystem::path& path, Secret& secret) {
  secret.text.resize(kFileBytesMax);
  std::size_t filled = 0;
  while (filled < secret.text.size()) {
    const ssize_t n = ::read(fd, secret.text.data() + filled, secret.text.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(named("reading identity", path), errno));
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  secret.text.resize(filled);
  return {};
}

// kNotFound only when there is nothing at `path`.
Result<PrivateKey> load(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must not hang before its type has been looked at.
  const Descriptor file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    if (errno == ELOOP) {
      return fail(ErrorCode::kDenied, named("a symbolic link, no regular file:", path),
                  "put the identity file itself at this path");
    }
    return fail(system_error(named("identity", path), errno));
  }
  WARREN_TRY_VOID(check_owner_and_mode(file.get(), path));
  Secret secret;
  WARREN_TRY_VOID(read_all(file.get(), path, secret));
  auto key = PrivateKey::from_pem(secret.text);
  if (!key) {
    return fail(key.error().code(),
                fmt::format("identity {}: {}", path.string(), key.error().message()),
                "restore the file from a copy, or move it away to get a new identity");
  }
  return key;
}

Result<> write_all(int fd, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(named("writing", path), errno));
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fsync(fd) != 0) return fail(system_error(named("syncing", path), errno));
  return {};
}

Result<> sync_folder(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid() || ::fsync(opened.get()) != 0) {
    return fail(system_error(named("syncing folder", folder), errno));
  }
  return {};
}

// Gives `fresh` its final name, unless there is one already (kExists).
Result<> rename_new(const std::filesystem::path& fresh, const std::filesystem::path& path) {
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0)
    return {};
  // Some file systems (NFS, older FUSE) cannot rename without replacing, but can link.
  if (errno == EINVAL && ::link(fresh.c_str(), path.c_str()) == 0) {
    ::unlink(fresh.c_str());
    return {};
  }
  return fail(system_error(named("renaming to", path), errno));
}

Result<> store(const PrivateKey& key, const std::filesystem::path& path) {
  // The public key is random and new, so the name is too.
  const std::string unique = to_hex(BytesView(key.public_key().protobuf()).last(8));
  const std::filesystem::path fresh = path.string() + "." + unique + ".new";
  const Descriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kPrivateMode));
  if (!file.valid()) return fail(system_error(named("creating", fresh), errno));
  const Secret secret(key.to_pem());
  auto stored = write_all(file.get(), secret.text, fresh);
  if (stored) stored = rename_new(fresh, path);
  if (!stored) {
    ::unlink(fresh.c_str());
    return stored;
  }
  const std::filesystem::path folder = path.parent_path();
  return sync_folder(folder.empty() ? std::filesystem::path(".") : folder);
}

}  // namespace

Result<PrivateKey> load_or_create_identity(const std::filesystem::path& path) {
  auto found = load(path);
  if (found || found.error().code() != ErrorCode::kNotFound) return found;
  WARREN_TRY(PrivateKey fresh, PrivateKey::generate());
  auto stored = store(fresh, path);
  if (stored) return fresh;
  // Another process was first: its key is the node's.
  if (stored.error().code() == ErrorCode::kExists) return load(path);
  return fail(std::move(stored).error());
}

}  // namespace warren::crypto

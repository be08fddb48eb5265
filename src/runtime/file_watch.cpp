#include "runtime/file_watch.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <climits>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "runtime/cancellation.hpp"
#include "runtime/file.hpp"

namespace warren::runtime {
namespace {

using Descriptor = asio::posix::stream_descriptor;

constexpr std::size_t kLinksMax = 16;
/// After news of other files in the same folders: so that a busy folder costs next to nothing.
constexpr Duration kPause = 50ms;
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE |
                                  IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
                                  IN_MOVE_SELF | IN_ONLYDIR;

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::optional<std::string> link_target(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  if (size <= 0 || static_cast<std::size_t>(size) == target.size()) return std::nullopt;
  target.resize(static_cast<std::size_t>(size));
  return target;
}

bool is_folder(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Where the path leads, name by name.
struct Way {
  std::set<std::string> folders;  ///< That exist, in which something on the way may change.
  std::set<std::string> names;    ///< Of the file and of the links that lead to it.
};

Way way_to(std::string path) {
  Way way;
  for (std::size_t links = 0; links <= kLinksMax; ++links) {
    std::string folder = folder_of(path);
    way.names.insert(name_of(path));
    // A folder that is missing shows in the nearest one above that is there.
    while (!is_folder(folder) && folder != "/") folder = folder_of(folder);
    way.folders.insert(folder);
    // So does a folder that is itself a link: it may come to lead elsewhere.
    if (link_target(folder)) way.folders.insert(folder_of(folder));
    const auto target = link_target(path);
    if (!target) break;
    path = target->starts_with('/') ? *target : folder_of(path) + "/" + *target;
  }
  return way;
}

/// nullopt: there is no such file.
std::optional<FileStamp> stamp_of(const std::string& path) {
  const auto info = file_info(path);
  return info ? std::optional(info->stamp) : std::nullopt;
}

/// Shared with a wait of the kernel that outlives the watch by a moment.
struct Queue {
  Queue(asio::io_context& context, Runtime& runtime)
      : descriptor(context), ready(runtime.make_signal()) {}
  Descriptor descriptor;
  std::unique_ptr<Signal> ready;
  bool armed = false;
};

/// What the events that waited say.
struct News {
  bool any = false;
  bool named = false;  ///< One was of the file itself, or events were lost.
};

class RealFileWatch final : public FileWatch {
 public:
  RealFileWatch(Runtime& runtime, std::shared_ptr<Queue> queue, std::string path)
      : runtime_(runtime), queue_(std::move(queue)), path_(std::move(path)) {
    watch_way();
    stamp_ = stamp_of(path_);
  }
  ~RealFileWatch() override {
    boost::system::error_code ignored;
    queue_->descriptor.close(ignored);
  }

  awaitable<Result<>> changed() override {
    const std::shared_ptr<Queue> queue = queue_;
    for (;;) {
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      WARREN_CO_TRY(const News news, drain());
      if (news.any) {
        const bool different = co_await run(runtime_.pool(), [this] { return look_again(); });
        if (different || news.named) co_return Result<>{};
        WARREN_CO_TRY_VOID(co_await runtime_.sleep_for(kPause));
        continue;
      }
      arm(queue);
      const Wake how = co_await queue->ready->wait_until(kNever);
      if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    }
  }

 private:
  static void arm(const std::shared_ptr<Queue>& queue) {
    if (std::exchange(queue->armed, true)) return;
    queue->descriptor.async_wait(Descriptor::wait_read, [queue](const boost::system::error_code&) {
      queue->armed = false;
      queue->ready->notify();
    });
  }

  /// Watches the folders on the way as it is now, and those alone.
  void watch_way() {
    const int fd = queue_->descriptor.native_handle();
    const Way way = way_to(path_);
    std::set<int> watches;
    for (const std::string& folder : way.folders) {
      const int watch = ::inotify_add_watch(fd, folder.c_str(), kEvents);
      if (watch >= 0) watches.insert(watch);
    }
    for (const int old : watches_) {
      if (!watches.contains(old)) ::inotify_rm_watch(fd, old);
    }
    watches_ = std::move(watches);
    names_ = way.names;
  }

  /// Whether another file is behind the path than before. On the pool, while changed() waits.
  bool look_again() {
    watch_way();
    const auto now = stamp_of(path_);
    return std::exchange(stamp_, now) != now;
  }

  /// Reads what waits, at most a few full buffers at a time.
  Result<News> drain() {
    constexpr int kReadsMax = 16;
    News news;
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (int i = 0; i < kReadsMax; ++i) {
      const ssize_t got = ::read(queue_->descriptor.native_handle(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return news;
      if (got <= 0) return fail(system_error("read changes of " + path_, got == 0 ? EPIPE : errno));
      news.any = true;
      for (ssize_t at = 0; at < got;) {
        inotify_event event{};
        std::memcpy(&event, buffer.data() + at, sizeof event);
        const char* name = buffer.data() + at + sizeof event;
        if ((event.mask & IN_Q_OVERFLOW) != 0) news.named = true;
        if (event.len > 0 && names_.contains(name)) news.named = true;
        at += static_cast<ssize_t>(sizeof event + event.len);
      }
    }
    return news;
  }

  Runtime& runtime_;
  std::shared_ptr<Queue> queue_;
  std::string path_;
  std::set<int> watches_;
  std::set<std::string> names_;
  std::optional<FileStamp> stamp_;
};

}  // namespace

Result<std::unique_ptr<FileWatch>> make_file_watch(asio::io_context& context, Runtime& runtime,
                                                   std::string path) {
  if (!path.starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument, "cannot watch the relative path " + path);
  }
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail(system_error("watch " + path + " for changes", errno));
  const auto queue = std::make_shared<Queue>(context, runtime);
  boost::system::error_code error;
  queue->descriptor.assign(fd.get(), error);
  if (error) return fail(system_error("watch " + path + " for changes", error.value()));
  static_cast<void>(fd.release());
  return std::make_unique<RealFileWatch>(runtime, queue, std::move(path));
}

}  // namespace warren::runtime

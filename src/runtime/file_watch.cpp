#include "runtime/file_watch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <map>
#include <optional>
#include <set>

#include "runtime/cancellation.hpp"
#include "runtime/file.hpp"
#include "runtime/inotify_queue.hpp"

namespace warren::runtime {
namespace {

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
  std::set<std::string, std::less<>> names;  ///< Of the file and of the links that lead to it.
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

/// What the events that waited say.
struct News {
  bool any = false;
  bool named = false;  ///< One was of the file itself, or events were lost.
};

class RealFileWatch final : public FileWatch {
 public:
  RealFileWatch(Runtime& runtime, std::shared_ptr<InotifyQueue> queue, std::string path)
      : runtime_(runtime), queue_(std::move(queue)), path_(std::move(path)) {
    watch_way();
    stamp_ = stamp_of(path_);
  }
  ~RealFileWatch() override { queue_->close(); }

  awaitable<Result<>> changed() override {
    const std::shared_ptr<InotifyQueue> queue = queue_;
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
      const Wake how = co_await queue->wait();
      if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    }
  }

 private:
  /// Watches the folders on the way as it is now, and those alone.
  void watch_way() {
    const int fd = queue_->fd();
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
    constexpr int kReadsMax = 4;
    News news;
    WARREN_TRY(news.any,
               queue_->read(kReadsMax, [&](const inotify_event& event, std::string_view name) {
                 const bool lost = (event.mask & IN_Q_OVERFLOW) != 0;
                 if (lost || names_.contains(name)) news.named = true;
               }));
    return news;
  }

  Runtime& runtime_;
  std::shared_ptr<InotifyQueue> queue_;
  std::string path_;
  std::set<int> watches_;
  std::set<std::string, std::less<>> names_;
  std::optional<FileStamp> stamp_;
};

}  // namespace

Result<std::unique_ptr<FileWatch>> make_file_watch(asio::io_context& context, Runtime& runtime,
                                                   std::string path) {
  if (!path.starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument, "cannot watch the relative path " + path);
  }
  WARREN_TRY(auto queue, InotifyQueue::open(context, runtime, path));
  return std::make_unique<RealFileWatch>(runtime, std::move(queue), std::move(path));
}

}  // namespace warren::runtime

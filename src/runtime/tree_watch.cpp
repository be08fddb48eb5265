#include "runtime/tree_watch.hpp"

#include <cerrno>
#include <unordered_map>
#include <vector>

#include "runtime/cancellation.hpp"
#include "runtime/file.hpp"
#include "runtime/inotify_queue.hpp"

namespace warren::runtime {
namespace {

/// A file that is being written tells at its end; that it is written at all, when it is made.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE |
                                  IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF | IN_ATTRIB |
                                  IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;
constexpr std::size_t kDepthMax = 64;
/// Read in one go before the news are told.
constexpr int kReadsMax = 64;
/// Between two tellings: what comes in a burst is told together.
constexpr Duration kPause = 50ms;

std::string joined(const std::string& folder, std::string_view name) {
  std::string path = folder;
  if (!path.empty()) path += '/';
  path += name;
  return path;
}

/// The first name of a relative path.
std::string top_of(const std::string& path) { return path.substr(0, path.find('/')); }

class RealTreeWatch final : public TreeWatch {
 public:
  RealTreeWatch(Runtime& runtime, std::shared_ptr<InotifyQueue> queue, std::string path,
                std::size_t watches_max, std::function<bool(std::string_view)> left_out)
      : runtime_(runtime),
        queue_(std::move(queue)),
        path_(std::move(path)),
        watches_max_(watches_max),
        left_out_(std::move(left_out)) {}
  ~RealTreeWatch() override { queue_->close(); }

  awaitable<Result<TreeNews>> changed() override {
    const std::shared_ptr<InotifyQueue> queue = queue_;
    for (;;) {
      const bool stop = co_await cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      // Reads and follows new folders; nothing else touches the tables while it does.
      auto read = co_await run(runtime_.pool(), [this] { return drain(); });
      if (!read) co_return fail(std::move(read).error());
      if (news_.names || news_.lost || !news_.touched.empty()) {
        const auto slept = co_await runtime_.sleep_for(kPause);
        if (!slept) co_return fail(slept.error());
        read = co_await run(runtime_.pool(), [this] { return drain(); });
        if (!read) co_return fail(std::move(read).error());
        co_return std::exchange(news_, {});
      }
      const Wake how = co_await queue->wait();
      if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    }
  }

  bool is_whole() const override { return whole_; }
  std::size_t watches() const override { return folders_.size(); }

  /// On the pool. Errors: of the folder itself.
  Result<> watch_all() {
    WARREN_TRY_VOID(watch(""));
    return watch_below("", 0);
  }

 private:
  /// Errors: kNotFound, kDenied, of the system. Too many is none: then it is not whole.
  Result<> watch(const std::string& folder) {
    if (folders_.size() >= watches_max_) {
      whole_ = false;
      return {};
    }
    const std::string path = folder.empty() ? path_ : path_ + "/" + folder;
    const int watch = ::inotify_add_watch(queue_->fd(), path.c_str(), kEvents);
    if (watch >= 0) {
      folders_.insert_or_assign(watch, folder);
      return {};
    }
    if (errno == ENOSPC || errno == ENOMEM) {
      whole_ = false;
      return {};
    }
    return fail(system_error("watch " + path + " for changes", errno));
  }

  /// Watches all folders below; what goes meanwhile is left out, what comes is told by the watches
  /// that are there already.
  Result<> watch_below(const std::string& folder, std::size_t depth) {
    if (depth >= kDepthMax) {
      whole_ = false;
      return {};
    }
    const auto opened = Directory::open(folder.empty() ? path_ : path_ + "/" + folder);
    if (!opened) return {};
    const auto items = opened->list();
    if (!items) return {};
    for (const DirectoryItem& item : *items) {
      if (item.kind != FileKind::kDirectory) continue;
      if (depth == 1 && left_out_ && left_out_(item.name)) continue;
      const std::string inner = joined(folder, item.name);
      // One that is closed to us, or went: nothing of it can be told.
      if (watch(inner)) static_cast<void>(watch_below(inner, depth + 1));
      if (folders_.size() >= watches_max_ && !whole_) return {};
    }
    return {};
  }

  void follow(const std::string& folder) {
    std::size_t depth = 1;
    for (const char c : folder) depth += c == '/' ? 1 : 0;
    if (depth == 2 && left_out_ && left_out_(folder.substr(folder.find('/') + 1))) return;
    if (watch(folder)) static_cast<void>(watch_below(folder, depth));
  }

  void take(const inotify_event& event, std::string_view name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      news_.lost = rewatch_ = true;
      return;
    }
    const auto found = folders_.find(event.wd);
    if (found == folders_.end()) return;
    const std::string folder = found->second;
    if (folder.empty() && (event.mask & (IN_IGNORED | IN_MOVE_SELF)) != 0) {
      // The folder itself is gone, or elsewhere.
      for (const auto& [watch, name_of] : folders_) {
        ::inotify_rm_watch(queue_->fd(), watch);
      }
      folders_.clear();
      news_.lost = true;
      return;
    }
    if ((event.mask & IN_IGNORED) != 0) {  // It is gone, and its watch with it.
      folders_.erase(found);
      return;
    }
    const bool is_folder = (event.mask & IN_ISDIR) != 0;
    const bool comes = (event.mask & (IN_CREATE | IN_MOVED_TO)) != 0;
    const bool goes = (event.mask & (IN_DELETE | IN_MOVED_FROM)) != 0;
    if ((event.mask & IN_MOVE_SELF) != 0) return;  // Its folders above tell from where to where.
    if (folder.empty()) {
      if (name.empty()) return;
      if (comes || goes) news_.names = true;
      news_.touched.emplace(name);
    } else {
      news_.touched.insert(top_of(folder));
    }
    if (!is_folder || name.empty()) return;
    // A folder that was renamed keeps its watches: their paths are those of before.
    if ((event.mask & IN_MOVED_FROM) != 0) forget_below(joined(folder, name));
    if (comes) follow(joined(folder, name));
  }

  void forget_below(const std::string& gone) {
    std::vector<int> watches;
    for (const auto& [watch, folder] : folders_) {
      if (folder == gone || folder.starts_with(gone + "/")) watches.push_back(watch);
    }
    for (const int watch : watches) {
      ::inotify_rm_watch(queue_->fd(), watch);
      folders_.erase(watch);
    }
  }

  Result<> drain() {
    WARREN_TRY_VOID(queue_->read(kReadsMax, [this](const inotify_event& event,
                                                   std::string_view name) { take(event, name); }));
    // Folders that came while news were lost are not known.
    if (std::exchange(rewatch_, false) && !folders_.empty()) {
      static_cast<void>(watch_below("", 0));
    }
    return {};
  }

  Runtime& runtime_;
  std::shared_ptr<InotifyQueue> queue_;
  std::string path_;
  std::size_t watches_max_;
  std::function<bool(std::string_view)> left_out_;
  std::unordered_map<int, std::string> folders_;  ///< Relative; the folder itself is "".
  bool whole_ = true;
  bool rewatch_ = false;
  TreeNews news_;
};

}  // namespace

awaitable<Result<std::unique_ptr<TreeWatch>>> make_tree_watch(
    asio::io_context& context, Runtime& runtime, std::string path, std::size_t watches_max,
    std::function<bool(std::string_view)> left_out) {
  WARREN_CO_TRY(auto queue, InotifyQueue::open(context, runtime, path));
  auto watch = std::make_unique<RealTreeWatch>(runtime, std::move(queue), std::move(path),
                                               watches_max, std::move(left_out));
  WARREN_CO_TRY_VOID(co_await run(runtime.pool(), [&] { return watch->watch_all(); }));
  co_return std::unique_ptr<TreeWatch>(std::move(watch));
}

}  // namespace warren::runtime

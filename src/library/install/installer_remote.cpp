// Installer: entries that are installed without being downloaded, and downloaded later.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "library/install/names.hpp"
#include "library/install/place.hpp"
#include "library/install/staging.hpp"
#include "runtime/blocking_thread.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::install {

using runtime::Directory;

namespace {

/// For what another ends that was interrupted: some renames.
constexpr auto kSettleTime = 10s;

/// What `local/` keeps of it, since there is no sentinel. As a sentinel says it.
std::string record_of(const library::Listing& listing) {
  std::string text = fmt::format("version = \"{}\"\n", listing.version);
  if (listing.name != listing.id) text += fmt::format("name = \"{}\"\n", listing.name);
  if (!listing.topic.empty()) text += fmt::format("topic = \"{}\"\n", listing.topic);
  if (listing.root) text += fmt::format("root = \"{}\"\n", listing.root->to_string());
  return text;
}

/// Unpacks on a thread of its own, which waits for what the core thread reads.
class RemoteFill {
 public:
  RemoteFill(runtime::Runtime& runtime, const Directory& entry, limits::Install limits,
             Installer::Progress progress, RemoteEntry& remote,
             std::shared_ptr<const content::Tree> tree, Installed& made)
      : entry_(entry),
        limits_(limits),
        progress_(std::move(progress)),
        remote_(remote),
        tree_(std::move(tree)),
        made_(made),
        thread_(runtime, [this] { result_ = fill(); }) {}

  awaitable<Result<>> run() {
    for (;;) {
      WARREN_CO_TRY(const bool asks, co_await thread_.next());
      if (!asks) co_return std::move(result_);
      auto got = co_await remote_.read(asked_.entry, asked_.offset, asked_.out);
      got_ = std::move(got);
    }
  }

 private:
  struct Asked {
    std::size_t entry = 0;
    std::uint64_t offset = 0;
    MutableBytes out;
  };

  // On that thread.
  Result<> fill() {
    const auto read = [this](std::size_t entry, std::uint64_t offset, MutableBytes out) {
      asked_ = {entry, offset, out};
      thread_.ask();
      return std::move(got_);
    };
    WARREN_TRY(const auto fill, Fill::begin(entry_, limits_, progress_, RemoteFiles{tree_, read}));
    for (bool more = true; more;) {
      WARREN_TRY(more, fill->step());
    }
    made_.files = fill->files();
    made_.bytes = fill->bytes();
    return {};
  }

  const Directory& entry_;
  limits::Install limits_;
  Installer::Progress progress_;
  RemoteEntry& remote_;
  std::shared_ptr<const content::Tree> tree_;
  Installed& made_;
  Asked asked_;
  Result<std::size_t> got_ = 0;
  Result<> result_;
  runtime::BlockingThread thread_;
};

}  // namespace

awaitable<Result<>> Installer::fill_remote(Place& place, Progress progress, Installed& made) {
  RemoteFill fill(runtime_, place.files->directory(), options_.limits, std::move(progress),
                  *place.remote, place.tree, made);
  WARREN_CO_TRY_VOID(co_await fill.run());
  co_return co_await runtime::run(runtime_.pool(), [&place] {
    return place.files->write(kStagedRecord, as_bytes(place.record));
  });
}

/// What is there, and whether the entry may be made as it is wanted.
awaitable<Result<Seen>> Installer::prepare_remote(Place& place, bool anew) {
  WARREN_CO_TRY(const Seen seen, co_await prepare(place));
  const auto check = [&]() -> Result<> {
    WARREN_TRY(const bool own, has_own_names(place.folder, place.id));
    WARREN_TRY(const bool downloaded, place.is_downloaded());
    if (own && downloaded) {
      return fail(ErrorCode::kConflict, fmt::format("'{}' is downloaded", place.id),
                  fmt::format("'warren {0} {1}' does it with what is here",
                              anew ? "update" : "install", place.id));
    }
    if (seen.local && !anew) {
      return fail(ErrorCode::kConflict, fmt::format("'{}' is installed already", place.id),
                  fmt::format("'warren uninstall {0}' removes it, 'warren update --stream {0}' "
                              "makes it anew",
                              place.id));
    }
    if (seen.local && seen.backup) return in_the_way(kBackupFolder);
    return check_staging(*place.files);
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), check));
  co_return seen;
}

awaitable<Result<Installed>> Installer::install_remote(library::Listing offered, std::string folder,
                                                       bool anew, RemoteEntry& remote,
                                                       Progress progress) {
  Place place = place_in(offered.id, folder);
  place.remote = &remote;
  place.record = record_of(offered);
  WARREN_CO_TRY(const auto operation, libraries_.begin_operation(place.id));
  if (const auto view = libraries_.find(place.id); view && view->folder != folder) {
    co_return fail(ErrorCode::kConflict,
                   fmt::format("'{}' is in the library {}", place.id, view->folder));
  }
  const auto look = [&place] {
    const auto opened = Directory::open(place.folder);
    return opened && opened->info(place.id).has_value();
  };
  const bool there = co_await runtime::run(runtime_.pool(), look);
  // Before anyone is asked.
  if (there) WARREN_CO_TRY_VOID(co_await prepare_remote(place, anew));
  WARREN_CO_TRY(place.tree, co_await remote.open());
  const auto make = [&place, there]() -> Result<> {
    WARREN_TRY(const Directory opened, Directory::open(place.folder));
    if (there) return {};
    WARREN_TRY_VOID(opened.make_directory(place.id));
    return opened.sync();
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), make));
  auto made = co_await make_remote(place, anew, std::move(progress));
  if (!made) {
    co_await runtime::run(runtime_.pool(),
                          [&place] { return remove_if_empty(place.folder, place.id); });
  }
  co_return made;
}

awaitable<Result<Installed>> Installer::make_remote(Place& place, bool anew, Progress progress) {
  WARREN_CO_TRY(const Seen seen, co_await prepare_remote(place, anew));
  co_return co_await make_local(place, seen.local ? reinstall_plan() : install_plan(),
                                std::move(progress));
}

awaitable<bool> Installer::is_bare(std::string folder, std::string id) {
  const auto look = [&]() -> Result<bool> {
    WARREN_TRY(DiskFiles files, open_entry(folder, id));
    WARREN_TRY(const Seen seen, look_around(files));
    return seen.needs_recovery();
  };
  const auto interrupted = co_await runtime::run(runtime_.pool(), look);
  if (interrupted && *interrupted) {
    Result<> ended;
    if (const auto operation = libraries_.begin_operation(id)) {
      ended = co_await recover(folder, id);
    } else {  // It is being ended, or is under way.
      ended = co_await libraries_.wait_settled(runtime_.now() + kSettleTime);
    }
    if (!ended) log::debug("library", "'{}': {}", id, ended.error().message());
  }
  const auto own =
      co_await runtime::run(runtime_.pool(), [&] { return has_own_names(folder, id); });
  co_return own && !*own;
}

awaitable<Result<>> Installer::take_in(std::string folder, std::string temporary_name,
                                       std::string id) {
  Place place = place_in(id, folder);
  WARREN_CO_TRY(const auto operation, libraries_.begin_operation(id));
  WARREN_CO_TRY_VOID(co_await prepare(place));
  const auto move = [&]() -> Result<> {
    WARREN_TRY(const bool own, has_own_names(folder, id));
    if (own) {
      return fail(ErrorCode::kExists, fmt::format("{}/{} is no longer empty", folder, id),
                  "move away what is in it, but for 'local', and resume");
    }
    WARREN_TRY_VOID(place.files->remove_tree(kNewFolder));
    WARREN_TRY(const Directory opened, Directory::open(folder));
    WARREN_TRY_VOID(opened.rename_noreplace(temporary_name, fmt::format("{}/{}", id, kNewFolder)));
    WARREN_TRY_VOID(place.files->sync_folder(""));
    return opened.sync();
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), move));
  auto done = co_await run_steps(place, replace_plan().before);
  if (done) co_return done;
  // Not even begun: it is got no second time.
  const auto give_back = [&]() -> Result<> {
    WARREN_TRY(const Seen seen, look_around(*place.files));
    if (seen.log.intent != Intent::kNone || !seen.incoming) return {};
    WARREN_TRY(const Directory opened, Directory::open(folder));
    WARREN_TRY_VOID(opened.rename_noreplace(fmt::format("{}/{}", id, kNewFolder), temporary_name));
    return opened.sync();
  };
  const auto given = co_await runtime::run(runtime_.pool(), give_back);
  if (!given) log::warn("library", "'{}': {}", id, given.error().message());
  co_return done;
}

}  // namespace warren::install

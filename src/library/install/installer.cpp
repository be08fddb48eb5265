#include "library/install/installer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "library/install/names.hpp"
#include "library/install/staging.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::install {

using library::EntryView;
using library::FolderView;
using runtime::Directory;

namespace {

Result<DiskFiles> open_entry(const std::string& folder, const std::string& id) {
  WARREN_TRY(const Directory opened, Directory::open(folder));
  WARREN_TRY(Directory entry, opened.open_directory(id));
  return DiskFiles(std::move(entry));
}

std::unexpected<Error> in_the_way(std::string_view name) {
  return fail(ErrorCode::kConflict, fmt::format("'{}' in the entry was not made by Warren", name),
              "move it away");
}

/// An empty folder is nobody's.
Result<> check_staging(EntryFiles& files) {
  WARREN_TRY(const What what, files.look(kInstallingFolder));
  if (what == What::kNothing) return {};
  if (what != What::kFolder) return in_the_way(kInstallingFolder);
  WARREN_TRY(const auto names, files.names(kInstallingFolder));
  return names.empty() ? Result<>() : in_the_way(kInstallingFolder);
}

}  // namespace

struct Installer::Place {
  std::string id;
  std::string folder;  ///< Path of the library folder.
  library::SentinelSettings sentinel;
  std::unique_ptr<DiskFiles> files;  ///< Once it is prepared.

  std::string path() const { return folder + "/" + id; }
  /// Its name where it is moved; empty: there is none.
  std::string_view sentinel_name() const {
    const std::string& name = sentinel.file;
    const bool usable = content::check_name(name) && !library::is_reserved(name);
    return usable ? std::string_view(name) : std::string_view();
  }
  Result<bool> is_downloaded() {
    if (!sentinel.required) return true;
    WARREN_TRY(const What what, files->look(sentinel.file));
    return what == What::kFile;
  }
};

Installer::Installer(runtime::Runtime& runtime, library::LibraryService& libraries,
                     InstallerOptions options)
    : runtime_(runtime), libraries_(libraries), options_(std::move(options)) {}

Result<Installer::Place> Installer::place_of(std::string_view id) const {
  const std::optional<EntryView> view = libraries_.find(id);
  if (!view) {
    return fail(ErrorCode::kNotFound, fmt::format("no library has an entry '{}'", id),
                "'warren library list' names those that are here, 'warren get' fetches others");
  }
  Place place;
  place.id = id;
  place.folder = view->folder;
  for (const FolderView& folder : libraries_.folders()) {
    if (folder.folder.settings.path == view->folder) {
      place.sentinel = folder.folder.settings.sentinel;
    }
  }
  return place;
}

awaitable<Result<Seen>> Installer::prepare(Place& place) {
  if (options_.leave) co_await options_.leave(place.path());
  const auto look = [&place]() -> Result<Seen> {
    WARREN_TRY(DiskFiles files, open_entry(place.folder, place.id));
    place.files = std::make_unique<DiskFiles>(std::move(files));
    WARREN_TRY_VOID(install::recover(*place.files));
    return look_around(*place.files);
  };
  co_return co_await runtime::run(runtime_.pool(), look);
}

awaitable<Result<>> Installer::recover(std::string folder, std::string id) {
  const auto end = [&]() -> Result<Outcome> {
    WARREN_TRY(DiskFiles files, open_entry(folder, id));
    return install::recover(files);
  };
  auto recovered = co_await runtime::run(runtime_.pool(), end);
  if (!recovered) co_return fail(std::move(recovered).error());
  if (*recovered != Outcome::kNothing) {
    log::info("library", "an operation on '{}' had been interrupted: {}", id,
              *recovered == Outcome::kDone ? "it is done now" : "the entry is as before");
  }
  co_return Result<>{};
}

/// An operation that fails in the middle is what a crash there would be.
awaitable<Result<>> Installer::run_steps(Place& place, std::span<const Step> steps) {
  const auto all = [&place, steps]() -> Result<> {
    auto done = run(*place.files, place.sentinel_name(), steps);
    if (done) return {};
    const auto recovered = install::recover(*place.files);
    if (!recovered) {
      log::warn("library", "'{}' is not as it should be: {}", place.id,
                recovered.error().message());
    }
    return done;
  };
  co_return co_await runtime::run(runtime_.pool(), all);
}

awaitable<Result<>> Installer::fill(Place& place, Progress progress, Installed& made) {
  const auto begin = [&] {
    return Fill::begin(place.files->directory(), options_.limits, progress);
  };
  WARREN_CO_TRY(const auto fill, co_await runtime::run(runtime_.pool(), begin));
  for (bool more = true; more;) {
    WARREN_CO_TRY(more, co_await runtime::run(runtime_.pool(), [&fill] { return fill->step(); }));
  }
  made.files = fill->files();
  made.bytes = fill->bytes();
  co_return Result<>{};
}

awaitable<Result<Installed>> Installer::make_local(Place& place, Plan plan, Progress progress) {
  Installed made{place.id, place.path(), true, 0, 0};
  WARREN_CO_TRY_VOID(co_await run_steps(place, plan.before));
  auto filled = co_await fill(place, std::move(progress), made);
  if (!filled) {
    const auto cleaned =
        co_await runtime::run(runtime_.pool(), [&place] { return install::recover(*place.files); });
    if (!cleaned) {
      log::warn("library", "what was unpacked of '{}' is still there: {}", place.id,
                cleaned.error().message());
    }
    co_return fail(std::move(filled).error());
  }
  WARREN_CO_TRY_VOID(co_await run_steps(place, plan.after));
  co_return made;
}

awaitable<Result<Installed>> Installer::install(std::string id, Progress progress) {
  WARREN_CO_TRY(Place place, place_of(id));
  WARREN_CO_TRY(const auto operation, libraries_.begin_operation(id));
  WARREN_CO_TRY(const Seen seen, co_await prepare(place));
  const auto check = [&]() -> Result<> {
    WARREN_TRY(const bool downloaded, place.is_downloaded());
    if (!downloaded) {
      return fail(ErrorCode::kConflict, fmt::format("'{}' is not downloaded", id),
                  "fetch it first: its sentinel file is missing");
    }
    if (seen.local) {
      return fail(ErrorCode::kConflict, fmt::format("'{}' is installed already", id),
                  fmt::format("'warren uninstall {}' removes it", id));
    }
    return check_staging(*place.files);
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), check));
  co_return co_await make_local(place, install_plan(), std::move(progress));
}

awaitable<Result<Installed>> Installer::uninstall(std::string id) {
  WARREN_CO_TRY(Place place, place_of(id));
  WARREN_CO_TRY(const auto operation, libraries_.begin_operation(id));
  WARREN_CO_TRY(const Seen seen, co_await prepare(place));
  if (!seen.local) {
    co_return fail(ErrorCode::kConflict, fmt::format("'{}' is not installed", id),
                   "there is nothing to remove");
  }
  if (seen.backup) co_return in_the_way(kBackupFolder);
  WARREN_CO_TRY_VOID(co_await run_steps(place, uninstall_plan().before));
  co_return Installed{id, place.path(), false, 0, 0};
}

awaitable<Result<Installed>> Installer::update(std::string id, Fetch fetch, Progress progress) {
  WARREN_CO_TRY(Place place, place_of(id));
  WARREN_CO_TRY(const auto operation, libraries_.begin_operation(id));
  WARREN_CO_TRY(const Seen seen, co_await prepare(place));
  if (seen.local && seen.backup) co_return in_the_way(kBackupFolder);
  const auto make_room = [&]() -> Result<> {
    WARREN_TRY_VOID(check_staging(*place.files));
    // Left by an update that ended between the two: it may be of another version.
    return place.files->remove_tree(kNewFolder);
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), make_room));
  WARREN_CO_TRY_VOID(co_await fetch(place.path(), std::string(kNewFolder)));
  if (options_.leave) co_await options_.leave(place.path() + "/" + std::string(kNewFolder));
  const auto check = [&]() -> Result<> {
    WARREN_TRY(const What what, place.files->look(kNewFolder));
    if (what == What::kFolder) return {};
    WARREN_TRY_VOID(place.files->remove_tree(kNewFolder));
    return fail(ErrorCode::kUnsupported, fmt::format("the new version of '{}' is no folder", id));
  };
  WARREN_CO_TRY_VOID(co_await runtime::run(runtime_.pool(), check));
  WARREN_CO_TRY_VOID(co_await run_steps(place, replace_plan().before));
  if (!seen.local) co_return Installed{id, place.path(), false, 0, 0};
  auto made = co_await make_local(place, reinstall_plan(), std::move(progress));
  if (!made) {
    co_return fail(std::move(made).error().in(
        "the new version is downloaded, and the old one still installed"));
  }
  co_return made;
}

}  // namespace warren::install

#include "library/install/installer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "library/install/names.hpp"
#include "library/install/place.hpp"
#include "library/install/staging.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::install {

using library::EntryView;
using library::FolderView;
using runtime::Directory;

Installer::Installer(runtime::Runtime& runtime, library::LibraryService& libraries,
                     InstallerOptions options)
    : runtime_(runtime), libraries_(libraries), options_(std::move(options)) {}

Result<Installer::Place> Installer::place_of(std::string_view id) const {
  const std::optional<EntryView> view = libraries_.find(id);
  if (!view) {
    return fail(ErrorCode::kNotFound, fmt::format("no library has an entry '{}'", id),
                "'warren library list' names those that are here, 'warren get' fetches others");
  }
  return place_in(id, view->folder);
}

Installer::Place Installer::place_in(std::string_view id, const std::string& folder) const {
  Place place;
  place.id = id;
  place.folder = folder;
  for (const FolderView& view : libraries_.folders()) {
    if (view.folder.settings.path == folder) place.sentinel = view.folder.settings.sentinel;
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
    WARREN_TRY(const Outcome outcome, install::recover(files));
    if (outcome != Outcome::kNothing) remove_if_empty(folder, id);
    return outcome;
  };
  auto recovered = co_await runtime::run(runtime_.pool(), end);
  if (!recovered) co_return fail(std::move(recovered).error());
  if (*recovered != Outcome::kNothing) {
    log::info("library", "an operation on '{}' had been interrupted: {}", id,
              *recovered == Outcome::kDone ? "it is done now" : "the entry is as before");
  }
  co_return Result<>{};
}

/// An operation that fails in the middle is what a crash there would be: what ends it ends it well.
awaitable<Result<>> Installer::run_steps(Place& place, std::span<const Step> steps) {
  const auto all = [&place, steps]() -> Result<> {
    auto done = run(*place.files, place.sentinel_name(), steps);
    if (done) return {};
    const auto recovered = install::recover(*place.files);
    if (!recovered) {
      log::warn("library", "'{}' is not as it should be: {}", place.id,
                recovered.error().message());
    }
    if (recovered && *recovered == Outcome::kDone) return {};
    return done;
  };
  co_return co_await runtime::run(runtime_.pool(), all);
}

awaitable<Result<>> Installer::fill(Place& place, Progress progress, Installed& made) {
  if (place.remote != nullptr) co_return co_await fill_remote(place, std::move(progress), made);
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
    if (seen.local) {
      return fail(ErrorCode::kConflict, fmt::format("'{}' is installed already", id),
                  fmt::format("'warren uninstall {}' removes it", id));
    }
    WARREN_TRY(const bool downloaded, place.is_downloaded());
    WARREN_TRY(const bool own, has_own_names(place.folder, id));
    if (!downloaded || !own) {
      return fail(ErrorCode::kConflict, fmt::format("'{}' is not downloaded", id),
                  own ? "fetch it first: its sentinel file is missing"
                      : "fetch it first, or install it with --stream");
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
  co_await runtime::run(runtime_.pool(), [&] { return remove_if_empty(place.folder, id); });
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

#pragma once
// The inside of Installer: where it works. Included by installer.cpp and installer_remote.cpp
// alone.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "content/path_rules.hpp"
#include "content/tree.hpp"
#include "library/install/installer.hpp"
#include "library/install/names.hpp"

namespace warren::install {

inline Result<DiskFiles> open_entry(const std::string& folder, const std::string& id) {
  WARREN_TRY(const runtime::Directory opened, runtime::Directory::open(folder));
  WARREN_TRY(runtime::Directory entry, opened.open_directory(id));
  return DiskFiles(std::move(entry));
}

inline std::unexpected<Error> in_the_way(std::string_view name) {
  return fail(ErrorCode::kConflict, fmt::format("'{}' in the entry was not made by Warren", name),
              "move it away");
}

/// An empty folder is nobody's, so it stays for nobody. Whether it was removed.
inline bool remove_if_empty(const std::string& folder, const std::string& id) {
  const auto opened = runtime::Directory::open(folder);
  const auto info = opened ? opened->info(id) : Result<runtime::FileInfo>();
  if (!opened || !info || info->kind != runtime::FileKind::kDirectory) return false;
  return opened->remove(id) && opened->sync();
}

/// Of an entry that is there.
inline Result<bool> has_own_names(const std::string& folder, const std::string& id) {
  WARREN_TRY(DiskFiles files, open_entry(folder, id));
  WARREN_TRY(const auto names, files.names(""));
  return !std::ranges::all_of(names, library::is_reserved);
}

/// An empty folder is nobody's.
inline Result<> check_staging(EntryFiles& files) {
  WARREN_TRY(const What what, files.look(kInstallingFolder));
  if (what == What::kNothing) return {};
  if (what != What::kFolder) return in_the_way(kInstallingFolder);
  WARREN_TRY(const auto names, files.names(kInstallingFolder));
  return names.empty() ? Result<>() : in_the_way(kInstallingFolder);
}

struct Installer::Place {
  std::string id;
  std::string folder;  ///< Path of the library folder.
  library::SentinelSettings sentinel;
  std::unique_ptr<DiskFiles> files;  ///< Once it is prepared.
  // Of one that is not downloaded.
  RemoteEntry* remote = nullptr;
  std::shared_ptr<const content::Tree> tree;
  std::string record;

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

}  // namespace warren::install

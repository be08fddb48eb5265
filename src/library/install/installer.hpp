#pragma once
// Installs, uninstalls and updates entries of this node's libraries: one operation an entry at a
// time, each a transaction (transaction.hpp).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "content/importer.hpp"
#include "library/install/disk_files.hpp"
#include "library/install/limits.hpp"
#include "library/install/transaction.hpp"
#include "library/library_service.hpp"
#include "runtime/runtime.hpp"

namespace warren::install {

using runtime::awaitable;

struct InstallerOptions {
  limits::Install limits;
  /// Returns when nobody reads the files below the absolute path any more. Nobody begins to while
  /// an operation is under way (LibraryService::audience). Unset: nobody ever reads them.
  std::function<awaitable<void>(std::string path)> leave;
};

/// Where an entry comes from that is installed without being downloaded. Core thread.
class RemoteEntry {
 public:
  virtual ~RemoteEntry() = default;
  /// Looks for it. Once, first. Errors: kCancelled; that nobody has it, that it may not be here.
  virtual awaitable<Result<std::shared_ptr<const content::Tree>>> open() = 0;
  /// Reads the file Tree::entries[entry] until `out` is full or the file ends, verified. Returns
  /// soon after the operation was stopped. Errors: kCancelled; that nobody has it any more.
  virtual awaitable<Result<std::size_t>> read(std::size_t entry, std::uint64_t offset,
                                              MutableBytes out) = 0;
};

/// What an operation has made of an entry.
struct Installed {
  std::string id;
  std::string path;  ///< Of the entry; absolute.
  bool installed = false;
  std::uint64_t files = 0;  ///< In `local/`, when this operation made it; links too.
  std::uint64_t bytes = 0;
};

/// Core thread only. `runtime` and `libraries` outlive it; it outlives its calls.
class Installer {
 public:
  using Progress = std::shared_ptr<content::Progress>;
  /// Brings another version of an entry, whole and on the disk, into the folder `name` in
  /// `directory`, which is on the same file system. kCancelled once `progress->stop` is set.
  using Fetch = std::function<awaitable<Result<>>(std::string directory, std::string name)>;

  Installer(runtime::Runtime& runtime, library::LibraryService& libraries,
            InstallerOptions options);

  // Errors of all: kNotFound (no such entry); kConflict ("operation in progress"; something that is
  // not Warren's lies under a reserved name); of the intent log and of the system. After an error
  // the entry is what it was before, unless the text says otherwise.
  // Cancel: ignored; set `progress->stop`.

  /// Unpacks the archives in the top of the entry into `local/`, or copies its files there when
  /// there are none. Errors: also kConflict (not downloaded, or installed already), kCancelled,
  /// Fill.
  awaitable<Result<Installed>> install(std::string id, Progress progress);
  /// As install(), of an entry that is not downloaded: what it is made of is read from `remote`,
  /// and nothing but `local/` is made. `offered`: what others say of it. `folder`: path of the
  /// library folder in which it is, or will be. `anew`: a `local/` that is there is replaced, as
  /// update() does. `remote` outlives the call. Errors: also kConflict (it is downloaded, or lies
  /// in another folder), those of `remote`.
  awaitable<Result<Installed>> install_remote(library::Listing offered, std::string folder,
                                              bool anew, RemoteEntry& remote, Progress progress);
  /// Removes `local/` with all that is in it; and the entry, when that was all of it. Errors: also
  /// kConflict (not installed).
  awaitable<Result<Installed>> uninstall(std::string id);
  /// Replaces the files of the entry by what `fetch` brings, then `local/` when there is one: by
  /// what the new version unpacks to. Errors: also those of `fetch` and install(); when the second
  /// part fails the entry is the new version, with the old `local/`.
  awaitable<Result<Installed>> update(std::string id, Fetch fetch, Progress progress);

  /// Whether the entry is there, and nothing of it but what has a reserved name; after an operation
  /// that was interrupted there is ended.
  awaitable<bool> is_bare(std::string folder, std::string id);
  /// Makes of such an entry what is whole, and on the disk, in the folder `temporary_name` beside
  /// it; its `local/` stays. Errors: also kExists (it is not bare). After one the folder is where
  /// it was, unless the log says what to end.
  awaitable<Result<>> take_in(std::string folder, std::string temporary_name, std::string id);

  /// Ends what a process that was killed left behind. For LibraryOptions::recover, which holds the
  /// operation. Errors: install::recover.
  awaitable<Result<>> recover(std::string folder, std::string id);

 private:
  struct Place;
  Result<Place> place_of(std::string_view id) const;
  Place place_in(std::string_view id, const std::string& folder) const;
  awaitable<Result<Seen>> prepare_remote(Place& place, bool anew);
  /// Waits for the readers; what is left of an operation that was killed is ended.
  awaitable<Result<Seen>> prepare(Place& place);
  awaitable<Result<Installed>> make_remote(Place& place, bool anew, Progress progress);
  awaitable<Result<Installed>> make_local(Place& place, Plan plan, Progress progress);
  awaitable<Result<>> fill(Place& place, Progress progress, Installed& made);
  awaitable<Result<>> fill_remote(Place& place, Progress progress, Installed& made);
  awaitable<Result<>> run_steps(Place& place, std::span<const Step> steps);

  runtime::Runtime& runtime_;
  library::LibraryService& libraries_;
  InstallerOptions options_;
};

}  // namespace warren::install

#include "library/library_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/cancellation.hpp"

namespace warren::library {
namespace {

using runtime::Directory;

/// A list of names for each folder, one job of each other kind, and the driver.
constexpr std::size_t kTasksPerFolder = 1;
constexpr std::size_t kTasksMore = 16;
constexpr std::size_t kEntriesPerPage = 4096;
/// A watch that could not be made, or broke, is tried again after this time.
constexpr Duration kWatchAgain = 60s;

bool is_below(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) &&
         (folder.ends_with('/') || path[folder.size()] == '/');
}

std::uint64_t random_epoch(runtime::Runtime& runtime) {
  std::array<std::uint8_t, 8> bytes{};
  runtime.random_bytes(bytes);
  std::uint64_t epoch = 0;
  for (const std::uint8_t byte : bytes) epoch = epoch << 8 | byte;
  return std::max<std::uint64_t>(epoch, 1);
}

struct Names {
  std::vector<std::string> names;
  std::uint64_t inode = 0;  ///< Of the folder.
};

/// On the pool.
Result<Names> names_in(const std::string& path, const limits::Library& limits) {
  WARREN_TRY(const Directory folder, Directory::open(path));
  WARREN_TRY(const runtime::FileInfo info, folder.info());
  WARREN_TRY(const auto items, folder.list(2 * limits.entries_max));
  Names found;
  found.inode = info.stamp.inode;
  for (const runtime::DirectoryItem& item : items) {
    if (item.kind == runtime::FileKind::kDirectory) found.names.push_back(item.name);
  }
  return found;
}

awaitable<void> read_page(runtime::Runtime& runtime, LibraryIndex& index,
                          const LibraryIndex::Content& content, std::string after,
                          Result<LibraryIndex::Page>& page) {
  page = co_await runtime::run(runtime.pool(),
                               [&] { return index.load_entries(content, after, kEntriesPerPage); });
}

}  // namespace

struct LibraryService::Watched {
  explicit Watched(runtime::Runtime& runtime) : task(runtime, 1) {}
  bool whole = false;
  runtime::TaskGroup task;
};

LibraryService::LibraryService(runtime::Runtime& runtime, LibraryOptions options)
    : runtime_(runtime),
      options_(std::move(options)),
      machine_(options_.times, options_.limits),
      set_(options_.limits),
      wake_(runtime.make_signal()),
      progress_(runtime),
      index_free_(runtime),
      tasks_(runtime, kTasksPerFolder * options_.limits.folders_max + kTasksMore) {
  WARREN_CHECK(options_.hash && options_.forget);
}

LibraryService::~LibraryService() = default;

awaitable<Result<>> LibraryService::open() {
  const std::uint64_t epoch = random_epoch(runtime_);
  auto opened = co_await runtime::run(runtime_.pool(), [&]() -> Result<LibraryIndex::Content> {
    WARREN_TRY(index_, LibraryIndex::open(options_.database, epoch, options_.limits));
    return index_->load();
  });
  if (!opened) co_return fail(std::move(opened).error());
  for (const Folder& folder : opened->folders) machine_.add_folder(folder, {}, runtime_.now());
  WARREN_CO_TRY_VOID(co_await load_entries(*opened));
  set_.restore(opened->revision, opened->complete_since, std::move(opened->removed));
  for (const Folder& folder : opened->folders) begin_folder(folder);
  open_ = true;
  const bool spawned = tasks_.spawn(drive());
  WARREN_CHECK(spawned);
  co_return Result<>{};
}

awaitable<Result<>> LibraryService::load_entries(const LibraryIndex::Content& content) {
  // The next page is read while one is taken in.
  runtime::TaskGroup reading(runtime_, 1);
  Result<LibraryIndex::Page> next = LibraryIndex::Page();
  std::size_t skipped = content.skipped;
  bool more = reading.spawn(read_page(runtime_, *index_, content, "", next));
  WARREN_CHECK(more);
  while (more) {
    const bool there = co_await reading.drain(kNever);
    if (!there) {
      co_await reading.join();
      co_return fail(ErrorCode::kCancelled, "cancelled");
    }
    if (!next) co_return fail(std::move(next).error());
    LibraryIndex::Page page = std::move(*next);
    more = page.more;
    if (more) {
      const bool spawned =
          reading.spawn(read_page(runtime_, *index_, content, std::move(page.last), next));
      WARREN_CHECK(spawned);
    }
    skipped += page.skipped;
    for (const IndexedEntry& entry : page.entries) set_.restore(entry.published);
    machine_.restore(std::move(page.entries));
  }
  if (skipped > 0) {
    log::warn("library", "{} rows of the library database made no sense and were left out",
              skipped);
  }
  co_return Result<>{};
}

awaitable<void> LibraryService::close() {
  *stop_ = true;
  open_ = false;
  for (const auto& [id, watched] : std::exchange(watched_, {})) co_await watched->task.join();
  co_await tasks_.join();
  progress_.notify_all();
}

// ------------------------------------------------------------------------------------ folders

/// Of one that the machine has.
void LibraryService::begin_folder(const Folder& folder) {
  folders_.insert_or_assign(folder.id, folder);
  if (!options_.watch) return;
  Watched& state = *watched_.emplace(folder.id, std::make_unique<Watched>(runtime_)).first->second;
  // It refuses when a folder of a damaged index has the same number: one of them is watched.
  static_cast<void>(state.task.spawn(watch_folder(folder.id, folder.settings.path, state)));
}

const Folder* LibraryService::folder_at(std::string_view path) const {
  const auto found = std::ranges::find_if(
      folders_, [&](const auto& folder) { return folder.second.settings.path == path; });
  return found == folders_.end() ? nullptr : &found->second;
}

awaitable<Result<Folder>> LibraryService::add_folder(FolderSettings settings) {
  WARREN_CO_TRY_VOID(check_topic(settings.topic));
  const std::string asked = settings.path;
  auto path = co_await runtime::run(runtime_.pool(), [&]() -> Result<std::string> {
    WARREN_TRY(std::string canonical, runtime::canonical_path(asked));
    WARREN_TRY(const runtime::FileInfo info, runtime::file_info(canonical));
    if (info.kind != runtime::FileKind::kDirectory) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("{} is no folder", canonical));
    }
    WARREN_TRY_VOID(names_in(canonical, options_.limits));
    return canonical;
  });
  if (!path) co_return fail(std::move(path).error());
  settings.path = std::move(*path);
  WARREN_CO_TRY_VOID(co_await take_index());
  for (const auto& [id, folder] : folders_) {
    const std::string& other = folder.settings.path;
    if (is_below(settings.path, other) || is_below(other, settings.path)) {
      give_index();
      co_return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{} and the library folder {} lie within one another", settings.path, other),
          "a library folder holds entries, not other library folders");
    }
  }
  const WallTime now = runtime_.wall_now();
  auto folder =
      co_await runtime::run(runtime_.pool(), [&] { return index_->add_folder(settings, now); });
  if (folder && open_) {
    machine_.add_folder(*folder, {}, runtime_.now());
    begin_folder(*folder);
  }
  give_index();
  wake();
  co_return folder;
}

awaitable<Result<Folder>> LibraryService::change_folder(FolderSettings settings) {
  WARREN_CO_TRY_VOID(check_topic(settings.topic));
  WARREN_CO_TRY_VOID(co_await take_index());
  const Folder* found = folder_at(settings.path);
  if (found == nullptr) {
    give_index();
    co_return fail(ErrorCode::kNotFound, fmt::format("{} is no library folder", settings.path));
  }
  Folder folder = *found;
  const bool other_audience = folder.settings.audience != settings.audience;
  folder.settings = std::move(settings);
  const Revision next{random_epoch(runtime_), set_.revision().number + 1};
  auto written = co_await runtime::run(runtime_.pool(), [&]() -> Result<> {
    WARREN_TRY_VOID(index_->change_folder(folder));
    if (other_audience) return index_->begin_epoch(next);
    return {};
  });
  if (written) {
    folders_.insert_or_assign(folder.id, folder);
    if (other_audience) {
      std::map<std::string, peers::AccessRule> rules;
      for (const auto& view : machine_.of_folder(folder.id)) {
        rules.emplace(view.entry->published.listing.id, folder.settings.audience);
      }
      set_.begin_epoch(next.epoch, rules);
    }
    machine_.change_folder(folder, runtime_.now());
  }
  give_index();
  wake();
  if (!written) co_return fail(std::move(written).error());
  co_return folder;
}

awaitable<Result<Folder>> LibraryService::remove_folder(std::string path) {
  const Folder* found = folder_at(path);
  if (found == nullptr) {
    co_return fail(ErrorCode::kNotFound, fmt::format("{} is no library folder", path));
  }
  Folder folder = *found;
  if (const auto watched = watched_.find(folder.id); watched != watched_.end()) {
    watched->second->task.cancel();
  }
  machine_.remove_folder(folder.id, runtime_.now());
  wake();
  for (;;) {
    WARREN_CO_TRY_VOID(co_await take_index());
    auto removed =
        co_await runtime::run(runtime_.pool(), [&] { return index_->remove_folder(folder.id); });
    give_index();
    if (removed) break;
    // Its entries are still there: they go with the next write.
    if (removed.error().code() != ErrorCode::kConflict) co_return fail(std::move(removed).error());
    const runtime::Wake how = co_await progress_.wait_until(kNever);
    if (how == runtime::Wake::kCancelled || !open_) {
      co_return fail(ErrorCode::kCancelled, "the library folder is not removed yet",
                     "remove it again");
    }
  }
  folders_.erase(folder.id);
  const auto watched = watched_.extract(folder.id);
  if (!watched.empty()) co_await watched.mapped()->task.join();
  co_return folder;
}

std::vector<FolderView> LibraryService::folders() const {
  std::vector<FolderView> views;
  for (const auto& [id, folder] : folders_) {
    FolderView view;
    view.folder = folder;
    view.entries = machine_.size_of(id);
    view.problem = machine_.problem(id);
    view.left_out = machine_.left_out(id);
    const auto watched = watched_.find(id);
    view.watched = watched != watched_.end() && watched->second->whole;
    views.push_back(std::move(view));
  }
  return views;
}

Result<std::vector<EntryView>> LibraryService::entries(std::string_view path) const {
  const Folder* folder = folder_at(path);
  if (folder == nullptr) {
    return fail(ErrorCode::kNotFound, fmt::format("{} is no library folder", path));
  }
  std::vector<EntryView> views;
  for (const LibraryMachine::View& view : machine_.of_folder(folder->id)) {
    views.push_back({*view.entry, folder->settings.path, view.work, problem_of(view)});
  }
  return views;
}

std::optional<EntryView> LibraryService::find(std::string_view id) const {
  const auto view = machine_.find(id);
  if (!view) return std::nullopt;
  const auto folder = folders_.find(view->entry->folder);
  if (folder == folders_.end()) return std::nullopt;
  return EntryView{*view->entry, folder->second.settings.path, view->work, problem_of(*view)};
}

std::string_view LibraryService::expected(std::string_view id) const {
  for (const auto& [number, folder] : folders_) {
    const auto& versions = folder.settings.expected;
    if (const auto found = versions.find(id); found != versions.end()) return found->second;
  }
  return {};
}

const FolderSettings* LibraryService::settings_around(std::string_view directory) const {
  for (const auto& [id, folder] : folders_) {
    const std::string& path = folder.settings.path;
    if (directory == path || is_below(directory, path)) return &folder.settings;
  }
  return nullptr;
}

const peers::AccessRule* LibraryService::audience(std::string_view id,
                                                  std::string_view path) const {
  const auto view = machine_.find(id);
  if (!view) return nullptr;
  const auto folder = folders_.find(view->entry->folder);
  if (folder == folders_.end()) return nullptr;
  const std::string& parent = folder->second.settings.path;
  const bool here = path == (parent.ends_with('/') ? parent : parent + '/') + std::string(id);
  if (!here) return nullptr;
  const PublishedEntry& entry = view->entry->published;
  return entry.listing.availability == Availability::kLocalOnly ? nullptr : &entry.rule;
}

Result<> LibraryService::scan(std::string_view path) {
  const TimePoint now = runtime_.now();
  if (!path.empty()) {
    const Folder* folder = folder_at(path);
    if (folder == nullptr) {
      return fail(ErrorCode::kNotFound, fmt::format("{} is no library folder", path));
    }
    machine_.scan_now(folder->id, now);
  } else {
    for (const auto& [id, folder] : folders_) machine_.scan_now(id, now);
  }
  wake();
  return {};
}

awaitable<Result<>> LibraryService::wait_settled(TimePoint deadline) {
  while (!machine_.is_settled() || recovering_) {
    const runtime::Wake how = co_await progress_.wait_until(deadline);
    if (how == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (!open_) co_return fail(ErrorCode::kClosed, "the libraries are closed");
    if (how == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut, "the libraries are still being read");
    }
  }
  co_return Result<>{};
}

// --------------------------------------------------------------------------------- operations

LibraryService::Operation::Operation(LibraryService& service, std::string id)
    : service_(&service), id_(std::move(id)) {}

LibraryService::Operation& LibraryService::Operation::operator=(Operation&& other) noexcept {
  if (this == &other) return *this;
  end();
  service_ = std::exchange(other.service_, nullptr);
  id_ = std::move(other.id_);
  return *this;
}

void LibraryService::Operation::end() {
  if (LibraryService* service = std::exchange(service_, nullptr)) service->end_operation(id_);
}

Result<LibraryService::Operation> LibraryService::begin_operation(std::string id) {
  if (!operations_.insert(id).second) {
    return fail(ErrorCode::kConflict, fmt::format("operation in progress on '{}'", id),
                "wait until it has ended, or cancel it");
  }
  machine_.operation_began(id);
  wake();
  return Operation(*this, std::move(id));
}

void LibraryService::end_operation(const std::string& id) {
  operations_.erase(id);
  machine_.operation_ended(id, runtime_.now());
  wake();
}

// ---------------------------------------------------------------------------------- the work

void LibraryService::wake() { wake_->notify(); }

awaitable<void> LibraryService::drive() {
  while (!*stop_) {
    for (LibraryJob& job : machine_.next(runtime_.now(), set_.revision().number + 1)) {
      start(std::move(job));
    }
    progress_.notify_all();
    const runtime::Wake how = co_await wake_->wait_until(machine_.next_wake());
    if (how == runtime::Wake::kCancelled) co_return;
  }
}

void LibraryService::start(LibraryJob job) {
  const auto path_of = [this](FolderId id) {
    const auto folder = folders_.find(id);
    return folder == folders_.end() ? std::string() : folder->second.settings.path;
  };
  const auto begin = [this](awaitable<void> task) {
    // The group has room for every job that the machine may have under way; it refuses only when
    // the service ends.
    static_cast<void>(tasks_.spawn(std::move(task)));
  };
  if (auto* list = std::get_if<jobs::ListNames>(&job)) {
    begin(list_names(list->folder, path_of(list->folder)));
  } else if (auto* looks = std::get_if<jobs::LookAt>(&job)) {
    const auto folder = folders_.find(looks->folder);
    SentinelSettings sentinel;
    if (folder != folders_.end()) sentinel = folder->second.settings.sentinel;
    std::string path = path_of(looks->folder);
    begin(look(std::move(*looks), std::move(path), std::move(sentinel)));
  } else if (auto* walk = std::get_if<jobs::MeasureEntry>(&job)) {
    begin(measure_entry(walk->folder, path_of(walk->folder), std::move(walk->id)));
  } else if (auto* hash = std::get_if<jobs::HashEntry>(&job)) {
    begin(hash_entry(hash->folder, path_of(hash->folder), std::move(hash->id)));
  } else if (auto* batch = std::get_if<jobs::Write>(&job)) {
    begin(write(std::move(*batch)));
  }
}

awaitable<void> LibraryService::list_names(FolderId folder, std::string path) {
  auto found =
      co_await runtime::run(runtime_.pool(), [&] { return names_in(path, options_.limits); });
  const auto known = folders_.find(folder);
  const bool other = found && known != folders_.end() && known->second.inode != found->inode;
  if (other && known->second.inode != 0 && found->names.empty() && machine_.size_of(folder) > 0) {
    found =
        fail(ErrorCode::kNotFound, fmt::format("{} is another folder than before, and empty", path),
             "mount its disk");
  } else if (other) {
    co_await keep_inode(folder, found->inode);
  }
  if (found) {
    machine_.names_found(folder, std::move(found->names), runtime_.now());
  } else {
    machine_.names_failed(folder, std::move(found).error(), runtime_.now());
  }
  wake();
}

/// What cannot be written is tried again with the next list.
awaitable<void> LibraryService::keep_inode(FolderId id, std::uint64_t inode) {
  const auto taken = co_await take_index();
  if (!taken) co_return;
  const auto known = folders_.find(id);
  if (known != folders_.end()) {
    Folder folder = known->second;
    folder.inode = inode;
    const auto kept =
        co_await runtime::run(runtime_.pool(), [&] { return index_->change_folder(folder); });
    // Others change folders only while they have the index.
    if (kept && folders_.contains(id)) folders_.insert_or_assign(id, std::move(folder));
  }
  give_index();
}

awaitable<void> LibraryService::look(jobs::LookAt job, std::string path,
                                     SentinelSettings sentinel) {
  auto looks = co_await runtime::run(runtime_.pool(), [&]() -> Result<std::vector<Result<Look>>> {
    std::vector<Result<Look>> found;
    found.reserve(job.ids.size());
    const auto opened = Directory::open(path);
    for (std::size_t i = 0; i < job.ids.size(); ++i) {
      if (!opened) {
        // The folder is away, not the entries.
        found.emplace_back(fail(ErrorCode::kIo, opened.error().message()));
      } else {
        found.push_back(look_at(*opened, job.ids[i], sentinel, options_.limits, job.known[i]));
      }
    }
    return found;
  });
  for (std::size_t i = 0; i < job.ids.size(); ++i) {
    const bool left_behind = (*looks)[i] && (*looks)[i]->in_operation;
    machine_.looked(job.folder, job.ids[i], std::move((*looks)[i]), runtime_.now());
    if (left_behind) want_recovery(path, job.ids[i]);
  }
  wake();
}

awaitable<void> LibraryService::measure_entry(FolderId folder, std::string path, std::string id) {
  auto measured = co_await runtime::run(runtime_.pool(), [&]() -> Result<Measure> {
    WARREN_TRY(const Directory opened, Directory::open(path));
    return measure(opened, id, options_.limits, *stop_);
  });
  machine_.measured(folder, id, std::move(measured), runtime_.now());
  wake();
}

awaitable<void> LibraryService::hash_entry(FolderId folder, std::string path, std::string id) {
  auto root = co_await options_.hash(path, id);
  machine_.hashed(folder, id, std::move(root), runtime_.now());
  wake();
  // It went while it was hashed, and could be served from now on.
  if (!machine_.find(id)) co_await options_.forget(id);
}

awaitable<Result<>> LibraryService::take_index() {
  while (index_taken_) {
    const runtime::Wake how = co_await index_free_.wait_until(kNever);
    if (how == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  index_taken_ = true;
  co_return Result<>{};
}

void LibraryService::give_index() {
  index_taken_ = false;
  index_free_.notify_one();
}

awaitable<void> LibraryService::write(jobs::Write job) {
  const auto taken = co_await take_index();
  // A new epoch has taken the number meanwhile, perhaps with other rules: all is put together anew.
  if (!taken || set_.revision().number + 1 != job.number) {
    if (taken) give_index();
    machine_.written(false, runtime_.now());
    co_return wake();
  }
  IndexBatch& batch = job.batch;
  // Its folder was removed meanwhile: that the entry went is written next.
  std::erase_if(batch.changed,
                [&](const IndexedEntry& entry) { return !folders_.contains(entry.folder); });
  // Settings have changed meanwhile: no fingerprint stands for what is listed by the old ones.
  for (IndexedEntry& entry : batch.changed) {
    const auto now = machine_.find(entry.published.listing.id);
    if (!now || now->entry->fingerprint != entry.fingerprint) entry.fingerprint = {};
  }
  job.published = job.published && !(batch.changed.empty() && batch.removed.empty());
  Revision revision = set_.revision();
  std::vector<PublishedEntry> changed;
  if (job.published) {
    revision.number = job.number;
    for (const IndexedEntry& entry : batch.changed) {
      // Others of the batch have changed in what peers do not see.
      if (entry.published.changed_at == job.number) changed.push_back(entry.published);
    }
  }
  const std::uint64_t complete_since = set_.complete_since_with(changed);
  const auto written = co_await runtime::run(runtime_.pool(), [&] {
    return index_->apply(batch, revision, complete_since, job.published);
  });
  if (written && job.published) set_.apply(std::move(changed), batch.removed);
  give_index();
  if (written) {
    for (const std::string& id : batch.removed) {
      // One that came again is served from where it is now.
      if (!machine_.find(id)) co_await options_.forget(id);
    }
  } else {
    log::warn("library", "cannot write the library database: {}", written.error().message());
  }
  machine_.written(written.has_value(), runtime_.now());
  wake();
}

awaitable<void> LibraryService::watch_folder(FolderId folder, std::string path, Watched& state) {
  while (!*stop_) {
    auto watch = co_await options_.watch(path);
    if (!watch) log::warn("library", "no watch of {}: {}", path, watch.error().message());
    if (watch) machine_.watch_began(folder, runtime_.now());
    while (watch && (*watch)->watches() > 0) {
      state.whole = (*watch)->is_whole();
      machine_.set_watched(folder, state.whole);
      wake();
      auto news = co_await (*watch)->changed();
      if (!news && news.error().code() == ErrorCode::kCancelled) co_return;
      if (!news) break;
      const TimePoint now = runtime_.now();
      if (news->lost) machine_.news_lost(folder, now);
      if (news->names) machine_.names_changed(folder, now);
      for (const std::string& id : news->touched) machine_.touched(folder, id, now);
    }
    state.whole = false;
    machine_.set_watched(folder, false);
    wake();
    const auto slept = co_await runtime_.sleep_for(kWatchAgain);
    if (!slept) co_return;
  }
}

}  // namespace warren::library

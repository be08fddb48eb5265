// Node: its libraries.

#include <fmt/format.h>

#include "base/log.hpp"
#include "library/install/installer.hpp"
#include "library/reserved.hpp"
#include "node/escape.hpp"
#include "node/node.hpp"

namespace warren::node {

awaitable<Result<>> Node::open_libraries() {
  library::LibraryOptions options;
  options.database = options_.library.database;
  options.times = options_.library.times;
  options.limits = options_.library.limits;
  options.watch = options_.library.watch;
  options.hash = [this](std::string folder, std::string id) {
    return hash_entry(std::move(folder), std::move(id));
  };
  options.forget = [this](std::string id) { return forget_entry(std::move(id)); };
  options.recover = [this](std::string folder, std::string id) {
    return installer_->recover(std::move(folder), std::move(id));
  };
  libraries_ = std::make_unique<library::LibraryService>(runtime_, std::move(options));
  installer_ = std::make_unique<install::Installer>(
      runtime_, *libraries_,
      install::InstallerOptions{options_.library.install, [this](std::string path) {
                                  return transfers_->leave(std::move(path));
                                }});
  co_return co_await libraries_->open();
}

awaitable<Result<Cid>> Node::hash_entry(std::string folder, std::string id) {
  const auto view = libraries_->find(id);
  if (!view || view->folder != folder) co_return fail(ErrorCode::kNotFound, "the entry is gone");
  const auto progress = std::make_shared<content::Progress>();
  const Stoppable stoppable(job_progress_, progress);
  co_return co_await content::import_entry(
      runtime_, *store_, id, folder + "/" + id,
      [](std::string_view name) { return library::is_reserved(name); }, progress);
}

awaitable<void> Node::forget_entry(std::string id) {
  const Result<> removed =
      co_await runtime::run(runtime_.pool(), [&] { return store_->remove_entry(id); });
  if (!removed && removed.error().code() != ErrorCode::kNotFound) {
    log::warn("library", "the entry {} is gone and still listed in the store: {}", id,
              removed.error().message());
  }
}

bool Node::is_trusted(const PeerId& peer) const {
  const peers::Peer* known = keeper_.book().find(peer);
  return known != nullptr && known->pinned;
}

/// How far an audience reaches. Lists and trusted peers are as far as each other: what may go to
/// some peers only may not be passed on at all.
static int reach_of(const std::optional<peers::AccessRule>& audience) {
  if (!audience) return 0;
  switch (audience->access) {
    case peers::Access::kAnyone: return 3;
    case peers::Access::kLan: return 2;
    case peers::Access::kTrusted:
    case peers::Access::kListed: break;
  }
  return 1;
}

const library::FolderSettings* Node::library_around(std::string_view directory) const {
  return libraries_->settings_around(directory);
}

Result<> Node::may_place(std::string_view directory, const content::Tree& tree,
                         const std::optional<peers::AccessRule>& audience) const {
  const library::FolderSettings* settings = library_around(directory);
  if (settings == nullptr) return {};
  const std::string elsewhere = "get it with --out, to another place";
  const bool is_file = tree.entries.size() == 1 && tree.entries[0].path.empty() &&
                       tree.entries[0].kind != content::EntryKind::kDirectory;
  if (is_file && directory == settings->path) {
    return fail(ErrorCode::kDenied, "it is a single file: an entry of a library is a folder",
                elsewhere);
  }
  for (const content::Entry& entry : tree.entries) {
    if (entry.path.find('/') != std::string::npos || !library::is_reserved(entry.path)) continue;
    return fail(ErrorCode::kDenied,
                fmt::format("it has '{}' in it: no entry of a library may bring that",
                            escape_for_display(entry.path)),
                elsewhere);
  }
  if (reach_of(audience) >= reach_of(settings->audience)) return {};
  return fail(ErrorCode::kDenied,
              fmt::format("the peers that have it do not let it be passed on, and the library {} "
                          "is for {}",
                          settings->path, settings->audience.to_string()),
              elsewhere);
}

Result<peers::AccessRule> Node::parse_audience(std::string_view text) const {
  return peers::AccessRule::parse(text, [this](std::string_view name) { return find_peer(name); });
}

}  // namespace warren::node

// Node: its libraries.

#include "base/log.hpp"
#include "library/install/installer.hpp"
#include "library/reserved.hpp"
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
      runtime_, *store_, id, folder + "/" + id, view->entry.published.rule,
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

Result<peers::AccessRule> Node::parse_audience(std::string_view text) const {
  return peers::AccessRule::parse(text, [this](std::string_view name) { return find_peer(name); });
}

}  // namespace warren::node

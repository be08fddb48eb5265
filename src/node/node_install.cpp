// Node: installing, uninstalling and updating entries of its libraries.

#include <fmt/format.h>
#include <string.h>

#include <algorithm>

#include "base/log.hpp"
#include "catalog/catalog_service.hpp"
#include "library/install/installer.hpp"
#include "node/entry_choice.hpp"
#include "node/escape.hpp"
#include "node/node.hpp"

namespace warren::node {
namespace {

/// How often a download for an update is looked at.
constexpr Duration kFetchLook = 200ms;

/// What peers offer of an entry that is here already.
struct Offered {
  std::vector<catalog::Offer> newer;
  bool same = false;  ///< Somebody has what is here.
};

/// Without `which` only what is known to be newer by its version counts.
Offered newer_of(const library::Listing& here, std::vector<catalog::Offer> offers, bool which) {
  Offered offered;
  for (catalog::Offer& offer : offers) {
    const library::Listing& listing = offer.listing;
    if (!listing.root) continue;
    if (listing.root == here.root) {
      offered.same = true;
      continue;
    }
    const bool newer = ::strverscmp(listing.version.c_str(), here.version.c_str()) > 0;
    if (which || newer) offered.newer.push_back(std::move(offer));
  }
  return offered;
}

}  // namespace

Result<std::shared_ptr<Node::InstallJob>> Node::begin_install(InstallOptions options,
                                                              Operate operate) {
  WARREN_TRY_VOID(take_job_slot());
  auto job = std::make_shared<InstallJob>(runtime_);
  if (!tasks_.spawn(run_install(job, std::move(options), operate))) {
    --jobs_;
    return fail(ErrorCode::kClosed, "the node is shutting down");
  }
  return job;
}

Result<std::shared_ptr<Node::InstallJob>> Node::install(InstallOptions options) {
  const Operate operate = options.stream ? &Node::install_streamed : &Node::install_here;
  return begin_install(std::move(options), operate);
}
Result<std::shared_ptr<Node::InstallJob>> Node::uninstall(std::string id) {
  InstallOptions options;
  options.entry = std::move(id);
  return begin_install(std::move(options), &Node::uninstall_here);
}
Result<std::shared_ptr<Node::InstallJob>> Node::update(InstallOptions options) {
  const Operate operate = options.stream ? &Node::update_streamed : &Node::update_here;
  return begin_install(std::move(options), operate);
}

awaitable<void> Node::run_install(std::shared_ptr<InstallJob> job, InstallOptions options,
                                  Operate operate) {
  const Stoppable stoppable(job_progress_, job->shared_progress());
  auto ended = co_await (this->*operate)(std::move(options), job->shared_progress());
  --jobs_;
  job->finish(std::move(ended));
}

awaitable<Result<install::Installed>> Node::install_here(
    InstallOptions options, std::shared_ptr<content::Progress> progress) {
  co_return co_await installer_->install(std::move(options.entry), std::move(progress));
}

awaitable<Result<install::Installed>> Node::uninstall_here(InstallOptions options,
                                                           std::shared_ptr<content::Progress>) {
  co_return co_await installer_->uninstall(std::move(options.entry));
}

awaitable<Result<install::Installed>> Node::update_here(
    InstallOptions options, std::shared_ptr<content::Progress> progress) {
  WARREN_CO_TRY(const EntryChoice choice, co_await find_newer(std::move(options.entry)));
  install::Installer::Fetch fetch = [this, choice, progress](std::string directory,
                                                             std::string name) {
    return fetch_version(choice, std::move(directory), std::move(name), progress);
  };
  co_return co_await installer_->update(choice.listing.id, std::move(fetch), progress);
}

awaitable<Result<EntryChoice>> Node::find_newer(std::string entry) {
  for (const EntryName& name : parse_entry_name(entry)) {
    const auto here = libraries_->find(name.id);
    if (!here) continue;
    WARREN_CO_TRY(auto offers, co_await catalog_->find(name.id));
    std::erase_if(offers, [this](const catalog::Offer& offer) { return offer.peer == id(); });
    const bool none = offers.empty();
    Offered offered =
        newer_of(here->entry.published.listing, std::move(offers), !name.which.empty());
    const std::string shown = escape_for_display(name.id, 200);
    if (none) {
      co_return fail(ErrorCode::kNoPeer, fmt::format("no peer offers '{}'", shown),
                     "connect to one that has it");
    }
    if (offered.newer.empty()) {
      co_return fail(ErrorCode::kConflict,
                     offered.same ? fmt::format("'{}' is up to date: peers have the same", shown)
                                  : fmt::format("no peer offers a newer version of '{}'", shown),
                     fmt::format("name another version to get that: 'warren update {}@VERSION'",
                                 shell_word(name.id)));
    }
    auto choice = choose_entry(name, offered.newer, expected_version(name.id),
                               [this](const PeerId& peer) { return name_for_person(peer); });
    if (!choice) co_return fail(for_command(choice.error(), "warren get ", "warren update "));
    choice->listing.id = name.id;
    co_return choice;
  }
  co_return fail(ErrorCode::kNotFound,
                 fmt::format("no library has an entry '{}'", escape_for_display(entry, 200)),
                 "'warren get' fetches what is not here");
}

awaitable<Result<>> Node::fetch_version(EntryChoice choice, std::string directory, std::string name,
                                        std::shared_ptr<content::Progress> progress) {
  transfer::GetRequest request;
  request.root = choice.listing.root;
  request.directory = std::move(directory);
  request.save_as = std::move(name);
  // For those that the library is for, if they that have it let it go on to them.
  if (const auto* library = library_around(request.directory)) request.audience = library->audience;
  dial_sources(choice.peers);
  WARREN_CO_TRY(const transfer::TransferId id, co_await transfers_->start(std::move(request)));
  for (;;) {
    auto ended = co_await transfers_->wait(id, runtime_.now() + kFetchLook);
    if (!ended && ended.error().code() == ErrorCode::kTimedOut) {
      if (const auto now = transfers_->progress(id)) {
        progress->walking = now->bytes_total == 0;
        progress->bytes_found = now->bytes_total;
        progress->bytes_done = now->bytes_done;
        progress->files_found = now->files_total;
        progress->files_done = now->files_done;
      }
      if (!progress->stop) continue;
      co_await transfers_->pause(id);
      co_return fail(ErrorCode::kCancelled, "stopped; the entry is as it was before",
                     "the same command goes on with the download");
    }
    if (!ended) co_return fail(std::move(ended).error());
    if (ended->state == transfer::State::kCompleted) break;
    if (ended->error) co_return fail(*ended->error);
    co_return fail(ErrorCode::kCancelled, "the download was paused; the entry is as it was before");
  }
  // Its files are moved on: it is only forgotten.
  WARREN_CO_TRY_VOID(co_await transfers_->cancel(id));
  for (auto* counter : {&progress->bytes_found, &progress->bytes_done, &progress->files_found,
                        &progress->files_done}) {
    *counter = 0;  // What is unpacked counts from here.
  }
  co_return Result<>{};
}

}  // namespace warren::node

// Node: installing entries whose archives are not kept here.

#include <fmt/format.h>

#include "library/install/installer.hpp"
#include "library/reserved.hpp"
#include "node/entry_choice.hpp"
#include "node/escape.hpp"
#include "node/node.hpp"
#include "transfer/remote_reader.hpp"

namespace warren::node {
namespace {

/// How often is looked whether somebody has stopped it, while nothing comes.
constexpr Duration kStopLook = 200ms;

/// The dataset of an entry, as peers have it.
class EntryOfPeers final : public install::RemoteEntry {
 public:
  using Check = std::function<Result<>(const content::Tree& tree)>;
  using Tree = std::shared_ptr<const content::Tree>;

  EntryOfPeers(runtime::Runtime& runtime, transfer::RemoteReader& reader,
               std::shared_ptr<content::Progress> progress, Check check)
      : runtime_(runtime),
        reader_(reader),
        progress_(std::move(progress)),
        check_(std::move(check)) {}

  awaitable<Result<Tree>> open() override {
    for (;;) {
      auto tree = co_await reader_.open(runtime_.now() + kStopLook);
      if (goes_on(tree)) continue;
      if (!tree) co_return fail(told(std::move(tree).error()));
      WARREN_CO_TRY_VOID(check_(**tree));
      co_return tree;
    }
  }
  awaitable<Result<std::size_t>> read(std::size_t entry, std::uint64_t offset,
                                      MutableBytes out) override {
    for (std::size_t done = 0;;) {
      auto count = co_await reader_.read(entry, offset + done, out.subspan(done),
                                         runtime_.now() + kStopLook);
      if (goes_on(count)) continue;
      if (count && progress_->stop) count = fail(ErrorCode::kCancelled, "stopped");
      if (!count) co_return fail(told(std::move(count).error()));
      done += *count;
      if (*count == 0 || done == out.size()) co_return done;
    }
  }

 private:
  template <class T>
  bool goes_on(const Result<T>& result) const {
    return !result && result.error().code() == ErrorCode::kTimedOut && !progress_->stop;
  }
  Error told(Error error) const {
    if (!progress_->stop) return error;
    return {ErrorCode::kCancelled, "stopped; the entry is as it was before"};
  }

  runtime::Runtime& runtime_;
  transfer::RemoteReader& reader_;
  std::shared_ptr<content::Progress> progress_;
  Check check_;
};

}  // namespace

awaitable<Result<install::Installed>> Node::install_streamed(
    InstallOptions options, std::shared_ptr<content::Progress> progress) {
  const auto shown = [](const std::string& name) { return escape_for_display(name, 200); };
  for (const EntryName& name : parse_entry_name(options.entry)) {
    const auto here = libraries_->find(name.id);
    if (!here) continue;
    const library::Listing& listing = here->entry.published.listing;
    if (listing.downloaded) {
      co_return fail(ErrorCode::kConflict, fmt::format("'{}' is downloaded", shown(name.id)),
                     fmt::format("'warren install {}' unpacks what is here", shell_word(name.id)));
    }
    if (listing.installed) {
      co_return fail(ErrorCode::kConflict, fmt::format("'{}' is installed already", shown(name.id)),
                     fmt::format("'warren update --stream {0}' makes it anew, 'warren uninstall "
                                 "{0}' removes it",
                                 shell_word(name.id)));
    }
    break;
  }
  auto found = co_await find_entry(options.entry, {});
  if (!found) {
    co_return fail(for_command(found.error(), "warren get ", "warren install --stream "));
  }
  std::optional<EntryChoice> choice = *std::move(found);
  if (!choice) {
    co_return fail(ErrorCode::kNoPeer, fmt::format("no peer offers '{}'", shown(options.entry)),
                   "connect to one that has it");
  }
  std::string folder;
  if (const auto here = libraries_->find(choice->listing.id); here && options.library.empty()) {
    folder = here->folder;
  } else {
    WARREN_CO_TRY(const auto library, choose_library(options.library));
    if (!library) {
      const bool none = libraries_->folders().empty();
      co_return fail(none ? ErrorCode::kNotFound : ErrorCode::kConflict,
                     none ? "there is no library folder to install it in"
                          : "there are several library folders to install it in",
                     none ? "'warren library add' makes one" : "name one with --library");
    }
    folder = library->settings.path;
  }
  co_return co_await stream(*std::move(choice), std::move(folder), false, options.wait,
                            std::move(progress));
}

awaitable<Result<install::Installed>> Node::update_streamed(
    InstallOptions options, std::shared_ptr<content::Progress> progress) {
  auto found = co_await find_newer(std::move(options.entry));
  if (!found)
    co_return fail(for_command(found.error(), "warren update ", "warren update --stream "));
  EntryChoice choice = *std::move(found);
  const auto here = libraries_->find(choice.listing.id);
  if (!here) co_return fail(ErrorCode::kNotFound, "the entry is gone");
  co_return co_await stream(std::move(choice), here->folder, true, options.wait,
                            std::move(progress));
}

awaitable<Result<install::Installed>> Node::stream(EntryChoice choice, std::string folder,
                                                   bool anew, Duration wait,
                                                   std::shared_ptr<content::Progress> progress) {
  WARREN_CO_TRY_VOID(check_entry_id(choice.listing.id));
  dial_sources(choice.peers);
  const auto reader = transfers_->read(*choice.listing.root, choice.listing.id, {}, wait);
  EntryOfPeers remote(runtime_, *reader, progress, [this, &folder](const content::Tree& tree) {
    const library::FolderSettings* library = library_around(folder);
    if (library == nullptr) return Result<>(fail(ErrorCode::kNotFound, "the library is gone"));
    return may_place(folder, tree, library->audience);
  });
  auto installed = co_await installer_->install_remote(std::move(choice.listing), folder, anew,
                                                       remote, progress);
  co_await reader->close();
  co_return installed;
}

/// An entry that is installed alone, or an empty one, takes in what is downloaded of it.
awaitable<bool> Node::takes_in(std::string directory, std::string name) {
  const auto* library = library_around(directory);
  if (library == nullptr || library->path != directory) co_return false;
  if (!library::is_entry_name(name)) co_return false;
  co_return co_await installer_->is_bare(std::move(directory), std::move(name));
}

}  // namespace warren::node

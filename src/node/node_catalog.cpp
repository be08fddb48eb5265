// Node: what others' libraries offer, and getting it.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/log.hpp"
#include "catalog/catalog_service.hpp"
#include "catalog/patterns.hpp"
#include "node/entry_choice.hpp"
#include "node/escape.hpp"
#include "node/node.hpp"
#include "node/replicator.hpp"
#include "node/sync_status.hpp"
#include "node/version.hpp"

namespace warren::node {
namespace {

/// For the peers to say whether they share something under the name of an entry.
constexpr Duration kShareLookTime = 1s;
/// Peers that list an entry and are dialled for it at once; the search dials further ones.
constexpr std::size_t kSourceDialsMax = 8;
/// What is fetched by itself is fetched from peers that are connected.
constexpr Duration kOwnWait = 20s;

/// Offers under the name, as shares, of what is not offered as an entry.
void add_shares(std::vector<catalog::Offer>& offers, const std::vector<transfer::Offer>& shares) {
  for (const transfer::Offer& share : shares) {
    catalog::Offer offer{share.peer, {}, {}};
    offer.listing.id = share.name;
    offer.listing.root = share.root;
    offer.listing.bytes = share.bytes;
    offer.listing.files = share.files;
    offers.push_back(std::move(offer));
  }
}

}  // namespace

awaitable<Result<>> Node::open_catalog() {
  auto open = [this] { return catalog::CatalogStore::open(options_.catalog.database); };
  WARREN_CO_TRY(catalog_store_, co_await runtime::run(runtime_.pool(), std::move(open)));
  libraries_->published().set_owner(id());
  replicator_ = std::make_unique<Replicator>(
      runtime_, id(), *catalog_store_, *libraries_, *transfers_,
      Replicator::Hooks{
          .fetch =
              [this](EntryChoice choice, library::Folder folder) {
                return fetch_entry(std::move(choice), std::move(folder));
              },
          .is_connected = [this](const PeerId& peer) { return swarm_.is_connected(peer); },
          .expected = [this](std::string_view entry) { return expected_version(entry); }});
  catalog::CatalogHooks hooks;
  hooks.speaks = [this](const PeerId& peer) {
    const protocols::PeerIdentity* identity = identify_.find(peer);
    return identity != nullptr && identity->speaks(catalog::kCatalogProtocol);
  };
  hooks.is_trusted = [this](const PeerId& peer) { return is_trusted(peer); };
  hooks.mode = [this] { return replicator_->view().settings.mode; };
  hooks.addresses = [this](const Multiaddr& remote) {
    std::vector<Multiaddr> addresses = identify_.addresses();
    std::erase_if(addresses, [&](const Multiaddr& address) {
      return !protocols::worth_telling(address, remote);
    });
    return addresses;
  };
  hooks.agent = [] { return fmt::format("warren/{}", version()); };
  hooks.report = [this](const PeerId& peer, peers::ReputationEvent event) {
    keeper_.note(peer, event);
  };
  hooks.changed = [this] { replicator_->look_again(); };
  hooks.neighbour = [this](const PeerId& peer, bool is) { keeper_.set_neighbour(peer, is); };
  const auto status = std::make_shared<SyncStatus>(
      *libraries_, *transfers_, *replicator_,
      [this](std::string_view entry) { return expected_version(entry); });
  hooks.wants = [status] { return status->classify(); };
  transfers_->on_state_changed([this](transfer::TransferId) {
    if (catalog_) catalog_->wants_changed();
  });
  catalog_ = std::make_unique<catalog::CatalogService>(swarm_, libraries_->published(),
                                                       *catalog_store_, std::move(hooks),
                                                       catalog::CatalogOptions{.keeps_own = true});
  catalog_->start();
  replicator_->start(options_.catalog.replication);
  co_return Result<>{};
}

awaitable<void> Node::close_catalog() {
  if (replicator_) co_await replicator_->stop();
  if (catalog_) co_await catalog_->stop();
}

const ReplicatorView& Node::replication() const { return replicator_->view(); }

awaitable<Result<>> Node::subscribe(std::string pattern, bool on_demand) {
  const WallTime now = runtime_.wall_now();
  WARREN_CO_TRY_VOID(co_await catalog_->subscribe({std::move(pattern), on_demand, now}));
  replicator_->look_again();
  co_return Result<>{};
}

awaitable<Result<PruneReport>> Node::prune(PruneOptions options) {
  WARREN_CO_TRY(std::vector<std::string> patterns, co_await replicator_->patterns());
  PruneHooks hooks;
  hooks.wanted = [patterns = std::move(patterns)](std::string_view topic) {
    return catalog::matches_any(patterns, topic);
  };
  hooks.connected = [this](const PeerId& peer) { return swarm_.is_connected(peer); };
  const std::string set = replicator_->view().settings.folder;
  auto real =
      co_await runtime::run(runtime_.pool(), [&set] { return runtime::canonical_path(set); });
  co_return co_await prune_replicas(runtime_, *catalog_store_, *libraries_,
                                    real ? *std::move(real) : set, std::move(hooks),
                                    std::move(options));
}

std::string Node::expected_version(std::string_view entry) const {
  return std::string(libraries_->expected(entry));
}

/// The library that a person means; without a name the only one, if there is one.
Result<std::optional<library::Folder>> Node::choose_library(std::string_view name) const {
  std::vector<library::Folder> fitting;
  const std::string& replicas = replicator_->library();
  for (library::FolderView& view : libraries_->folders()) {
    const std::string& path = view.folder.settings.path;
    const bool meant =
        name.empty() ? path != replicas
                     : path == name || std::filesystem::path(path).filename().string() == name;
    if (meant) fitting.push_back(std::move(view.folder));
  }
  if (fitting.size() == 1) return std::optional(std::move(fitting.front()));
  if (name.empty()) return std::nullopt;
  if (fitting.empty()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("'{}' is no library here", escape_for_display(name, 200)),
                "'warren library' lists those that there are");
  }
  return fail(ErrorCode::kConflict,
              fmt::format("{} libraries here are called '{}'", fitting.size(),
                          escape_for_display(name, 200)),
              "name its whole path");
}

/// The entry that `what` names; nothing when the catalog has none of that name.
awaitable<Result<std::optional<EntryChoice>>> Node::find_entry(std::string what,
                                                               std::vector<PeerId> from) {
  for (const EntryName& name : parse_entry_name(what)) {
    WARREN_CO_TRY(auto offers, co_await catalog_->find(name.id));
    std::erase_if(offers, [&](const catalog::Offer& offer) {
      const bool asked = from.empty() || std::ranges::find(from, offer.peer) != from.end();
      return offer.peer == id() || !asked;
    });
    if (offers.empty()) continue;
    // Somebody may share another thing under that name.
    const TimePoint deadline = runtime_.now() + kShareLookTime;
    const auto shares = co_await transfers_->find(name.id, from, deadline);
    if (shares) add_shares(offers, *shares);
    const std::string expected = expected_version(name.id);
    WARREN_CO_TRY(EntryChoice choice,
                  choose_entry(name, offers, expected,
                               [this](const PeerId& peer) { return name_for_person(peer); }));
    choice.listing.id = name.id;
    co_return std::optional(std::move(choice));
  }
  if (const auto here = libraries_->find(what)) {
    const auto shares =
        co_await transfers_->find(what, std::move(from), runtime_.now() + kShareLookTime);
    if (shares && shares->empty()) {
      co_return fail(ErrorCode::kExists, fmt::format("'{}' is in a library here, at {}/{}, and no "
                                                     "peer lists it",
                                                     escape_for_display(what), here->folder, what));
    }
  }
  co_return std::optional<EntryChoice>();
}

std::string Node::name_for_person(const PeerId& peer) const {
  const std::string name = keeper_.book().name_of(peer);
  return name.empty() ? peer.to_string() : name;
}

/// Peers that have something are dialled for it now, not when the search comes to them.
void Node::dial_sources(const std::vector<PeerId>& peers) {
  for (const PeerId& peer : peers) {
    if (search_dials_ >= kSourceDialsMax) return;
    if (swarm_.is_connected(peer) || keeper_.is_left_by_person(peer)) continue;
    if (keeper_.book().is_banned(peer, keeper_.civil_now())) continue;
    searched_[peer] = runtime_.now();
    ++search_dials_;
    if (!tasks_.spawn(dial_for_search(peer))) --search_dials_;
  }
}

/// By itself, as an entry of `folder`.
awaitable<Result<transfer::TransferId>> Node::fetch_entry(EntryChoice choice,
                                                          library::Folder folder) {
  transfer::GetRequest request;
  request.root = choice.listing.root;
  request.directory = folder.settings.path;
  request.save_as = choice.listing.id;
  request.wait = kOwnWait;
  request.audience = folder.settings.audience;
  request.priority = transfer::Priority::kBackground;
  dial_sources(choice.peers);
  co_return co_await transfers_->start(std::move(request));
}

}  // namespace warren::node

// What is asked of the catalog: entries of all peers, grouped by what is the same.

#include <fmt/format.h>

#include <algorithm>

#include "catalog/catalog_rows.hpp"
#include "catalog/catalog_store.hpp"
#include "catalog/patterns.hpp"
#include "storage/database.hpp"

namespace warren::catalog {
namespace {

using storage::Query;

// The parameters are always the same, each with a text that matches all when nothing is asked.
constexpr std::string_view kWhere =
    " FROM entries JOIN peers ON peers.key = entries.peer_key "
    "WHERE (?1 = '*' OR topic GLOB ?1 OR topic = ?2) AND (?3 = '' OR id = ?3) "
    "AND (?4 = '*' OR lower(name) GLOB ?4 OR lower(id) GLOB ?4)";

struct Parameters {
  std::string topic = "*";
  std::string topic_itself;  ///< Of `weather/*`: weather.
  std::string id;
  std::string name = "*";
};

Result<Parameters> parameters_of(const CatalogQuery& query, const limits::Catalog& limits) {
  Parameters parameters;
  if (!query.topic.empty()) {
    WARREN_TRY_VOID(check_topic_pattern(query.topic));
    parameters.topic = glob_of_topic(query.topic);
    parameters.topic_itself = query.topic;
    if (query.topic.ends_with("/*")) {
      parameters.topic_itself.resize(query.topic.size() - 2);
    }
  }
  if (query.id.size() > library::kIdBytesMax || query.name.size() > limits.pattern_bytes_max) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a pattern of more than {} bytes", limits.pattern_bytes_max));
  }
  parameters.id = query.id;
  if (!query.name.empty()) parameters.name = glob_of_name(query.name);
  return parameters;
}

void bind(Query& query, const Parameters& parameters) {
  query.with(parameters.topic)
      .with(parameters.topic_itself)
      .with(parameters.id)
      .with(parameters.name);
}

}  // namespace

Result<CatalogPage> CatalogStore::list(const CatalogQuery& query) {
  WARREN_TRY(const Parameters parameters, parameters_of(query, limits_));
  const std::size_t most = limits_.page_entries_max;
  const std::size_t limit = query.limit == 0 ? most : std::min(query.limit, most);
  const auto offset = std::min<std::uint64_t>(query.offset, INT64_MAX);
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<CatalogPage> {
    CatalogPage page;
    {
      Query count = database_->query(
          fmt::format("SELECT count(*) FROM (SELECT 1{} GROUP BY id, root)", kWhere));
      bind(count, parameters);
      if (count.step()) page.total = count.natural(0);
    }
    {
      // The columns without an aggregate are those of the row with the latest last_seen_ns.
      Query found = database_->query(
          fmt::format("SELECT {}, count(*), sum(availability = 0), max(last_seen_ns){} "
                      "GROUP BY id, root ORDER BY id, root LIMIT ?5 OFFSET ?6",
                      rows::kListingColumns, kWhere));
      bind(found, parameters);
      found.with(limit).with(offset);
      while (found.step()) {
        auto listing = rows::listing_in(found, 0);
        if (!listing) continue;
        CatalogEntry entry;
        entry.listing = std::move(*listing);
        entry.peers_count = found.natural(rows::kListingColumnsCount);
        entry.ready_count = found.natural(rows::kListingColumnsCount + 1);
        entry.last_seen = found.time(rows::kListingColumnsCount + 2);
        page.entries.push_back(std::move(entry));
      }
    }
    for (CatalogEntry& entry : page.entries) entry.peers = peers_with(entry.listing);
    return page;
  });
}

std::vector<PeerId> CatalogStore::peers_with(const Listing& listing) {
  Query found = database_->query(
      "SELECT peer FROM entries JOIN peers ON peers.key = entries.peer_key "
      "WHERE id = ? AND root IS ? ORDER BY last_seen_ns DESC, peer LIMIT ?");
  found.with(listing.id);
  const Bytes root = listing.root ? listing.root->to_bytes() : Bytes();
  listing.root ? found.with(BytesView(root)) : found.with_null();
  found.with(kPeersListedMax);
  std::vector<PeerId> peers;
  while (found.step()) {
    if (auto peer = rows::peer_in(found, 0)) peers.push_back(std::move(*peer));
  }
  return peers;
}

Result<std::vector<Offer>> CatalogStore::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<Offer>> {
    Query found =
        database_->query(fmt::format("SELECT {}, peer, last_seen_ns FROM entries JOIN peers "
                                     "ON peers.key = entries.peer_key WHERE id = ? "
                                     "ORDER BY last_seen_ns DESC, peer LIMIT ?",
                                     rows::kListingColumns));
    found.with(id).with(limits_.peers_max);
    std::vector<Offer> offers;
    while (found.step()) {
      auto listing = rows::listing_in(found, 0);
      auto peer = rows::peer_in(found, rows::kListingColumnsCount);
      if (!listing || !peer) continue;
      offers.push_back(
          {std::move(*peer), std::move(*listing), found.time(rows::kListingColumnsCount + 1)});
    }
    return offers;
  });
}

Result<std::vector<KnownPeer>> CatalogStore::peers() {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<KnownPeer>> {
    Query found = database_->query(
        "SELECT peer, epoch, number, digest, entries, mode, last_seen_ns FROM peers "
        "ORDER BY last_seen_ns DESC, peer LIMIT ?");
    found.with(limits_.peers_max);
    std::vector<KnownPeer> peers;
    while (found.step()) {
      auto peer = rows::peer_in(found, 0);
      if (!peer) continue;
      KnownPeer known{std::move(*peer), rows::summary_in(found, 1), Mode::kUnspecified,
                      found.time(6)};
      const std::uint32_t mode = found.natural32(5);
      if (mode <= static_cast<std::uint32_t>(Mode::kFull)) known.mode = static_cast<Mode>(mode);
      peers.push_back(std::move(known));
    }
    return peers;
  });
}

Result<Summary> CatalogStore::known(const PeerId& peer) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Summary> {
    const auto row = row_of(peer);
    return row ? row->known : Summary{};
  });
}

Result<std::vector<Listing>> CatalogStore::entries_of(const PeerId& peer, std::string_view after,
                                                      std::size_t count) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<Listing>> {
    Query found = database_->query(fmt::format(
        "SELECT {} FROM entries WHERE peer_key = (SELECT key FROM peers WHERE peer = ?) "
        "AND id > ? ORDER BY id LIMIT ?",
        rows::kListingColumns));
    found.with(peer.bytes()).with(after).with(count);
    std::vector<Listing> listings;
    while (found.step()) {
      if (auto listing = rows::listing_in(found, 0)) listings.push_back(std::move(*listing));
    }
    return listings;
  });
}

}  // namespace warren::catalog

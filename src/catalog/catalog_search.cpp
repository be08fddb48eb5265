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

/// Texts for GLOB; empty ones ask for nothing.
struct Parameters {
  std::string topic;
  std::string topic_itself;  ///< Of `weather/*`: weather.
  std::string id;
  std::string name;
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

std::string conditions(const Parameters& parameters) {
  std::string text = " WHERE 1";
  if (!parameters.topic.empty()) text += " AND (topic GLOB ? OR topic = ?)";
  if (!parameters.id.empty()) text += " AND id = ?";
  if (!parameters.name.empty()) text += " AND (lower(name) GLOB ? OR lower(id) GLOB ?)";
  return text;
}

void bind(Query& query, const Parameters& parameters) {
  if (!parameters.topic.empty()) query.with(parameters.topic).with(parameters.topic_itself);
  if (!parameters.id.empty()) query.with(parameters.id);
  if (!parameters.name.empty()) query.with(parameters.name).with(parameters.name);
}

// The index has all that is asked for, in the order of the answer.
constexpr std::string_view kInOrder = " FROM entries INDEXED BY entries_by_id";

}  // namespace

Result<CatalogPage> CatalogStore::list(const CatalogQuery& query) {
  WARREN_TRY(const Parameters parameters, parameters_of(query, limits_));
  const std::size_t most = limits_.page_entries_max;
  const std::size_t limit = query.limit == 0 ? most : std::min(query.limit, most);
  const auto offset = std::min<std::uint64_t>(query.offset, INT64_MAX);
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<CatalogPage> {
    CatalogPage page;
    struct Thing {
      std::string id;
      Bytes root;  // Empty: none.
    };
    std::vector<Thing> things;
    {
      Query count =
          database_->query(fmt::format("SELECT count(*) FROM (SELECT 1{}{} GROUP BY id, root)",
                                       kInOrder, conditions(parameters)));
      bind(count, parameters);
      if (count.step()) page.total = count.natural(0);
    }
    {
      Query found = database_->query(
          fmt::format("SELECT id, root{}{} GROUP BY id, root ORDER BY id, root LIMIT ? OFFSET ?",
                      kInOrder, conditions(parameters)));
      bind(found, parameters);
      found.with(limit).with(offset);
      while (found.step()) {
        const BytesView root = found.blob(1, rows::kRootBytesMax);
        things.push_back({found.text(0), Bytes(root.begin(), root.end())});
      }
    }
    for (const Thing& thing : things) {
      if (auto entry = entry_of(thing.id, thing.root)) page.entries.push_back(*std::move(entry));
    }
    return page;
  });
}

/// What all peers say of the entry with this root. Empty: without one.
std::optional<CatalogEntry> CatalogStore::entry_of(const std::string& id, const Bytes& root) {
  constexpr std::string_view kOfThing =
      " FROM entries CROSS JOIN peers ON peers.key = entries.peer_key WHERE id = ? AND root IS ?";
  const auto bind_to = [&](Query& query) {
    query.with(id);
    root.empty() ? query.with_null() : query.with(BytesView(root));
  };
  CatalogEntry entry;
  {
    // The columns without an aggregate are those of the row with the latest last_seen_ns.
    Query found = database_->query(
        fmt::format("SELECT {}, count(*), sum(availability = 0), max(last_seen_ns){}",
                    rows::kListingColumns, kOfThing));
    bind_to(found);
    if (!found.step()) return std::nullopt;
    auto listing = rows::listing_in(found, 0);
    if (!listing) return std::nullopt;
    entry.listing = std::move(*listing);
    entry.peers_count = found.natural(rows::kListingColumnsCount);
    entry.ready_count = found.natural(rows::kListingColumnsCount + 1);
    entry.last_seen = found.time(rows::kListingColumnsCount + 2);
  }
  Query found = database_->query(
      fmt::format("SELECT peer{} ORDER BY last_seen_ns DESC, peer LIMIT ?", kOfThing));
  bind_to(found);
  found.with(kPeersListedMax);
  while (found.step()) {
    if (auto peer = rows::peer_in(found, 0)) entry.peers.push_back(std::move(*peer));
  }
  entry.roots_count = roots_of(id);
  return entry;
}

std::uint64_t CatalogStore::roots_of(const std::string& id) {
  Query found = database_->query("SELECT count(DISTINCT root) FROM entries WHERE id = ?");
  found.with(id);
  return found.step() ? found.natural(0) : 0;
}

Result<std::vector<TopicCount>> CatalogStore::topics(std::size_t limit, std::uint64_t offset) {
  const std::size_t most = limits_.page_entries_max;
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<TopicCount>> {
    Query found = database_->query(
        "SELECT topic, count(DISTINCT id) FROM entries WHERE topic > '' GROUP BY topic "
        "ORDER BY topic LIMIT ? OFFSET ?");
    found.with(limit == 0 ? most : std::min(limit, most));
    found.with(std::min<std::uint64_t>(offset, INT64_MAX));
    std::vector<TopicCount> topics;
    while (found.step()) {
      auto topic = found.text(0, library::kTopicBytesMax);
      if (topic) topics.push_back({*std::move(topic), found.natural(1)});
    }
    return topics;
  });
}

Result<std::vector<Offer>> CatalogStore::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<Offer>> {
    Query found =
        database_->query(fmt::format("SELECT {}, peer, last_seen_ns, key FROM entries JOIN peers "
                                     "ON peers.key = entries.peer_key WHERE id = ? "
                                     "ORDER BY last_seen_ns DESC, peer LIMIT ?",
                                     rows::kListingColumns));
    found.with(id).with(limits_.peers_max);
    std::vector<Offer> offers;
    while (found.step()) {
      auto listing = rows::listing_in(found, 0);
      auto peer = rows::peer_in(found, rows::kListingColumnsCount);
      if (!listing || !peer) continue;
      offers.push_back({std::move(*peer), std::move(*listing),
                        found.time(rows::kListingColumnsCount + 1),
                        found.integer(rows::kListingColumnsCount + 2)});
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

// What a person wants to have, and what this node has fetched for that.

#include <fmt/format.h>

#include "catalog/catalog_rows.hpp"
#include "catalog/catalog_store.hpp"
#include "catalog/patterns.hpp"
#include "storage/database.hpp"

namespace warren::catalog {

using storage::Query;
using storage::Transaction;

Result<> CatalogStore::subscribe(const Subscription& subscription) {
  WARREN_TRY_VOID(check_topic_pattern(subscription.pattern));
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Transaction transaction(*database_);
    {
      Query others = database_->query("SELECT count(*) FROM subscriptions WHERE pattern <> ?");
      others.with(subscription.pattern);
      if (others.step() && others.natural(0) >= limits_.patterns_max) {
        return fail(ErrorCode::kLimited,
                    fmt::format("there are {} subscriptions already", limits_.patterns_max),
                    "one pattern may stand for many topics, as in weather/*");
      }
    }
    database_->query("INSERT OR REPLACE INTO subscriptions VALUES(?, ?, ?)")
        .with(subscription.pattern)
        .with(subscription.on_demand)
        .with(subscription.since)
        .run();
    transaction.commit();
    return {};
  });
}

Result<> CatalogStore::unsubscribe(std::string_view pattern) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    const int removed =
        database_->query("DELETE FROM subscriptions WHERE pattern = ?").with(pattern).run();
    if (removed > 0) return {};
    return fail(ErrorCode::kNotFound, fmt::format("there is no subscription to '{}'", pattern),
                "'warren subscribe' lists those that there are");
  });
}

Result<std::vector<Subscription>> CatalogStore::subscriptions() {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<Subscription>> {
    Query found = database_->query(
        "SELECT pattern, on_demand, since_ns FROM subscriptions ORDER BY pattern LIMIT ?");
    found.with(limits_.patterns_max);
    std::vector<Subscription> all;
    while (found.step()) {
      Subscription subscription{found.text(0), found.flag(1), found.time(2)};
      if (check_topic_pattern(subscription.pattern)) all.push_back(std::move(subscription));
    }
    return all;
  });
}

Result<std::vector<std::string>> CatalogStore::lacking(const PeerId& own, const std::string& topic,
                                                       std::string_view after, std::size_t count) {
  if (!topic.empty()) WARREN_TRY_VOID(check_topic_pattern(topic));
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<std::string>> {
    const auto row = row_of(own);
    const std::int64_t key = row ? row->key : 0;
    // In the order of the index, which ends the walk after `count` ids.
    Query found = database_->query(
        "SELECT id FROM (SELECT DISTINCT id FROM entries INDEXED BY entries_by_id WHERE id > ? AND "
        "root IS NOT NULL AND (topic GLOB ? OR topic = ?)) AS listed WHERE NOT EXISTS (SELECT 1 "
        "FROM entries AS own WHERE own.peer_key = ? AND own.id = listed.id) ORDER BY id LIMIT ?");
    found.with(after);
    found.with(topic.empty() ? std::string("*") : glob_of_topic(topic));
    found.with(topic.ends_with("/*") ? topic.substr(0, topic.size() - 2) : topic);
    found.with(key).with(count);
    std::vector<std::string> ids;
    while (found.step()) ids.push_back(found.text(0));
    return ids;
  });
}

Result<> CatalogStore::put_replica(const Replica& replica) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    const Bytes root = replica.root.to_bytes();
    database_->query("INSERT OR REPLACE INTO replicas VALUES(?, ?, ?)")
        .with(replica.id)
        .with(replica.peer.bytes())
        .with(BytesView(root))
        .run();
    return {};
  });
}

Result<> CatalogStore::forget_replica(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    database_->query("DELETE FROM replicas WHERE id = ?").with(id).run();
    return {};
  });
}

Result<std::vector<Replica>> CatalogStore::replicas(std::string_view after, std::size_t count) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<Replica>> {
    Query found =
        database_->query("SELECT id, peer, root FROM replicas WHERE id > ? ORDER BY id LIMIT ?");
    found.with(after).with(count);
    std::vector<Replica> all;
    while (found.step()) {
      auto peer = rows::peer_in(found, 1);
      auto root = Cid::from_bytes(found.blob(2, rows::kRootBytesMax));
      if (peer && root) all.push_back({found.text(0), *std::move(peer), *std::move(root)});
    }
    return all;
  });
}

Result<std::vector<CatalogStore::Outdated>> CatalogStore::outdated(std::string_view after,
                                                                   std::size_t count) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<Outdated>> {
    Query found = database_->query(fmt::format(
        "SELECT {}, replicas.peer, replicas.root FROM replicas CROSS JOIN peers ON "
        "peers.peer = replicas.peer CROSS JOIN entries ON entries.peer_key = peers.key AND "
        "entries.id = replicas.id WHERE replicas.id > ? AND entries.root <> replicas.root "
        "ORDER BY replicas.id LIMIT ?",
        rows::kQualifiedColumns));
    found.with(after).with(count);
    std::vector<Outdated> all;
    while (found.step()) {
      auto listing = rows::listing_in(found, 0);
      auto peer = rows::peer_in(found, rows::kListingColumnsCount);
      auto root = Cid::from_bytes(found.blob(rows::kListingColumnsCount + 1, rows::kRootBytesMax));
      if (!listing || !peer || !root) continue;
      all.push_back({{listing->id, *std::move(peer), *std::move(root)}, *std::move(listing)});
    }
    return all;
  });
}

}  // namespace warren::catalog

#include "content/store_database.hpp"

#include <string_view>

namespace warren::content {
namespace {

using storage::Database;
using storage::Query;

constexpr std::string_view kMigrations[] = {
#include "content/migrations.inc"
};

}  // namespace

Result<std::unique_ptr<Database>> open_store_database(const std::string& path) {
  // A commit that a loss of power undid could say of a file that was made anew since that it is
  // written: each one waits for the disk. There is at most one commit a second.
  return Database::open(
      path, {.migrations = kMigrations,
             .survives = storage::Survives::kPowerLoss,
             .damaged_hint =
                 "move the file away and share the folders again; files on disk are not affected"});
}

peers::AccessRule read_audience(const std::string& text) {
  const auto rule = peers::AccessRule::parse(
      text, [](std::string_view) { return fail(ErrorCode::kMalformed, "no audience"); });
  return rule ? *rule : peers::AccessRule{peers::Access::kListed, {}};
}

void drop_if_unused(Database& database, std::int64_t dataset_id) {
  const bool used = database
                        .query(
                            "SELECT 1 FROM shares WHERE dataset_id = ?1 UNION ALL "
                            "SELECT 1 FROM transfers JOIN datasets USING(root) "
                            "WHERE datasets.id = ?1")
                        .with(dataset_id)
                        .step();
  if (used) return;
  database
      .query(
          "DELETE FROM nodes WHERE id IN "
          "(SELECT node_id FROM dataset_nodes WHERE dataset_id = ?1) AND NOT EXISTS "
          "(SELECT 1 FROM dataset_nodes AS other WHERE other.node_id = nodes.id AND "
          "other.dataset_id <> ?1)")
      .with(dataset_id)
      .run();
  database.query("DELETE FROM datasets WHERE id = ?").with(dataset_id).run();
}

void drop_if_unused(Database& database, const Cid& root) {
  std::int64_t id = 0;
  {
    Query find = database.query("SELECT id FROM datasets WHERE root = ?");
    if (!find.with(root.to_bytes()).step()) return;
    id = find.integer(0);
  }
  drop_if_unused(database, id);
}

}  // namespace warren::content

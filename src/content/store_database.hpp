#pragma once
// The database behind Store. Only store*.cpp include this.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "multiformats/cid.hpp"
#include "peers/access_rule.hpp"
#include "storage/database.hpp"

namespace warren::content {

/// Errors: as Store::open().
Result<std::unique_ptr<storage::Database>> open_store_database(const std::string& path);

/// What is not as AccessRule writes it allows nobody.
peers::AccessRule read_audience(const std::string& text);

// Inside a transaction; SQLite's exceptions pass through them.

/// Forgets a dataset that neither a share nor a transfer names, and nodes that it alone had.
void drop_if_unused(storage::Database& database, std::int64_t dataset_id);
/// The same for a dataset given by its root, if there is one.
void drop_if_unused(storage::Database& database, const Cid& root);

}  // namespace warren::content

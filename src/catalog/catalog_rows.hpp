#pragma once
// Listings and summaries as rows of the catalog database, which anyone may have written. Internal
// to the module.

#include <cstddef>
#include <optional>
#include <string_view>

#include "catalog/catalog_messages.hpp"
#include "storage/query.hpp"

namespace warren::catalog::rows {

inline constexpr std::string_view kListingColumns =
    "id, name, version, topic, bytes, files, manifest, root, downloaded, installed, availability";
/// The same where other tables have columns of these names.
inline constexpr std::string_view kQualifiedColumns =
    "entries.id, name, version, topic, bytes, files, manifest, entries.root, downloaded, "
    "installed, availability";
inline constexpr int kListingColumnsCount = 11;
inline constexpr std::size_t kRootBytesMax = 64;

/// kListingColumns from `first` on; unset when they are no listing.
std::optional<Listing> listing_in(const storage::Query& row, int first);
/// The values of kListingColumns.
void bind(storage::Query& insert, const Listing& listing);
/// epoch, number, digest and count from `first` on.
Summary summary_in(const storage::Query& row, int first);
/// A peer id; unset when it is none.
std::optional<PeerId> peer_in(const storage::Query& row, int column);

}  // namespace warren::catalog::rows

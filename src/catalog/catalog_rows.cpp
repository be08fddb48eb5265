#include "catalog/catalog_rows.hpp"

#include <algorithm>

namespace warren::catalog::rows {
namespace {

constexpr std::size_t kPeerIdBytesMax = 64;

template <class Out>
bool read_32_bytes(const storage::Query& row, int column, Out& out) {
  const BytesView bytes = row.blob(column, out.size());
  if (bytes.size() != out.size()) return false;
  std::ranges::copy(bytes, out.begin());
  return true;
}

}  // namespace

std::optional<Listing> listing_in(const storage::Query& row, int first) {
  Listing listing;
  listing.id = row.text(first);
  listing.name = row.text(first + 1);
  listing.version = row.text(first + 2);
  listing.topic = row.text(first + 3);
  listing.bytes = row.natural(first + 4);
  listing.files = row.natural(first + 5);
  if (!read_32_bytes(row, first + 6, listing.manifest.bytes)) return std::nullopt;
  if (!row.is_null(first + 7)) {
    const auto root = Cid::from_bytes(row.blob(first + 7, kRootBytesMax));
    if (!root) return std::nullopt;
    listing.root = *root;
  }
  listing.downloaded = row.flag(first + 8);
  listing.installed = row.flag(first + 9);
  const std::uint32_t availability = row.natural32(first + 10);
  if (availability > static_cast<std::uint32_t>(library::Availability::kHashing)) {
    return std::nullopt;
  }
  listing.availability = static_cast<library::Availability>(availability);
  if (!library::check_listing(listing)) return std::nullopt;
  return listing;
}

void bind(storage::Query& insert, const Listing& listing) {
  insert.with(listing.id)
      .with(listing.name)
      .with(listing.version)
      .with(listing.topic)
      .with(listing.bytes)
      .with(listing.files)
      .with(BytesView(listing.manifest.bytes));
  if (listing.root) {
    const Bytes root = listing.root->to_bytes();
    insert.with(BytesView(root));
  } else {
    insert.with_null();
  }
  insert.with(listing.downloaded)
      .with(listing.installed)
      .with(static_cast<std::int64_t>(listing.availability));
}

Summary summary_in(const storage::Query& row, int first) {
  Summary summary;
  summary.revision = {row.bits(first), row.bits(first + 1)};
  const bool whole = read_32_bytes(row, first + 2, summary.digest.bytes);
  summary.count = row.natural(first + 3);
  // A digest that is none is that of no set: the peer tells all of its own again.
  if (!whole) summary.revision = {};
  return summary;
}

std::optional<PeerId> peer_in(const storage::Query& row, int column) {
  const auto peer = PeerId::from_bytes(row.blob(column, kPeerIdBytesMax));
  return peer ? std::optional(*peer) : std::nullopt;
}

}  // namespace warren::catalog::rows

#pragma once
// For the tests of this module: listings, entries and those who ask for them, made from numbers.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/sha256.hpp"
#include "library/library_index.hpp"

namespace warren::library::test {

/// All that an index holds.
struct LoadedIndex : LibraryIndex::Content {
  std::vector<IndexedEntry> entries;
};
inline Result<LoadedIndex> load(LibraryIndex& index) {
  LoadedIndex all;
  WARREN_TRY(static_cast<LibraryIndex::Content&>(all), index.load());
  LibraryIndex::Page page;
  do {
    WARREN_TRY(page, index.load_entries(all, page.last, 2));
    all.skipped += page.skipped;
    std::ranges::move(page.entries, std::back_inserter(all.entries));
  } while (page.more);
  return all;
}

inline Digest digest(std::string_view text) { return Digest{crypto::sha256(as_bytes(text))}; }
inline Cid root(std::string_view text) { return Cid{Codec::kDagPb, digest(text)}; }

inline PeerId peer(std::uint8_t number) { return PeerId::from_public_key(Bytes{8, 1, number}); }
inline const peers::Visitor kNeighbour{peer(1), true, false};
inline const peers::Visitor kStranger{peer(2), false, false};
inline const peers::Visitor kFriend{peer(3), false, true};
inline const std::vector<peers::Visitor> kVisitors{kNeighbour, kStranger, kFriend};

inline const peers::AccessRule kForLan{};
inline const peers::AccessRule kForAnyone{peers::Access::kAnyone, {}};
inline const peers::AccessRule kForTrusted{peers::Access::kTrusted, {}};
inline const peers::AccessRule kForStranger{peers::Access::kListed, {peer(2)}};

/// One that can be fetched; other numbers, other content.
inline Listing listing(const std::string& id, unsigned number = 1) {
  Listing made;
  made.id = id;
  made.name = "The " + id;
  made.version = fmt::format("1.{}", number);
  made.topic = "tests/listings";
  made.bytes = 1000u + number;
  made.files = 2;
  made.manifest = digest(fmt::format("manifest of {} {}", id, number));
  made.root = root(fmt::format("{} {}", id, number));
  made.downloaded = true;
  made.availability = Availability::kReady;
  return made;
}

inline IndexedEntry indexed(const std::string& id, FolderId folder, std::uint64_t at,
                            unsigned number = 1) {
  IndexedEntry entry;
  entry.published = {listing(id, number), kForLan, at, at};
  entry.folder = folder;
  entry.fingerprint = digest("fingerprint of " + id);
  entry.stamps = digest("stamps of " + id);
  entry.hashed_stamps = entry.stamps;
  return entry;
}

/// Choices read from bytes that a property test or a fuzzer gives; 0 for ever after their end.
class Script {
 public:
  explicit Script(BytesView bytes) : bytes_(bytes) {}
  bool done() const { return at_ >= bytes_.size(); }
  std::uint8_t byte() { return done() ? std::uint8_t{0} : bytes_[at_++]; }
  /// 0 to `count` - 1; `count` at most 256.
  std::size_t below(std::size_t count) { return byte() % count; }
  BytesView take(std::size_t count) {
    const BytesView taken = bytes_.subspan(at_, std::min(count, bytes_.size() - at_));
    at_ += taken.size();
    return taken;
  }

 private:
  BytesView bytes_;
  std::size_t at_ = 0;
};

}  // namespace warren::library::test

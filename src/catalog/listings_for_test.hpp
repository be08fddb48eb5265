#pragma once
// Listings, visitors and a set that changes as a test says.

#include <string>
#include <utility>
#include <vector>

#include "catalog/catalog_messages.hpp"
#include "catalog/catalog_store.hpp"
#include "catalog/publisher.hpp"
#include "catalog/subscriber.hpp"
#include "crypto/sha256.hpp"
#include "library/library_set.hpp"

namespace warren::catalog::fakes {

inline Digest digest_of_text(std::string_view text) {
  return Digest{crypto::sha256(as_bytes(text))};
}

/// One that can be fetched; of another `version` it is another thing.
inline Listing listing(const std::string& id, const std::string& version = "1",
                       const std::string& topic = "") {
  Listing listing;
  listing.id = id;
  listing.name = "The " + id;
  listing.version = version;
  listing.topic = topic;
  listing.bytes = 1000 + version.size();
  listing.files = 3;
  listing.manifest = digest_of_text(id + "/" + version);
  listing.root = Cid{Codec::kDagPb, digest_of_text("root of " + id + "/" + version)};
  listing.downloaded = true;
  listing.availability = library::Availability::kReady;
  return listing;
}

inline const peers::AccessRule kLanRule{};
inline const peers::AccessRule kAnyoneRule{peers::Access::kAnyone, {}};

inline library::PublishedEntry entry(Listing listing, peers::AccessRule rule = kAnyoneRule) {
  return {std::move(listing), std::move(rule), 0, 0};
}

inline PeerId peer(std::uint8_t n) {
  Bytes key = {0x08, 0x01, 0x12, 0x20};
  key.resize(36, n);
  return PeerId::from_public_key(key);
}

inline peers::Visitor visitor(std::uint8_t n, bool on_lan = false) {
  return {peer(n), on_lan, false};
}

inline WallTime at(int seconds) { return WallTime(std::chrono::seconds(1'000'000'000 + seconds)); }

}  // namespace warren::catalog::fakes

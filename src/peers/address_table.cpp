#include "peers/address_table.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "crypto/sha256.hpp"

namespace warren::peers {
namespace {

// One for each question, so that the answer to one says nothing of another.
constexpr std::uint8_t kTagNewShare = 1;
constexpr std::uint8_t kTagNewBucket = 2;
constexpr std::uint8_t kTagProvenShare = 3;
constexpr std::uint8_t kTagProvenBucket = 4;

void append_number(Bytes& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

void append_group(Bytes& out, const NetworkGroup& group) {
  out.push_back(static_cast<std::uint8_t>(group.kind));
  append_number(out, group.bits);
}

}  // namespace

AddressTable::AddressTable(const limits::Peers& limits, const std::array<std::uint8_t, 32>& secret)
    : limits_(limits), secret_(secret) {
  limits_.new_buckets = std::max<std::size_t>(limits_.new_buckets, 1);
  limits_.proven_buckets = std::max<std::size_t>(limits_.proven_buckets, 1);
  limits_.new_buckets_per_teller = std::max<std::size_t>(limits_.new_buckets_per_teller, 1);
  limits_.proven_buckets_per_group = std::max<std::size_t>(limits_.proven_buckets_per_group, 1);
}

std::uint64_t AddressTable::hash(std::uint8_t tag, const NetworkGroup& a, const NetworkGroup& b,
                                 BytesView more) const {
  Bytes input = to_bytes(BytesView(secret_));
  input.push_back(tag);
  append_group(input, a);
  append_group(input, b);
  append(input, more);
  const auto digest = crypto::sha256(input);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | digest[i];
  return value;
}

Bucket AddressTable::new_bucket(const NetworkGroup& address, const NetworkGroup& teller) const {
  const std::uint64_t share =
      hash(kTagNewShare, address, teller, {}) % limits_.new_buckets_per_teller;
  Bytes number;
  append_number(number, share);
  const std::uint64_t bucket = hash(kTagNewBucket, teller, teller, number) % limits_.new_buckets;
  return {Part::kNew, static_cast<std::uint32_t>(bucket)};
}

Bucket AddressTable::proven_bucket(const NetworkGroup& group, const AddressKey& key) const {
  Bytes name = to_bytes(key.first.bytes());
  append(name, key.second.bytes());
  const std::uint64_t share =
      hash(kTagProvenShare, group, group, name) % limits_.proven_buckets_per_group;
  Bytes number;
  append_number(number, share);
  const std::uint64_t bucket =
      hash(kTagProvenBucket, group, group, number) % limits_.proven_buckets;
  return {Part::kProven, static_cast<std::uint32_t>(bucket)};
}

std::size_t AddressTable::places_of(const Bucket& bucket) const {
  return bucket.part == Part::kLocal ? limits_.local_places : limits_.bucket_places;
}

bool AddressTable::has_room(const Bucket& bucket) const {
  return places_.size() < limits_.addresses_max && in(bucket).size() < places_of(bucket);
}

void AddressTable::add(const AddressKey& key, const Bucket& bucket) {
  WARREN_CHECK(has_room(bucket));
  WARREN_CHECK(places_.emplace(key, bucket).second);
  buckets_[bucket].insert(key);
}

void AddressTable::remove(const AddressKey& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return;
  const auto bucket = buckets_.find(place->second);
  bucket->second.erase(key);
  if (bucket->second.empty()) buckets_.erase(bucket);
  places_.erase(place);
}

std::optional<Bucket> AddressTable::find(const AddressKey& key) const {
  const auto place = places_.find(key);
  if (place == places_.end()) return std::nullopt;
  return place->second;
}

const std::set<AddressKey>& AddressTable::in(const Bucket& bucket) const {
  static const std::set<AddressKey> kNothing;
  const auto found = buckets_.find(bucket);
  return found == buckets_.end() ? kNothing : found->second;
}

std::size_t AddressTable::size(Part part) const {
  std::size_t count = 0;
  for (const auto& [bucket, keys] : buckets_) {
    if (bucket.part == part) count += keys.size();
  }
  return count;
}

void AddressTable::check_invariants() const {
  std::size_t count = 0;
  for (const auto& [bucket, keys] : buckets_) {
    WARREN_CHECK(!keys.empty() && keys.size() <= places_of(bucket));
    switch (bucket.part) {
      case Part::kLocal: WARREN_CHECK(bucket.index == 0); break;
      case Part::kNew: WARREN_CHECK(bucket.index < limits_.new_buckets); break;
      case Part::kProven: WARREN_CHECK(bucket.index < limits_.proven_buckets); break;
    }
    for (const AddressKey& key : keys) {
      const auto place = places_.find(key);
      WARREN_CHECK(place != places_.end() && place->second == bucket);
    }
    count += keys.size();
  }
  WARREN_CHECK(count == places_.size());
  WARREN_CHECK(count <= limits_.addresses_max);
}

}  // namespace warren::peers

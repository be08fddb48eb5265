#pragma once
// Where each address stands in the table of limited parts. It only knows places: what is worth
// keeping is for PeerBook to say. No I/O, no clock.

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/limits.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "peers/network_group.hpp"

namespace warren::peers {

enum class Part : std::uint8_t {
  kLocal,   ///< One bucket: what persons say, and the local network.
  kNew,     ///< Never worked. By the network of the address and that of its teller.
  kProven,  ///< Worked. By the network of the address.
};

/// One bucket of one part.
struct Bucket {
  Part part = Part::kLocal;
  std::uint32_t index = 0;
  auto operator<=>(const Bucket&) const = default;
};

/// One address of one peer.
using AddressKey = std::pair<PeerId, Multiaddr>;

class AddressTable {
 public:
  /// `secret` makes the choice of buckets unpredictable to those who do not have it.
  AddressTable(const limits::Peers& limits, const std::array<std::uint8_t, 32>& secret);

  /// The bucket for an address that never worked. One network of tellers reaches
  /// limits::Peers::new_buckets_per_teller of them, and one only for one network of addresses.
  Bucket new_bucket(const NetworkGroup& address, const NetworkGroup& teller) const;
  /// The bucket for one that did: one of proven_buckets_per_group of its network.
  Bucket proven_bucket(const NetworkGroup& group, const AddressKey& key) const;
  static Bucket local_bucket() { return {}; }

  bool has_room(const Bucket& bucket) const;
  /// `bucket` must have room, and `key` no place yet.
  void add(const AddressKey& key, const Bucket& bucket);
  /// No error when it has no place.
  void remove(const AddressKey& key);
  std::optional<Bucket> find(const AddressKey& key) const;
  /// What stands in `bucket`, in order of peer and address.
  const std::set<AddressKey>& in(const Bucket& bucket) const;
  std::size_t size() const { return places_.size(); }
  std::size_t size(Part part) const;
  /// Aborts when a bucket is too full or the two indices differ.
  void check_invariants() const;

 private:
  std::size_t places_of(const Bucket& bucket) const;
  /// The first 8 bytes of SHA-256(secret, tag, a, b, more).
  std::uint64_t hash(std::uint8_t tag, const NetworkGroup& a, const NetworkGroup& b,
                     BytesView more) const;

  limits::Peers limits_;
  std::array<std::uint8_t, 32> secret_;
  std::map<AddressKey, Bucket> places_;
  std::map<Bucket, std::set<AddressKey>> buckets_;
};

}  // namespace warren::peers

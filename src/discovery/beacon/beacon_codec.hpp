#pragma once
// Beacons from and to bytes. Format and test vector: docs/protocols/beacon.md.

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "crypto/keys.hpp"
#include "discovery/peer_source.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::discovery::beacon {

/// What every beacon begins with: "WRNB" and the version.
inline constexpr std::array<std::uint8_t, 5> kMagic{'W', 'R', 'N', 'B', 1};
/// Bytes of one packet: fits every link's MTU with IPv6 (1,280) and its headers.
/// Source: RFC 8200 section 5.
inline constexpr std::size_t kPacketBytesMax = 1'200;
inline constexpr std::size_t kAddressesMax = 16;
/// Of `Announcement::interval` and `validity`; longer ones are read as this.
inline constexpr Duration kPeriodMax = 1h;

/// Milliseconds of civil time, as they stand in packets.
using WallMillis = std::chrono::sys_time<std::chrono::milliseconds>;

/// What a peer says of itself.
struct Announcement {
  std::uint64_t serial = 0;
  WallMillis sent_at{};
  std::uint64_t record_sequence = 0;
  /// Without /p2p, for listeners on one link.
  std::vector<Multiaddr> addresses;
  SpareCapacity spare;
  std::chrono::milliseconds interval{0};
  std::chrono::milliseconds validity{0};
  bool goodbye = false;
  bool operator==(const Announcement&) const = default;
};

/// The raw Ed25519 key of a peer: its name inside the beacon's tables.
using RawKey = std::array<std::uint8_t, 32>;

/// Signs `announcement` and returns the packet. Addresses beyond kAddressesMax, or for which
/// kPacketBytesMax leaves no room, are left out, the last ones first.
Bytes seal(const crypto::PrivateKey& key, Announcement announcement);

/// Who claims to have sent `packet`. Looks at the first bytes alone; takes no memory.
/// Errors: kMalformed for another length or magic, kUnsupported for another version or another
/// kind of key than Ed25519.
Result<RawKey> claimed_sender(BytesView packet);

/// What `packet` says, its signature not checked. Addresses that this build cannot read are left
/// out. Errors: as claimed_sender(); kMalformed for what is no beacon, kTooLarge for more addresses
/// than kAddressesMax.
Result<Announcement> read_unproven(BytesView packet);

/// Whether the signature of a packet that read_unproven() took is of the key that it names.
/// About 100 us.
bool is_proven(BytesView packet);

PeerId peer_of(const RawKey& key);

}  // namespace warren::discovery::beacon

#pragma once
// What a node knows of its peers, by value.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "warren/export.hpp"

namespace warren::WARREN_V1 {
/// Civil time, as all times of this library that outlive a process.
using Time = std::chrono::system_clock::time_point;

/// One peer, as it was when it was asked for. Texts are UTF-8; `name`, `agent` and `via` have no
/// control characters in them.
struct PeerInfo {
  /// "12D3KooW...": the peer's public key, or the hash of one, as text. It stays the same for
  /// ever.
  std::string peer_id{};
  /// As libp2p's PublicKey message: 36 bytes for Ed25519, of which the last 32 are the key. Empty
  /// while it is not known, as of a peer that was only heard of.
  std::vector<std::uint8_t> public_key{};
  /// A multiaddr with /p2p/ID at its end: the one in use, else the best one known. May be empty.
  std::string address{};
  bool connected = false;
  /// Since when there has been a connection without a gap; unset when there is none.
  std::optional<Time> connected_since{};
  /// Over the connections of now.
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  /// When it last gave a sign of life; unset when it was never heard itself.
  std::optional<Time> last_seen{};
  /// 0 to 1. 0.5: nothing known for or against it. Below 0.2 it is banned.
  double reputation = 0.5;
  /// Smoothed round trip; unset while it is not measured.
  std::optional<std::chrono::microseconds> round_trip{};
  /// How it came to be known: "manual", "mdns", "multicast", "bootstrap", "pex", "inbound".
  std::string via{};
  /// The name that was given to it (AddPeerOptions::name); empty for none.
  std::string name{};
  /// The software that it says it runs; empty while it has not said.
  std::string agent{};
  /// add_peer() named it: it is dialled again whenever it goes away, and never forgotten.
  bool kept = false;
  /// Until when it is banned; unset when it is not; Time::max(): until unban().
  std::optional<Time> banned_until{};
};

}  // namespace warren::WARREN_V1

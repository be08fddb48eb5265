#pragma once
// What libp2p's mDNS packets say: which records a node sends, and which peers records tell of.
// Source: libp2p specs, discovery/mdns.md.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/endpoint.hpp"
#include "discovery/link_addresses.hpp"
#include "discovery/mdns/dns_codec.hpp"
#include "multiformats/multiaddr.hpp"

namespace warren::discovery {

/// Bytes of one packet that we send: fits every link's MTU with IPv6 (1,280) and its headers.
/// Source: RFC 8200 section 5; RFC 6762 section 17 asks for packets below the MTU.
inline constexpr std::size_t kMdnsPacketBytesMax = 1'200;
/// Peers that one packet may announce, and addresses looked at in it; the rest is not read.
inline constexpr std::size_t kAnnouncementsPerPacketMax = 8;
inline constexpr std::size_t kAddressesPerPacketMax = 32;

using MdnsInterface = LinkInterface;

/// The names that stand in packets.
struct MdnsNames {
  DnsName service;   ///< _p2p._udp.local
  DnsName instance;  ///< <peer-name>._p2p._udp.local
  DnsName host;      ///< <peer-name>.p2p.local
  DnsName services;  ///< _services._dns-sd._udp.local

  /// Errors: kInvalidArgument.
  static Result<MdnsNames> make(std::string_view service, std::string_view peer_name);
};

/// The question for all peers. `id` marks our own when they come back to us; others ignore it.
Bytes encode_query(const MdnsNames& names, std::uint16_t id);

/// Those of `own` that mean something on `interface` (link_addresses()), as texts
/// "dnsaddr=<address>/p2p/<self>", at most `count_max`.
std::vector<std::string> address_texts(std::span<const Multiaddr> own, const PeerId& self,
                                       const MdnsInterface& interface, std::size_t count_max);

/// What a node says of itself, in as many packets as it takes: PTR as answer; TXT, SRV, A and AAAA
/// as additionals. `ttl` 0 is the goodbye. `texts` as address_texts() gives them; with none of
/// them, no packet except for a goodbye.
std::vector<Bytes> encode_announcement(const MdnsNames& names, std::span<const std::string> texts,
                                       const MdnsInterface& interface, std::chrono::seconds ttl);

/// The answer to the question which services there are.
Bytes encode_services(const MdnsNames& names, std::chrono::seconds ttl);

/// One peer that a packet tells of.
struct Announcement {
  std::string name;             ///< The first label of its instance, lower case.
  std::chrono::seconds ttl{0};  ///< 0: goodbye; `peer` and `addresses` are then empty.
  bool flush = false;           ///< Earlier addresses of this name are void.
  PeerId peer;
  std::vector<Multiaddr> addresses;  ///< Usable from here; without /p2p. May be empty.
};

/// The peers announced in a response that came in on `interface`, other than our own. TXT records
/// may stand in any section. Addresses that can't be dialled from here are left out: see
/// dialable_address().
std::vector<Announcement> read_announcements(const DnsMessage& message, const MdnsNames& names,
                                             const PeerId& self, const MdnsInterface& interface);

}  // namespace warren::discovery

#include "discovery/mdns/mdns_packets.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::discovery {
namespace {

constexpr std::string_view kAddressKey = "dnsaddr=";
constexpr std::size_t kTxtStringBytesMax = 255;  // RFC 1035 section 3.3.14.
constexpr std::size_t kHostAddressesMax = 4;     // In one packet; enough for DNS-SD browsers.

DnsRecord pointer(const DnsName& from, const DnsName& to, std::chrono::seconds ttl) {
  return {from, ttl, false, PtrData{to}};  // Shared: no cache-flush bit. RFC 6762 section 10.2.
}

DnsMessage response() {
  DnsMessage message;
  message.response = true;
  message.authoritative = true;
  return message;
}

/// The UDP or TCP port of a text of address_texts(), for the SRV record.
std::uint16_t port_of(std::string_view text) {
  const auto address = Multiaddr::parse(text.substr(kAddressKey.size()));
  const auto endpoint = address ? address->endpoint() : std::nullopt;
  return endpoint ? endpoint->port : 0;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

Result<MdnsNames> MdnsNames::make(std::string_view service, std::string_view peer_name) {
  const bool plain = std::ranges::all_of(
      peer_name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
  if (peer_name.size() < 32 || peer_name.size() > 63 || !plain) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("the mDNS peer name '{}' is not 32 to 63 letters a-z and digits", peer_name));
  }
  MdnsNames names;
  WARREN_TRY(names.service, DnsName::parse(service));
  if (names.service.empty()) {
    return fail(ErrorCode::kInvalidArgument, "the mDNS service name is empty");
  }
  WARREN_TRY(names.instance, DnsName::child(peer_name, names.service));
  WARREN_TRY(const DnsName hosts, DnsName::parse("p2p.local"));
  WARREN_TRY(names.host, DnsName::child(peer_name, hosts));
  WARREN_TRY(names.services, DnsName::parse("_services._dns-sd._udp.local"));
  return names;
}

Bytes encode_query(const MdnsNames& names, std::uint16_t id) {
  DnsMessage message;
  message.id = id;
  message.questions.push_back({names.service, DnsType::kPtr, false});
  auto packet = encode_dns(message);
  WARREN_CHECK(packet.has_value());  // One question with a checked name.
  return std::move(*packet);
}

Bytes encode_services(const MdnsNames& names, std::chrono::seconds ttl) {
  DnsMessage message = response();
  message.answers.push_back(pointer(names.services, names.service, ttl));
  auto packet = encode_dns(message);
  WARREN_CHECK(packet.has_value());
  return std::move(*packet);
}

std::vector<std::string> address_texts(std::span<const Multiaddr> own, const PeerId& self,
                                       const MdnsInterface& interface, std::size_t count_max) {
  std::vector<std::string> texts;
  for (const Multiaddr& address : link_addresses(own, interface)) {
    if (texts.size() == count_max) break;
    std::string text = fmt::format("{}{}", kAddressKey, address.with_peer(self).to_string());
    if (text.size() <= kTxtStringBytesMax) texts.push_back(std::move(text));
  }
  return texts;
}

std::vector<Bytes> encode_announcement(const MdnsNames& names, std::span<const std::string> texts,
                                       const MdnsInterface& interface, std::chrono::seconds ttl) {
  DnsMessage base = response();
  base.answers.push_back(pointer(names.service, names.instance, ttl));
  if (texts.empty() && ttl.count() != 0) return {};
  if (texts.empty()) {
    auto packet = encode_dns(base);
    WARREN_CHECK(packet.has_value());
    return {std::move(*packet)};
  }
  // go-libp2p reads a single TXT record and wants SRV and A or AAAA beside it.
  DnsMessage details = base;
  details.additionals.push_back(
      {names.instance, ttl, true, SrvData{0, 0, port_of(texts[0]), names.host}});
  std::size_t hosts = 0;
  for (const IpAddress& ip : interface.addresses) {
    if (hosts++ == kHostAddressesMax) break;
    details.additionals.push_back({names.host, ttl, true, AddressData{ip}});
  }
  std::vector<Bytes> packets;
  while (!texts.empty()) {
    // The TXT record comes first: it is what the packet is for.
    DnsMessage message = details;
    message.additionals.insert(message.additionals.begin(), {names.instance, ttl, true, TxtData{}});
    auto& strings = std::get<TxtData>(message.additionals[0].data).strings;
    Bytes best;
    while (strings.size() < texts.size()) {
      strings.push_back(texts[strings.size()]);
      auto packet = encode_dns(message, kMdnsPacketBytesMax);
      if (!packet) break;
      best = std::move(*packet);
    }
    WARREN_CHECK(!best.empty());  // One string of 255 bytes fits beside all the rest.
    const bool all = encode_dns(message, kMdnsPacketBytesMax).has_value();
    texts = texts.subspan(all ? strings.size() : strings.size() - 1);
    packets.push_back(std::move(best));
  }
  return packets;
}

namespace {

void read_strings(const TxtData& txt, const PeerId& self, const MdnsInterface& interface,
                  std::size_t& looked_at, Announcement& out) {
  for (const std::string& text : txt.strings) {
    if (!text.starts_with(kAddressKey)) continue;
    if (looked_at == kAddressesPerPacketMax) return;
    ++looked_at;
    const auto address = Multiaddr::parse(std::string_view(text).substr(kAddressKey.size()));
    if (!address) continue;
    const auto peer = address->peer_id();
    if (!peer || *peer == self) continue;
    // An instance is one peer: the first address says which.
    if (out.peer.empty()) out.peer = *peer;
    if (out.peer != *peer) continue;
    const auto dialable = dialable_address(address->without_peer(), interface);
    if (dialable && std::ranges::find(out.addresses, *dialable) == out.addresses.end()) {
      out.addresses.push_back(*dialable);
    }
  }
}

}  // namespace

std::vector<Announcement> read_announcements(const DnsMessage& message, const MdnsNames& names,
                                             const PeerId& self, const MdnsInterface& interface) {
  std::vector<Announcement> found;
  std::vector<std::string> instances;  // Lower case, beside `found`.
  for (const DnsRecord& record : message.answers) {
    const auto* ptr = std::get_if<PtrData>(&record.data);
    if (ptr == nullptr || !same_name(record.name, names.service)) continue;
    if (!is_child_of(ptr->target, names.service)) continue;
    if (same_name(ptr->target, names.instance)) continue;
    std::string instance = lower_case(ptr->target.wire());
    if (std::ranges::find(instances, instance) != instances.end()) continue;
    if (found.size() == kAnnouncementsPerPacketMax) break;
    found.push_back({lower_case(ptr->target.first_label()), record.ttl, false, {}, {}});
    instances.push_back(std::move(instance));
  }
  if (found.empty()) return found;

  std::size_t looked_at = 0;
  for (const auto* section : {&message.answers, &message.authorities, &message.additionals}) {
    for (const DnsRecord& record : *section) {
      const auto* txt = std::get_if<TxtData>(&record.data);
      if (txt == nullptr || record.ttl.count() == 0) continue;
      const auto at = std::ranges::find(instances, lower_case(record.name.wire()));
      if (at == instances.end()) continue;
      Announcement& announcement = found[static_cast<std::size_t>(at - instances.begin())];
      if (announcement.ttl.count() == 0) continue;
      announcement.flush = announcement.flush || record.flush;
      announcement.ttl = std::min(announcement.ttl, record.ttl);
      read_strings(*txt, self, interface, looked_at, announcement);
    }
  }
  std::erase_if(
      found, [](const Announcement& each) { return each.ttl.count() != 0 && each.peer.empty(); });
  return found;
}

}  // namespace warren::discovery

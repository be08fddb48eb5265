#include "peers/network_group.hpp"

#include <fmt/core.h>

#include "crypto/sha256.hpp"

namespace warren::peers {
namespace {

using multiformats::Protocol;

constexpr std::uint64_t kMemoryGroupIds = 65'536;

NetworkGroup group_of_ip(const IpAddress& ip) {
  if (ip.is_private() || ip.is_unspecified()) return {};
  const BytesView raw = ip.bytes();
  const std::size_t kept = ip.is_v6() ? 4 : 2;
  NetworkGroup group{ip.is_v6() ? NetworkGroup::Kind::kIpv6 : NetworkGroup::Kind::kIpv4, 0};
  for (std::size_t i = 0; i < kept; ++i) group.bits = group.bits << 8 | raw[i];
  return group;
}

std::uint64_t big_endian(BytesView raw) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : raw) value = value << 8 | byte;
  return value;
}

}  // namespace

NetworkGroup network_group(const Multiaddr& address) {
  for (const auto& part : address.components()) {
    switch (part.protocol) {
      case Protocol::kIp4:
      case Protocol::kIp6: {
        const auto ip = IpAddress::from_bytes(part.value);
        if (ip) return group_of_ip(*ip);
        break;
      }
      case Protocol::kDns:
      case Protocol::kDns4:
      case Protocol::kDns6:
      case Protocol::kDnsaddr: {
        const auto digest = crypto::sha256(part.value);
        return {NetworkGroup::Kind::kName, big_endian(BytesView(digest).first(8))};
      }
      case Protocol::kMemory: {
        const auto id = address.memory_id();
        if (!id) return {};
        // What stands above them tells the connections of one node apart.
        const std::uint64_t node = *id & 0xffff'ffff;
        if (node < kMemoryGroupIds) return {};
        return {NetworkGroup::Kind::kOther, node / kMemoryGroupIds};
      }
      default: break;
    }
  }
  return {};
}

std::string NetworkGroup::to_string() const {
  switch (kind) {
    case Kind::kLocal: return "local";
    case Kind::kIpv4: return fmt::format("{}.{}.0.0/16", bits >> 8 & 0xff, bits & 0xff);
    case Kind::kIpv6: return fmt::format("{:x}:{:x}::/32", bits >> 16 & 0xffff, bits & 0xffff);
    case Kind::kName: return fmt::format("name {:016x}", bits);
    case Kind::kOther: return fmt::format("memory {}/16", bits);
  }
  return "local";
}

}  // namespace warren::peers

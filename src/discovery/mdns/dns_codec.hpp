#pragma once
// DNS messages as far as mDNS needs them: bytes to values and back, no I/O.
// Source: RFC 1035 section 4, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6762 section 18.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/endpoint.hpp"
#include "base/result.hpp"
#include "discovery/mdns/dns_name.hpp"

namespace warren::discovery {

/// Largest message in either direction. Source: RFC 6762 section 17.
inline constexpr std::size_t kDnsMessageBytesMax = 9'000;
/// Questions of one message that are looked at; more is kTooLarge.
inline constexpr std::size_t kDnsQuestionsMax = 64;
/// Records of one message, all sections together, skipped ones included; more is kTooLarge.
inline constexpr std::size_t kDnsRecordsMax = 128;
/// Strings of all TXT records of one message; more is kTooLarge.
inline constexpr std::size_t kDnsStringsMax = 256;

/// Source: IANA, DNS parameters, resource record types.
enum class DnsType : std::uint16_t {
  kA = 1,
  kPtr = 12,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kAny = 255,
};

struct DnsQuestion {
  DnsName name;
  DnsType type = DnsType::kPtr;  ///< Any value may come.
  /// The QU bit: the asker would take a unicast answer.
  bool unicast = false;
  bool operator==(const DnsQuestion&) const = default;
};

struct PtrData {
  DnsName target;
  bool operator==(const PtrData&) const = default;
};
struct TxtData {
  std::vector<std::string> strings;  ///< Each 0 to 255 bytes, any bytes.
  bool operator==(const TxtData&) const = default;
};
struct SrvData {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  DnsName target;
  bool operator==(const SrvData&) const = default;
};
/// An A or an AAAA record, by the kind of address.
struct AddressData {
  IpAddress ip;
  bool operator==(const AddressData&) const = default;
};

struct DnsRecord {
  DnsName name;
  std::chrono::seconds ttl{0};
  /// The cache-flush bit: these are all records of this name and type.
  bool flush = false;
  std::variant<PtrData, TxtData, SrvData, AddressData> data;
  bool operator==(const DnsRecord&) const = default;
};

/// A message. Records of other types or classes than those above are skipped when decoding.
struct DnsMessage {
  std::uint16_t id = 0;
  bool response = false;
  bool authoritative = false;
  /// More known answers follow in another packet.
  bool truncated = false;
  std::vector<DnsQuestion> questions;
  std::vector<DnsRecord> answers;
  std::vector<DnsRecord> authorities;
  std::vector<DnsRecord> additionals;
  bool operator==(const DnsMessage&) const = default;
};

/// Reads one packet. Compression pointers must point backwards, so that a loop is impossible.
/// Bytes behind the last record are ignored. An AAAA record that holds an IPv4-mapped address is
/// skipped. Errors: kMalformed, kTooLarge for a passed limit, kUnsupported for another opcode than
/// a query's or for a response that carries an error code.
Result<DnsMessage> decode_dns(BytesView packet);

/// Writes one packet with compressed names. Errors: kTooLarge beyond `bytes_max` or the limits
/// above, kInvalidArgument for a string of more than 255 bytes or a ttl out of 32 bits.
Result<Bytes> encode_dns(const DnsMessage& message, std::size_t bytes_max = kDnsMessageBytesMax);

}  // namespace warren::discovery

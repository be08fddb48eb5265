#pragma once
// The table of multiaddr protocols, and the value of one component as text and as bytes.
// Source: multiformats/multiaddr, protocols.csv.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::multiformats {

/// How the value of a protocol is written as text.
enum class ValueKind : std::uint8_t {
  kNone,  ///< There is no value.
  kIp4,
  kIp6,
  kPort,      ///< Decimal, big-endian 16 bit.
  kPrefix,    ///< Decimal, 8 bit.
  kName,      ///< A host name or a name like one: printable ASCII without '/'.
  kSegment,   ///< Any bytes without NUL, percent-escaped into one path segment.
  kUnixPath,  ///< As kSegment; see read_text in multiaddr.cpp for the old unescaped form.
  kPeer,      ///< A peer id.
  kOnion,     ///< base32 of 10 bytes, ':', port.
  kOnion3,    ///< base32 of 35 bytes, ':', port.
  kGarlic64,  ///< I2P destination in its own base 64.
  kGarlic32,  ///< I2P hash in base 32.
  kMultihash  ///< A multihash in multibase.
};

inline constexpr int kVariableSize = -1;

struct AddressProtocol {
  std::uint32_t code;
  std::string_view name;
  /// Bytes of the value, 0 for none, kVariableSize when a length stands before it.
  int value_bytes;
  ValueKind kind;
};

/// nullptr when the table has no such protocol. "ipfs" is read as p2p.
const AddressProtocol* find_address_protocol(std::uint32_t code);
const AddressProtocol* find_address_protocol(std::string_view name);

/// The value of a component from its text. Errors: kInvalidArgument with the reason.
Result<Bytes> value_from_text(const AddressProtocol& protocol, std::string_view text);
/// The canonical text of a value that check_value accepts.
std::string value_to_text(const AddressProtocol& protocol, BytesView value);
/// Whether bytes from a peer are a value of this protocol: exactly those that some text makes.
/// Errors: kMalformed.
Result<> check_value(const AddressProtocol& protocol, BytesView value);

}  // namespace warren::multiformats

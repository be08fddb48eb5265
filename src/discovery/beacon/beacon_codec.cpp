#include "discovery/beacon/beacon_codec.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "proto/beacon.pb.h"
#include "proto/envelope.pb.h"
#include "wire/envelope.hpp"
#include "wire/message.hpp"

namespace warren::discovery::beacon {
namespace {

constexpr std::string_view kDomain = "warren-beacon";
constexpr std::string_view kPayloadType = "/warren/beacon/1";
// How every envelope of an Ed25519 key begins: field 1 with 36 bytes, and in it the PublicKey
// message: type 1, 32 bytes of data. Source: proto/envelope.proto, proto/keys.proto.
constexpr std::array<std::uint8_t, 6> kKeyHead{0x0a, 0x24, 0x08, 0x01, 0x12, 0x20};
constexpr std::size_t kKeyProtobufBytes = 36;
constexpr wire::ParseLimits kLimits{.bytes_max = kPacketBytesMax, .fields_max = 64, .depth_max = 2};

proto::Beacon to_message(const Announcement& announcement) {
  proto::Beacon message;
  message.set_serial(announcement.serial);
  message.set_sent_at_ms(static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, announcement.sent_at.time_since_epoch().count())));
  message.set_record_sequence(announcement.record_sequence);
  for (const Multiaddr& address : announcement.addresses) {
    message.add_addresses(std::string(as_text(address.bytes())));
  }
  message.set_free_bytes(announcement.spare.free_bytes);
  message.set_price_micro_per_mib(announcement.spare.price_micro_per_mib);
  message.set_interval_ms(static_cast<std::uint32_t>(announcement.interval.count()));
  message.set_validity_ms(static_cast<std::uint32_t>(announcement.validity.count()));
  message.set_goodbye(announcement.goodbye);
  return message;
}

std::chrono::milliseconds period(std::uint32_t ms) {
  const std::chrono::milliseconds most =
      std::chrono::duration_cast<std::chrono::milliseconds>(kPeriodMax);
  return std::min(std::chrono::milliseconds(ms), most);
}

Error malformed(std::string_view what) {
  return Error(ErrorCode::kMalformed, fmt::format("beacon: {}", what));
}

}  // namespace

Bytes seal(const crypto::PrivateKey& key, Announcement announcement) {
  auto& addresses = announcement.addresses;
  if (addresses.size() > kAddressesMax) addresses.resize(kAddressesMax);
  const auto bound = [](std::chrono::milliseconds& time) {
    time = std::clamp(time, std::chrono::milliseconds(0), period(UINT32_MAX));
  };
  bound(announcement.interval);
  bound(announcement.validity);
  for (;;) {
    const Bytes payload = wire::serialize(to_message(announcement));
    Bytes packet(kMagic.begin(), kMagic.end());
    // Key, type, signature and their heads take less than 160 bytes.
    if (payload.size() + 160 + kMagic.size() <= kPacketBytesMax || addresses.empty()) {
      append(packet, wire::seal_envelope(key, kDomain, as_bytes(kPayloadType), payload));
      return packet;
    }
    addresses.pop_back();
  }
}

Result<RawKey> claimed_sender(BytesView packet) {
  constexpr std::size_t kHead = kMagic.size() + kKeyHead.size();
  if (packet.size() > kPacketBytesMax || packet.size() < kHead + sizeof(RawKey)) {
    return fail(malformed(fmt::format("{} bytes", packet.size())));
  }
  if (!std::ranges::equal(packet.first(4), BytesView(kMagic).first(4))) {
    return fail(malformed("it does not begin with WRNB"));
  }
  if (packet[4] != kMagic[4]) {
    return fail(ErrorCode::kUnsupported, fmt::format("beacon: version {}", packet[4]));
  }
  if (!std::ranges::equal(packet.subspan(kMagic.size(), kKeyHead.size()), kKeyHead)) {
    return fail(ErrorCode::kUnsupported, "beacon: its key is not of Ed25519");
  }
  RawKey key;
  std::ranges::copy(packet.subspan(kHead, key.size()), key.begin());
  return key;
}

Result<Announcement> read_unproven(BytesView packet) {
  WARREN_TRY(const RawKey key, claimed_sender(packet));
  WARREN_TRY(const auto envelope,
             wire::parse<proto::Envelope>(packet.subspan(kMagic.size()), "beacon", kLimits));
  // A second key further behind would replace the one at the front.
  const std::string_view named = envelope.public_key();
  if (named.size() != kKeyProtobufBytes ||
      !std::ranges::equal(as_bytes(named).last(key.size()), key)) {
    return fail(malformed("it names two keys"));
  }
  if (envelope.payload_type() != kPayloadType) return fail(malformed("another type of payload"));
  WARREN_TRY(const auto message,
             wire::parse<proto::Beacon>(as_bytes(envelope.payload()), "beacon", kLimits));
  if (static_cast<std::size_t>(message.addresses_size()) > kAddressesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("beacon: {} addresses, at most {}",
                                                  message.addresses_size(), kAddressesMax));
  }
  constexpr std::uint64_t kMillisMax = 1ull << 48;  // Until the year 10,889.
  if (message.serial() == 0 || message.serial() > kMillisMax || message.sent_at_ms() > kMillisMax) {
    return fail(
        malformed(fmt::format("serial {}, time {}", message.serial(), message.sent_at_ms())));
  }
  Announcement said;
  said.serial = message.serial();
  said.sent_at = WallMillis(std::chrono::milliseconds(message.sent_at_ms()));
  said.record_sequence = message.record_sequence();
  for (const std::string& bytes : message.addresses()) {
    auto address = Multiaddr::from_bytes(as_bytes(bytes));
    if (address) said.addresses.push_back(address->without_peer());
  }
  said.spare = {message.free_bytes(), message.price_micro_per_mib()};
  said.interval = period(message.interval_ms());
  said.validity = period(message.validity_ms());
  said.goodbye = message.goodbye();
  return said;
}

bool is_proven(BytesView packet) {
  return packet.size() > kMagic.size() &&
         wire::open_envelope(packet.subspan(kMagic.size()), kDomain, as_bytes(kPayloadType))
             .has_value();
}

PeerId peer_of(const RawKey& key) {
  Bytes protobuf(kKeyHead.begin() + 2, kKeyHead.end());
  append(protobuf, key);
  return PeerId::from_public_key(protobuf);
}

}  // namespace warren::discovery::beacon

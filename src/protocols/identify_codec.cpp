#include "protocols/identify_codec.hpp"

#include <algorithm>

#include "negotiate/multistream.hpp"
#include "proto/identify.pb.h"
#include "wire/message.hpp"

namespace warren::protocols {
namespace {

std::string text_of(BytesView bytes) { return std::string(as_text(bytes)); }

/// Appends `item` unless it is there already or the list is full.
template <class T>
void add_once(std::vector<T>& list, T item, std::size_t items_max) {
  if (list.size() >= items_max || std::ranges::find(list, item) != list.end()) return;
  list.push_back(std::move(item));
}

/// An address that can be used; nullopt for one of a kind or size that is not known here.
std::optional<Multiaddr> usable(std::string_view bytes, const limits::Messages& limits) {
  if (bytes.empty() || bytes.size() > limits.multiaddr_bytes_max) return std::nullopt;
  auto address = Multiaddr::from_bytes(as_bytes(bytes));
  if (!address) return std::nullopt;
  return std::move(*address);
}

}  // namespace

Bytes encode_identify(const IdentifyMessage& message) {
  proto::identify::Identify out;
  if (!message.public_key.empty()) out.set_publickey(text_of(message.public_key));
  for (const Multiaddr& address : message.listen_addresses) {
    out.add_listenaddrs(text_of(address.bytes()));
  }
  for (const std::string& protocol : message.protocols) out.add_protocols(protocol);
  if (message.observed_address) out.set_observedaddr(text_of(message.observed_address->bytes()));
  if (!message.protocol_version.empty()) out.set_protocolversion(message.protocol_version);
  if (!message.agent_version.empty()) out.set_agentversion(message.agent_version);
  if (!message.signed_peer_record.empty()) {
    out.set_signedpeerrecord(text_of(message.signed_peer_record));
  }
  return wire::serialize(out);
}

std::vector<Bytes> encode_identify_parts(IdentifyMessage message) {
  std::vector<Bytes> parts;
  parts.push_back(encode_identify(message));
  if (parts.front().size() <= kIdentifyPartBytesMax) return parts;
  const auto leave_in = [](std::vector<std::string>& all, IdentifyMessage& part) {
    // What the field takes around each text: a tag and a length of at most two bytes.
    constexpr std::size_t kAround = 3;
    std::size_t bytes = encode_identify(part).size();
    while (!all.empty() && bytes + all.back().size() + kAround <= kIdentifyPartBytesMax) {
      bytes += all.back().size() + kAround;
      part.protocols.push_back(std::move(all.back()));
      all.pop_back();
    }
    std::ranges::reverse(part.protocols);
  };
  // A protocol id that is longer than a part could not be proposed either.
  std::vector<std::string> protocols = std::exchange(message.protocols, {});
  std::vector<IdentifyMessage> made;
  IdentifyMessage record{.signed_peer_record = std::exchange(message.signed_peer_record, {})};
  leave_in(protocols, message);
  made.push_back(std::move(message));
  if (!record.signed_peer_record.empty()) {
    leave_in(protocols, record);
    made.push_back(std::move(record));
  }
  while (!protocols.empty() && made.size() < limits::Messages{}.identify_messages_max) {
    IdentifyMessage& more = made.emplace_back();
    leave_in(protocols, more);
    if (more.protocols.empty()) protocols.pop_back();
  }
  parts.clear();
  for (const IdentifyMessage& part : made) parts.push_back(encode_identify(part));
  return parts;
}

Result<> merge_identify(BytesView bytes, const limits::Messages& limits, IdentifyMessage& into) {
  WARREN_TRY(const proto::identify::Identify in,
             wire::parse<proto::identify::Identify>(bytes, "identify",
                                                    {.bytes_max = limits.identify_bytes_max}));
  if (in.has_publickey()) into.public_key = to_bytes(in.publickey());
  for (const std::string& raw : in.listenaddrs()) {
    if (auto address = usable(raw, limits)) {
      add_once(into.listen_addresses, std::move(*address), limits.addresses_max);
    }
  }
  for (const std::string& protocol : in.protocols()) {
    if (!negotiate::is_valid_protocol(protocol)) continue;
    add_once(into.protocols, protocol, limits.protocols_max);
  }
  if (in.has_observedaddr()) {
    if (auto observed = usable(in.observedaddr(), limits)) {
      into.observed_address = std::move(*observed);
    }
  }
  if (in.has_protocolversion()) {
    into.protocol_version = in.protocolversion().substr(0, kVersionTextBytesMax);
  }
  if (in.has_agentversion()) {
    into.agent_version = in.agentversion().substr(0, kVersionTextBytesMax);
  }
  if (in.has_signedpeerrecord()) into.signed_peer_record = to_bytes(in.signedpeerrecord());
  return {};
}

}  // namespace warren::protocols

#include "catalog/catalog_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "base/check.hpp"
#include "peers/text.hpp"
#include "proto/catalog.pb.h"
#include "wire/message.hpp"

namespace warren::catalog {
namespace {

namespace wire_form = proto::catalog;

// Fields of a later version that a message may have, and that are skipped.
constexpr std::size_t kUnknownFieldsMax = 32;
// Tags, lengths and numbers of one entry. Source: eleven tags, five lengths of two bytes, two
// numbers of ten, three of one, and the tag and length of the entry itself.
constexpr std::size_t kEntryOverheadBytes = 64;
constexpr std::size_t kRootBytesMax = 64;

std::string text_of(BytesView bytes) { return std::string(as_text(bytes)); }

// ------------------------------------------------------------------------------------ to wire

void put(wire_form::Revision& out, const Revision& revision) {
  out.set_epoch(revision.epoch);
  out.set_number(revision.number);
}

void put(wire_form::Summary& out, const Summary& summary) {
  put(*out.mutable_revision(), summary.revision);
  if (summary.digest != SetDigest{}) out.set_digest(text_of(summary.digest.bytes));
  out.set_count(summary.count);
}

void put(wire_form::Entry& out, const Listing& listing) {
  out.set_id(listing.id);
  out.set_name(listing.name);
  out.set_version(listing.version);
  out.set_topic(listing.topic);
  out.set_bytes(listing.bytes);
  out.set_files(listing.files);
  if (listing.manifest != Digest{}) out.set_manifest(text_of(listing.manifest.bytes));
  if (listing.root) out.set_root(text_of(listing.root->to_bytes()));
  out.set_downloaded(listing.downloaded);
  out.set_installed(listing.installed);
  out.set_availability(static_cast<wire_form::Availability>(listing.availability));
}

template <class Out>
void put_introduction(Out& out, const Introduction& self) {
  out.set_version(self.version);
  out.set_peer(text_of(self.peer.bytes()));
  for (const std::string& feature : self.features) out.add_features(feature);
  for (const Multiaddr& address : self.addresses) out.add_addresses(text_of(address.bytes()));
  out.set_mode(static_cast<wire_form::Mode>(self.mode));
}

wire_form::Hello to_wire(const Hello& message) {
  wire_form::Hello out;
  put_introduction(out, message.self);
  put(*out.mutable_known(), message.known);
  return out;
}

wire_form::HelloAck to_wire(const HelloAck& message) {
  wire_form::HelloAck out;
  put_introduction(out, message.self);
  put(*out.mutable_summary(), message.summary);
  return out;
}

wire_form::Summary to_wire(const SummaryMessage& message) {
  wire_form::Summary out;
  put(out, message.summary);
  return out;
}

wire_form::Snapshot to_wire(const SnapshotPart& message) {
  wire_form::Snapshot out;
  put(*out.mutable_revision(), message.revision);
  out.set_part(message.part);
  out.set_last(message.last);
  for (const Listing& listing : message.entries) put(*out.add_entries(), listing);
  if (message.digest) out.set_digest(text_of(message.digest->bytes));
  return out;
}

wire_form::Delta to_wire(const DeltaPart& message) {
  wire_form::Delta out;
  put(*out.mutable_to(), message.to);
  out.set_from(message.from);
  out.set_part(message.part);
  out.set_last(message.last);
  for (const Listing& listing : message.added) put(*out.add_added(), listing);
  for (const Listing& listing : message.updated) put(*out.add_updated(), listing);
  for (const std::string& id : message.removed) out.add_removed(id);
  if (message.digest) out.set_digest(text_of(message.digest->bytes));
  return out;
}

wire_form::AnnounceAck to_wire(const AnnounceAck& message) {
  wire_form::AnnounceAck out;
  put(*out.mutable_revision(), message.revision);
  return out;
}

wire_form::SnapshotRequest to_wire(const SnapshotRequest&) { return {}; }

wire_form::Query to_wire(const QueryRequest& message) {
  wire_form::Query out;
  out.set_topic(message.topic);
  out.set_id(message.id);
  out.set_name(message.name);
  out.set_limit(message.limit);
  out.set_offset(message.offset);
  return out;
}

wire_form::QueryResult to_wire(const QueryResult& message) {
  wire_form::QueryResult out;
  for (const Listing& listing : message.entries) put(*out.add_entries(), listing);
  out.set_total(message.total);
  put(*out.mutable_revision(), message.revision);
  return out;
}

wire_form::GetPeerInfo to_wire(const GetPeerInfo&) { return {}; }

wire_form::PeerInfo to_wire(const PeerInfo& message) {
  wire_form::PeerInfo out;
  out.set_peer(text_of(message.peer.bytes()));
  out.set_agent(message.agent);
  out.set_mode(static_cast<wire_form::Mode>(message.mode));
  for (const std::string& protocol : message.protocols) out.add_protocols(protocol);
  put(*out.mutable_revision(), message.revision);
  out.set_count(message.count);
  out.set_uptime_ms(static_cast<std::uint64_t>(message.uptime.count()));
  return out;
}

wire_form::Goodbye to_wire(const Goodbye& message) {
  wire_form::Goodbye out;
  out.set_reason(static_cast<wire_form::Goodbye::Reason>(message.reason));
  return out;
}

wire_form::Refusal to_wire(const Refusal& message) {
  wire_form::Refusal out;
  out.set_code(static_cast<wire_form::Refusal::Code>(message.code));
  out.set_text(message.text);
  return out;
}

template <class Out>
void put_need(Out& out, const Need& need) {
  out.set_need_count(need.count);
  out.set_need_bytes(need.bytes);
  if (need.digest != SetDigest{}) out.set_need_digest(text_of(need.digest.bytes));
  for (const std::string& id : need.ids) out.add_need_ids(id);
}

wire_form::NeedReport to_wire(const NeedReport& message) {
  wire_form::NeedReport out;
  if (message.listed != SetDigest{}) out.set_listed(text_of(message.listed.bytes));
  out.set_count(message.count);
  out.set_wanted(text_of(message.wanted.bytes()));
  out.set_missing(text_of(message.missing.bytes()));
  put_need(out, message.need);
  out.set_reason(static_cast<wire_form::Reason>(message.reason));
  return out;
}

wire_form::NeedAnswer to_wire(const NeedAnswer& message) {
  wire_form::NeedAnswer out;
  out.set_compared(static_cast<wire_form::NeedAnswer::Compared>(message.compared));
  put_need(out, message.need);
  for (const std::string& id : message.differing) out.add_differing(id);
  return out;
}

// ---------------------------------------------------------------------------------- from wire

/// What `number` names, of an enumeration that ends with `last`; else its 0.
template <class Enum, class Number>
Enum known_or_zero(Number number, Enum last) {
  const auto value = static_cast<std::int64_t>(number);
  return value > 0 && value <= static_cast<std::int64_t>(last) ? static_cast<Enum>(value) : Enum{};
}

Mode mode_of(wire_form::Mode mode) { return known_or_zero(mode, Mode::kFull); }

Revision revision_of(const wire_form::Revision& in) { return {in.epoch(), in.number()}; }

Result<SetDigest> set_digest_of(const std::string& in) {
  SetDigest digest;
  if (in.size() != digest.bytes.size()) {
    return fail(ErrorCode::kMalformed, fmt::format("a digest of {} bytes", in.size()));
  }
  std::ranges::copy(as_bytes(in), digest.bytes.begin());
  return digest;
}

Result<std::optional<SetDigest>> optional_digest_of(bool there, const std::string& in) {
  if (!there) return std::nullopt;
  WARREN_TRY(const SetDigest digest, set_digest_of(in));
  return digest;
}

Result<Summary> summary_of(const wire_form::Summary& in) {
  Summary summary{revision_of(in.revision()), {}, in.count()};
  if (!in.digest().empty()) {
    WARREN_TRY(summary.digest, set_digest_of(in.digest()));
  }
  return summary;
}

Result<Listing> listing_of(const wire_form::Entry& in) {
  Listing listing;
  listing.id = in.id();
  listing.name = in.name();
  listing.version = in.version();
  listing.topic = in.topic();
  listing.bytes = in.bytes();
  listing.files = in.files();
  if (!in.manifest().empty()) {
    if (in.manifest().size() != listing.manifest.bytes.size()) {
      return fail(ErrorCode::kMalformed, "the manifest of an entry is no SHA-256");
    }
    std::ranges::copy(as_bytes(in.manifest()), listing.manifest.bytes.begin());
  }
  if (!in.root().empty()) {
    if (in.root().size() > kRootBytesMax) {
      return fail(ErrorCode::kMalformed, "the root of an entry is too long");
    }
    auto root = Cid::from_bytes(as_bytes(in.root()));
    if (!root)
      return fail(ErrorCode::kMalformed, "the root of an entry: " + root.error().message());
    listing.root = *root;
  }
  listing.downloaded = in.downloaded();
  listing.installed = in.installed();
  const auto availability = static_cast<std::int64_t>(in.availability());
  if (availability < 0 ||
      availability > static_cast<std::int64_t>(library::Availability::kHashing)) {
    return fail(ErrorCode::kMalformed, "the availability of an entry is none");
  }
  listing.availability = static_cast<library::Availability>(availability);
  WARREN_TRY_VOID(library::check_listing(listing));
  return listing;
}

template <class Entries>
Result<std::vector<Listing>> listings_of(const Entries& in) {
  std::vector<Listing> listings;
  listings.reserve(static_cast<std::size_t>(in.size()));
  for (const wire_form::Entry& entry : in) {
    WARREN_TRY(Listing listing, listing_of(entry));
    listings.push_back(std::move(listing));
  }
  return listings;
}

Result<PeerId> peer_of(const std::string& in) {
  auto peer = PeerId::from_bytes(as_bytes(in));
  if (!peer) return fail(ErrorCode::kMalformed, peer.error().message());
  return peer;
}

template <class In>
Result<Introduction> introduction_of(const In& in, const limits::Catalog& limits) {
  Introduction self;
  self.version = in.version();
  WARREN_TRY(self.peer, peer_of(in.peer()));
  for (const std::string& feature : in.features()) {
    if (self.features.size() == limits.features_max) break;
    if (feature.size() > limits.feature_bytes_max || !peers::is_plain_text(feature)) continue;
    self.features.push_back(feature);
  }
  for (const std::string& bytes : in.addresses()) {
    if (self.addresses.size() == limits.addresses_max) break;
    if (bytes.size() > limits.address_bytes_max) continue;
    auto address = Multiaddr::from_bytes(as_bytes(bytes));
    if (address && !address->empty()) self.addresses.push_back(std::move(*address));
  }
  self.mode = mode_of(in.mode());
  return self;
}

Result<> check_plain(std::string_view what, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("{}: {} bytes", what, text.size()));
  }
  if (!peers::is_plain_text(text)) {
    return fail(ErrorCode::kMalformed, fmt::format("{} is no plain text", what));
  }
  return {};
}

Result<Message> from_wire(const wire_form::Hello& in, const limits::Catalog& limits) {
  Hello message;
  WARREN_TRY(message.self, introduction_of(in, limits));
  WARREN_TRY(message.known, summary_of(in.known()));
  return message;
}

Result<Message> from_wire(const wire_form::HelloAck& in, const limits::Catalog& limits) {
  HelloAck message;
  WARREN_TRY(message.self, introduction_of(in, limits));
  WARREN_TRY(message.summary, summary_of(in.summary()));
  return message;
}

Result<Message> from_wire(const wire_form::Summary& in, const limits::Catalog&) {
  SummaryMessage message;
  WARREN_TRY(message.summary, summary_of(in));
  return message;
}

Result<Message> from_wire(const wire_form::Snapshot& in, const limits::Catalog&) {
  SnapshotPart message{revision_of(in.revision()), in.part(), in.last(), {}, {}};
  WARREN_TRY(message.entries, listings_of(in.entries()));
  WARREN_TRY(message.digest, optional_digest_of(in.has_digest(), in.digest()));
  return message;
}

Result<Message> from_wire(const wire_form::Delta& in, const limits::Catalog&) {
  DeltaPart message{revision_of(in.to()), in.from(), in.part(), in.last(), {}, {}, {}, {}};
  WARREN_TRY(message.added, listings_of(in.added()));
  WARREN_TRY(message.updated, listings_of(in.updated()));
  for (const std::string& id : in.removed()) {
    WARREN_TRY_VOID(check_plain("a removed id", id, library::kIdBytesMax));
    message.removed.push_back(id);
  }
  WARREN_TRY(message.digest, optional_digest_of(in.has_digest(), in.digest()));
  return message;
}

Result<Message> from_wire(const wire_form::AnnounceAck& in, const limits::Catalog&) {
  return AnnounceAck{revision_of(in.revision())};
}

Result<Message> from_wire(const wire_form::SnapshotRequest&, const limits::Catalog&) {
  return SnapshotRequest{};
}

Result<Message> from_wire(const wire_form::Query& in, const limits::Catalog& limits) {
  WARREN_TRY_VOID(check_plain("the topic of a query", in.topic(), limits.pattern_bytes_max));
  WARREN_TRY_VOID(check_plain("the id of a query", in.id(), library::kIdBytesMax));
  WARREN_TRY_VOID(check_plain("the name of a query", in.name(), limits.pattern_bytes_max));
  return QueryRequest{in.topic(), in.id(), in.name(), in.limit(), in.offset()};
}

Result<Message> from_wire(const wire_form::QueryResult& in, const limits::Catalog&) {
  QueryResult message{{}, in.total(), revision_of(in.revision())};
  WARREN_TRY(message.entries, listings_of(in.entries()));
  return message;
}

Result<Message> from_wire(const wire_form::GetPeerInfo&, const limits::Catalog&) {
  return GetPeerInfo{};
}

Result<Message> from_wire(const wire_form::PeerInfo& in, const limits::Catalog& limits) {
  PeerInfo message;
  WARREN_TRY(message.peer, peer_of(in.peer()));
  WARREN_TRY_VOID(check_plain("the agent of a peer", in.agent(), limits.agent_bytes_max));
  message.agent = in.agent();
  message.mode = mode_of(in.mode());
  for (const std::string& protocol : in.protocols()) {
    if (message.protocols.size() == limits.protocols_max) break;
    const bool good =
        protocol.size() <= limits.protocol_bytes_max && peers::is_plain_text(protocol);
    if (good) message.protocols.push_back(protocol);
  }
  message.revision = revision_of(in.revision());
  message.count = in.count();
  // More than a hundred years are nothing that a Duration need hold.
  constexpr std::uint64_t kUptimeMax = 100ull * 366 * 24 * 3600 * 1000;
  message.uptime = std::chrono::milliseconds(std::min(in.uptime_ms(), kUptimeMax));
  return message;
}

Result<Message> from_wire(const wire_form::Goodbye& in, const limits::Catalog&) {
  return Goodbye{known_or_zero(in.reason(), GoodbyeReason::kRenew)};
}

Result<Message> from_wire(const wire_form::Refusal& in, const limits::Catalog& limits) {
  WARREN_TRY_VOID(check_plain("the text of a refusal", in.text(), limits.refusal_text_bytes_max));
  return Refusal{known_or_zero(in.code(), RefusalCode::kBusy), in.text()};
}

template <class Ids>
Result<std::vector<std::string>> need_ids_of(const Ids& in) {
  if (static_cast<std::size_t>(in.size()) > kNeedIdsMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("{} ids of what is missing", in.size()));
  }
  std::vector<std::string> ids;
  for (const std::string& id : in) {
    WARREN_TRY_VOID(check_plain("the id of what is missing", id, library::kIdBytesMax));
    ids.push_back(id);
  }
  return ids;
}

Result<SetDigest> digest_or_zeros_of(const std::string& in) {
  if (in.empty()) return SetDigest{};
  return set_digest_of(in);
}

template <class In>
Result<Need> need_of(const In& in) {
  Need need{in.need_count(), in.need_bytes(), {}, {}};
  WARREN_TRY(need.digest, digest_or_zeros_of(in.need_digest()));
  WARREN_TRY(need.ids, need_ids_of(in.need_ids()));
  return need;
}

Result<Message> from_wire(const wire_form::NeedReport& in, const limits::Catalog& limits) {
  if (in.count() > limits.entries_per_peer_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("a report of {} entries", in.count()));
  }
  NeedReport message;
  WARREN_TRY(message.listed, digest_or_zeros_of(in.listed()));
  message.count = in.count();
  WARREN_TRY(message.wanted, EntryBits::from_bytes(as_bytes(in.wanted()), in.count()));
  WARREN_TRY(message.missing, EntryBits::from_bytes(as_bytes(in.missing()), in.count()));
  if (!message.missing.is_within(message.wanted)) {
    return fail(ErrorCode::kMalformed, "what is missing is not wanted");
  }
  WARREN_TRY(message.need, need_of(in));
  const auto reason = static_cast<std::int64_t>(in.reason());
  message.reason = known_or_zero(reason, Reason::kError);
  if (reason != 0 && message.reason == Reason::kNone) message.reason = Reason::kError;
  return message;
}

Result<Message> from_wire(const wire_form::NeedAnswer& in, const limits::Catalog&) {
  NeedAnswer message;
  message.compared = known_or_zero(in.compared(), NeedAnswer::Compared::kOtherSet);
  WARREN_TRY(message.need, need_of(in));
  WARREN_TRY(message.differing, need_ids_of(in.differing()));
  return message;
}

template <class In>
Result<Message> decode_body(BytesView body, const limits::Catalog& limits) {
  const std::size_t most = std::max(
      {limits.page_entries_max, limits.features_max + limits.addresses_max, limits.protocols_max});
  WARREN_TRY(const In in, wire::parse<In>(body, "catalog message",
                                          {.bytes_max = limits.message_bytes_max,
                                           .fields_max = most + kUnknownFieldsMax}));
  return from_wire(in, limits);
}

}  // namespace

std::string_view mode_name(Mode mode) noexcept {
  switch (mode) {
    case Mode::kUnspecified: return "unspecified";
    case Mode::kProxy: return "proxy";
    case Mode::kSelective: return "selective";
    case Mode::kFull: return "full";
  }
  return "unspecified";
}

std::size_t message_bytes_of(const Listing& listing) {
  return kEntryOverheadBytes + listing.id.size() + listing.name.size() + listing.version.size() +
         listing.topic.size() + listing.manifest.bytes.size() + (listing.root ? 36 : 0);
}

Bytes encode_message(const Message& message) {
  wire_form::Message out;
  out.set_kind(static_cast<wire_form::Message::Kind>(message.index() + 1));
  const Bytes body =
      std::visit([](const auto& each) { return wire::serialize(to_wire(each)); }, message);
  out.set_body(text_of(body));
  return wire::serialize(out);
}

Result<Message> decode_message(BytesView bytes, const limits::Catalog& limits) {
  WARREN_TRY(const auto outer,
             wire::parse<wire_form::Message>(
                 bytes, "catalog message",
                 {.bytes_max = limits.message_bytes_max, .fields_max = kUnknownFieldsMax}));
  const BytesView body = as_bytes(outer.body());
  switch (outer.kind()) {
    case wire_form::Message::HELLO: return decode_body<wire_form::Hello>(body, limits);
    case wire_form::Message::HELLO_ACK: return decode_body<wire_form::HelloAck>(body, limits);
    case wire_form::Message::SUMMARY: return decode_body<wire_form::Summary>(body, limits);
    case wire_form::Message::SNAPSHOT: return decode_body<wire_form::Snapshot>(body, limits);
    case wire_form::Message::DELTA: return decode_body<wire_form::Delta>(body, limits);
    case wire_form::Message::ANNOUNCE_ACK: return decode_body<wire_form::AnnounceAck>(body, limits);
    case wire_form::Message::SNAPSHOT_REQUEST:
      return decode_body<wire_form::SnapshotRequest>(body, limits);
    case wire_form::Message::QUERY: return decode_body<wire_form::Query>(body, limits);
    case wire_form::Message::QUERY_RESULT: return decode_body<wire_form::QueryResult>(body, limits);
    case wire_form::Message::GET_PEER_INFO:
      return decode_body<wire_form::GetPeerInfo>(body, limits);
    case wire_form::Message::PEER_INFO: return decode_body<wire_form::PeerInfo>(body, limits);
    case wire_form::Message::GOODBYE: return decode_body<wire_form::Goodbye>(body, limits);
    case wire_form::Message::REFUSAL: return decode_body<wire_form::Refusal>(body, limits);
    case wire_form::Message::NEED_REPORT: return decode_body<wire_form::NeedReport>(body, limits);
    case wire_form::Message::NEED_ANSWER: return decode_body<wire_form::NeedAnswer>(body, limits);
    default:
      return fail(ErrorCode::kUnsupported,
                  fmt::format("a catalog message of kind {}", static_cast<int>(outer.kind())));
  }
}

}  // namespace warren::catalog

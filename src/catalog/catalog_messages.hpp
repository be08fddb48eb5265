#pragma once
// The messages of /warren/catalog/1.0.0, checked. Wire: proto/catalog.proto, docs/protocols/
// catalog.md.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "catalog/limits.hpp"
#include "catalog/need.hpp"
#include "library/published.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::catalog {

using library::Listing;
using library::Revision;
using library::SetDigest;
using library::Summary;

inline constexpr std::string_view kCatalogProtocol = "/warren/catalog/1.0.0";
inline constexpr std::uint32_t kCatalogVersion = 1;

/// How much of the network's data a node takes upon itself. The numbers stand on the wire and in
/// databases.
enum class Mode : std::uint8_t { kUnspecified = 0, kProxy = 1, kSelective = 2, kFull = 3 };
/// "unspecified", "proxy", "selective", "full".
std::string_view mode_name(Mode mode) noexcept;

/// What both sides say of themselves when a subscription begins.
struct Introduction {
  std::uint32_t version = kCatalogVersion;
  PeerId peer;
  std::vector<std::string> features;
  std::vector<Multiaddr> addresses;
  Mode mode = Mode::kUnspecified;
  bool operator==(const Introduction&) const = default;
};

struct Hello {
  Introduction self;
  Summary known;
  bool operator==(const Hello&) const = default;
};
struct HelloAck {
  Introduction self;
  Summary summary;
  bool operator==(const HelloAck&) const = default;
};
/// The set is what the reader has already, under another revision.
struct SummaryMessage {
  Summary summary;
  bool operator==(const SummaryMessage&) const = default;
};
struct SnapshotPart {
  Revision revision;
  std::uint32_t part = 0;
  bool last = false;
  std::vector<Listing> entries;
  std::optional<SetDigest> digest;
  bool operator==(const SnapshotPart&) const = default;
};
struct DeltaPart {
  Revision to;
  std::uint64_t from = 0;
  std::uint32_t part = 0;
  bool last = false;
  std::vector<Listing> added;
  std::vector<Listing> updated;
  std::vector<std::string> removed;
  std::optional<SetDigest> digest;
  bool operator==(const DeltaPart&) const = default;
};
struct AnnounceAck {
  Revision revision;
  bool operator==(const AnnounceAck&) const = default;
};
struct SnapshotRequest {
  bool operator==(const SnapshotRequest&) const = default;
};
struct QueryRequest {
  std::string topic{};      ///< check_topic_pattern(); empty: any.
  std::string id{};         ///< Exactly; empty: any.
  std::string name{};       ///< name_matches() name or id; empty: any.
  std::uint32_t limit = 0;  ///< 0, or more than limits::Catalog::page_entries_max: so many.
  std::uint64_t offset = 0;
  bool operator==(const QueryRequest&) const = default;
};
struct QueryResult {
  std::vector<Listing> entries;
  std::uint64_t total = 0;
  Revision revision;
  bool operator==(const QueryResult&) const = default;
};
struct GetPeerInfo {
  bool operator==(const GetPeerInfo&) const = default;
};
struct PeerInfo {
  PeerId peer;
  std::string agent;
  Mode mode = Mode::kUnspecified;
  std::vector<std::string> protocols;
  Revision revision;
  std::uint64_t count = 0;
  std::chrono::milliseconds uptime{0};
  bool operator==(const PeerInfo&) const = default;
};
enum class GoodbyeReason : std::uint8_t {
  kUnspecified = 0,
  kShuttingDown = 1,
  kNotWanted = 2,
  kFull = 3,
  kRenew = 4,
};
struct Goodbye {
  GoodbyeReason reason = GoodbyeReason::kUnspecified;
  bool operator==(const Goodbye&) const = default;
};
enum class RefusalCode : std::uint8_t {
  kRefused = 0,
  kBadRequest = 1,
  kVersion = 2,
  kRateLimited = 3,
  kBusy = 4,
};
struct Refusal {
  RefusalCode code = RefusalCode::kRefused;
  std::string text;
  bool operator==(const Refusal&) const = default;
};

/// In the order of their numbers on the wire, from 1 on.
using Message = std::variant<Hello, HelloAck, SummaryMessage, SnapshotPart, DeltaPart, AnnounceAck,
                             SnapshotRequest, QueryRequest, QueryResult, GetPeerInfo, PeerInfo,
                             Goodbye, Refusal, NeedReport, NeedAnswer>;

/// Without the length in front.
Bytes encode_message(const Message& message);
/// Every listing has passed library::check_listing(). Of features, addresses and protocols those
/// that cannot be read, are too long or too many are left out; a mode, reason or code that is not
/// known counts as 0; a reason for a need that is not known as kError. Errors: kMalformed;
/// kTooLarge beyond `limits`; kUnsupported for a kind of message that is not known.
Result<Message> decode_message(BytesView bytes, const limits::Catalog& limits);

/// What `listing` takes in a message, at most.
std::size_t message_bytes_of(const Listing& listing);

}  // namespace warren::catalog

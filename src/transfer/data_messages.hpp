#pragma once
// The messages of /warren/data/1.0.0, checked. Wire: proto/data.proto and docs/protocols/data.md.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "multiformats/cid.hpp"

namespace warren::transfer {

inline constexpr std::string_view kDataProtocol = "/warren/data/1.0.0";

// ---------------------------------------------------------------------------------- requests

/// Answer: one FoundResponse.
struct FindRequest {
  std::string name;
  bool operator==(const FindRequest&) const = default;
};
/// Answer: one HoldingResponse.
struct HaveRequest {
  Cid root;
  /// Leaves that the asker knows of; the answer may wait until there are others.
  std::optional<std::uint64_t> known = std::nullopt;
  bool operator==(const HaveRequest&) const = default;
};
/// Answer: NodesResponses, then one DoneResponse. No cids: all nodes of the dataset.
struct NodesRequest {
  Cid root;
  std::vector<Cid> cids;
  bool operator==(const NodesRequest&) const = default;
};
/// Answer: SegmentResponses that cover [first_leaf, first_leaf + leaf_count) in order.
struct RangeRequest {
  Cid root;
  std::uint64_t first_leaf = 0;
  std::uint64_t leaf_count = 0;
  bool operator==(const RangeRequest&) const = default;
};
/// To any of them a RefusalResponse may be the answer instead.
using Request = std::variant<FindRequest, HaveRequest, NodesRequest, RangeRequest>;

// --------------------------------------------------------------------------------- responses

struct OfferedDataset {
  Cid root;
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  bool operator==(const OfferedDataset&) const = default;
};
struct FoundResponse {
  std::vector<OfferedDataset> datasets;
  bool operator==(const FoundResponse&) const = default;
};

enum class Extent : std::uint8_t { kNone = 0, kComplete = 1, kPartial = 2 };
/// To whom what is got from a holder may be passed on.
enum class Passing : std::uint8_t { kAnyone = 0, kLan = 1, kNobody = 2 };
struct HoldingResponse {
  Extent extent = Extent::kNone;
  std::string name;
  std::uint64_t leaf_count = 0;
  Bytes leaves;  ///< kPartial: ceil(leaf_count / 8) bytes, leaf i is bit i % 8 of byte i / 8.
  Passing passing = Passing::kAnyone;
  bool operator==(const HoldingResponse&) const = default;
};

struct NodeHeader {
  Cid cid;
  std::uint32_t bytes = 0;
  bool operator==(const NodeHeader&) const = default;
};
/// The bytes of the nodes follow the message in the same order.
struct NodesResponse {
  std::vector<NodeHeader> nodes;
  bool operator==(const NodesResponse&) const = default;
};

enum class Missing : std::uint8_t { kNo = 0, kNotHeld = 1, kChanged = 2, kUnreadable = 3 };
/// When `missing` is kNo, `bytes` raw bytes follow the message; otherwise `bytes` is 0.
struct SegmentResponse {
  std::uint64_t first_leaf = 0;
  std::uint64_t leaf_count = 0;
  std::uint64_t bytes = 0;
  Missing missing = Missing::kNo;
  bool operator==(const SegmentResponse&) const = default;
};

struct DoneResponse {
  bool operator==(const DoneResponse&) const = default;
};

enum class RefusalReason : std::uint8_t {
  kUnspecified = 0,
  kNotFound = 1,
  kBusy = 2,
  kBadRequest = 3,
};
struct RefusalResponse {
  RefusalReason reason = RefusalReason::kUnspecified;
  std::string text;
  bool operator==(const RefusalResponse&) const = default;
};
using Response = std::variant<FoundResponse, HoldingResponse, NodesResponse, SegmentResponse,
                              DoneResponse, RefusalResponse>;

// ------------------------------------------------------------------------------------- codec

/// Messages without their length prefix.
Bytes encode(const Request& request);
Bytes encode(const Response& response);

/// Errors: kMalformed (not protobuf, no kind, a bad CID, sums that overflow), kTooLarge (a count
/// or text beyond `limits`). Names and texts are checked to be UTF-8 without control characters by
/// whoever uses them, not here.
Result<Request> decode_request(BytesView message, const limits::Transfer& limits = {});
Result<Response> decode_response(BytesView message, const limits::Transfer& limits = {});

/// "not held", "changed at the peer", "unreadable at the peer".
std::string_view missing_text(Missing missing) noexcept;

}  // namespace warren::transfer

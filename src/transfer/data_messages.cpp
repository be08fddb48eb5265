#include "transfer/data_messages.hpp"

#include <limits>
#include <utility>

#include "proto/data.pb.h"
#include "wire/message.hpp"

namespace warren::transfer {
namespace {

namespace pb = proto::data;

constexpr std::uint64_t kLeavesMax = std::uint64_t{1}
                                     << 40;  // 2^60 bytes; keeps sums from wrapping.
constexpr std::size_t kNameBytesMax = 255;

std::string text_of(BytesView bytes) { return std::string(as_text(bytes)); }
std::string cid_text(const Cid& cid) { return text_of(cid.to_bytes()); }

Result<Cid> read_cid(const std::string& bytes) {
  Result<Cid> cid = Cid::from_bytes(as_bytes(bytes));
  if (!cid) return fail(ErrorCode::kMalformed, "data protocol: " + cid.error().message());
  return cid;
}

std::unexpected<Error> malformed(std::string text) {
  return fail(ErrorCode::kMalformed, "data protocol: " + std::move(text));
}

Result<> check_count(std::string_view what, std::uint64_t count, std::uint64_t max) {
  if (count <= max) return {};
  return fail(ErrorCode::kTooLarge, "data protocol: " + std::to_string(count) + " " +
                                        std::string(what) + ", at most " + std::to_string(max) +
                                        " are allowed");
}

Result<> check_range(std::uint64_t first, std::uint64_t count) {
  if (count == 0) return malformed("a range of no leaves");
  if (first <= kLeavesMax && count <= kLeavesMax) return {};
  return malformed("leaves from " + std::to_string(first) + ", " + std::to_string(count) +
                   " of them");
}

template <class Message>
Bytes serialize(const Message& message) {
  Bytes out(message.ByteSizeLong());
  message.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

// --------------------------------------------------------------------------------- encoding

void put(pb::Request& out, const FindRequest& request) {
  out.mutable_find()->set_name(request.name);
}
void put(pb::Request& out, const HaveRequest& request) {
  pb::Have& have = *out.mutable_have();
  have.set_root(cid_text(request.root));
  if (request.known) have.set_known(*request.known);
}
void put(pb::Request& out, const NodesRequest& request) {
  pb::GetNodes& nodes = *out.mutable_get_nodes();
  nodes.set_root(cid_text(request.root));
  for (const Cid& cid : request.cids) nodes.add_cids(cid_text(cid));
}
void put(pb::Request& out, const RangeRequest& request) {
  pb::GetRange& range = *out.mutable_get_range();
  range.set_root(cid_text(request.root));
  range.set_first_leaf(request.first_leaf);
  range.set_leaf_count(request.leaf_count);
}

void put(pb::Response& out, const FoundResponse& response) {
  pb::Found& found = *out.mutable_found();
  for (const OfferedDataset& dataset : response.datasets) {
    pb::Dataset& entry = *found.add_datasets();
    entry.set_root(cid_text(dataset.root));
    entry.set_name(dataset.name);
    entry.set_bytes(dataset.bytes);
    entry.set_files(dataset.files);
  }
}
void put(pb::Response& out, const HoldingResponse& response) {
  pb::Holding& holding = *out.mutable_holding();
  holding.set_extent(static_cast<pb::Holding::Extent>(response.extent));
  holding.set_name(response.name);
  holding.set_leaf_count(response.leaf_count);
  holding.set_leaves(text_of(response.leaves));
  holding.set_passing(static_cast<pb::Holding::Passing>(response.passing));
}
void put(pb::Response& out, const NodesResponse& response) {
  pb::Nodes& nodes = *out.mutable_nodes();
  for (const NodeHeader& header : response.nodes) {
    pb::Node& node = *nodes.add_nodes();
    node.set_cid(cid_text(header.cid));
    node.set_bytes(header.bytes);
  }
}
void put(pb::Response& out, const SegmentResponse& response) {
  pb::Segment& segment = *out.mutable_segment();
  segment.set_first_leaf(response.first_leaf);
  segment.set_leaf_count(response.leaf_count);
  segment.set_bytes(response.bytes);
  segment.set_missing(static_cast<pb::Segment::Missing>(response.missing));
}
void put(pb::Response& out, const DoneResponse&) { out.mutable_done(); }
void put(pb::Response& out, const RefusalResponse& response) {
  pb::Refusal& refusal = *out.mutable_refusal();
  refusal.set_reason(static_cast<pb::Refusal::Reason>(response.reason));
  refusal.set_text(response.text);
}

// --------------------------------------------------------------------------------- decoding

Result<Request> read_nodes_request(const pb::GetNodes& nodes, const limits::Transfer& limits) {
  const auto count = static_cast<std::size_t>(nodes.cids_size());
  WARREN_TRY_VOID(check_count("nodes asked for", count, limits.cids_per_request_max));
  WARREN_TRY(const Cid root, read_cid(nodes.root()));
  NodesRequest request{root, {}};
  request.cids.reserve(count);
  for (const std::string& bytes : nodes.cids()) {
    WARREN_TRY(const Cid cid, read_cid(bytes));
    request.cids.push_back(cid);
  }
  return request;
}

Result<Request> read_range_request(const pb::GetRange& range) {
  WARREN_TRY_VOID(check_range(range.first_leaf(), range.leaf_count()));
  WARREN_TRY(const Cid root, read_cid(range.root()));
  return RangeRequest{root, range.first_leaf(), range.leaf_count()};
}

Result<Response> read_found(const pb::Found& found, const limits::Transfer& limits) {
  const auto count = static_cast<std::size_t>(found.datasets_size());
  WARREN_TRY_VOID(check_count("datasets", count, limits.datasets_per_response_max));
  FoundResponse response;
  for (const pb::Dataset& dataset : found.datasets()) {
    WARREN_TRY_VOID(check_count("bytes of name", dataset.name().size(), kNameBytesMax));
    WARREN_TRY(const Cid root, read_cid(dataset.root()));
    response.datasets.push_back({root, dataset.name(), dataset.bytes(), dataset.files()});
  }
  return response;
}

Result<Response> read_holding(const pb::Holding& holding) {
  WARREN_TRY_VOID(check_count("bytes of name", holding.name().size(), kNameBytesMax));
  if (holding.extent() < 0 || holding.extent() > 2) {
    return malformed("unknown extent " + std::to_string(static_cast<int>(holding.extent())));
  }
  // A number of a later version is one more reason to be careful.
  const bool known = holding.passing() >= 0 && holding.passing() <= 2;
  HoldingResponse response{static_cast<Extent>(holding.extent()), holding.name(),
                           holding.leaf_count(), to_bytes(holding.leaves()),
                           known ? static_cast<Passing>(holding.passing()) : Passing::kNobody};
  if (response.leaf_count > kLeavesMax) return malformed("too many leaves");
  const std::uint64_t wanted =
      response.extent == Extent::kPartial ? (response.leaf_count + 7) / 8 : 0;
  if (response.leaves.size() != wanted) {
    return malformed("a bitmap of " + std::to_string(response.leaves.size()) +
                     " bytes in place of " + std::to_string(wanted));
  }
  return response;
}

Result<Response> read_nodes(const pb::Nodes& nodes, const limits::Transfer& limits) {
  const auto count = static_cast<std::size_t>(nodes.nodes_size());
  WARREN_TRY_VOID(check_count("nodes", count, limits.nodes_per_response_max));
  if (count == 0) return malformed("an answer of no nodes");
  NodesResponse response;
  response.nodes.reserve(count);
  for (const pb::Node& node : nodes.nodes()) {
    WARREN_TRY(const Cid cid, read_cid(node.cid()));
    response.nodes.push_back({cid, node.bytes()});
  }
  return response;
}

Result<Response> read_segment(const pb::Segment& segment) {
  WARREN_TRY_VOID(check_range(segment.first_leaf(), segment.leaf_count()));
  if (segment.missing() < 0 || segment.missing() > 3) {
    return malformed("unknown reason " + std::to_string(static_cast<int>(segment.missing())));
  }
  const SegmentResponse response{segment.first_leaf(), segment.leaf_count(), segment.bytes(),
                                 static_cast<Missing>(segment.missing())};
  if (response.missing != Missing::kNo && response.bytes != 0) {
    return malformed("missing leaves with bytes");
  }
  return response;
}

Result<Response> read_refusal(const pb::Refusal& refusal, const limits::Transfer& limits) {
  WARREN_TRY_VOID(
      check_count("bytes of text", refusal.text().size(), limits.refusal_text_bytes_max));
  const int reason = refusal.reason();
  return RefusalResponse{
      reason >= 0 && reason <= 3 ? static_cast<RefusalReason>(reason) : RefusalReason::kUnspecified,
      refusal.text()};
}

}  // namespace

Bytes encode(const Request& request) {
  pb::Request message;
  std::visit([&](const auto& kind) { put(message, kind); }, request);
  return serialize(message);
}

Bytes encode(const Response& response) {
  pb::Response message;
  std::visit([&](const auto& kind) { put(message, kind); }, response);
  return serialize(message);
}

Result<Request> decode_request(BytesView bytes, const limits::Transfer& limits) {
  pb::Request message;
  WARREN_TRY_VOID(
      wire::parse_into(message, bytes, "data request", {limits.request_bytes_max, 16, 8}));
  switch (message.kind_case()) {
    case pb::Request::kFind:
      WARREN_TRY_VOID(check_count("bytes of name", message.find().name().size(), kNameBytesMax));
      if (message.find().name().empty()) return malformed("an empty name");
      return FindRequest{message.find().name()};
    case pb::Request::kHave: {
      WARREN_TRY(const Cid root, read_cid(message.have().root()));
      HaveRequest request{root, std::nullopt};
      if (message.have().has_known()) request.known = message.have().known();
      return request;
    }
    case pb::Request::kGetNodes: return read_nodes_request(message.get_nodes(), limits);
    case pb::Request::kGetRange: return read_range_request(message.get_range());
    case pb::Request::KIND_NOT_SET: break;
  }
  return malformed("a request of no known kind");
}

Result<Response> decode_response(BytesView bytes, const limits::Transfer& limits) {
  pb::Response message;
  WARREN_TRY_VOID(
      wire::parse_into(message, bytes, "data response", {limits.response_bytes_max, 16, 8}));
  switch (message.kind_case()) {
    case pb::Response::kFound: return read_found(message.found(), limits);
    case pb::Response::kHolding: return read_holding(message.holding());
    case pb::Response::kNodes: return read_nodes(message.nodes(), limits);
    case pb::Response::kSegment: return read_segment(message.segment());
    case pb::Response::kDone: return DoneResponse{};
    case pb::Response::kRefusal: return read_refusal(message.refusal(), limits);
    case pb::Response::KIND_NOT_SET: break;
  }
  return malformed("an answer of no known kind");
}

std::string_view missing_text(Missing missing) noexcept {
  switch (missing) {
    case Missing::kNo: return "held";
    case Missing::kNotHeld: return "not held";
    case Missing::kChanged: return "changed at the peer";
    case Missing::kUnreadable: return "unreadable at the peer";
  }
  return "not held";
}

}  // namespace warren::transfer

#include "transfer/peer_session.hpp"

#include <algorithm>
#include <utility>

namespace warren::transfer {
namespace {

// What a block counts beyond its bytes, so that empty ones come to an end too.
constexpr std::uint64_t kNodeOverheadBytes = 64;

std::unexpected<Error> unexpected_answer() {
  return fail(ErrorCode::kMalformed, "the peer answered with another message than was asked for");
}

Error refusal_error(const RefusalResponse& refusal) {
  switch (refusal.reason) {
    case RefusalReason::kNotFound: return {ErrorCode::kNotFound, "the peer does not have it"};
    case RefusalReason::kBusy: return {ErrorCode::kLimited, "the peer is busy"};
    case RefusalReason::kBadRequest:
    case RefusalReason::kUnspecified: break;
  }
  return {ErrorCode::kDenied, "the peer refused the request"};
}

// The answer of kind T; a refusal or any other kind is an error.
template <class T>
Result<T> only(Result<Response> response) {
  if (!response) return fail(std::move(response).error());
  if (T* wanted = std::get_if<T>(&*response)) return std::move(*wanted);
  if (const auto* refusal = std::get_if<RefusalResponse>(&*response)) {
    return fail(refusal_error(*refusal));
  }
  return unexpected_answer();
}

}  // namespace

PeerSession::PeerSession(runtime::Runtime& runtime, swarm::ProtocolStream stream,
                         limits::Transfer limits)
    : runtime_(runtime), stream_(std::move(stream)), reader_(*stream_.stream), limits_(limits) {}

awaitable<Result<std::unique_ptr<PeerSession>>> PeerSession::open(swarm::Swarm& swarm, PeerId peer,
                                                                  limits::Transfer limits,
                                                                  TimePoint deadline) {
  std::vector<std::string> protocols(1, std::string(kDataProtocol));
  WARREN_CO_TRY(swarm::ProtocolStream stream,
                co_await swarm.open_stream(std::move(peer), std::move(protocols), deadline));
  co_return std::unique_ptr<PeerSession>(
      new PeerSession(swarm.runtime(), std::move(stream), limits));
}

awaitable<Result<>> PeerSession::send(Request request, TimePoint deadline) {
  const Bytes message = encode(request);
  co_return co_await transport::write_frame(*stream_.stream, message, deadline);
}

awaitable<Result<Response>> PeerSession::receive(TimePoint deadline) {
  WARREN_CO_TRY(const Bytes frame,
                co_await reader_.read_frame(limits_.response_bytes_max, deadline));
  co_return decode_response(frame, limits_);
}

awaitable<Result<FoundResponse>> PeerSession::find(std::string name, TimePoint deadline) {
  WARREN_CO_TRY_VOID(co_await send(FindRequest{std::move(name)}, deadline));
  Result<Response> response = co_await receive(deadline);
  co_return only<FoundResponse>(std::move(response));
}

awaitable<Result<HoldingResponse>> PeerSession::have(Cid root, std::optional<std::uint64_t> known,
                                                     TimePoint deadline) {
  WARREN_CO_TRY_VOID(co_await send(HaveRequest{root, known}, deadline));
  Result<Response> response = co_await receive(deadline);
  co_return only<HoldingResponse>(std::move(response));
}

awaitable<Result<>> PeerSession::fetch_tree(Cid root, content::TreeReader& tree,
                                            Duration first_time, Duration message_time) {
  // What another source gave already is not asked for again.
  NodesRequest request{root, tree.missing(limits_.cids_per_request_max)};
  if (request.cids.size() == 1 && request.cids.front() == root) request.cids.clear();
  while (!tree.complete()) {
    WARREN_CO_TRY(const std::size_t taken,
                  co_await fetch_nodes(std::move(request), tree, first_time, message_time));
    if (taken == 0 && !tree.complete()) {
      co_return fail(ErrorCode::kNotFound, "the peer has only a part of the tree");
    }
    request = NodesRequest{root, tree.missing(limits_.cids_per_request_max)};
  }
  co_return Result<>();
}

// Returns how many of the blocks were wanted.
awaitable<Result<std::size_t>> PeerSession::fetch_nodes(NodesRequest request,
                                                        content::TreeReader& tree,
                                                        Duration first_time,
                                                        Duration message_time) {
  WARREN_CO_TRY_VOID(co_await send(std::move(request), runtime_.now() + message_time));
  std::size_t taken = 0;
  std::uint64_t received = 0;
  // Only what brings the tree further gives the peer more time.
  const TimePoint began = runtime_.now();
  TimePoint deadline = began + first_time;
  for (;;) {
    WARREN_CO_TRY(const Response response, co_await receive(deadline));
    deadline = std::max(deadline, began + message_time);
    if (std::holds_alternative<DoneResponse>(response)) co_return taken;
    if (const auto* refusal = std::get_if<RefusalResponse>(&response)) {
      co_return fail(refusal_error(*refusal));
    }
    const auto* nodes = std::get_if<NodesResponse>(&response);
    if (nodes == nullptr) co_return unexpected_answer();
    for (const NodeHeader& header : nodes->nodes) {
      if (header.bytes > limits::Tree().block_bytes_max) {
        co_return fail(ErrorCode::kTooLarge, "a block of " + std::to_string(header.bytes) +
                                                 " bytes was announced, at most " +
                                                 std::to_string(limits::Tree().block_bytes_max) +
                                                 " are allowed");
      }
      received += header.bytes + kNodeOverheadBytes;
      if (received > limits::Tree().node_bytes_max) {
        co_return fail(ErrorCode::kTooLarge, "the peer sends blocks without end");
      }
      Bytes block(header.bytes);
      WARREN_CO_TRY_VOID(co_await reader_.read_exactly(block, deadline));
      // A source may send what another one has given already.
      if (!tree.wants(header.cid)) continue;
      Result<> added = tree.add(header.cid, std::move(block));
      if (!added) {
        dataset_is_bad_ = added.error().code() != ErrorCode::kIntegrity;
        co_return fail(std::move(added).error());
      }
      ++taken;
      deadline = runtime_.now() + message_time;
    }
  }
}

awaitable<Result<>> PeerSession::ask_range(RangeRequest request, TimePoint deadline) {
  co_return co_await send(std::move(request), deadline);
}

awaitable<Result<SegmentResponse>> PeerSession::read_segment(TimePoint deadline) {
  Result<Response> response = co_await receive(deadline);
  co_return only<SegmentResponse>(std::move(response));
}

awaitable<Result<>> PeerSession::read_bytes(MutableBytes out, TimePoint deadline) {
  co_return co_await reader_.read_exactly(out, deadline);
}

}  // namespace warren::transfer

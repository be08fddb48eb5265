#pragma once
// The asking side of one stream of /warren/data/1.0.0.

#include <memory>
#include <string>

#include "base/limits.hpp"
#include "content/tree_reader.hpp"
#include "swarm/swarm.hpp"
#include "transfer/data_messages.hpp"
#include "transport/frame_io.hpp"

namespace warren::transfer {

using runtime::awaitable;

/// One stream to one peer. Core thread; one call at a time. Any error but a refusal ends its use.
/// Errors of all: those of Stream; kMalformed and kTooLarge when the peer breaks the protocol;
/// kNotFound and kLimited when it refuses. Cancel: the session is of no further use.
class PeerSession {
 public:
  /// Errors: as Swarm::open_stream. `swarm` outlives it.
  static awaitable<Result<std::unique_ptr<PeerSession>>> open(swarm::Swarm& swarm, PeerId peer,
                                                              limits::Transfer limits,
                                                              TimePoint deadline);

  awaitable<Result<FoundResponse>> find(std::string name, TimePoint deadline);
  /// `known`: as in HaveRequest.
  awaitable<Result<HoldingResponse>> have(Cid root, std::optional<std::uint64_t> known,
                                          TimePoint deadline);
  /// Gives every block that the peer sends of the dataset to `tree`, which must outlive the call.
  /// Each message may take `message_time`, the first sign of one `first_time`. Errors also:
  /// kIntegrity; kNotFound when blocks are still missing at the end; what TreeReader::add says
  /// about the dataset, see dataset_is_bad().
  awaitable<Result<>> fetch_tree(Cid root, content::TreeReader& tree, Duration first_time,
                                 Duration message_time);
  /// Whether fetch_tree() failed for a reason that lies in the dataset, not in this peer.
  bool dataset_is_bad() const noexcept { return dataset_is_bad_; }
  awaitable<Result<>> ask_range(RangeRequest request, TimePoint deadline);
  /// The next answer to ask_range(): a segment, or a refusal as an error.
  awaitable<Result<SegmentResponse>> read_segment(TimePoint deadline);
  /// Raw bytes behind a segment.
  awaitable<Result<>> read_bytes(MutableBytes out, TimePoint deadline);

  const Multiaddr& remote_address() const { return stream_.connection->info().remote_address; }
  /// Ends it at once from outside: the pending call fails.
  void reset() { stream_.stream->reset(); }

 private:
  PeerSession(runtime::Runtime& runtime, swarm::ProtocolStream stream, limits::Transfer limits);
  awaitable<Result<>> send(Request request, TimePoint deadline);
  awaitable<Result<Response>> receive(TimePoint deadline);
  awaitable<Result<std::size_t>> fetch_nodes(NodesRequest request, content::TreeReader& tree,
                                             Duration first_time, Duration message_time);

  runtime::Runtime& runtime_;
  swarm::ProtocolStream stream_;
  transport::FrameReader reader_;
  limits::Transfer limits_;
  bool dataset_is_bad_ = false;
};

}  // namespace warren::transfer

#pragma once
// Drives the negotiation of negotiate/ over a stream, never reading past it.

#include <memory>
#include <string>
#include <vector>

#include "negotiate/multistream.hpp"
#include "transport/transport.hpp"

namespace warren::swarm {

using runtime::awaitable;

/// Agrees on one of `protocols` and returns it; the next byte read from `stream`, which must
/// outlive the call, is the protocol's own. Errors: as negotiate::Initiator; kClosed when the
/// peer ends the stream first; those of the stream. Cancel: the stream is of no further use.
awaitable<Result<std::string>> propose(transport::Stream& stream,
                                       std::vector<std::string> protocols, TimePoint deadline);

/// Writes the proposal of the one `protocol` and returns a stream on which it can be spoken at
/// once. The answer is taken off when the stream is first read: that read fails with kUnsupported
/// when the peer refused, and the stream is reset. From then on calls are passed through.
awaitable<Result<std::unique_ptr<transport::Stream>>> propose_without_waiting(
    std::unique_ptr<transport::Stream> stream, std::string protocol, TimePoint deadline);

/// Answers the peer's proposals until `responder` is done. Its last output, the echo, is left for
/// the caller to write or not. Both must outlive the call. Errors: as negotiate::Responder;
/// kClosed when the peer ends the stream first; those of the stream.
awaitable<Result<>> respond(transport::Stream& stream, negotiate::Responder& responder,
                            TimePoint deadline);

}  // namespace warren::swarm

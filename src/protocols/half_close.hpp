#pragma once
// The end of our side of a stream, so that every peer hears what came before it.

#include "swarm/swarm.hpp"

namespace warren::protocols {

/// Ends our side of `stream`, which runs on `connection`. Over Yamux the last bytes and the end may
/// reach the peer at once, while it still negotiates: js-libp2p 3.3 then resets the stream or drops
/// the bytes. So there the end goes out once the rest has arrived, one round trip later; QUIC's
/// waits for nothing. For a side that sends little and then waits for an answer to its end.
/// Errors, Cancel: as Stream::flush.
runtime::awaitable<Result<>> close_write_behind(transport::Stream& stream,
                                                const transport::ConnectionInfo& connection,
                                                TimePoint deadline);

}  // namespace warren::protocols

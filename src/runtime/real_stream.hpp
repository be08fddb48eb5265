#pragma once
// TCP as ByteStream and StreamListener.

#include "runtime/real_runtime.hpp"

namespace warren::runtime {

/// `runtime` must outlive the stream. Errors: kUnreachable, kTimedOut, kCancelled.
awaitable<Result<std::unique_ptr<ByteStream>>> connect_real_stream(RealRuntime& runtime,
                                                                   Endpoint to,
                                                                   TimePoint deadline);
Result<std::unique_ptr<StreamListener>> listen_real_stream(RealRuntime& runtime, Endpoint local);

}  // namespace warren::runtime

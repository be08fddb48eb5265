#pragma once
// One Warren node of one stack, with the protocols that the interop tests and benchmarks speak.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/keys.hpp"
#include "protocols/echo.hpp"
#include "protocols/half_close.hpp"
#include "protocols/identify.hpp"
#include "protocols/perf.hpp"
#include "protocols/ping.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/task_group.hpp"
#include "swarm/swarm.hpp"

namespace warren::interop {

using runtime::awaitable;
using swarm::ProtocolStream;
using transport::Stream;

inline constexpr std::string_view kSink = "/interop/sink/1.0.0";
inline constexpr std::string_view kHold = "/interop/hold/1.0.0";
inline constexpr std::string_view kAbortUpload = "/interop/abort-upload/1.0.0";
inline constexpr std::string_view kAbortDownload = "/interop/abort-download/1.0.0";
inline constexpr std::size_t kMiB = 1u << 20;
inline constexpr std::size_t kWriteBytes = 256u << 10;

/// What one stream to kSink brought. `ended` is empty while it runs, then "end" or "reset".
struct Sink {
  std::uint64_t bytes = 0;
  std::string ended;
};

/// Waits for many: each task calls done() once, one coroutine waits until all did.
class Countdown {
 public:
  Countdown(runtime::Runtime& runtime, std::size_t count)
      : left_(count), signal_(runtime.make_signal()) {}
  void done();
  awaitable<Result<>> wait(TimePoint deadline);

 private:
  std::size_t left_;
  std::unique_ptr<runtime::Signal> signal_;
};

class Node {
 public:
  /// `stack`: "quic-v1", "tcp+noise", "tcp+tls", "ws+noise", "ws+tls". Errors: kInvalidArgument;
  /// those of the transport.
  static Result<std::unique_ptr<Node>> make(runtime::RealRuntime& runtime, std::string_view stack,
                                            std::string_view ip, bool listen);
  Node(runtime::RealRuntime& runtime, crypto::PrivateKey key);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  awaitable<void> close();

  runtime::RealRuntime& runtime;
  crypto::PrivateKey key;
  swarm::Swarm swarm;
  protocols::IdentifyService identify;
  std::vector<std::shared_ptr<Sink>> sinks;
  /// Streams to kHold wait here.
  std::vector<std::shared_ptr<runtime::Signal>> held;

 private:
  void serve();
};

/// Sends `bytes`, in pieces.
awaitable<Result<>> write_all(Stream& stream, SharedBytes bytes, TimePoint deadline);

}  // namespace warren::interop

#pragma once
// /warren/goodbye/1.0.0: says why a connection is about to be closed. A hint that nothing depends
// on. Protocol: docs/protocols/goodbye.md.

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "swarm/swarm.hpp"

namespace warren::protocols {

using runtime::awaitable;

inline constexpr std::string_view kGoodbyeProtocol = "/warren/goodbye/1.0.0";
/// Longest message that is read.
inline constexpr std::size_t kGoodbyeBytesMax = 64;
/// A peer that asks to be left alone for longer is taken to have said this.
inline constexpr Duration kGoodbyeRetryMax = 1h;

/// The numbers stand on the wire.
enum class GoodbyeReason : std::uint8_t {
  kUnspecified = 0,  ///< Also whatever this build does not know.
  kShuttingDown = 1,
  kFull = 2,
  kBanned = 3,
  kFeelerDone = 4,
  kReplaced = 5,
};
/// "unspecified", "shutting down", "full", "banned", "feeler done", "replaced".
std::string_view goodbye_reason_name(GoodbyeReason reason) noexcept;

struct Goodbye {
  GoodbyeReason reason = GoodbyeReason::kUnspecified;
  /// Coming back earlier is of no use: 0 to kGoodbyeRetryMax, in whole milliseconds.
  Duration retry_after{};
  bool operator==(const Goodbye&) const = default;
};

/// Without the length in front.
Bytes encode_goodbye(const Goodbye& goodbye);
/// Errors: kMalformed.
Result<Goodbye> decode_goodbye(BytesView message);

using GoodbyeListener = std::function<void(const PeerId& peer, const Goodbye& goodbye)>;
/// Hears goodbyes from now on: one of each connection, the rest is refused. `listener` is called on
/// the core thread, before the connection goes.
void serve_goodbye(swarm::Swarm& swarm, GoodbyeListener listener);

/// What a goodbye before closing one connection may take, and one to all peers at the end.
inline constexpr Duration kGoodbyeTimeMax = 250ms;
inline constexpr Duration kGoodbyeToAllTimeMax = 300ms;

/// Says goodbye to a connected peer and waits until it was heard, at most until `deadline`
/// (kGoodbyeTimeMax from now is plenty). Best effort: failing is silent. The caller then closes the
/// connection. `swarm` must outlive the call. Cancel: safe.
awaitable<void> say_goodbye(swarm::Swarm& swarm, PeerId peer, Goodbye goodbye, TimePoint deadline);
/// The same to every connected peer, at the same time.
awaitable<void> say_goodbye_to_all(swarm::Swarm& swarm, Goodbye goodbye, TimePoint deadline);

}  // namespace warren::protocols

#pragma once
// TLS 1.3 on a byte stream as libp2p has it, without I/O: each side shows one self-signed
// certificate that proves its peer id (certificate.hpp), and the muxer is agreed on by ALPN.
// Source: libp2p specs, tls/tls.md; connections/inlined-muxer-negotiation.md; RFC 8446.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "security/secure_channel.hpp"

namespace warren::security {

/// How multistream-select names it.
inline constexpr std::string_view kTlsProtocol = "/tls/1.0.0";

/// The civil time, against which certificates are held: Runtime::wall_now.
using WallClock = std::function<WallTime()>;

/// Makes this node's certificate and the context that all its TLS connections share. `muxers`, in
/// order of preference, are offered within the handshake; "libp2p" behind them means that
/// multistream-select finds one. `now` is called now, and once in each handshake; it outlives what
/// is returned. Keys and nonces come from OpenSSL's generator. About 0.5 ms.
///
/// A handshake takes at most 64 KiB from the peer, and about 1 ms of computing on each side.
/// Errors: kInvalidArgument for a muxer's name that ALPN cannot hold (empty, beyond 255 bytes),
/// kInternal when OpenSSL fails.
Result<std::unique_ptr<SecurityProtocol>> make_tls_security(const crypto::PrivateKey& identity,
                                                            std::vector<std::string> muxers,
                                                            WallClock now);

}  // namespace warren::security

#pragma once
// libp2p over QUIC v1. Source: libp2p specs, quic/README.md; RFC 9000.

#include <memory>

#include "transport/quic/config.hpp"
#include "transport/transport.hpp"

namespace warren::transport::quic {

/// A transport for /ip4|ip6/.../udp/.../quic-v1. One UDP socket per listen address both listens and
/// dials, so that peers see the port that we listen on. `runtime` must outlive it.
/// Errors: kInternal when the TLS library refuses the certificate.
Result<std::unique_ptr<Transport>> make_quic_transport(runtime::Runtime& runtime,
                                                       const crypto::PrivateKey& identity,
                                                       QuicConfig config = {});

}  // namespace warren::transport::quic

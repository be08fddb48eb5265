#pragma once
// TLS 1.3 to a server that is known by a name and not by a peer id, as a browser dials it: what
// stands below WebSocket in /wss addresses. Without I/O. Proves no peer: libp2p's own security
// follows inside. Source: libp2p specs, websockets/README.md; RFC 8446; RFC 9525.

#include <memory>
#include <string>
#include <string_view>

#include "security/secure_channel.hpp"
#include "security/tls/tls_security.hpp"

namespace warren::security {

/// One handshake; driven as SecureHandshake is.
class WebHandshake {
 public:
  virtual ~WebHandshake() = default;
  virtual Bytes take_output() = 0;
  virtual std::size_t wants() const = 0;
  /// Errors: kIntegrity when no trusted authority vouches for the name, or the certificate is not
  /// valid now; else as SecureHandshake::feed.
  virtual Result<std::size_t> feed(BytesView in) = 0;
  virtual bool done() const = 0;
  /// Once, when done().
  virtual std::unique_ptr<SecureChannel> take_channel() = 0;
};

/// Which authorities are trusted; one per node.
class WebTls {
 public:
  /// `authorities` are certificates in PEM; empty: those of the system, which OpenSSL reads when it
  /// verifies. Errors: kInvalidArgument for PEM without a certificate, kInternal.
  static Result<std::unique_ptr<WebTls>> create(WallClock now, std::string_view authorities = {});
  ~WebTls();
  WebTls(const WebTls&) = delete;
  WebTls& operator=(const WebTls&) = delete;

  /// To the server `name`: a host name, which it is told (SNI), or an IP address, which must stand
  /// in its certificate.
  std::unique_ptr<WebHandshake> start(const std::string& name) const;

 private:
  WebTls();
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace warren::security

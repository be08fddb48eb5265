#pragma once
// HTTP on a Unix socket. One request for each connection; only the user who runs the node, and
// root, may speak.

#include <cstdint>
#include <memory>
#include <string>

#include "api/exchange.hpp"
#include "api/router.hpp"
#include "runtime/runtime.hpp"

namespace warren::api {

class Server {
 public:
  /// `runtime` must outlive the server.
  Server(runtime::Runtime& runtime, Router router, HttpLimits limits = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Listens at `path` with mode 0600. Whoever holds the instance lock owns that path: a socket
  /// left there is removed. Errors: of the system, naming the path.
  Result<> start(const std::string& path);
  /// Ends every request (its handler is cancelled) and removes the socket. Cancel: unsafe.
  awaitable<void> stop();

 private:
  class Listener;
  std::unique_ptr<Listener> listener_;
};

}  // namespace warren::api

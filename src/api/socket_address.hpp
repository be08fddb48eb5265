#pragma once
// A Unix socket's path in a form that fits the kernel's address.

#include <string>

#include "base/result.hpp"
#include "runtime/file.hpp"

namespace warren::api {

/// The kernel takes at most 107 bytes of path; a longer one is named through its open folder.
/// Source: unix(7).
struct SocketAddress {
  std::string path;           ///< For bind() and connect(); valid while `folder` is open.
  runtime::Directory folder;  ///< Open only when it is needed.
};

/// Errors: of the system when the folder cannot be opened.
Result<SocketAddress> socket_address(const std::string& path);

}  // namespace warren::api

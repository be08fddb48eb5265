#include "api/socket_address.hpp"

#include <fmt/format.h>
#include <sys/un.h>

namespace warren::api {

Result<SocketAddress> socket_address(const std::string& path) {
  if (path.size() < sizeof(sockaddr_un::sun_path)) return SocketAddress{.path = path, .folder = {}};
  const std::size_t slash = path.rfind('/');
  WARREN_TRY(runtime::Directory folder, runtime::Directory::open(path.substr(0, slash)));
  std::string short_path =
      fmt::format("/proc/self/fd/{}/{}", folder.fd(), std::string_view(path).substr(slash + 1));
  if (short_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorCode::kInvalidArgument, "the name of the socket is too long: " + path);
  }
  return SocketAddress{.path = std::move(short_path), .folder = std::move(folder)};
}

}  // namespace warren::api

#pragma once
// Where a node keeps its things: configuration, state, data and socket.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace warren::node {

struct Paths {
  std::string config_file;
  std::string state_dir;   ///< Identity, database, lock. Mode 0700.
  std::string data_dir;    ///< Where downloads go unless told otherwise.
  std::string socket_dir;  ///< Holds the socket only. Mode 0700.

  std::string identity_file() const { return state_dir + "/identity.pem"; }
  std::string database_file() const { return state_dir + "/warren.db"; }
  std::string socket() const { return socket_dir + "/api.sock"; }
};

/// The value of an environment variable; nullopt when unset or empty.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
Environment process_environment();

/// Everything under `home`: config.yaml, state/, data/, run/. A relative `home` is taken from the
/// working directory. Errors: kInvalidArgument when empty or with a NUL.
Result<Paths> paths_under(std::string_view home);

/// $XDG_CONFIG_HOME/warren/config.yaml, $XDG_STATE_HOME/warren, $XDG_DATA_HOME/warren,
/// $XDG_RUNTIME_DIR/warren, each with the default of the XDG Base Directory Specification 0.8;
/// without XDG_RUNTIME_DIR the socket lies in run/ of the state. A relative value is ignored, as
/// that specification asks. Errors: kInvalidArgument when HOME is needed and not set.
Result<Paths> xdg_paths(const Environment& environment);

/// Makes the state, data and socket directories where they are missing; those of state and socket
/// become 0700. Errors: of the system, naming the directory.
Result<> make_directories(const Paths& paths);

/// Makes `path` and the folders above it where they are missing. Blocks; any thread.
/// Errors: of the system, naming the directory.
Result<> ensure_directory(const std::string& path);

}  // namespace warren::node

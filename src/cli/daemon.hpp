#pragma once
// The node that `warren up` runs: the machine's runtime, QUIC, a Node and its API.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "node/config_reload.hpp"
#include "node/node_types.hpp"
#include "node/paths.hpp"

namespace warren::cli {

struct DaemonOptions {
  node::Paths paths;
  /// In force at the start.
  node::LoadedConfig config;
  /// Reads the configuration again, flags included. Blocks; called on a pool thread.
  node::ConfigReload::Load load;
};

/// How a run ended.
enum class DaemonEnd {
  kClean,    ///< Asked to stop, and everything was closed in time.
  kOverdue,  ///< Asked to stop; something did not end within the time for it.
  kAtOnce,   ///< Asked twice.
};

/// What a run tells of.
struct DaemonHooks {
  std::function<void(const node::NodeStatus&)> started;
  std::function<void()> stopping;
  /// The configuration was read again.
  node::ConfigReload::Told reloaded;
};

/// Runs a node until SIGINT or SIGTERM, or until its terminal is hung up; blocks. Reads the
/// configuration again when its file changes, on SIGHUP and when asked over the API. After kOverdue
/// and kAtOnce the process must end without destructors: tasks are still running, which is why
/// those two leave the objects of the run as they are. Errors: of the identity, the store, the
/// listeners and the socket; then nothing runs any more.
Result<DaemonEnd> run_daemon(const DaemonOptions& options, const DaemonHooks& hooks);

}  // namespace warren::cli

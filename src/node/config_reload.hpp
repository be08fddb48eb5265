#pragma once
// The configuration of a node that runs: reads the file again, says what has changed, and keeps
// the old settings in force while the file is wrong.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/config_schema.hpp"
#include "runtime/runtime.hpp"
#include "runtime/wait_list.hpp"

namespace warren::node {

/// What one reading did.
struct Reloaded {
  std::vector<std::string> applied;        ///< "mdns.enabled true -> false".
  std::vector<std::string> after_restart;  ///< "p2p.listen_addresses".
  bool anything() const { return !applied.empty() || !after_restart.empty(); }
};
/// "configuration reloaded: mdns.enabled true -> false; p2p.listen_addresses takes effect after a
/// restart". With nothing changed: "configuration reloaded: nothing has changed".
std::string reloaded_text(const Reloaded& reloaded);

/// Core thread only.
class ConfigReload {
 public:
  /// The file as it is now, with what flags say over it. Runs on the pool.
  using Load = std::function<Result<LoadedConfig>()>;
  /// Puts `after` into force; the keys that take effect after a restart are those of `before`.
  using Apply = std::function<runtime::awaitable<Result<>>(Config before, Config after)>;
  /// Told of each reading.
  using Told = std::function<void(const Result<Reloaded>&)>;

  /// `started` is in force. `runtime` must outlive this.
  ConfigReload(runtime::Runtime& runtime, LoadedConfig started, Load load, Apply apply, Told told);

  /// Reads the file and applies what is new. One call at a time; another one waits. Errors: of
  /// load(), and kNotFound when a file with something in it is gone or empty now: then nothing has
  /// changed; of apply(), which did what it could: the new settings count
  /// as in force. Cancel: safe between readings; one that has begun ends.
  runtime::awaitable<Result<Reloaded>> reload();

  const Config& in_force() const { return in_force_; }
  /// Every key: its value in force, its origin, and what it will be after a restart.
  std::vector<Effective> effective() const;
  /// Why the file as it is now is not in force; nothing when it is.
  const std::optional<Error>& problem() const { return problem_; }

 private:
  runtime::awaitable<Result<Reloaded>> read_and_apply();
  Reloaded take(LoadedConfig loaded);

  runtime::Runtime& runtime_;
  LoadedConfig file_;  // As last taken.
  Config in_force_;
  std::map<std::string, std::string, std::less<>> origins_;  // Of in_force_.
  std::optional<Error> problem_;
  Load load_;
  Apply apply_;
  Told told_;
  bool busy_ = false;
  runtime::WaitList waiting_;
};

}  // namespace warren::node

#pragma once
// One command's talk with the daemon: a call that Ctrl-C and --timeout end.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/client.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "node/paths.hpp"
#include "runtime/real_runtime.hpp"

namespace warren::cli {

class Session {
 public:
  /// `timeout`: of each call, in seconds.
  Session(Output& output, node::Paths paths, std::optional<double> timeout);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const node::Paths& paths() const { return paths_; }

  /// Asks and waits for the answer. After a second without a line it says on stderr what it waits
  /// for (unless `quiet`). Errors: as api::call; kCancelled after a signal (stopped_by() tells
  /// which); kTimedOut after the time of --timeout.
  Result<api::Json> call(api::Call call, api::OnLine on_line = {}, bool quiet = false);

  /// Called when SIGUSR1 comes during a call. Empty: nothing happens then.
  void on_status_wanted(std::function<void()> listener) { status_wanted_ = std::move(listener); }

  /// SIGINT or SIGTERM when one came; 0 otherwise.
  int stopped_by() const { return stopped_by_; }
  bool timed_out() const { return timed_out_; }

  /// Output::failure with the exit code of a signal or of --timeout where one ended the call.
  ExitCode failure(const Error& error, std::string_view item = {});

 private:
  struct Impl;

  Output& output_;
  node::Paths paths_;
  std::optional<double> timeout_;
  int stopped_by_ = 0;
  bool timed_out_ = false;
  std::function<void()> status_wanted_;
  std::unique_ptr<Impl> impl_;
};

/// What a command is given to work with.
struct Invocation {
  const Args& args;
  Output& output;
  const node::Paths& paths;
  Session& session;
  const node::Environment& environment;
};

/// For commands that ask once: calls, and on success hands the answer to `show` for people before
/// it becomes the JSON result.
ExitCode ask(Invocation& invocation, api::Call call, std::string_view item,
             const std::function<void(const api::Json&)>& show);

}  // namespace warren::cli

#pragma once
// Progress of long work, as a bar that is redrawn, as plain lines, or not at all.

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "cli/output.hpp"

namespace warren::cli {

/// What one progress line of the API says.
struct ProgressState {
  std::string name;         ///< Escaped.
  std::string phase;        ///< "hashing", "downloading", "finding_sources", ...
  std::string waiting_for;  ///< Escaped; empty when work goes on.
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;  ///< 0: not known yet.
  std::uint64_t bytes_reused = 0;
  std::uint64_t files_done = 0;
  std::uint64_t files_total = 0;
  std::optional<std::uint64_t> rate;  ///< Bytes a second.
  std::optional<double> eta;          ///< Seconds.
  double elapsed = 0;
  std::size_t peers = 0;
  std::size_t peers_lan = 0;
  std::size_t bad_chunks = 0;

  static ProgressState from(const nlohmann::json& line);
};

/// "model.bin  41.2%  1.4/3.4 GiB  112 MiB/s  ETA 18s  6 peers (4 lan, 2 wan)  [######----]" in at
/// most `columns` characters (0: no limit, and no bar); the less important parts give way first.
/// Source: quality statement TR-1.
std::string progress_line(const ProgressState& state, std::size_t columns);

enum class ProgressMode {
  kNone,
  kPlain,
  kBar,
};

class ProgressView {
 public:
  ProgressView(Output& output, ProgressMode mode, bool every_line)
      : output_(output), mode_(mode), every_line_(every_line) {}
  ~ProgressView() { end(); }
  ProgressView(const ProgressView&) = delete;
  ProgressView& operator=(const ProgressView&) = delete;

  /// Shows `line`, or not: a plain view shows the first one, each new phase, and then one each ten
  /// per cent or minute, whichever comes later. Source: TR-2.
  void update(const nlohmann::json& line);
  /// Shows the last state on a line of its own, in every mode. Source: TR-2, SIGUSR1.
  void show_now();
  /// Leaves the bar's line, so that other text starts on one of its own.
  void end();
  const std::optional<ProgressState>& last() const { return last_; }

 private:
  void plain(const ProgressState& state);

  Output& output_;
  ProgressMode mode_;
  bool every_line_;
  bool bar_shown_ = false;
  std::optional<ProgressState> last_;
  double shown_ratio_ = 0;
  double shown_elapsed_ = 0;
  std::string shown_phase_;
};

/// How progress is shown and how often it is asked for.
struct ProgressChoice {
  ProgressMode mode = ProgressMode::kPlain;
  double interval_seconds = 0.5;
  bool every_line = false;
};
/// `wanted` is the value of --progress, `frames` that of WARREN_PROGRESS_FPS; both may be empty.
/// Errors: kInvalidArgument.
Result<ProgressChoice> choose_progress(const Output& output, const std::string& wanted,
                                       const std::string& frames, bool dumb_terminal);

}  // namespace warren::cli

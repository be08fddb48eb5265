#include "cli/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/format.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::size_t kBarMin = 10;
constexpr std::size_t kBarMax = 30;
constexpr double kPlainStep = 0.1;
constexpr double kPlainSeconds = 60;

std::string text_of(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t number_of(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number_integer() || *found < 0) return 0;
  return found->get<std::uint64_t>();
}

double ratio_of(const ProgressState& state) {
  if (state.bytes_total == 0) return 0;
  return static_cast<double>(state.bytes_done) / static_cast<double>(state.bytes_total);
}

std::string peers_text(const ProgressState& state) {
  if (state.peers == 0) return {};
  std::string text = format_count(state.peers, "peer");
  const std::size_t wan = state.peers - state.peers_lan;
  if (wan == 0) return text + " (lan)";
  if (state.peers_lan == 0) return text + " (wan)";
  return text + fmt::format(" ({} lan, {} wan)", state.peers_lan, wan);
}

std::string bar(double ratio, std::size_t width) {
  const auto full =
      static_cast<std::size_t>(std::clamp(ratio, 0.0, 1.0) * static_cast<double>(width));
  return "[" + std::string(full, '#') + std::string(width - full, '-') + "]";
}

/// A part of the line; the highest number gives way first.
struct Part {
  std::string text;
  int gives_way = 0;
};

std::string join(const std::vector<Part>& parts) {
  std::string line;
  for (const Part& part : parts) {
    if (part.text.empty()) continue;
    if (!line.empty()) line += "  ";
    line += part.text;
  }
  return line;
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

ProgressState ProgressState::from(const nlohmann::json& line) {
  ProgressState state;
  state.name = node::escape_for_display(text_of(line, "name"));
  state.phase = text_of(line, "phase");
  state.waiting_for = node::escape_for_display(text_of(line, "waiting_for"), 120);
  state.bytes_done = number_of(line, "bytes_done");
  state.bytes_total = number_of(line, "bytes_total");
  state.bytes_reused = number_of(line, "bytes_reused");
  state.files_done = number_of(line, "files_done");
  state.files_total = number_of(line, "files_total");
  state.bad_chunks = number_of(line, "bad_chunks");
  if (line.contains("rate")) state.rate = number_of(line, "rate");
  if (line.contains("eta") && line["eta"].is_number()) state.eta = line["eta"].get<double>();
  if (line.contains("elapsed") && line["elapsed"].is_number()) {
    state.elapsed = line["elapsed"].get<double>();
  }
  if (line.contains("peers") && line["peers"].is_array()) {
    for (const auto& peer : line["peers"]) {
      if (!peer.is_object() || !peer.value("connected", false)) continue;
      ++state.peers;
      if (text_of(peer, "path").starts_with("lan/")) ++state.peers_lan;
    }
  }
  return state;
}

std::string progress_line(const ProgressState& state, std::size_t columns) {
  std::vector<Part> parts;
  std::string phase = state.phase;
  std::ranges::replace(phase, '_', ' ');
  parts.push_back({state.name, 0});
  const bool counting =
      phase == "downloading" || phase == "verifying" || phase == "hashing" || phase == "done";
  if (phase != "downloading" && phase != "done") parts.push_back({phase, 0});
  if (!counting) parts.push_back({state.waiting_for, 3});
  if (state.bytes_total > 0) {
    parts.push_back({format_percent(state.bytes_done, state.bytes_total), 0});
    parts.push_back({format_share_of(state.bytes_done, state.bytes_total), 1});
  } else if (phase == "walking" || phase == "hashing") {
    parts.push_back({format_count(state.files_total, "file"), 1});
  }
  if (counting && state.rate) {
    parts.push_back({runtime::human_bytes(*state.rate) + "/s", 1});
    parts.push_back({"ETA " + (state.eta ? format_duration(*state.eta) : std::string("--")), 2});
  }
  if (state.files_total > 1 && state.bytes_total > 0) {
    parts.push_back({fmt::format("{} of {} files", state.files_done, state.files_total), 3});
  }
  parts.push_back({peers_text(state), 4});
  if (state.bytes_reused > 0) {
    parts.push_back({runtime::human_bytes(state.bytes_reused) + " already here", 5});
  }
  if (state.bad_chunks > 0) {
    parts.push_back({format_count(state.bad_chunks, "bad chunk") + " (refetched)", 2});
  }
  if (columns == 0) return join(parts);

  for (int weakest = 5; weakest > 0 && columns_of(join(parts)) > columns; --weakest) {
    std::erase_if(parts, [&](const Part& part) { return part.gives_way == weakest; });
  }
  std::string line = join(parts);
  const std::size_t used = columns_of(line);
  if (used > columns) return node::escape_for_display(line, columns);
  if (counting && state.bytes_total > 0 && columns >= used + 2 + kBarMin + 2) {
    line += "  " + bar(ratio_of(state), std::min(kBarMax, columns - used - 4));
  }
  return line;
}

void ProgressView::update(const nlohmann::json& line) {
  ProgressState state = ProgressState::from(line);
  switch (mode_) {
    case ProgressMode::kNone: break;
    case ProgressMode::kPlain: plain(state); break;
    case ProgressMode::kBar: {
      const int columns = output_.terminal().columns ? output_.terminal().columns() : 80;
      // One column stays free: some terminals wrap a full line.
      output_.terminal().err << '\r'
                             << progress_line(state,
                                              static_cast<std::size_t>(std::max(columns - 1, 20)))
                             << "\x1b[K" << std::flush;
      bar_shown_ = true;
      break;
    }
  }
  last_ = std::move(state);
}

void ProgressView::plain(const ProgressState& state) {
  const double ratio = ratio_of(state);
  const bool step =
      ratio >= shown_ratio_ + kPlainStep && state.elapsed >= shown_elapsed_ + kPlainSeconds;
  if (last_ && !every_line_ && !step && state.phase == shown_phase_) return;
  shown_ratio_ = ratio;
  shown_elapsed_ = state.elapsed;
  shown_phase_ = state.phase;
  output_.note(progress_line(state, 0));
}

void ProgressView::show_now() {
  end();
  output_.note(last_ ? progress_line(*last_, 0) : "nothing is known yet");
}

void ProgressView::end() {
  if (std::exchange(bar_shown_, false)) output_.terminal().err << '\n' << std::flush;
}

Result<ProgressChoice> choose_progress(const Output& output, const std::string& wanted,
                                       const std::string& frames, bool dumb_terminal) {
  ProgressChoice choice;
  const bool terminal = output.terminal().err_is_terminal && !dumb_terminal;
  if (wanted.empty()) {
    if (output.json()) {
      choice.mode = ProgressMode::kNone;
    } else {
      choice.mode = terminal ? ProgressMode::kBar : ProgressMode::kPlain;
    }
  } else if (wanted == "none") {
    choice.mode = ProgressMode::kNone;
  } else if (wanted == "plain") {
    choice.mode = ProgressMode::kPlain;
  } else if (wanted == "bar") {
    choice.mode = ProgressMode::kBar;
  } else {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--progress must be none, plain or bar; found '{}'",
                            node::escape_for_display(wanted)));
  }
  if (choice.mode == ProgressMode::kBar) choice.interval_seconds = 0.1;
  if (!frames.empty()) {
    double per_second = 0;
    const auto [end, code] =
        std::from_chars(frames.data(), frames.data() + frames.size(), per_second);
    if (code != std::errc{} || end != frames.data() + frames.size() || !(per_second > 0)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("WARREN_PROGRESS_FPS must be a number above 0; found '{}'",
                              node::escape_for_display(frames)));
    }
    choice.interval_seconds = std::clamp(1 / per_second, 0.05, 60.0);
    choice.every_line = true;
  }
  return choice;
}

}  // namespace warren::cli

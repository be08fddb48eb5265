#include "cli/progress.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace warren::cli {
namespace {

using nlohmann::json;

ProgressState half_way() {
  ProgressState state;
  state.name = "model.bin";
  state.phase = "downloading";
  state.bytes_done = 1503238553;
  state.bytes_total = 3650722201;
  state.files_total = 1;
  state.rate = 117'440'512;
  state.eta = 18.4;
  state.peers = 6;
  state.peers_lan = 4;
  return state;
}

TEST(Progress, TheLineHasAllThatIsKnown) {
  EXPECT_EQ(progress_line(half_way(), 100),
            "model.bin  41.1%  1.4/3.4 GiB  112 MiB/s  ETA 18s  6 peers (4 lan, 2 wan)  "
            "[#########--------------]");
}

TEST(Progress, TheLessImportantPartsGiveWayFirst) {
  EXPECT_EQ(progress_line(half_way(), 60), "model.bin  41.1%  1.4/3.4 GiB  112 MiB/s  ETA 18s");
  EXPECT_EQ(progress_line(half_way(), 45), "model.bin  41.1%  1.4/3.4 GiB  112 MiB/s");
  EXPECT_EQ(progress_line(half_way(), 20), "model.bin  41.1%");
  for (std::size_t columns = 20; columns < 150; ++columns) {
    EXPECT_LE(progress_line(half_way(), columns).size(), columns);
  }
}

TEST(Progress, ManyFilesReusedBytesAndBadChunksAreSaid) {
  ProgressState state = half_way();
  state.files_total = 943;
  state.files_done = 317;
  state.bytes_reused = 812u << 20;
  state.bad_chunks = 1;
  state.eta.reset();
  EXPECT_EQ(progress_line(state, 0),
            "model.bin  41.1%  1.4/3.4 GiB  112 MiB/s  ETA --  317 of 943 files  "
            "6 peers (4 lan, 2 wan)  812 MiB already here  1 bad chunk (refetched)");
}

TEST(Progress, APhaseThatWaitsSaysForWhat) {
  ProgressState state;
  state.name = "photos";
  state.phase = "finding_sources";
  state.waiting_for = "a peer that has it";
  EXPECT_EQ(progress_line(state, 80), "photos  finding sources  a peer that has it");
}

class ProgressViewTest : public ::testing::Test {
 protected:
  static json line(std::string phase, int percent, double elapsed) {
    return json{{"type", "progress"},    {"name", "x"},        {"phase", phase},
                {"bytes_done", percent}, {"bytes_total", 100}, {"elapsed", elapsed}};
  }
  std::ostringstream out_;
  std::ostringstream err_;
  Output output_{Terminal{.out = out_, .err = err_}, false, "get", true};
};

TEST_F(ProgressViewTest, PlainLinesAreFew) {
  {
    ProgressView view(output_, ProgressMode::kPlain, false);
    for (int i = 0; i <= 100; ++i) view.update(line("downloading", i, i * 2.0));
  }
  // The first one, and one each minute: ten per cent are passed sooner than that.
  EXPECT_EQ(err_.str(),
            "x  0.0%  0/100 B\nx  30.0%  30/100 B\nx  60.0%  60/100 B\nx  90.0%  90/100 B\n");
  EXPECT_EQ(out_.str(), "");
}

TEST_F(ProgressViewTest, ANewPhaseIsSaidAtOnce) {
  ProgressView view(output_, ProgressMode::kPlain, false);
  view.update(line("metadata", 0, 0));
  view.update(line("downloading", 0, 0.1));
  view.update(line("downloading", 1, 0.2));
  EXPECT_EQ(err_.str(), "x  metadata  0.0%  0/100 B\nx  0.0%  0/100 B\n");
}

TEST_F(ProgressViewTest, ABarStaysOnOneLineAndLeavesIt) {
  {
    ProgressView view(output_, ProgressMode::kBar, false);
    view.update(line("downloading", 50, 1));
    view.update(line("downloading", 60, 2));
    EXPECT_EQ(err_.str().find('\n'), std::string::npos);
  }
  EXPECT_TRUE(err_.str().ends_with("\x1b[K\n"));
}

TEST_F(ProgressViewTest, TheStateCanBeAskedForInEveryMode) {
  ProgressView view(output_, ProgressMode::kNone, false);
  view.show_now();
  view.update(line("downloading", 50, 1));
  view.show_now();
  EXPECT_EQ(err_.str(), "nothing is known yet\nx  50.0%  50/100 B\n");
}

TEST_F(ProgressViewTest, NamesFromTheNetworkCannotDriveTheTerminal) {
  ProgressView view(output_, ProgressMode::kPlain, false);
  json hostile = line("downloading", 1, 1);
  hostile["name"] = "\x1b]0;gotcha\x07";
  view.update(hostile);
  EXPECT_EQ(err_.str().find('\x1b'), std::string::npos);
  EXPECT_EQ(err_.str().find('\x07'), std::string::npos);
}

TEST_F(ProgressViewTest, TheModeFollowsTheTerminalUnlessSaidOtherwise) {
  Output terminal(Terminal{.out = out_, .err = err_, .err_is_terminal = true}, false, "", true);
  Output in_json(Terminal{.out = out_, .err = err_, .err_is_terminal = true}, true, "", true);
  EXPECT_EQ(choose_progress(terminal, "", "", false)->mode, ProgressMode::kBar);
  EXPECT_EQ(choose_progress(terminal, "", "", true)->mode, ProgressMode::kPlain);
  EXPECT_EQ(choose_progress(output_, "", "", false)->mode, ProgressMode::kPlain);
  EXPECT_EQ(choose_progress(in_json, "", "", false)->mode, ProgressMode::kNone);
  EXPECT_EQ(choose_progress(terminal, "none", "", false)->mode, ProgressMode::kNone);
  EXPECT_EQ(choose_progress(output_, "", "4", false)->interval_seconds, 0.25);
  EXPECT_FALSE(choose_progress(output_, "fancy", "", false));
  EXPECT_FALSE(choose_progress(output_, "", "often", false));
  EXPECT_FALSE(choose_progress(output_, "", "0", false));
}

}  // namespace
}  // namespace warren::cli

#include "node/paths.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "node/testing/temporary_directory.hpp"

namespace warren::node {
namespace {

Environment from(std::map<std::string, std::string, std::less<>> values) {
  return [values](std::string_view name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

TEST(Paths, HomePutsEverythingUnderOneDirectory) {
  const auto paths = paths_under("/srv/w/./x/../node/");
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->config_file, "/srv/w/node/config.yaml");
  EXPECT_EQ(paths->state_dir, "/srv/w/node/state");
  EXPECT_EQ(paths->data_dir, "/srv/w/node/data");
  EXPECT_EQ(paths->socket(), "/srv/w/node/run/api.sock");
  EXPECT_EQ(paths->database_file(), "/srv/w/node/state/warren.db");
}

TEST(Paths, ARelativeHomeIsTakenFromTheWorkingDirectory) {
  const auto paths = paths_under("a");
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->config_file, std::filesystem::current_path().string() + "/a/config.yaml");
}

TEST(Paths, AnEmptyHomeIsRefused) {
  const auto paths = paths_under("");
  ASSERT_FALSE(paths);
  EXPECT_EQ(paths.error().code(), ErrorCode::kInvalidArgument);
}

TEST(Paths, XdgDefaultsStandUnderHome) {
  const auto paths = xdg_paths(from({{"HOME", "/home/a"}}));
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->config_file, "/home/a/.config/warren/config.yaml");
  EXPECT_EQ(paths->state_dir, "/home/a/.local/state/warren");
  EXPECT_EQ(paths->data_dir, "/home/a/.local/share/warren");
  EXPECT_EQ(paths->socket(), "/home/a/.local/state/warren/run/api.sock");
}

TEST(Paths, XdgVariablesWinUnlessRelative) {
  const auto paths = xdg_paths(from({{"HOME", "/home/a"},
                                     {"XDG_CONFIG_HOME", "/c"},
                                     {"XDG_STATE_HOME", "relative"},
                                     {"XDG_DATA_HOME", "/d"},
                                     {"XDG_RUNTIME_DIR", "/run/user/1"}}));
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->config_file, "/c/warren/config.yaml");
  EXPECT_EQ(paths->state_dir, "/home/a/.local/state/warren");
  EXPECT_EQ(paths->data_dir, "/d/warren");
  EXPECT_EQ(paths->socket(), "/run/user/1/warren/api.sock");
}

TEST(Paths, WithoutHomeTheErrorSaysWhatToDo) {
  const auto paths = xdg_paths(from({}));
  ASSERT_FALSE(paths);
  EXPECT_NE(paths.error().hint().find("--home"), std::string::npos);
}

TEST(Paths, DirectoriesAreMadePrivate) {
  const testing::TemporaryDirectory home;
  const auto paths = paths_under(home.path() + "/deep/node");
  ASSERT_TRUE(paths);
  ASSERT_TRUE(make_directories(*paths));
  ASSERT_TRUE(make_directories(*paths)) << "the second time is no error";
  struct stat seen{};
  ASSERT_EQ(::stat(paths->socket_dir.c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 0777u, 0700u);
  ASSERT_EQ(::stat(paths->state_dir.c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 0777u, 0700u);
}

TEST(Paths, AFileInTheWayIsNamed) {
  const testing::TemporaryDirectory home;
  home.write("state", "a file");
  const auto paths = paths_under(home.path());
  ASSERT_TRUE(paths);
  const auto made = make_directories(*paths);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message().find(paths->state_dir), std::string::npos);
}

}  // namespace
}  // namespace warren::node

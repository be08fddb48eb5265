#include "cli/app.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.hpp"
#include "cli/help.hpp"
#include "node/config.hpp"
#include "node/instance_lock.hpp"
#include "node/testing/temporary_directory.hpp"

namespace warren::cli {
namespace {

using nlohmann::json;
using node::testing::TemporaryDirectory;

struct Ran {
  int code = 0;
  std::string out;
  std::string err;

  /// The JSON lines of stdout.
  std::vector<json> lines() const {
    std::vector<json> all;
    std::istringstream text(out);
    for (std::string line; std::getline(text, line);) {
      all.push_back(json::parse(line, nullptr, false));
      EXPECT_FALSE(all.back().is_discarded()) << line;
    }
    return all;
  }
};

Ran run_words(std::vector<std::string> words) {
  std::ostringstream out;
  std::ostringstream err;
  const auto no_environment = [](std::string_view) { return std::optional<std::string>(); };
  const ExitCode code = run(std::move(words), Terminal{.out = out, .err = err}, no_environment);
  return {static_cast<int>(code), out.str(), err.str()};
}

/// A command line of `command` that is well-formed.
std::vector<std::string> sample(const CommandSpec& command, const std::string& home) {
  std::vector<std::string> words{"--home", home, "--json"};
  std::istringstream name{std::string(command.name)};
  for (std::string word; name >> word;) words.push_back(word);
  for (const OptionSpec& option : command.options) {
    if (option.is_argument() && option.required) words.push_back("x");
  }
  return words;
}

/// Every command that runs, verbs included.
std::vector<CommandSpec> all_commands() {
  std::vector<CommandSpec> all;
  for (const CommandSpec& command : commands()) {
    if (command.run != nullptr) all.push_back(command);
    all.insert(all.end(), command.verbs.begin(), command.verbs.end());
  }
  return all;
}

/// The exit code of `command` where no node runs and nothing is there.
int code_without_a_node(std::string_view command) {
  for (const std::string_view alone :
       {"config check", "config show", "config default", "config path"}) {
    if (command == alone) return 0;
  }
  // The harness of `interop` gives it an environment; there is none here.
  return command == "id" ? 4 : command == "interop" ? 2 : 6;
}

TEST(App, WithoutWordsItSaysWhatItIsInTwentyFiveLines) {
  const Ran ran = run_words({});
  EXPECT_EQ(ran.code, 0);
  EXPECT_LE(std::ranges::count(ran.out, '\n'), 25);
  EXPECT_NE(ran.out.find("warren share"), std::string::npos);
  EXPECT_EQ(ran.err, "");
}

TEST(App, HelpGoesToStdoutAndEndsWell) {
  const Ran all = run_words({"--help"});
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.err, "");
  EXPECT_NE(all.out.find("Usage: warren"), std::string::npos);
  for (const CommandSpec& command : commands()) {
    const bool listed = all.out.find("\n  " + std::string(command.name) + " ") != std::string::npos;
    EXPECT_NE(listed, command.hidden) << command.name;
    const Ran one = run_words({std::string(command.name), "--help"});
    EXPECT_EQ(one.code, 0) << command.name;
    EXPECT_NE(one.out.find("Usage: warren " + std::string(command.name)), std::string::npos);
    for (const OptionSpec& option : command.options) {
      EXPECT_NE(one.out.find(option.help), std::string::npos) << option.name;
    }
  }
  for (const std::string_view topic : help_topics()) {
    EXPECT_EQ(run_words({"help", std::string(topic)}).code, 0) << topic;
  }
}

TEST(App, AUsageErrorGoesToStderrWithExitCodeTwo) {
  const Ran ran = run_words({"bogus"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "warren: there is no command 'bogus'\nnext: 'warren --help' lists the commands\n");
  EXPECT_EQ(run_words({"help", "nonsense"}).code, 2);
}

TEST(App, AUsageErrorInJsonIsAnErrorAndAResult) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--json", "bogus"}, {"share", "--json"}, {"--json"}}) {
    const Ran ran = run_words(words);
    EXPECT_EQ(ran.code, 2);
    const auto lines = ran.lines();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0]["type"], "error");
    EXPECT_EQ(lines[0]["code"], 2);
    EXPECT_EQ(lines[0]["name"], "invalid_argument");
    EXPECT_EQ(lines[1]["type"], "result");
    EXPECT_EQ(lines[1]["ok"], false);
    EXPECT_EQ(lines[1]["code"], 2);
    EXPECT_TRUE(ran.out.find("{\"type\":\"result\",\"v\":1,\"ok\":false,\"code\":2") !=
                std::string::npos);
  }
}

TEST(App, EveryCommandWithoutADaemonEndsInOneResultLine) {
  const TemporaryDirectory home;
  for (const CommandSpec& command : all_commands()) {
    // Doctor works without a node, and what it says depends on the machine.
    if (command.name == "up" || command.name == "doctor") continue;
    const Ran ran = run_words(sample(command, home.path()));
    const int expected = code_without_a_node(command.name);
    EXPECT_EQ(ran.code, expected) << command.name << ": " << ran.err;
    const auto lines = ran.lines();
    if (expected == 0) {
      ASSERT_EQ(lines.size(), 1u) << command.name;
      EXPECT_EQ(lines[0]["ok"], true);
      continue;
    }
    ASSERT_EQ(lines.size(), command.streams ? 2u : 1u) << command.name;
    const json& result = lines.back();
    EXPECT_EQ(result["type"], "result");
    EXPECT_EQ(result["v"], 1);
    EXPECT_EQ(result["ok"], false);
    EXPECT_EQ(result["code"], expected);
    for (const char* field : {"code", "name", "message", "item", "hint", "retryable"}) {
      EXPECT_TRUE(result["error"].contains(field)) << field;
    }
    EXPECT_NE(ran.err, "") << command.name;
  }
}

TEST(App, ABadConfigurationIsRefusedWithItsPlace) {
  const TemporaryDirectory home;
  home.write("config.yaml", "p2p:\n  measur: off\n");
  const Ran ran = run_words({"--home", home.path(), "up", "--json"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(
      ran.err.find(home.path() + "/config.yaml:2:3: unknown key 'measur'; did you mean 'measure'?"),
      std::string::npos)
      << ran.err;
  EXPECT_EQ(ran.lines().back()["code"], 2);
}

TEST(App, TheDefaultConfigurationIsOneThatCheckTakes) {
  const TemporaryDirectory home;
  const Ran printed = run_words({"--home", home.path(), "config", "default"});
  EXPECT_EQ(printed.code, 0);
  const std::string file = home.write("printed.yaml", printed.out);
  const Ran checked = run_words({"config", "check", "--home", home.path(), "--json", file});
  EXPECT_EQ(checked.code, 0) << checked.err;
  EXPECT_EQ(checked.lines().back()["exists"], true);
}

TEST(App, ConfigCheckNamesThePlaceAndExitsWith2) {
  const TemporaryDirectory home;
  EXPECT_EQ(run_words({"--home", home.path(), "config", "check"}).code, 0) << "no file: defaults";
  EXPECT_EQ(run_words({"--home", home.path(), "config", "check", "/nowhere.yaml"}).code, 4);
  home.write("config.yaml", "beacon:\n  interval: 3s\n");
  const Ran ran = run_words({"--home", home.path(), "--json", "config", "check"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("/config.yaml:2:13: 'beacon.timeout' (5s) must be at least twice"),
            std::string::npos)
      << ran.err;
  EXPECT_EQ(ran.lines().back()["error"]["item"], home.path() + "/config.yaml");
}

TEST(App, ConfigShowWithoutANodeShowsTheFileAndWhereValuesComeFrom) {
  const TemporaryDirectory home;
  home.write("config.yaml", "log: {level: info}\n");
  const Ran text = run_words({"--home", home.path(), "config", "show", "--origin"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("beacon.interval"), std::string::npos);
  EXPECT_NE(text.out.find("/config.yaml:1"), std::string::npos) << text.out;
  const Ran ran = run_words({"--home", home.path(), "config", "show", "--json"});
  ASSERT_EQ(ran.lines().size(), 1u);
  for (const json& one : ran.lines()[0]["settings"]) {
    if (one["key"] == "beacon.interval") EXPECT_EQ(one["value"], 2.0);
    if (one["key"] == "limits.memory") EXPECT_EQ(one["value"], 128u << 20);
    if (one["key"] == "mdns.enabled") EXPECT_EQ(one["value"], true);
    if (one["key"] == "log.level") EXPECT_EQ(one["origin"], home.path() + "/config.yaml:1");
  }
}

TEST(App, ABadListenAddressIsRefused) {
  const TemporaryDirectory home;
  const Ran ran = run_words({"--home", home.path(), "up", "--listen", "here"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("--listen: "), std::string::npos) << ran.err;
}

TEST(App, ASecondDaemonOnTheSameStateIsToldWhoRuns) {
  const TemporaryDirectory home;
  const auto paths = node::paths_under(home.path());
  ASSERT_TRUE(node::make_directories(*paths));
  const auto lock = node::InstanceLock::acquire(paths->state_dir);
  ASSERT_TRUE(lock);
  const Ran ran = run_words({"--home", home.path(), "up"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("process " + std::to_string(::getpid())), std::string::npos) << ran.err;
}

TEST(App, WithoutAHomeFolderTheErrorSaysWhatToDo) {
  const Ran ran = run_words({"status"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("--home"), std::string::npos);
}

}  // namespace
}  // namespace warren::cli

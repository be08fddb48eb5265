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
  std::vector<std::string> words{"--home", home, "--json", std::string(command.name)};
  for (const OptionSpec& option : command.options) {
    if (option.is_argument()) words.push_back("x");
  }
  return words;
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
  for (const CommandSpec& command : commands()) {
    if (command.name == "up") continue;
    const Ran ran = run_words(sample(command, home.path()));
    // The harness of `interop` gives it an environment; there is none here.
    const int expected = command.name == "id" ? 4 : command.name == "interop" ? 2 : 6;
    EXPECT_EQ(ran.code, expected) << command.name << ": " << ran.err;
    const auto lines = ran.lines();
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
  home.write("config.yaml", "p2p:\n  mnds: true\n");
  const Ran ran = run_words({"--home", home.path(), "up", "--json"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(
      ran.err.find(home.path() + "/config.yaml:2:3: unknown key 'mnds'; did you mean 'mdns'?"),
      std::string::npos)
      << ran.err;
  EXPECT_EQ(ran.lines().back()["code"], 2);
}

TEST(App, TheConfigurationInHelpIsThatOfTheDefaults) {
  const std::string text = help_on_topic("files").value();
  const std::string_view mark = "with the defaults:\n\n";
  const auto config = node::parse_config(text.substr(text.find(mark) + mark.size()), "help");
  ASSERT_TRUE(config) << config.error().message();
  const node::Config defaults;
  EXPECT_EQ(config->listen_addresses, node::default_listen_addresses());
  EXPECT_EQ(config->mdns_enabled, defaults.mdns_enabled);
  EXPECT_EQ(config->connections_max, defaults.connections_max);
  EXPECT_EQ(config->memory_bytes_max, defaults.memory_bytes_max);
  EXPECT_EQ(config->transfers_max, defaults.transfers_max);
  EXPECT_EQ(config->log_level, defaults.log_level);
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

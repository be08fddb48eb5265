#include "cli/parser.hpp"

#include <gtest/gtest.h>

namespace warren::cli {
namespace {

const ParsedCommand& command_of(const Result<Parsed>& parsed) {
  static const ParsedCommand kNone;
  if (!parsed || !std::holds_alternative<ParsedCommand>(*parsed)) return kNone;
  return std::get<ParsedCommand>(*parsed);
}

std::string error_of(std::vector<std::string> words) {
  const auto parsed = parse_command_line(std::move(words));
  if (parsed) return "no error";
  EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalidArgument);
  return parsed.error().message();
}

TEST(Parser, GlobalOptionsStandAnywhere) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--home", "/h", "--json", "status"},
        {"status", "--json", "--home", "/h"},
        {"--json", "status", "--home=/h"}}) {
    const auto parsed = parse_command_line(words);
    ASSERT_TRUE(parsed) << parsed.error().message();
    ASSERT_NE(command_of(parsed).command, nullptr);
    EXPECT_EQ(command_of(parsed).command->name, "status");
    EXPECT_EQ(command_of(parsed).args.text("home"), "/h");
    EXPECT_TRUE(command_of(parsed).args.flag("json"));
  }
}

TEST(Parser, ReadsArgumentsAndOptions) {
  const auto parsed =
      parse_command_line({"get", "photos", "--from", "a", "--from", "b", "--wait", "1.5"});
  ASSERT_TRUE(parsed) << parsed.error().message();
  const Args& args = command_of(parsed).args;
  EXPECT_EQ(args.text("CID|NAME"), "photos");
  EXPECT_EQ(args.list("from"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(args.seconds("wait"), 1.5);
  EXPECT_FALSE(args.flag("foreground"));
  EXPECT_EQ(args.text("out"), "");
}

TEST(Parser, AnOptionTakesOneWordAndTheArgumentMayFollow) {
  const auto check = parse_command_line({"config", "check", "--home", "/h", "FILE.yaml"});
  ASSERT_TRUE(check) << check.error().message();
  EXPECT_EQ(command_of(check).args.text("home"), "/h");
  EXPECT_EQ(command_of(check).args.text("FILE"), "FILE.yaml");
  const auto get =
      parse_command_line({"get", "--from", "a", "--from", "b", "--out", "D", "photos", "--from=c"});
  ASSERT_TRUE(get) << get.error().message();
  EXPECT_EQ(command_of(get).args.list("from"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(command_of(get).args.text("out"), "D");
  EXPECT_EQ(command_of(get).args.text("CID|NAME"), "photos");
  EXPECT_EQ(error_of({"get", "--out", "D", "photos", "more"}), "'more' is one argument too many");
  EXPECT_EQ(error_of({"status", "--home", "/h", "more"}), "'more' is one argument too many");
}

TEST(Parser, OfAnOptionThatIsGivenTwiceTheLastCounts) {
  const auto parsed = parse_command_line({"--home", "/a", "status", "--home", "/b"});
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(command_of(parsed).args.text("home"), "/b");
}

TEST(Parser, ShortOptionsAndSizesWork) {
  const auto ping = parse_command_line({"ping", "X", "-c", "5"});
  ASSERT_TRUE(ping) << ping.error().message();
  EXPECT_EQ(command_of(ping).args.number("count"), 5u);
  const auto perf = parse_command_line({"perf", "X", "--upload-bytes", "2MiB"});
  ASSERT_TRUE(perf) << perf.error().message();
  EXPECT_EQ(command_of(perf).args.number("upload-bytes"), 2u << 20);
}

TEST(Parser, AMistypedCommandIsAnsweredWithTheNearestOne) {
  EXPECT_EQ(error_of({"peesr"}), "there is no command 'peesr'; did you mean 'peers'?");
  EXPECT_EQ(error_of({"--home", "/h", "--json", "shrae"}),
            "there is no command 'shrae'; did you mean 'share'?");
  EXPECT_EQ(error_of({"bogus"}), "there is no command 'bogus'");
}

TEST(Parser, EveryOtherMistakeIsNamed) {
  EXPECT_EQ(error_of({"share"}), "PATH is missing");
  EXPECT_EQ(error_of({"get"}), "CID|NAME is missing");
  EXPECT_EQ(error_of({"share", "a", "b"}), "'b' is one argument too many");
  EXPECT_EQ(error_of({"get", "x", "--ot", "d"}),
            "there is no option '--ot'; did you mean '--out'?");
  EXPECT_EQ(error_of({"ping", "x", "-c", "many"}),
            "-c,--count must be a whole number from 1 to 100000; found 'many'");
  EXPECT_EQ(error_of({"ping", "x", "-c", "0"}),
            "-c,--count must be a whole number from 1 to 100000; found '0'");
  EXPECT_EQ(error_of({"get", "x", "--wait", "soon"}),
            "--wait must be a number of seconds from 0 to 2592000; found 'soon'");
  EXPECT_EQ(error_of({"get", ""}), "CID|NAME must not be empty");
  EXPECT_EQ(error_of({"--json"}), "a command is missing");
  EXPECT_NE(error_of({"get", "x", "--out"}), "no error");
}

TEST(Parser, HelpIsFoundEverywhere) {
  const auto topic = [](std::vector<std::string> words) -> std::string {
    const auto parsed = parse_command_line(std::move(words));
    if (!parsed || !std::holds_alternative<HelpWanted>(*parsed)) return "no help";
    const auto& wanted = std::get<HelpWanted>(*parsed);
    return wanted.command != nullptr ? std::string(wanted.command->name) : wanted.topic;
  };
  EXPECT_EQ(topic({"--help"}), "");
  EXPECT_EQ(topic({"-h"}), "");
  EXPECT_EQ(topic({"help"}), "");
  EXPECT_EQ(topic({"get", "--help"}), "get");
  EXPECT_EQ(topic({"--json", "get", "-h"}), "get");
  EXPECT_EQ(topic({"help", "get"}), "get");
  EXPECT_EQ(topic({"help", "exit-codes"}), "exit-codes");
}

TEST(Parser, NoWordAtAllIsNoMistake) {
  const auto parsed = parse_command_line({});
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(std::holds_alternative<NothingWanted>(*parsed));
}

TEST(Parser, HostileWordsAreShownEscaped) {
  EXPECT_EQ(error_of({"\x1b[31m"}), "there is no command '\\x1b[31m'");
}

TEST(Parser, AVerbIsACommandOfItsOwn) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"config", "show", "--origin"},
        {"--home", "/h", "config", "--home", "/h", "show", "--origin"},
        {"config", "--json", "show", "--origin"}}) {
    const auto parsed = parse_command_line(words);
    ASSERT_TRUE(parsed) << parsed.error().message();
    ASSERT_NE(command_of(parsed).command, nullptr);
    EXPECT_EQ(command_of(parsed).command->name, "config show");
    EXPECT_TRUE(command_of(parsed).args.flag("origin"));
  }
  const auto check = parse_command_line({"config", "check", "check"});
  ASSERT_TRUE(check) << check.error().message();
  EXPECT_EQ(command_of(check).args.text("FILE"), "check") << "only the first word is the verb";
}

TEST(Parser, TheValueOfAnOptionIsNoVerb) {
  const auto listed = parse_command_line({"catalog", "--topic", "search", "--limit", "2"});
  ASSERT_TRUE(listed) << listed.error().message();
  EXPECT_EQ(command_of(listed).command->name, "catalog");
  EXPECT_EQ(command_of(listed).args.text("topic"), "search");
  const auto found = parse_command_line({"catalog", "--topic", "a", "search", "b"});
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(command_of(found).command->name, "catalog search");
  EXPECT_EQ(command_of(found).args.text("PATTERN"), "b");
}

TEST(Parser, AVerbThatIsMissingOrUnknownIsAMistake) {
  EXPECT_EQ(error_of({"config"}), "'warren config' needs to know what to do");
  EXPECT_EQ(error_of({"config", "chek"}),
            "there is no 'config chek'; did you mean 'config check'?");
  EXPECT_EQ(error_of({"config", "zebra"}), "there is no 'config zebra'");
  EXPECT_EQ(error_of({"config", "check", "a", "b"}), "'b' is one argument too many");
}

TEST(Parser, HelpOnAVerb) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"help", "config", "check"}, {"config", "check", "--help"}}) {
    const auto parsed = parse_command_line(words);
    ASSERT_TRUE(parsed && std::holds_alternative<HelpWanted>(*parsed));
    ASSERT_NE(std::get<HelpWanted>(*parsed).command, nullptr);
    EXPECT_EQ(std::get<HelpWanted>(*parsed).command->name, "config check");
  }
  const auto all = parse_command_line({"config", "--help"});
  ASSERT_TRUE(all && std::holds_alternative<HelpWanted>(*all));
  EXPECT_EQ(std::get<HelpWanted>(*all).command->name, "config");
}

}  // namespace
}  // namespace warren::cli

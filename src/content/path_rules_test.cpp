#include "content/path_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "content/path_corpus.hpp"
#include "content/test_support.hpp"
#include "runtime/file.hpp"

namespace warren::content {
namespace {

using testing::HasSubstr;

bool printable(const std::string& text) {
  return std::ranges::none_of(text, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7F;
  });
}

TEST(PathRules, CorpusHasTwoHundredNames) {
  const auto refused = test::refused_names();
  const auto accepted = test::accepted_names();
  std::set<std::string> all(refused.begin(), refused.end());
  all.insert(accepted.begin(), accepted.end());
  for (const std::string& path : test::refused_paths()) all.insert(path);
  EXPECT_GE(all.size(), 200u);
}

TEST(PathRules, RefusesEveryNameThatIsNone) {
  for (const std::string& name : test::refused_names()) {
    const auto checked = check_name(name);
    ASSERT_FALSE(checked) << testing::PrintToString(name);
    EXPECT_EQ(checked.error().code(), ErrorCode::kDenied);
    EXPECT_THAT(checked.error().message(), HasSubstr("refused: "));
    EXPECT_LT(checked.error().message().size(), 512u) << "a long name must not flood a log";
    EXPECT_TRUE(printable(checked.error().message())) << "nor act on a terminal";
  }
}

TEST(PathRules, AcceptsWhatIsOneNameInItsFolder) {
  for (const std::string& name : test::accepted_names()) {
    EXPECT_TRUE(check_name(name)) << testing::PrintToString(name);
    EXPECT_TRUE(check_path("folder/" + name)) << testing::PrintToString(name);
  }
}

TEST(PathRules, RefusesPaths) {
  for (const std::string& path : test::refused_paths()) {
    const auto checked = check_path(path);
    ASSERT_FALSE(checked) << testing::PrintToString(path);
    EXPECT_EQ(checked.error().code(), ErrorCode::kDenied);
    EXPECT_TRUE(printable(checked.error().message()));
  }
  EXPECT_TRUE(check_path(test::repeated("a/", 63) + "a"));
}

// The second line of defence: even a name that slipped through creates nothing elsewhere.
TEST(PathRules, NothingOfTheCorpusAppearsOutside) {
  const test::TempFolder outer;
  outer.make_folder("in");
  const auto in = runtime::Directory::open(outer.at("in"));
  ASSERT_TRUE(in);
  auto names = test::refused_names();
  for (const std::string& path : test::refused_paths()) names.push_back(path);
  for (const std::string& name : names) {
    // Whether it works does not matter: some of them are names to the kernel.
    [[maybe_unused]] const auto file = in->create_file(name);
    [[maybe_unused]] const auto folder = in->make_directory(name + "-folder");
    [[maybe_unused]] const auto link = in->make_symlink(name + "-link", "x");
  }
  std::size_t outside = 0;
  for (const auto& item : std::filesystem::directory_iterator(outer.path())) {
    EXPECT_EQ(item.path().filename(), "in");
    ++outside;
  }
  EXPECT_EQ(outside, 1u);
}

TEST(PathRules, SymlinksStayInside) {
  EXPECT_TRUE(check_symlink("a", "b"));
  EXPECT_TRUE(check_symlink("a/b", "../c"));
  EXPECT_TRUE(check_symlink("a/b/c", "../../d/e"));
  EXPECT_TRUE(check_symlink("a", "./b"));
  EXPECT_TRUE(check_symlink("a", "nothing/is/here"));
  EXPECT_TRUE(check_symlink("a/b", ".."));

  EXPECT_FALSE(check_symlink("a", "/etc/passwd"));
  EXPECT_FALSE(check_symlink("a", "/"));
  EXPECT_FALSE(check_symlink("a", ".."));
  EXPECT_FALSE(check_symlink("a", "../b"));
  EXPECT_FALSE(check_symlink("a/b", "../../c"));
  EXPECT_FALSE(check_symlink("a/b", ".././../c"));
  EXPECT_FALSE(check_symlink("a", "link/../../c")) << "link may lead anywhere";
  EXPECT_FALSE(check_symlink("a", ""));
  EXPECT_FALSE(check_symlink("a", std::string("b\0c", 3)));
  EXPECT_FALSE(check_symlink("a", std::string(5000, 'x')));
}

TEST(PathRules, FoldsCaseAndComposition) {
  EXPECT_EQ(folded_name("ReadMe.TXT"), "readme.txt");
  EXPECT_EQ(folded_name("\xC3\x89T\xC3\x89"), folded_name("e\xCC\x81te\xCC\x81"));
  EXPECT_EQ(folded_name("STRASSE"), folded_name("stra\xC3\x9F"
                                                "e"));
  EXPECT_NE(folded_name("a"), folded_name("b"));
  EXPECT_EQ(normal_name("e\xCC\x81"), "\xC3\xA9");
  EXPECT_NE(normal_name("A"), normal_name("a"));
}

TEST(PathRules, SiblingsThatAreAlikeAreNamedTogether) {
  SiblingNames by_text(Alike::kNormalisation);
  EXPECT_TRUE(by_text.add("xt_mark.h"));
  EXPECT_TRUE(by_text.add("xt_MARK.h"));
  EXPECT_TRUE(by_text.add("\xC3\xA9"));
  const auto composed = by_text.add("e\xCC\x81");
  ASSERT_FALSE(composed);
  EXPECT_EQ(composed.error().code(), ErrorCode::kDenied);
  EXPECT_FALSE(by_text.add("xt_mark.h")) << "twice";

  SiblingNames by_case(Alike::kCase);
  EXPECT_TRUE(by_case.add("xt_mark.h"));
  const auto same = by_case.add("xt_MARK.h");
  ASSERT_FALSE(same);
  EXPECT_THAT(same.error().message(), HasSubstr("xt_mark.h"));
  EXPECT_THAT(same.error().message(), HasSubstr("xt_MARK.h"));
}

TEST(PathRules, CaseCollisionsAreFoundPerFolder) {
  Tree tree;
  const auto add = [&tree](std::string path, EntryKind kind) {
    Entry entry;
    entry.path = std::move(path);
    entry.kind = kind;
    tree.entries.push_back(entry);
  };
  add("", EntryKind::kDirectory);
  add("A", EntryKind::kDirectory);
  add("A/x", EntryKind::kFile);
  add("B", EntryKind::kDirectory);
  add("B/X", EntryKind::kFile);
  add("x", EntryKind::kFile);
  EXPECT_TRUE(check_case_collisions(tree));
  add("b", EntryKind::kFile);
  const auto found = check_case_collisions(tree);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), HasSubstr("'B' and 'b'"));
}

}  // namespace
}  // namespace warren::content

#include "node/escape.hpp"

#include <gtest/gtest.h>

namespace warren::node {
namespace {

TEST(Escape, LeavesOrdinaryNamesAlone) {
  EXPECT_EQ(escape_for_display("photos 2024"), "photos 2024");
  EXPECT_EQ(escape_for_display("caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac"),
            "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac");
}

TEST(Escape, WritesOutControlCharacters) {
  EXPECT_EQ(escape_for_display("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
  EXPECT_EQ(escape_for_display(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(escape_for_display("\xc2\x9b"), "\\u{9b}");  // A C1 control: CSI in eight bits.
  EXPECT_EQ(escape_for_display("a\\b"), "a\\\\b");
}

TEST(Escape, WritesOutBidirectionalAndInvisibleCharacters) {
  EXPECT_EQ(escape_for_display("a\xe2\x80\xae"
                               "b"),
            "a\\u{202e}b");
  EXPECT_EQ(escape_for_display("\xe2\x81\xa6x\xef\xbb\xbf"), "\\u{2066}x\\u{feff}");
}

TEST(Escape, WritesOutBytesThatAreNotUtf8) {
  EXPECT_EQ(escape_for_display("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(escape_for_display("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // A surrogate.
  EXPECT_EQ(escape_for_display("\xe6\x97"), "\\xe6\\x97");           // Cut off.
}

TEST(Escape, CutsLongNamesInsideTheirColumns) {
  EXPECT_EQ(escape_for_display(std::string(40, 'x')), std::string(40, 'x'));
  EXPECT_EQ(escape_for_display(std::string(41, 'x')), std::string(37, 'x') + "...");
  EXPECT_EQ(escape_for_display("ab\x01\x02", 8), "ab...");
}

TEST(Escape, ALineKeepsItsLengthAndItsBackslashes) {
  EXPECT_EQ(escape_line("cannot read 'a\\x1b': " + std::string(100, 'x') + "\x1b"),
            "cannot read 'a\\x1b': " + std::string(100, 'x') + "\\x1b");
}

}  // namespace
}  // namespace warren::node

#pragma once
// Names and paths that a hostile or careless peer may send: for tests, here and in the modules
// that write files.

#include <string>
#include <string_view>
#include <vector>

namespace warren::content::test {

using namespace std::string_literals;

inline std::string repeated(std::string_view part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

/// No name of a file or folder.
inline std::vector<std::string> refused_names() {
  std::vector<std::string> names{
      // Not names at all.
      ""s,
      "."s,
      ".."s,
      "/"s,
      "//"s,
      "/."s,
      "./"s,
      "../"s,
      "/.."s,
      "..//"s,
      "./."s,
      // With a separator.
      "a/b"s,
      "/a"s,
      "a/"s,
      "a//b"s,
      "../a"s,
      "a/.."s,
      "a/../b"s,
      "./a"s,
      "a/."s,
      "/etc/passwd"s,
      "/etc/shadow"s,
      "/home/a/.ssh/authorized_keys"s,
      "../../etc/passwd"s,
      "../../../../../../../../etc/passwd"s,
      ".ssh/authorized_keys"s,
      ".config/autostart/x.desktop"s,
      "/dev/null"s,
      "/dev/sda"s,
      "/proc/self/mem"s,
      "/proc/self/fd/3"s,
      "/proc/self/root/etc"s,
      "/tmp/x"s,
      "//server/share"s,
      "\\\\server/share"s,
      "C:/Windows"s,
      "file:///etc/passwd"s,
      "~/x"s,
      "./../x"s,
      "x/./y"s,
      "x/../../y"s,
      "..\\../x"s,
      "\xE2\x80\xA6/x"s,
      // With a NUL.
      "\0"s,
      "a\0"s,
      "\0a"s,
      "a\0b"s,
      "..\0"s,
      ".\0."s,
      "a\0/../b"s,
      "x.txt\0.exe"s,
      // Too long.
      std::string(256, 'a'),
      std::string(257, 'a'),
      std::string(1000, '.'),
      std::string(4096, 'a'),
      std::string(65536, 'a'),
      repeated("\xC3\xA9", 128),
      repeated("\xE6\x97\xA5", 86),
      repeated("\xF0\x9F\xA6\x8A", 64),
      std::string(255, 'a') + "\xC3\xA9",
      // Not UTF-8: bytes that never occur, continuations alone, characters cut off.
      "\xFF"s,
      "\xFE"s,
      "\xC0"s,
      "\xC1"s,
      "\xF5"s,
      "\x80"s,
      "\xBF"s,
      "a\x80"s,
      "\xC3"s,
      "a\xC3"s,
      "\xC3z"s,
      "\xE2\x82"s,
      "\xE2\x82z"s,
      "\xF0\x9F\xA6"s,
      "\xF0\x9F"s,
      "caf\xE9"s,
      "\xE9t\xE9.txt"s,
      "\x93quoted\x94"s,
      "\xFF\xFE"
      "a\0"s,
      // Overlong forms of '/', '.', NUL and 'a'.
      "\xC0\xAF"s,
      "\xE0\x80\xAF"s,
      "\xF0\x80\x80\xAF"s,
      "..\xC0\xAF..\xC0\xAFx"s,
      "\xC0\xAE"s,
      "\xC0\xAE\xC0\xAE"s,
      "\xE0\x80\xAE"s,
      "\xC0\x80"s,
      "\xE0\x80\x80"s,
      "\xC1\xA1"s,
      "\xF0\x80\x80\xAE"s,
      // Surrogates and beyond the last character.
      "\xED\xA0\x80"s,
      "\xED\xBF\xBF"s,
      "\xED\xA0\xBD\xED\xB8\x80"s,
      "\xF4\x90\x80\x80"s,
      "\xF8\x88\x80\x80\x80"s,
      "\xFC\x84\x80\x80\x80\x80"s,
      "\xF7\xBF\xBF\xBF"s,
  };
  // A wrong byte anywhere in a long good name.
  for (const std::size_t at : {0u, 1u, 7u, 100u, 254u}) {
    std::string name(255, 'n');
    name[at] = '\xFF';
    names.push_back(name);
    name[at] = '/';
    names.push_back(name);
    name[at] = '\0';
    names.push_back(name);
  }
  return names;
}

/// Odd, but the name of one file inside its folder and of nothing else.
inline std::vector<std::string> accepted_names() {
  return {
      "a"s,
      "A"s,
      "0"s,
      "-"s,
      "--help"s,
      "-rf"s,
      "..."s,
      "...."s,
      "..a"s,
      "a.."s,
      ".a"s,
      "a."s,
      ".hidden"s,
      ".ssh"s,
      ".git"s,
      "..."s,
      " "s,
      "  "s,
      " a"s,
      "a "s,
      "a b"s,
      "~"s,
      "~root"s,
      "$HOME"s,
      "`id`"s,
      "$(id)"s,
      "a;b"s,
      "a|b"s,
      "a&b"s,
      "a>b"s,
      "a<b"s,
      "*"s,
      "?"s,
      "[a]"s,
      "{a,b}"s,
      "#"s,
      "%2e%2e"s,
      "%2F"s,
      "..%2f"s,
      "%00"s,
      "a\\b"s,
      "..\\"s,
      "..\\..\\x"s,
      "\\"s,
      "C:"s,
      "C:\\x"s,
      "a:b"s,
      "NUL"s,
      "CON"s,
      "aux.txt"s,
      "COM1"s,
      "a\"b"s,
      "a'b"s,
      "a\nb"s,
      "a\rb"s,
      "a\tb"s,
      "\x1B[31mred"s,
      "\x07"s,
      "\x7F"s,
      "\xC3\xA9"s,
      "e\xCC\x81"s,
      "\xE6\x97\xA5\xE6\x9C\xAC"s,
      "\xF0\x9F\xA6\x8A"s,
      "\xD0\x90"s,
      "\xE2\x80\xAEtxt.exe"s,
      "\xE2\x80\x8B"s,
      "\xEF\xBB\xBF"s,
      "\xE2\x88\x95"s,
      "\xE2\x81\x84"s,
      "\xEF\xBC\x8F"s,
      "\xE2\x80\xA5"s,
      "\xEF\xBC\x8E\xEF\xBC\x8E"s,
      "\xEF\xBF\xBD"s,
      "\xEF\xBF\xBF"s,
      "\xF4\x8F\xBF\xBF"s,
      "\xC2\xA0"s,
      "desktop.ini"s,
      "Makefile"s,
      "a.tar.gz"s,
      "x.part"s,
      "local"s,
      "version.ini"s,
      std::string(255, 'a'),
      std::string(255, '.'),
      repeated("\xC3\xA9", 127),
      repeated("\xF0\x9F\xA6\x8A", 63),
  };
}

/// Paths whose every use would lead elsewhere, or which are written in a second way.
inline std::vector<std::string> refused_paths() {
  std::vector<std::string> paths{
      ""s,
      "/"s,
      "/a"s,
      "/a/b"s,
      "a/"s,
      "a//b"s,
      "a/./b"s,
      "./a"s,
      "a/."s,
      "."s,
      ".."s,
      "../a"s,
      "a/.."s,
      "a/../b"s,
      "a/../../b"s,
      "a/b/../../../c"s,
      "//a"s,
      "a/\0/b"s,
      "a/b\0"s,
      "\xFF/a"s,
      "a/\xC0\xAE\xC0\xAE/b"s,
      "a/"s + std::string(256, 'n'),
      "a/b/"s,
      "/etc/passwd"s,
      repeated("a/", 64) + "a",
      repeated("a/", 1000) + "a",
      repeated(std::string(255, 'n') + "/", 17) + "a",
  };
  return paths;
}

}  // namespace warren::content::test

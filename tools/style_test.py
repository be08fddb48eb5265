#!/usr/bin/env python3
"""Each rule of style.py finds what it is for and lets the right form pass."""
import pathlib
import unittest

import style

FLOORS = {"base": {"base"}, "swarm": {"swarm", "base"}, "transport/quic": {"transport/quic", "base"}}


def messages(name, text):
    return [message for _, message in style.faults(pathlib.Path(name), text, FLOORS)]


class Rules(unittest.TestCase):
    def assert_fault(self, text, part, name="src/swarm/x.cpp"):
        found = messages(name, text)
        self.assertTrue(any(part in message for message in found), f"{text!r} gave {found}")

    def assert_clean(self, text, name="src/swarm/x.cpp"):
        self.assertEqual(messages(name, text), [])

    def test_co_await_stands_alone(self):
        for good in ("  co_await f();", "  (void)co_await f();", "  const auto x = co_await f();",
                     "  auto [a, b] = co_await f();", "  Result<int> r = co_await f();",
                     "  co_return co_await f();", "  WARREN_CO_TRY(const int x, co_await f());",
                     "  if (ready) co_await f();", "  const Result<std::size_t> n =\n      co_await f();",
                     "  members_[3] = co_await f();", "  if (co_await cancelled()) co_return;",
                     "  WARREN_CO_TRY(\n      const int n,\n      co_await f());"):
            self.assert_clean(good)
        for bad in ("  g(co_await f());", "  if (co_await f()) {", "  switch (co_await f()) {",
                    "  return_value(1, co_await f());", "  x = 1 + co_await f();"):
            self.assert_fault(bad, "larger expression")
        self.assert_clean("  // g(co_await f()) would be wrong.")

    def test_lambda_coroutines_capture_nothing(self):
        self.assert_fault("auto f = [this]() -> awaitable<void> {", "captures")
        self.assert_fault("auto f = [&](int a) mutable -> asio::awaitable<void> {", "captures")
        self.assert_clean("auto f = [](int a) -> awaitable<void> {")

    def test_the_world_comes_in_by_one_seam(self):
        clock = "auto t = std::chrono::steady_clock" + "::now();"
        self.assert_fault(clock, "clock")
        self.assert_clean(clock, "src/runtime/x.cpp")
        self.assert_clean(clock, "src/swarm/x_test.cpp")
        self.assert_fault("std::random_device r;", "randomness")
        self.assert_fault("int fd = ::socket(AF_INET, 0, 0);", "socket")
        self.assert_clean("quic::socket(1);")

    def test_nothing_is_detached_and_no_test_sleeps(self):
        self.assert_fault("co_spawn(ex, f(), detached);", "TaskGroup")
        self.assert_fault("std::thread(f).detach();", "TaskGroup")
        self.assert_fault("std::this_thread::sleep_for(1s);", "sleeps", "src/swarm/x_test.cpp")

    def test_lengths(self):
        self.assert_clean("\n" * 600)
        self.assert_fault("\n" * 601, "601 lines")

    def test_includes_go_down_the_floors(self):
        self.assert_clean('#include "base/bytes.hpp"\n')
        self.assert_fault('#include "transport/quic/packet.hpp"\n', "does not list")
        self.assert_clean('#include "proto/identify.pb.h"\n')

    def test_words_hosts_and_paths(self):
        self.assert_fault("// TO" + "DO: later", "unfinished")
        self.assert_fault("https://registry." + "npmjs" + ".org/x", "registry", "docs/x.md")
        self.assert_fault("cd /wo" + "rk/main", "machine", "docs/x.md")
        self.assert_fault("home = '/ro" + "ot'", "machine", "tests/x.py")
        self.assert_clean("build/wo" + "rk/main and ~/ro" + "ot/x and tree/ro" + "ot", "docs/x.md")
        self.assert_fault("caf\u00e9", "ASCII", "docs/x.md")

    def test_headers_have_pragma_once(self):
        self.assert_fault("int x;\n", "pragma once", "src/swarm/x.hpp")
        self.assert_clean("// About.\n#pragma once\n", "src/swarm/x.hpp")


if __name__ == "__main__":
    unittest.main()

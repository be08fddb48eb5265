#!/usr/bin/env python3
"""Fails on what the compiler, clang-format and clang-tidy do not see.

    tools/style.py [FILE...]     without files: all that git tracks or would add

The rules and their reasons: CONTRIBUTING.md. Run by make test as the ctest `style`.
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
CODE = {".cpp", ".hpp", ".ts", ".tsx"}
TEXT = CODE | {".py", ".md", ".txt", ".cmake", ".proto", ".json", ".yaml", ".yml", ".js", ".mjs",
               ".sql", ".sh", ""}
LINES_MAX = 600

# One form for every co_await: a whole statement, the initialiser of a named variable, the operand
# of co_return, or the operand of a WARREN_CO_TRY.
AWAIT_OK = re.compile(
    r"^\s*(?:\(void\))?co_await\b"
    r"|^\s*(?:const\s+|auto\s+|static\s+)*[\w:<>,&*\s]*?(?:\[[^\]]*\]|[\w.>\-\[\]]+)\s*=\s*co_await\b"
    r"|^\s*co_return\s+co_await\b"
    r"|^\s*WARREN_CO_TRY(?:_VOID)?\(")
# Reads one flag of the task and suspends nothing.
CANCELLED_OK = re.compile(r"^\s*if \(co_await (?:runtime::)?cancelled\(\)\) (?!.*co_await)")
CLOCK = re.compile(r"(?:steady|system|high_resolution)_clock::now|\bclock_gettime\b|\btime\(nullptr\)"
                   r"|\bgettimeofday\b|asio::steady_timer|asio::system_timer")
RANDOM = re.compile(r"\brandom_device\b|\bs?rand\(\)|\bgetrandom\(|\bRAND_bytes\b")
SOCKET = re.compile(r"(?<![\w.:>])::?(?:socket|sendmsg|sendmmsg|recvmsg|recvmmsg|bind|setsockopt)\("
                    r"|asio::ip::(?:udp|tcp)::(?:socket|acceptor)")
DETACHED = re.compile(r"\bdetached\b|\.detach\(\)")
# It runs what a program brings, which may never return: nothing can wait for that.
DETACHED_OK = "src/embed/event_thread.cpp"
SLEEP = re.compile(r"\bsleep_for\(|\bsleep_until\(|\busleep\(|\bnanosleep\(")
STD_FORMAT = re.compile(r"\bstd::format\b|#include <format>")
# A lambda that captures and is a coroutine: `[x](...) -> awaitable<...>`.
LAMBDA_COROUTINE = re.compile(r"\[[^\[\]]*[\w&=][^\[\]]*\]\s*\([^()]*\)\s*(?:mutable\s*)?->\s*"
                              r"(?:[\w:]*::)?awaitable\b")
# Words that mark something unfinished, and hosts and paths that have no place here. They are put
# together from pieces so that this file does not find itself.
UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) +
                        r")\b|\bnot " + r"implemented\b|\bun" + r"implemented!?\b", re.IGNORECASE)
HOSTS = re.compile("|".join(re.escape(host) for host in [
    "registry." + "npmjs", "npm" + "js.org", "npm" + "js.com", "registry." + "yarnpkg",
    "crates" + ".io", "pypi" + ".org", "files.python" + "hosted", "deb." + "debian.org",
    "ruby" + "gems.org", "proxy." + "golang.org", "repo." + "maven"]))
PATHS = re.compile(r"(?<![\w.~}\])>/-])/(?:wo" + r"rk|ro" + r"ot)(?=[/\s\"'`),;:]|$)")


def after_condition(line):
    """What follows `if (...)`, `else`, `case x:` and the like and an opening brace, else the line."""
    head = re.match(r"^\s*(?:\}\s*)?(?:else\s+)?(?:if|for|while)\b[^(]*\(", line)
    if head:
        depth, end = 1, head.end()
        while end < len(line) and depth:
            depth += {"(": 1, ")": -1}.get(line[end], 0)
            end += 1
        if depth:
            return line
        line = line[end:]
    else:
        line = re.sub(r"^\s*(?:(?:\}\s*)?else\b|case [^:]+:(?!:)|[^;=]*\)[\w\s]*(?:->[^{]*)?(?=\{))",
                      "", line)
    return re.sub(r"^\s*\{?\s*", "", line)


def is_test(path):
    return re.search(r"_tests?\.[ch]pp$|^test_", path.name) is not None or "testing" in path.parts or \
        path.parts[0] in ("tests", "fuzz", "bench", "sim")


def without_comments(text):
    """The code alone, line by line, so that rules on code do not look at comments."""
    text = re.sub(r"/\*.*?\*/", lambda found: "\n" * found.group().count("\n"), text, flags=re.S)
    return [re.sub(r'(?<!:)//.*', "", re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', line))
            for line in text.split("\n")]


def join_statements(lines):
    """Joins a statement that clang-format broke before its co_await with the lines above."""
    joined = list(lines)
    for number, line in enumerate(lines):
        if not re.match(r"^\s*co_await\b", line):
            continue
        above = number - 1
        while above >= 0 and re.search(r"(?:[=(,]|co_return)\s*$", lines[above]):
            joined[number] = lines[above].rstrip() + " " + joined[number].strip()
            above -= 1
    return joined


def code_faults(path, text):
    lines = without_comments(text)
    in_seam = path.parts[:2] == ("src", "runtime")
    for number, line in enumerate(join_statements(lines), 1):
        if "co_await" in line and not CANCELLED_OK.search(line) and \
                not AWAIT_OK.search(after_condition(line)):
            yield number, "co_await inside a larger expression: name its operands and its result"
    for number, line in enumerate(lines, 1):
        if LAMBDA_COROUTINE.search(line):
            yield number, "a coroutine lambda with captures: make it a named function"
        if STD_FORMAT.search(line):
            yield number, "std::format is not in libstdc++ 12: use fmt"
        if path.parts[0] != "bench" and path.as_posix() != DETACHED_OK and DETACHED.search(line):
            yield number, "a task that nobody owns: give it to a TaskGroup"
        if is_test(path):
            if path.name.endswith("_test.cpp") and not in_seam and SLEEP.search(line) and \
                    "std::this_thread" in line:
                yield number, "a test that sleeps: wait for the condition, or use the virtual clock"
            continue
        if in_seam:
            continue
        if CLOCK.search(line):
            yield number, "a clock outside src/runtime: take the time from the Runtime"
        if RANDOM.search(line):
            yield number, "randomness outside src/runtime: take it from the Runtime"
        if SOCKET.search(line):
            yield number, "a socket outside src/runtime: use the Runtime's"
    if path.suffix == ".hpp" and not re.match(r"(?:\s*//[^\n]*\n)*#pragma once", text):
        yield 1, "a header starts with #pragma once"


def own_header_faults(path, text):
    """foo.cpp includes foo.hpp first, which proves that foo.hpp compiles alone."""
    own = path.with_suffix(".hpp")
    if path.suffix != ".cpp" or path.parts[0] != "src" or not (TOP / own).exists():
        return
    first = re.search(r'^#include\s+(\S+)', text, flags=re.M)
    if not first or first.group(1).strip('"') != own.relative_to("src").as_posix():
        yield 1, f'the first include is the own header: #include "{own.relative_to("src").as_posix()}"'


def modules():
    """Module folder (below src) -> names of the folders that it may include, itself among them."""
    names, deps = {}, {}
    for file in (TOP / "src").rglob("CMakeLists.txt"):
        call = re.search(r"warren_module\(([^)]*)\)", file.read_text())
        if not call:
            continue
        words = call.group(1).split()
        folder = file.parent.relative_to(TOP / "src").as_posix()
        names[words[0]] = folder
        deps[words[0]], taking = [], False
        for word in words[1:]:
            if word in ("DEPS", "LINK", "PROTO"):
                taking = word == "DEPS"
            elif taking:
                deps[words[0]].append(word)

    def closure(name, seen):
        for dep in deps.get(name, []):
            if dep not in seen:
                seen.add(dep)
                closure(dep, seen)
        return seen

    return {names[name]: {names[dep] for dep in closure(name, {name}) if dep in names}
            for name in names}


def module_of(include, folders):
    """The module folder that an include path lies in, or None."""
    parts = include.split("/")[:-1]
    while parts:
        if "/".join(parts) in folders:
            return "/".join(parts)
        parts.pop()
    return None


def floor_faults(path, text, may_include):
    if path.parts[0] != "src" or is_test(path):
        return
    own = module_of("/".join(path.parts[1:]), may_include)
    if own is None:
        return
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'#include "([^"]+)"', line)
        other = module_of(found.group(1), may_include) if found else None
        if other and other not in may_include[own]:
            yield number, f"{own} includes {found.group(1)}, but its CMakeLists.txt does not list " \
                          f"that module under DEPS (docs/architecture.md: the floors)"


def text_faults(path, text):
    lock = path.name == "package-lock.json"
    for number, line in enumerate(text.split("\n"), 1):
        if HOSTS.search(line):
            yield number, "the host of a package registry: name the package alone"
        if PATHS.search(line):
            yield number, "a path of one machine"
        if not lock and UNFINISHED.search(line):
            yield number, "a word that marks something unfinished: finish it or take it out"
        if path.suffix in (".md", ".hpp") and not line.isascii():
            yield number, "a character beyond ASCII"


def faults(path, text, may_include):
    """All faults of one file as (line number, message); `path` is relative to the top."""
    if path.suffix in CODE and text.count("\n") > LINES_MAX:
        yield LINES_MAX, f"{text.count(chr(10))} lines, {LINES_MAX} is the most: split it by concern"
    if path.suffix in (".cpp", ".hpp"):
        yield from code_faults(path, text)
        yield from own_header_faults(path, text)
        yield from floor_faults(path, text, may_include)
    yield from text_faults(path, text)


def all_files():
    listed = subprocess.run(["git", "-C", str(TOP), "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [pathlib.Path(line) for line in listed.stdout.splitlines()]
    return [path.relative_to(TOP) for path in sorted(TOP.rglob("*"))
            if path.is_file() and not {"build", ".git", "node_modules"} & set(path.parts)]


def main(arguments):
    paths = [pathlib.Path(argument).resolve().relative_to(TOP) for argument in arguments] \
        or all_files()
    may_include = modules()
    count = 0
    for path in paths:
        # The corpora are bytes, the licence is not our text.
        if path.suffix not in TEXT or path.parts[:2] == ("fuzz", "corpus") or path.name == "LICENSE":
            continue
        try:
            text = (TOP / path).read_text()
        except (OSError, UnicodeDecodeError):
            continue
        for number, message in faults(path, text, may_include):
            print(f"{path}:{number}: {message}")
            count += 1
    print(f"style: {len(paths)} files, {count} faults")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

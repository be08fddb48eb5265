#!/usr/bin/env python3
"""Compiles alone every header that no source of its own name includes first (style.py sees to the
others). Needs the configured build folder for the flags.

    tools/headers.py BUILD_FOLDER
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent


def flags_of(command):
    """The include, definition and language flags of a compile command."""
    words, flags = shlex.split(command), []
    for position, word in enumerate(words):
        if word.startswith(("-I", "-D", "-std", "-f")):
            flags.append(word)
        elif word in ("-isystem", "-include"):
            flags += [word, words[position + 1]]
    return flags


def check(job):
    header, compiler, flags = job
    run = subprocess.run([compiler, *flags, "-Wall", "-Wextra", "-Wno-pragma-once-outside-header",
                          "-Wno-unused-command-line-argument", "-fsyntax-only", "-x", "c++",
                          str(header)], capture_output=True, text=True, check=False)
    return header, run.returncode, run.stderr


def main():
    build = pathlib.Path(sys.argv[1])
    entries = json.loads((build / "compile_commands.json").read_text())
    by_folder, everything = {}, []
    for entry in entries:
        flags = flags_of(entry["command"])
        file = pathlib.Path(entry["file"])
        if file.parent not in by_folder or file.name.endswith("_test.cpp"):
            by_folder[file.parent] = flags  # Those of a test see the simulated world too.
        everything += [flag for flag in flags if flag not in everything or flag == "-isystem"]
    compiler = next(word for word in shlex.split(entries[0]["command"])
                    if pathlib.Path(word).name.startswith("clang++"))
    jobs = []
    for root in ("src", "include", "sim"):
        for header in sorted((TOP / root).rglob("*.hpp")):
            if not header.with_suffix(".cpp").exists() or root != "src":
                jobs.append((header, compiler, by_folder.get(header.parent, everything)))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, code, text in pool.map(check, jobs):
            if code != 0:
                failed += 1
                print(f"{header.relative_to(TOP)} does not compile alone:\n{text}")
    print(f"headers: {len(jobs)} compiled alone, {failed} failed")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())

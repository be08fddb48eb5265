#!/usr/bin/env python3
"""Each public header compiles alone, with nothing but include/ and the standard library, and says
no name of a library that is inside.

    headers_test.py INCLUDE_FOLDER COMPILER...
"""
import pathlib
import re
import subprocess
import sys

FLAGS = ["-std=c++23", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror",
         "-fsyntax-only", "-x", "c++"]


def main():
    include, compilers = pathlib.Path(sys.argv[1]), sys.argv[2:]
    headers = sorted(path.relative_to(include) for path in (include / "warren").rglob("*.hpp"))
    failed = 0
    for header in headers:
        for line in (include / header).read_text().splitlines():
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]*)', line)
            if not found:
                continue
            ours = found[1] == '"' and found[2].startswith("warren/")
            standard = found[1] == "<" and "/" not in found[2] and "." not in found[2]
            if not ours and not standard:
                failed += 1
                print(f"{header} includes {found[2]}: neither of the surface nor of C++")
        for compiler in compilers:
            # From stdin, so that nothing but -I leads to other headers. Twice: it is guarded.
            text = f'#include "{header}"\n#include "{header}"\nint main() {{ return 0; }}\n'
            run = subprocess.run([compiler, *FLAGS, f"-I{include}", "-"], input=text, text=True,
                                 capture_output=True, check=False)
            if run.returncode != 0:
                failed += 1
                print(f"{compiler}: {header} does not compile alone:\n{run.stderr}")
    print(f"headers: {len(headers)} compiled alone by {', '.join(compilers)}, {failed} faults")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    sys.exit(main())

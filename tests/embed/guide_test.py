#!/usr/bin/env python3
"""The code in the guide is that of the example, which another test builds and runs.

    guide_test.py GUIDE EXAMPLE
"""
import pathlib
import re
import sys
import textwrap


def main():
    guide, example = (pathlib.Path(name).read_text() for name in sys.argv[1:3])
    shown = re.findall(r"<!-- neighbours\.cpp: (\w+) -->\n```cpp\n(.*?)\n```", guide, re.DOTALL)
    failed = 0
    for name, code in shown:
        part = re.search(rf"^ *// \[{name}\]\n(.*?)^ *// \[{name}\]\n", example,
                         re.DOTALL | re.MULTILINE)
        if not part or textwrap.dedent(part[1]).rstrip() != code:
            failed += 1
            print(f"the part '{name}' is not as in the example")
    named = set(re.findall(r"// \[(\w+)\]", example))
    for name in sorted(named - {name for name, _ in shown}):
        failed += 1
        print(f"the guide does not show the part '{name}' of the example")
    if guide.count("```cpp") != len(shown):
        failed += 1
        print("the guide holds C++ that no test compiles")
    print(f"guide: {len(shown)} parts, {failed} faults")
    return 1 if failed or not shown else 0


if __name__ == "__main__":
    sys.exit(main())

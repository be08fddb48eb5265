#!/usr/bin/env python3
"""libwarren.so exports exactly what symbols.txt says, needs no library that is not said there, and
its name ends in its version.

    symbols_test.py LIBRARY SYMBOLS_FILE [--update]
"""
import pathlib
import re
import subprocess
import sys


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def exported(library):
    """Demangled names, without the twins that constructors and destructors have."""
    lines = run("nm", "-D", "--defined-only", "-C", library).splitlines()
    return sorted({re.sub(r"^[0-9a-f]* +\w +", "", line) for line in lines if line.strip()})


def main():
    library, file = sys.argv[1], pathlib.Path(sys.argv[2])
    names = exported(library)
    if sys.argv[3:] == ["--update"]:
        file.write_text("\n".join(names) + "\n")
        print(f"symbols: wrote {len(names)}")
        return 0
    failed = 0
    for name in names:
        if not name.startswith("warren::v1::") or "::Impl" in name.split("(")[0]:
            failed += 1
            print(f"exported, and not of the surface: {name}")
    wanted = file.read_text().splitlines()
    for name in sorted(set(wanted) - set(names)):
        failed += 1
        print(f"no longer exported: {name}")
    for name in sorted(set(names) - set(wanted)):
        failed += 1
        print(f"exported, and not in {file.name}: {name}")
    dynamic = run("readelf", "-d", library)
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic)
    if not soname or not re.fullmatch(r"libwarren\.so\.\d+\.\d+", soname[1]):
        failed += 1
        print(f"the name of the library is {soname and soname[1]}")
    for needed in re.findall(r"NEEDED.*\[(.*)\]", dynamic):
        if "warren" in needed:
            failed += 1
            print(f"the library needs another one of ours: {needed}")
    print(f"symbols: {len(names)} exported, {failed} faults")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())

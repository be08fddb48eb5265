#!/usr/bin/env python3
"""Installs into a folder of its own, builds the example outside the tree against that, with CMake
and with pkg-config, and lets two of them exchange a file on loopback.

    install_test.py SOURCE_FOLDER BUILD_FOLDER C++_COMPILER
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

PATIENCE_SECONDS = 60


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(str(word) for word in command)}:\n{done.stdout}")
    return done.stdout


class Program:
    """One example at work, read line by line."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = []
        self.watchdog = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        self.watchdog.start()

    def wait_for(self, word):
        """The rest of the first line from now on that begins with `word`."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(word + " ") or line.rstrip("\n") == word:
                return line[len(word) + 1:].strip()
        raise AssertionError(f"no line '{word}' in {self.lines}; {self.process.stderr.read()}")

    def end(self, ask=True):
        if ask:
            self.process.send_signal(signal.SIGTERM)
        rest, errors = self.process.communicate()
        self.watchdog.cancel()
        self.lines += rest.splitlines()
        assert self.process.returncode == 0, f"code {self.process.returncode}: {errors}"
        return self.lines


def install(build, prefix):
    run("cmake", "--install", build, "--prefix", prefix)
    files = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if not path.is_dir()}
    for wanted in [r"bin/warren", r"lib.*/libwarren\.so", r"lib.*/libwarren\.so\.\d+\.\d+\.\d+",
                   r"include/warren/warren\.hpp", r"lib.*/cmake/warren/warrenConfig\.cmake",
                   r"lib.*/cmake/warren/warrenConfigVersion\.cmake", r"lib.*/pkgconfig/warren\.pc",
                   r"share/doc/warren/LICENSE"]:
        assert any(re.fullmatch(wanted, file) for file in files), f"no {wanted} in {sorted(files)}"
    for file in files:
        assert not file.startswith("include/") or file.startswith("include/warren/"), file
        assert not file.endswith(".a"), file
    # The package can be moved: no path of the build or of the prefix stands in it.
    for file in files:
        if file.endswith((".cmake", ".pc")):
            text = (prefix / file).read_text()
            assert str(build) not in text and str(prefix) not in text, f"{file} holds a path"


def build_with_cmake(source, prefix, work, compiler):
    run("cmake", "-S", source, "-B", work, f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={compiler}")
    run("cmake", "--build", work)
    return work / "neighbours"


def build_with_make(source, prefix, work, compiler):
    shutil.copytree(source, work)
    config = next(prefix.rglob("warren.pc")).parent
    run("make", "-C", work, f"CXX={compiler}", f"PKG_CONFIG_PATH={config}")
    return work / "neighbours"


def exchange(first, second, folder):
    """One shares, the other gets; each sees the other."""
    folder.mkdir()
    payload = folder / "payload.bin"
    payload.write_bytes(os.urandom(3_000_000))
    loopback = ["--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--no-discovery"]
    sharing = Program(first, folder / "a", *loopback, "--share", payload)
    id_a = sharing.wait_for("id")
    address = sharing.wait_for("listening")
    cid = sharing.wait_for("shared").split()[0]
    getting = Program(second, folder / "b", *loopback, "--peer", address,
                      "--get", cid, folder / "got")
    id_b = getting.wait_for("id")
    lines = getting.end(ask=False)
    assert any(line.startswith(f"peer {id_a} ") for line in lines), lines
    got = next(line for line in lines if line.startswith("got ")).removeprefix("got ")
    assert pathlib.Path(got).read_bytes() == payload.read_bytes()
    assert sharing.wait_for("peer").startswith(id_b)
    assert sharing.wait_for("gone") == id_b
    assert sharing.end()[-1] == "stopped"


def main():
    source, build, compiler = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory(prefix="warren-install-") as name:
        folder = pathlib.Path(name)
        prefix = folder / "first"
        install(build, prefix)
        # Whoever unpacks a package does so elsewhere than it was made.
        prefix = prefix.rename(folder / "prefix")
        example = source / "examples" / "neighbours"
        by_cmake = build_with_cmake(example, prefix, folder / "cmake", compiler)
        by_make = build_with_make(example, prefix, folder / "make", compiler)
        exchange(by_cmake, by_make, folder / "nodes")
        run(prefix / "bin" / "warren", "--help")
    print("install: the example was built by CMake and by make, and both exchanged a file")
    return 0


if __name__ == "__main__":
    sys.exit(main())

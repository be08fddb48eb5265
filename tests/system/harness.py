"""Runs the real program for the system tests: nodes with a home of their own in a temporary folder,
on loopback, without mDNS and beacons, stopped by their process id. Nothing here waits without a bound."""
import filecmp
import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("WARREN_PROGRAM", str(TOP / "build" / "release" / "warren"))
LOOPBACK = "/ip4/127.0.0.1/udp/0/quic-v1"
MIB = 1 << 20

# The exit codes that other programs rely on.
OK, FAILED, USAGE, PARTLY, NOT_FOUND, NO_PEER, NO_DAEMON, DENIED, NO_SPACE, INTEGRITY, CONFLICT = \
    range(11)
INTERRUPTED = 130


def wait_for(condition, what, seconds=15.0):
    """Polls until `condition()` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


class Outcome:
    """What one command did."""

    def __init__(self, arguments, code, out, err, seconds):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err
        self.seconds = seconds

    @property
    def lines(self):
        """Every line of stdout as JSON; raises when one is not."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self):
        """The last line, which is the result object of every command with --json."""
        last = self.lines[-1]
        assert last.get("type") == "result" and last.get("v") == 1, self
        return last

    def __str__(self):
        return (f"warren {' '.join(map(str, self.arguments))}: exit {self.code} after "
                f"{self.seconds:.2f} s\nstdout:\n{self.out[-2000:]}\nstderr:\n{self.err[-2000:]}")


def run(*arguments, home=None, json_output=True, timeout=60, env=None, cwd=None):
    """Runs one command to its end."""
    words = [PROGRAM]
    if home is not None:
        words += ["--home", str(home)]
    if json_output:
        words += ["--json"]
    words += [str(argument) for argument in arguments]
    began = time.monotonic()
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd,
                          timeout=timeout, env={**os.environ, **(env or {})}, check=False)
    return Outcome(words[1:], done.returncode, done.stdout, done.stderr, time.monotonic() - began)


class Node:
    """One `warren up` with its own home. Started by start(), ended by stop() or kill()."""

    def __init__(self, home, listen=(LOOPBACK,), mdns=False):
        self.home, self.listen, self.mdns = pathlib.Path(home), listen, mdns
        self.process, self.log = None, None
        self.peer_id, self.address = None, None

    def launch(self, *more):
        """Starts the process without waiting for it to be ready."""
        self.home.mkdir(parents=True, exist_ok=True)
        words = [PROGRAM, "--home", str(self.home), "up"]
        for address in self.listen:
            words += ["--listen", address]
        if not self.mdns:
            words += ["--no-mdns", "--no-beacon"]
        self.log = open(self.home / "up.log", "ab")
        self.process = subprocess.Popen(words + list(more), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        return self

    def start(self, *more):
        self.launch(*more)

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"up ended with {self.process.returncode}:\n{self.log_text()}")
            outcome = self.run("status")
            return outcome if outcome.code == 0 and outcome.result.get("listen") else None
        status = wait_for(ready, f"the node of {self.home} to answer").result
        self.peer_id, self.address = status["peer_id"], status["listen"][0]
        return self

    def log_text(self):
        return (self.home / "up.log").read_text(errors="replace")[-4000:]

    def run(self, *arguments, **options):
        return run(*arguments, home=self.home, **options)

    def popen(self, *arguments, **options):
        """A command left running; the caller waits for it."""
        words = [PROGRAM, "--home", str(self.home), "--json"] + [str(word) for word in arguments]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=10):
        """First Ctrl-C. Returns the exit code and how long it took."""
        began = time.monotonic()
        if self.running():
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=seconds)
        self.log.close()
        return code, time.monotonic() - began

    def kill(self):
        """kill -9, as a power cut for the process."""
        if self.running():
            self.process.kill()
        self.process.wait(timeout=10)
        self.log.close()


class SystemTest(unittest.TestCase):
    """A test with a temporary folder; whatever node it left running is killed at the end."""
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="warren-test-"))
        self.nodes = []
        self.addCleanup(self._clean)

    def _clean(self):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()
        for root, folders, _ in os.walk(self.folder):
            for name in folders:
                path = os.path.join(root, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o755)
        shutil.rmtree(self.folder, ignore_errors=True)

    def node(self, name, **options):
        node = Node(self.folder / name, **options)
        self.nodes.append(node)
        return node

    def pair(self):
        """Two running nodes, the second connected to the first."""
        sender, receiver = self.node("a").start(), self.node("b").start()
        self.connect(receiver, sender)
        return sender, receiver

    def connect(self, from_node, to_node):
        self.expect(from_node.run("connect", to_node.address), OK)

    def expect(self, outcome, code):
        self.assertEqual(outcome.code, code, str(outcome))
        return outcome

    def share(self, node, path, name=None):
        """Shares `path` and returns the result object."""
        words = ["share", path] + (["--name", name] if name else [])
        result = self.expect(node.run(*words), OK).result
        self.assertTrue(result["cid"], result)
        return result

    def assert_same_tree(self, left, right):
        self.assertEqual(describe(left), describe(right))


def write(path, size, seed=0):
    """A file of `size` bytes that differ by `seed` and do not repeat from chunk to chunk."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        block, written = 0, 0
        while written < size:
            stamp = hashlib.sha256(f"{seed} {block}".encode()).digest()
            part = (stamp * (MIB // len(stamp)))[:min(MIB, size - written)]
            file.write(part)
            written += len(part)
            block += 1
    return path


def describe(root):
    """Names, kinds and contents below `root`, to compare two trees."""
    root, found = pathlib.Path(root), {}
    if not root.is_dir():
        return {"": content_of(root)}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = pathlib.Path(folder) / name
            found[str(path.relative_to(root))] = content_of(path)
    return found


def content_of(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return ("symlink", os.readlink(path))
    if stat.S_ISDIR(mode):
        return ("folder",)
    with open(path, "rb") as file:
        return ("file", os.path.getsize(path), hashlib.file_digest(file, "sha256").hexdigest())


def same_file(left, right):
    return filecmp.cmp(left, right, shallow=False)

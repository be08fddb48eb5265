"""Warren's own nodes and commands, for the benchmark."""
import json
import os
import pathlib
import signal
import subprocess
import time

from measure import Failed, wait_for

TOP = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("WARREN_PROGRAM", str(TOP / "build" / "release" / "warren"))
LISTEN = "/ip4/127.0.0.1/udp/0/quic-v1"
running = []


class Node:
    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.process, self.peer_id, self.address = None, None, None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / "up.log", "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--home", self.home, "up", "--no-mdns", "--no-beacon", "--listen", LISTEN],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        running.append(self)

        def ready():
            if self.process.poll() is not None:
                raise Failed(f"a node ended at once: {(self.home / 'up.log').read_text()[-1000:]}")
            done = self._run("status")
            return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
        status = wait_for(ready, "a node to answer", 20)
        self.peer_id, self.address = status["peer_id"], status["listen"][0]
        return self

    def _run(self, *words):
        return subprocess.run([PROGRAM, "--home", self.home, "--json", *map(str, words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def command(self, *words):
        """Runs a command to its end and returns its result object."""
        done = self._run(*words)
        if done.returncode != 0:
            raise Failed(f"warren {' '.join(map(str, words))} ended with {done.returncode}: "
                         f"{done.stdout[-500:]}{done.stderr[-500:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def timed(self, *words):
        """Seconds that a command took, its own start included."""
        began = time.monotonic()
        self.command(*words)
        return time.monotonic() - began

    def stop(self):
        running.remove(self)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("a node did not stop within 10 s") from None


def stop_all():
    for node in list(running):
        running.remove(node)
        node.process.kill()
        node.process.wait()


def pair(place):
    sender, receiver = Node(place / "sender").start(), Node(place / "receiver").start()
    receiver.command("connect", sender.address)
    return sender, receiver


def perf(node, address, size):
    """Gbit/s of one stream from `node` to the one at `address`, memory to memory."""
    result = node.command("perf", address, "--upload-bytes", size, "--download-bytes", 0)
    return size * 8 / result["upload_seconds"] / 1e9


def library_scan(folder, entries):
    """What bench_library_scan prints: seconds and memory of a library of so many entries."""
    program = TOP / "build" / "release" / "bench" / "bench_library_scan"
    if not program.exists():
        raise Failed(f"{program} is not built")
    done = subprocess.run([program, folder, str(entries)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"bench_library_scan failed: {done.stderr[-500:]}")
    return json.loads(done.stdout)

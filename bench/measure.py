"""What every part of the benchmark needs: series with medians, memory and CPU of a process, files."""
import filecmp
import hashlib
import os
import pathlib
import platform
import statistics
import threading
import time

MIB, GIB = 1 << 20, 1 << 30


class Failed(Exception):
    """A measurement cannot be made; the text says why."""


class Series:
    """Figures by name over several rounds. Every round takes each figure once, so that a slow moment
    of the machine falls on all."""

    def __init__(self, runs):
        self.runs, self.values = runs, {}

    def rounds(self):
        return range(self.runs)

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)

    def has(self, name):
        return name in self.values

    def median(self, name):
        return statistics.median(self.values[name])

    def largest(self, name):
        return max(self.values[name])


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain: {what}")
        time.sleep(0.01)


def own_memory(pid):
    """Bytes of memory of a process that are not pages of mapped files."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class PeakMemory:
    """Samples the own memory of processes every 20 ms while the block runs."""

    def __init__(self, *pids):
        self.peak = {pid: 0 for pid in pids}
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample)

    def _sample(self):
        while True:
            for pid in self.peak:
                self.peak[pid] = max(self.peak[pid], own_memory(pid))
            if self.done.wait(0.02):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def of(self, pid):
        return self.peak[pid]

    def largest_but(self, pid):
        return max(value for key, value in self.peak.items() if key != pid)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def at_rest(pid, seconds):
    """Own memory, and the share of one core used, of a process left alone for `seconds`."""
    time.sleep(2)  # What the start costs is not rest.
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return own_memory(pid), (cpu_seconds(pid) - before) / (time.monotonic() - began)


def write_file(path, size, seed=0):
    """Bytes that differ from MiB to MiB, so that no program can save by finding repeats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = hashlib.shake_128(f"warren bench {seed}".encode()).digest(min(size, MIB))
    with open(path, "wb") as file:
        block, left = 0, size
        while left > 0:
            part = bytearray(generator[:min(MIB, left)])
            part[:16] = hashlib.sha256(f"{seed} {block}".encode()).digest()[:min(16, len(part))]
            file.write(part)
            left -= len(part)
            block += 1


def same_tree(left, right):
    """Raises unless both folders hold the same."""
    names = {str(path.relative_to(left)) for path in left.rglob("*")}
    others = {str(path.relative_to(right)) for path in right.rglob("*")}
    if names != others:
        raise Failed(f"{right} has not the names of {left}")
    for name in names:
        if (left / name).is_file() and not filecmp.cmp(left / name, right / name, shallow=False):
            raise Failed(f"{name} differs")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in
                  pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, load {load:.1f} at the end."

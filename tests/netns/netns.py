"""Network namespaces for tests: links that only the test sees, and that end with it.

A test calls own_namespace() first: it starts the script again in a network namespace of its own,
as root or in a user namespace. In there it is allowed to make links and further namespaces.
"""

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time

SKIPPED = 77  # What ctest is told when namespaces cannot be made here.
_INSIDE = "WARREN_TEST_NAMESPACE"
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def own_namespace():
    """Returns inside a new network namespace, or ends the script with SKIPPED."""
    if _INSIDE in os.environ:
        return
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    made = subprocess.run([*unshare, "ip", "link", "add", "veth-a", "type", "veth", "peer", "name",
                           "veth-b"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        print(f"skipped: no network namespace with a veth pair can be made here: {made.stderr}")
        sys.exit(SKIPPED)
    os.environ[_INSIDE] = "1"
    os.execvp("unshare", [*unshare, sys.executable, "-B", *sys.argv])


class Namespace:
    """Another network namespace, held by a process that sleeps in it."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; exec sleep 600"],
                                       stdout=subprocess.PIPE, text=True,
                                       preexec_fn=die_with_parent)
        self.holder.stdout.readline()

    def enter(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-n", *command]

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class Link:
    """A veth pair: veth-a here, veth-b in the other namespace, without any address."""

    def __init__(self, other):
        self.other = other
        run("ip", "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b", "netns",
            str(other.holder.pid))
        run("ip", "link", "set", "veth-a", "addrgenmode", "none")
        run(*other.enter("ip", "link", "set", "veth-b", "addrgenmode", "none"))
        run("ip", "link", "set", "veth-a", "up")
        run(*other.enter("ip", "link", "set", "veth-b", "up"))

    def add_ipv4(self):
        """10.77.0.1 here, 10.77.0.2 there."""
        run("ip", "addr", "add", "10.77.0.1/24", "dev", "veth-a")
        run(*self.other.enter("ip", "addr", "add", "10.77.0.2/24", "dev", "veth-b"))

    def add_ipv6(self):
        """fe80::1 here, fe80::2 there, usable at once."""
        run("ip", "addr", "add", "fe80::1/64", "dev", "veth-a", "nodad")
        run(*self.other.enter("ip", "addr", "add", "fe80::2/64", "dev", "veth-b", "nodad"))

    @staticmethod
    def remove():
        subprocess.run(["ip", "link", "del", "veth-a"], stderr=subprocess.DEVNULL, check=False)


class Switch:
    """A bridge in this namespace. Each computer on it is a namespace of its own."""

    def __init__(self, name="br0"):
        self.name = name
        self.ports = 0
        run("ip", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        run("ip", "link", "set", name, "up")

    def plug(self, host, address, interface="eth0"):
        """Gives the namespace `host` an interface here; returns the name of its port."""
        port = f"{self.name}-{self.ports}"
        self.ports += 1
        run("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns",
            str(host.holder.pid))
        run("ip", "link", "set", port, "master", self.name, "up")
        run(*host.enter("ip", "addr", "add", f"{address}/24", "dev", interface))
        run(*host.enter("ip", "link", "set", interface, "up"))
        return port

    def block_multicast(self, port):
        """Nothing that is sent to a group leaves by this port, as with a careless access point."""
        run("bridge", "link", "set", "dev", port, "mcast_flood", "off")

    def close(self):
        # The other ends may live on for a moment after their namespaces were given up.
        for port in range(self.ports):
            subprocess.run(["ip", "link", "del", f"{self.name}-{port}"],
                           stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "link", "del", self.name], stderr=subprocess.DEVNULL, check=False)


class Program:
    """A running program; its lines of output come with the time of their arrival."""

    def __init__(self, command, namespace=None):
        self.started = time.monotonic()
        self.process = subprocess.Popen(namespace.enter(*command) if namespace else command,
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.lines = queue.Queue()
        self.seen = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), line.rstrip("\n")))
        self.lines.put((time.monotonic(), None))

    def wait_for(self, prefix, seconds):
        """The first (time, line) with this prefix from now on, or None."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                entry = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if entry[1] is None:
                return None
            self.seen.append(entry)
            if entry[1].startswith(prefix):
                return entry

    def drain(self):
        while not self.lines.empty():
            entry = self.lines.get()
            if entry[1] is not None:
                self.seen.append(entry)

    def stop(self):
        """SIGTERM, and what it still says."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=10)
        self.reader.join()
        self.drain()

    def crash(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.crash()
        self.reader.join()
        self.process.stdout.close()

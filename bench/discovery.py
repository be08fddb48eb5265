#!/usr/bin/env python3
"""How fast nodes of one link find each other, what they send when idle, and what a flood of forged
beacons costs. Everything happens in network namespaces that end with the script.

Usage: discovery.py [--program WARREN] times [RUNS]
       discovery.py [--program WARREN] idle [NODES] [SECONDS]
       discovery.py [--program WARREN] flood [SECONDS] [PACKETS_PER_SECOND]

Prints its figures, and ends with 1 when one of them is beyond the aim: 2 s at the 95th percentile;
2 KiB/s sent by each node; 5 % of a core, 1 MiB, and no peer.
"""

import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "netns"))

import netns  # noqa: E402
from warren_node import Node, wait_until  # noqa: E402

GROUP, PORT = "239.192.87.114", 4002


class Net:
    """A switch, and nodes on computers of their own."""

    def __init__(self, program):
        self.program, self.switch = program, netns.Switch()
        self.folder, self.hosts, self.nodes, self.ports = tempfile.TemporaryDirectory(), [], [], []

    def host(self, number):
        host = netns.Namespace()
        self.hosts.append(host)
        self.ports.append(self.switch.plug(host, f"10.77.{number >> 8}.{number & 255}"))
        return host

    def node(self, host, name, config=""):
        node = Node(self.program, os.path.join(self.folder.name, name), host, config)
        self.nodes.append(node)
        return node

    def close(self):
        for node in self.nodes:
            node.close()
        self.switch.close()
        for host in self.hosts:
            host.close()
        self.folder.cleanup()


def times(program, runs=50):
    """From the start of the second node until each has the other among its connected peers."""
    net = Net(program)
    try:
        first, second = net.host(1), net.host(2)
        took = []
        for run in range(runs):
            a = net.node(first, f"a{run}")
            a_id = a.id
            b = net.node(second, f"b{run}")
            if wait_until(lambda b=b: a_id in b.connected(), 30) is None:
                print(f"run {run}: not found within 30 s: {b.ask('discover')}")
                return 1
            took.append(time.monotonic() - b.started)
            for node in (a, b):
                node.stop()
                node.close()
                net.nodes.remove(node)
        took.sort()
        p95 = took[min(len(took) - 1, (len(took) * 95 + 99) // 100 - 1)]
        print(f"discovery on one link, {runs} runs, from start of the program to a connection, as "
              f"its command tells: median {took[len(took) // 2]:.2f} s, P95 {p95:.2f} s, "
              f"longest {took[-1]:.2f} s")
        return 0 if p95 <= 2 else 1
    finally:
        net.close()


def sent_bytes(port):
    """What came in at a port of the switch: the computer sent it."""
    lines = pathlib.Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.strip().startswith(port + ":"))
    return int(line.split(":")[1].split()[0])


def idle(program, count=50, seconds=60):
    """Bytes that leave each computer, counted at the switch, once all nodes know each other."""
    net = Net(program)
    try:
        for number in range(1, count + 1):
            net.node(net.host(number), str(number))
        for node in net.nodes:
            wait_until(lambda node=node: node.ask("status"), 120)
        time.sleep(30)  # Until all have found each other.
        known = [node.ask("status")["peers_known"] for node in net.nodes[:3]]
        before = [sent_bytes(port) for port in net.ports]
        start = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - start
        rates = sorted((sent_bytes(port) - old) / took
                       for port, old in zip(net.ports, before))
        peers = [len(node.connected()) for node in net.nodes[:3]]
        print(f"idle, {count} nodes, {took:.0f} s: each sent {sum(rates) / count / 1024:.2f} KiB/s "
              f"on average, {rates[-1] / 1024:.2f} KiB/s at most; three of them know {known} "
              f"others and are connected to {peers}")
        return 0 if sum(rates) / count <= 2048 else 1
    finally:
        net.close()


def uvarint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return uvarint(number << 3 | 2) + uvarint(len(data)) + data


def forged_parts(source):
    """A beacon as docs/protocols/beacon.md has it, in two parts: 32 bytes of key belong between."""
    now = int(time.time() * 1000)
    address = b"\x04" + socket.inet_aton(source) + b"\x91\x02\x0f\xa1\xcc\x03"
    payload = (b"\x08" + uvarint(now) + b"\x10" + uvarint(now) + field(4, address)
               + b"\x38" + uvarint(2000) + b"\x40" + uvarint(5000))
    return (b"WRNB\x01\x0a\x24\x08\x01\x12\x20",
            field(2, b"/warren/beacon/1") + field(3, payload) + field(5, b"\x5a" * 64))


def send_flood(source, seconds, rate):
    head, tail = forged_parts(source)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    index = socket.if_nametoindex("eth0")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                    struct.pack("4s4si", b"\0" * 4, b"\0" * 4, index))
    print("ready", flush=True)
    start, sent = time.monotonic(), 0
    while sent < seconds * rate:
        due = min(seconds * rate, int((time.monotonic() - start) * rate) + 1)
        while sent < due:
            sock.sendto(head + struct.pack(">Q", sent) * 4 + tail, (GROUP, PORT))
            sent += 1
        select.select([], [], [], 0.001)
    print(sent, flush=True)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(n) for n in re.findall(r"^Private_Dirty: +(\d+) kB", file.read(), re.M))


def measure_flood(net, seconds, rate):
    """A node with one honest peer under a flood from a third computer; one more node comes during
    it. Returns the figures."""
    victim, honest, bad, late = (net.host(n) for n in (1, 2, 66, 3))
    a, b = net.node(victim, "a"), net.node(honest, "b")
    pid = a.process.pid
    wait_until(lambda: a.sees("multicast", b.id), 20)
    time.sleep(5)
    began = cpu_seconds(pid)
    time.sleep(5)
    quiet = (cpu_seconds(pid) - began) / 5
    memory, known = private_kib(pid), a.ask("status")["peers_known"]
    sender = subprocess.Popen(
        bad.enter(sys.executable, "-B", str(TOP / "bench" / "discovery.py"), "send", "10.77.0.66",
                  str(seconds), str(rate)), stdout=subprocess.PIPE, text=True,
        preexec_fn=netns.die_with_parent)
    sender.stdout.readline()
    cpu, start = cpu_seconds(pid), time.monotonic()
    sent = int(sender.stdout.readline())
    took = time.monotonic() - start
    cpu = (cpu_seconds(pid) - cpu) / took
    memory = private_kib(pid) - memory
    sender.wait()
    sender.stdout.close()
    seen = {each["peer_id"] for each in a.source("multicast")["seen"] if not each["lost"]}
    figures = {"rate": sent / took, "cpu": cpu, "quiet": quiet, "kib": memory,
               "strangers": seen - {b.id}, "honest_stays": b.id in seen,
               "known_more": a.ask("status")["peers_known"] - known}
    # Another one while it goes on.
    sender = subprocess.Popen(
        bad.enter(sys.executable, "-B", str(TOP / "bench" / "discovery.py"), "send", "10.77.0.66",
                  "10", str(rate)), stdout=subprocess.DEVNULL, preexec_fn=netns.die_with_parent)
    time.sleep(1)
    c = net.node(late, "c")
    figures["late_found"] = wait_until(lambda: a.sees("multicast", c.id), 9)
    sender.kill()
    sender.wait()
    return figures


def flood(program, seconds=10, rate=10_000):
    net = Net(program)
    try:
        got = measure_flood(net, seconds, rate)
    finally:
        net.close()
    late = got["late_found"]
    print(f"flood of {got['rate']:.0f} forged beacons/s: {100 * got['cpu']:.1f} % of a core "
          f"(without it {100 * got['quiet']:.1f} %), {got['kib']} KiB more, "
          f"{len(got['strangers'])} peers made, {got['known_more']} more known; an honest peer "
          f"{'stays' if got['honest_stays'] else 'is LOST'}, a new one is found "
          f"{'never' if late is None else f'after {late:.1f} s'}")
    good = (got["cpu"] - got["quiet"] <= 0.05 and got["kib"] <= 1024 and not got["strangers"]
            and got["honest_stays"] and late is not None)
    return 0 if good else 1


def main():
    words = sys.argv[1:]
    if words[:1] == ["send"]:
        send_flood(words[1], int(words[2]), int(words[3]))
        return 0
    program = str(TOP / "build" / "release" / "warren")
    if words[:1] == ["--program"]:
        program, words = os.path.abspath(words[1]), words[2:]
    if not words or words[0] not in ("times", "idle", "flood"):
        print(__doc__)
        return 2
    netns.own_namespace()
    run = {"times": times, "idle": idle, "flood": flood}[words[0]]
    return run(program, *(int(word) for word in words[1:]))


if __name__ == "__main__":
    sys.exit(main())

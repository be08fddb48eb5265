#!/usr/bin/env python3
"""Floods against a node that serves an honest peer: the honest one gets its bytes, the node's memory
stays within its budget, and afterwards nothing is left of the flood. Rates are printed, not judged."""
import contextlib
import os
import pathlib
import re
import resource
import select
import socket
import threading
import time
import unittest

from harness import LOOPBACK, MIB, OK, SystemTest, same_file, wait_for, write

TCP = "/ip4/127.0.0.1/tcp/0"
FILE_BYTES = 192 * MIB
# Connections and their windows may take 256 MiB, transfers and the store what they take anyway;
# a flood of connections that prove nothing gets an eighth of the first.
FLOOD_MEMORY_BYTES = 96 * MIB


def memory_peak(node):
    """VmHWM of the node's process, in bytes."""
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def port_of(status, kind):
    """The port of the first listen address of a kind, "udp" or "tcp"."""
    for address in status["listen"]:
        found = re.match(rf"/ip4/127\.0\.0\.1/{kind}/(\d+)", address)
        if found:
            return int(found.group(1))
    raise AssertionError(f"no {kind} in {status['listen']}")


def initial(payload_bytes=1178):
    """The first packet of a QUIC client as a stranger sees it: well-formed, with an id of its own,
    and encrypted with no key at all."""
    head = (b"\xc3\x00\x00\x00\x01" + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8) + b"\x00" +
            (0x4000 | payload_bytes).to_bytes(2, "big"))
    return head + os.urandom(payload_bytes)


class Flood(SystemTest):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.files_max = hard

    def start_pair(self):
        """A node with two shared files, and a peer that is connected to it."""
        self.server = self.node("a", listen=(LOOPBACK, TCP)).start()
        self.status = self.expect(self.server.run("status"), OK).result
        self.client = self.node("b").start()
        self.connect(self.client, self.server)
        self.files = {}
        for seed, name in enumerate(("alone", "during")):
            path = write(self.folder / f"{name}.bin", FILE_BYTES, seed)
            self.files[name] = (path, self.share(self.server, path)["cid"])

    def fetch(self, name):
        """Fetches the file of that name and returns how long that took."""
        source, cid = self.files[name]
        target = self.folder / name
        target.mkdir()
        began = time.monotonic()
        self.expect(self.client.run("get", cid, "--out", target, timeout=120), OK)
        seconds = time.monotonic() - began
        fetched = [path for path in target.rglob("*") if path.is_file()]
        self.assertEqual(len(fetched), 1, fetched)
        self.assertTrue(same_file(fetched[0], source))
        fetched[0].unlink()
        return seconds

    def refused(self):
        status = self.expect(self.server.run("status"), OK).result
        return {(some["scope"], some["resource"]): some["count"] for some in status["refused"]}

    @contextlib.contextmanager
    def running(self, attack):
        """Runs `attack(stop)` in a thread beside the body; it has to end soon after `stop` is set."""
        stop, problem = threading.Event(), []

        def body():
            try:
                attack(stop)
            except Exception as error:  # Told by the test.
                problem.append(error)
        thread = threading.Thread(target=body)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=60)
        self.assertFalse(thread.is_alive())
        self.assertEqual(problem, [])

    def address(self, kind):
        """Where the server listens with a kind of transport, "udp" or "tcp"."""
        port = port_of(self.status, kind)
        rest = "/quic-v1" if kind == "udp" else ""
        return f"/ip4/127.0.0.1/{kind}/{port}{rest}/p2p/{self.server.peer_id}"

    def check_flood(self, attack, name, kind):
        """An honest fetch alone, and one during `attack` while somebody new connects; then all that
        has to be true afterwards."""
        alone = self.fetch("alone")
        files_before, memory_before = descriptors(self.server), memory_peak(self.server)
        newcomer = self.node("newcomer").start()
        with self.running(attack):
            during = self.fetch("during")
            # Its handshake may make way for one of the flood, which comes from the same address.
            wait_for(lambda: newcomer.run("connect", self.address(kind)).code == OK,
                     "somebody new to come through", 5)
        grown = memory_peak(self.server) - memory_before
        print(f"\n{name}: the honest peer had {alone / during:.0%} of its rate "
              f"({FILE_BYTES / MIB / alone:.0f} MiB/s alone, {FILE_BYTES / MIB / during:.0f} "
              f"during), memory peak + {grown / MIB:.0f} MiB, refused {self.refused()}", flush=True)
        self.assertLess(grown, FLOOD_MEMORY_BYTES)
        wait_for(lambda: descriptors(self.server) <= files_before + 2,
                 f"descriptors to fall back to {files_before}", seconds=20)
        self.assertTrue(self.server.running())

    def test_ten_thousand_half_open_tcp_connections(self):
        self.start_pair()
        port = port_of(self.status, "tcp")
        opened = []

        def attack(stop):
            held, waiting = [], []
            room = min(3000, self.files_max // 2)
            while len(opened) < 10_000 or not stop.is_set():
                if stop.is_set() and len(opened) >= 10_000:
                    break
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
                held.append(one)
                opened.append(1)
                if len(held) > room:
                    held.pop(0).close()
                if len(opened) % 50 == 0:
                    time.sleep(0.005)
            for one in held + waiting:
                one.close()
        self.check_flood(attack, "10,000 half-open TCP connections", "tcp")
        self.assertGreaterEqual(len(opened), 10_000)
        self.assertGreater(sum(self.refused().values()), 1000)

    def test_ten_thousand_quic_initials_from_many_ports(self):
        self.start_pair()
        port = port_of(self.status, "udp")
        genuine = self.genuine_initials(24)
        sent = []

        def attack(stop):
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(500)]
            for one in sockets:
                one.setblocking(False)
            while len(sent) < 10_000 or not stop.is_set():
                one = sockets[len(sent) % len(sockets)]
                packet = genuine.pop() if genuine and len(sent) % 100 == 0 else initial()
                with contextlib.suppress(BlockingIOError):
                    one.sendto(packet, ("127.0.0.1", port))
                sent.append(1)
                if len(sent) % 20 == 0:
                    time.sleep(0.002)
            for one in sockets:
                one.close()
        self.check_flood(attack, "10,000 QUIC Initials", "udp")
        self.assertGreaterEqual(len(sent), 10_000)

    def genuine_initials(self, count):
        """First packets of real clients, which nobody answered."""
        packets = {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
            sink.bind(("127.0.0.1", 0))
            address = f"/ip4/127.0.0.1/udp/{sink.getsockname()[1]}/quic-v1"
            dials = [self.client.popen("connect", address) for _ in range(count)]
            end = time.monotonic() + 3
            while len(packets) < count and time.monotonic() < end:
                if select.select([sink], [], [], 0.2)[0]:
                    packet = sink.recv(2048)
                    packets.setdefault(packet[6:6 + packet[5]], packet)
        for dial in dials:
            dial.communicate(timeout=30)
        self.assertGreater(len(packets), 0)
        return list(packets.values())

    def test_a_peer_that_connects_and_never_speaks_is_gone_after_five_seconds(self):
        node = self.node("a", listen=(LOOPBACK, TCP)).start()
        port = port_of(self.expect(node.run("status"), OK).result, "tcp")
        files_before = descriptors(node)
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                      for _ in range(10)]
            for one in silent:
                one.settimeout(20)
                with contextlib.suppress(ConnectionResetError):
                    while one.recv(1000):
                        pass
        seconds = time.monotonic() - began
        self.assertGreater(seconds, 3, "a slow peer has its time")
        self.assertLess(seconds, 15)
        wait_for(lambda: descriptors(node) <= files_before, "descriptors to fall back")

    def test_a_peer_that_speaks_a_byte_at_a_time_is_gone_after_five_seconds(self):
        node = self.node("a", listen=(LOOPBACK, TCP)).start()
        port = port_of(self.expect(node.run("status"), OK).result, "tcp")
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.settimeout(0.5)
            ended = False
            for byte in b"\x13/multistream/1.0.0\n" + b"\x07/noise\n" + bytes(40):
                try:
                    slow.sendall(bytes([byte]))
                    ended = slow.recv(1000) == b""
                except TimeoutError:
                    continue
                except OSError:
                    ended = True
                if ended:
                    break
        self.assertTrue(ended)
        self.assertLess(time.monotonic() - began, 15)

    def test_status_says_in_words_what_was_refused(self):
        node = self.node("a", listen=(LOOPBACK, TCP)).start()
        self.assertNotIn("refused", node.run("status", json_output=False).out)
        port = port_of(self.expect(node.run("status"), OK).result, "tcp")
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                one = stack.enter_context(socket.socket())
                one.connect(("127.0.0.1", port))
            text = wait_for(lambda: "refused" in (out := node.run("status", json_output=False).out)
                            and out, "status to tell of refusals")
        self.assertRegex(text, r"refused +\d+ connections in handshakes")
        wait_for(lambda: "handshakes" in node.log_text(), "the log to tell of refusals")


if __name__ == "__main__":
    unittest.main(verbosity=2)

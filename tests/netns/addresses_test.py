#!/usr/bin/env python3
"""Addresses that come and go while two nodes run in network namespaces: the kernel tells of them, and
the other node hears of them at once.

Usage: addresses_test.py WARREN [-k NAME]

Exit code 77: namespaces cannot be made here.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

import netns

WARREN = ""


class Node(netns.Program):
    """A running `warren up` with a home of its own."""

    def __init__(self, home, namespace=None):
        self.home = home
        super().__init__([WARREN, "--home", home, "up"], namespace)

    def ask(self, *words):
        """The result of a command, or None while there is none."""
        done = subprocess.run([WARREN, "--home", self.home, "--json", *words], capture_output=True,
                              text=True, timeout=30, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines[-1] if done.returncode == 0 and lines else None

    def known_addresses(self):
        """All that this node knows of addresses of its peers, as one text."""
        peers = self.ask("peers")
        return json.dumps(peers) if peers else ""


def wait_until(condition, seconds):
    """The time until `condition()` held, or None."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.05)
    return None


class Addresses(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.other = netns.Namespace()
        self.nodes = []

    def tearDown(self):
        for node in self.nodes:
            node.close()
        self.other.close()
        netns.Link.remove()
        self.folder.cleanup()

    def node(self, name, *options):
        node = Node(os.path.join(self.folder.name, name), *options)
        self.nodes.append(node)
        return node

    def test_an_address_that_comes_later_is_announced_and_one_that_goes_too(self):
        netns.run("ip", "link", "set", "lo", "up")
        netns.Link(self.other).add_ipv4()
        a, _ = self.node("a"), self.node("b", self.other)
        connected = wait_until(lambda: "/ip4/10.77.0.2/" in a.known_addresses(), 15)
        self.assertIsNotNone(connected, "the nodes did not find each other")
        self.assertNotIn("/ip4/10.88.0.2/", a.known_addresses())
        netns.run(*self.other.enter("ip", "addr", "add", "10.88.0.2/24", "dev", "veth-b"))
        told = wait_until(lambda: "/ip4/10.88.0.2/" in a.known_addresses(), 10)
        self.assertIsNotNone(told, "the new address was never told")
        self.assertLess(told, 2)
        netns.run(*self.other.enter("ip", "addr", "del", "10.88.0.2/24", "dev", "veth-b"))
        gone = wait_until(lambda: "/ip4/10.88.0.2/" not in a.known_addresses(), 10)
        self.assertIsNotNone(gone, "the address that went was never taken back")


def main():
    global WARREN
    netns.own_namespace()
    WARREN = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)


if __name__ == "__main__":
    main()

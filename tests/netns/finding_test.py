#!/usr/bin/env python3
"""Nodes that find each other, or lose each other, on networks made for the purpose.

Usage: finding_test.py WARREN [-k NAME]

Exit code 77: namespaces cannot be made here.
"""

import os
import sys
import tempfile
import time
import unittest

import netns
from warren_node import Node, wait_until

WARREN = ""
QUIET = "exchange:\n  enabled: false\n"  # So that each finds for itself.


class Finding(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.switch = netns.Switch()
        self.switches, self.hosts, self.nodes, self.ports = [self.switch], [], [], {}

    def tearDown(self):
        for node in self.nodes:
            node.close()
        for switch in self.switches:
            switch.close()
        for host in self.hosts:
            host.close()
        self.folder.cleanup()

    def host(self, number):
        """A computer at 10.77.0.`number` on the switch."""
        host = netns.Namespace()
        self.hosts.append(host)
        self.ports[number] = self.switch.plug(host, f"10.77.0.{number}")
        return host

    def node(self, host, config=QUIET):
        home = os.path.join(self.folder.name, str(len(self.nodes)))
        node = Node(WARREN, home, host, config)
        self.nodes.append(node)
        return node

    def assert_connect(self, a, b, seconds=10):
        took = wait_until(lambda: b.id in a.connected() and a.id in b.connected(), seconds)
        self.assertIsNotNone(took, f"not connected after {seconds} s: {a.ask('discover')}")
        return took

    def test_all_of_a_link_hear_of_what_one_of_them_shares(self):
        """However few peers each of them is to hold."""
        few = QUIET + "connection_manager: {target_peers: 2, max_peers: 4, grace_period: 1s}\n"
        nodes = [self.node(self.host(number), few) for number in range(1, 11)]
        for node in nodes:
            self.assertIsNotNone(wait_until(lambda n=node: n.connected(), 20))
        entry = os.path.join(self.folder.name, "library", "poem")
        os.makedirs(entry)
        with open(os.path.join(entry, "version.ini"), "w", encoding="ascii") as file:
            file.write("version = 1\n")
        with open(os.path.join(entry, "text"), "w", encoding="ascii") as file:
            file.write("roses")
        self.assertIsNotNone(nodes[0].ask("library", "add", os.path.dirname(entry)))
        for node in nodes:
            took = wait_until(lambda n=node: n.ask("catalog")["entries"], 90)
            self.assertIsNotNone(took, node.ask("peers")["limits"])
        # It holds all of them; they hold it and few others.
        def neighbours(node):
            return node.ask("peers")["limits"]["neighbours"]
        for node, count in [(nodes[0], 9)] + [(node, 1) for node in nodes[1:]]:
            took = wait_until(lambda n=node, c=count: neighbours(n) == c, 90)
            self.assertIsNotNone(took, node.ask("peers")["limits"])

    def test_two_interfaces(self):
        second = netns.Switch("br1")
        self.switches.append(second)
        middle, left = self.host(1), self.host(2)
        second.plug(middle, "10.78.0.1", "eth1")
        right = netns.Namespace()
        self.hosts.append(right)
        second.plug(right, "10.78.0.3")
        a, b, c = self.node(middle), self.node(left), self.node(right)
        self.assert_connect(a, b)
        self.assert_connect(a, c)
        self.assertEqual(b.connected(), {a.id})
        self.assertEqual(c.connected(), {a.id})
        for peer, prefix in ((b, "/ip4/10.77.0.2/"), (c, "/ip4/10.78.0.3/")):
            seen = wait_until(lambda p=peer: a.sees("multicast", p.id), 5)
            self.assertIsNotNone(seen)
            addresses = a.sees("multicast", peer.id)["addresses"]
            self.assertTrue(any(each.startswith(prefix) for each in addresses), addresses)
            # What the other network has is of no use to this one.
            self.assertIsNotNone(wait_until(lambda p=peer: p.sees("multicast", a.id), 5))
            heard = peer.sees("multicast", a.id)["addresses"]
            wrong = "/ip4/10.78." if peer is b else "/ip4/10.77."
            self.assertFalse(any(each.startswith(wrong) for each in heard), heard)
        heard = {each["interface"]: each["heard_peers"]
                 for each in a.source("multicast")["interfaces"]}
        self.assertGreater(heard["eth0"], 0)
        self.assertGreater(heard["eth1"], 0)

    def test_an_address_that_changes(self):
        first, second = self.host(1), self.host(2)
        a, b = self.node(first), self.node(second)
        self.assert_connect(a, b)
        netns.run(*second.enter("ip", "addr", "add", "10.77.0.22/24", "dev", "eth0"))
        netns.run(*second.enter("ip", "addr", "del", "10.77.0.2/24", "dev", "eth0"))
        # Where it was the first of its network, the kernel takes the others with it.
        netns.run(*second.enter("ip", "addr", "replace", "10.77.0.22/24", "dev", "eth0"))

        def moved():
            seen = a.sees("multicast", b.id)
            addresses = seen["addresses"] if seen else []
            return (any(each.startswith("/ip4/10.77.0.22/") for each in addresses)
                    and not any(each.startswith("/ip4/10.77.0.2/") for each in addresses))
        self.assertIsNotNone(wait_until(moved, 10), a.ask("discover"))
        took = wait_until(lambda: b.id in a.connected() and a.id in b.connected(), 60)
        self.assertIsNotNone(took, "never connected again")

    def test_a_switch_that_drops_multicast(self):
        first, second = self.host(1), self.host(2)
        for port in self.ports.values():
            self.switch.block_multicast(port)
        a, b = self.node(first), self.node(second)
        took = self.assert_connect(a, b)
        print(f"by broadcast after {took:.1f} s")
        self.assertIsNotNone(wait_until(lambda: a.sees("multicast", b.id), 5))
        self.assertEqual(a.source("mdns")["seen"], [])
        peer = next(each for each in a.ask("peers")["peers"] if each["peer_id"] == b.id)
        self.assertIn("multicast", str(peer["via"]))
        checks = {check["name"]: check for check in a.ask("doctor", accept=(0, 1, 3))["checks"]}
        self.assertEqual(checks["multicast"]["verdict"], "warn", checks["multicast"])
        self.assertIn("dropped by the network at eth0 IPv4", checks["multicast"]["detail"])

    def test_interfaces_without_multicast(self):
        first, second = self.host(1), self.host(2)
        for host in (first, second):
            netns.run(*host.enter("ip", "link", "set", "eth0", "multicast", "off"))
        a, b = self.node(first), self.node(second)
        self.assert_connect(a, b)
        doctor = a.ask("doctor", accept=(0, 1, 3))
        checks = {check["name"]: check for check in doctor["checks"]}
        self.assertNotEqual(checks["multicast"]["verdict"], "ok", checks["multicast"])

    def test_first_peers_where_nothing_else_passes(self):
        first, second = self.host(1), self.host(2)
        for port in self.ports.values():
            self.switch.block_multicast(port)
        quiet = QUIET + "beacon:\n  enabled: false\n"
        a = self.node(first, quiet)
        b = self.node(second, quiet + "bootstrap:\n  peers:\n"
                      f"    - /ip4/10.77.0.1/udp/4001/quic-v1/p2p/{a.id}\n")
        self.assert_connect(a, b)
        self.assertEqual(b.source("mdns")["seen"], [])

    def test_a_node_that_joins_late(self):
        first, second, third = self.host(1), self.host(2), self.host(3)
        a, b = self.node(first), self.node(second)
        self.assert_connect(a, b)
        time.sleep(5)
        c = self.node(third)
        self.assertIsNotNone(wait_until(lambda: c.ask("status"), 20))
        for each in (a, b):
            took = self.assert_connect(each, c)
            self.assertLess(took, 5)
        print(f"joined late: {time.monotonic() - c.started:.1f} s from its start")

    def test_a_node_that_is_killed_leaves_the_list(self):
        first, second = self.host(1), self.host(2)
        a, b = self.node(first), self.node(second)
        self.assert_connect(a, b)
        gone = b.id
        b.crash()
        heard = wait_until(lambda: a.sees("multicast", gone) is None, 15)
        self.assertIsNotNone(heard, "its beacons are still believed")
        took = wait_until(lambda: gone not in a.connected(), 60)
        self.assertIsNotNone(took, "it is still in the list after a minute")
        print(f"killed: lost by the beacon after {heard:.1f} s, from the list {took:.1f} s later")
        self.assertLess(heard + took, 60)

    def test_a_node_whose_link_goes_down_leaves_the_list(self):
        first, second = self.host(1), self.host(2)
        a, b = self.node(first), self.node(second)
        self.assert_connect(a, b)
        netns.run("ip", "link", "set", self.ports[2], "down")
        took = wait_until(lambda: b.id not in a.connected(), 60)
        self.assertIsNotNone(took, "it is still in the list after a minute")
        print(f"link down: left the list after {took:.1f} s")
        netns.run("ip", "link", "set", self.ports[2], "up")
        took = self.assert_connect(a, b, 60)
        print(f"link up: connected again after {took:.1f} s")

    def test_a_node_that_stops_says_so(self):
        first, second = self.host(1), self.host(2)
        a, b = self.node(first), self.node(second)
        self.assert_connect(a, b)
        self.assertIsNotNone(wait_until(lambda: a.sees("multicast", b.id), 5))
        stopping = b.id
        b.process.terminate()
        took = wait_until(
            lambda: stopping not in a.connected() and a.sees("multicast", stopping) is None, 5)
        self.assertIsNotNone(took, "the goodbye was not heard")
        print(f"stopped: left after {took:.2f} s")
        self.assertLess(took, 2)  # One second, and what the question takes on a busy computer.


def main():
    global WARREN
    netns.own_namespace()
    WARREN = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)


if __name__ == "__main__":
    main()

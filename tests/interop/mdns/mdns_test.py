#!/usr/bin/env python3
"""mDNS discovery between Warren and js-libp2p, in network namespaces.

Usage: mdns_test.py NODE NODE_MODULES MDNS_PROBE

NODE is the node program, NODE_MODULES where the npm packages are, MDNS_PROBE the program of
tests/netns/mdns_probe.cpp. Exit code 77: node, its packages or namespaces are not to be had.
"""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "netns"))
import netns  # noqa: E402

NODE = MODULES = PROBE = ""
JS_PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
SCRIPT = str(pathlib.Path(__file__).resolve().with_name("peer.mjs"))


class MdnsWithJs(unittest.TestCase):
    def setUp(self):
        self.programs = []
        self.other = netns.Namespace()
        netns.Link(self.other).add_ipv4()
        # js-libp2p leaves the choice of the interface to the routing table.
        netns.run("ip", "route", "add", "default", "dev", "veth-a")
        netns.run(*self.other.enter("ip", "route", "add", "default", "dev", "veth-b"))

    def tearDown(self):
        for program in self.programs:
            program.close()
        self.other.close()
        netns.Link.remove()

    def start(self, *arguments):
        program = netns.Program(*arguments)
        self.programs.append(program)
        return program

    def js(self, address, namespace):
        program = self.start([NODE, SCRIPT, MODULES, f"{address}/p2p/{JS_PEER}"], namespace)
        self.assertIsNotNone(program.wait_for("ready", 30))
        return program

    def warren(self):
        program = self.start([PROBE, "1", "4001", "20"])
        program.peer = program.wait_for("id ", 10)[1].split()[1]
        return program

    def find_each_other(self, js, warren, js_address):
        found = warren.wait_for(f"found {JS_PEER}", 12)
        self.assertIsNotNone(found, "Warren never found js-libp2p")
        self.assertEqual(found[1].split()[2:], [js_address])
        found = js.wait_for(f"found {warren.peer}", 12)
        self.assertIsNotNone(found, "js-libp2p never found Warren")
        self.assertIn("/ip4/10.77.0.1/udp/4001/quic-v1", found[1].split()[2:])

    def test_on_two_hosts_js_first(self):
        js = self.js("/ip4/10.77.0.2/tcp/4005", self.other)
        self.find_each_other(js, self.warren(), "/ip4/10.77.0.2/tcp/4005")

    def test_on_two_hosts_warren_first(self):
        warren = self.warren()
        js = self.js("/ip4/10.77.0.2/tcp/4005", self.other)
        self.find_each_other(js, warren, "/ip4/10.77.0.2/tcp/4005")

    def test_on_one_host_with_one_port_for_both(self):
        warren = self.warren()
        js = self.js("/ip4/10.77.0.1/tcp/4005", None)
        self.find_each_other(js, warren, "/ip4/10.77.0.1/tcp/4005")


def main():
    global NODE, MODULES, PROBE
    NODE, MODULES, PROBE = sys.argv[1:4]
    for needed in (NODE, os.path.join(MODULES, "@libp2p/mdns")):
        if not os.path.exists(needed):
            print(f"skipped: {needed} is not there; run scripts/setup --tests")
            sys.exit(netns.SKIPPED)
    netns.own_namespace()
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)


if __name__ == "__main__":
    main()

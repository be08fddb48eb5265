#!/usr/bin/env python3
"""Runs the mDNS test of the library on a link that nobody else has: in a network namespace of its
own.

    mdns_test.py TEST_PROGRAM
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "netns"))
import netns  # noqa: E402


def main():
    netns.own_namespace()
    netns.run("ip", "link", "set", "lo", "up")
    netns.run("ip", "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
    netns.run("ip", "addr", "add", "10.77.0.1/24", "dev", "veth-a")
    netns.run("ip", "link", "set", "veth-a", "up")
    netns.run("ip", "link", "set", "veth-b", "up")
    done = subprocess.run([sys.argv[1], "--gtest_filter=MdnsDiscovery.*"], check=False,
                          env={**os.environ, "WARREN_TEST_ADDRESS": "10.77.0.1"})
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Nodes that reach each other over one transport alone: what works over QUIC works over each."""
import socket
import time
import unittest

from harness import INTEGRITY, MIB, OK, SystemTest, write

TCP = "/ip4/127.0.0.1/tcp/0"
WEBSOCKET = "/ip4/127.0.0.1/tcp/0/ws"
OTHER_PEER = "12D3KooWGvf5VgToi1Cw3Woxcr5Rq5MuFT1n47YKr6HZbTxtuMNM"


class Transports(SystemTest):
    def pair_over(self, address, path):
        """Two nodes that have no other transport in common; `path` is how `peers` calls it."""
        sender = self.node("a", listen=(address,)).start()
        receiver = self.node("b", listen=(address,)).start()
        self.connect(receiver, sender)
        for node in (sender, receiver):
            peers = self.expect(node.run("peers"), OK).result["peers"]
            self.assertEqual([peer["path"] for peer in peers], [path], peers)
        return sender, receiver

    def share_get_ping_perf(self, address, path):
        source = write(self.folder / "source.bin", 20 * MIB + 17)
        sender, receiver = self.pair_over(address, path)
        cid = self.share(sender, source, "one")["cid"]
        got = self.expect(receiver.run("get", cid, "--out", self.folder / "out"), OK).result
        self.assert_same_tree(source, got["path"])
        ping = self.expect(receiver.run("ping", sender.address, "--count", "3"), OK)
        self.assertEqual(ping.result["received"], 3, ping.result)
        perf = receiver.run("perf", sender.address, "--upload-bytes", 10 * MIB,
                            "--download-bytes", 10 * MIB)
        self.expect(perf, OK)
        for node in (receiver, sender):
            code, seconds = node.stop()
            self.assertEqual(code, 0)
            self.assertLess(seconds, 4)

    def test_tcp_carries_all_that_a_node_does(self):
        self.share_get_ping_perf(TCP, "lan/tcp")

    def test_websocket_carries_all_that_a_node_does(self):
        self.share_get_ping_perf(WEBSOCKET, "lan/ws")

    def test_another_identity_than_the_address_names_is_refused_over_each(self):
        for address in (TCP, WEBSOCKET):
            with self.subTest(address=address):
                name = "x" + address.replace("/", "-")
                node = self.node(name, listen=(address,)).start()
                place = node.address.split("/p2p/")[0]
                dialler = self.node(name + "-b", listen=(TCP,)).start()
                self.expect(dialler.run("connect", f"{place}/p2p/{OTHER_PEER}"), INTEGRITY)

    def test_a_peer_that_never_speaks_is_dropped_after_five_seconds(self):
        node = self.node("a", listen=(TCP,)).start()
        port = int(node.address.split("/tcp/")[1].split("/")[0])
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
            while silent.recv(100):  # The listener greets.
                pass
        self.assertGreater(time.monotonic() - began, 4.5)
        self.assertLess(time.monotonic() - began, 8)
        self.expect(node.run("status"), OK)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""`warren peers` with its verbs, `discover` and `doctor`, on real nodes."""
import time
import unittest

import harness
from harness import CONFLICT, DENIED, NOT_FOUND, OK, PARTLY, FAILED, USAGE, SystemTest, run, wait_for

OTHER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


class Peers(SystemTest):
    def two(self):
        return (self.node("a").start(), self.node("b").start())

    def peer_of(self, node, peer_id):
        peers = self.expect(node.run("peers"), OK).result["peers"]
        return next((peer for peer in peers if peer["peer_id"] == peer_id), None)

    def connected(self, node, peer_id):
        peer = self.peer_of(node, peer_id)
        return peer is not None and peer["connected"]

    def test_the_table_has_its_columns_and_says_how_a_peer_came(self):
        a, b = self.two()
        self.connect(b, a)
        wait_for(lambda: self.connected(a, b.peer_id), "the other side")
        for node, via in ((b, "manual"), (a, "inbound")):
            lines = self.expect(node.run("peers", json_output=False), OK).out.splitlines()
            self.assertEqual(lines[0].split(),
                             ["NAME", "ID", "PATH", "RTT", "RX", "TX", "SINCE", "VIA"])
            self.assertEqual(lines[1].split()[-1], via)
            self.assertIn("lan/quic", lines[1])
        self.assertIn(a.peer_id[-8:], b.run("peers", json_output=False).out)

    def test_json_has_all_that_is_known_of_a_peer(self):
        a, b = self.two()
        self.connect(b, a)
        peer = wait_for(lambda: self.peer_of(b, a.peer_id), "the peer")
        for field in ("addresses", "agent", "protocols", "score", "reputation", "public_key",
                      "last_seen", "first_seen", "outbound", "kept", "pinned", "name", "path",
                      "bytes_received", "bytes_sent", "connected_for", "connections", "streams"):
            self.assertIn(field, peer)
        self.assertTrue(peer["public_key"])
        self.assertTrue(peer["kept"] and peer["outbound"])
        limits = b.run("peers").result["limits"]
        self.assertEqual((limits["target_peers"], limits["max_peers"], limits["connected"]),
                         (16, 32, 1))

    def test_a_peer_is_added_with_its_key_and_a_name(self):
        a, b = self.two()
        place = a.address.split("/p2p/")[0]
        added = b.run("peers", "add", place, "--key", a.peer_id, "--name", "attic")
        self.assertEqual(self.expect(added, OK).result["name"], "attic")
        peer = self.peer_of(b, a.peer_id)
        self.assertTrue(peer["pinned"] and peer["kept"], peer)
        self.expect(b.run("ping", "attic", "-c", "1"), OK)
        self.assertIn("attic", b.run("peers", json_output=False).out)
        # The public key in the forms that people have it.
        key = peer["public_key"]
        self.expect(b.run("peers", "add", a.address, "--key", key), OK)

    def test_another_key_than_the_expected_one_is_refused_and_both_are_said(self):
        a, b = self.two()
        place = a.address.split("/p2p/")[0]
        refused = self.expect(b.run("peers", "add", place, "--key", OTHER), DENIED)
        self.assertIn(OTHER, refused.result["error"]["message"])
        self.assertIn(a.peer_id, refused.result["error"]["message"])
        self.assertFalse(self.connected(b, a.peer_id))
        self.expect(b.run("peers", "add", place, "--key", "no key at all"), USAGE)

    def test_a_name_belongs_to_one_key(self):
        a, b = self.two()
        c = self.node("c").start()
        self.expect(b.run("peers", "add", a.address, "--name", "attic"), OK)
        refused = b.run("peers", "add", c.address, "--name", "attic")
        self.assertIn(refused.code, (CONFLICT, DENIED), str(refused))
        self.assertIn(a.peer_id, refused.out)
        self.assertIn(c.peer_id, refused.out)

    def test_a_removed_peer_is_forgotten_also_after_a_restart(self):
        a, b = self.two()
        self.expect(b.run("peers", "add", a.address, "--name", "attic"), OK)
        self.expect(b.run("peers", "remove", "attic"), OK)
        self.expect(b.run("peers", "remove", "attic"), NOT_FOUND)
        b.stop()
        b.start()
        self.assertIsNone(self.peer_of(b, a.peer_id))

    def test_a_banned_peer_is_disconnected_and_kept_out_until_it_is_unbanned(self):
        a, b = self.two()
        self.connect(b, a)
        ban = self.expect(a.run("peers", "ban", b.peer_id, "--for", "1h", "--reason", "a test"), OK)
        self.assertEqual((ban.result["who"], ban.result["kind"]), (b.peer_id, "peer"))
        self.assertRegex(ban.result["until"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        wait_for(lambda: not self.connected(a, b.peer_id), "the connection to end")
        self.assertNotEqual(b.run("connect", a.address).code, OK)
        bans = self.expect(a.run("peers", "banned"), OK).result["bans"]
        self.assertEqual([(one["who"], one["reason"]) for one in bans], [(b.peer_id, "a test")])
        self.assertIn("a test", a.run("peers", "banned", json_output=False).out)
        a.kill()
        a.start()
        self.assertEqual(len(a.run("peers", "banned").result["bans"]), 1, "it survives kill -9")
        self.expect(a.run("peers", "unban", b.peer_id), OK)
        self.expect(a.run("peers", "unban", b.peer_id), NOT_FOUND)
        self.assertEqual(a.run("peers", "banned").result["bans"], [])
        wait_for(lambda: b.run("connect", a.address).code == OK, "to be let in again")

    def test_an_address_range_is_banned_but_never_loopback(self):
        node = self.node("a").start()
        ban = self.expect(node.run("peers", "ban", "198.51.100.0/24"), OK)
        self.assertEqual((ban.result["kind"], ban.result["until"]), ("prefix", "forever"))
        self.expect(node.run("peers", "ban", "127.0.0.0/8"), USAGE)
        self.expect(node.run("peers", "ban", "198.51.100.0/24", "--for", "soon"), USAGE)
        self.expect(node.run("peers", "unban", "198.51.100.0/24"), OK)

    def test_refresh_asks_and_lists(self):
        node = self.node("a").start()
        outcome = self.expect(node.run("peers", "--refresh"), OK)
        self.assertGreaterEqual(outcome.seconds, 0.9)
        self.assertLess(outcome.seconds, 8)

    def test_no_peers_says_what_was_tried_and_what_to_do_next(self):
        node = self.node("a").start()
        outcome = self.expect(node.run("peers", json_output=False), OK)
        self.assertEqual(outcome.out, "")
        self.assertIn("no peers yet", outcome.err)
        self.assertIn("bootstrap", outcome.err)
        self.assertIn("warren doctor", outcome.err)

    def test_discover_has_a_line_for_each_way(self):
        a, b = self.two()
        self.connect(b, a)
        sources = self.expect(b.run("discover"), OK).result["sources"]
        names = [source["name"] for source in sources]
        self.assertEqual(sorted(names), sorted(set(names)))
        self.assertIn("bootstrap", names)
        text = self.expect(b.run("discover", json_output=False), OK).out
        for name in names:
            self.assertRegex(text, rf"(?m)^{name} ")
        manual = next(source for source in sources if source["name"] == "manual")
        self.assertIn(a.peer_id, [peer["peer_id"] for peer in manual["seen"]])
        self.assertIn(a.peer_id[-8:], text)


class Doctor(SystemTest):
    def checks(self, outcome):
        return {check["name"]: check for check in outcome.result["checks"]}

    def code_of(self, checks):
        verdicts = {check["verdict"] for check in checks.values()}
        return FAILED if "fail" in verdicts else PARTLY if "warn" in verdicts else OK

    def test_without_a_node_the_machine_is_looked_at(self):
        began = time.monotonic()
        outcome = run("doctor", home=self.folder / "none")
        self.assertLess(time.monotonic() - began, 15)
        self.expect(outcome, FAILED)
        checks = self.checks(outcome)
        self.assertEqual(checks["daemon"]["verdict"], "fail")
        for name in ("ports", "multicast", "ipv6", "socket buffers", "space", "configuration"):
            self.assertIn(name, checks)

    def test_with_a_node_its_own_view_is_there_too(self):
        node = self.node("a").start()
        outcome = node.run("doctor")
        checks = self.checks(outcome)
        self.assertEqual(outcome.code, self.code_of(checks), str(outcome))
        self.assertLess(outcome.seconds, 15)
        for name in ("daemon", "ports", "inbound", "bootstrap", "peer store", "configuration"):
            self.assertEqual(checks[name]["verdict"], "ok", checks[name])
        text = node.run("doctor", json_output=False)
        self.assertEqual(text.code, outcome.code)
        for name in checks:
            self.assertRegex(text.out, rf"(?m)^(ok|warn|FAIL) +{name} ")

    def test_a_bad_configuration_is_found(self):
        node = self.node("a").start()
        (node.home / "config.yaml").write_text("nonsense: 1\n")
        wait_for(lambda: self.checks(node.run("doctor"))["configuration"]["verdict"] == "fail",
                 "the doctor to see it")
        self.assertIn("config.yaml:1:1", self.checks(node.run("doctor"))["configuration"]["detail"])

    def test_a_broken_peer_store_and_a_taken_port_are_found(self):
        home = self.folder / "h"
        (home / "state").mkdir(parents=True)
        (home / "state" / "peers.db").write_bytes(b"this is no database" * 1000)
        other = self.node("other").start()
        port = other.address.split("/udp/")[1].split("/")[0]
        (home / "config.yaml").write_text(
            f"p2p: {{listen_addresses: [/ip4/127.0.0.1/udp/{port}/quic-v1]}}\n")
        checks = self.checks(run("doctor", home=home))
        self.assertEqual(checks["peer store"]["verdict"], "fail", checks["peer store"])
        self.assertEqual(checks["ports"]["verdict"], "fail", checks["ports"])
        self.assertIn(port, checks["ports"]["detail"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

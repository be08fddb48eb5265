#!/usr/bin/env python3
"""Bad days at the start of a node: each gets a clear error and nothing is lost."""
import os
import re
import subprocess
import unittest

import harness
from harness import DENIED, FAILED, OK, USAGE, SystemTest, run

PORT_IN_USE_CODES = (FAILED, harness.CONFLICT)


def up(home, *more, timeout=15):
    """Runs `up` that is expected to end by itself."""
    words = [harness.PROGRAM, "--home", str(home), "up", "--no-mdns", "--no-beacon"]
    if "--listen" not in more:
        words += ["--listen", harness.LOOPBACK]
    return subprocess.run(words + list(more), capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, errors="backslashreplace", check=False)


class Start(SystemTest):
    def test_up_says_who_and_where_it_is(self):
        node = self.node("a").start()
        text = node.log_text()
        self.assertIn(node.peer_id, text)
        self.assertIn("/udp/" + re.search(r"/udp/(\d+)/", node.address).group(1), text)
        self.assertIn(str(node.home), text)
        self.assertIn("mdns", text.lower())

    def test_a_second_up_on_the_same_home_names_the_one_that_runs(self):
        node = self.node("a").start()
        second = up(node.home)
        self.assertIn(second.returncode, (FAILED, harness.CONFLICT), second.stderr)
        self.assertIn(str(node.process.pid), second.stderr)
        self.expect(node.run("status"), OK)

    def test_a_port_in_use_is_named(self):
        node = self.node("a").start()
        port = re.search(r"/udp/(\d+)/", node.address).group(1)
        second = up(self.folder / "b", "--listen", f"/ip4/127.0.0.1/udp/{port}/quic-v1")
        self.assertIn(second.returncode, PORT_IN_USE_CODES, second.stderr)
        self.assertIn(port, second.stderr)

    def test_a_home_is_usable_again_after_kill_9(self):
        node = self.node("a").start()
        peer_id = node.peer_id
        node.kill()
        node.start()
        self.assertEqual(node.peer_id, peer_id)

    def test_garbage_in_the_configuration_is_named_by_line_and_nearest_key(self):
        home = self.folder / "a"
        home.mkdir()
        for text, expected in (("no_such_key: 1\n", r"config\.yaml:1:1.*no_such_key"),
                               ("{[}\n", r"config\.yaml:\d+:\d+"),
                               ("\x00\xff\x01 garbage: [\n", r"config\.yaml")):
            with self.subTest(text=text):
                (home / "config.yaml").write_bytes(text.encode("latin-1"))
                done = up(home)
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertRegex(done.stderr, expected)
                self.assertTrue(done.stderr.replace("\n", "").isprintable(), repr(done.stderr))
                self.assertNotIn("\\xff", done.stderr, "bytes of the file reach the terminal")
                self.assertEqual((home / "config.yaml").read_bytes(), text.encode("latin-1"))

    def identities(self, home):
        return [path for path in home.rglob("*.pem")]

    def test_the_identity_is_made_once_and_is_readable_by_the_owner_alone(self):
        node = self.node("a").start()
        node.stop()
        (identity,) = self.identities(node.home)
        self.assertEqual(identity.stat().st_mode & 0o777, 0o600)
        text = identity.read_text()
        self.assertIn("BEGIN PRIVATE KEY", text)
        known = subprocess.run(["openssl", "pkey", "-in", str(identity), "-noout", "-text"],
                               capture_output=True, text=True, check=False)
        self.assertIn("ED25519", known.stdout.upper(), known.stderr)

    def test_an_identity_that_others_can_read_is_refused_by_name(self):
        node = self.node("a").start()
        node.stop()
        (identity,) = self.identities(node.home)
        before = identity.read_bytes()
        identity.chmod(0o644)
        done = up(node.home)
        self.assertEqual(done.returncode, DENIED, done.stderr)
        self.assertIn(identity.name, done.stderr)
        self.assertIn("600", done.stderr)
        self.assertEqual(identity.read_bytes(), before)

    def test_a_broken_identity_is_refused_and_kept(self):
        node = self.node("a").start()
        node.stop()
        (identity,) = self.identities(node.home)
        identity.write_text("-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n")
        done = up(node.home)
        self.assertNotEqual(done.returncode, OK)
        self.assertIn(identity.name, done.stderr)
        self.assertIn("garbage", identity.read_text())

    def test_a_broken_store_is_named_and_kept(self):
        node = self.node("a").start()
        node.stop()
        stores = list(node.home.rglob("*.db"))
        self.assertEqual(sorted(store.name for store in stores),
                         ["catalog.db", "library.db", "peers.db", "warren.db"])
        for store in stores:
            good = store.read_bytes()
            store.write_bytes(b"this is no database" * 1000)
            done = up(node.home)
            self.assertNotEqual(done.returncode, OK)
            self.assertIn(store.name, done.stderr)
            self.assertTrue(store.read_bytes().startswith(b"this is no database"))
            store.write_bytes(good)

    def test_a_home_that_cannot_be_written_is_named(self):
        blocked = self.folder / "file"
        blocked.write_text("not a folder")
        done = up(blocked)
        self.assertNotEqual(done.returncode, OK)
        self.assertIn(str(blocked), done.stderr)
        self.assertEqual(blocked.read_text(), "not a folder")

    def test_the_wrong_peer_id_is_refused_in_the_handshake(self):
        sender, receiver = self.node("a").start(), self.node("b").start()
        other = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
        address = sender.address.rsplit("/p2p/", 1)[0] + "/p2p/" + other
        outcome = receiver.run("connect", address)
        self.assertIn(outcome.code, (DENIED, harness.INTEGRITY), str(outcome))
        self.assertIn(other, outcome.out)
        self.assertIn(sender.peer_id, outcome.out)
        self.assertEqual(receiver.run("peers").result["peers"], [])

    def test_nobody_at_an_address_is_said_in_time(self):
        node = self.node("a").start()
        outcome = node.run("connect", "/ip4/127.0.0.1/udp/9/quic-v1")
        self.assertNotEqual(outcome.code, OK)
        self.assertLess(outcome.seconds, 20)
        self.assertIn("/udp/9/", outcome.out + outcome.err)

    def test_a_node_does_not_connect_to_itself(self):
        node = self.node("a").start()
        outcome = node.run("connect", node.address)
        self.assertNotEqual(outcome.code, OK)


if __name__ == "__main__":
    unittest.main(verbosity=2)

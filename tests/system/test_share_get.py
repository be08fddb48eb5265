#!/usr/bin/env python3
"""Sharing and getting: what arrives is what was shared, and names are what they should be."""
import base64
import hashlib
import os
import pathlib
import shutil
import unittest

from harness import (CONFLICT, MIB, NO_PEER, NOT_FOUND, OK, SystemTest, describe, run, same_file,
                     wait_for, write)


def raw_cid(data):
    """The CID of one raw leaf, written here from the specification: version 1, raw, SHA-256."""
    binary = bytes([0x01, 0x55, 0x12, 0x20]) + hashlib.sha256(data).digest()
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


class ShareAndGet(SystemTest):
    def make_folder(self):
        """A folder with what real ones have: unicode and odd names, hidden files, empty files and
        folders, links, sizes on both sides of a chunk."""
        root = self.folder / "source"
        for index, size in enumerate([0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]):
            write(root / f"size-{size}.bin", size, index)
        write(root / "deep/er/and/deeper/file.txt", 100)
        write(root / ".hidden/.file", 10)
        write(root / "gr\u00fc\u00dfe \u4f60\u597d.txt", 20)
        write(root / "spaces and 'quotes\".txt", 30)
        (root / "empty/inside").mkdir(parents=True)
        (root / "link").symlink_to("deep/er")
        (root / "dangling").symlink_to("nowhere/at/all")
        for index in range(300):
            write(root / "many" / f"{index:04}.dat", index, index)
        return root

    def test_a_folder_arrives_as_it_was(self):
        source = self.make_folder()
        sender, receiver = self.pair()
        shared = self.share(sender, source, "real things")
        self.assertTrue(shared["cid"].startswith("bafybei"), shared)
        out = self.folder / "out"
        result = self.expect(receiver.run("get", shared["cid"], "--out", out), OK).result
        self.assertEqual(result["cid"], shared["cid"])
        self.assert_same_tree(source, result["path"])
        self.assertEqual(result["bytes"], sum(entry[1] for entry in describe(source).values()
                                              if entry[0] == "file"))
        self.assertGreater(result["seconds"], 0)

    def test_get_by_name(self):
        source = write(self.folder / "source/file.bin", 3 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "nightly")
        result = self.expect(receiver.run("get", "nightly", "--out", self.folder / "out"), OK).result
        self.assertEqual(result["cid"], shared["cid"])
        self.assert_same_tree(source, result["path"])

    def test_get_from_one_peer_by_its_id(self):
        source = write(self.folder / "source/file.bin", MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source)
        result = self.expect(receiver.run("get", shared["cid"], "--out", self.folder / "out",
                                          "--from", sender.peer_id), OK).result
        self.assert_same_tree(source, result["path"])

    def test_a_file_has_the_name_of_its_raw_leaf_up_to_1_MiB(self):
        sender, receiver = self.pair()
        for size in (1, MIB):
            with self.subTest(size=size):
                file = write(self.folder / f"file-{size}", size)
                shared = self.share(sender, file)
                self.assertEqual(shared["cid"], raw_cid(file.read_bytes()))
                result = self.expect(receiver.run("get", shared["cid"], "--out",
                                                  self.folder / f"out-{size}"), OK).result
                self.assertTrue(same_file(file, result["path"]))
        larger = self.share(sender, write(self.folder / "larger", MIB + 1))
        self.assertTrue(larger["cid"].startswith("bafybei"), larger)
        result = self.expect(receiver.run("get", larger["cid"], "--out", self.folder / "out"),
                             OK).result
        self.assertTrue(same_file(self.folder / "larger", result["path"]))

    def test_the_name_does_not_depend_on_times_or_place(self):
        source = self.make_folder()
        twin = self.folder / "elsewhere/twin"
        shutil.copytree(source, twin, symlinks=True)
        os.utime(twin / "size-1.bin", (1, 1))
        node = self.node("a").start()
        self.assertEqual(self.share(node, source, "one")["cid"], self.share(node, twin, "two")["cid"])
        (twin / "size-1.bin").write_bytes(b"!")
        self.assertNotEqual(self.share(node, source, "three")["cid"],
                            self.share(node, twin, "four")["cid"])

    def test_shares_lists_them_and_unshare_ends_it(self):
        source = write(self.folder / "source/file.bin", MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "books")
        listed = sender.run("shares").result["shares"]
        self.assertEqual([(entry["name"], entry["cid"]) for entry in listed],
                         [("books", shared["cid"])])
        self.expect(sender.run("verify", "books"), OK)
        self.expect(sender.run("unshare", "books"), OK)
        self.assertEqual(sender.run("shares").result["shares"], [])
        self.assertEqual(describe(source), describe(source))
        self.expect(sender.run("unshare", "books"), NOT_FOUND)
        self.expect(receiver.run("get", shared["cid"], "--out", self.folder / "out", "--wait", "2"),
                    NO_PEER)
        self.assertFalse((self.folder / "out").exists() and os.listdir(self.folder / "out"))

    def test_shares_and_identity_survive_a_restart(self):
        source = write(self.folder / "source/file.bin", 2 * MIB).parent
        sender, receiver = self.node("a").start(), self.node("b").start()
        shared = self.share(sender, source, "books")
        peer_id = sender.peer_id
        sender.stop()
        sender.start()
        self.assertEqual(sender.peer_id, peer_id)
        self.connect(receiver, sender)
        result = self.expect(receiver.run("get", "books", "--out", self.folder / "out"), OK).result
        self.assertEqual(result["cid"], shared["cid"])

    def test_what_was_got_can_be_got_from_the_getter(self):
        source = self.make_folder()
        sender, middle = self.pair()
        shared = self.share(sender, source, "things")
        path = self.expect(middle.run("get", shared["cid"], "--out", self.folder / "middle"),
                           OK).result["path"]
        sender.stop()
        self.share(middle, path, "things")
        last = self.node("c").start()
        self.connect(last, middle)
        result = self.expect(last.run("get", shared["cid"], "--out", self.folder / "last"), OK).result
        self.assert_same_tree(source, result["path"])

    def test_two_sources_serve_one_get(self):
        source = write(self.folder / "source/file.bin", 64 * MIB).parent
        first, receiver = self.pair()
        second = self.node("c").start()
        shared = self.share(first, source)
        self.share(second, source)
        self.connect(receiver, second)
        result = self.expect(receiver.run("get", shared["cid"], "--out", self.folder / "out"),
                             OK).result
        self.assert_same_tree(source, result["path"])

    def test_an_existing_different_target_is_a_conflict_and_is_left_alone(self):
        source = write(self.folder / "source/file.bin", MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "books")
        out = self.folder / "out"
        path = pathlib.Path(self.expect(receiver.run("get", "books", "--out", out), OK)
                            .result["path"])
        again = self.expect(receiver.run("get", "books", "--out", out), OK)
        self.assertEqual(again.result["path"], str(path))
        victim = next(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() \
            else path
        victim.write_bytes(b"mine")
        outcome = self.expect(receiver.run("get", shared["cid"], "--out", out), CONFLICT)
        self.assertIn(str(path.name), outcome.out + outcome.err)
        self.assertEqual(victim.read_bytes(), b"mine")

    def test_what_nobody_has_ends_with_5_and_says_who_was_asked(self):
        sender, receiver = self.pair()
        missing = raw_cid(b"nobody has this")
        outcome = receiver.run("get", missing, "--out", self.folder / "out", "--wait", "2")
        self.expect(outcome, NO_PEER)
        self.assertIn(missing, outcome.out + outcome.err)
        self.assertLess(outcome.seconds, 10)
        nobody = self.node("alone").start()
        self.expect(nobody.run("get", missing, "--wait", "1"), NO_PEER)

    def test_a_hidden_name_is_taken_only_by_who_asks_for_it(self):
        a, b = self.pair()
        source = self.folder / "source"
        write(source / "text", 1000)
        cid = self.expect(a.run("share", source, "--name", ".profile"), OK).result["cid"]
        out = self.folder / "out"
        self.expect(b.run("get", cid, "--out", out), OK)
        self.assertEqual([path.name for path in out.iterdir()], [cid])
        self.expect(b.run("get", ".profile", "--out", self.folder / "asked"), OK)
        self.assertEqual(describe(self.folder / "asked" / ".profile"), describe(source))

    def test_a_malformed_cid_is_told_apart_from_a_missing_one(self):
        node = self.node("a").start()
        for wrong in ("bafy!", "b" + "a" * 400, "../../etc/passwd"):
            outcome = node.run("get", wrong, "--wait", "1")
            self.assertIn(outcome.code, (2, NOT_FOUND, NO_PEER), str(outcome))

    def test_files_that_cannot_be_read_are_named(self):
        if os.geteuid() == 0:
            self.skipTest("root reads everything")
        source = write(self.folder / "source/ok.bin", 10).parent
        write(source / "secret/file", 10)
        (source / "secret").chmod(0)
        node = self.node("a").start()
        outcome = node.run("share", source)
        self.assertNotEqual(outcome.code, OK)
        self.assertIn("secret", outcome.out + outcome.err)

    def test_what_is_no_file_or_folder_is_refused_or_left_out_by_name(self):
        source = write(self.folder / "source/ok.bin", 10).parent
        os.mkfifo(source / "pipe")
        node = self.node("a").start()
        outcome = node.run("share", source)
        self.assertIn("pipe", outcome.out + outcome.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)

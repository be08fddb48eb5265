#!/usr/bin/env python3
"""`warren library` on a real node: what stands in a folder is listed, hashed and served, and stays
true to the disk."""
import os
import shutil
import unittest

from harness import CONFLICT, INTEGRITY, MIB, NOT_FOUND, OK, USAGE, SystemTest, describe, wait_for, write


class Library(SystemTest):
    def setUp(self):
        super().setUp()
        self.games = self.folder / "games"
        write(self.games / "quake" / "pak0.pak", 3 * MIB + 5, 1)
        (self.games / "quake" / "version.ini").write_text(
            "[game]\nversion = 1.32\nname = Quake III\ntopic = games/fps\n")
        write(self.games / "doom" / "deep" / "er" / "doom.wad", 70_000, 2)

    def library(self, *options):
        node = self.node("a").start()
        self.expect(node.run("library", "add", self.games, *options), OK)
        self.settle(node)
        return node

    def settle(self, node):
        self.expect(node.run("library", "scan", "--wait", "30"), OK)

    def entries(self, node):
        listed = self.expect(node.run("library", "list"), OK).result["entries"]
        return {entry["id"]: entry for entry in listed}

    def entry(self, node, name):
        return self.expect(node.run("library", "show", name), OK).result

    def test_each_folder_is_an_entry_with_its_version_and_size(self):
        node = self.library("--topic", "games")
        entries = self.entries(node)
        self.assertEqual(sorted(entries), ["doom", "quake"])
        quake = entries["quake"]
        self.assertEqual((quake["name"], quake["version"], quake["topic"]),
                         ("Quake III", "1.32", "games/fps"))
        self.assertEqual((quake["availability"], quake["files"], quake["installed"]),
                         ("ready", 2, False))
        self.assertGreater(quake["bytes"], 3 * MIB)
        self.assertEqual((entries["doom"]["topic"], entries["doom"]["version"]), ("games", ""))
        table = self.expect(node.run("library", "list", json_output=False), OK).out
        self.assertEqual(table.splitlines()[0].split(),
                         ["ENTRY", "VERSION", "STATE", "FILES", "SIZE", "TOPIC"])
        self.assertIn("lan", self.expect(node.run("library", json_output=False), OK).out)

    def test_what_happens_on_the_disk_shows_by_itself(self):
        node = self.library()
        before = self.entry(node, "doom")["cid"]
        write(self.games / "doom" / "deep" / "er" / "new.wad", 1000, 3)
        changed = wait_for(lambda: self.entry(node, "doom")["files"] == 2 and self.entry(node, "doom"),
                           "the new file")
        self.assertIn(changed["availability"], ("hashing", "ready"))
        again = wait_for(lambda: (found := self.entry(node, "doom"))["cid"] and found, "its hash")
        self.assertNotEqual(again["cid"], before)
        write(self.games / "heretic" / "a", 10, 4)
        wait_for(lambda: "heretic" in self.entries(node), "the new folder")
        os.rename(self.games / "heretic", self.games / "hexen")
        wait_for(lambda: {"hexen"} == set(self.entries(node)) - {"doom", "quake"}, "the new name")
        shutil.rmtree(self.games / "quake")
        wait_for(lambda: "quake" not in self.entries(node), "the end of quake")

    def test_an_entry_can_be_fetched_and_what_is_local_stays(self):
        (self.games / "quake" / "local").mkdir()
        (self.games / "quake" / "local" / "save").write_text("mine")
        (self.games / "quake" / ".warren_owned").write_text("x")
        node = self.library()
        entry = self.entry(node, "quake")
        self.assertTrue(entry["installed"])
        other = self.node("b").start()
        self.connect(other, node)
        out = self.folder / "out"
        got = self.expect(other.run("get", entry["cid"], "--out", out), OK).result
        expected = {path: what for path, what in describe(self.games / "quake").items()
                    if not path.startswith(("local", ".warren"))}
        self.assertEqual(describe(got["path"]), expected)

    def test_verify_finds_what_the_disk_lost_without_a_trace(self):
        node = self.library()
        good = self.expect(node.run("library", "verify", "quake"), OK).result
        self.assertEqual((good["name"], good["files_ok"], good["bad_count"]), ("quake", 2, 0))
        pak = self.games / "quake" / "pak0.pak"
        before = os.stat(pak)
        # Written by what tells nobody: the same size and time.
        with open(pak, "r+b") as file:
            file.seek(MIB)
            byte = file.read(1)
            file.seek(MIB)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(pak, ns=(before.st_atime_ns, before.st_mtime_ns))
        bad = self.expect(node.run("library", "verify", "quake"), INTEGRITY).result
        self.assertEqual((bad["files_ok"], bad["bad_count"]), (1, 1))
        self.expect(node.run("library", "verify", "nothing"), NOT_FOUND)

    def test_a_restart_knows_everything_without_hashing_again(self):
        node = self.library()
        before = self.entries(node)
        node.kill()
        node.start()
        wait_for(lambda: self.entries(node) == before, "the same entries")

    def test_a_sentinel_may_be_required_and_a_version_expected(self):
        node = self.library("--require-sentinel", "--expect", "quake=1.30")
        entries = self.entries(node)
        self.assertEqual((entries["doom"]["availability"], entries["doom"]["downloaded"]),
                         ("local_only", False))
        self.assertEqual((entries["quake"]["availability"], entries["quake"]["cid"]),
                         ("local_only", None))
        self.expect(node.run("library", "set", self.games, "--expect", "quake=1.32",
                             "--no-require-sentinel"), OK)
        wait_for(lambda: all(entry["availability"] == "ready"
                             for entry in self.entries(node).values()), "both ready")

    def test_wrong_folders_are_refused_with_the_reason(self):
        node = self.library()
        self.expect(node.run("library", "add", self.games), CONFLICT)
        inner = self.expect(node.run("library", "add", self.games / "quake"), USAGE)
        self.assertIn(str(self.games), inner.result["error"]["message"])
        self.expect(node.run("library", "add", self.folder / "nothing"), NOT_FOUND)
        self.expect(node.run("library", "add", self.folder, "--for", "nobody-knows"), NOT_FOUND)
        self.expect(node.run("library", "add", self.folder, "--topic", "no topic"), USAGE)
        self.expect(node.run("library", "show", "nothing"), NOT_FOUND)
        self.expect(node.run("library", "remove", self.folder / "nothing"), NOT_FOUND)

    def test_removing_a_folder_leaves_the_disk_alone(self):
        node = self.library()
        cid = self.entry(node, "quake")["cid"]
        before = describe(self.games)
        self.expect(node.run("library", "remove", self.games), OK)
        self.assertEqual(self.entries(node), {})
        self.assertEqual(describe(self.games), before)
        other = self.node("b").start()
        self.connect(other, node)
        gone = other.run("get", cid, "--out", self.folder / "out", "--wait", "1")
        self.assertNotEqual(gone.code, OK, str(gone))

    def test_another_rule_holds_at_once_for_a_peer_that_knows_the_cid(self):
        node = self.library()
        cid = self.entry(node, "quake")["cid"]
        other = self.node("b").start()
        self.connect(other, node)

        def get(out):
            return other.run("get", cid, "--out", self.folder / out, "--wait", "1")

        self.expect(node.run("library", "set", self.games, "--for", "trusted"), OK)
        hidden = get("hidden")
        self.assertNotEqual(hidden.code, OK, str(hidden))
        self.expect(node.run("library", "set", self.games, "--for", other.peer_id), OK)
        self.expect(node.run("library", "set", self.games, "--expect", "quake=9"), OK)
        wait_for(lambda: self.entry(node, "quake")["availability"] == "local_only", "it is refused")
        hidden = get("hidden")
        self.assertNotEqual(hidden.code, OK, str(hidden))
        self.expect(node.run("library", "set", self.games, "--expect", "quake=1.32"), OK)
        wait_for(lambda: self.entry(node, "quake")["availability"] == "ready", "it is served again")
        self.expect(get("out"), OK)
        self.assertEqual(describe(self.folder / "out" / "quake"), describe(self.games / "quake"))

    def test_a_share_says_who_may_fetch_it(self):
        sender, receiver = self.pair()
        wad = self.games / "doom"
        kept = self.expect(sender.run("share", wad, "--for", "trusted"), OK).result
        self.assertEqual(kept["audience"], "trusted")
        hidden = receiver.run("get", kept["cid"], "--out", self.folder / "hidden", "--wait", "1")
        self.assertNotEqual(hidden.code, OK, str(hidden))
        self.expect(sender.run("share", wad, "--for", receiver.peer_id), OK)
        got = self.expect(receiver.run("get", kept["cid"], "--out", self.folder / "out"), OK).result
        self.assertEqual(describe(got["path"]), describe(wad))

    def test_a_name_in_two_folders_belongs_to_the_first(self):
        more = self.folder / "more"
        write(more / "quake" / "x", 10, 9)
        write(more / "hexen" / "x", 10, 9)
        node = self.library()
        self.expect(node.run("library", "add", more), OK)
        self.settle(node)
        self.assertEqual(sorted(self.entries(node)), ["doom", "hexen", "quake"])
        self.assertEqual(self.entry(node, "quake")["folder"], str(self.games))
        folders = self.expect(node.run("library"), OK).result["folders"]
        left_out = [item["name"] for folder in folders for item in folder["left_out"]]
        self.assertEqual(left_out, ["quake"])


if __name__ == "__main__":
    unittest.main()

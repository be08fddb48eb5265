#!/usr/bin/env python3
"""`warren install`, `update` and `uninstall` on real nodes: with real archives, with hostile and broken
ones, and with kill -9 in the middle."""
import io
import os
import signal
import tarfile
import unittest
import zipfile

from harness import (CONFLICT, DENIED, FAILED, INTERRUPTED, MIB, NO_PEER, NOT_FOUND, OK, SystemTest,
                     describe, wait_for, write)

# What Warren makes in the top of an entry while it works there.
LEFTOVERS = (".warren", ".local.installing", ".local.backup")


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def make_tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode, **({"compresslevel": 1} if mode == "w:gz" else {})) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


class Install(SystemTest):
    def setUp(self):
        super().setUp()
        self.games = self.folder / "games"
        self.quake = self.games / "quake"
        self.quake.mkdir(parents=True)
        (self.quake / "version.ini").write_text("version = 1.31\nname = Quake III\n")
        make_zip(self.quake / "quake.zip", {"run": "#!/bin/sh", "baseq3/pak0.pak": "maps" * 1000})

    def library(self, name="a", folder=None):
        node = self.node(name).start()
        self.expect(node.run("library", "add", folder or self.games), OK)
        self.settle(node)
        return node

    def settle(self, node):
        self.expect(node.run("library", "scan", "--wait", "30"), OK)

    def entry(self, node, name="quake"):
        return self.expect(node.run("library", "show", name), OK).result

    def left_behind(self, entry=None):
        return [name for name in os.listdir(entry or self.quake) if name.startswith(LEFTOVERS)]

    def wait_idle(self, node, installed, entry="quake"):
        wait_for(lambda: not self.left_behind(self.games / entry), "the end of what was begun")
        wait_for(lambda: (found := self.entry(node, entry))["work"] != "operation" and
                 found["installed"] == installed, f"installed: {installed}")

    def make_big(self, path, files=60):
        """An archive that takes a while."""
        make_tar(path, {f"data/{number}": os.urandom(64) + bytes(8 * MIB) for number in range(files)})

    def big_archive(self, files=60):
        """An entry with one."""
        big = self.games / "big"
        big.mkdir()
        self.make_big(big / "big.tar.gz", files)
        return big

    def test_install_and_uninstall(self):
        node = self.library()
        before, cid = describe(self.quake), self.entry(node)["cid"]
        done = self.expect(node.run("install", "quake"), OK).result
        self.assertEqual((done["installed"], done["files"], done["bytes"]), (True, 2, 4009))
        local = self.quake / "local"
        self.assertEqual((local / "run").read_text(), "#!/bin/sh")
        self.assertEqual((local / "baseq3" / "pak0.pak").read_text(), "maps" * 1000)
        self.wait_idle(node, True)
        again = self.expect(node.run("install", "quake"), CONFLICT).result
        self.assertIn("installed already", again["error"]["message"])
        # What others get of it is what it was.
        wait_for(lambda: self.entry(node)["cid"] == cid, "the same content")
        (local / "save").write_text("mine")
        other = self.node("b").start()
        self.connect(other, node)
        got = self.expect(other.run("get", cid, "--out", self.folder / "out"), OK).result
        self.assertEqual(describe(got["path"]), before)
        done = self.expect(node.run("uninstall", "quake"), OK).result
        self.assertFalse(done["installed"])
        self.assertEqual(describe(self.quake), before)
        self.wait_idle(node, False)
        self.expect(node.run("uninstall", "quake"), CONFLICT)
        self.expect(node.run("install", "nothing"), NOT_FOUND)
        self.expect(node.run("uninstall", "nothing"), NOT_FOUND)

    def test_an_entry_without_archives_is_copied(self):
        write(self.games / "doom" / "deep" / "doom.wad", 3 * MIB, 1)
        (self.games / "doom" / "readme").write_text("x")
        node = self.library()
        before = describe(self.games / "doom")
        self.expect(node.run("install", "doom"), OK)
        self.assertEqual(describe(self.games / "doom" / "local"), before)

    def test_a_broken_archive_is_named_and_changes_nothing(self):
        whole = (self.quake / "quake.zip").read_bytes()
        node = self.library()
        for kept in (len(whole) - 30, len(whole) // 2, 0):
            (self.quake / "quake.zip").write_bytes(whole[:kept])
            before = describe(self.quake)
            failed = self.expect(node.run("install", "quake"), FAILED).result
            self.assertIn("quake.zip", failed["error"]["message"])
            self.assertEqual(describe(self.quake), before)
        self.wait_idle(node, False)

    def test_hostile_archives_are_refused(self):
        outside = self.folder / "precious"
        outside.write_text("data")
        hostile = {"../../precious": b"evil", f"{outside}": b"evil"}
        node = self.library()
        os.remove(self.quake / "quake.zip")
        for name, content in hostile.items():
            make_tar(self.quake / "a.tar", {"good": b"x", name: content}, "w")
            before = describe(self.quake)
            self.expect(node.run("install", "quake"), DENIED)
            self.assertEqual(describe(self.quake), before)
        with tarfile.open(self.quake / "a.tar", "w") as archive:
            link = tarfile.TarInfo("out")
            link.type, link.linkname = tarfile.SYMTYPE, str(self.folder)
            archive.addfile(link)
            info = tarfile.TarInfo("out/precious")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
        self.expect(node.run("install", "quake"), DENIED)
        self.assertEqual(outside.read_text(), "data")
        self.assertFalse((self.quake / "local").exists())

    def test_what_is_not_warrens_stays(self):
        theirs = self.quake / ".local.installing"
        theirs.mkdir()
        (theirs / "mine").write_text("x")
        node = self.library()
        before = describe(self.quake)
        refused = self.expect(node.run("install", "quake"), CONFLICT).result
        self.assertIn(".local.installing", refused["error"]["message"])
        node.kill()
        node.start()
        self.settle(node)
        self.assertEqual(describe(self.quake), before)

    def test_one_operation_at_a_time_and_ctrl_c_ends_it(self):
        big = self.big_archive(200)
        node = self.library()
        before = describe(big)
        first = node.popen("install", "big")
        wait_for(lambda: self.entry(node, "big")["work"] == "operation", "the operation")
        listed = self.entry(node, "big")
        self.assertEqual((listed["availability"], listed["cid"]), ("local_only", None))
        for verb in ("install", "uninstall"):
            second = self.expect(node.run(verb, "big"), CONFLICT).result
            self.assertIn("operation in progress", second["error"]["message"])
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
        self.assertEqual(first.returncode, INTERRUPTED)
        self.wait_idle(node, False, "big")
        self.assertEqual(describe(big), before)
        self.expect(node.run("install", "big"), OK)

    def test_who_fetches_it_waits_for_the_operation(self):
        write(self.games / "huge" / "data", 300 * MIB, 7)
        before = describe(self.games / "huge")
        node = self.library()
        cid = self.entry(node, "huge")["cid"]
        other = self.node("b").start()
        self.connect(other, node)
        fetching = other.popen("get", cid, "--out", self.folder / "out")
        wait_for(lambda: any(one["bytes_done"] > 0 for one in
                             self.expect(other.run("transfers"), OK).result["transfers"]),
                 "the first bytes")
        self.expect(node.run("install", "huge"), OK)
        out, _ = fetching.communicate(timeout=60)
        self.assertEqual(fetching.returncode, OK, out[-1000:])
        self.assertEqual(describe(self.folder / "out" / "huge"), before)

    def test_kill_while_it_is_unpacked(self):
        big = self.big_archive()
        node = self.library()
        before = describe(big)
        for files in (0, 1, 20, 59):
            running = node.popen("install", "big")
            staged = big / ".local.installing" / "data"
            wait_for(lambda: staged.exists() and len(os.listdir(staged)) > files, "some files", 60)
            node.kill()
            running.communicate(timeout=30)
            node.start()
            wait_for(lambda: not self.left_behind(big), "the recovery")
            self.settle(node)
            # After the last file it may have been as far as to be installed.
            if (big / "local").exists():
                self.assertEqual(len(os.listdir(big / "local" / "data")), 60)
                self.wait_idle(node, True, "big")
                self.expect(node.run("uninstall", "big"), OK)
            self.assertEqual(describe(big), before)
            self.wait_idle(node, False, "big")

    def test_kill_while_it_is_removed(self):
        for number in range(3000):
            write(self.quake / "local" / f"{number % 50}" / f"{number}", 1, number)
        node = self.library()
        before = describe(self.quake)
        without = {path: what for path, what in before.items() if not path.startswith("local")}
        running = node.popen("uninstall", "quake")
        wait_for(lambda: (self.quake / ".local.backup").exists() or
                 not (self.quake / "local").exists(), "the begin")
        node.kill()
        running.communicate(timeout=30)
        node.start()
        wait_for(lambda: not self.left_behind(), "the recovery")
        self.settle(node)
        self.assertIn(describe(self.quake), (before, without))

    def offer(self, version, archive, name="quake.zip"):
        """A node that has another version of quake."""
        games = self.folder / f"others-{version}"
        (games / "quake").mkdir(parents=True)
        (games / "quake" / "version.ini").write_text(f"version = {version}\nname = Quake III\n")
        (games / "quake" / "new").mkdir()
        (games / "quake" / "new" / "readme").write_text("new")
        archive(games / "quake" / name)
        node = self.library(f"b-{version}", games)
        return node, games / "quake"

    def follow(self, node, other, version):
        self.connect(node, other)

        def listed():
            rows = self.expect(node.run("catalog"), OK).result["entries"]
            return any(row.get("version") == version for row in rows)
        wait_for(listed, f"version {version} in the catalog")

    def test_update_replaces_the_files_and_installs_anew(self):
        other, theirs = self.offer("1.32", lambda path: make_zip(path, {"run": "newer"}))
        node = self.library()
        self.expect(node.run("update", "quake"), NO_PEER)
        self.follow(node, other, "1.32")
        self.expect(node.run("install", "quake"), OK)
        done = self.expect(node.run("update", "quake"), OK).result
        self.assertEqual((done["installed"], done["files"]), (True, 1))
        found = describe(self.quake)
        self.assertEqual({path: what for path, what in found.items() if not path.startswith("local")},
                         describe(theirs))
        self.assertEqual(os.listdir(self.quake / "local"), ["run"])
        self.assertEqual((self.quake / "local" / "run").read_text(), "newer")
        self.wait_idle(node, True)
        wait_for(lambda: self.entry(node)["cid"] == self.entry(other)["cid"], "the same content")
        self.assertEqual(self.entry(node)["version"], "1.32")
        again = self.expect(node.run("update", "quake"), CONFLICT).result
        self.assertIn("up to date", again["error"]["message"])
        self.assertEqual(self.expect(node.run("transfers"), OK).result["transfers"], [])

    def test_an_update_takes_the_version_that_is_named(self):
        node = self.library()
        for version in ("1.30", "1.32", "1.33"):
            other, _ = self.offer(version, lambda path: make_zip(path, {"run": "another"}))
            self.follow(node, other, version)
        choice = self.expect(node.run("update", "quake"), CONFLICT).result["error"]
        self.assertIn("warren update quake@1.32", choice["hint"])
        self.assertNotIn("1.30", choice["hint"])
        self.expect(node.run("update", "quake@1.33"), OK)
        self.assertIn("1.33", (self.quake / "version.ini").read_text())
        self.assertFalse((self.quake / "local").exists())
        wait_for(lambda: self.entry(node)["cid"], "what it is, to compare it")
        older = self.expect(node.run("update", "quake"), CONFLICT).result["error"]
        self.assertIn("up to date", older["message"])
        self.expect(node.run("update", "quake@1.30"), OK)
        self.assertIn("1.30", (self.quake / "version.ini").read_text())

    def test_kill_during_an_update(self):
        other, theirs = self.offer("1.32", self.make_big, "quake.tar.gz")
        node = self.library()
        self.follow(node, other, "1.32")
        self.expect(node.run("install", "quake"), OK)
        local = describe(self.quake / "local")
        running = node.popen("update", "quake")
        staged = self.quake / ".local.installing" / "data"
        wait_for(lambda: staged.exists() and len(os.listdir(staged)) > 5, "some files", 60)
        node.kill()
        running.communicate(timeout=30)
        node.start()
        self.wait_idle(node, True)
        found = describe(self.quake)
        self.assertEqual({path: what for path, what in found.items() if not path.startswith("local")},
                         describe(theirs))
        self.assertEqual(describe(self.quake / "local"), local)
        self.expect(node.run("uninstall", "quake"), OK)
        self.assertEqual(self.expect(node.run("install", "quake"), OK).result["files"], 60)

    def test_an_update_that_cannot_be_unpacked_leaves_local_alone(self):
        other, theirs = self.offer("1.32", lambda path: path.write_bytes(b"no archive"))
        node = self.library()
        self.follow(node, other, "1.32")
        self.expect(node.run("install", "quake"), OK)
        local = describe(self.quake / "local")
        failed = self.expect(node.run("update", "quake"), FAILED).result
        self.assertIn("quake.zip", failed["error"]["message"])
        self.assertEqual(describe(self.quake / "local"), local)
        self.assertEqual((self.quake / "version.ini").read_text(),
                         (theirs / "version.ini").read_text())
        self.assertEqual(self.left_behind(), [])


if __name__ == "__main__":
    unittest.main()

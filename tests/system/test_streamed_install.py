#!/usr/bin/env python3
"""`warren install --stream`: entries whose archives are unpacked while they come from other nodes and
are not kept here; with sources that vanish or lie, a full disk, kill -9. The scenarios S39 to S47 of
docs/systems/lanspread.md."""
import itertools
import json
import os
import shutil
import signal
import subprocess
import unittest

from harness import (CONFLICT, DENIED, FAILED, INTEGRITY, INTERRUPTED, MIB, NO_PEER, NO_SPACE,
                     NOT_FOUND, OK, USAGE, SystemTest, describe, wait_for)
from test_install import LEFTOVERS, make_tar, make_zip

RECORD = ".warren_installed"  # In `local`: which version it is.


def installed(local):
    """What is in `local` without what only a streamed one has."""
    return {path: what for path, what in describe(local).items() if path != RECORD}


class StreamedInstall(SystemTest):
    def sender(self, name="a", version="1.31", fill=None, entry="quake", copy_of=None):
        """A node with an entry in its library, and the folder of the entry."""
        games = self.folder / f"games of {name}"
        if copy_of:
            games.mkdir()
            shutil.copytree(copy_of, games / entry)
        else:
            (games / entry).mkdir(parents=True)
            (games / entry / "version.ini").write_text(f"version = {version}\nname = Quake III\n")
            (fill or self.zip)(games / entry)
        node = self.node(name).start()
        self.expect(node.run("library", "add", games), OK)
        wait_for(lambda: self.entry(node, entry)["availability"] == "ready", "the sender", 60)
        return node, games / entry

    def receiver(self, *senders, required=False, games=None, limit=None, name="r"):
        """A node with an empty library that knows the senders."""
        self.games = games or self.folder / f"games of {name}"
        self.games.mkdir(exist_ok=True)
        node = self.node(name)
        if limit:
            self.limit(node, limit)
        node.start()
        more = ["--require-sentinel"] if required else []
        self.expect(node.run("library", "add", self.games, *more), OK)
        self.meet(node, *senders)
        return node

    def meet(self, node, *senders, entry="quake"):
        for sender in senders:
            self.connect(node, sender)

        def known():
            rows = self.expect(node.run("catalog"), OK).result["entries"]
            having = [peer for row in rows if row["id"] == entry and row["cid"]
                      for peer in row["peers"]]
            return all(sender.peer_id in having for sender in senders)
        wait_for(known, "the entry in the catalog", 30)

    def limit(self, node, rate):
        """So many bytes a second at most; a running node takes it over by itself."""
        node.home.mkdir(parents=True, exist_ok=True)
        part = node.home / "config.part"
        part.write_text(f"limits: {{down: {rate}, exempt_lan: false}}\n")
        part.rename(node.home / "config.yaml")

    def entry(self, node, name="quake"):
        return self.expect(node.run("library", "show", name), OK).result

    def listed(self, node, name="quake"):
        rows = self.expect(node.run("catalog"), OK).result["entries"]
        return next((row for row in rows if row["id"] == name), None)

    def zip(self, folder):
        make_zip(folder / "quake.zip", {"run": "#!/bin/sh", "baseq3/pak0.pak": "maps" * 100_000,
                                        **{f"many/{n}": os.urandom(2000) for n in range(300)}})

    def large(self, folder, size=96, name="quake.tar"):
        """Bytes that no filter makes fewer."""
        make_tar(folder / name, {f"data/{number}": os.urandom(MIB) for number in range(size)}, "w")

    def settled(self, node, name="quake"):
        return wait_for(lambda: (row := self.entry(node, name)) and row["work"] == "nothing" and row,
                        "the look after the operation")

    def begin(self, node, *words, least=1):
        """A streamed install that is under way, some bytes of which have come."""
        def begun():
            command = node.popen("install", "quake", "--stream", *words)
            first = json.loads(command.stdout.readline())
            if first.get("name") != "conflict":
                return command, first
            command.communicate(timeout=30)  # One that was interrupted is about to end.
            return None
        command, first = wait_for(begun, "a streamed install to begin")
        for line in itertools.chain([first], map(json.loads, command.stdout)):
            self.assertEqual(line["type"], "progress", line)
            if line["bytes_done"] >= least * MIB:
                return command
        self.fail("it ended before: " + command.stderr.read())

    def assert_nothing_left(self, node):
        wait_for(lambda: not os.listdir(self.games), f"nothing in {self.games}")
        wait_for(lambda: node.run("library", "show", "quake").code == NOT_FOUND, "no entry")
        self.assertEqual(self.expect(node.run("transfers"), OK).result["transfers"], [])

    def archives(self):
        def seven(folder):
            (folder / "x").mkdir()
            (folder / "x" / "run").write_bytes(os.urandom(3 * MIB))
            subprocess.run(["bsdtar", "-C", folder / "x", "-a", "-cf", folder / "q.7z", "run"],
                           check=True)
            shutil.rmtree(folder / "x")

        yield "zip", self.zip
        yield "tar.gz", lambda folder: make_tar(
            folder / "q.tar.gz", {"run": b"x", "data/a": os.urandom(5 * MIB), "b": bytes(20 * MIB)})
        yield "two", lambda folder: (make_zip(folder / "a.zip", {"a/1": os.urandom(2 * MIB)}),
                                     make_tar(folder / "b.tar", {"a/2": os.urandom(MIB)}, "w"))
        if shutil.which("bsdtar"):
            yield "7z", seven

    def test_s39_the_same_content_as_a_normal_install_and_no_archive(self):
        for number, (kind, fill) in enumerate(self.archives()):
            with self.subTest(kind):
                a, theirs = self.sender(f"a{number}", fill=fill)
                r = self.receiver(a, name=f"r{number}", required=number % 2 == 1)
                cid = self.listed(r)["cid"]
                done = self.expect(r.run("install", "quake", "--stream"), OK).result
                self.assertTrue(done["installed"])
                self.assertEqual(os.listdir(self.games / "quake"), ["local"])
                self.expect(a.run("install", "quake"), OK)
                self.assertEqual(installed(self.games / "quake" / "local"),
                                 describe(theirs / "local"))
                self.assertEqual(done["files"], sum(what[0] == "file" for what in
                                                    describe(theirs / "local").values()))
                shown = self.settled(r)
                self.assertEqual(
                    (shown["installed"], shown["downloaded"], shown["availability"],
                     shown["version"], shown["name"], shown["cid"]),
                    (True, False, "local_only", "1.31", "Quake III", None))
                record = (self.games / "quake" / "local" / RECORD).read_text()
                self.assertIn("1.31", record)
                self.assertIn(cid, record)
                self.assertEqual(self.expect(r.run("transfers"), OK).result["transfers"], [])
                a.stop()
                r.stop()

    def test_s40_who_installed_so_is_no_source(self):
        a, _ = self.sender()
        r = self.receiver(a)
        self.expect(r.run("install", "quake", "--stream"), OK)
        self.settled(r)
        own = wait_for(lambda: (row := self.listed(r)) and row["own"] and row, "its own row")
        self.assertTrue(own)
        a.kill()
        c = self.node("c").start()
        self.connect(c, r)
        wait_for(lambda: self.listed(c), "what r says of it")
        row = self.listed(c)
        self.assertEqual((row["availability"], row["cid"], row["downloaded"], row["installed"]),
                         ("local_only", None, False, True))
        self.expect(c.run("get", "quake", "--wait", "2", "--out", self.folder / "out"), NO_PEER)

    def test_s41_a_source_that_vanishes_is_replaced(self):
        a, theirs = self.sender(fill=self.large)
        b, _ = self.sender("b", copy_of=theirs)
        r = self.receiver(a, b, limit="24MiB")
        running = self.begin(r, least=8)
        a.kill()
        out, err = running.communicate(timeout=120)
        self.assertEqual(running.returncode, OK, out[-2000:] + err[-2000:])
        self.expect(b.run("install", "quake"), OK)
        theirs = self.folder / "games of b" / "quake" / "local"
        self.assertEqual(installed(self.games / "quake" / "local"), describe(theirs))

    def test_s42_without_a_source_it_ends_and_leaves_nothing(self):
        a, _ = self.sender(fill=self.large)
        r = self.receiver(a, limit="8MiB")
        running = self.begin(r, "--wait", "2")
        a.kill()
        out, err = running.communicate(timeout=120)
        self.assertEqual(running.returncode, NO_PEER, out[-2000:] + err[-2000:])
        self.assertIn("no source is left", json.loads(out.splitlines()[-1])["error"]["message"])
        self.assert_nothing_left(r)
        a.start()
        self.meet(r, a)
        self.limit(r, 0)
        self.expect(r.run("install", "quake", "--stream"), OK)
        self.assertEqual(len(os.listdir(self.games / "quake" / "local" / "data")), 96)

    def test_s43_a_liar_is_named_and_left(self):
        a, theirs = self.sender(fill=self.large)
        r = self.receiver(a)
        archive = theirs / "quake.tar"
        times = os.stat(archive)
        with open(archive, "r+b") as file:  # Size and time stay: the sender believes in it.
            for at in range(0, 96 * MIB, MIB):
                file.seek(at + 700)
                file.write(os.urandom(8))
        os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))
        failed = r.run("install", "quake", "--stream", "--wait", "2")
        self.assertIn(failed.code, (INTEGRITY, NO_PEER), failed)
        self.assertIn(a.peer_id, failed.result["error"]["message"])
        self.assert_nothing_left(r)

    def test_s44_no_room_leaves_nothing(self):
        disk = self.folder / "small"
        disk.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(disk)],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            self.skipTest(f"no right to mount a small disk: {mount.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=False)
        # Small as it comes, large as it is unpacked: nobody knows that before.
        bomb, _ = self.sender(fill=lambda folder: make_tar(
            folder / "q.tar.gz", {f"{n}": bytes(16 * MIB) for n in range(20)}))
        r = self.receiver(bomb, games=disk / "games")
        full = self.expect(r.run("install", "quake", "--stream"), NO_SPACE).result
        self.assertIn("no space", full["error"]["message"])
        self.assert_nothing_left(r)
        bomb.stop()
        # And what is larger than the disk as it comes.
        large, _ = self.sender("b", version="1.32", fill=lambda folder: self.large(folder, 150))
        self.meet(r, large)
        self.expect(r.run("install", "quake@1.32", "--stream"), NO_SPACE)
        self.assert_nothing_left(r)

    def test_s45_one_operation_at_a_time_and_ctrl_c_leaves_nothing(self):
        a, _ = self.sender(fill=self.large)
        r = self.receiver(a, limit="4MiB")
        running = self.begin(r)
        self.assertEqual(self.entry(r)["work"], "operation")
        for words in (("install", "quake", "--stream"), ("uninstall", "quake")):
            second = self.expect(r.run(*words), CONFLICT).result
            self.assertIn("operation in progress", second["error"]["message"])
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
        self.assertEqual(running.returncode, INTERRUPTED)
        self.assert_nothing_left(r)
        # Also when it waits for somebody.
        a.kill()
        waiting = r.popen("install", "quake", "--stream", "--wait", "0")
        next(line for line in map(json.loads, waiting.stdout) if line.get("elapsed", 0) > 3)
        self.expect(r.run("install", "quake", "--stream"), CONFLICT)
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, INTERRUPTED)
        self.assert_nothing_left(r)
        # And a node that is told to stop does not wait for it.
        a.start()
        self.meet(r, a)
        running = self.begin(r)
        _, seconds = r.stop()
        self.assertLess(seconds, 8)
        running.communicate(timeout=30)
        self.assertEqual(os.listdir(self.games), [])

    def test_s46_kill_of_the_receiver(self):
        a, _ = self.sender(fill=self.large)
        r = self.receiver(a, limit="24MiB")
        for least in (1, 40):
            running = self.begin(r, least=least)
            r.kill()
            running.communicate(timeout=30)
            self.assertIn(".local.installing", os.listdir(self.games / "quake"))
            r.start()
            self.assert_nothing_left(r)
        self.meet(r, a)
        self.limit(r, 0)
        self.expect(r.run("install", "quake", "--stream"), OK)
        self.assertEqual(len(os.listdir(self.games / "quake" / "local" / "data")), 96)
        # It is known after a restart, too.
        r.kill()
        r.start()
        shown = self.settled(r)
        self.assertEqual((shown["installed"], shown["downloaded"], shown["version"]),
                         (True, False, "1.31"))

    def test_s47_uninstall_update_and_get_later(self):
        a, theirs = self.sender()
        r = self.receiver(a)
        quake = self.games / "quake"
        self.expect(r.run("install", "quake", "--stream"), OK)
        again = self.expect(r.run("install", "quake", "--stream"), CONFLICT).result
        self.assertIn("installed already", again["error"]["message"])
        self.expect(r.run("uninstall", "quake"), OK)
        self.assert_nothing_left(r)
        self.expect(r.run("install", "quake", "--stream"), OK)
        # The same once more, by its version, and a newer one.
        (quake / "local" / "save").write_text("mine")
        self.expect(r.run("update", "quake", "--stream"), CONFLICT)
        self.expect(r.run("update", "quake@1.31", "--stream"), OK)
        self.assertFalse((quake / "local" / "save").exists())
        b, newer = self.sender("b", version="1.32",
                               fill=lambda folder: make_zip(folder / "q.zip", {"run": "newer"}))
        self.meet(r, b)
        self.expect(r.run("update", "quake", "--stream"), OK)
        self.assertEqual(installed(quake / "local"), {"run": describe(quake / "local")["run"]})
        self.assertEqual((quake / "local" / "run").read_text(), "newer")
        self.assertEqual(os.listdir(quake), ["local"])
        self.assertEqual(self.settled(r)["version"], "1.32")
        # What is downloaded later stands beside it, and is given to others.
        (quake / "local" / "save").write_text("mine")
        got = self.expect(r.run("get", "quake@1.32"), OK).result
        self.assertEqual(got["path"], str(quake))
        self.assertEqual({path: what for path, what in describe(quake).items()
                          if not path.startswith("local")}, describe(newer))
        self.assertEqual((quake / "local" / "save").read_text(), "mine")
        wait_for(lambda: (row := self.entry(r))["availability"] == "ready" and row["downloaded"],
                 "that it is ready", 30)
        self.assertEqual(self.entry(r)["cid"], self.entry(b)["cid"])
        downloaded = self.expect(r.run("install", "quake", "--stream"), CONFLICT).result
        self.assertIn("is downloaded", downloaded["error"]["message"])
        self.expect(r.run("update", "quake@1.31", "--stream"), CONFLICT)
        self.assertEqual([name for name in os.listdir(quake) if name.startswith(LEFTOVERS)], [])

    def test_the_hint_is_the_same_command_with_a_version(self):
        a, _ = self.sender()
        b, _ = self.sender("b", version="1.32")
        r = self.receiver(a, b)
        several = self.expect(r.run("install", "quake", "--stream"), CONFLICT).result
        for version in ("1.31", "1.32"):
            self.assertIn(f"warren install --stream quake@{version}", several["error"]["hint"])
        self.expect(r.run("install", "quake@1.32", "--stream"), OK)
        self.settled(r)
        nothing = self.expect(r.run("update", "quake", "--stream"), CONFLICT).result
        self.assertIn("warren update --stream quake@VERSION", nothing["error"]["hint"])
        none = self.expect(r.run("update", "quake@9", "--stream"), NOT_FOUND).result
        self.assertIn("warren update --stream quake@1", none["error"]["hint"])
        # A name that no entry can have is none in a library, whoever offers it.
        self.expect(r.run("get", ".quake", "--library", self.games), DENIED)

    def test_kill_while_a_download_is_put_beside_local(self):
        def many(folder):
            for number in range(4000):
                (folder / f"file{number}").write_bytes(b"x")
        a, theirs = self.sender(fill=many)
        r = self.receiver(a)
        quake = self.games / "quake"
        self.expect(r.run("install", "quake", "--stream"), OK)
        self.settled(r)
        getting = r.popen("get", "quake")
        while not (quake / ".warren.json").exists():  # Its files are moved now.
            self.assertIsNone(getting.poll(), "it ended before")
        r.kill()
        getting.communicate(timeout=30)
        r.start()
        self.meet(r, a)

        def completed():
            rows = self.expect(r.run("transfers"), OK).result["transfers"]
            states = [row["state"] for row in rows]
            self.assertNotIn("failed", states, rows)
            return "completed" in states
        wait_for(completed, "the transfer to end after the restart", 60)
        self.assertEqual({path: what for path, what in describe(quake).items()
                          if not path.startswith("local")}, describe(theirs))
        self.assertEqual(installed(quake / "local"), describe(theirs))
        self.assertEqual([name for name in os.listdir(quake) if name.startswith(LEFTOVERS)], [])

    def test_an_entry_without_archives_is_copied_and_a_hostile_one_refused(self):
        def plain(folder):
            (folder / "deep").mkdir()
            (folder / "deep" / "data").write_bytes(os.urandom(3 * MIB))
            (folder / "empty").write_bytes(b"")
            os.symlink("deep/data", folder / "link")
        a, theirs = self.sender(fill=plain)
        r = self.receiver(a)
        self.expect(r.run("install", "quake", "--stream"), OK)
        self.assertEqual(installed(self.games / "quake" / "local"), describe(theirs))
        self.expect(r.run("uninstall", "quake"), OK)
        a.stop()
        evil, _ = self.sender("b", version="2", fill=lambda folder: make_tar(
            folder / "e.tar", {"../../evil": b"x", RECORD: b"version = 9"}, "w"))
        self.meet(r, evil)
        self.expect(r.run("install", "quake@2", "--stream"), DENIED)
        self.assert_nothing_left(r)
        self.assertFalse((self.folder / "evil").exists())
        evil.stop()
        broken, _ = self.sender("c", version="3",
                                fill=lambda folder: (folder / "b.zip").write_bytes(b"no archive"))
        self.meet(r, broken)
        failed = self.expect(r.run("install", "quake@3", "--stream"), FAILED).result
        self.assertIn("b.zip", failed["error"]["message"])
        self.assert_nothing_left(r)

    def test_where_it_goes(self):
        a, _ = self.sender()
        r = self.node("r").start()
        self.meet(r, a)
        self.assertIn("library", self.expect(r.run("install", "quake", "--stream"), NOT_FOUND)
                      .result["error"]["message"])
        self.expect(r.run("install", "quake", "--library", "x"), USAGE)
        for name in ("one", "two"):
            (self.folder / name).mkdir()
            self.expect(r.run("library", "add", self.folder / name), OK)
        self.expect(r.run("install", "quake", "--stream"), CONFLICT)
        self.expect(r.run("install", "quake", "--stream", "--library", "two"), OK)
        self.assertEqual(os.listdir(self.folder / "two" / "quake"), ["local"])
        self.expect(r.run("install", "nothing", "--stream"), NO_PEER)


if __name__ == "__main__":
    unittest.main()

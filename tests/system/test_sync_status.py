#!/usr/bin/env python3
"""`warren sync status` of real nodes: both ends say the same of what is missing, and why it does not
come."""
import subprocess
import unittest

import test_catalog
from harness import MIB, NOT_FOUND, OK, describe, wait_for, write


class SyncStatusTest(test_catalog.CatalogTest):
    def entry(self, folder, name, seed=1, version="1.0", topic="weather/eu", size=200_000):
        return super().entry(folder, name, seed, version, topic, size)

    def follower(self, publisher, config="mode: selective\n"):
        node = self.node("b")
        node.home.mkdir()
        (node.home / "config.yaml").write_text(config)
        node.start()
        self.connect(node, publisher)
        return node

    def sync(self, node, other):
        (peer,) = self.expect(node.run("sync", "status", other.peer_id), OK).result["peers"]
        self.assertEqual(peer["peer_id"], other.peer_id)
        return peer

    def both(self, publisher, follower):
        """What the follower lacks, as it says itself and as the publisher does."""
        return self.sync(follower, publisher)["here"], self.sync(publisher, follower)["there"]

    def both_are(self, publisher, follower, state, missing, seconds=30):
        def are():
            sides = self.both(publisher, follower)
            seen.append(sides)
            fit = all((side["state"], side["missing"]) == (state, missing) for side in sides)
            return sides if fit else None
        seen = []
        try:
            return wait_for(are, f"both to say {state}, {missing} missing", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last was {seen[-1]}") from error


class BothEnds(SyncStatusTest):
    def test_the_need_goes_to_nothing_at_both_and_again_after_an_update(self):
        a = self.node("a").start()
        data = self.library(a)
        b = self.follower(a)
        rain = self.entry(data, "rain", 1)
        self.entry(data, "snow", 2)
        self.entry(data, "chess", 3, topic="games")
        self.both_are(a, b, "up to date", 0)
        # Mode selective without a subscription wants nothing.
        self.assertEqual(list((b.home / "state").glob("replica/*")), [])
        self.expect(b.run("subscribe", "weather/*"), OK)
        replica = b.home / "state" / "replica"
        wait_for(lambda: (replica / "snow").is_dir() and (replica / "rain").is_dir(), "both entries")
        for side in self.both_are(a, b, "up to date", 0):
            self.assertTrue(wait_for(lambda: self.both(a, b)[0]["agreed"], "agreement"))
            self.assertEqual((side["bytes"], side["ids"], side["differing"]), (0, [], []))
        write(rain / "data", 300_000, 11)
        (rain / "version.ini").write_text("version = 2.0\ntopic = weather/eu\n")
        wait_for(lambda: describe(replica / "rain") == describe(rain), "the new rain", 60)
        self.both_are(a, b, "up to date", 0)
        # The other way nobody wants anything.
        self.assertEqual(self.sync(b, a)["there"]["state"], "up to date")
        text = self.expect(b.run("sync", "status", json_output=False), OK).out
        self.assertIn("MISSING HERE", text)
        self.assertIn("up to date", text)
        a.stop()
        wait_for(lambda: self.expect(b.run("sync", "status"), OK).result["peers"] == [],
                 "b to see that a is gone")
        self.expect(b.run("sync", "status", a.peer_id), NOT_FOUND)

    def test_what_is_not_for_a_peer_never_shows(self):
        a = self.node("a").start()
        b = self.follower(a, "mode: full\n")
        self.entry(self.library(a, "secret", "--for", "trusted"), "plan")
        self.entry(self.library(a, "public"), "poem", 2)
        wait_for(lambda: (b.home / "state" / "replica" / "poem").is_dir(), "the poem")
        here, there = self.both_are(a, b, "up to date", 0)
        self.assertNotIn("plan", str((here, there)))

    def test_what_somebody_begins_to_get_counts_until_it_is_here(self):
        a = self.node("a").start()
        b = self.follower(a, "mode: proxy\nlimits:\n  down: 64KiB\n  exempt_lan: false\n")
        self.entry(self.library(a), "rain", size=4 * MIB)
        wait_for(lambda: self.expect(b.run("catalog"), OK).result["entries"] and
                 self.expect(b.run("catalog"), OK).result["entries"][0]["cid"], "the entry")
        command = b.popen("get", "rain", "--out", self.folder / "out")
        here, _ = self.both_are(a, b, "syncing", 1)
        self.assertEqual(here["ids"], ["rain"])
        (transfer,) = b.run("transfers").result["transfers"]
        self.expect(b.run("pause", transfer["id"]), OK)
        command.communicate(timeout=30)
        here, there = self.both_are(a, b, "waiting", 1)
        self.assertEqual((here["reason"], there["reason"]), ("stopped by a person",) * 2)
        self.expect(b.run("cancel", transfer["id"]), OK)
        self.both_are(a, b, "up to date", 0)


class Waiting(SyncStatusTest):
    def small_disk(self):
        place = self.folder / "small-disk"
        place.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            self.skipTest(f"no right to mount a small disk: {mount.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)], check=False)
        return place

    def test_a_full_disk_is_said_at_both_ends(self):
        disk = self.small_disk()
        a = self.node("a").start()
        b = self.follower(a, f"mode: full\nlibrary:\n  replica: {disk}/replica\n")
        self.entry(self.library(a), "rain", size=16 * MIB)
        here, there = self.both_are(a, b, "waiting", 1, 40)
        self.assertEqual((here["reason"], there["reason"]), ("disk full", "disk full"))
        self.assertGreaterEqual(here["bytes"], 16 * MIB)
        self.assertEqual([(item["id"], item["reason"]) for item in here["items"]],
                         [("rain", "disk full")])
        self.assertTrue(here["agreed"] and there["agreed"], (here, there))
        text = self.expect(b.run("sync", "status", json_output=False), OK).out
        self.assertIn("waiting (disk full)", text)
        self.assertIn("missing here: rain", text)

    def test_a_folder_that_may_not_be_written_is_said_at_both_ends(self):
        a = self.node("a").start()
        # Nobody may make a folder there, root neither.
        b = self.follower(a, "mode: full\nlibrary:\n  replica: /sys/warren-replica\n")
        self.entry(self.library(a), "rain")
        here, there = self.both_are(a, b, "waiting", 1, 40)
        self.assertEqual((here["reason"], there["reason"]), ("permission", "permission"))

    def test_another_content_under_the_same_name_is_a_conflict(self):
        a = self.node("a").start()
        b = self.follower(a)
        self.expect(b.run("subscribe", "weather/*"), OK)
        self.entry(self.library(b), "rain", 2, version="7")
        self.entry(self.library(a), "rain", 1)
        here, there = self.both_are(a, b, "waiting", 1)
        self.assertEqual((here["reason"], there["reason"]), ("conflict", "conflict"))


if __name__ == "__main__":
    unittest.main()

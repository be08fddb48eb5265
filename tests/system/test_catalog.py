#!/usr/bin/env python3
"""The catalog of real nodes: everyone sees everyone's entries, at once, and only those that are for
them; and what is in it can be fetched, by hand or by itself."""
import shutil
import signal
import unittest

from harness import (CONFLICT, DENIED, MIB, NOT_FOUND, OK, USAGE, SystemTest, describe, wait_for,
                     write)


class CatalogTest(SystemTest):
    def library(self, node, name="games", *options):
        """A library folder of `node`, empty."""
        folder = self.folder / f"{name} of {node.home.name}"
        folder.mkdir()
        self.expect(node.run("library", "add", folder, *options), OK)
        return folder

    def entry(self, folder, name, seed=1, version="1.0", topic="", size=200_000):
        """It is there at once, as a thing that is moved there."""
        made = self.folder / "made" / name
        write(made / "data", size, seed)
        (made / "version.ini").write_text(f"version = {version}\ntopic = {topic}\n")
        return made.rename(folder / name)

    def catalog(self, node, *words):
        """By id; where an id has several contents, a list of them."""
        found = {}
        for entry in self.expect(node.run("catalog", *words), OK).result["entries"]:
            found.setdefault(entry["id"], []).append(entry)
        return found

    def listed(self, node, name, *words):
        """The one row of an entry, or nothing."""
        return self.catalog(node, *words).get(name, [None])[0]

    def ready(self, node, name):
        return wait_for(lambda: (entry := self.listed(node, name)) and entry["cid"] and entry,
                        f"{name} with its root in the catalog of {node.home.name}")

    def counters(self, node):
        return self.expect(node.run("catalog", "peers"), OK).result


class Telling(CatalogTest):
    def test_a_change_shows_at_the_other_node_by_itself(self):
        a, b = self.pair()
        games = self.library(a)
        self.ready_after_connecting(b)
        self.entry(games, "quake", topic="games/fps")
        seen = wait_for(lambda: self.listed(b, "quake"), "the new entry")
        self.assertEqual((seen["own"], seen["peers"], seen["away"]), (False, [a.peer_id], False))
        whole = self.ready(b, "quake")
        self.assertEqual((whole["version"], whole["topic"], whole["availability"]),
                         ("1.0", "games/fps", "ready"))
        (games / "quake" / "version.ini").write_text("version = 1.1\ntopic = games/fps\n")
        wait_for(lambda: self.listed(b, "quake")["version"] == "1.1", "the new version")
        shutil.rmtree(games / "quake")
        wait_for(lambda: not self.listed(b, "quake"), "its end")

    def test_all_of_a_lan_are_told_however_few_peers_a_node_is_to_hold(self):
        a = self.node("a")
        a.home.mkdir(parents=True)
        (a.home / "config.yaml").write_text(
            "connection_manager: {target_peers: 2, max_peers: 2, grace_period: 0s}\n")
        a.start()
        games = self.library(a)
        self.entry(games, "quake")
        self.ready(a, "quake")
        others = [self.node(f"other {number}").start() for number in range(6)]
        for other in others:
            self.connect(other, a)
            self.ready(other, "quake")
        limits = self.expect(a.run("peers"), OK).result["limits"]
        self.assertEqual((limits["connected"], limits["neighbours"], limits["max_peers"]),
                         (6, 6, 2))
        (games / "quake" / "version.ini").write_text("version = 1.1\n")
        for other in others:
            wait_for(lambda: self.listed(other, "quake")["version"] == "1.1", "the new version", 5)
        # Where nothing is shared any more, the limit holds.
        shutil.rmtree(games / "quake")
        wait_for(lambda: self.expect(a.run("peers"), OK).result["limits"]["connected"] == 2,
                 "the others to be let go")

    def ready_after_connecting(self, node):
        wait_for(lambda: any(peer["following"] for peer in self.counters(node)["peers"]),
                 "the subscription to the other's set")

    def test_own_entries_are_in_it_and_marked(self):
        a = self.node("a").start()
        self.entry(self.library(a), "quake")
        entry = self.ready(a, "quake")
        self.assertEqual((entry["own"], entry["peers"], entry["away"]), (True, [], False))
        self.assertIn("yours", self.expect(a.run("catalog", json_output=False), OK).out)
        self.assertIn("games of a/quake",
                      self.expect(a.run("get", "quake"), CONFLICT).result["error"]["message"])

    def test_what_a_peer_had_is_listed_while_it_is_away(self):
        a, b = self.pair()
        self.entry(self.library(a), "quake")
        self.ready(b, "quake")
        a.stop()
        away = wait_for(lambda: (entry := self.listed(b, "quake"))["away"] and entry, "a is away")
        self.assertEqual(away["peers"], [a.peer_id])
        self.assertIn("away", self.expect(b.run("catalog", json_output=False), OK).out)
        b.stop()
        b.start()
        self.assertTrue(self.listed(b, "quake")["away"], "it is kept on the disk")

    def test_a_restart_costs_a_delta(self):
        a, b = self.pair()
        games = self.library(a)
        for number in range(30):
            self.entry(games, f"game{number}", seed=number, size=1000)
        wait_for(lambda: len(self.catalog(b)) == 30 and
                 all(entry[0]["cid"] for entry in self.catalog(b).values()), "all of them", 30)
        b.stop()
        self.entry(games, "one more", seed=77)
        self.ready(a, "one more")
        b.start()
        self.connect(b, a)
        wait_for(lambda: len(self.catalog(b)) == 31, "the new one")
        counters = self.counters(b)
        self.assertEqual(counters["snapshots"], 0, counters)
        self.assertGreaterEqual(counters["deltas"], 1, counters)

    def test_search_topics_and_pages(self):
        a, b = self.pair()
        games = self.library(a)
        self.entry(games, "quake", 1, topic="games/fps")
        self.entry(games, "quake two", 2, topic="games/fps")
        self.entry(games, "chess", 3, topic="games/board")
        self.entry(games, "notes", 4)
        wait_for(lambda: len(self.catalog(b)) == 4, "all four")
        names = lambda *words: sorted(self.catalog(b, *words))
        self.assertEqual(names("search", "QUAKE"), ["quake", "quake two"])
        self.assertEqual(names("search", "quake*o"), ["quake two"])
        self.assertEqual(names("--topic", "games/*"), ["chess", "quake", "quake two"])
        self.assertEqual(names("search", "quake", "--topic", "games/board"), [])
        page = self.expect(b.run("catalog", "--limit", 2, "--offset", 1), OK).result
        self.assertEqual(([entry["id"] for entry in page["entries"]], page["total"]),
                         (["notes", "quake"], 4))
        self.expect(b.run("catalog", "--topic", "no topic"), USAGE)
        topics = self.expect(b.run("topics"), OK).result["topics"]
        self.assertEqual([(topic["topic"], topic["entries"], topic["subscribed"])
                          for topic in topics],
                         [("games/board", 1, False), ("games/fps", 2, False)])
        self.expect(b.run("subscribe", "*/fps", "--on-demand"), OK)
        topics = self.expect(b.run("topics"), OK).result["topics"]
        self.assertEqual([topic["patterns"] for topic in topics], [[], ["*/fps"]])


class WhoMaySee(CatalogTest):
    def test_to_those_that_a_library_is_not_for_it_does_not_exist(self):
        a, b, c = (self.node(name).start() for name in "abc")
        self.connect(b, a)
        self.connect(c, a)
        secret = self.library(a, "secret", "--for", b.peer_id)
        self.entry(secret, "plan", topic="plans")
        public = self.library(a, "public")
        self.entry(public, "poem")
        self.ready(b, "plan")
        self.ready(c, "poem")
        cid = self.ready(a, "plan")["cid"]
        self.assertEqual(sorted(self.catalog(c)), ["poem"])
        self.assertEqual(self.catalog(c, "search", "plan"), {})
        self.assertEqual(self.expect(c.run("topics"), OK).result["topics"], [])
        for what in ("plan", "plan@1.0", cid):
            got = c.run("get", what, "--out", self.folder / "stolen", "--wait", "1")
            self.assertNotEqual(got.code, OK, str(got))
        self.assertEqual(list((self.folder / "stolen").rglob("data")), [])
        self.expect(b.run("get", "plan", "--out", self.folder / "got"), OK)
        # No longer for b: it goes there too.
        self.expect(a.run("library", "set", secret, "--for", "trusted"), OK)
        wait_for(lambda: sorted(self.catalog(b)) == ["poem"], "the plan to be gone")


class Getting(CatalogTest):
    def test_an_entry_is_fetched_by_its_id_into_the_library(self):
        a, b = self.pair()
        quake = self.entry(self.library(a), "quake", size=3 * MIB)
        mine = self.library(b)
        cid = self.ready(b, "quake")["cid"]
        got = self.expect(b.run("get", "quake"), OK).result
        self.assertEqual((got["cid"], got["path"]), (cid, str(mine / "quake")))
        self.assertEqual(describe(mine / "quake"), describe(quake))
        entry = wait_for(lambda: (row := self.listed(b, "quake"))["own"] and row["cid"] and row,
                         "it to be an entry of the library here")
        self.assertEqual((entry["cid"], entry["peers"], entry["contents"]), (cid, [a.peer_id], 1))
        # And it is there for others now, while a is away.
        wait_for(lambda: self.listed(a, "quake")["peers"] == [b.peer_id], "a to see it at b")

    def test_without_a_library_or_with_out_it_goes_where_get_puts_things(self):
        a, b = self.pair()
        quake = self.entry(self.library(a), "quake")
        self.ready(b, "quake")
        got = self.expect(b.run("get", "quake"), OK).result
        self.assertEqual(describe(got["path"]), describe(quake))
        self.assertEqual(got["path"], str(b.home / "data" / "quake"))
        mine, other = self.library(b, "mine"), self.library(b, "other")
        out = self.folder / "out"
        got = self.expect(b.run("get", "quake", "--out", out), OK).result
        self.assertEqual(got["path"], str(out / "quake"))
        got = self.expect(b.run("get", "quake", "--library", other.name), OK).result
        self.assertEqual(got["path"], str(other / "quake"))
        self.expect(b.run("get", "quake", "--library", "no such library"), NOT_FOUND)
        self.assertEqual(list(mine.iterdir()), [])

    def test_what_peers_disagree_about_is_not_guessed(self):
        a, b, c = (self.node(name).start() for name in "abc")
        self.connect(c, a)
        self.connect(c, b)
        old = self.entry(self.library(a), "quake", 1, "1.0")
        new = self.entry(self.library(b), "quake", 2, "1.1")
        wait_for(lambda: len([entry for entry in self.catalog(c).get("quake", []) if entry["cid"]])
                 == 2, "both")
        rows = self.catalog(c)["quake"]
        self.assertEqual([row["contents"] for row in rows], [2, 2])
        self.assertIn("(different contents)",
                      self.expect(c.run("catalog", json_output=False), OK).out)
        out = self.folder / "out"
        refused = self.expect(c.run("get", "quake", "--out", out), CONFLICT).result["error"]
        for word in ("1.0", "1.1", a.peer_id, b.peer_id, rows[0]["cid"][:16], rows[1]["cid"][:16]):
            self.assertIn(word, refused["message"])
        self.assertIn("warren get quake@1.0", refused["hint"])
        self.assertEqual(list(out.rglob("data")), [])
        self.expect(c.run("get", "quake@1.0", "--out", out), OK)
        self.assertEqual(describe(out / "quake"), describe(old))
        newest = next(row["cid"] for row in rows if row["version"] == "1.1")
        self.expect(c.run("get", "quake@" + newest[:20], "--out", out / "new"), OK)
        self.assertEqual(describe(out / "new" / "quake"), describe(new))
        self.expect(c.run("get", "quake@1.2", "--out", out), NOT_FOUND)

    def test_a_library_that_expects_a_version_takes_no_other(self):
        a, b = self.pair()
        self.entry(self.library(a), "quake", version="1.0")
        mine = self.library(b, "mine", "--expect", "quake=2.0")
        self.ready(b, "quake")
        refused = self.expect(b.run("get", "quake"), DENIED).result["error"]
        self.assertIn("2.0", refused["message"])
        self.assertEqual(list(mine.iterdir()), [])
        self.expect(b.run("library", "set", mine, "--expect", "quake=1.0"), OK)
        self.expect(b.run("get", "quake"), OK)


class Modes(CatalogTest):
    def configure(self, node, text):
        (node.home / "config.yaml").write_text(text)

    def replicas(self, node):
        folder = node.home / "state" / "replica"
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return {name for name in names if not name.startswith(".")}

    def test_selective_fetches_what_is_subscribed_and_sighup_switches(self):
        a, b = self.node("a").start(), self.node("b")
        b.home.mkdir()
        self.configure(b, "mode: proxy\n")
        b.start()
        self.connect(b, a)
        data = self.library(a, "data")
        rain = self.entry(data, "rain", 1, topic="weather/eu")
        self.entry(data, "chess", 2, topic="games/board")
        self.entry(data, "wind", 3, topic="wind")
        self.ready(b, "rain")
        self.expect(b.run("subscribe", "weather/*"), OK)
        self.expect(b.run("subscribe", "wind", "--on-demand"), OK)
        listed = self.expect(b.run("subscribe"), OK).result
        self.assertEqual((listed["mode"], listed["fetched"]), ("proxy", 0))
        self.assertEqual(self.replicas(b), set())
        self.configure(b, "mode: selective\n")
        b.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.replicas(b) == {"rain"}, "the subscribed one")
        self.assertEqual(describe(b.home / "state" / "replica" / "rain"), describe(rain))
        wait_for(lambda: self.listed(b, "rain")["own"], "it to be listed by b")
        # What comes later is fetched when it is announced.
        self.entry(data, "snow", 4, topic="weather/us")
        wait_for(lambda: self.replicas(b) == {"rain", "snow"}, "the new one")
        # And what changes there changes here.
        write(rain / "data", 300_000, 11)
        (rain / "version.ini").write_text("version = 2.0\ntopic = weather/eu\n")
        here = b.home / "state" / "replica" / "rain"
        wait_for(lambda: describe(here) == describe(rain), "the new rain", 30)
        wait_for(lambda: not list((here.parent / ".warren-new").iterdir()), "the old one to go")
        self.configure(b, "mode: full\n")
        b.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.replicas(b) == {"rain", "snow", "chess", "wind"}, "all")
        self.configure(b, "mode: proxy\n")
        b.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.expect(b.run("subscribe"), OK).result["mode"] == "proxy", "proxy")
        self.entry(data, "hail", 5, topic="weather/us")
        self.ready(b, "hail")
        self.assertEqual(self.replicas(b), {"rain", "snow", "chess", "wind"})

    def test_subscriptions_are_kept(self):
        a = self.node("a").start()
        self.expect(a.run("subscribe", "weather/*"), OK)
        self.expect(a.run("subscribe", "*/papers", "--on-demand"), OK)
        a.kill()
        a.start()
        listed = self.expect(a.run("subscribe"), OK).result["subscriptions"]
        self.assertEqual([(each["pattern"], each["on_demand"]) for each in listed],
                         [("*/papers", True), ("weather/*", False)])
        self.expect(a.run("unsubscribe", "weather/*"), OK)
        self.expect(a.run("unsubscribe", "weather/*"), NOT_FOUND)
        self.expect(a.run("subscribe", "no topic"), USAGE)


if __name__ == "__main__":
    unittest.main()

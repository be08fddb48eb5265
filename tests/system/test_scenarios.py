#!/usr/bin/env python3
"""What people on a LAN do with libraries, several real nodes at a time: the scenario families of
docs/systems/lanspread.md. Those of one or two nodes stand in test_library, test_catalog and
test_install; here is what needs more, or goes wrong in the middle."""
import os
import shutil
import threading
import unittest

import test_catalog
from harness import CONFLICT, DENIED, MIB, NOT_FOUND, OK, USAGE, describe, wait_for, write


class Scenarios(test_catalog.CatalogTest):
    def started(self, names):
        return [self.node(name).start() for name in names]

    def listed_by_all(self, nodes, name, count):
        """Until each of the nodes knows `count` others that have the entry."""
        for node in nodes:
            wait_for(lambda: (row := self.listed(node, name)) and len(row["peers"]) == count,
                     f"{count} others with {name} at {node.home.name}", 30)

    def copy_of(self, entry, library):
        """The same entry in another library, there at once."""
        staged = self.folder / "staged" / library.name
        shutil.copytree(entry, staged)
        return staged.rename(library / entry.name)

    def sources(self, count, size):
        """Nodes with the same entry, one that wants it and knows them all, and the entry."""
        *have, wants = self.started("abcdefg"[:count + 1])
        for node in have:
            self.connect(wants, node)
        entry = self.entry(self.library(have[0]), "quake", size=size)
        for node in have[1:]:
            self.copy_of(entry, self.library(node))
        wait_for(lambda: (row := self.listed(wants, "quake")) and row["cid"] and
                 len(row["peers"]) == count and row["contents"] == 1, "one content of all", 30)
        return have, wants, entry

    def test_a_start_lists_what_is_in_the_folder(self):
        a = self.node("a").start()
        games = self.library(a)
        a.stop()
        for number in range(20):
            self.entry(games, f"game {number}", number, size=1000)
        a.start()
        wait_for(lambda: len(rows := self.catalog(a)) == 20 and
                 all(row[0]["cid"] for row in rows.values()), "all of them hashed", 30)

    def test_two_that_meet_tell_each_other_what_they_have(self):
        a, b = self.started("ab")
        self.entry(self.library(a), "quake")
        self.entry(self.library(b), "doom", 2)
        self.ready(a, "quake")
        self.ready(b, "doom")
        self.connect(a, b)
        self.ready(a, "doom")
        self.ready(b, "quake")

    def test_the_catalog_counts_who_has_what(self):
        a, b, c, d = self.started("abcd")
        for node in (a, b, c):
            self.connect(d, node)
        quake = self.entry(self.library(a), "quake")
        self.copy_of(quake, self.library(b))
        self.entry(self.library(c), "doom", 2)
        self.listed_by_all([d], "quake", 2)
        self.listed_by_all([d], "doom", 1)
        self.assertEqual(sorted(self.listed(d, "quake")["peers"]), sorted([a.peer_id, b.peer_id]))

    def test_several_sources_give_one_content(self):
        have, wants, entry = self.sources(3, 64 * MIB)
        got = self.expect(wants.run("get", "quake", "--out", self.folder / "out"), OK).result
        self.assertEqual(describe(got["path"]), describe(entry))
        gave = {peer["id"]: peer["bytes"] for peer in got["peers"]}
        self.assertEqual(set(gave), {node.peer_id for node in have})
        self.assertTrue(all(size > 0 for size in gave.values()), gave)

    def test_a_source_that_dies_in_the_middle_is_replaced(self):
        have, wants, entry = self.sources(2, 192 * MIB)
        getting = wants.popen("get", "quake", "--out", self.folder / "out")
        wait_for(lambda: any(transfer["bytes_done"] > MIB for transfer in
                             self.expect(wants.run("transfers"), OK).result["transfers"]),
                 "the first bytes")
        have[0].kill()
        out, err = getting.communicate(timeout=120)
        self.assertEqual(getting.returncode, OK, out[-2000:] + err[-2000:])
        self.assertEqual(describe(self.folder / "out" / "quake"), describe(entry))

    def test_a_thing_that_changes_while_it_is_fetched_is_never_mixed(self):
        have, wants, entry = self.sources(2, 96 * MIB)
        before = describe(entry)
        getting = wants.popen("get", "quake", "--out", self.folder / "out")
        wait_for(lambda: any(transfer["bytes_done"] > MIB for transfer in
                             self.expect(wants.run("transfers"), OK).result["transfers"]),
                 "the first bytes")
        # One of the two writes over its own file: the rest comes from the other.
        write(entry / "data", 96 * MIB, seed=99)
        out, err = getting.communicate(timeout=120)
        self.assertEqual(getting.returncode, OK, out[-2000:] + err[-2000:])
        self.assertEqual(describe(self.folder / "out" / "quake"), before)
        wait_for(lambda: len([row for row in self.catalog(wants)["quake"] if row["cid"]]) == 2,
                 "two contents, told apart", 30)
        self.expect(wants.run("get", "quake", "--out", self.folder / "again"), CONFLICT)

    def test_commands_at_the_same_time_do_not_disturb_each_other(self):
        a, b = self.pair()
        games = self.library(a)
        for number in range(8):
            self.entry(games, f"game{number}", number, size=3 * MIB)
        mine = self.library(b)
        wait_for(lambda: len([rows for rows in self.catalog(b).values() if rows[0]["cid"]]) == 8,
                 "all of them", 30)
        running = [b.popen("get", f"game{number}") for number in range(8) for _ in range(2)]
        running += [b.popen("catalog") for _ in range(8)]
        codes = []
        for process in running:
            out, err = process.communicate(timeout=120)
            self.assertIn(process.returncode, (OK, CONFLICT), out[-2000:] + err[-2000:])
            codes.append(process.returncode)
        for number in range(8):
            self.assertIn(OK, codes[2 * number:2 * number + 2])
            self.assertEqual(describe(mine / f"game{number}"), describe(games / f"game{number}"))
        self.assertEqual({path.name for path in mine.iterdir()},
                         {f"game{number}" for number in range(8)}, "nothing half-written stays")

    def test_six_nodes_share_all_with_all(self):
        nodes = self.started("abcdef")
        for index, node in enumerate(nodes):
            for other in nodes[:index]:
                self.connect(node, other)
        libraries = [self.library(node) for node in nodes]
        for index, library in enumerate(libraries):
            self.entry(library, f"from {nodes[index].home.name}", index, size=2 * MIB)
        names = [f"from {node.home.name}" for node in nodes]
        for node in nodes:
            wait_for(lambda: all((row := self.listed(node, name)) and row["cid"] for name in names),
                     f"all six at {node.home.name}", 30)
        # Everyone gets everything that is not its own, all at once.
        failures = []

        def fetch(node):
            for name in names:
                if any(row["own"] for row in self.catalog(node)[name]):
                    continue  # Who has just got it is still reading it: a row of its own.
                outcome = node.run("get", name)
                if outcome.code != OK:
                    failures.append(str(outcome))
        threads = [threading.Thread(target=fetch, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(failures, [])
        for library in libraries[1:]:
            self.assertEqual(describe(library), describe(libraries[0]))
        for name in names:
            self.listed_by_all(nodes, name, 5)

    def test_stopping_and_vanishing_and_coming_back(self):
        a, b = self.pair()
        self.entry(self.library(a), "quake")
        self.ready(b, "quake")
        a.stop()
        wait_for(lambda: self.listed(b, "quake")["away"], "it says goodbye")
        a.start()
        self.connect(b, a)  # At another port.
        wait_for(lambda: not self.listed(b, "quake")["away"], "it is back")
        a.kill()
        # Nobody says goodbye: a heartbeat that is not answered does.
        wait_for(lambda: self.listed(b, "quake")["away"], "it is missed", 90)
        self.assertEqual(self.listed(b, "quake")["peers"], [a.peer_id])

    def test_what_a_mode_fetched_is_freed_on_request_but_not_the_last_copy(self):
        a, b = self.node("a").start(), self.node("b")
        b.home.mkdir()
        (b.home / "config.yaml").write_text("mode: full\n")
        b.start()
        self.connect(b, a)
        data = self.library(a, "data")
        for number, name in enumerate(["rain", "snow", "wind"]):
            self.entry(data, name, number)
        replicas = b.home / "state" / "replica"

        def there():
            return sorted(path.name for path in replicas.iterdir() if not path.name.startswith("."))
        wait_for(lambda: replicas.is_dir() and there() == ["rain", "snow", "wind"], "all of them", 30)
        for name in there():
            wait_for(lambda: (row := self.listed(b, name))["own"] and row["cid"], "its own listing")
        kept = self.expect(b.run("library", "prune"), OK).result
        self.assertEqual((kept["freed"], [each["id"] for each in kept["kept"]], kept["bytes_freed"]),
                         ([], ["rain", "snow", "wind"], 0))
        (b.home / "config.yaml").write_text("mode: proxy\n")
        self.expect(b.run("config", "reload"), OK)
        tried = self.expect(b.run("library", "prune", "--dry-run"), OK).result
        self.assertEqual([each["id"] for each in tried["freed"]], ["rain", "snow", "wind"])
        self.assertEqual(there(), ["rain", "snow", "wind"])
        freed = self.expect(b.run("library", "prune", "snow"), OK).result
        self.assertEqual([each["id"] for each in freed["freed"]], ["snow"])
        self.assertGreater(freed["bytes_freed"], 200_000)
        self.assertEqual(there(), ["rain", "wind"])
        wait_for(lambda: not self.listed(b, "snow")["own"], "its end in the catalog")
        a.stop()
        wait_for(lambda: self.listed(b, "snow")["away"], "a is away")
        last = self.expect(b.run("library", "prune"), OK).result
        self.assertEqual([(each["id"], each["reason"]) for each in last["kept"]],
                         [("rain", "no other node that is here has it"),
                          ("wind", "no other node that is here has it")])
        self.assertEqual(there(), ["rain", "wind"])
        self.expect(b.run("library", "prune", "--force"), OK)
        self.assertEqual(list(replicas.glob("*")), [], "nothing is left, hidden or not")
        self.expect(b.run("library", "prune", "rain"), NOT_FOUND)

    def test_what_is_for_some_alone_does_not_go_on_by_itself(self):
        a, b, c = self.started("abc")
        self.connect(b, a)
        self.connect(c, b)
        secret = self.library(a, "secret", "--for", b.peer_id)
        plan = self.entry(secret, "plan")
        cid = self.ready(b, "plan")["cid"]
        mine = self.library(b, "mine")
        refused = self.expect(b.run("get", "plan"), DENIED).result["error"]
        self.assertIn("do not let it be passed on", refused["message"])
        self.assertEqual(list(mine.glob("*")), [])
        self.expect(b.run("get", "plan", "--out", self.folder / "out"), OK)
        self.assertEqual(describe(self.folder / "out" / "plan"), describe(plan))
        stolen = c.run("get", cid, "--out", self.folder / "stolen", "--wait", "1")
        self.assertNotEqual(stolen.code, OK, str(stolen))
        self.assertEqual(self.catalog(c), {})

    def test_nobody_brings_an_entry_what_belongs_to_the_node(self):
        a, b = self.pair()
        evil = self.folder / "evil"
        write(evil / "local" / "game", 1000)
        (evil / ".warren.json").write_text('{"v":1,"intent":"uninstalling","sentinel":""}')
        cid = self.share(a, evil, "evil")["cid"]
        mine = self.library(b, "mine")
        for words in (["--library", mine.name], ["--out", mine]):
            refused = self.expect(b.run("get", cid, *words), DENIED).result["error"]
            self.assertIn("no entry of a library may bring that", refused["message"])
        self.assertEqual(list(mine.glob("[!.]*")), [])
        self.expect(b.run("get", cid, "--out", self.folder / "out"), OK)
        self.assertEqual(describe(self.folder / "out" / "evil"), describe(evil))

    def test_odd_things_in_a_catalog(self):
        a, b = self.pair()
        games = self.library(a)
        names = ["with space", "ünï çødé 漢字", "-dash", "#hash%20", "x" * 255, "UPPER"]
        for number, name in enumerate(names):
            self.entry(games, name, number, size=10)
        (games / "empty").mkdir()
        (games / "a file").write_text("no entry")
        os.symlink(games / "UPPER", games / "a link")
        # What is empty is not downloaded: it is shown, and cannot be had.
        def roots():
            return {id: rows[0]["cid"] is not None for id, rows in self.catalog(b).items()}
        wait_for(lambda: roots() == {**dict.fromkeys(names, True), "empty": False},
                 "all, and nothing else", 30)
        out = self.folder / "out"
        for name in names[:4]:
            self.expect(b.run("get", "--out", out, "--", name), OK)
            self.assertEqual(describe(out / name), describe(games / name))
        self.expect(b.run("get", "no such thing", "--wait", 1), NOT_FOUND)
        self.expect(b.run("get", ""), USAGE)
        # The same name again, with other content, is another version and not a mixture.
        shutil.rmtree(games / "UPPER")
        wait_for(lambda: not self.listed(b, "UPPER"), "it is gone")
        self.entry(games, "UPPER", 77, "2.0", size=20)
        wait_for(lambda: (row := self.listed(b, "UPPER")) and row["version"] == "2.0" and row["cid"],
                 "the new one")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Pause, resume and cancel of a running transfer."""
import json
import signal
import unittest

from harness import MIB, NOT_FOUND, OK, SystemTest, wait_for, write

SIZE = 1024 * MIB


class Transfers(SystemTest):
    def begin(self):
        """A get that is moving; returns the receiver, the share, the command and the transfer."""
        source = write(self.folder / "source/large.bin", SIZE).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        command = receiver.popen("get", shared["cid"], "--out", self.folder / "out")
        transfer = wait_for(lambda: self.moving(receiver), "the transfer to move")
        return receiver, source, command, transfer

    def moving(self, node):
        for entry in node.run("transfers").result["transfers"]:
            if entry["state"] == "active" and entry["bytes_done"] > 0:
                return entry
        return None

    def state(self, node, transfer_id):
        for entry in node.run("transfers").result["transfers"]:
            if entry["id"] == transfer_id:
                return entry["state"]
        return None

    def test_pause_holds_and_resume_finishes(self):
        receiver, source, command, transfer = self.begin()
        self.expect(receiver.run("pause", transfer["id"]), OK)
        wait_for(lambda: self.state(receiver, transfer["id"]) == "paused", "the pause")
        first = [entry["bytes_done"] for entry in receiver.run("transfers").result["transfers"]]
        self.assertLess(first[0], SIZE)
        second = [entry["bytes_done"] for entry in receiver.run("transfers").result["transfers"]]
        self.assertEqual(first, second)
        self.assertFalse((self.folder / "out/things").exists())
        self.expect(receiver.run("resume", transfer["id"]), OK)
        wait_for(lambda: self.state(receiver, transfer["id"]) == "completed", "the end", 60)
        command.communicate(timeout=30)
        self.assert_same_tree(source, self.folder / "out/things")

    def test_progress_arrives_while_the_transfer_runs_and_never_goes_back(self):
        receiver, _, command, transfer = self.begin()
        first = json.loads(command.stdout.readline())
        self.assertEqual(first["type"], "progress")
        self.assertEqual(self.state(receiver, transfer["id"]), "active",
                         "the first line came when all was over")
        self.expect(receiver.run("pause", transfer["id"]), OK)
        out, _ = command.communicate(timeout=30)
        done = [line["bytes_done"] for line in map(json.loads, out.splitlines())
                if line["type"] == "progress"]
        self.assertEqual(done, sorted(done))

    def test_cancel_leaves_nothing_behind(self):
        receiver, _, command, transfer = self.begin()
        self.expect(receiver.run("cancel", transfer["id"]), OK)
        command.communicate(timeout=30)
        self.assertNotEqual(command.returncode, OK)
        out = self.folder / "out"
        wait_for(lambda: not out.exists() or not any(out.iterdir()), "the left-overs to go")
        self.expect(receiver.run("resume", transfer["id"]), NOT_FOUND)

    def test_a_paused_transfer_stays_paused_over_a_restart(self):
        receiver, source, command, transfer = self.begin()
        self.expect(receiver.run("pause", transfer["id"]), OK)
        wait_for(lambda: self.state(receiver, transfer["id"]) == "paused", "the pause")
        receiver.kill()
        command.communicate(timeout=30)
        receiver.start()
        self.assertEqual(self.state(receiver, transfer["id"]), "paused")
        sender = self.nodes[0]
        self.connect(receiver, sender)
        self.expect(receiver.run("resume", transfer["id"]), OK)
        wait_for(lambda: self.state(receiver, transfer["id"]) == "completed", "the end", 60)
        self.assert_same_tree(source, self.folder / "out/things")

    def limited(self, rate):
        """A get of 96 MiB from a node that may send so much in a second; lines of progress."""
        sender, receiver = self.node("a"), self.node("b").start()
        self.limit(sender, rate)
        sender.start()
        self.connect(receiver, sender)
        source = write(self.folder / "source/large.bin", 96 * MIB).parent
        shared = self.share(sender, source, "things")
        return sender, receiver.popen("get", shared["cid"], "--out", self.folder / "out")

    def limit(self, node, rate):
        node.home.mkdir(parents=True, exist_ok=True)
        (node.home / "config.yaml").write_text(f"limits: {{up: {rate}, exempt_lan: false}}\n")

    def until(self, command, condition):
        for line in map(json.loads, command.stdout):
            self.assertEqual(line["type"], "progress", line)
            if condition(line):
                return line
        self.fail("the command ended before")

    def test_a_limit_holds_and_a_change_of_it_counts_at_once(self):
        sender, command = self.limited("4MiB")
        first = self.until(command, lambda line: line["bytes_done"] > 0)
        second = self.until(command, lambda line: line["elapsed"] > first["elapsed"] + 3)
        passed = second["elapsed"] - first["elapsed"]
        rate = (second["bytes_done"] - first["bytes_done"]) / passed
        # What is under way when the time is taken, and the bucket, add a little.
        self.assertLess(rate, 4 * MIB + 3 * MIB / passed)
        self.assertLess(second["bytes_done"], 48 * MIB)
        self.limit(sender, 0)
        # The rest may come between two lines.
        last = [json.loads(line) for line in command.stdout][-1]
        self.assertEqual(command.wait(timeout=60), OK, last)
        left = last["bytes_total"] - second["bytes_done"]
        self.assertLess(last["elapsed"] - second["elapsed"], left / (4 * MIB) / 2,
                        "it went on at the old rate")

    def test_watch_shows_who_gives_how_much_until_ctrl_c(self):
        receiver, _, command, transfer = self.begin()
        watch = receiver.popen("transfers", "--watch")
        for line in map(json.loads, watch.stdout):
            self.assertEqual(line["type"], "transfers")
            (entry,) = line["transfers"]
            if entry["peers"] and entry["peers"][0]["bytes"] > 0:
                break
        self.assertEqual(entry["id"], transfer["id"])
        self.assertEqual(entry["peers"][0]["id"], self.nodes[0].peer_id)
        self.assertEqual(entry["priority"], "user")
        self.assertIsNone(entry["reason"])
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=30)
        self.assertEqual(watch.returncode, 130)
        self.expect(receiver.run("cancel", transfer["id"]), OK)
        command.communicate(timeout=30)


if __name__ == "__main__":
    unittest.main(verbosity=2)

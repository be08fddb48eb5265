#!/usr/bin/env python3
"""Pause, resume and cancel of a running transfer."""
import json
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


if __name__ == "__main__":
    unittest.main(verbosity=2)

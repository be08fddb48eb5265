#!/usr/bin/env python3
"""kill -9 of the receiver at random moments: the final name is absent or complete, and what was
verified is not fetched again."""
import json
import os
import pathlib
import random
import time
import unittest

from harness import MIB, OK, SystemTest, describe, wait_for, write

KILLS = 25
SIZE = 256 * MIB
# What a kill may cost in bytes fetched again.
LOST_MAX = 64 * MIB


class Kill(SystemTest):
    def test_25_kills_cost_nothing_but_time(self):
        seed = int(os.environ.get("WARREN_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}: run again with WARREN_SEED={seed}", flush=True)
        choice = random.Random(seed)
        source = self.folder / "source"
        write(source / "large.bin", SIZE, seed)
        for index in range(200):
            write(source / "small" / f"{index}.dat", 20_000, index)
        expected = describe(source)
        sender = self.node("a").start()
        shared = self.share(sender, source, "things")

        # How long one undisturbed get takes decides where the kills fall.
        scout = self.node("scout").start()
        self.connect(scout, sender)
        whole = self.expect(scout.run("get", shared["cid"], "--out", self.folder / "scout-out"),
                            OK).result
        scout.stop()
        total = whole["bytes"]

        kills, round_number, interrupted = 0, 0, 0
        while kills < KILLS:
            round_number += 1
            out = self.folder / f"out-{round_number}"
            receiver = self.node(f"b-{round_number}")
            done, seen = None, 0
            while done is None:
                receiver.start()
                self.connect(receiver, sender)
                if kills >= KILLS:
                    done = self.expect(receiver.run("get", shared["cid"], "--out", out), OK).result
                    self.check_reuse(done, seen, total)
                    break
                command = receiver.popen("get", shared["cid"], "--out", out)
                moment = time.monotonic() + choice.uniform(0, 1.1 * whole["seconds"])
                while time.monotonic() < moment and command.poll() is None:
                    time.sleep(0.001)
                receiver.kill()
                kills += 1
                text, _ = command.communicate(timeout=20)
                seen = max([seen] + [line["bytes_done"] for line in map(json.loads, text.splitlines())
                                     if line["type"] == "progress"])
                final = out / pathlib.Path(whole["path"]).name
                if final.exists():
                    self.assertEqual(describe(final), expected, f"seed {seed}, kill {kills}")
                    break
                self.assertNotEqual(command.returncode, OK, text)
                interrupted += 1
                if choice.random() < 0.3:
                    # Now and then let it finish after one kill, and look at what it fetched.
                    receiver.start()
                    self.connect(receiver, sender)
                    done = self.expect(receiver.run("get", shared["cid"], "--out", out), OK).result
                    self.check_reuse(done, seen, total)
            final = out / pathlib.Path(whole["path"]).name
            self.assertEqual(describe(final), expected, f"seed {seed}, round {round_number}")
            self.assertEqual(sorted(os.listdir(out)), [final.name], "left-overs beside the result")
            receiver.kill()
        print(f"{kills} kills, {interrupted} of them in the middle, {round_number} receivers")
        self.assertGreater(interrupted, 0)

    def check_reuse(self, done, seen, total):
        """`seen`: bytes that the node had told before it was killed. It goes on by itself as soon as it
        runs again, since it remembers its peers."""
        self.assertGreaterEqual(done["bytes_reused"], seen - LOST_MAX,
                                f"a kill cost more than it may: {done}")
        self.assertEqual(done["bytes_reused"] + done["bytes_verified"], total, done)


class Sender(SystemTest):
    def test_a_get_goes_on_when_its_only_sender_died_and_is_back(self):
        source = write(self.folder / "source/large.bin", 512 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        out = self.folder / "out"
        command = receiver.popen("get", shared["cid"], "--out", out)

        def moving():
            transfers = receiver.run("transfers").result["transfers"]
            return any(entry["bytes_done"] > 0 for entry in transfers)
        wait_for(moving, "the transfer to move")
        sender.kill()
        self.assertFalse((out / "things").exists())
        sender.start()

        # The old connection is given up when it was silent for its idle timeout; then the peer is
        # dialled at the port where it listens now.
        last_try = 0.0

        def done():
            nonlocal last_try
            if command.poll() is None and time.monotonic() - last_try >= 1:
                last_try = time.monotonic()
                receiver.run("connect", sender.address)
            return command.poll() is not None
        wait_for(done, "the get to end", 90)
        text, _ = command.communicate(timeout=10)
        self.assertEqual(command.returncode, OK, text)
        self.assert_same_tree(source, out / "things")


if __name__ == "__main__":
    unittest.main(verbosity=2)

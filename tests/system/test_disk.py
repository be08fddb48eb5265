#!/usr/bin/env python3
"""Full disks and files that change while they are served."""
import errno
import os
import pathlib
import subprocess
import unittest

from harness import INTEGRITY, MIB, NO_SPACE, OK, SystemTest, wait_for, write


class FullDisk(SystemTest):
    def small_disk(self, size):
        """A folder with room for `size` bytes, or a skip that says why there is none."""
        place = self.folder / "small-disk"
        place.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            self.skipTest(f"no right to mount a small disk: {mount.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)], check=False)
        return place

    def test_a_full_disk_pauses_with_the_numbers_and_goes_on_when_there_is_room(self):
        disk = self.small_disk(160 * MIB)
        ballast = write(disk / "ballast", 140 * MIB)
        source = write(self.folder / "source/file.bin", 40 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        outcome = self.expect(receiver.run("get", shared["cid"], "--out", disk / "out"), NO_SPACE)
        message = outcome.result["error"]["message"]
        for number in ("40.0 MiB", "20.0 MiB", str(disk)):
            self.assertIn(number, message)
        (transfer,) = receiver.run("transfers").result["transfers"]
        self.assertEqual(transfer["state"], "paused", transfer)
        self.assertFalse((disk / "out/things").exists())
        self.expect(receiver.run("status"), OK)

        ballast.unlink()
        wait_for(lambda: receiver.run("transfers").result["transfers"][0]["state"] == "completed",
                 "the transfer to go on by itself", 30)
        self.assert_same_tree(source, disk / "out/things")
        again = self.expect(receiver.run("get", shared["cid"], "--out", disk / "out"), OK).result
        self.assertEqual(again["bytes_verified"] + again["bytes_reused"], 40 * MIB)

    def test_a_disk_that_somebody_fills_on_the_way_loses_nothing(self):
        disk = self.small_disk(512 * MIB)
        source = self.folder / "source"
        for index in range(300):
            write(source / f"{index}.bin", MIB, index)
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        command = receiver.popen("get", shared["cid"], "--out", disk / "out")

        def moving():
            transfers = receiver.run("transfers").result["transfers"]
            return command.poll() is not None or any(entry["bytes_done"] > 0 for entry in transfers)
        wait_for(moving, "the transfer to move")
        ballast = disk / "ballast"
        try:
            write(ballast, 512 * MIB)
        except OSError as error:
            self.assertEqual(error.errno, errno.ENOSPC)
        text, _ = command.communicate(timeout=60)
        self.assertIn(command.returncode, (OK, NO_SPACE), text)
        if command.returncode == NO_SPACE:
            self.assertFalse((disk / "out/things").exists())
        ballast.unlink()
        wait_for(lambda: receiver.run("transfers").result["transfers"][0]["state"] == "completed",
                 "the transfer to go on by itself", 30)
        self.assert_same_tree(source, disk / "out/things")


class Changes(SystemTest):
    def test_a_file_that_changed_is_not_served_under_its_old_name(self):
        source = write(self.folder / "source/file.bin", 8 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        with open(source / "file.bin", "r+b") as file:
            file.seek(3 * MIB)
            file.write(b"changed")
        verified = sender.run("verify", "things")
        if sender.run("shares").result["shares"][0]["cid"] == shared["cid"]:  # Not hashed again yet.
            self.expect(verified, INTEGRITY)
            self.assertIn("file.bin", verified.out)
        outcome = receiver.run("get", shared["cid"], "--out", self.folder / "out", "--wait", "5")
        self.assertNotEqual(outcome.code, OK, str(outcome))
        self.assertFalse((self.folder / "out/things").exists())

    def test_a_share_that_is_found_changed_gets_its_new_name_by_itself(self):
        source = write(self.folder / "source/file.bin", MIB).parent
        node = self.node("a").start()
        old = self.share(node, source, "things")["cid"]
        write(source / "file.bin", MIB, seed=1)
        self.expect(node.run("verify", "things"), INTEGRITY)
        wait_for(lambda: node.run("shares").result["shares"][0]["cid"] != old,
                 "the share to be hashed again", 30)
        self.expect(node.run("verify", "things"), OK)

    def test_shared_again_it_has_a_new_name_and_arrives(self):
        source = write(self.folder / "source/file.bin", 8 * MIB).parent
        sender, receiver = self.pair()
        old = self.share(sender, source, "things")["cid"]
        write(source / "file.bin", 8 * MIB, seed=1)
        new = self.share(sender, source, "things")["cid"]
        self.assertNotEqual(old, new)
        result = self.expect(receiver.run("get", "things", "--out", self.folder / "out"), OK).result
        self.assertEqual(result["cid"], new)
        self.assert_same_tree(source, result["path"])

    def test_a_file_that_changes_while_it_is_served_never_arrives_wrong(self):
        source = write(self.folder / "source/file.bin", 512 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        command = receiver.popen("get", shared["cid"], "--out", self.folder / "out")

        def moving():
            transfers = receiver.run("transfers").result["transfers"]
            return command.poll() is not None or any(entry["bytes_done"] > 0 for entry in transfers)
        wait_for(moving, "the transfer to move")
        with open(source / "file.bin", "r+b") as file:
            file.seek(511 * MIB)
            file.write(b"changed at the end")
        command.communicate(timeout=120)
        final = self.folder / "out/things/file.bin"
        if command.returncode == 0:
            self.assertEqual(final.stat().st_size, 512 * MIB)
            with open(final, "rb") as file:
                file.seek(511 * MIB)
                self.assertNotEqual(file.read(7), b"changed")
        else:
            self.assertFalse(final.exists())

    def test_a_file_that_is_gone_is_named_by_verify(self):
        source = write(self.folder / "source/file.bin", 2 * MIB).parent
        write(source / "other.bin", MIB, 1)
        node = self.node("a").start()
        self.share(node, source, "things")
        os.unlink(source / "file.bin")
        outcome = node.run("verify", "things")
        self.assertNotEqual(outcome.code, OK)
        self.assertIn("file.bin", outcome.out + outcome.err)

    def test_a_symlink_that_leads_outside_is_neither_read_nor_made(self):
        secret = write(self.folder / "secret.txt", 100)
        source = write(self.folder / "source/file.bin", 10).parent
        (source / "outside").symlink_to("../secret.txt")
        (source / "absolute").symlink_to("/etc/passwd")
        (source / "inside").symlink_to("file.bin")
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        outcome = receiver.run("get", shared["cid"], "--out", self.folder / "out")
        result = self.expect(outcome, OK).result
        self.assertEqual(result["links_left_out"], 2)
        self.assertEqual(sorted(os.listdir(result["path"])), ["file.bin", "inside"])
        self.assertEqual(os.readlink(pathlib.Path(result["path"]) / "inside"), "file.bin")
        self.assertNotIn(secret.read_bytes()[:16].hex(), outcome.out)
        again = receiver.run("get", shared["cid"], "--out", self.folder / "out")
        self.assertEqual(self.expect(again, OK).result["bytes_reused"], 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Full disks and files that change while they are served."""
import os
import pathlib
import subprocess
import unittest

from harness import MIB, NO_SPACE, OK, SystemTest, wait_for, write


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
        disk = self.small_disk(48 * MIB)
        ballast = write(disk / "ballast", 30 * MIB)
        source = write(self.folder / "source/file.bin", 40 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        outcome = self.expect(receiver.run("get", shared["cid"], "--out", disk / "out"), NO_SPACE)
        text = outcome.out + outcome.err
        self.assertRegex(text, r"MiB|bytes")
        self.assertIn(str(disk), text)
        (transfer,) = receiver.run("transfers").result["transfers"]
        self.assertEqual(transfer["state"], "paused", transfer)
        self.assertFalse((disk / "out/things").exists())
        self.expect(receiver.run("status"), OK)

        ballast.unlink()
        result = self.expect(receiver.run("get", shared["cid"], "--out", disk / "out"), OK).result
        self.assert_same_tree(source, result["path"])

    def test_a_disk_that_fills_up_on_the_way_loses_nothing(self):
        disk = self.small_disk(64 * MIB)
        source = self.folder / "source"
        for index in range(30):
            write(source / f"{index}.bin", MIB, index)
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        ballast = write(disk / "ballast", 50 * MIB)
        self.expect(receiver.run("get", shared["cid"], "--out", disk / "out"), NO_SPACE)
        ballast.unlink()
        result = self.expect(receiver.run("get", shared["cid"], "--out", disk / "out"), OK).result
        self.assert_same_tree(source, result["path"])


class Changes(SystemTest):
    def test_a_file_that_changed_is_not_served_under_its_old_name(self):
        source = write(self.folder / "source/file.bin", 8 * MIB).parent
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        with open(source / "file.bin", "r+b") as file:
            file.seek(3 * MIB)
            file.write(b"changed")
        outcome = receiver.run("get", shared["cid"], "--out", self.folder / "out", timeout=120)
        self.assertNotEqual(outcome.code, OK, str(outcome))
        self.assertFalse((self.folder / "out/things").exists())
        self.assertNotEqual(sender.run("verify", "things").code, OK)

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

    def test_the_target_of_a_symlink_outside_the_share_is_not_read(self):
        secret = write(self.folder / "secret.txt", 100)
        source = write(self.folder / "source/file.bin", 10).parent
        (source / "link").symlink_to("../secret.txt")
        sender, receiver = self.pair()
        shared = self.share(sender, source, "things")
        outcome = receiver.run("get", shared["cid"], "--out", self.folder / "out")
        for path in pathlib.Path(self.folder / "out").rglob("link"):
            self.assertTrue(path.is_symlink())
        self.assertNotIn(secret.read_bytes()[:16].hex(), outcome.out)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""The contract of the command line: streams, --json, exit codes."""
import json
import os
import re
import signal
import subprocess
import time
import unittest

import harness
from harness import NOT_FOUND, NO_DAEMON, NO_PEER, OK, USAGE, SystemTest, run, wait_for

UNKNOWN_CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
UNKNOWN_PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

# Every command that talks to the node, with arguments that fit an empty node.
COMMANDS = [
    (["status"], OK),
    (["id"], OK),
    (["peers"], OK),
    (["shares"], OK),
    (["transfers"], OK),
    (["connect", "/ip4/127.0.0.1/udp/9/quic-v1/p2p/" + UNKNOWN_PEER], None),
    (["disconnect", UNKNOWN_PEER], NOT_FOUND),
    (["ping", UNKNOWN_PEER, "-c", "1"], None),
    (["perf", "/ip4/127.0.0.1/udp/9/quic-v1", "--upload-bytes", "1", "--download-bytes", "1"], None),
    (["share", "does-not-exist"], NOT_FOUND),
    (["unshare", "nothing"], NOT_FOUND),
    (["verify", "nothing"], NOT_FOUND),
    (["get", UNKNOWN_CID], NO_PEER),
    (["pause", "999"], NOT_FOUND),
    (["resume", "999"], NOT_FOUND),
    (["cancel", "999"], NOT_FOUND),
    (["peers", "--refresh"], OK),
    (["peers", "--all"], OK),
    (["peers", "add", "/ip4/127.0.0.1/udp/9/quic-v1/p2p/" + UNKNOWN_PEER], None),
    (["peers", "remove", UNKNOWN_PEER], NOT_FOUND),
    (["peers", "ban", "198.51.100.7", "--for", "1h", "--reason", "a test"], OK),
    (["peers", "banned"], OK),
    (["peers", "unban", "198.51.100.7"], OK),
    (["peers", "unban", "198.51.100.7"], NOT_FOUND),
    (["discover"], OK),
    (["shares", "remove", "nothing"], NOT_FOUND),
    (["shares", "verify", "nothing"], NOT_FOUND),
    (["transfers", "pause", "999"], NOT_FOUND),
    (["transfers", "resume", "999"], NOT_FOUND),
    (["transfers", "cancel", "999"], NOT_FOUND),
    (["library"], OK),
    (["library", "add", "does-not-exist"], NOT_FOUND),
    (["library", "set", "does-not-exist", "--for", "anyone"], NOT_FOUND),
    (["library", "remove", "does-not-exist"], NOT_FOUND),
    (["library", "list"], OK),
    (["library", "show", "nothing"], NOT_FOUND),
    (["library", "scan", "--wait", "20"], OK),
    (["library", "verify", "nothing"], NOT_FOUND),
    (["library", "prune", "--dry-run"], OK),
    (["install", "nothing"], NOT_FOUND),
    (["update", "nothing"], NOT_FOUND),
    (["uninstall", "nothing"], NOT_FOUND),
    (["catalog"], OK),
    (["catalog", "search", "nothing"], OK),
    (["catalog", "peers"], OK),
    (["sync"], OK),
    (["sync", "status"], OK),
    (["sync", "status", UNKNOWN_PEER], NOT_FOUND),
    (["topics"], OK),
    (["subscribe", "weather/*"], OK),
    (["unsubscribe", "weather/*"], OK),
    (["config", "reload"], OK),
]
# Those that do without a node.
ALONE = [
    (["config", "check"], OK),
    (["config", "check", "/no/such/file"], NOT_FOUND),
    (["config", "show", "--origin"], OK),
    (["config", "default"], OK),
    (["config", "path"], OK),
    (["doctor"], None),  # What it says of this machine decides.
]


class WithoutNode(SystemTest):
    def test_help_goes_to_stdout_and_exits_0(self):
        for words in (["--help"], ["up", "--help"], ["get", "--help"]):
            outcome = run(*words, json_output=False)
            self.expect(outcome, OK)
            self.assertIn("warren", outcome.out)
            self.assertEqual(outcome.err, "")

    def test_usage_errors_go_to_stderr_and_exit_2(self):
        for words in (["bogus"], ["get"], ["share"], ["ping"], ["up", "--listen", "nonsense"],
                      ["status", "--no-such-option"], ["ping", UNKNOWN_PEER, "-c", "many"]):
            outcome = run(*words, home=self.folder, json_output=False)
            self.expect(outcome, USAGE)
            self.assertEqual(outcome.out, "", str(outcome))
            self.assertIn("warren", outcome.err)

    def test_a_mistyped_command_is_told_the_nearest_one(self):
        self.assertIn("peers", run("peer", json_output=False).err)

    def test_usage_errors_end_in_a_result_object_with_json(self):
        outcome = run("bogus")
        self.expect(outcome, USAGE)
        self.assertEqual((outcome.result["ok"], outcome.result["code"]), (False, USAGE))

    def test_without_a_node_every_command_exits_6_and_says_how_to_start_one(self):
        for words, _ in COMMANDS:
            if words == ["id"]:
                continue  # It reads the identity from its file.
            with self.subTest(command=words[:2]):
                outcome = run(*words, home=self.folder / "none")
                self.expect(outcome, NO_DAEMON)
                self.assertEqual(outcome.result["code"], NO_DAEMON)
                self.assertIn("warren", json.dumps(outcome.lines))

    def test_commands_that_need_no_node_end_in_a_result_object_too(self):
        for words, code in ALONE:
            with self.subTest(command=words[:2]):
                outcome = run(*words, home=self.folder / "none")
                self.assertEqual(len(outcome.lines), 1, str(outcome))
                self.assertEqual(outcome.result["code"], outcome.code)
                if code is not None:
                    self.expect(outcome, code)

    def test_every_command_of_the_program_is_tried_here(self):
        helped = run("--help", json_output=False).out
        tried = {" ".join(words[:2]) for words, _ in COMMANDS + ALONE} | \
                {words[0] for words, _ in COMMANDS + ALONE}
        for command in re.findall(r"^  ([a-z]+)  ", helped.split("Options")[0], flags=re.M):
            if command == "up":
                continue
            about = run(command, "--help", json_output=False).out
            verbs = re.findall(rf"^  ({command} [a-z]+)  ", about, flags=re.M)
            for name in verbs or [command]:
                self.assertIn(name, tried)

    def test_id_needs_no_node_but_an_identity(self):
        self.expect(run("id", home=self.folder / "none"), NOT_FOUND)
        node = self.node("a").start()
        node.stop()
        self.assertEqual(run("id", home=node.home).result["peer_id"], node.peer_id)

    def test_without_a_node_the_text_names_the_next_step(self):
        outcome = run("status", home=self.folder / "none", json_output=False)
        self.expect(outcome, NO_DAEMON)
        self.assertEqual(outcome.out, "")
        self.assertIn("up", outcome.err)


class WithNode(SystemTest):
    def test_every_command_ends_in_a_result_object_with_its_exit_code(self):
        node = self.node("a").start()
        for words, code in COMMANDS + ALONE:
            with self.subTest(command=words[:2]):
                extra = ["--wait", "1"] if words[0] == "get" else []
                outcome = node.run(*words, *extra, cwd=self.folder)
                for line in outcome.lines:
                    self.assertEqual(line["v"], 1, str(outcome))
                    self.assertIn("type", line)
                result = outcome.result
                self.assertEqual(result["ok"], outcome.code == 0, str(outcome))
                self.assertEqual(result["code"], outcome.code, str(outcome))
                if words[0] == "doctor":
                    self.assertIn(outcome.code, (0, 1, 3), str(outcome))
                    continue
                if code is None:
                    self.assertNotIn(outcome.code, (0, USAGE), str(outcome))
                else:
                    self.expect(outcome, code)
                if not result["ok"]:
                    error = result["error"]
                    for field in ("code", "name", "message"):
                        self.assertTrue(error.get(field), str(outcome))

    def test_results_go_to_stdout_and_all_else_to_stderr(self):
        node = self.node("a").start()
        good = node.run("id", json_output=False)
        self.expect(good, OK)
        self.assertIn(node.peer_id, good.out)
        bad = node.run("disconnect", UNKNOWN_PEER, json_output=False)
        self.expect(bad, NOT_FOUND)
        self.assertEqual(bad.out, "")
        self.assertIn(UNKNOWN_PEER, bad.err)

    def test_status_has_the_fields_that_programs_rely_on(self):
        node = self.node("a").start()
        status = node.run("status").result
        self.assertRegex(status["peer_id"], r"^12D3KooW\w{44}$")
        for address in status["listen"]:
            self.assertRegex(address, r"^/ip4/127\.0\.0\.1/udp/[1-9]\d*/quic-v1/p2p/" +
                             re.escape(status["peer_id"]) + "$")
        self.assertEqual(node.run("id").result["peer_id"], status["peer_id"])

    def test_peers_lists_the_connected_one_with_path_and_round_trip(self):
        sender, receiver = self.pair()
        self.expect(receiver.run("ping", sender.peer_id, "-c", "2"), OK)
        peers = receiver.run("peers").result["peers"]
        peer = next(peer for peer in peers if peer["peer_id"] == sender.peer_id)
        self.assertTrue(peer["connected"])
        self.assertEqual(peer["via"], "manual")
        self.assertIn("quic", peer["path"])
        self.assertLess(peer["rtt_ms"], 1000)
        self.assertTrue(any("/udp/" in address for address in peer["addresses"]), peer)
        self.expect(receiver.run("disconnect", sender.peer_id), OK)
        wait_for(lambda: not any(peer["connected"] for peer in receiver.run("peers").result["peers"]),
                 "the peer to be gone")

    def test_ping_by_address_connects(self):
        sender, receiver = self.node("a").start(), self.node("b").start()
        self.expect(receiver.run("ping", sender.address, "-c", "3"), OK)

    def test_perf_moves_the_bytes_asked_for(self):
        sender, receiver = self.pair()
        result = self.expect(receiver.run("perf", sender.address, "--upload-bytes", 10_000_000,
                                          "--download-bytes", 20_000_000), OK).result
        self.assertEqual((result["upload_bytes"], result["download_bytes"]),
                         (10_000_000, 20_000_000))
        self.assertGreater(result["upload_seconds"], 0)
        self.assertGreater(result["download_seconds"], 0)

    def test_ctrl_c_stops_the_node_within_5_seconds_and_frees_its_home(self):
        sender, receiver = self.pair()
        self.addCleanup(receiver.stop)
        code, seconds = sender.stop()
        self.assertIn(code, (0, harness.INTERRUPTED))
        self.assertLess(seconds, 5)
        self.assertEqual(run("status", home=sender.home).code, NO_DAEMON)
        sender.start()
        sender.stop()

    def test_ctrl_c_stops_a_command_and_says_so(self):
        node = self.node("a").start()
        command = node.popen("get", UNKNOWN_CID)
        # It must be waiting for a source, not still starting: its transfer or its silence shows it.
        end = time.monotonic() + 0.5
        while time.monotonic() < end and command.poll() is None:
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=5)
        self.assertEqual(command.returncode, harness.INTERRUPTED, out + err)
        self.assertEqual(json.loads(out.splitlines()[-1])["code"], harness.INTERRUPTED)

    def test_a_closed_pipe_ends_a_command_quietly(self):
        node = self.node("a").start()
        read, written = os.pipe()
        os.close(read)
        done = subprocess.run([harness.PROGRAM, "--home", str(node.home), "status"], stdout=written,
                              stderr=subprocess.PIPE, timeout=10, check=False)
        os.close(written)
        self.assertNotIn(-signal.SIGPIPE, (done.returncode,))
        self.assertNotIn(b"exception", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

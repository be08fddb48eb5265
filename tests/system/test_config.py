#!/usr/bin/env python3
"""The configuration of a node that runs: reload by edit, by SIGHUP and on request; a bad file keeps
the old settings."""
import json
import os
import pty
import re
import signal
import subprocess
import time
import unittest

import harness
from harness import NO_DAEMON, NOT_FOUND, OK, USAGE, SystemTest, run, wait_for


class Config(SystemTest):
    def configured(self, text, name="a", **options):
        node = self.node(name, **options)
        node.home.mkdir(parents=True)
        self.write(node, text)
        return node

    def write(self, node, text):
        (node.home / "config.yaml").write_text(text)

    def settings(self, node):
        shown = self.expect(node.run("config", "show"), OK).result["settings"]
        return {one["key"]: one for one in shown}

    def wait_value(self, node, key, value):
        wait_for(lambda: self.settings(node)[key]["value"] == value, f"{key} to be {value}")

    def test_an_edit_is_taken_and_said(self):
        node = self.configured("").start()
        self.write(node, "heartbeat: {interval: 10s}\nbootstrap: {min_peers: 3}\n")
        self.wait_value(node, "bootstrap.min_peers", 3)
        shown = self.settings(node)
        self.assertEqual(shown["bootstrap.min_peers"]["origin"], f"{node.home}/config.yaml:2")
        self.assertEqual(shown["heartbeat.interval"]["value"], 30.0)
        self.assertEqual(shown["heartbeat.interval"]["pending"], "10s")
        said = wait_for(lambda: re.search(r"configuration reloaded: .*", node.log_text()), "the line")
        self.assertEqual(said.group(0), "configuration reloaded: bootstrap.min_peers 1 -> 3; "
                         "heartbeat.interval takes effect after a restart")
        node.stop()
        node.start()
        self.assertEqual(self.settings(node)["heartbeat.interval"]["value"], 10.0)

    def test_a_file_renamed_over_it_and_one_that_was_not_there_are_seen(self):
        node = self.node("a").start()
        new = node.home / "new"
        for value in (2, 4):
            new.write_text(f"bootstrap: {{min_peers: {value}}}\n")
            os.replace(new, node.home / "config.yaml")
            self.wait_value(node, "bootstrap.min_peers", value)

    def test_a_file_that_goes_or_is_cut_off_changes_nothing(self):
        node = self.configured("bootstrap: {min_peers: 2}\n").start()
        gone = "the configuration file is gone, or nothing is in it"
        for spoil in (lambda: (node.home / "config.yaml").unlink(), lambda: self.write(node, "")):
            spoil()
            refused = self.expect(node.run("config", "reload"), NOT_FOUND)
            self.assertEqual(refused.result["error"]["message"], gone)
            wait_for(lambda: gone in node.log_text(), "the error in the log")
            self.assertEqual(self.settings(node)["bootstrap.min_peers"]["value"], 2)
            self.assertTrue(any(gone in warning for warning in
                                node.run("status").result["warnings"]))
        self.write(node, "# all defaults\n")
        self.wait_value(node, "bootstrap.min_peers", 1)
        self.assertEqual(node.run("status").result["warnings"], [])

    def test_flags_have_the_last_word(self):
        node = self.configured("mdns: {enabled: true}\n").start()
        shown = self.settings(node)
        self.assertEqual((shown["mdns.enabled"]["value"], shown["mdns.enabled"]["origin"]),
                         (False, "--no-mdns"))
        self.assertEqual(shown["p2p.listen_addresses"]["origin"], "--listen")
        self.write(node, "mdns: {enabled: true}\nbootstrap: {min_peers: 2}\n")
        self.wait_value(node, "bootstrap.min_peers", 2)
        self.assertFalse(self.settings(node)["mdns.enabled"]["value"])

    def test_a_bad_file_keeps_the_old_settings_and_is_named_everywhere(self):
        node = self.configured("bootstrap: {min_peers: 2}\n").start()
        self.write(node, "bootstrap:\n  min_pears: 3\n")
        place = f"{node.home}/config.yaml:2:3"
        wait_for(lambda: place in node.log_text(), "the error in the log")
        self.assertEqual(self.settings(node)["bootstrap.min_peers"]["value"], 2)
        warnings = self.expect(node.run("status"), OK).result["warnings"]
        self.assertTrue(any(place in warning for warning in warnings), warnings)
        problem = self.expect(node.run("config", "show"), OK).result["problem"]
        self.assertIn("did you mean 'min_peers'?", problem["message"])
        refused = self.expect(node.run("config", "reload"), USAGE)
        self.assertIn(place, refused.result["error"]["message"])
        self.write(node, "bootstrap: {min_peers: 5}\n")
        self.wait_value(node, "bootstrap.min_peers", 5)
        self.assertEqual(node.run("status").result["warnings"], [])

    def test_sighup_reads_it_again(self):
        node = self.configured("").start()
        began = node.log_text().count("configuration reloaded")
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: node.log_text().count("configuration reloaded") > began, "the reload")
        self.assertTrue(node.running())
        self.assertIn("nothing has changed", node.log_text())

    def test_a_closed_terminal_ends_the_node(self):
        home = self.folder / "t"
        home.mkdir()
        master, slave = pty.openpty()
        words = [harness.PROGRAM, "--home", str(home), "up", "--no-mdns", "--no-beacon", "--listen",
                 harness.LOOPBACK]
        node = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave,
                                start_new_session=True)
        os.close(slave)
        self.addCleanup(lambda: node.poll() is None and node.kill())
        wait_for(lambda: run("status", home=home).code == OK, "the node to answer")
        os.close(master)
        node.send_signal(signal.SIGHUP)  # As the kernel does for the session of that terminal.
        self.assertEqual(node.wait(timeout=10), 0)

    def test_reload_on_request_says_what_it_did(self):
        node = self.configured("").start()
        self.write(node, "log: {level: error}\n")
        outcome = self.expect(node.run("config", "reload"), OK)
        self.assertTrue("log.level warn -> error" in outcome.result["applied"] or
                        outcome.result["applied"] == [], "the watch may have been first")
        self.wait_value(node, "log.level", "error")

    def test_check_needs_no_node(self):
        home = self.folder / "none"
        self.expect(run("config", "check", home=home), OK)
        self.expect(run("config", "check", home / "missing.yaml", home=home), NOT_FOUND)
        bad = self.folder / "bad.yaml"
        bad.write_text("connection_manager:\n  target_peers: 9\n  max_peers: 8\n")
        outcome = self.expect(run("config", "check", bad, home=home), USAGE)
        self.assertIn(f"{bad}:3:14: ", outcome.result["error"]["message"])
        self.assertEqual(outcome.result["error"]["item"], str(bad))
        self.expect(run("config", "reload", home=home), NO_DAEMON)

    def test_the_default_file_is_right_and_changes_nothing(self):
        home = self.folder / "h"
        home.mkdir()
        before = run("config", "show", home=home).result["settings"]
        text = run("config", "default", home=home, json_output=False).out
        (home / "config.yaml").write_text(text)
        after = run("config", "show", home=home).result["settings"]
        self.assertEqual([(one["key"], one["value"]) for one in before],
                         [(one["key"], one["value"]) for one in after])

    def test_the_log_of_a_node_with_json_has_the_reload_as_an_event(self):
        home = self.folder / "j"
        home.mkdir()
        out = open(self.folder / "out.json", "w+")
        words = [harness.PROGRAM, "--home", str(home), "--json", "up", "--no-mdns", "--no-beacon",
                 "--listen", harness.LOOPBACK]
        node = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: node.poll() is None and node.kill())

        def lines():
            return [json.loads(line) for line in (self.folder / "out.json").read_text().splitlines()]
        wait_for(lambda: any(line["type"] == "started" for line in lines()), "the start")
        (home / "config.yaml").write_text("bootstrap: {min_peers: 2}\n")
        event = wait_for(lambda: [line for line in lines() if line["type"] == "config_reloaded"],
                         "the reload")[0]
        self.assertEqual(event["applied"], ["bootstrap.min_peers 1 -> 2"])
        (home / "config.yaml").write_text("bootstrap: {min_peers: -2}\n")
        wait_for(lambda: [line for line in lines() if line["type"] == "config_refused"], "the error")
        node.send_signal(signal.SIGTERM)
        node.wait(timeout=10)
        out.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""`warren interop` as a container of libp2p's transport-interop harness: both forms of the environment,
every stack, against itself and against js-libp2p, with a Redis server between them.

    transport_interop_test.py NODE NODE_MODULES WARREN [--stacks A,B]

Exit code 77: node, its packages or Redis are not there.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from peers import HERE, SKIPPED  # noqa: E402
from netns import die_with_parent  # noqa: E402

STACKS = ["quic-v1", "tcp+noise", "tcp+tls", "ws+noise", "ws+tls"]
# The server is one program with the tools, by another name: Debian's redis-tools has it without the
# service of redis-server.
REDIS = shutil.which("redis-check-rdb")
OPTIONS = None


def older(stack, dialler, redis, **more):
    transport, _, security = stack.partition("+")
    return {"transport": transport, "security": security, "muxer": "yamux" if security else "",
            "is_dialer": "true" if dialler else "false", "ip": "127.0.0.1", "redis_addr": redis,
            "test_timeout_seconds": "20", **more}


def newer(stack, dialler, redis, **more):
    transport, _, security = stack.partition("+")
    return {"TRANSPORT": transport, "SECURE_CHANNEL": security, "MUXER": "yamux" if security else "",
            "IS_DIALER": "true" if dialler else "false", "LISTENER_IP": "127.0.0.1",
            "REDIS_ADDR": redis, "TEST_KEY": "0a1b2c3d", "DEBUG": "false", **more}


class Redis:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="warren-redis-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--dir", self.folder], executable=REDIS, stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class TransportInterop(unittest.TestCase):
    def setUp(self):
        self.redis = self.enterContext(Redis())
        self.running = []

    def tearDown(self):
        for process in self.running:
            process.kill()
            process.communicate()

    def start(self, program, variables):
        commands = {"Warren": [OPTIONS.warren, "interop"],
                    "js": [OPTIONS.node, str(HERE / "js_transport_interop.mjs"), OPTIONS.modules]}
        # As in a container: nothing but what the harness sets.
        environment = {"PATH": os.environ["PATH"], "HOME": self.redis.folder, **variables}
        process = subprocess.Popen(commands[program], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=die_with_parent)
        self.running.append(process)
        return process

    def ends_well(self, dialler):
        out, errors = dialler.communicate(timeout=60)
        self.assertEqual(dialler.returncode, 0, f"{out}{errors}")
        return out

    def dial(self, form, stack, dialler="Warren", listener="Warren"):
        """What the dialler prints."""
        waiting = self.start(listener, form(stack, False, self.redis.address))
        out = self.ends_well(self.start(dialler, form(stack, True, self.redis.address)))
        self.assertIsNone(waiting.poll(), "the listener ended before it was killed")
        return out

    def check_json(self, out):
        result = json.loads(out)
        self.assertEqual(set(result), {"handshakePlusOneRTTMillis", "pingRTTMilllis"})
        self.assertGreaterEqual(result["handshakePlusOneRTTMillis"], result["pingRTTMilllis"])
        self.assertGreater(result["handshakePlusOneRTTMillis"], 0)

    def test_older_form_between_two_of_ours(self):
        for stack in OPTIONS.stacks:
            with self.subTest(stack):
                self.check_json(self.dial(older, stack))

    def test_newer_form_between_two_of_ours(self):
        for stack in OPTIONS.stacks:
            with self.subTest(stack):
                out = self.dial(newer, stack)
                # The harness picks these lines by these patterns.
                found = re.fullmatch(r"latency:\n  handshake_plus_one_rtt: ([0-9.]+)\n"
                                     r"  ping_rtt: ([0-9.]+)\n  unit: ms\n", out)
                self.assertIsNotNone(found, out)
                self.assertGreater(float(found[1]), float(found[2]))

    def test_warren_dials_js(self):
        for stack in OPTIONS.stacks:
            with self.subTest(stack):
                self.check_json(self.dial(older, stack, listener="js"))

    def test_js_dials_warren(self):
        for stack in OPTIONS.stacks:
            with self.subTest(stack):
                self.check_json(self.dial(older, stack, dialler="js"))

    def test_a_dialler_may_start_before_the_listener(self):
        dialler = self.start("Warren", older("quic-v1", True, self.redis.address))
        time.sleep(0.3)  # For most of the runs; either order has to work.
        self.start("Warren", older("quic-v1", False, self.redis.address))
        self.check_json(self.ends_well(dialler))

    def test_a_dialler_without_a_listener_fails_in_time(self):
        began = time.monotonic()
        dialler = self.start("Warren", older("quic-v1", True, self.redis.address,
                                             test_timeout_seconds="1"))
        out, errors = dialler.communicate(timeout=20)
        self.assertNotEqual(dialler.returncode, 0)
        self.assertEqual(out, "")
        self.assertIn("listenerAddr", errors)
        self.assertLess(time.monotonic() - began, 10)

    def test_a_listener_that_nobody_kills_fails_in_the_end(self):
        listener = self.start("Warren", older("quic-v1", False, self.redis.address,
                                              test_timeout_seconds="1"))
        out, errors = listener.communicate(timeout=20)
        self.assertNotEqual(listener.returncode, 0)
        self.assertEqual(out, "")
        self.assertIn("time", errors)

    def test_a_stack_that_warren_has_not_is_named(self):
        refused = self.start("Warren", older("tcp+noise", True, self.redis.address, muxer="mplex"))
        _, errors = refused.communicate(timeout=20)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("muxer=mplex", errors)


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node")
    parser.add_argument("modules")
    parser.add_argument("warren")
    parser.add_argument("--stacks", type=lambda text: text.split(","), default=STACKS)
    OPTIONS = parser.parse_args()
    for needed in (OPTIONS.node, os.path.join(OPTIONS.modules, "libp2p"), REDIS or "redis-check-rdb"):
        if not os.path.exists(needed):
            print(f"skipped: {needed} is not there; run scripts/setup --tests")
            sys.exit(SKIPPED)
    unittest.main(argv=[sys.argv[0]], verbosity=2)


if __name__ == "__main__":
    main()

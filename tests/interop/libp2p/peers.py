"""Programs that take JSON lines on stdin and answer each on stdout: interop_peer and js_peer.mjs."""
import collections
import json
import pathlib
import queue
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "netns"))
from netns import die_with_parent  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77


class Failed(Exception):
    """A case does not hold; the text says why."""


class Pending:
    """An answer that is still to come."""

    def __init__(self, program, text):
        self.program, self.text, self.box = program, text, queue.Queue()

    def ready(self):
        return not self.box.empty()

    def result(self, seconds):
        try:
            reply = self.box.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"{self.program.name} gave no answer in {seconds} s to {self.text}") from None
        if reply is None:
            raise Failed(f"{self.program.name} ended during {self.text}")
        if not reply.pop("ok"):
            raise Failed(f"{self.program.name}: {self.text}: {reply['error']}")
        return reply


class Program:
    """One running program with any number of nodes in it."""

    def __init__(self, name, command, environment=None):
        self.name, self.number, self.pending = name, 0, {}
        self.lock, self.ended = threading.Lock(), False
        self.words = collections.deque(maxlen=400)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment,
                                        errors="replace", preexec_fn=die_with_parent)
        self.threads = [threading.Thread(target=self._read, daemon=True),
                        threading.Thread(target=self._listen, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                reply = json.loads(line)
            except ValueError:
                self.words.append(f"(no answer: {line.rstrip()})")
                continue
            with self.lock:
                waiting = self.pending.pop(reply.pop("id"), None)
            if waiting:
                waiting.box.put(reply)
        with self.lock:
            self.ended = True
            for waiting in self.pending.values():
                waiting.box.put(None)

    def _listen(self):
        for line in self.process.stderr:
            self.words.append(line.rstrip())

    def begin(self, action, **fields):
        with self.lock:
            self.number += 1
            waiting = Pending(self, f"{action} {fields}")
            if self.ended:
                waiting.box.put(None)
                return waiting
            self.pending[self.number] = waiting
            request = {"id": self.number, "do": action, **fields}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            waiting.box.put(None)
        return waiting

    def call(self, action, seconds=30, **fields):
        return self.begin(action, **fields).result(seconds)

    def last_words(self, count=12):
        return list(self.words)[-count:]

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join(timeout=5)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode


class Node:
    """One libp2p node in a Program."""

    def __init__(self, program, name, stack, **options):
        self.program, self.name, self.stack = program, name, stack
        started = program.call("start", node=name, stack=stack, **options)
        self.peer, self.addresses = started["peer"], started["addresses"]

    @property
    def is_js(self):
        return self.program.name == "js"

    @property
    def address(self):
        return self.addresses[0]

    def begin(self, action, other=None, **fields):
        if other is not None:
            fields["peer"] = other.peer
        return self.program.begin(action, node=self.name, **fields)

    def call(self, action, other=None, seconds=30, **fields):
        return self.begin(action, other, **fields).result(seconds)


class Programs:
    """Where the programs are, and those that run."""

    def __init__(self, node, modules, interop_peer):
        self.commands = {"Warren": [interop_peer],
                         "js": [node, str(HERE / "js_peer.mjs"), modules]}
        self.running = []

    def start(self, name, **options):
        program = Program(name, self.commands[name], **options)
        self.running.append(program)
        return program

    def stop(self, program):
        self.running.remove(program)
        return program.close()

    def stop_all(self):
        for program in list(self.running):
            self.stop(program)

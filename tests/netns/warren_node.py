"""The real program on computers of its own, for the tests of discovery and their benchmark."""

import json
import os
import subprocess
import time

import netns


def wait_until(condition, seconds):
    """The time until `condition()` held, or None."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.05)
    return None


class Node(netns.Program):
    """A running `warren up` with a home of its own, in a namespace."""

    def __init__(self, program, home, namespace, config=""):
        self.program, self.home = program, home
        os.makedirs(home, exist_ok=True)
        with open(os.path.join(home, "config.yaml"), "w", encoding="ascii") as file:
            file.write(config)
        super().__init__([program, "--home", home, "up"], namespace)
        self._id = None

    def ask(self, *words, accept=(0,)):
        """The result of a command, or None while there is none."""
        done = subprocess.run([self.program, "--home", self.home, "--json", *words],
                              capture_output=True, text=True, timeout=30, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines[-1] if done.returncode in accept and lines else None

    @property
    def id(self):
        """Its peer id, once it answers."""
        if self._id is None:
            wait_until(lambda: self.ask("status"), 20)
            self._id = self.ask("status")["peer_id"]
        return self._id

    def connected(self):
        """The ids of its connected peers."""
        answer = self.ask("peers")
        return {peer["peer_id"] for peer in answer["peers"] if peer["connected"]} if answer else set()

    def source(self, name):
        """What one source of peers did and saw."""
        answer = self.ask("discover")
        found = [source for source in answer["sources"] if source["name"] == name] if answer else []
        return found[0] if found else None

    def sees(self, name, peer):
        """What a source says of a peer now, or None when it is not there."""
        source = self.source(name)
        seen = [each for each in source["seen"] if each["peer_id"] == peer] if source else []
        return seen[0] if seen and not seen[0]["lost"] else None

#!/usr/bin/env -S python3 -B
"""What a library costs when it is large: a start with nothing changed, one changed file until other
nodes know of it, and what a node that was away is sent. Real nodes on loopback, files in a folder of
memory-backed storage that is removed at the end.

    bench/catalog.py [--entries N] [--peers N]

Prints one JSON object. Nodes are asked over their own sockets, so that a question costs nothing.
"""
import argparse
import glob
import http.client
import json
import pathlib
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import measure  # noqa: E402
import warren  # noqa: E402

LONG = 3600.0


class Api(http.client.HTTPConnection):
    """A node's API, on one connection."""

    def __init__(self, node):
        super().__init__("localhost", timeout=120)
        self.path = glob.glob(str(node.home / "run" / "*.sock"))[0]

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def get(self, target):
        self.request("GET", "/api/v1/" + target)
        answer = self.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise measure.Failed(f"{target}: {answer.status} {body[:300]}")
        return json.loads(body.splitlines()[-1])


def total(api):
    return api.get("catalog?limit=1")["total"]


def settled(node):
    node.command("library", "scan", "--wait", int(LONG))


def version_of(api, name):
    entries = api.get(f"catalog?name={name}&limit=1")["entries"]
    return entries[0]["version"] if entries else None


def make_entry(folder, number, version=1):
    entry = folder / f"entry-{number:06}"
    entry.mkdir(exist_ok=True)
    (entry / "version.ini").write_text(f"version = {version}\n")
    if not (entry / "file").exists():
        (entry / "file").write_text(str(number))


def until_all_are_told(apis):
    """Threads that end when each of the nodes was told of a change, and after how many seconds."""
    def deltas(api):
        return api.get("catalog/peers")["deltas"]
    before = [deltas(api) for api in apis]
    began, took = time.monotonic(), [None] * len(apis)

    def watch(index):
        while deltas(apis[index]) == before[index]:
            if time.monotonic() - began > 60:
                return
            time.sleep(0.005)
        took[index] = time.monotonic() - began
    threads = [threading.Thread(target=watch, args=(index,)) for index in range(len(apis))]
    for thread in threads:
        thread.start()
    return threads, took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--peers", type=int, default=20)
    args = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="warren-bench-", dir="/dev/shm"))
    report = {"entries": args.entries, "peers": args.peers}
    try:
        library = place / "library"
        library.mkdir()
        for number in range(args.entries):
            make_entry(library, number)
        node = warren.Node(place / "a").start()
        began = time.monotonic()
        node.command("library", "add", library)
        settled(node)
        report["first_scan_seconds"] = time.monotonic() - began
        report["rss_mib"] = measure.own_memory(node.pid) / measure.MIB
        node.stop()
        began = time.monotonic()
        node.start()
        api = Api(node)
        measure.wait_for(lambda: total(api) == args.entries, "all entries", 60)
        report["start_until_listed_seconds"] = time.monotonic() - began
        settled(node)
        report["start_until_looked_at_seconds"] = time.monotonic() - began

        peers = [warren.Node(place / f"peer{number}").start() for number in range(args.peers)]
        apis = [Api(peer) for peer in peers]
        began = time.monotonic()
        for peer in peers:
            peer.command("connect", node.address)
        for each in apis:
            measure.wait_for(lambda: total(each) == args.entries, "the snapshot", LONG)
        report["snapshots_to_all_seconds"] = time.monotonic() - began
        report["snapshot_bytes"] = apis[0].get("catalog/peers")["bytes_received"]
        # The node with all of them at rest.
        settled(node)

        took = []
        for round_number in range(2, 7):
            threads, times = until_all_are_told(apis)
            make_entry(library, 7, round_number)
            for thread in threads:
                thread.join()
            if None in times:
                raise measure.Failed("a node was not told of a change")
            took.append(max(times))
            settled(node)
            for each in apis:
                measure.wait_for(lambda: version_of(each, "entry-000007") == str(round_number),
                                 "the new version")
        report["change_told_to_all_seconds"] = {"median": statistics.median(took),
                                                "worst": max(took)}

        report["return_bytes"] = {}
        peer = peers[0]
        for changes in (0, 1, 10, 100):
            peer.stop()
            for number in range(changes):
                make_entry(library, 100 + number, 1000 + changes)
            settled(node)
            peer.start()
            peer.command("connect", node.address)
            each = Api(peer)
            last = f"entry-{100 + changes - 1:06}"
            if changes:
                measure.wait_for(lambda: version_of(each, last) == str(1000 + changes),
                                 "the changes", 60)
            measure.wait_for(lambda: any(row["complete"] for row in
                                         each.get("catalog/peers")["peers"]), "the end", 60)
            counters = each.get("catalog/peers")
            report["return_bytes"][str(changes)] = counters["bytes_received"]
            if counters["snapshots"]:
                report["return_snapshots"] = counters["snapshots"]
        report["rss_with_peers_mib"] = measure.own_memory(node.pid) / measure.MIB
    finally:
        warren.stop_all()
        shutil.rmtree(place, ignore_errors=True)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

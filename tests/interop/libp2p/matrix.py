#!/usr/bin/env python3
"""Warren and js-libp2p on every stack, in both directions of dialling. Prints one table.

    matrix.py NODE NODE_MODULES INTEROP_PEER [--table FILE] [--stacks A,B] [--cases A,B] [--seconds N]

NODE is the node program, NODE_MODULES where the npm packages are, INTEROP_PEER the program of
interop_peer.cpp. --seconds is how long the connections of the last column are held. Exit code 77:
node or its packages are not there. What each case asks for: README.md beside this file.
"""
import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from peers import Failed, Node, Programs, SKIPPED  # noqa: E402

MIB = 1 << 20
STACKS = ["quic-v1", "tcp+noise", "tcp+tls", "ws+noise"]
KEYS = ["Ed25519", "secp256k1", "RSA", "ECDSA"]
# The stacks on which a peer's key is proven in different ways.
KEY_STACKS = ["quic-v1", "tcp+noise", "tcp+tls"]
# js-libp2p's QUIC is built without keys of this type, and does not take the key of the handshake alone.
IMPOSSIBLE = {("quic-v1", "ECDSA")}
NOBODY = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
SPOKEN = {"/echo/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/perf/1.0.0"}
MONITOR_SECONDS = 10  # Between two pings of js-libp2p's connection monitor.


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Row:
    """A dialler and a listener, one of them js-libp2p."""

    def __init__(self, dialler, listener):
        self.dialler, self.listener = dialler, listener

    def both(self):
        """Each as (who opens the streams, who serves them)."""
        return [(self.dialler, self.listener), (self.listener, self.dialler)]


# ------------------------------------------------------------------------------------ cases

def wrong_id(row):
    address = row.listener.address.replace(row.listener.peer, NOBODY)
    try:
        row.dialler.call("dial", address=address)
    except Failed as error:
        # The refusal, and not a connection that never came about, names who answered.
        expect(row.listener.peer in str(error) or row.dialler.is_js, f"another failure: {error}")
    else:
        raise Failed("the dialler took another identity than the one it dialled")
    expect(row.dialler.call("stats")["connections"] == 0, "a connection is left")


def right_id(row):
    reached = row.dialler.call("dial", address=row.listener.address)
    expect(reached["peer"] == row.listener.peer, f"the dialler reached {reached['peer']}")
    expect(row.dialler.call("stats")["connections"] == 1, "the dialler has another number of connections")


def ping(row):
    for one, other in row.both():
        one.call("ping", other)


def identify(row, asked=("js", "Warren")):
    for one, other in row.both():
        if one.program.name not in asked:
            continue
        known = one.call("identify", other)
        agent = "js-libp2p/" if other.is_js else "warren"
        expect(known["agent"].startswith(agent), f"the agent is {known['agent']}")
        expect(SPOKEN <= set(known["protocols"]), f"protocols: {known['protocols']}")
        expect(known["signed"], "no signed peer record was accepted")
        bare = other.address.removesuffix(f"/p2p/{other.peer}")
        expect(known["addresses"] == [bare], f"addresses {known['addresses']} instead of {bare}")
        expect(known["observed"].startswith("/ip4/127.0.0.1/"), f"observed: {known['observed']}")


def echo(row):
    for one, other in row.both():
        one.call("echo", other, bytes=MIB)
        one.call("echo", other, bytes=1)


def perf(upload, download, both):
    def case(row):
        for one, other in row.both() if both else row.both()[:1]:
            one.call("perf", other, seconds=60, upload=upload, download=download)
    return case


def sequential(row):
    row.dialler.call("sequential", row.listener, seconds=60, count=1000)


def parallel(row):
    for one, other in row.both():
        one.call("parallel", other, count=100)


def reset(row):
    for one, other in row.both():
        one.call("reset_sending", other)
        sinks = other.call("sinks")["sinks"]
        # js-libp2p shows a reset on QUIC as an end.
        quiet = row.dialler.stack == "quic-v1"
        expect([sink["ended"] for sink in sinks] == (["end"] if quiet and other.is_js else ["reset"]),
               f"the receiver saw {sinks}")
        expect(sinks[0]["bytes"] >= MIB, f"the receiver saw {sinks}")
        one.call("reset_receiving", other)
        ended = one.call("reset_by_receiver", other)["ended"]
        expect(ended.startswith("reset"), f"reset by the receiver shows as {ended}")
        seen = one.call("reset_by_sender", other)
        expect(seen["bytes"] == MIB, f"{seen['bytes']} bytes came before the reset")
        expect(seen["ended"].startswith("end" if quiet and one.is_js else "reset"),
               f"reset by the sender shows as {seen['ended']}")
    ping(row)


def unread(row):
    for one, other in row.both():
        # js-libp2p reads on over QUIC while a stream is paused and breaks it off beyond 4 MiB. The
        # other size is more than any window.
        size = 2 * MIB if other.is_js and row.dialler.stack == "quic-v1" else 24 * MIB
        held = one.begin("hold", other, bytes=size)
        for _ in range(3):
            one.call("ping", other)
            other.call("ping", one)
        one.call("echo", other, bytes=MIB)
        one.call("perf", other, upload=4 * MIB, download=4 * MIB)
        expect(not held.ready(), "the stream ended before anybody read it")
        other.call("release")
        held.result(30)


def new_connections(row):
    """What is asked of a connection at once: the request and its end come with the first frames."""
    times = row.dialler.call("connect_perf", address=row.listener.address, count=20, upload=1,
                             download=1)["milliseconds"]
    expect(len(times) == 20, f"{len(times)} of 20 connections")


CASES = [("wrong id", wrong_id), ("right id", right_id), ("ping", ping), ("identify", identify),
         ("echo", echo), ("64 MiB up", perf(64 * MIB, 0, False)),
         ("64 MiB down", perf(0, 64 * MIB, False)), ("1 B/1 B", perf(1, 1, True)),
         ("0 B/0 B", perf(0, 0, True)), ("1,000 streams", sequential), ("100 at once", parallel),
         ("reset", reset), ("unread", unread),
         # Last: Warren closes the connection of the row for it.
         ("20 dials", new_connections)]


# ------------------------------------------------------------------------------------ tables

class Table:
    def __init__(self, columns):
        self.columns, self.rows = columns, []

    def text(self):
        lines = [["", *self.columns]] + self.rows
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                         for line in lines)


class Matrix:
    def __init__(self, options):
        self.options = options
        self.programs = Programs(options.node, options.modules, options.interop_peer)
        self.failures = []
        # js-libp2p's errors go to stderr, which is shown of a cell that failed.
        self.environment = {**os.environ, "DEBUG": "*:error", "DEBUG_COLORS": "no",
                            "INTEROP_DEBUG": "1"}

    def start(self, name):
        return self.programs.start(name, environment=self.environment)

    def fail(self, row, case, error, programs):
        words = [f"FAIL  {row}  {case}: {error}"]
        for program in programs:
            words += [f"      {program.name}: {line}" for line in program.last_words()]
        self.failures.append("\n".join(words))
        print(words[0], file=sys.stderr, flush=True)

    def run_row(self, stack, dialler_name):
        """The cells of one row."""
        listener_name = "Warren" if dialler_name == "js" else "js"
        programs = {name: self.start(name) for name in (dialler_name, listener_name)}
        name = f"{stack}, {dialler_name} dials"
        cells = []
        try:
            row = Row(Node(programs[dialler_name], "a", stack), Node(programs[listener_name], "a", stack))
        except Failed as error:
            self.fail(name, "start", error, programs.values())
            return ["FAIL"] * len(self.cases())
        for case, run in self.cases():
            try:
                run(row)
                cells.append("ok")
            except Failed as error:
                self.fail(name, case, error, programs.values())
                cells.append("FAIL")
        for program in programs.values():
            code = self.programs.stop(program)
            if code != 0:
                self.fail(name, "end", f"{program.name} ended with {code}", [program])
                cells[-1] = "FAIL"
        return cells

    def cases(self):
        wanted = self.options.cases
        return [case for case in CASES
                if not wanted or case[0] in wanted or case[0] == "right id"]

    def hold(self):
        """Connections that nothing but js-libp2p's monitor uses: [(name, row)] and when they began."""
        programs = [self.start("js"), self.start("Warren")]
        held = {}
        for stack in self.options.stacks:
            for dialler in ("js", "Warren"):
                name = f"{stack} {dialler}"
                try:
                    nodes = {program.name: Node(program, name, stack) for program in programs}
                    row = Row(nodes.pop(dialler), *nodes.values())
                    row.dialler.call("dial", address=row.listener.address)
                    held[stack, dialler] = row
                except Failed as error:
                    self.fail(name, "held", error, programs)
        return programs, held, time.monotonic()

    def check_held(self, programs, held, began):
        time.sleep(max(0, began + self.options.seconds - time.monotonic()))
        pings_least = int(self.options.seconds // MONITOR_SECONDS) - 1
        cells = {}
        for key, row in held.items():
            try:
                for node in (row.dialler, row.listener):
                    stats = node.call("stats")
                    expect(stats["connections"] == 1, f"{stats['connections']} connections are left")
                    expect(not node.is_js or stats["monitored"] >= pings_least,
                           f"the monitor pinged {stats.get('monitored')} times")
                ping(row)
                cells[key] = "ok"
            except Failed as error:
                self.fail(" ".join(key), "held", error, programs)
        for program in programs:
            self.programs.stop(program)
        return cells

    def run_keys(self):
        """A peer of each type of key, proven by each security protocol."""
        table = Table([*KEYS])
        programs = [self.start("js"), self.start("Warren")]
        for stack in (stack for stack in KEY_STACKS if stack in self.options.stacks):
            for dialler in ("js", "Warren"):
                cells = []
                for key in KEYS:
                    if (stack, key) in IMPOSSIBLE:
                        cells.append("-")
                        continue
                    name = f"{stack} {dialler} {key}"
                    try:
                        nodes = {program.name: Node(program, name, stack, key=key)
                                 for program in programs}
                        row = Row(nodes.pop(dialler), *nodes.values())
                        right_id(row)
                        ping(row)
                        # A js-libp2p node proves an ECDSA key but cannot have it as its identity.
                        identify(row, asked=["js"] if key == "ECDSA" else ["js", "Warren"])
                        cells.append("ok")
                    except Failed as error:
                        self.fail(f"{stack}, {dialler} dials", f"{key} key", error, programs)
                        cells.append("FAIL")
                table.rows.append([f"{stack}, {dialler} dials", *cells])
        for program in programs:
            self.programs.stop(program)
        return table

    def run(self):
        began = time.monotonic()
        held = self.hold()
        keys = self.run_keys()
        rows = {}
        for stack in self.options.stacks:
            for dialler in ("js", "Warren"):
                start = time.monotonic()
                rows[stack, dialler] = self.run_row(stack, dialler)
                print(f"{stack}, {dialler} dials: {time.monotonic() - start:.1f} s", file=sys.stderr,
                      flush=True)
        held_cells = self.check_held(*held)
        table = Table([name for name, _ in self.cases()] + [f"held {self.options.seconds:g} s"])
        for key, cells in rows.items():
            table.rows.append([f"{key[0]}, {key[1]} dials", *cells, held_cells.get(key, "FAIL")])
        return (f"Warren and js-libp2p ({time.monotonic() - began:.0f} s)\n\n{table.text()}\n\n"
                f"js-libp2p with an identity of each type (-: its QUIC cannot)\n\n{keys.text()}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node")
    parser.add_argument("modules")
    parser.add_argument("interop_peer")
    parser.add_argument("--table", type=pathlib.Path, help="also write the table there")
    parser.add_argument("--stacks", type=lambda text: text.split(","), default=STACKS)
    parser.add_argument("--cases", type=lambda text: text.split(","), default=[])
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    for needed in (options.node, os.path.join(options.modules, "libp2p")):
        if not os.path.exists(needed):
            print(f"skipped: {needed} is not there; run scripts/setup --tests")
            sys.exit(SKIPPED)
    matrix = Matrix(options)
    try:
        text = matrix.run()
    finally:
        matrix.programs.stop_all()
    text += "\n" + "\n\n".join(matrix.failures) + "\n" if matrix.failures else ""
    print(text)
    if options.table:
        options.table.parent.mkdir(parents=True, exist_ok=True)
        options.table.write_text(text)
    sys.exit(1 if matrix.failures else 0)


if __name__ == "__main__":
    main()

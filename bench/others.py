"""The programs that Warren is measured beside, on the same machine, in the same round."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.request
import xml.etree.ElementTree as tree

from measure import Failed, wait_for

running = []


def start(words, **options):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, **{**quiet, **options})
    running.append(process)
    return process


def stop(process):
    running.remove(process)
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop_all():
    for process in list(running):
        stop(process)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def needs(program):
    if shutil.which(program) is None:
        raise Failed(f"{program} is not installed: run scripts/setup --bench")


def timed(words):
    began = time.monotonic()
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{words[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return time.monotonic() - began


def iperf3_gbit(seconds):
    """One TCP connection on loopback."""
    needs("iperf3")
    port = free_port()
    server = start(["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(port)])
    try:
        for _ in range(100):
            done = subprocess.run(["iperf3", "--client", "127.0.0.1", "--port", str(port), "--time",
                                   str(seconds), "--json"], capture_output=True, text=True, check=False)
            # On a busy machine it may also end well without having measured anything.
            received = json.loads(done.stdout or "{}").get("end", {}).get("sum_received")
            if done.returncode == 0 and received:
                return received["bits_per_second"] / 1e9
            time.sleep(0.05)  # It is not listening yet, or still busy with the last one.
    finally:
        stop(server)
    raise Failed(f"iperf3 measured nothing: {done.stdout[-300:]}")


def aes_128_gcm_gbit():
    """AES-128-GCM on one core, at the size of a QUIC packet."""
    needs("openssl")
    done = subprocess.run(["openssl", "speed", "-elapsed", "-seconds", "1", "-bytes", "1452", "-mr",
                           "-evp", "aes-128-gcm"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("+F:"):
            return float(line.split(":")[-1]) * 8 / 1e9
    raise Failed(f"openssl speed gave no figure: {done.stdout[-300:]}{done.stderr[-300:]}")


def sha256sum(folder):
    """Seconds to hash every file below `folder` with one process."""
    began = time.monotonic()
    done = subprocess.run(f"find '{folder}' -type f -print0 | xargs -0 sha256sum >/dev/null",
                          shell=True, check=False)
    if done.returncode != 0:
        raise Failed("sha256sum failed")
    return time.monotonic() - began


class RsyncDaemon:
    """An rsync daemon on loopback that serves one folder."""

    def __init__(self, place, source):
        needs("rsync")
        self.place, self.source, self.port = place, source, free_port()
        self.process = None

    def __enter__(self):
        self.place.mkdir(parents=True)
        config = self.place / "rsyncd.conf"
        identity = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
        config.write_text(f"{identity}use chroot = no\nlog file = {self.place}/log\n"
                          f"[bench]\npath = {self.source}\nread only = yes\n")
        self.process = start(["rsync", "--daemon", "--no-detach", "--address=127.0.0.1",
                              f"--port={self.port}", f"--config={config}"])
        wait_for(lambda: listening(self.port), "the rsync daemon")
        return self

    def __exit__(self, *_):
        stop(self.process)

    def fetch(self, target):
        """Seconds to fetch everything into the new folder `target`."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        seconds = timed(["rsync", "-a", f"rsync://127.0.0.1:{self.port}/bench/", f"{target}/"])
        shutil.rmtree(target)
        return seconds


class TorrentSeed:
    """A BitTorrent client (libtorrent) that serves one folder, and others that fetch it."""

    # The system's own: libtorrent comes as a package of that one.
    WORDS = ["/usr/bin/python3", "-B", str(pathlib.Path(__file__).parent / "torrent_peer.py")]

    def __init__(self, place, source):
        done = subprocess.run([self.WORDS[0], "-c", "import libtorrent"], capture_output=True, check=False)
        if done.returncode != 0:
            raise Failed("python3-libtorrent is not installed: run scripts/setup --bench")
        self.place, self.source, self.torrent = place, source, place / "bench.torrent"
        self.process, self.port = None, None

    def __enter__(self):
        self.place.mkdir(parents=True)
        self.process = start([*self.WORDS, "seed", str(self.source), str(self.torrent)],
                             stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            raise Failed("the BitTorrent client did not start")
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.process.stdout.close()

    def fetch(self, target):
        """Seconds from the connection until everything is in the new folder `target`."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        done = subprocess.run([*self.WORDS, "fetch", str(self.torrent), self.port, str(target)],
                              capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise Failed(f"the BitTorrent client failed: {done.stderr[-500:]}")
        shutil.rmtree(target)
        return float(done.stdout)


class Syncthing:
    """One instance that talks to nobody but the addresses it is given."""

    def __init__(self, home):
        needs("syncthing")
        self.home, self.port, self.gui = home, free_port(), free_port()
        self.environment = {**os.environ, "STNODEFAULTFOLDER": "1", "STNOUPGRADE": "1",
                            "HOME": str(home), "STNORESTART": "1"}
        subprocess.run(["syncthing", "generate", "--home", str(home)], env=self.environment,
                       capture_output=True, check=True)
        self.config = tree.parse(home / "config.xml")
        self.key = self.config.find("./gui/apikey").text
        self.id = self.config.find("./device").get("id")
        self.process = None

    def configure(self, peer, folder, kind, dials):
        root = self.config.getroot()
        for name, value in {
                "listenAddress": f"tcp://127.0.0.1:{self.port}", "globalAnnounceEnabled": "false",
                "localAnnounceEnabled": "false", "relaysEnabled": "false", "natEnabled": "false",
                "urAccepted": "-1", "crashReportingEnabled": "false", "autoUpgradeIntervalH": "0",
                "startBrowser": "false", "reconnectionIntervalS": "1",
                "stunKeepaliveStartS": "0"}.items():
            for old in root.findall(f"./options/{name}"):
                root.find("./options").remove(old)
            tree.SubElement(root.find("./options"), name).text = value
        root.find("./gui/address").text = f"127.0.0.1:{self.gui}"
        for old in root.findall("./folder"):
            root.remove(old)
        device = tree.SubElement(root, "device", id=peer.id, name="peer", compression="metadata")
        tree.SubElement(device, "address").text = \
            f"tcp://127.0.0.1:{peer.port}" if dials else "dynamic"
        tree.SubElement(device, "paused").text = "true" if dials else "false"
        shared = tree.SubElement(root, "folder", id="bench", label="bench", path=str(folder),
                                 type=kind, rescanIntervalS="0", fsWatcherEnabled="false")
        tree.SubElement(shared, "device", id=self.id)
        tree.SubElement(shared, "device", id=peer.id)
        tree.SubElement(shared, "minDiskFree", unit="%").text = "0"
        self.config.write(self.home / "config.xml")

    def start(self):
        self.process = start(["syncthing", "serve", "--home", str(self.home), "--no-browser",
                              "--no-restart"], env=self.environment)
        wait_for(lambda: listening(self.gui), "Syncthing to answer")

    def call(self, path, post=False):
        request = urllib.request.Request(f"http://127.0.0.1:{self.gui}/rest/{path}",
                                         method="POST" if post else "GET",
                                         headers={"X-API-Key": self.key})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def folder_state(self):
        return self.call("db/status?folder=bench")


def syncthing(place, source):
    """Seconds from the connection of two instances until the second has everything."""
    target = place / "target"
    for folder in (source, target):
        (folder / ".stfolder").mkdir(parents=True, exist_ok=True)
    sender, receiver = Syncthing(place / "a"), Syncthing(place / "b")
    sender.configure(receiver, source, "sendonly", dials=False)
    receiver.configure(sender, target, "receiveonly", dials=True)
    sender.start()
    receiver.start()
    total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())

    def scanned(instance, size):
        state = instance.folder_state()
        return state["state"] == "idle" and state["localBytes"] >= size
    wait_for(lambda: scanned(sender, total), "Syncthing to scan", 300)
    wait_for(lambda: scanned(receiver, 0), "Syncthing to scan", 60)
    receiver.call(f"system/resume?device={sender.id}", post=True)
    wait_for(lambda: receiver.call("system/connections")["connections"][sender.id]["connected"],
             "the two to connect", 60)
    began = time.monotonic()
    wait_for(lambda: scanned(receiver, total), "Syncthing to finish", 600)
    seconds = time.monotonic() - began
    stop(receiver.process)
    stop(sender.process)
    shutil.rmtree(place)
    shutil.rmtree(source / ".stfolder")
    return seconds

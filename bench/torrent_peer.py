#!/usr/bin/python3 -B
"""One BitTorrent client (libtorrent) that talks to one other on loopback.

    torrent_peer.py seed SOURCE TORRENT     makes TORRENT of the folder SOURCE, prints its port and
                                            serves until it is ended
    torrent_peer.py fetch TORRENT PORT DIR  fetches all of it from there into DIR, prints the seconds
                                            from the connection until everything is there
"""
import os
import pathlib
import signal
import sys
import time

import libtorrent

SETTINGS = {
    # It listens first of all: on loopback, TCP, and tells nobody.
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_incoming_utp": False, "enable_outgoing_utp": False,
    # No rate is bounded, no request waits for a turn of some seconds.
    "upload_rate_limit": 0, "download_rate_limit": 0, "allow_multiple_connections_per_ip": True,
    "max_out_request_queue": 1500, "request_queue_time": 3,
    "send_buffer_watermark": 8 << 20, "send_buffer_watermark_factor": 150,
    "alert_mask": libtorrent.alert.category_t.status_notification
                  | libtorrent.alert.category_t.error_notification,
}


def handle_of(session, torrent, folder, flags):
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(str(torrent))
    parameters.save_path = str(folder)
    plain = (libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    parameters.flags = (parameters.flags & ~plain) | flags
    return session.add_torrent(parameters)


def seed(source, torrent):
    files = libtorrent.file_storage()
    libtorrent.add_files(files, str(source))
    # Version 1: one SHA-1 of each piece. Both versions at once would cost it a SHA-256 beside.
    made = libtorrent.create_torrent(files, 0, libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(made, str(source.parent))
    torrent.write_bytes(libtorrent.bencode(made.generate()))
    session = libtorrent.session(SETTINGS)
    handle_of(session, torrent, source.parent, libtorrent.torrent_flags.seed_mode)
    while session.listen_port() == 0:
        session.wait_for_alert(100)
        session.pop_alerts()
    print(session.listen_port(), flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    os._exit(0)  # There is nobody to say goodbye to.


def fetch(torrent, port, folder):
    session = libtorrent.session(SETTINGS)
    handle = handle_of(session, torrent, folder, libtorrent.torrent_flags.default_flags
                       & ~libtorrent.torrent_flags.duplicate_is_error)
    began = time.monotonic()
    handle.connect_peer(("127.0.0.1", port))
    while not handle.status().is_seeding:
        session.wait_for_alert(5)
        for alert in session.pop_alerts():
            if alert.category() & libtorrent.alert.category_t.error_notification:
                sys.exit(alert.message())
    print(time.monotonic() - began, flush=True)
    os._exit(0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    if sys.argv[1] == "seed":
        seed(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    else:
        fetch(pathlib.Path(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]))

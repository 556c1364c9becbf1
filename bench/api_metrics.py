#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A scrape of /metrics with many peers: first octet, all of it, what it does to others and to memory.

Meanwhile another client asks for one peer again and again; what it waits is what a scrape costs others.

    bench/api_metrics.py [--peers 100000] [--rounds 9] [--state DIR]
"""

import argparse
import json
import os
import shutil
import socket
import sqlite3
import statistics
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "api"))

import gateway  # noqa: E402
from gateway import netns  # noqa: E402

PORT = 9586


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--peers", type=int, default=100_000)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--state", help="where the database is put; default /var/tmp")
    return p.parse_args()


def scrape(query=""):
    """Milliseconds to the first octet and to the last, and how many octets."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as s:
        begin = time.perf_counter()
        s.sendall(f"GET /metrics{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        n = s.recv_into(buffer)
        first = time.perf_counter() - begin
        if not buffer.startswith(b"HTTP/1.1 200"):
            raise AssertionError(bytes(buffer[:n]))
        octets = n
        while n:
            n = s.recv_into(buffer)
            octets += n
        return 1000 * first, 1000 * (time.perf_counter() - begin), octets


def memory(pid, what):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith(what))


class Neighbour(threading.Thread):
    """Somebody who wants something else."""

    def __init__(self, g, key):
        super().__init__(daemon=True)
        self.gateway, self.target, self.waits, self.is_over = g, f"/api/v1/peers?limit=1&name={key}", [], False

    def run(self):
        while not self.is_over:
            begin = time.perf_counter()
            answer = self.gateway.local("GET", "/api/v1/accounts")
            self.waits.append(1000 * (time.perf_counter() - begin))
            if answer.status != 200:
                raise AssertionError(answer)
            time.sleep(0.01)


def let_all_have_used(g):
    """As if each had carried something: what was counted of a peer is kept in memory."""
    fields = struct.pack(">7Q", 1_000_000, 2_000_000, 1_000_000, 2_000_000, 0, 0, 3_000_000)
    with sqlite3.connect(f"{g.state}/culvert.db") as db:
        db.execute("INSERT INTO usage (peer_id, data) SELECT id, ? FROM peer", (fields,))
    db.close()


def run(g, options):
    g.preload(options.peers)
    let_all_have_used(g)
    g.start()
    scrape()
    time.sleep(8)  # the first look, and storing what it found
    before = memory(g.process.pid, "VmRSS")
    neighbour = Neighbour(g, "x")
    neighbour.start()
    rounds, totals = [], []
    for _ in range(options.rounds):
        rounds.append(scrape())
        totals.append(scrape("?peers=off"))
        time.sleep(1)
    neighbour.is_over = True
    neighbour.join()
    first, whole, octets = zip(*rounds)
    waits = sorted(neighbour.waits)
    return {
        "peers": options.peers, "MB": round(octets[0] / 1e6, 1),
        "first octet ms, median and max": [round(statistics.median(first), 1), round(max(first), 1)],
        "whole ms, median and max": [round(statistics.median(whole)), round(max(whole))],
        "peers=off ms, median and max": [round(statistics.median(t[1] for t in totals), 1), round(max(t[1] for t in totals), 1)],
        "neighbour ms, median, p99 and max": [round(w, 1) for w in (waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1])],
        "gateway RSS MiB before and peak": [before, memory(g.process.pid, "VmHWM")],
    }


def main():
    options = arguments()
    netns.sandbox()
    state = tempfile.mkdtemp(prefix="culvert-bench-", dir=options.state or "/var/tmp")
    with open("/run/bench.log", "w") as log:
        g = gateway.Gateway(log, state=state, extra=("--subnet4", "10.64.0.0/14", "--subnet6", "fd42:4242:1::/64",
                                                     "--listen-metrics", f"http://127.0.0.1:{PORT}"))
        try:
            print(json.dumps(run(g, options), indent=2))
        finally:
            g.close()
            shutil.rmtree(state, ignore_errors=True)


main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Access lists for many peers: what one more costs, and how long everything takes anew.

    [edge]  a whole gateway, asked over its local socket; no traffic
"""

import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
from test_host import Gateway

FEW = 100
FIRST = 10000  # of those that the database gets; the addresses below are for those that are made
LISTS = 20


class Local(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)

    def ask(self, method, target, body=None):
        self.request(method, target, json.dumps(body) if body is not None else None)
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise AssertionError(f"{method} {target}: {answer.status} {text!r}")
        return json.loads(text)


def key(n):
    return hashlib.sha256(b"peer %d" % n).digest()


class Scale(suite.NetTest):
    def setUp(self):
        super().setUp()
        os.chmod("/run", 0o755)
        self.state = f"/run/state-{id(self)}"
        self.addCleanup(lambda: shutil.rmtree(self.state, ignore_errors=True))
        self.edge = self.net.namespace("edge")
        self.made = 0

    def start(self):
        began = time.monotonic()
        gateway = Gateway(self.edge, self.state, "--endpoint", "192.0.2.1", "--subnet4", "10.64.0.0/12", program=None)
        self.addCleanup(gateway.process.kill)
        gateway.ready()
        return gateway, time.monotonic() - began

    def local(self):
        return Local(f"{self.state}/gateway.sock")

    def insert(self, first, n, lists):
        """Peers as the database has them, while no gateway runs."""
        now = time.time_ns()
        first4, first6 = (10 << 24 | 64 << 16) + 2, (0xfd42_4242_0001 << 80) + 2
        with sqlite3.connect(f"{self.state}/culvert.db") as db:
            db.executemany("INSERT INTO peer (id, interface_id, public_key, status, families, port, dns, created_ns, changed_ns,"
                           " access_id) VALUES (?, 1, ?, 1, 3, 51820, 'd1', ?, ?, ?)",
                           ((i + 1, key(i), now, now, lists[i % len(lists)]) for i in range(first, n)))
            db.executemany("INSERT INTO address (interface_id, ip, peer_id) VALUES (1, ?, ?)",
                           (row for i in range(first, n) for row in (((first4 + i).to_bytes(4, "big"), i + 1),
                                                                     ((first6 + i).to_bytes(16, "big"), i + 1))))
        db.close()

    def create(self, connection, access):
        self.made += 1
        name = f"made {self.made} {os.urandom(6).hex()}"
        return connection.ask("POST", "/api/v1/peers", {"name": name, "access": access, "generate": True})["addresses"]

    def one_create_ms(self, access, times=30):
        """The median, beside that of the same without a list: what others do here falls on both."""
        c, with_list, without = self.local(), [], []
        for i in range(2 * times):
            began = time.monotonic()
            self.create(c, access if i % 2 else None)
            (with_list if i % 2 else without).append((time.monotonic() - began) * 1000)
        return statistics.median(with_list), statistics.median(without)

    def members(self):
        """How many addresses have a list, as nft counts them."""
        for letter in "ab":
            shown = self.edge.run("nft", "list", "table", "inet", f"culvert_wg0/lists-{letter}", check=False)
            if shown.returncode == 0:
                return shown.stdout.count(" : 0x")
        return 0

    def test_lists_for_many_peers_cost_what_they_cost_for_few(self):
        many = suite.scaled(5000, 100000)
        gateway, _ = self.start()
        c = self.local()
        lists = [c.ask("POST", "/api/v1/access", {"name": f"l{i}", "rules": [{"to": f"10.{i}.0.0/16", "protocol": "tcp"}]})["id"]
                 for i in range(LISTS)]
        for i in range(FEW):
            self.create(c, lists[i % LISTS])
        few, bare = self.one_create_ms(lists[0])
        print(f"# one create among {FEW}: {few:.2f} ms, without a list {bare:.2f} ms", flush=True)
        before = self.members()
        self.assertEqual(before, 2 * (FEW + (self.made - FEW) // 2))
        gateway.end()
        self.insert(FIRST, FIRST + many, lists)
        gateway, took = self.start()
        print(f"# {many} peers with lists: ready {took:.2f} s after the start", flush=True)
        self.assertEqual(self.members(), before + 2 * many)
        more, bare = self.one_create_ms(lists[0])
        print(f"# one create among {many}: {more:.2f} ms, without a list {bare:.2f} ms, ratio {more / few:.2f}", flush=True)
        self.assertLess(more, 1.5 * bare + 1)
        self.many_creates(lists)
        self.killed(gateway, lists, many)
        self.assertEqual(gateway.end(patience=60), 0, gateway.errors())

    def many_creates(self, lists):
        wanted, workers = suite.scaled(200, 5000), 16
        before, began = self.members(), time.monotonic()

        def some(worker):
            c = self.local()
            for i in range(wanted // workers):
                self.create(c, lists[(worker + i) % LISTS])

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(some, range(workers)))
        took, n = time.monotonic() - began, wanted // workers * workers
        print(f"# {n / took:.0f} creates with a list a second", flush=True)
        self.assertEqual(self.members(), before + 2 * n)

    def killed(self, gateway, lists, many):
        """The rules stay in force, and the next process puts all of them in their place."""
        pid = gateway.process.pid
        before = self.members()
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if "gateway-serve" in pathlib.Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), signal.SIGKILL)
        began = time.monotonic()

        def serves():
            try:
                return self.create(self.local(), lists[0])
            except (OSError, http.client.HTTPException):
                return None

        self.soon(serves, "the gateway again", 120)
        print(f"# {many} peers with lists: serves {time.monotonic() - began:.2f} s after a kill", flush=True)
        self.assertEqual(self.members(), before + 2)


if __name__ == "__main__":
    suite.main()

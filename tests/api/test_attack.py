#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a stranger on the wire tries: everything once more, and to keep every connection busy.

CULVERT_SOAK: 10 000 changes sent again instead of 600; the others' p99 is judged, not only printed.
"""

import http.client
import json
import multiprocessing
import os
import random
import socket
import sqlite3
import threading
import time

from gateway import ApiTest, new_key, suite

SOAK = bool(os.environ.get("CULVERT_SOAK"))
C, PEERS = "/api/v1/configurations/", "/api/v1/peers"
WORKERS = 6


class Recorded:
    """A request as it went over the wire: method, target, body, headers."""

    def __init__(self, g, n):
        key, timestamp, nonce = new_key(n), str(int(time.time())), os.urandom(8).hex()
        if n % 2:  # the contract, version 1
            self.method, self.target, body = "POST", C, {"public_key": key}
        else:
            self.method, self.target, body = "POST", PEERS, {"public_key": key, "name": f"peer{n}"}
        self.body = json.dumps(body).encode()
        if n % 2:
            self.headers = {"timestamp": timestamp, "signature": g.sign(self.body, timestamp)}
        else:
            self.headers = {"timestamp": timestamp, "X-Nonce": nonce, "X-Signature-Version": "2",
                            "signature": g.sign_v2(self.method, self.target, timestamp, nonce, self.body)}


class Replay(ApiTest):
    extra = ("--subnet4", "10.64.0.0/14", "--rest", "0")
    env = {"MAX_TIMESTAMP_DIFF": "300"}

    def each(self, requests, check):
        """Send them all, over a few connections at once."""
        wrong = []

        def work(mine):
            c = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
            for r in mine:
                c.request(r.method, r.target, r.body, r.headers)
                answer = c.getresponse()
                answer.read()
                if not check(answer.status):
                    wrong.append((answer.status, r.method, r.target))
            c.close()

        threads = [threading.Thread(target=work, args=(requests[i::WORKERS],)) for i in range(WORKERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong[:5], [])

    def state(self):
        with sqlite3.connect(f"file:{self.gateway.state}/culvert.db?mode=ro", uri=True) as db:
            return db.execute("SELECT id, public_key, name, status, changed_ns FROM peer ORDER BY id").fetchall()

    def test_no_recorded_change_is_carried_out_again_not_even_across_a_kill(self):
        n = 10000 if SOAK else 600
        print(f"# scale: {n} changes (soak: 10000)")
        requests = [Recorded(self.gateway, i) for i in range(n)]
        self.each(requests, lambda status: status in (200, 201))
        before = self.state()
        self.assertEqual(len(before), n)
        # Peers that are gone could come back by a replay: a third of them goes.
        for row in [row for row in before if row[2]][:200]:
            self.is_(self.gateway.local("DELETE", f"{PEERS}/{row[2]}"), 200)
        before = self.state()
        random.shuffle(requests)
        self.each(requests[: n // 2], lambda status: status == 401)
        self.assertEqual(self.state(), before)
        self.gateway.kill()
        self.gateway.start()
        self.each(requests, lambda status: status == 401)
        self.assertEqual(self.state(), before)


class Slow(ApiTest):
    CONNECTIONS = 2000

    def open(self, kind):
        s = socket.create_connection(("127.0.0.1", self.gateway.port))
        s.setblocking(False)
        target = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"
        # As a caller's that has the secret would begin: only the whole body shows that it has not.
        body = b"POST %s HTTP/1.1\r\nHost: x\r\ntimestamp: %d\r\nsignature: %s\r\nContent-Length: 4000\r\n\r\n" % (
            C.encode(), time.time(), b"0" * 64)
        return s, {"head": target + b"X-Filler: " + b"a" * 4000, "body": body + b"a" * 4000,
                   "nothing": b"", "reader": (target + b"\r\n") * 40}[kind]

    def attack(self, attacking, stop, cut_off):
        """Octet by octet, or not at all, or asking and never reading. Whoever is cut off comes again."""
        kinds = ("head", "body", "nothing", "reader")
        cells = [[*self.open(kinds[i % 4]), 0] for i in range(self.CONNECTIONS)]
        attacking.set()
        while not stop.is_set():
            for i, cell in enumerate(cells):
                s, data, at = cell
                try:
                    if i % 4 == 3:
                        cell[2] = (at + s.send(data[at:])) % len(data)
                    elif data:
                        s.send(data[at:at + 1])
                        cell[2] = at + 1
                    elif s.recv(1) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    s.close()
                    cut_off.value += 1
                    try:
                        cells[i] = [*self.open(kinds[i % 4]), 0]
                    except OSError:
                        pass
            stop.wait(0.2)
        for s, _, _ in cells:
            s.close()

    def test_a_good_client_is_served_beside_2_000_slow_ones(self):
        attacking, stop, cut_off = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Value("i", 0)
        attacker = multiprocessing.Process(target=self.attack, args=(attacking, stop, cut_off), daemon=True)
        attacker.start()
        self.assertTrue(attacking.wait(30))
        took, end = [], time.monotonic() + (60 if SOAK else 15)
        try:
            while time.monotonic() < end:
                began = time.monotonic()
                self.is_(self.gateway.signed("GET", "/api/v1/server/status"), 200)
                took.append(time.monotonic() - began)
                time.sleep(0.02)
        finally:
            stop.set()
            attacker.join()
        took.sort()
        p99 = took[len(took) * 99 // 100]
        print(f"# {len(took)} requests: median {took[len(took) // 2] * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms,"
              f" worst {took[-1] * 1e3:.1f} ms; {cut_off.value} times a slow one was cut off")
        self.assertGreater(len(took), 50)
        if SOAK:
            self.assertLessEqual(p99, 0.1)
        self.is_(self.gateway.signed("GET", "/api/v1/server/status"), 200)


if __name__ == "__main__":
    suite.main()

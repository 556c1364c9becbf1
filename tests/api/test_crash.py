#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: what was acknowledged is there, nothing is held twice.

CULVERT_CRASHES sets the count and CULVERT_CRASH_PEERS how many other peers are present;
CULVERT_SOAK asks for 500 and 50 000.
"""

import base64
import hashlib
import os
import random
import sqlite3
import subprocess
import threading
import time

import gateway
import pgserver
from gateway import ApiTest, netns, new_key, suite, tunnel

C = "/api/v1/configurations/"
WORKERS = 8
CONNECTING = 24  # peers whose private key the test has


class Ledger:
    """What the clients were told. Each key belongs to one worker, so nothing is ambiguous but
    the one request of each that the kill cut off."""

    def __init__(self):
        self.acknowledged = {}  # key: addresses, or None when deleted
        self.unsure = {}  # key: what it may also be


class Crash(ApiTest):
    extra = ("--subnet4", "10.64.0.0/14", "--rest", "0")

    def work(self, g, ledger, worker, draw, first):
        n, mine = first, []
        while True:
            delete = mine and draw.random() < 0.25
            if delete:
                key = mine.pop(draw.randrange(len(mine)))
            elif self.real[worker] and draw.random() < 0.02:
                key = self.real[worker].pop()
            else:
                key = new_key(worker << 32 | n)
                n += 1
            ledger.unsure[worker] = key
            try:
                if delete:
                    answer = g.signed("DELETE", C + key.replace("/", "_").replace("+", "-"))
                    assert answer.status == 200, answer
                    ledger.acknowledged[key] = None
                else:
                    answer = g.create(key, tunnel_traffic=["ipv4", "ipv6"])
                    assert answer.status == 200 and answer.json["status"] == "created", answer
                    ledger.acknowledged[key] = {answer.json["assigned_ip"] + "/32",
                                                answer.json["assigned_ipv6"] + "/128"}
                    if key not in self.private:
                        mine.append(key)
            except OSError:
                self.next[worker] = n
                return
            except Exception as error:  # not a cut connection: a wrong answer
                self.wrong.append(error)
                return
            del ledger.unsure[worker]

    def check(self, g, ledger):
        everybody, unsure = g.on_device(), set(ledger.unsure.values())
        self.assertLessEqual(self.others, set(everybody))
        there = {k: v for k, v in everybody.items() if k not in self.others}
        lost = [k for k, v in ledger.acknowledged.items() if v and k not in unsure and there.get(k) != v]
        back = [k for k, v in ledger.acknowledged.items() if v is None and k not in unsure and k in there]
        strange = [k for k in there if k not in ledger.acknowledged and k not in unsure]
        addresses = [a for v in everybody.values() for a in v]
        self.assertEqual((lost, back, strange), ([], [], []))
        self.assertEqual(len(addresses), len(set(addresses)), "an address twice")
        self.assertEqual(self.stored(g), len(everybody))
        # From here on the cut off requests are what they became.
        for key in unsure:
            ledger.acknowledged[key] = there.get(key)
        ledger.unsure.clear()

    def preload(self, g, n):
        return g.preload(n)

    def stored(self, g):
        """How many peers the database has, which must be whole."""
        with sqlite3.connect(f"file:{g.state}/culvert.db?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            n = db.execute("SELECT count(*) FROM peer").fetchone()[0]
        db.close()
        return n

    def between(self, crash):
        """After the kill, before the next start."""

    def test_kills_under_load_lose_nothing_acknowledged(self):
        crashes = int(os.environ.get("CULVERT_CRASHES") or (500 if suite.SOAK else 20))
        print(f"# scale: {crashes} kills, full 500")
        seed = int(os.environ.get("CULVERT_SEED") or random.randrange(1 << 32))
        print(f"# seed {seed}", flush=True)
        g, ledger, draw = self.gateway, Ledger(), random.Random(seed)
        self.wrong, self.next = [], {w: 0 for w in range(WORKERS)}
        self.private = {public: private for private, public in (tunnel.keypair() for _ in range(CONNECTING))}
        self.real = {w: list(self.private)[w::WORKERS] for w in range(WORKERS)}
        peers = int(os.environ.get("CULVERT_CRASH_PEERS") or (50000 if suite.SOAK else 2000))
        print(f"# scale: {peers} other peers, full 50000", flush=True)
        g.stop()
        self.others = self.preload(g, peers)
        g.start()
        slowest = 0
        for crash in range(crashes):
            workers = [threading.Thread(target=self.work, args=(g, ledger, w, random.Random(draw.random()), self.next[w]))
                       for w in range(WORKERS)]
            for t in workers:
                t.start()
            time.sleep(draw.uniform(0.01, 0.5))
            g.kill()
            for t in workers:
                t.join(30)
            self.assertEqual(self.wrong, [])
            if crash % 5 == 4:  # the tunnel too
                g.stop_device()
                g.start_device()
            self.between(crash)
            started = time.monotonic()
            g.start()
            slowest = max(slowest, time.monotonic() - started)
            self.check(g, ledger)
        present = sum(v is not None for v in ledger.acknowledged.values())
        print(f"# {len(ledger.acknowledged)} keys, {present} present at the end, slowest start {slowest:.2f} s")
        self.assertGreater(present, crashes)
        self.connect([k for k in self.private if ledger.acknowledged.get(k)])

    def connect(self, keys):
        """Every one of these peers must be able to shake hands."""
        netns.run("ip", "link", "set", "wg0", "up")
        client = tunnel.Device(gateway.Here(), "wg1", "culvert", log=self.log)
        self.addCleanup(client.process.kill)
        netns.run("ip", "link", "set", "wg1", "up")
        for key in keys:
            client.uapi(f"set=1\nprivate_key={tunnel.hexkey(self.private[key])}\nreplace_peers=true\n"
                        f"public_key={tunnel.hexkey(self.gateway.public)}\nendpoint=127.0.0.1:51820\n"
                        "persistent_keepalive_interval=1\nallowed_ip=10.99.0.0/16\n\n")
            self.soon(lambda: int(netns.run("wg", "show", "wg1", "latest-handshakes").stdout.split()[1]),
                      f"a handshake of {key}")
        print(f"# {len(keys)} of them connected")
        self.assertGreater(len(keys), 3)


class CrashOnPostgres(Crash):
    """The same with PostgreSQL, which is killed too every fourth time."""

    def make(self, **options):
        if pgserver.why_not():
            self.skipTest(pgserver.why_not())
        self.server = pgserver.Server(self.log)
        self.addCleanup(subprocess.run, ["rm", "-rf", "/run/pg"], check=True)
        self.addCleanup(self.server.close)
        return super().make(extra=(*self.extra, "--store", "postgres", "--database", self.server.conninfo), **options)

    def preload(self, g, n):
        """As Gateway.preload(): the same keys and addresses."""
        g.start()
        g.stop()
        self.server.psql(
            "INSERT INTO culvert.peer (interface_id, public_key, status, families, port, dns, level, expires_ns,"
            " quota_bytes, quota_period, rate_bps, keepalive_s, blocked, created_ns, changed_ns)"
            " SELECT i.id, sha256(convert_to('preloaded ' || n, 'UTF8')), 1, 3, 51820, 'd1', 'off', 0, 0, 0, 0, 25, 0, 1, 1"
            f" FROM culvert.interface i, generate_series(0, {n - 1}) n ORDER BY n;"
            "INSERT INTO culvert.address (interface_id, ip, peer_id)"
            " SELECT interface_id, decode(ip, 'hex'), id FROM (SELECT interface_id, id, row_number() OVER (ORDER BY id) + 1"
            " AS n FROM culvert.peer) p, LATERAL (VALUES ('0a4' || lpad(to_hex(n), 5, '0')),"
            " ('fd42424200010000' || lpad(to_hex(n), 16, '0'))) a (ip)")
        return {base64.b64encode(hashlib.sha256(b"preloaded %d" % i).digest()).decode() for i in range(n)}

    def stored(self, g):
        return int(self.server.psql("SELECT count(*) FROM culvert.peer")[0][0])

    def between(self, crash):
        if crash % 4 == 3:
            self.server.kill()
            self.server.start()


if __name__ == "__main__":
    suite.main()

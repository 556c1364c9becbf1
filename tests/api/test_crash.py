#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: what was acknowledged is there, nothing is held twice.

CULVERT_CRASHES sets the count; CULVERT_SOAK asks for 200.
"""

import os
import random
import sqlite3
import threading
import time

from gateway import ApiTest, new_key, suite

C = "/api/v1/configurations/"
WORKERS = 8


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
                    mine.append(key)
            except OSError:
                self.next[worker] = n
                return
            except Exception as error:  # not a cut connection: a wrong answer
                self.wrong.append(error)
                return
            del ledger.unsure[worker]

    def check(self, g, ledger):
        there, unsure = g.on_device(), set(ledger.unsure.values())
        lost = [k for k, v in ledger.acknowledged.items() if v and k not in unsure and there.get(k) != v]
        back = [k for k, v in ledger.acknowledged.items() if v is None and k not in unsure and k in there]
        strange = [k for k in there if k not in ledger.acknowledged and k not in unsure]
        addresses = [a for v in there.values() for a in v]
        self.assertEqual((lost, back, strange), ([], [], []))
        self.assertEqual(len(addresses), len(set(addresses)), "an address twice")
        with sqlite3.connect(f"file:{g.state}/culvert.db?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            self.assertEqual(db.execute("SELECT count(*) FROM peer").fetchone()[0], len(there))
        db.close()
        # From here on the cut off requests are what they became.
        for key in unsure:
            ledger.acknowledged[key] = there.get(key)
        ledger.unsure.clear()

    def test_kills_under_load_lose_nothing_acknowledged(self):
        crashes = int(os.environ.get("CULVERT_CRASHES") or (200 if suite.SOAK else 12))
        print(f"# scale: {crashes} kills, full 200")
        seed = int(os.environ.get("CULVERT_SEED") or random.randrange(1 << 32))
        print(f"# seed {seed}", flush=True)
        g, ledger, draw = self.gateway, Ledger(), random.Random(seed)
        self.wrong, self.next = [], {w: 0 for w in range(WORKERS)}
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
            started = time.monotonic()
            g.start()
            slowest = max(slowest, time.monotonic() - started)
            self.check(g, ledger)
        present = sum(v is not None for v in ledger.acknowledged.values())
        print(f"# {len(ledger.acknowledged)} keys, {present} present at the end, slowest start {slowest:.2f} s")
        self.assertGreater(present, crashes)


if __name__ == "__main__":
    suite.main()

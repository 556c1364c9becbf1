#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lives of peers: expiry, hours, accounts, quotas with real traffic, counters that survive.

    wgc0 (a client, a culvert device) ── UDP on lo ── wg0 (the gateway's device)
"""

import json
import http.client
import socket
import sqlite3
import time

import gateway
from gateway import ApiTest, netns, new_key, suite, tunnel

import client_file  # of tests/net, which gateway.py has put in reach

PEERS, ACCOUNTS, AUDIT = "/api/v1/peers", "/api/v1/accounts", "/api/v1/audit"


def in_seconds(n):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + n))


class LifeTest(ApiTest):
    def create(self, name, **members):
        answer = self.gateway.local("POST", PEERS, {"name": name, **members})
        self.is_(answer, 201)
        return answer.json

    def patch(self, which, **members):
        answer = self.gateway.local("PATCH", f"{PEERS}/{which}", members)
        self.is_(answer, 200)
        return answer.json

    def show(self, name):
        return self.gateway.local("GET", f"{PEERS}/{name}").json

    def on(self, key):
        return key in self.gateway.on_device()

    def actions(self):
        return [(r["action"], r["who"]) for r in self.gateway.local("GET", AUDIT).json["audit"]]


class Limits(LifeTest):
    def test_a_peer_expires_when_its_time_has_come(self):
        key = new_key(1)
        self.create("a", public_key=key, expires=in_seconds(3))
        tag = self.gateway.local("GET", f"{PEERS}/a").headers["ETag"]
        self.assertTrue(self.on(key))
        self.soon(lambda: not self.on(key), "the peer to go", 6)
        self.assertEqual((self.show("a")["blocked"], self.show("a")["enabled"]), (["expired"], True))
        self.assertIn(("peer.expire", "gateway"), self.actions())
        self.gateway.kill()
        self.gateway.start()
        # Nobody has set it anew: whoever saw it before may change it still.
        self.assertEqual(self.show("a")["changed"], self.show("a")["created"])
        self.assertEqual(self.gateway.local("GET", f"{PEERS}/a").headers["ETag"], tag)
        self.patch("a", expires=in_seconds(3600))
        self.soon(lambda: self.on(key), "the peer to come back", 3)
        self.assertEqual(self.show("a")["blocked"], [])

    def test_a_peer_expires_although_the_store_was_locked_then(self):
        key = new_key(1)
        self.create("a", public_key=key, expires=in_seconds(2))
        with sqlite3.connect(f"{self.gateway.state}/culvert.db", isolation_level=None) as db:
            db.execute("BEGIN IMMEDIATE")
            self.soon(lambda: "cannot be blocked" in self.logged(), "the refusal to be logged", 15)
            db.execute("ROLLBACK")
        db.close()
        self.soon(lambda: not self.on(key), "the peer to go", 12)

    def test_who_expired_while_nobody_looked_is_not_let_in(self):
        key = new_key(1)
        self.create("a", public_key=key, expires=in_seconds(2))
        self.gateway.kill()
        time.sleep(2.5)
        self.gateway.start()
        self.soon(lambda: self.show("a")["blocked"] == ["expired"], "the peer to be blocked", 3)
        self.assertFalse(self.on(key))

    def test_hours_are_kept(self):
        now = time.gmtime()
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        other = days[(now.tm_wday + 3) % 7]
        key = new_key(1)
        self.create("a", public_key=key, schedule=f"{other} 00:00-24:00")
        self.soon(lambda: not self.on(key), "the peer to go", 3)
        self.assertEqual(self.show("a")["blocked"], ["schedule"])
        self.patch("a", schedule="mon-sun")
        self.soon(lambda: self.on(key), "the peer to come", 3)

    def test_an_account_that_is_switched_off_takes_its_peers_along(self):
        g = self.gateway
        account = g.local("POST", ACCOUNTS, {"name": "acme"}).json["id"]
        keys = [new_key(n) for n in range(1, 6)]
        for n, key in enumerate(keys):
            self.create(f"p{n}", public_key=key, account=account if n < 4 else None)
        self.is_(g.local("PATCH", f"{ACCOUNTS}/{account}", {"enabled": False}), 200)
        self.soon(lambda: set(g.on_device()) == {keys[4]}, "its peers to go", 3)
        self.is_(g.local("PATCH", f"{ACCOUNTS}/{account}", {"enabled": True}), 200)
        self.soon(lambda: set(g.on_device()) == set(keys), "its peers to come back", 3)

    def test_a_suspended_peer_stays_away_whatever_else_changes(self):
        key = new_key(1)
        self.create("a", public_key=key, enabled=False, expires=in_seconds(2))
        self.assertFalse(self.on(key))
        self.soon(lambda: self.show("a")["blocked"] == ["expired"], "it to expire", 5)
        self.patch("a", expires=None)
        self.soon(lambda: self.show("a")["blocked"] == [], "it to be let in", 3)
        self.assertFalse(self.on(key))


class Traffic(LifeTest):
    extra = ("--endpoint", "127.0.0.1")

    def setUp(self):
        super().setUp()
        netns.run("ip", "link", "set", "wg0", "up")

    def connect(self, made):
        device = tunnel.Device(gateway.Here(), "wgc0", "culvert", log=self.log)
        self.addCleanup(device.process.kill)
        device.uapi(client_file.uapi(made["configuration"]))
        netns.run("ip", "address", "add", made["addresses"][0], "dev", "wgc0")
        netns.run("ip", "link", "set", "wgc0", "up")
        netns.run("ip", "route", "add", "198.18.0.0/24", "dev", "wgc0")
        return device

    def send(self, n, size=1000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(n):
                s.sendto(bytes(size), ("198.18.0.1", 9))
                time.sleep(0.001)

    def events(self, key):
        c = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        c.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {key}"})
        self.addCleanup(c.close)
        return c.getresponse()

    def next_event(self, stream):
        """(event, data) of the next one."""
        event = None
        while True:
            name, _, value = stream.readline().decode().strip().partition(": ")
            if name == "event":
                event = value
            if name == "data":
                return event, json.loads(value)

    def passed(self):
        """Octets that the tunnel has let through."""
        return json.loads(netns.run("ip", "-j", "-s", "link", "show", "wg0").stdout)[0]["stats64"]["rx"]["bytes"]

    def test_a_quota_cuts_off_and_a_greater_one_lets_in_again(self):
        made = self.create("a", generate=True, quota={"bytes": 200_000, "period": "month"})
        self.connect(made)
        self.send(60)
        self.soon(lambda: self.show("a")["rx_bytes"] > 50_000, "the traffic to be counted", 8)
        self.assertEqual(self.show("a")["blocked"], [])
        self.send(400)
        self.soon(lambda: self.show("a")["blocked"] == ["quota"], "the peer to be blocked", 10)
        used, passed = self.show("a")["rx_bytes"], self.passed()
        self.assertGreater(passed, 150_000)
        self.assertLess(passed, 200_000 + 65_536)
        self.assertFalse(self.on(made["public_key"]))
        self.assertIn(("peer.quota", "gateway"), self.actions())
        self.patch("a", quota={"bytes": 10**9, "period": "month"})
        self.soon(lambda: self.on(made["public_key"]), "the peer to come back", 3)
        allowed = self.passed()
        self.soon(lambda: self.send(20) or self.passed() > allowed + 50_000, "traffic again", 40)
        self.soon(lambda: self.show("a")["rx_bytes"] > used, "it to be counted", 8)

    def test_counters_survive_the_gateway_and_the_tunnel(self):
        made = self.create("a", generate=True)
        self.connect(made)
        self.send(100)
        self.soon(lambda: self.show("a")["rx_bytes"] > 100_000, "the traffic to be counted", 8)
        before = self.show("a")["rx_bytes"]
        time.sleep(7)  # a look, and its storing
        self.gateway.kill()
        self.gateway.restart_device()
        self.gateway.start()
        netns.run("ip", "link", "set", "wg0", "up")
        self.assertGreaterEqual(self.show("a")["rx_bytes"], before)
        self.soon(lambda: self.send(20) or self.show("a")["rx_bytes"] > before + 50_000, "more of it", 40)

    def test_what_was_used_last_is_kept_by_a_gateway_that_is_told_to_stop(self):
        made = self.create("a", generate=True)
        self.connect(made)
        self.send(100)
        self.soon(lambda: self.show("a")["rx_bytes"] > 100_000, "the traffic to be counted", 8)
        time.sleep(2)  # what was seen then is not fresh any more
        self.send(100)
        self.soon(lambda: self.gateway.transfer() > 205_000, "more of it to arrive", 8)
        used = self.gateway.transfer()
        self.assertEqual(self.gateway.stop(), 0)
        self.gateway.restart_device()
        self.gateway.start()
        self.assertGreaterEqual(self.show("a")["rx_bytes"], used)

    def test_who_connects_is_told(self):
        key = self.gateway.local("POST", "/api/v1/keys", {"name": "r", "role": "reader"}).json["key"]
        made = self.create("a", generate=True)
        time.sleep(6)  # the first look tells nothing
        stream = self.events(key)
        self.connect(made)
        self.send(3)
        event, told = self.next_event(stream)
        self.assertEqual(event, "peer.connected")
        self.assertEqual((told["name"], told["endpoint"].split(":")[0]), ("a", "127.0.0.1"))

    def test_a_configuration_in_two_places_is_told_once_it_has_come_back_twice(self):
        key = self.gateway.local("POST", "/api/v1/keys", {"name": "r", "role": "reader"}).json["key"]
        netns.run("ip", "address", "add", "198.51.100.7/32", "dev", "lo")
        self.addCleanup(netns.run, "ip", "address", "delete", "198.51.100.7/32", "dev", "lo")
        made = self.create("a", generate=True)
        text = client_file.uapi(made["configuration"])
        server = next(line for line in text.splitlines() if line.startswith("public_key="))
        port = next(line for line in text.splitlines() if line.startswith("endpoint=")).rpartition(":")[2]
        time.sleep(6)  # the first look tells nothing
        stream = self.events(key)
        device = self.connect(made)
        seen = []
        # On this host the way to an address of its own starts at that very address.
        for place in ("127.0.0.1", "198.51.100.7", "127.0.0.1", "198.51.100.7"):
            device.uapi(f"set=1\n{server}\nendpoint={place}:{port}\n\n")
            self.send(3)
            seen.append(self.next_event(stream))
            self.assertEqual(seen[-1][1]["endpoint"].split(":")[0], place)
        self.assertEqual([event for event, _ in seen], ["peer.connected"] + 3 * ["peer.endpoint_changed"])
        event, told = self.next_event(stream)
        self.assertEqual((event, told["name"]), ("peer.shared", "a"))


if __name__ == "__main__":
    suite.main()

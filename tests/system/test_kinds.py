#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a gateway does with its interface, whoever serves that: peers from the API with a real client, their
limits, and what becomes of changes that somebody else makes. tests/lab/test_kernel_iface.py runs it again
for an interface of the kernel's WireGuard. test_gateway.py draws the topology.
"""

import http.client
import json
import os
import pathlib
import re
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
import tunnel
from test_gateway import WholeTest
from test_host import Gateway

PEERS = "/api/v1/peers"
SEEN_S = 2.0  # until a change by somebody else is seen and taken back
CUT_S = 10.0  # until a peer over its quota is cut off


class Local(http.client.HTTPConnection):
    """The API on the gateway's own socket."""

    def __init__(self, state):
        super().__init__("localhost", timeout=30)
        self._path = f"{state}/gateway.sock"

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


class KindTest(WholeTest):
    patience = 1.0  # how many times longer than it should an answer may take here

    def api(self, method, path, body=None, expect=200):
        c = Local(self.state)
        c.request(method, path, None if body is None else json.dumps(body))
        response = c.getresponse()
        text = response.read().decode()
        c.close()
        self.assertEqual(response.status, expect, text)
        return json.loads(text) if text.startswith(("{", "[")) else text

    def create(self, name, **members):
        return self.api("POST", PEERS, {"name": name, **members}, 201)

    def patch(self, name, **members):
        return self.api("PATCH", f"{PEERS}/{name}", members)

    def wg(self, *words, **options):
        return self.edge.output("wg", *words, **options)

    def on(self, key):
        return key in self.wg("show", "wg0", "peers").split()

    def allowed(self):
        """{key: prefixes} of the interface."""
        lines = (line.split("\t") for line in self.wg("show", "wg0", "allowed-ips").splitlines())
        return {key: sorted(prefixes.split()) for key, prefixes in lines}

    def within(self, condition, what, seconds):
        began = time.monotonic()
        self.soon(condition, what, seconds * self.patience)
        print(f"# {what}: {time.monotonic() - began:.2f} s", flush=True)

    def metric(self, name):
        found = re.search(rf"^{name}(?:{{[^}}]*}})? (\d+)", self.api("GET", "/metrics"), re.M)
        return int(found[1]) if found else None


class Peers(KindTest):
    def test_a_peer_of_the_api_connects_is_suspended_and_comes_back(self):
        gateway = self.start()
        made = self.create("phone", generate=True)
        self.connect(made["configuration"])
        self.reaches("10.0.1.1", "198.51.100.2", "2001:db8:2::2")
        self.patch("phone", enabled=False)
        self.assertFalse(self.on(made["public_key"]))
        self.assertFalse(self.pings(self.client, "10.0.1.1", timeout=1))
        self.patch("phone", enabled=True)
        self.reaches("10.0.1.1", timeout=30)
        self.soon(lambda: self.api("GET", f"{PEERS}/phone")["rx_bytes"] > 0, "its octets to be counted", 20)
        self.api("DELETE", f"{PEERS}/phone")
        self.assertFalse(self.on(made["public_key"]))
        self.assertEqual(gateway.end(), 0, gateway.errors())

    def test_a_peer_that_uses_up_its_quota_is_cut_off_in_time(self):
        gateway = self.start()
        made = self.create("phone", generate=True, quota={"bytes": 300_000, "period": "month"})
        self.connect(made["configuration"])
        self.reaches("10.0.1.1")
        with self.client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(400):
                s.sendto(bytes(1000), ("10.0.1.1", 9))
                time.sleep(0.0005)
        self.within(lambda: not self.on(made["public_key"]), "cut off", CUT_S)
        self.assertFalse(self.pings(self.client, "10.0.1.1", timeout=1))
        self.assertEqual(self.api("GET", f"{PEERS}/phone")["blocked"], ["quota"])
        self.patch("phone", quota={"bytes": 10**9, "period": "month"})
        self.soon(lambda: self.on(made["public_key"]), "the peer to come back")
        gateway.end()

    def test_a_peer_expires(self):
        gateway = self.start()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
        key = self.create("guest", generate=True, expires=at)["public_key"]
        self.soon(lambda: not self.on(key), "the peer to go", 12)
        self.assertEqual(self.api("GET", f"{PEERS}/guest")["blocked"], ["expired"])
        self.patch("guest", expires=None)
        self.soon(lambda: self.on(key), "the peer to come back", 6)
        gateway.end()

    def test_a_client_with_a_new_key_goes_on_and_the_old_key_is_gone(self):
        gateway = self.start()
        made = self.create("phone", generate=True)
        self.connect(made["configuration"])
        self.reaches("10.0.1.1")
        private, public = tunnel.keypair()
        self.patch("phone", public_key=public)
        self.assertFalse(self.pings(self.client, "10.0.1.1", timeout=1))
        self.client.run("wg", "set", "wgc", "private-key", "/dev/stdin", input=private)
        self.reaches("10.0.1.1", timeout=30)
        self.assertEqual(list(self.allowed()), [public])
        gateway.end()

    def test_what_was_decided_is_there_after_the_gateway_process_died(self):
        gateway = self.start()
        made = [self.create(f"p{n}", generate=True) for n in range(5)]
        self.patch("p0", enabled=False)
        self.api("DELETE", f"{PEERS}/p1")
        os.kill(self.child(gateway, "gateway-serve"), 9)
        self.soon(lambda: self.peer("list", check=False).returncode == 0, "the API again", 30)
        self.assertEqual(set(self.allowed()), {m["public_key"] for m in made[2:]})
        gateway.end()


class Drift(KindTest):
    """Somebody with root takes wg(8) to the gateway's interface."""

    def begin(self, *options):
        self.running = self.start(*options)
        self.made = [self.create(f"p{n}", generate=True) for n in range(4)]
        self.whole = self.allowed()
        self.assertEqual(len(self.whole), 4)
        time.sleep(1.5)  # what we set ourselves has been looked at

    def repaired(self, what):
        self.within(lambda: self.allowed() == self.whole, what, SEEN_S)

    def test_a_peer_that_was_removed_comes_back(self):
        self.begin()
        self.wg("set", "wg0", "peer", self.made[0]["public_key"], "remove")
        self.assertNotEqual(self.allowed(), self.whole)
        self.repaired("a removed peer")
        self.assertIn("1 peers missing", self.running.errors())
        self.assertGreaterEqual(self.metric("culvert_drift_total"), 1)

    def test_other_prefixes_and_another_preshared_key_are_taken_back(self):
        self.begin()
        self.wg("set", "wg0", "peer", self.made[1]["public_key"], "allowed-ips", "10.66.0.0/16")
        self.repaired("other prefixes")
        self.wg("set", "wg0", "peer", self.made[2]["public_key"], "preshared-key", "/dev/stdin",
                input=tunnel.keypair()[0])
        self.within(lambda: "(none)" not in self.wg("show", "wg0", "preshared-keys") or
                    self.wg("show", "wg0", "preshared-keys").count("(none)") == 4, "another preshared key", SEEN_S)

    def test_a_peer_that_nobody_stored_is_removed(self):
        self.begin()
        self.wg("set", "wg0", "peer", tunnel.keypair()[1], "allowed-ips", "10.0.1.200/32")
        self.repaired("a foreign peer")
        self.assertIn("1 that nobody stored", self.running.errors())

    def test_another_port_and_another_key_are_set_back(self):
        self.begin()
        self.connect(self.made[0]["configuration"])
        self.reaches("10.0.1.1")
        port, key = self.wg("show", "wg0", "listen-port"), self.wg("show", "wg0", "public-key")
        self.wg("set", "wg0", "listen-port", "4444")
        self.within(lambda: self.wg("show", "wg0", "listen-port") == port, "another port", SEEN_S)
        self.wg("set", "wg0", "private-key", "/dev/stdin", input=tunnel.keypair()[0])
        self.within(lambda: self.wg("show", "wg0", "public-key") == key, "another private key", SEEN_S)
        self.assertEqual(self.allowed(), self.whole)
        self.reaches("10.0.1.1", timeout=40)
        self.assertEqual(self.running.end(), 0, self.running.errors())

    def test_with_drift_report_what_others_change_stays(self):
        self.begin("--drift", "report")
        self.wg("set", "wg0", "peer", self.made[0]["public_key"], "remove")
        self.within(lambda: "1 peers missing" in self.running.errors(), "the report", SEEN_S)
        time.sleep(2)
        self.assertEqual(len(self.allowed()), 3)
        self.assertEqual(self.running.errors().count("peers missing"), 1)
        self.api("POST", PEERS, {"name": "new", "generate": True}, 201)
        self.assertEqual(len(self.allowed()), 4)

    def test_with_drift_adopt_what_others_change_is_what_is_stored(self):
        self.begin("--drift", "adopt")
        removed, changed = (m["public_key"] for m in self.made[:2])
        new, preshared = tunnel.keypair()[1], tunnel.keypair()[0]
        self.wg("set", "wg0", "peer", removed, "remove")
        self.wg("set", "wg0", "peer", changed, "allowed-ips", "10.0.1.77/32,192.168.7.0/24",
                "preshared-key", "/dev/stdin", input=preshared)
        self.wg("set", "wg0", "peer", new, "allowed-ips", "10.0.1.200/32,fd42:4242:1::200/128", "persistent-keepalive",
                "17")
        left = self.allowed()
        stored = lambda: {p["public_key"]: p for p in self.api("GET", PEERS)["peers"]}
        self.within(lambda: new in stored() and not stored()[removed]["enabled"] and
                    stored()[changed]["routes"] == ["192.168.7.0/24"], "adopted", SEEN_S + 2)
        self.assertEqual(stored()[changed]["addresses"], ["10.0.1.77/32"])
        self.assertTrue(stored()[changed]["has_preshared_key"])
        self.assertEqual(stored()[new]["addresses"], ["10.0.1.200/32", "fd42:4242:1::200/128"])
        self.assertEqual(stored()[new]["keepalive"], 17)
        time.sleep(1.5)
        self.assertEqual(self.allowed(), left)
        heir = tunnel.keypair()[1]  # gets an address that was another peer's
        self.wg("set", "wg0", "peer", heir, "allowed-ips", "10.0.1.77/32")
        self.within(lambda: heir in stored() and stored()[changed]["addresses"] == [], "an address moves", SEEN_S + 4)
        self.assertEqual(stored()[heir]["addresses"], ["10.0.1.77/32"])
        left = self.allowed()
        self.wg("set", "wg0", "peer", tunnel.keypair()[1], "allowed-ips", "10.0.1.1/32")  # the gateway's own
        self.soon(lambda: "not taken over" in self.running.errors(), "the refusal")
        os.kill(self.child(self.running, "gateway-serve"), 9)
        self.soon(lambda: self.peer("list", check=False).returncode == 0, "the API again", 30)
        self.soon(lambda: self.allowed() == left, "all as it was adopted", 10)
        self.assertIn("drift", [row["who"] for row in self.api("GET", "/api/v1/audit")["audit"]])


class WithoutModule(KindTest):
    """On a host whose kernel has no WireGuard."""

    def setUp(self):
        super().setUp()
        if self.edge.ip("link", "add", "probe", "type", "wireguard", check=False).returncode == 0:
            self.edge.ip("link", "delete", "probe")
            self.skipTest("this kernel has WireGuard")

    def test_auto_is_userspace_and_kernel_says_what_is_missing(self):
        self.kind = "auto"
        gateway = self.start()
        self.assertIn("tun", self.edge.output("ip", "-d", "link", "show", "wg0"))
        self.assertEqual(gateway.end(), 0, gateway.errors())
        gateway = Gateway(self.edge, self.state, "--kind", "kernel", program=None)
        self.assertEqual(gateway.process.wait(30), 4, gateway.errors())
        self.assertRegex(gateway.errors(), "no WireGuard.*modprobe wireguard.*--kind userspace")
        self.assertAsFound()


if __name__ == "__main__":
    suite.main()

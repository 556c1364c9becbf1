#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rest of the gateway contract: every route, who may call it, what it answers, encrypted payloads."""

import base64
import json
import os
import re
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway import ApiTest, new_key, suite

CREATE = "/api/v1/configurations/"
REBOOT = "/api/v1/admin/reboot"
GATEWAY_PRIVATE = bytes([0x11] * 32)
LOCAL_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?"

# Method, target, text that version 1 signs, members of the answer (in order), reads a nonce.
SIGNED = [
    ("GET", "/api/v1/ip-usage", "", ["ipv4", "ipv6"]),
    ("GET", "/api/v1/server/status", "", ["wireguard_peers", "total_peers", "memory_usage", "load_average", "timestamp", "status"]),
    ("GET", "/api/v1/server/metrics", "", ["system", "wireguard", "timestamp"]),
    ("POST", "/api/v1/sync-ips", "", ["status"]),
    ("GET", "/api/v1/admin/interface-stats", "", ["interfaces", "peer_store", "timestamp"]),
    ("GET", "/api/v1/admin/health", "", ["status", "health_issues", "uptime", "cpu", "memory", "disk", "network",
                                         "wireguard_interfaces", "services", "timestamp"]),
    ("GET", "/api/v1/admin/health/dns", "", ["dns_service_active", "dns_query_latency_ms", "dns_upstream_reachable", "dns_status",
                                             "dns_last_check", "dns_server_ip", "dns_upstream"]),
    ("GET", "/api/v1/admin/health/dns/d2", "", ["level", "name", "dns_service_active", "dns_query_latency_ms",
                                                "dns_upstream_reachable", "dns_status", "dns_server_ip", "dns_last_check",
                                                "blocked_domains", "blocklist_version"]),
    ("GET", "/api/v1/admin/health/dns/all", "", ["dns_levels", "timestamp"]),
    ("GET", "/api/v1/admin/summary", "", ["uptime", "cpu_percent", "memory_percent", "total_peers_wireguard",
                                          "active_peers_connected", "total_configurations", "active_configurations",
                                          "suspended_configurations", "status", "timestamp"]),
    ("GET", "/api/v1/admin/crl-status", "", ["enforcement_active", "crl_version", "revoked_count", "loaded_at", "timestamp"]),
    ("POST", "/api/v1/admin/crl-check?serial_number=0A1B", "", ["serial_number", "is_revoked", "crl_version", "timestamp"]),
    ("POST", "/api/v1/admin/recover-peers", "", ["status", "message", "recovered_count"]),
    ("POST", "/api/v1/admin/reconcile-peers", "", ["status", "message"]),
    ("POST", "/api/v1/admin/restart-wireguard", "", ["status", "interfaces", "timestamp"]),
]
# What stops or wipes the machine is off; only who may ask counts.
OFF = [
    ("POST", "/api/v1/admin/reboot", "", False),
    ("POST", "/admin/service/wg-manager/stop", '{"service": "wg-manager", "action": "stop"}', True),
    ("POST", "/admin/service/whisper-node/start", '{"service": "whisper-node", "action": "start"}', True),
    ("POST", "/admin/wipe", '{"action": "wipe", "confirm": true}', True),
]
FREE = [
    ("GET", "/api/v1/dns/stats", ["timestamp", "gateway", "levels", "totals", "summary"]),
    ("GET", "/api/v1/dns/stats/summary", ["timestamp", "gateway", "total_queries", "total_blocked", "cache_hit_rate",
                                          "active_levels", "levels"]),
    ("POST", "/api/v1/dns/stats/lap?name=morning", ["message", "lap", "total_laps"]),
    ("GET", "/api/v1/dns/stats/laps", ["timestamp", "gateway", "cumulative", "since_last_lap", "laps", "total_laps"]),
    ("GET", "/api/v1/dns/stats/since/1", ["timestamp", "gateway", "since_lap", "delta", "level_deltas", "cumulative"]),
    ("DELETE", "/api/v1/dns/stats/laps", ["message", "timestamp"]),
]


class ContractTest(ApiTest):
    def call(self, method, target, signed, nonce=None, shift=0, key=None, body=b""):
        g, now = self.gateway, str(int(time.time()) + shift)
        own, g.key = g.key, key or g.key
        headers = {"timestamp": now, "signature": g.sign(signed.encode(), now, nonce)}
        g.key = own
        if nonce:
            headers["X-Nonce"] = nonce
        return g.raw(method, target, body, headers)


class Routes(ContractTest):
    env = {"GATEWAY_NAME": "gw1"}

    def test_every_signed_route_answers_as_the_contract_says(self):
        for method, target, signed, members in SIGNED:
            answer = self.call(method, target, signed)
            self.is_(answer, 200)
            self.assertEqual(list(answer.json), members, target)
            self.assertEqual(answer.headers["Content-Type"], "application/json", target)
            if "timestamp" in members:
                self.assertRegex(answer.json["timestamp"], f"^{LOCAL_TIME}$", target)

    def test_the_matrix_of_callers(self):
        for method, target, signed, *_ in SIGNED + OFF:
            self.assertEqual(self.gateway.raw(method, target).status, 422, target)
            self.assertEqual(self.call(method, target, signed, key="wrong").status, 401, target)
            self.assertEqual(self.call(method, target, signed + "x").status, 401, target)
            self.assertEqual(self.call(method, target, signed, shift=-70).json, {"detail": "Timestamp expired"}, target)
            self.assertEqual(self.call(method, target, signed, shift=70).json, {"detail": "Timestamp expired"}, target)
        for method, target, _ in FREE:
            self.assertEqual(self.gateway.raw(method, target).status, 200, target)

    def test_what_stops_the_machine_is_off_and_used_once(self):
        for method, target, signed, reads_nonce in OFF:
            answer = self.call(method, target, signed)
            self.is_(answer, 403, {"detail": "This is switched off on this gateway"})
            if reads_nonce:
                nonce = f"n-{target}"
                self.is_(self.call(method, target, signed, nonce=nonce), 403)
                self.is_(self.call(method, target, signed, nonce=nonce), 401, {"detail": "Replay detected"})
        self.is_(self.call("POST", "/admin/service/foo/stop", '{"service": "foo", "action": "stop"}'), 400,
                 {"detail": "Invalid service: foo"})

    def test_free_statistics_and_their_laps(self):
        for method, target, members in FREE:
            answer = self.gateway.raw(method, target)
            self.is_(answer, 200)
            self.assertEqual(list(answer.json), members, target)
        g = self.gateway
        self.assertEqual(g.raw("GET", "/api/v1/dns/stats").json["gateway"], "gw1")
        for n in range(25):
            g.raw("POST", "/api/v1/dns/stats/lap")
        laps = g.raw("GET", "/api/v1/dns/stats/laps").json
        self.assertEqual((laps["total_laps"], len(laps["laps"])), (20, 20))
        self.assertEqual(g.raw("GET", "/api/v1/dns/stats/since/21").json, {"error": "Invalid lap number. Valid: 1-20"})
        self.assertEqual(g.raw("DELETE", "/api/v1/dns/stats/laps").json["message"], "Cleared 20 laps")
        self.is_(g.raw("POST", "/api/v1/dns/stats/lap?name=" + "x" * 65), 422)

    def test_the_numbers_are_the_machines(self):
        with open("/proc/meminfo") as f:
            total = int(re.search(r"MemTotal:\s+(\d+)", f.read())[1]) * 1024
        metrics = self.call("GET", "/api/v1/server/metrics", "").json
        self.assertEqual(metrics["system"]["memory"]["total"], total)
        disk = os.statvfs(self.gateway.state)
        self.assertEqual(metrics["system"]["disk"]["total"], disk.f_blocks * disk.f_frsize)
        health = self.call("GET", "/api/v1/admin/health", "").json
        self.assertEqual((health["cpu"]["count"], health["memory"]["total_gb"]), (os.cpu_count(), round(total / 2**30, 2)))
        with open("/proc/uptime") as f:
            self.assertLess(abs(float(f.read().split()[0]) - health["uptime"]["uptime_seconds"]), 5)

    def test_peers_are_counted_by_level(self):
        for n, level in enumerate(["off", "off", "basic", "medium", "stealth"]):
            body = json.dumps({"public_key": new_key(n + 1), "obfuscation_level": level})
            self.is_(self.call("POST", CREATE, body, body=body.encode()), 200)
        stats = lambda: self.call("GET", "/api/v1/admin/interface-stats", "").json
        self.soon(lambda: [i["total_peers"] for i in stats()["interfaces"].values()] == [2, 1, 1, 1], "all of them", 3)
        stats = stats()
        self.assertEqual(stats["peer_store"], {"total_configurations": 5, "active_configurations": 5, "suspended_configurations": 0})

    def test_restarting_brings_back_what_was_taken_away(self):
        body = json.dumps({"public_key": new_key(1)})
        self.is_(self.call("POST", CREATE, body, body=body.encode()), 200)
        self.gateway.device.wg("set", "wg0", "peer", new_key(1), "remove")
        self.assertEqual(self.gateway.on_device(), {})
        self.is_(self.call("POST", "/api/v1/admin/restart-wireguard", ""), 200)
        self.soon(lambda: new_key(1) in self.gateway.on_device(), "the peer to come back", 3)

    def test_query_levels_and_serials_that_are_wrong(self):
        self.is_(self.call("GET", "/api/v1/admin/health/dns/d9", ""), 200,
                 {"error": "Unknown DNS level: d9", "valid_levels": ["d1", "d2", "d3"]})
        self.is_(self.call("POST", "/api/v1/admin/crl-check", ""), 422)


class Hooked(ContractTest):
    """The host, which is played here, may be asked for everything, and says that it did it."""

    extra = ("--actions", "126")

    def test_a_signature_of_version_1_that_was_captured_reboots_nothing(self):
        g, now = self.gateway, str(int(time.time()))
        captured = {"timestamp": now, "signature": g.sign(b"", now)}
        self.is_(g.raw("GET", "/api/v1/ip-usage", headers=captured), 200)
        for more in ({}, {"X-Signature-Version": "1"}, {"X-Nonce": "n"}):
            refused = g.raw("POST", REBOOT, headers={**captured, **more})
            self.is_(refused, 401, {"detail": "A reboot needs a signature of version 2: X-Signature-Version: 2 and X-Nonce"})
        self.assertEqual(g.raw("POST", REBOOT, headers={**captured, "X-Nonce": "n", "X-Signature-Version": "2"}).status, 401)
        for target in ("/admin/wipe", "/admin/service/wg-manager/stop", "/admin/service/whisper-node/start"):
            self.is_(g.raw("POST", target, headers=captured), 401, {"detail": "Invalid signature"})
        self.assertEqual(g.local("GET", "/api/v1/audit").json["audit"], [])
        self.is_(g.signed_v2("POST", REBOOT), 200)
        self.assertEqual([row["action"] for row in g.local("GET", "/api/v1/audit").json["audit"]], ["host.reboot"])


class Encrypted(ContractTest):
    env = {"ECDH_PRIVATE_KEY": base64.b64encode(GATEWAY_PRIVATE).decode()}

    def keys(self, own):
        gateway = X25519PrivateKey.from_private_bytes(GATEWAY_PRIVATE).public_key()
        shared = own.exchange(gateway)
        return [HKDF(hashes.SHA256(), 32, None, info).derive(shared) for info in (b"e2e-req", b"e2e-resp")]

    def create(self, inner, outer=None, spoil=None):
        own = X25519PrivateKey.generate()
        request, reply = self.keys(own)
        nonce = os.urandom(12)
        blob = nonce + AESGCM(request).encrypt(nonce, json.dumps(inner).encode(), None)
        if spoil is not None:
            blob = blob[:spoil] + bytes([blob[spoil] ^ 1]) + blob[spoil + 1:]
        body = {"public_key": new_key(1), **(outer or {}),
                "eph_pub": base64.b64encode(own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
                "encrypted_blob": base64.b64encode(blob).decode()}
        text = json.dumps(body)
        answer = self.call("POST", CREATE, text, body=text.encode())
        if answer.status != 200 or "encrypted_response" not in answer.json:
            return answer, None
        sealed = base64.b64decode(answer.json["encrypted_response"])
        return answer, AESGCM(reply).decrypt(sealed[:12], sealed[12:], None).decode()

    def test_the_reply_is_encrypted_and_the_inner_values_win(self):
        answer, plain = self.create({"tunnel_traffic": ["ipv4", "ipv6"], "port": 40001, "public_key": new_key(9)},
                                    {"tunnel_traffic": ["ipv6"], "port": 1})
        self.assertEqual(list(answer.json), ["encrypted_response"])
        reply = json.loads(plain)
        self.assertEqual((reply["status"], reply["port"], reply["assigned_ip"]), ("created", 40001, "10.0.1.2"))
        self.assertIn("assigned_ipv6", reply)
        self.assertEqual(plain, json.dumps(reply))  # spaced, as Python writes it
        self.assertIn(new_key(1), self.gateway.on_device())  # the key outside wins

    def test_a_key_that_exists_is_answered_plainly(self):
        self.create({})
        answer, _ = self.create({})
        self.is_(answer, 200, {"status": "exists"})

    def test_what_cannot_be_opened_is_refused_without_a_reason(self):
        refusal = {"detail": "E2E decryption failed"}
        for place in (0, 12, 20, -1):
            self.is_(self.create({"port": 1}, spoil=place)[0], 400, refusal)
        for body in ({"eph_pub": "x"}, {"encrypted_blob": "x"}, {"eph_pub": base64.b64encode(bytes(32)).decode(), "encrypted_blob": "AAAA"}):
            text = json.dumps({"public_key": new_key(1), **body})
            self.is_(self.call("POST", CREATE, text, body=text.encode()), 400, refusal)
        self.is_(self.create([1])[0], 400, refusal)
        self.assertEqual(self.gateway.on_device(), {})


class WithoutKey(Encrypted):
    env = {}

    def test_the_reply_is_encrypted_and_the_inner_values_win(self):
        self.is_(self.create({"port": 1})[0], 400, {"detail": "E2E decryption failed"})

    test_a_key_that_exists_is_answered_plainly = None


if __name__ == "__main__":
    suite.main()

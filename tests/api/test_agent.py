#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The node agent and the status page, each on a listener of its own.

    controller ── signed HTTP ── :agent ─┐
    anybody ──────── plain HTTP ─ :status ┴─ gateway-serve ── wg0
"""

import base64
import hashlib
import hmac
import http.client
import json
import re
import time
import urllib.parse

from gateway import Answer, ApiTest, new_key, suite

SECRET = "s3cret"
WG = "/v1/wg/wg0"


class AgentTest(ApiTest):
    extra = ("--listen-agent", "http://127.0.0.1:0", "--listen-status", "http://127.0.0.1:0")
    env = {"WG_AGENT_SECRET": SECRET, "NODE_ID": "node-a"}

    def setUp(self):
        super().setUp()
        self.find_ports()

    def find_ports(self):
        ports = dict(re.findall(r"(agent|status): http://127\.0\.0\.1:(\d+)", self.logged()))
        self.agent_port, self.status_port = int(ports["agent"]), int(ports["status"])

    def request(self, port, method, target, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            c.request(method, target, body, headers or {})
            response = c.getresponse()
            return Answer(response, response.read())
        finally:
            c.close()

    def sign(self, method, path, body="", timestamp=None, nonce=None):
        timestamp = timestamp or str(int(time.time()))
        text = "|".join([method, path, body, timestamp] + ([nonce] if nonce else []))
        headers = {"X-Timestamp": timestamp, "X-Signature": hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}
        return {**headers, "X-Nonce": nonce} if nonce else headers

    def agent(self, method, target, value=None, path=None, **signing):
        body = "" if value is None else json.dumps(value)
        self.nth = getattr(self, "nth", 0) + 1  # no two signatures alike within a second
        signing.setdefault("nonce", f"n{self.nth}")
        return self.request(self.agent_port, method, target, body, self.sign(method, path or target, body, **signing))

    def dump(self):
        return {p["public_key"]: p for p in self.agent("GET", f"{WG}/dump").json["peers"]}


class Peers(AgentTest):
    def test_the_life_of_a_peer(self):
        key, added = new_key(1), "Peer added successfully"
        answer = self.agent("POST", f"{WG}/peers", {"public_key": key, "allowed_ips": ["10.0.1.2/32", "192.168.7.0/24"],
                                                    "persistent_keepalive": 25})
        self.is_(answer, 200, {"status": "success", "message": added,
                               "peer": {"public_key": key, "allowed_ips": ["10.0.1.2/32", "192.168.7.0/24"]}})
        self.assertEqual(self.gateway.on_device(), {key: {"10.0.1.2/32", "192.168.7.0/24"}})
        dumped = self.dump()[key]
        self.assertEqual(list(dumped), ["public_key", "preshared_key", "has_preshared_key", "endpoint", "allowed_ips",
                                        "latest_handshake", "transfer_rx", "transfer_tx", "persistent_keepalive"])
        self.assertEqual((dumped["endpoint"], dumped["latest_handshake"], dumped["persistent_keepalive"]), (None, None, 25))
        self.is_(self.agent("PUT", f"{WG}/peers/{key}", {"allowed_ips": ["10.0.1.3/32"], "persistent_keepalive": 0}), 200,
                 {"status": "success", "message": "Peer updated successfully"})
        self.assertEqual(self.gateway.on_device(), {key: {"10.0.1.3/32"}})
        for _ in range(2):  # gone already: no error
            self.is_(self.agent("DELETE", f"{WG}/peers/{key}"), 200, {"status": "success", "message": "Peer removed successfully"})
        self.assertEqual(self.gateway.on_device(), {})
        self.is_(self.agent("PUT", f"{WG}/peers/{key}", {"persistent_keepalive": 5}), 404, {"error": "Peer not found"})

    def test_keys_with_slashes_in_every_spelling(self):
        key = next(k for k in map(new_key, range(100)) if "/" in k and "+" in k)
        safe = key.replace("/", "_").replace("+", "-")
        for target, path in ((key, key), (urllib.parse.quote(key, safe=""), urllib.parse.quote(key, safe="")),
                             (urllib.parse.quote(key, safe=""), key), (safe, safe)):
            self.is_(self.agent("POST", f"{WG}/peers", {"public_key": key, "allowed_ips": ["192.168.9.0/24"]}), 200)
            self.is_(self.agent("DELETE", f"{WG}/peers/{target}", path=f"{WG}/peers/{path}"), 200)
            self.assertEqual(self.gateway.on_device(), {}, target)

    def test_bare_paths_and_a_preshared_key_that_stays_inside(self):
        key, psk = new_key(1), new_key(77)
        self.is_(self.agent("POST", "/wg/wg0/peers", {"public_key": key, "allowed_ips": [], "preshared_key": psk}), 200)
        answer = self.agent("GET", "/wg/wg0/dump")
        peer = answer.json["peers"][0]
        self.assertEqual((peer["preshared_key"], peer["has_preshared_key"], peer["allowed_ips"]), (None, True, []))
        self.assertNotIn(psk, answer.text)
        self.assertIn(psk, self.gateway.device.wg("show", "wg0", "preshared-keys").stdout)

    def test_a_whole_configuration_replaces_what_there_was(self):
        for n in range(3):
            self.is_(self.agent("POST", f"{WG}/peers", {"public_key": new_key(n + 1), "allowed_ips": [f"10.0.1.{n + 10}/32"]}), 200)
        text = "".join(f"[Peer]\nPublicKey = {new_key(n)}\nAllowedIPs = 10.0.1.{n + 20}/32\nPersistentKeepalive = 7\n" for n in (2, 3, 4))
        config = {"config": base64.b64encode(text.encode()).decode()}
        self.is_(self.agent("POST", f"{WG}/syncconf", config), 200,
                 {"status": "success", "message": "Configuration synchronized successfully"})
        self.assertEqual(self.gateway.on_device(), {new_key(n): {f"10.0.1.{n + 20}/32"} for n in (2, 3, 4)})
        self.is_(self.agent("POST", f"{WG}/syncconf", config), 200)
        self.is_(self.agent("POST", f"{WG}/syncconf", {"config": "!"}), 400, {"error": "Invalid base64-encoded configuration"})
        wrong = {"config": base64.b64encode(b"[Peer]\nPublicKey = x\n").decode()}
        answer = self.agent("POST", f"{WG}/syncconf", wrong)
        self.is_(answer, 500)
        self.assertTrue(answer.json["error"].startswith("Failed to synchronize configuration: "), answer)
        self.assertEqual(len(self.gateway.on_device()), 3)

    def test_a_configuration_gives_the_address_of_a_peer_that_goes_to_another(self):
        self.is_(self.agent("POST", f"{WG}/peers", {"public_key": new_key(1), "allowed_ips": ["10.0.1.5/32", "192.168.7.0/24"]}), 200)
        self.is_(self.agent("POST", f"{WG}/peers", {"public_key": new_key(2), "allowed_ips": ["10.0.1.6/32"]}), 200)

        def sync(*rows, code=200):
            text = "".join(f"[Peer]\nPublicKey = {new_key(n)}\nAllowedIPs = {allowed}\n" for n, allowed in rows)
            answer = self.agent("POST", f"{WG}/syncconf", {"config": base64.b64encode(text.encode()).decode()})
            self.is_(answer, code)
            return answer

        sync((2, "10.0.1.6/32"), (3, "10.0.1.5/32, 192.168.7.0/24"))  # 1 goes, 3 comes
        self.assertEqual(self.gateway.on_device(), {new_key(2): {"10.0.1.6/32"}, new_key(3): {"10.0.1.5/32", "192.168.7.0/24"}})
        sync((2, "10.0.1.5/32"))  # 3 goes, 2 moves
        self.assertEqual(self.gateway.on_device(), {new_key(2): {"10.0.1.5/32"}})
        answer = sync((4, "10.0.1.5/32"), (5, "10.0.1.5/32"), code=500)  # nobody gets what two want
        self.assertIn("an address belongs to another peer", answer.json["error"])
        self.assertEqual(self.gateway.on_device(), {new_key(2): {"10.0.1.5/32"}})
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual(self.gateway.on_device(), {new_key(2): {"10.0.1.5/32"}})
        self.assertEqual(self.gateway.local("GET", "/api/v1/peers").json["peers"][0]["addresses"], ["10.0.1.5/32"])

    def test_what_is_wrong_changes_nothing(self):
        for body in ({}, {"public_key": "x", "allowed_ips": []}, {"public_key": new_key(1), "allowed_ips": ["10.0.1.0/99"]},
                     {"public_key": new_key(1), "allowed_ips": [], "persistent_keepalive": 70000}):
            answer = self.agent("POST", f"{WG}/peers", body)
            self.is_(answer, 422)
            self.assertIn("loc", answer.json["detail"][0])
        self.is_(self.agent("POST", "/v1/wg/wg9/peers", {"public_key": new_key(1), "allowed_ips": []}), 500)
        self.is_(self.agent("GET", "/v1/wg/wg9/config"), 404, {"error": "Configuration file not found: /etc/wireguard/wg9.conf"})
        self.is_(self.agent("GET", f"{WG}/peers"), 405)
        self.is_(self.agent("POST", f"{WG}/enable"), 200, {"status": "success", "message": "Interface wg0 is already up", "was_down": False})
        self.assertEqual(self.agent("GET", f"{WG}/config").json["config"]["private_key"], None)
        self.assertEqual(self.gateway.on_device(), {})


    def test_an_access_list_stays_whatever_the_agent_changes(self):
        g, key = self.gateway, new_key(1)
        self.is_(self.agent("POST", f"{WG}/peers", {"public_key": key, "allowed_ips": ["10.0.1.9/32"]}), 200)
        number = g.local("POST", "/api/v1/access", {"name": "web", "rules": []}).json["id"]
        safe = key.replace("/", "_").replace("+", "-")
        self.is_(g.local("PATCH", f"/api/v1/peers/{safe}", {"access": number}), 200)
        self.assertEqual(g.access.members, {"10.0.1.9": number})
        self.is_(self.agent("PUT", f"{WG}/peers/{key}", {"allowed_ips": ["10.0.1.10/32"]}), 200)
        self.assertEqual(g.access.members, {"10.0.1.10": number})
        answer = self.agent("PUT", f"{WG}/peers/{key}", {"allowed_ips": ["10.0.1.10/32", "192.168.7.0/24"]})
        self.is_(answer, 500)
        self.assertIn("access list", answer.json["error"])
        self.assertEqual(g.on_device(), {key: {"10.0.1.10/32"}})
        self.is_(self.agent("DELETE", f"{WG}/peers/{key}"), 200)
        self.assertEqual(g.access.members, {})


class Interface(AgentTest):
    def add(self, n):
        self.is_(self.agent("POST", f"{WG}/peers", {"public_key": new_key(n), "allowed_ips": [f"10.0.1.{n}/32"]}), 200)

    def restart(self):
        self.gateway.stop()
        self.gateway.start()
        self.agent_port = int(re.findall(r"agent: http://127\.0\.0\.1:(\d+)", self.logged())[-1])

    def test_disabled_it_serves_nobody_over_restarts_until_it_is_enabled(self):
        self.add(2), self.add(3)
        on = self.gateway.on_device()
        self.is_(self.agent("POST", f"{WG}/disable"), 200, {"status": "success", "message": "Interface wg0 disabled successfully", "was_up": True})
        self.assertEqual(self.gateway.on_device(), {})
        self.is_(self.agent("POST", f"{WG}/disable"), 200, {"status": "success", "message": "Interface wg0 is already down", "was_up": False})
        self.is_(self.agent("GET", f"{WG}/dump"), 500, {"error": "WireGuard command failed: interface wg0 is down"})
        self.assertEqual(self.agent("GET", "/v1/status").json["wireguard"]["interfaces"]["wg0"]["status"], "down")
        self.add(4)  # kept for later
        self.restart()
        self.assertEqual(self.gateway.on_device(), {})
        self.gateway.restart_device()
        self.soon(lambda: self.gateway.local("GET", "/api/v1/gateway").json["enabled"] is False, "the gateway")
        self.assertEqual(self.gateway.on_device(), {})
        self.is_(self.agent("POST", f"{WG}/enable"), 200, {"status": "success", "message": "Interface wg0 enabled successfully", "was_down": True})
        self.soon(lambda: self.gateway.on_device() == {**on, new_key(4): {"10.0.1.4/32"}}, "all peers")
        self.is_(self.agent("POST", f"{WG}/enable"), 200, {"status": "success", "message": "Interface wg0 is already up", "was_down": False})
        self.restart()
        self.assertEqual(len(self.gateway.on_device()), 3)
        actions = [row["action"] for row in self.gateway.local("GET", "/api/v1/audit").json["audit"]]
        self.assertEqual([a for a in actions if a.startswith("interface")], ["interface.disable", "interface.enable"])

    def test_the_operator_switches_it_from_his_side(self):
        self.add(2)
        answer = self.gateway.local("PATCH", "/api/v1/gateway", {"enabled": False})
        self.assertEqual((answer.status, answer.json["enabled"]), (200, False))
        self.assertEqual(self.gateway.on_device(), {})
        self.is_(self.gateway.local("PATCH", "/api/v1/gateway", {"enabled": True}), 200)
        self.assertEqual(set(self.gateway.on_device()), {new_key(2)})

    def test_a_repeated_switch_is_not_done_again(self):
        self.add(2)
        off = self.sign("POST", f"{WG}/disable")
        first = self.request(self.agent_port, "POST", f"{WG}/disable", None, off)
        self.is_(first, 200)
        self.is_(self.request(self.agent_port, "POST", f"{WG}/disable", None, off), 200, first.json)
        self.is_(self.agent("POST", f"{WG}/enable"), 200)
        self.is_(self.request(self.agent_port, "POST", f"{WG}/disable", None, off), 409)
        self.assertEqual(set(self.gateway.on_device()), {new_key(2)})
        gone = self.sign("DELETE", WG)
        self.is_(self.request(self.agent_port, "DELETE", WG, None, gone), 200)
        self.is_(self.request(self.agent_port, "DELETE", WG, None, gone), 200)
        self.is_(self.agent("PUT", f"{WG}/config", {"private_key": self.gateway.private}), 200)
        self.add(3)
        self.is_(self.request(self.agent_port, "DELETE", WG, None, gone), 409)
        self.assertEqual(self.gateway.local("GET", "/api/v1/peers").json["total"], 1)

    def test_its_file_is_taken_when_it_says_what_is_and_refused_whole_otherwise(self):
        self.add(2)
        done = {"status": "success", "message": "Interface configuration updated successfully", "reloaded": True}
        same = {"private_key": self.gateway.private, "listen_port": 51820, "address": "10.0.1.1/24, fd42:4242:1::1/64", "mtu": None,
                "post_up": "echo up", "pre_down": None, "dns": "1.1.1.1", "table": "auto"}
        self.is_(self.agent("PUT", f"{WG}/config", same), 200, done)
        self.is_(self.agent("PUT", f"{WG}/config", {"private_key": self.gateway.private}), 200, done)
        self.is_(self.agent("PUT", f"{WG}/config", {**same, "address": "10.0.1.1/24"}), 200, done)
        for body, text in (({**same, "listen_port": 51821, "mtu": 1280}, "listen_port is 51820 here, mtu is 1396 here"),
                           ({**same, "address": "10.0.2.1/24"}, "address is 10.0.1.1/24, fd42:4242:1::1/64 here"),
                           ({**same, "address": "10.0.1.1/16"}, "address is"), ({**same, "private_key": base64.b64encode(b"x" * 32).decode()}, "private_key is another one")):
            answer = self.agent("PUT", f"{WG}/config", body)
            self.is_(answer, 500)
            self.assertIn(text, answer.json["error"])
            self.assertIn("nothing was changed", answer.json["error"])
            self.assertNotIn(self.gateway.private, answer.text)
        for body in ({}, {"private_key": "x"}, {**same, "listen_port": "x"}, {**same, "listen_port": 70000}, {**same, "address": 1}):
            self.is_(self.agent("PUT", f"{WG}/config", body), 422)
        self.assertEqual(set(self.gateway.on_device()), {new_key(2)})

    def test_deleted_it_is_gone_until_its_file_is_put_again(self):
        self.add(2), self.add(3)
        self.is_(self.agent("DELETE", WG), 200, {"status": "success", "message": "Interface wg0 deleted successfully"})
        self.assertEqual(self.gateway.on_device(), {})
        self.assertEqual(self.gateway.local("GET", "/api/v1/peers").json["total"], 0)
        self.restart()
        missing = {"error": "Configuration file not found: /etc/wireguard/wg0.conf"}
        self.is_(self.agent("DELETE", WG), 404, missing)
        self.is_(self.agent("GET", f"{WG}/config"), 404, missing)
        self.is_(self.agent("POST", f"{WG}/enable"), 404, missing)
        self.is_(self.agent("GET", f"{WG}/dump"), 500, {"error": "WireGuard command failed: there is no interface wg0"})
        self.is_(self.agent("POST", f"{WG}/peers", {"public_key": new_key(4), "allowed_ips": []}), 500)
        answer = self.agent("PUT", f"{WG}/config", {"private_key": self.gateway.private})
        self.assertEqual((answer.status, answer.json["reloaded"]), (200, False))
        self.is_(self.agent("POST", f"{WG}/enable"), 200)
        self.add(4)
        self.assertEqual(set(self.gateway.on_device()), {new_key(4)})


class Callers(AgentTest):
    def test_unsigned_and_wrong_requests_are_refused(self):
        now = int(time.time())
        rows = [({}, "Missing X-Signature or X-Timestamp header"), (self.sign("GET", f"{WG}/dump", timestamp=str(now - 301)), "Request timestamp too old"),
                (self.sign("GET", f"{WG}/dump", timestamp="x"), "Invalid timestamp"), (self.sign("GET", "/v1/wg/wg1/dump"), "Invalid signature"),
                (self.sign("POST", f"{WG}/dump"), "Invalid signature")]
        for headers, text in rows:
            self.is_(self.request(self.agent_port, "GET", f"{WG}/dump", None, headers), 401, {"error": text})
        self.is_(self.request(self.agent_port, "GET", f"{WG}/dump", None, self.sign("GET", f"{WG}/dump", timestamp=str(now + 290))), 200)

    def test_health_and_metrics_are_open_but_a_wrong_signature_is_refused(self):
        for target in ("/health", "/v1/health", "/v1/metrics"):
            self.is_(self.request(self.agent_port, "GET", target), 200)
            self.is_(self.request(self.agent_port, "GET", target, None, self.sign("GET", target)), 200)
            self.is_(self.request(self.agent_port, "GET", target, None, self.sign("GET", "/x")), 401)
        health = self.request(self.agent_port, "GET", "/health").json
        self.assertEqual(list(health), ["status", "timestamp", "uptime", "version"])

    def test_a_repeated_request_is_not_done_again(self):
        key, body = new_key(1), json.dumps({"public_key": new_key(1), "allowed_ips": ["10.0.1.2/32"]})
        add = self.sign("POST", f"{WG}/peers", body)
        first = self.request(self.agent_port, "POST", f"{WG}/peers", body, add)
        self.is_(first, 200)
        again = self.request(self.agent_port, "POST", f"{WG}/peers", body, add)
        self.is_(again, 200, first.json)  # its effect still stands
        self.is_(self.agent("DELETE", f"{WG}/peers/{key}"), 200)
        self.is_(self.request(self.agent_port, "POST", f"{WG}/peers", body, add), 409, {"error": "Repeated request, sign it again"})
        self.gateway.kill()
        self.gateway.start()
        self.find_ports_again()
        self.is_(self.request(self.agent_port, "POST", f"{WG}/peers", body, add), 409)
        self.is_(self.request(self.agent_port, "POST", f"{WG}/peers?x", body, add), 409)  # signed is the path alone
        self.assertEqual(self.gateway.on_device(), {})
        nonce = self.sign("POST", f"{WG}/peers", body, nonce="once")
        self.is_(self.request(self.agent_port, "POST", f"{WG}/peers", body, nonce), 200)
        self.is_(self.request(self.agent_port, "POST", f"{WG}/peers", body, nonce), 401)

    def find_ports_again(self):
        self.agent_port = int(re.findall(r"agent: http://127\.0\.0\.1:(\d+)", self.logged())[-1])

    def test_without_a_secret_of_its_own_it_does_not_start(self):
        self.gateway.stop()
        for secret in ("", "change-me-in-production"):
            self.gateway.env = {"WG_AGENT_SECRET": secret}
            process = self.gateway.spawn()
            self.assertEqual(process.wait(20), 3)
            process.stdout.close()
            self.assertIn("WG_AGENT_SECRET", self.logged())


class Numbers(AgentTest):
    def test_status_and_metrics_have_the_members_of_the_contract(self):
        self.is_(self.agent("POST", f"{WG}/peers", {"public_key": new_key(1), "allowed_ips": ["10.0.1.2/32"]}), 200)
        status = self.agent("GET", "/v1/status").json
        self.assertEqual(list(status), ["status", "timestamp", "uptime", "version", "system", "wireguard"])
        self.assertEqual(list(status["system"]), ["cpu_percent", "memory", "disk", "network"])
        self.soon(lambda: self.agent("GET", "/v1/status").json["wireguard"]["interfaces"]["wg0"]["peer_count"] == 1, "the peer", 3)
        text = self.request(self.agent_port, "GET", "/v1/metrics").text
        names = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
        self.assertEqual(len(names), len(set(names)))  # one pair per name
        self.assertEqual({name for name, _ in names}, {
            "wgdashboard_agent_cpu_percent", "wgdashboard_agent_memory_used_bytes", "wgdashboard_agent_memory_percent",
            "wgdashboard_agent_disk_used_bytes", "wireguard_interface_count", "wireguard_peers_total", "wireguard_peers_active",
            "wireguard_peer_last_handshake_seconds", "wireguard_peer_receive_bytes_total", "wireguard_peer_transmit_bytes_total",
            "wireguard_interface_receive_bytes_total", "wireguard_interface_transmit_bytes_total"})
        self.assertIn(f'wireguard_peer_receive_bytes_total{{interface="wg0",public_key="{new_key(1)[:16]}"}} 0\n', text)


class StatusPage(AgentTest):
    def get(self, target, method="GET"):
        return self.request(self.status_port, method, target)

    def test_the_page_says_what_the_contract_says_and_no_more(self):
        page = self.get("/status")
        self.is_(page, 200)
        self.assertEqual(list(page.json), ["node", "overlay_ip", "wg", "disk_free_gb", "time"])
        self.assertEqual((page.json["node"], page.json["overlay_ip"]), ("node-a", "10.0.1.1"))
        self.assertEqual(page.json["wg"], {"interface": "wg0", "peer_count": 0, "max_last_handshake_sec": 0})
        self.assertRegex(page.json["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertTrue(page.text.endswith("}\n") and ", " not in page.text)
        health = self.get("/health").json
        self.assertEqual((list(health), health["status"]), (["status", "node", "wireguard", "timestamp"], "degraded"))
        ready = self.get("/ready")
        self.assertEqual((ready.text, ready.headers["Content-Type"].split(";")[0]), ("ready", "text/plain"))

    def test_nothing_else_is_there(self):
        for target in ("/", "/status/", "/wg/wg0/dump", "/api/v1/peers", "/metrics", "/health/x"):
            answer = self.get(target)
            self.assertEqual((answer.status, answer.text, answer.headers["Content-Type"].split(";")[0]), (404, "Not Found", "text/plain"))
        self.is_(self.get("/status", "POST"), 405)


if __name__ == "__main__":
    suite.main()

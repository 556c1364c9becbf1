#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The routes of the gateway contract, as its callers use them."""

import concurrent.futures
import http.client
import json
import os
import re
import time
import urllib.parse

from gateway import ApiTest, new_key, suite

P = "2S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk="
P_URL = P.replace("/", "_").replace("+", "-")
C = "/api/v1/configurations/"
NOT_FOUND = {"detail": "Configuration not found"}


class Create(ApiTest):
    def test_the_first_peer_gets_the_host_after_the_gateway(self):
        g = self.gateway
        body = b'{"public_key":"%s","obfuscation_level":"off"}' % P.encode()
        self.is_(g.signed("POST", C, body), 200, {
            "status": "created", "assigned_ip": "10.0.1.2", "server_public_key": g.public, "port": 51820,
            "obfuscation_level": "off"})
        self.assertEqual(g.on_device(), {P: {"10.0.1.2/32"}})
        self.assertIn("every 25 seconds", suite.netns.run("wg", "show", "wg0").stdout)

    def test_traffic_families_decide_the_addresses(self):
        g = self.gateway
        cases = [(["ipv4", "ipv6"], "10.0.1.2", "fd42:4242:1::2"), (["ipv6"], None, "fd42:4242:1::3"),
                 ([], "10.0.1.3", None), (None, "10.0.1.4", None), (["ipv4", "ipv4"], "10.0.1.5", None)]
        for n, (traffic, v4, v6) in enumerate(cases):
            answer = g.create(new_key(n), tunnel_traffic=traffic, port=40001, dns="d2", protocol="dual")
            self.is_(answer, 200)
            self.assertEqual(answer.json["assigned_ip"], v4)
            self.assertEqual(answer.json.get("assigned_ipv6"), v6)
            self.assertEqual(answer.json["port"], 40001)
            self.assertNotIn("obfuscation", answer.json)
        self.assertEqual(g.on_device()[new_key(0)], {"10.0.1.2/32", "fd42:4242:1::2/128"})

    def test_a_key_that_exists_changes_nothing(self):
        g = self.gateway
        self.is_(g.create(P), 200)
        self.is_(g.create(P, tunnel_traffic=["ipv6"]), 200, {"status": "exists"})
        self.assertEqual(g.on_device(), {P: {"10.0.1.2/32"}})

    def test_of_64_equal_creates_at_once_one_creates(self):
        g = self.gateway
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda _: g.create(P), range(64)))
        self.assertTrue(all(a.status == 200 for a in answers), answers)
        states = [a.json["status"] for a in answers]
        self.assertEqual((states.count("created"), states.count("exists")), (1, 63))
        self.assertEqual(g.on_device(), {P: {"10.0.1.2/32"}})

    def test_creates_and_deletes_at_once_give_no_address_twice(self):
        g = self.gateway
        held = {}

        def churn(worker):
            for round_ in range(6):
                key = new_key(100 * worker + round_)
                answer = g.create(key, tunnel_traffic=["ipv4", "ipv6"])
                assert answer.status == 200, answer
                held[key] = {answer.json["assigned_ip"] + "/32", answer.json["assigned_ipv6"] + "/128"}
                if round_ % 2:
                    path = C + key.replace("/", "_").replace("+", "-")
                    del held[key]
                    assert g.signed("DELETE", path).status == 200

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(churn, range(16)))
        self.assertEqual(g.on_device(), held)
        addresses = [a for pair in held.values() for a in pair]
        self.assertEqual(len(addresses), len(set(addresses)))

    def test_without_the_slash_there_is_a_redirect(self):
        answer = self.gateway.signed("POST", C[:-1], {"public_key": P})
        self.is_(answer, 307)
        self.assertEqual(answer.headers["Location"], C)
        self.assertEqual(self.gateway.on_device(), {})

    def test_missing_and_wrong_members_are_named(self):
        g = self.gateway
        self.is_(g.signed("POST", C, {}), 422, {"detail": [
            {"type": "missing", "loc": ["body", "public_key"], "msg": "Field required", "input": {}}]})
        cases = {
            "public_key": [5, "", "short", P[:-2], P + "=", "A" * 44, P.replace("2", "*", 1), g.public, "A" * 43 + "="],
            "tunnel_traffic": ["all", ["ipv5"], [4], {"a": 1}, ["ipv4"] * 9],
            "port": ["51820", -1, 65536, 1.5],
            "dns": ["d4", 1, "D1"],
            "protocol": ["ipv5", 4],
            "obfuscation": ["on", [1]],
            "obfuscation_level": ["none", "", "Off", "extreme ", "5", 0, ["off"]],
            "request_id": [7, "x" * 257],
        }
        for member, values in cases.items():
            for value in values:
                answer = g.create(**{"key": P, member: value} if member != "public_key" else {"key": value})
                self.assertEqual(answer.status, 422, (member, value, answer))
                self.assertEqual(answer.json["detail"][0]["loc"], ["body", member], answer)
        self.assertEqual(g.on_device(), {})

    def test_obfuscation_values_are_checked_one_by_one(self):
        g = self.gateway
        for bad in ({"jc": 129}, {"jmin": 1281}, {"h1": 4294967296}, {"s3": -1}, {"enabled": "yes"}, {"h4": "x"}):
            answer = g.create(P, obfuscation=bad)
            self.is_(answer, 422)
            self.assertEqual(answer.json["detail"][0]["loc"], ["body", *bad], answer)
        self.is_(g.create(P, obfuscation={"jc": 128, "jmin": 1280, "h4": 4294967295, "unknown": 1}), 200)

    def test_null_is_absent_and_unknown_members_are_ignored(self):
        answer = self.gateway.create(P, dns=None, port=None, tunnel_traffic=None, obfuscation=None,
                                     obfuscation_level=None, protocol=None, colour="red")
        self.is_(answer, 200)
        self.assertEqual(answer.json["port"], 51820)

    def test_bodies_that_are_no_object_are_refused(self):
        g = self.gateway
        for body in (b"", b"{", b"[]", b"null", b'"x"', b'{"public_key":"%s","public_key":"%s"}' % ((P.encode(),) * 2),
                     b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", b"\xff\xfe", b'{"public_key":"\\u0000"}'):
            answer = g.signed("POST", C, body)
            self.assertEqual(answer.status, 422, (body, answer))
            self.assertEqual(answer.json["detail"][0]["loc"], ["body"])
        self.is_(g.signed("POST", C, b'{"public_key": "%s", "request_id": "%s"}' % (P.encode(), b"x" * 1048600)), 413)

    def test_end_to_end_mode_needs_a_key_that_is_not_there(self):
        for members in ({"eph_pub": P, "encrypted_blob": P}, {"eph_pub": P}, {"encrypted_blob": P}):
            self.is_(self.gateway.create(P, **members), 400, {"detail": "E2E decryption failed"})


class FullPool(ApiTest):
    extra = ("--subnet4", "192.0.2.0/29", "--rest", "2")

    def test_a_full_pool_says_so_and_gives_again_after_the_rest(self):
        g = self.gateway
        keys = [new_key(n) for n in range(6)]
        for key in keys[:5]:
            self.is_(g.create(key), 200)
        self.is_(g.create(keys[5]), 500, {"detail": "Failed to configure WireGuard peer"})
        self.is_(g.local("POST", "/api/v1/peers", {"name": "late"}), 503)
        self.is_(g.signed("DELETE", C + keys[1].replace("/", "_").replace("+", "-")), 200)
        self.is_(g.create(keys[5]), 500)  # it rests
        time.sleep(2.1)
        answer = g.create(keys[5])
        self.is_(answer, 200)
        self.assertEqual(answer.json["assigned_ip"], "192.0.2.3")
        usage = g.signed("GET", "/api/v1/ip-usage").json["ipv4"]
        self.assertEqual((usage["total"], usage["used"], usage["available"]), (5, 5, 0))


class StatusAndDelete(ApiTest):
    def test_suspended_peers_keep_their_address_and_lose_the_interface(self):
        g = self.gateway
        self.is_(g.create(P), 200)
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", {"status": "suspended"}), 200, {"status": "suspended"})
        self.assertEqual(g.on_device(), {})
        self.assertEqual(g.create(new_key(1)).json["assigned_ip"], "10.0.1.3")
        self.is_(g.create(P), 200, {"status": "exists"})
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", {"status": "active"}), 200, {"status": "updated"})
        self.assertEqual(g.on_device()[P], {"10.0.1.2/32"})
        # What is so already is no error.
        time.sleep(1.1)
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", {"status": "active"}), 200, {"status": "updated"})

    def test_both_readings_of_the_signed_status_are_accepted(self):
        g = self.gateway
        self.is_(g.create(P), 200)
        raw = b'{ "status" :"suspended", "extra": 1}'
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", raw, signed=b'{"status": "suspended"}'), 200)
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", raw), 200)
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", raw, signed=b'{"status": "active"}'), 401)
        self.is_(g.signed("PUT", f"{C}{P_URL}/status", raw, signed=b""), 401)

    def test_other_words_are_refused(self):
        g = self.gateway
        self.is_(g.create(P), 200)
        for body in ({"status": "paused"}, {"status": ""}, {"status": 1}, {}, {"status": None}, {"status": "Active"}):
            answer = g.signed("PUT", f"{C}{P_URL}/status", body)
            self.is_(answer, 422)
            self.assertEqual(answer.json["detail"][0]["loc"], ["body", "status"])
        self.assertIn(P, g.on_device())

    def test_delete_removes_record_and_peer(self):
        g = self.gateway
        self.is_(g.create(P), 200)
        self.is_(g.signed("DELETE", C + P_URL), 200, {"status": "deleted"})
        self.assertEqual(g.on_device(), {})
        time.sleep(1.1)
        self.is_(g.signed("DELETE", C + P_URL), 404, NOT_FOUND)
        self.assertEqual(g.signed("GET", "/api/v1/ip-usage").json["ipv4"]["assigned_ips"], [])

    def test_a_peer_only_the_interface_has_is_deleted_too(self):
        g = self.gateway
        suite.netns.run("wg", "set", "wg0", "peer", P, "allowed-ips", "10.0.1.77/32")
        self.is_(g.signed("DELETE", C + P_URL), 200,
                 {"status": "deleted", "message": "Peer removed from WireGuard"})
        self.assertEqual(g.on_device(), {})

    def test_a_peer_created_while_a_stranger_with_its_key_is_removed_is_stored_and_set_or_neither(self):
        g = self.gateway
        for n in range(30):
            key = new_key(1000 + n)
            url = key.replace("/", "_").replace("+", "-")
            suite.netns.run("wg", "set", "wg0", "peer", key, "allowed-ips", "10.9.9.9/32")
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                removal = other.submit(g.signed, "DELETE", C + url)
                created = g.create(key)
                self.is_(removal.result(), 200)
            self.is_(created, 200)
            is_stored = g.local("GET", "/api/v1/peers/" + url).status == 200
            self.soon(lambda: (key in g.on_device()) == is_stored, f"peer {n} on the interface as stored: {is_stored}")

    def test_every_spelling_of_a_key_is_understood(self):
        g = self.gateway
        slash = next(k for k in map(new_key, range(10000)) if k.startswith("/") and k.count("+"))
        begin = int(time.time()) - 5
        for key in (P, slash):
            url = key.replace("/", "_").replace("+", "-")
            spellings = [url, url.rstrip("="), url.rstrip("=") + "%3D", url.rstrip("=") + "%253D",
                         urllib.parse.quote(key, safe=""), key]
            if key is slash:
                spellings += [url[1:], key[1:], urllib.parse.quote(key[1:], safe="")]
            self.is_(g.create(key), 200)
            for n, spelling in enumerate(spellings):
                status = ("suspended", "active")[n % 2]
                # A second each: the same change in another spelling would be a replay.
                answer = g.signed("PUT", f"{C}{spelling}/status", {"status": status}, timestamp=str(begin + n))
                self.assertEqual(answer.status, 200, (spelling, answer))
        for spelling in ("x", "%00", url[:-3], url + "x", "..", "%2e%2e", P_URL + "/", P_URL + "%2F", "-" * 43):
            answer = g.signed("DELETE", C + spelling)
            self.assertEqual(answer.status, 400 if "%00" in spelling else 404, (spelling, answer))
        self.assertEqual(len(g.signed("GET", "/api/v1/ip-usage").json["ipv4"]["assigned_ips"]), 2)


class Reports(ApiTest):
    def test_ip_usage_tells_the_true_pool(self):
        g = self.gateway
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 200, {
            "ipv4": {"total": 253, "used": 0, "available": 253, "assigned_ips": [], "gateway_ip": "10.0.1.1"},
            "ipv6": {"total": (1 << 24) - 2, "used": 0, "available": (1 << 24) - 2, "assigned_ips": [],
                     "gateway_ip": "fd42:4242:1::1"}})
        for n in range(9):
            g.create(new_key(n), tunnel_traffic=["ipv4", "ipv6"] if n % 2 else ["ipv4"])
        usage = g.signed("GET", "/api/v1/ip-usage").json
        self.assertEqual(usage["ipv4"]["assigned_ips"], sorted(f"10.0.1.{n}" for n in range(2, 11)))
        self.assertEqual((usage["ipv4"]["used"], usage["ipv4"]["available"]), (9, 244))
        self.assertEqual(usage["ipv6"]["used"], 4)

    def test_server_status_counts_peers_and_handshakes(self):
        g = self.gateway
        for n in range(3):
            self.is_(g.create(new_key(n)), 200)
        # The interface was looked at when the gateway started; that is good for a moment.
        self.soon(lambda: g.signed("GET", "/api/v1/server/status").json["total_peers"] == 3, "three peers", 3)
        answer = g.signed("GET", "/api/v1/server/status")
        self.is_(answer, 200)
        self.assertEqual(set(answer.json), {"wireguard_peers", "total_peers", "memory_usage", "load_average",
                                            "timestamp", "status"})
        self.assertEqual((answer.json["wireguard_peers"], answer.json["total_peers"]), (0, 3))
        self.assertEqual(answer.json["status"], "healthy")
        self.assertTrue(0 < answer.json["memory_usage"] < 100)
        now = time.strftime("%Y-%m-%dT%H:", time.localtime())
        self.assertRegex(answer.json["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$")
        self.assertTrue(answer.json["timestamp"].startswith(now[:10]))


class Levels(ApiTest):
    WORDS = {"off": "off", "low": "low", "basic": "low", "medium": "medium", "high": "high", "extreme": "extreme",
             "stealth": "extreme"}

    def profiles(self):
        """What the tunnel accepts: {name: {parameter: value}}, in the UAPI's spelling."""
        lines = [line.split("=", 1)[1] for line in self.gateway.device.uapi("get=1\n\n")
                 if line.startswith("culvert_profile=")]
        found = {}
        for line in lines:
            name, *words = re.findall(r"[^\s<]+(?:<[^>]*>)*", line)
            found[name] = dict(word.split("=", 1) for word in words)
        return found

    def test_every_word_for_a_level_is_taken_and_echoed(self):
        g = self.gateway
        for n, (word, level) in enumerate(self.WORDS.items()):
            answer = g.create(new_key(n), obfuscation_level=word)
            self.is_(answer, 200)
            self.assertEqual(answer.json["obfuscation_level"], word)
            path = "/api/v1/peers/" + new_key(n).replace("/", "_")
            self.assertEqual(g.local("GET", path).json["obfuscation_level"], level)
        self.assertEqual(len(g.on_device()), len(self.WORDS))

    def test_an_unknown_word_is_refused_and_the_known_ones_named(self):
        answer = self.gateway.create(P, obfuscation_level="utmost")
        self.is_(answer, 422)
        detail, = answer.json["detail"]
        self.assertEqual((detail["loc"], detail["input"]), (["body", "obfuscation_level"], "utmost"))
        for word in self.WORDS:
            self.assertIn(f"'{word}'", detail["msg"])
        self.assertEqual(self.gateway.on_device(), {})

    def test_the_reply_holds_what_the_tunnel_accepts(self):
        g, accepted = self.gateway, self.profiles()
        self.assertEqual(set(accepted), {"low", "medium", "high", "extreme"})
        order = ["status", "assigned_ip", "server_public_key", "port", "obfuscation_level", "obfuscation"]
        for n, (word, level) in enumerate(self.WORDS.items()):
            if level == "off":
                continue
            answer = g.create(new_key(n), obfuscation_level=word, tunnel_traffic=["ipv4", "ipv6"])
            self.is_(answer, 200)
            self.assertEqual(list(answer.json)[:6], order)
            given, theirs = answer.json["obfuscation"], accepted[level]
            self.assertEqual(list(given), ["enabled", "jc", "jmin", "jmax", "s1", "s2", "s3", "s4", "h1", "h2", "h3", "h4"])
            self.assertIs(given.pop("enabled"), True)
            for name, value in given.items():
                self.assertIs(type(value), int)
                self.assertEqual(value, int(theirs.get(name, "0").split("-")[0]), (level, name))
            # Beside it: all of what the client's file needs, ranges of headers too.
            whole = answer.json["amneziawg"]
            for name in ("S1", "S2", "S3", "S4", "H1", "H2", "H3", "H4"):
                self.assertEqual(whole.get(name), theirs.get(name.lower()), (level, name))
            self.assertEqual("HeaderProtectionKey" in whole, level == "extreme")
            self.assertEqual("-" in whole["H1"], level == "high")
            self.assertEqual(int(whole["MTU"]), 1500 - 80 - int(whole.get("S4", 0)))
            self.assertRegex(whole["PersistentKeepalive"], r"^\d+-\d+$" if level == "extreme" else "^25$")

    def test_no_peer_changes_what_all_share(self):
        g, before = self.gateway, self.profiles()
        self.is_(g.create(P, obfuscation_level="high", obfuscation={"jc": 9, "s1": 99, "h1": 77}), 200)
        self.assertEqual(self.profiles(), before)

    def test_without_a_word_the_contract_says_off(self):
        g = self.gateway
        g.stop()
        g.start("--obfuscation", "extreme")
        for n, members in enumerate(({}, {"obfuscation_level": None})):
            answer = g.create(new_key(n), **members)
            self.is_(answer, 200)
            self.assertEqual(answer.json["obfuscation_level"], "off")
            self.assertNotIn("obfuscation", answer.json)
            self.assertNotIn("amneziawg", answer.json)
        # Our own route has the gateway's default.
        self.assertEqual(g.local("POST", "/api/v1/peers", {"name": "a"}).json["obfuscation_level"], "extreme")


class Routing(ApiTest):
    def test_unknown_paths_and_methods(self):
        g = self.gateway
        for path in ("/", "/api", "/api/v1/ip-usage/", "//api/v1/ip-usage", "/api/v1/../v1/ip-usage", "/API/v1/ip-usage",
                     "/api/v1/ip%2Dusage", "/api/v1/configurations/%2e%2e/ip-usage/x/status/y", "/api/v1/ip-usage;x"):
            answer = g.signed("GET", path)
            self.assertIn(answer.status, (404, 405), (path, answer))
        self.is_(g.signed("GET", "/nothing"), 404, {"detail": "Not Found"})
        answer = g.signed("POST", "/api/v1/ip-usage")
        self.is_(answer, 405, {"detail": "Method Not Allowed"})
        self.assertEqual(answer.headers["Allow"], "GET")
        self.is_(g.raw("HEAD", "/api/v1/ip-usage"), 422)
        self.is_(g.raw("BREW", "/api/v1/ip-usage"), 501)

    def test_no_route_answers_without_authentication(self):
        g = self.gateway
        self.is_(g.create(P), 200)
        routes = [("POST", C), ("PUT", f"{C}{P_URL}/status"), ("DELETE", C + P_URL), ("GET", "/api/v1/ip-usage"),
                  ("GET", "/api/v1/server/status"), ("GET", "/api/v1/peers"), ("POST", "/api/v1/peers"),
                  ("GET", f"/api/v1/peers/{P_URL}"), ("PATCH", f"/api/v1/peers/{P_URL}"),
                  ("DELETE", f"/api/v1/peers/{P_URL}"), ("GET", f"/api/v1/peers/{P_URL}/configuration"),
                  ("GET", "/api/v1/profiles"), ("POST", "/api/v1/profiles/low/rotate")]
        for method, target in routes:
            body = b'{"public_key":"x","status":"suspended","enabled":false,"name":"x"}'
            ours = "/peers" in target or "/profiles" in target
            self.is_(g.raw(method, target, body), 401 if ours else 422)
            wrong = {"signature": "0" * 64, "timestamp": str(int(time.time()))}
            self.is_(g.raw(method, target, body, wrong), 401)
            wrong.update({"X-Signature-Version": "2", "X-Nonce": "n"})
            self.is_(g.raw(method, target, body, wrong), 401)
        # A wrong path inside our prefix has nothing to show either.
        self.assertIn(P, g.on_device())

    def test_answers_carry_their_type_and_are_not_stored(self):
        answer = self.gateway.signed("GET", "/api/v1/ip-usage")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
        self.assertEqual(self.gateway.raw("GET", "/api/v1/peers").headers["Content-Type"],
                         "application/problem+json")

    def test_many_connections_and_pipelined_requests(self):
        g = self.gateway
        open_ones = [http.client.HTTPConnection("127.0.0.1", g.port, timeout=20) for _ in range(100)]
        try:
            for c in open_ones:
                c.connect()
            for c in open_ones:
                for _ in range(2):
                    self.is_(g.signed("GET", "/api/v1/ip-usage", connection=c), 200)
        finally:
            for c in open_ones:
                c.close()


class Resolvers(ApiTest):
    env = {"DNS_SERVERS": json.dumps({"d1": "9.9.9.9", "d2": "1.0.0.1"}), "DNS_D1": "10.65.1.1, 10.65.1.2"}
    extra = ("--endpoint", "vpn.example.org")

    def test_resolvers_and_endpoint_come_from_the_environment_and_arguments(self):
        answer = self.gateway.local("POST", "/api/v1/peers", {"name": "phone"})
        self.is_(answer, 201)
        self.assertEqual(answer.json["client"]["dns"], ["10.65.1.1", "10.65.1.2"])
        self.assertEqual(answer.json["client"]["endpoint"], "vpn.example.org:51820")
        self.assertIn("DNS = 10.65.1.1, 10.65.1.2\n", answer.json["configuration"])
        self.assertIn("Endpoint = vpn.example.org:51820\n", answer.json["configuration"])


if __name__ == "__main__":
    suite.main()

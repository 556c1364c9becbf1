#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The users' API, on a listener of its own, with a tree of parameters behind it.

    master, users ── Bearer ── :users ── gateway-serve ── wg0
                                              │
                                a directory, or a Parameter Store on the loopback
"""

import base64
import hashlib
import http.client
import json
import os
import re
import stat
import sys
import time

from gateway import Answer, ApiTest, Gateway, new_key, suite, tunnel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cmd"))
import parameter_store  # noqa: E402

# One user's file, as published.
CONFIG = """\
# WireGuard VPN Client Configuration for {id}
# Save this as {id}.conf and use with: wg-quick up {id}.conf

[Interface]
PrivateKey = {private}
Address = {address}/24
DNS = 8.8.8.8, 8.8.4.4

[Peer]
PublicKey = {server}
Endpoint = vpn.example.com:51820
AllowedIPs = 0.0.0.0/0
PersistentKeepalive = 25

# To connect:
# 1. Install WireGuard: https://www.wireguard.com/install/
# 2. Save this config as {id}.conf
# 3. Run: wg-quick up {id}.conf
# 4. To disconnect: wg-quick down {id}.conf
"""
LEAVES = {"wg-private-key", "wg-public-key", "created-at", "status", "address", "api-key"}
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Tree:
    """The directory, as somebody with an editor sees it."""

    def __init__(self, path):
        self.path = path

    def read(self, name):
        with open(f"{self.path}/{name}") as f:
            return f.read()

    def write(self, name, value):
        path = f"{self.path}/{name}"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(value)
        os.rename(path + ".new", path)

    def leaves(self, user):
        try:
            return set(os.listdir(f"{self.path}/users/{user}"))
        except FileNotFoundError:
            return set()

    def names(self):
        try:
            return set(os.listdir(f"{self.path}/users"))
        except FileNotFoundError:
            return set()

    def remove(self, name):
        os.unlink(f"{self.path}/{name}")

    def remove_user(self, user):
        for leaf in self.leaves(user):
            self.remove(f"users/{user}/{leaf}")
        os.rmdir(f"{self.path}/users/{user}")


class UsersTest(ApiTest):
    extra = ("--listen-users", "http://127.0.0.1:0", "--subnet4", "10.0.0.0/24", "--endpoint", "vpn.example.com")

    def setUp(self):
        super().setUp()
        self.tree = Tree("/run/state/params")
        self.find_port()
        self.master = self.tree.read("master-api-key")

    def find_port(self):
        self.users_port = int(re.findall(r"users: http://127\.0\.0\.1:(\d+)", self.logged())[-1])

    def ask(self, method, target, key=None, body=None, headers=None):
        headers = dict(headers or {})
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        c = http.client.HTTPConnection("127.0.0.1", self.users_port, timeout=60)
        try:
            c.request(method, target, data, headers)
            response = c.getresponse()
            return Answer(response, response.read())
        finally:
            c.close()

    def create(self, user, key=None):
        return self.ask("POST", "/users", key or self.master, {"client_id": user})

    def made(self, user):
        answer = self.create(user)
        self.is_(answer, 200)
        return answer.json

    def shown(self, user):
        return self.ask("GET", f"/users/{user}", self.master)

    def restart(self, *more):
        self.gateway.start(*more)
        self.find_port()

    def audited(self):
        rows = self.gateway.local("GET", "/api/v1/audit?limit=500").json["rows"]
        return [(row["who"], row["action"], row["subject"]) for row in rows]


class Wire(UsersTest):
    def test_a_new_user_is_shown_whole_and_byte_by_byte(self):
        answer = self.create("user1")
        self.is_(answer, 200)
        user = answer.json
        self.assertEqual(set(user), {"api_key", "private_key", "public_key", "client_id", "created_at", "status",
                                     "client_config"})
        self.assertRegex(user["api_key"], r"^[0-9a-f]{64}$")
        self.assertRegex(user["created_at"], TIME)
        self.assertEqual((user["client_id"], user["status"]), ("user1", "active"))
        public = suite.netns.run("wg", "pubkey", input=user["private_key"]).stdout.strip()
        self.assertEqual(user["public_key"], public)
        self.assertEqual(user["client_config"],
                         CONFIG.format(id="user1", private=user["private_key"], address="10.0.0.110", server=self.gateway.public))
        self.assertEqual(self.gateway.on_device(), {public: {"10.0.0.110/32"}})
        shown = self.shown("user1")
        del user["api_key"]  # never again
        self.is_(shown, 200, user)
        self.assertEqual(answer.headers["Content-Type"], "application/json")

    def test_the_tree_holds_the_user_and_only_the_hash_of_the_key(self):
        user = self.made("alice")
        self.assertEqual(self.tree.leaves("alice"), LEAVES)
        for leaf, value in (("wg-private-key", user["private_key"]), ("wg-public-key", user["public_key"]),
                            ("created-at", user["created_at"]), ("status", "active"), ("address", "10.0.0.87"),
                            ("api-key", "sha256:" + sha256(user["api_key"]))):
            self.assertEqual(self.tree.read(f"users/alice/{leaf}"), value)
            self.assertEqual(stat.S_IMODE(os.stat(f"{self.tree.path}/users/alice/{leaf}").st_mode), 0o600)
        self.assertRegex(self.master, r"^[0-9a-f]{64}$")
        self.gateway.stop()
        for name in os.listdir("/run/state"):
            if name.startswith("culvert.db"):
                with open(f"/run/state/{name}", "rb") as f:
                    data = f.read()
                for secret in (user["api_key"], user["private_key"], self.master):
                    self.assertNotIn(secret.encode(), data)
                self.assertNotIn(base64.b64decode(user["private_key"]), data)
        for secret in (user["api_key"], user["private_key"], self.master):
            self.assertNotIn(secret, self.logged())

    def test_addresses_follow_the_rule_and_move_on_when_taken(self):
        for user, octet in (("alice", 87), ("bob", 22), ("carol", 29), ("your-username", 25), ("user1", 110)):
            self.made(user)
            self.assertEqual(self.tree.read(f"users/{user}/address"), f"10.0.0.{octet}")
        same = {}
        for n in range(3000):  # two names with one address, and one whose octet is nobody's
            octet = int(hashlib.md5(f"n{n}".encode()).hexdigest()[:16], 16) % 254 + 2
            same.setdefault(octet, []).append(f"n{n}")
        self.made(same[50][0])
        self.made(same[50][1])
        self.made(same[255][0])
        self.assertEqual(self.tree.read(f"users/{same[50][0]}/address"), "10.0.0.50")
        self.assertEqual(self.tree.read(f"users/{same[50][1]}/address"), "10.0.0.2")
        self.assertEqual(self.tree.read(f"users/{same[255][0]}/address"), "10.0.0.3")

    def test_every_refusal_has_its_words(self):
        self.made("user1")
        self.is_(self.create("user1"), 409, {"detail": "User user1 already exists"})
        self.is_(self.shown("nobody"), 404, {"detail": "User nobody not found"})
        self.is_(self.ask("DELETE", "/users/nobody", self.master), 404, {"detail": "User nobody not found"})
        self.is_(self.ask("DELETE", "/users/user1", self.master), 200, {"message": "User user1 deleted successfully"})
        self.is_(self.ask("DELETE", "/users/user1", self.master), 404, {"detail": "User user1 not found"})
        missing = self.ask("POST", "/users", self.master, {})
        self.is_(missing, 422)
        self.assertEqual([(e["type"], e["loc"], e["msg"]) for e in missing.json["detail"]],
                         [("missing", ["body", "client_id"], "Field required")])
        for wrong in ("", ".x", "a/b", "a b", "ä", "a" * 65, 7, None, ["a"], "../x"):
            answer = self.ask("POST", "/users", self.master, {"client_id": wrong})
            self.is_(answer, 422)
            self.assertEqual(answer.json["detail"][0]["loc"], ["body", "client_id"])
        for body in (b"{", b"[]", b""):
            self.is_(self.ask("POST", "/users", self.master, body), 422)
        for target in ("/users/..%2f..%2fmaster-api-key", "/users/.x", "/users/a/b", "/users/" + "a" * 65, "/users/"):
            self.is_(self.ask("GET", target, self.master), 404)
        self.is_(self.ask("PUT", "/users/user1", self.master), 405)
        self.is_(self.ask("GET", "/nothing", self.master), 404, {"detail": "Not Found"})
        self.assertEqual(self.tree.names(), set())

    def test_names_of_every_kind_and_length(self):
        for name in ("a", "Z9", "x.y", "_", "-", "a" * 64, "user..1", "CON"):
            self.assertEqual(self.made(name)["client_id"], name)
            self.is_(self.shown(name), 200)
        self.assertEqual(self.ask("GET", "/users", self.master).json,
                         sorted(["a", "Z9", "x.y", "_", "-", "a" * 64, "user..1", "CON"]))

    def test_health_is_open(self):
        health = self.ask("GET", "/health")
        self.is_(health, 200)
        self.assertEqual(list(health.json), ["status", "timestamp", "services"])
        self.assertEqual((health.json["status"], health.json["services"]), ("healthy", ["api"]))
        self.assertRegex(health.json["timestamp"], TIME)

    def test_missing_and_wrong_credentials(self):
        for headers, text in (({}, "Not authenticated"), ({"Authorization": "Bearer"}, "Not authenticated"),
                              ({"Authorization": "Bearer "}, "Not authenticated"),
                              ({"Authorization": "Basic " + self.master}, "Invalid authentication credentials"),
                              ({"Authorization": "bearer " + self.master[:-1]}, None)):
            for method, target, own in (("POST", "/users", "Invalid master API key"), ("GET", "/users", "Invalid API key"),
                                        ("GET", "/users/x", "Invalid API key"), ("DELETE", "/users/x", "Invalid master API key")):
                answer = self.ask(method, target, None, {"client_id": "x"} if method == "POST" else None, headers)
                self.is_(answer, 401, {"detail": text or own})
                self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
        self.is_(self.ask("GET", "/users", None, None, {"Authorization": "bearer " + self.master}), 200, [])


if __name__ == "__main__":
    suite.main()

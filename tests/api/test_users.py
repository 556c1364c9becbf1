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
import resource
import socket
import stat
import sys
import time

from gateway import Answer, ApiTest, netns, new_key, suite, tunnel

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
LOOK = 3  # seconds, and the tree has been looked through
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
    host = "127.0.0.1"

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
        c = http.client.HTTPConnection(self.host, self.users_port, timeout=60)
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
        rows = self.gateway.local("GET", "/api/v1/audit?limit=500").json["audit"]
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
        public = netns.run("wg", "pubkey", input=user["private_key"]).stdout.strip()
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


class Callers(UsersTest):
    """Every route with every caller, about one's own and about somebody else's."""

    def callers(self):
        """{caller: key}; a name that begins with "gone" is of no use any more."""
        keys = {"nobody": None, "wrong": "f" * 64, "short": "x", "master": self.master,
                "hash of master": sha256(self.master), "hash of own": None}
        for user in ("own", "other", "gone", "suspended"):
            keys[user] = self.made(user)["api_key"]
        keys["hash of own"] = sha256(keys["own"])
        self.is_(self.ask("DELETE", "/users/gone", self.master), 200)
        self.is_(self.gateway.local("PATCH", "/api/v1/peers/suspended", {"enabled": False}), 200)
        return keys

    def test_every_route_for_every_caller_and_object(self):
        keys = self.callers()
        good = {"master", "own", "other"}
        cells = 0
        for caller, key in keys.items():
            for target in ("own", "other", "gone", "suspended", "never"):
                if caller == "master":
                    expected = 404 if target in ("gone", "never") else 200
                elif caller in good:
                    expected = 200 if target == caller else 404
                else:
                    expected = 401
                answer = self.ask("GET", f"/users/{target}", key)
                self.assertEqual(answer.status, expected, (caller, target, answer))
                if expected == 404:  # the same words, whether it is there or not
                    self.assertEqual(answer.json, {"detail": f"User {target} not found"})
                cells += 1
                if caller != "master":  # nothing is changed by anybody else
                    for method, path, body in (("DELETE", f"/users/{target}", None), ("POST", "/users", {"client_id": f"new-{target}"}),
                                               ("POST", "/users", {"client_id": target})):
                        self.is_(self.ask(method, path, key, body), 401)
                        cells += 1
            listed = self.ask("GET", "/users", key)
            self.assertEqual((listed.status, listed.json if listed.status == 200 else None),
                             (200, ["other", "own", "suspended"]) if caller == "master" else
                             (200, [caller]) if caller in good else (401, None), caller)
            self.is_(self.ask("GET", "/health", key), 200)
            cells += 2
        print(f"# {cells} cells")
        self.assertEqual(self.ask("GET", "/users", self.master).json, ["other", "own", "suspended"])

    def test_keys_of_other_surfaces_mean_nothing_here_and_the_other_way_round(self):
        user = self.made("user1")
        own = self.gateway.local("POST", "/api/v1/keys", {"name": "k", "role": "admin"}).json["key"]
        for key in (own, self.gateway.key):
            self.is_(self.ask("GET", "/users", key), 401)
            self.is_(self.create("x", key), 401)
        for key in (user["api_key"], self.master):
            self.is_(self.gateway.raw("GET", "/api/v1/peers", headers={"Authorization": f"Bearer {key}"}), 401)
        self.is_(self.gateway.raw("GET", "/users", headers={"Authorization": f"Bearer {self.master}"}), 404)
        for target in ("/api/v1/peers", "/metrics", "/docs"):
            self.is_(self.ask("GET", target, self.master), 404)

    def test_the_audit_trail_says_who(self):
        self.made("user1")
        self.is_(self.ask("DELETE", "/users/user1", self.master), 200)
        rows = [(who, action) for who, action, subject in self.audited() if "user1" in subject]
        self.assertEqual(rows, [("users:master", "peer.create"), ("users:master", "user.create"),
                                ("users:master", "peer.delete"), ("users:master", "user.delete")])

    def test_a_user_who_is_suspended_is_shown_so_and_the_tree_follows(self):
        user = self.made("user1")
        self.is_(self.gateway.local("PATCH", "/api/v1/peers/user1", {"enabled": False}), 200)
        self.assertEqual(self.shown("user1").json["status"], "inactive")
        self.is_(self.ask("GET", "/users/user1", user["api_key"]), 401, {"detail": "Invalid API key"})
        self.assertEqual(self.gateway.on_device(), {})
        self.soon(lambda: self.tree.read("users/user1/status") == "inactive", "the tree to follow")
        self.is_(self.gateway.local("PATCH", "/api/v1/peers/user1", {"enabled": True}), 200)
        self.is_(self.ask("GET", "/users/user1", user["api_key"]), 200)
        self.soon(lambda: self.tree.read("users/user1/status") == "active", "the tree to follow")
        self.assertEqual(self.shown("user1").json["status"], "active")

    def test_a_peer_of_that_name_that_is_no_user_stays_out_of_reach(self):
        self.is_(self.gateway.local("POST", "/api/v1/peers", {"name": "laptop"}), 201)
        self.is_(self.create("laptop"), 409, {"detail": "User laptop already exists"})
        self.is_(self.shown("laptop"), 404)
        self.is_(self.ask("DELETE", "/users/laptop", self.master), 404)
        self.assertEqual(self.ask("GET", "/users", self.master).json, [])
        self.is_(self.gateway.local("GET", "/api/v1/peers/laptop"), 200)
        self.assertEqual(self.tree.names(), set())


class Guesser(UsersTest):
    extra = ("--listen-users", "http://10.9.9.9:0 insecure") + UsersTest.extra[2:]
    host = "10.9.9.9"

    def setUp(self):
        netns.run("ip", "address", "add", "10.9.9.9/32", "dev", "lo")
        self.addCleanup(netns.run, "ip", "address", "delete", "10.9.9.9/32", "dev", "lo")
        super().setUp()

    def find_port(self):
        self.users_port = int(re.findall(r"users: http://10\.9\.9\.9:(\d+)", self.logged())[-1])

    def test_who_guesses_keys_has_to_wait_and_who_has_one_does_not(self):
        key = self.made("user1")["api_key"]
        for _ in range(40):  # a user's key where only the master's will do is no guess
            self.is_(self.ask("GET", "/users", key), 200)
            self.is_(self.create("x", key), 401)
        statuses = [self.ask("GET", "/users", f"guess {n}").status for n in range(30)]
        self.assertEqual((statuses[:20], set(statuses[22:])), ([401] * 20, {429}))
        waiting = self.ask("GET", "/users", self.master)
        self.assertEqual(waiting.status, 429)
        self.assertGreaterEqual(int(waiting.headers["Retry-After"]), 1)
        self.is_(self.ask("GET", "/health"), 200)


class AtOnce(UsersTest):
    def test_many_callers_at_once_get_a_user_each_and_one_name_is_given_once(self):
        answers = {}

        def work(n):
            for i in range(10):
                answers[n, i] = self.create(f"user{n}-{i}")
                answers[n, i, "same"] = self.create(f"same{i}")

        threads = [suite.threading.Thread(target=work, args=(n,)) for n in range(8)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"# {len(answers)} requests in {time.monotonic() - began:.1f} s")
        own = [answer for key, answer in answers.items() if len(key) == 2]
        same = [answer.status for key, answer in answers.items() if len(key) == 3]
        self.assertEqual([answer.status for answer in own], [200] * 80)
        self.assertEqual(same.count(200), 10)
        self.assertLessEqual(set(same), {200, 409, 503})  # 503: it is being made just now
        addresses = {re.search("Address = (.*)", answer.json["client_config"])[1] for answer in own}
        self.assertEqual(len(addresses), 80)
        names = {f"user{n}-{i}" for n in range(8) for i in range(10)} | {f"same{i}" for i in range(10)}
        self.assertEqual(self.ask("GET", "/users", self.master).json, sorted(names))
        self.assertEqual(self.tree.names(), names)
        self.assertEqual(len(self.gateway.on_device()), 90)


class EverybodyListed(UsersTest):
    extra = UsersTest.extra + ("--users-list", "all")

    def test_a_user_sees_all_names_if_the_operator_says_so_but_no_more(self):
        key = self.made("b")["api_key"]
        self.made("a")
        self.is_(self.ask("GET", "/users", key), 200, ["a", "b"])
        self.is_(self.ask("GET", "/users/a", key), 404)


class NothingKept(UsersTest):
    extra = UsersTest.extra + ("--users-private-keys", "forget")

    def test_a_private_key_is_in_the_first_reply_and_nowhere_else(self):
        user = self.made("user1")
        self.assertIn(user["private_key"], user["client_config"])
        self.assertEqual(self.tree.leaves("user1"), LEAVES - {"wg-private-key"})
        for key in (self.master, user["api_key"]):
            shown = self.ask("GET", "/users/user1", key).json
            self.assertEqual((shown["private_key"], shown["client_config"], shown["public_key"]), (None, None, user["public_key"]))


class Following(UsersTest):
    """What others do in the tree takes effect here, without a restart."""

    def put_user(self, user, **changed):
        private, public = tunnel.keypair()
        values = {"wg-private-key": private, "wg-public-key": public, "created-at": "2025-11-02T03:04:05.678901",
                  "api-key": "a-key-in-clear-text-of-others", "status": "active", **changed}
        for leaf, value in values.items():
            if value is not None:
                self.tree.write(f"users/{user}/{leaf}", value)
        return values

    def test_a_user_made_elsewhere_becomes_one_here(self):
        values = self.put_user("user1")
        self.soon(lambda: self.shown("user1").status == 200, "the user", 15)
        user = self.shown("user1").json
        self.assertEqual((user["private_key"], user["public_key"], user["created_at"], user["status"]),
                         (values["wg-private-key"], values["wg-public-key"], values["created-at"], "active"))
        self.assertIn("Address = 10.0.0.110/24\n", user["client_config"])
        self.assertEqual(self.gateway.on_device(), {values["wg-public-key"]: {"10.0.0.110/32"}})
        self.soon(lambda: "address" in self.tree.leaves("user1"), "the address in the tree")
        self.assertEqual(self.tree.read("users/user1/address"), "10.0.0.110")
        self.is_(self.ask("GET", "/users", values["api-key"]), 200, ["user1"])
        self.assertEqual([row[:2] for row in self.audited()[-2:]], [("users:tree", "user.adopt"), ("users:tree", "peer.create")])

    def test_keys_encoded_twice_inactive_users_addresses_and_hashed_keys(self):
        private, public = tunnel.keypair()
        twice = base64.b64encode(public.encode()).decode()
        self.put_user("a", **{"wg-public-key": twice, "wg-private-key": private, "address": "10.0.0.200/24", "status": "inactive",
                              "api-key": "sha256:" + sha256("the key of a, long enough")})
        self.put_user("b", **{"address": "10.0.0.200", "wg-private-key": None, "api-key": None, "status": "active\n"})
        self.soon(lambda: self.ask("GET", "/users", self.master).json == ["a", "b"], "both", 15)
        a, b = self.shown("a").json, self.shown("b").json
        self.assertEqual((a["status"], a["public_key"], a["private_key"]), ("inactive", public, private))
        self.assertIn("10.0.0.200/24", a["client_config"])
        self.assertEqual((b["status"], b["private_key"], b["client_config"]), ("active", None, None))
        self.assertEqual(list(self.gateway.on_device()), [b["public_key"]])
        self.is_(self.ask("GET", "/users/a", "the key of a, long enough"), 401)  # inactive
        self.tree.write("users/a/status", "active")
        self.soon(lambda: self.ask("GET", "/users/a", "the key of a, long enough").status == 200, "a to be active", 15)
        self.assertEqual(self.gateway.on_device()[public], {"10.0.0.200/32"})
        self.assertNotEqual(self.tree.read("users/b/address"), "10.0.0.200")  # a had it

    def test_what_is_not_whole_or_not_a_name_is_nobody(self):
        self.put_user("half", status=None)
        self.put_user("keyless", **{"wg-public-key": None})
        self.put_user("wrong", **{"wg-public-key": "x"})
        self.tree.write("users/alone", "active")
        self.tree.write("users/a/b/status", "active")
        self.put_user("good")
        self.soon(lambda: self.ask("GET", "/users", self.master).json == ["good"], "the good one", 15)
        self.assertEqual(len(self.gateway.on_device()), 1)
        self.is_(self.create("keyless"), 200)  # nobody's key was there

    def test_a_user_removed_elsewhere_is_gone_here(self):
        key = self.made("user1")["api_key"]
        self.made("user2")
        time.sleep(LOOK)  # one look, after which both are known from the tree
        self.tree.remove_user("user1")
        self.soon(lambda: self.shown("user1").status == 404, "the end of the user", 15)
        self.is_(self.ask("GET", "/users", key), 401)
        self.assertEqual(len(self.gateway.on_device()), 1)
        self.is_(self.create("user1"), 200)

    def test_status_key_and_master_key_changed_elsewhere(self):
        user = self.made("user1")
        self.tree.write("users/user1/status", "inactive")
        self.soon(lambda: self.gateway.on_device() == {}, "the end of the tunnel", 15)
        self.assertEqual(self.shown("user1").json["status"], "inactive")
        self.tree.write("users/user1/status", "active")
        self.tree.write("users/user1/api-key", "another key for this user")
        self.soon(lambda: self.ask("GET", "/users/user1", "another key for this user").status == 200, "the other key", 15)
        self.is_(self.ask("GET", "/users/user1", user["api_key"]), 401)
        self.tree.write("master-api-key", "a new master key\n")
        self.soon(lambda: self.create("x", "a new master key").status == 200, "the other master key", 15)
        self.is_(self.create("y"), 401, {"detail": "Invalid master API key"})
        self.tree.remove("master-api-key")
        self.soon(lambda: self.ask("DELETE", "/users/y", "a new master key").status == 500, "the end of the master key", 15)
        self.is_(self.create("y", "a new master key"), 500, {"detail": "Master API key not configured"})
        self.is_(self.ask("GET", "/users", "another key for this user"), 200, ["user1"])
        self.tree.remove_user("user1")  # without a master key nobody is removed: is this the right tree?
        time.sleep(LOOK)
        self.assertEqual(len(self.gateway.on_device()), 2)

    def test_a_peer_removed_through_another_surface_is_no_user_any_more(self):
        self.made("user1")
        self.is_(self.gateway.local("DELETE", "/api/v1/peers/user1"), 200)
        self.is_(self.shown("user1"), 404)
        self.soon(lambda: self.tree.names() == set(), "the tree to follow", 15)
        self.is_(self.create("user1"), 200)

    def test_a_restart_finds_everybody_again_and_another_tree_is_refused(self):
        user = self.made("user1")
        self.gateway.stop()
        self.restart()
        self.is_(self.ask("GET", "/users/user1", user["api_key"]), 200)
        self.gateway.kill()
        self.tree.write("wg/server-public-key", new_key(1))
        self.gateway.spawn()
        self.assertEqual(self.gateway.process.wait(20), 1)
        self.assertIn("another wg/server-public-key than this gateway", self.logged())
        self.tree.write("wg/server-public-key", self.gateway.public)
        self.restart()
        self.gateway.stop()
        self.restart("--params", "dir:/run/state/elsewhere")  # as if the file system had not been mounted
        self.assertIn("has no master-api-key, although 1 users are known", self.logged())
        self.is_(self.create("x"), 500, {"detail": "Master API key not configured"})
        time.sleep(LOOK)
        self.is_(self.ask("GET", "/users", user["api_key"]), 200, ["user1"])


class FarAway(UsersTest):
    """A Parameter Store behind it, which checks the signature of each call with botocore."""

    extra = UsersTest.extra[:2] + ("--params", "ssm:/ephem-vpn") + UsersTest.extra[2:]

    def setUp(self):
        self.store = parameter_store.Store()
        self.addCleanup(self.store.server.shutdown)
        self.env = {"AWS_ENDPOINT_URL_SSM": self.store.url, "AWS_REGION": parameter_store.REGION,
                    "AWS_ACCESS_KEY_ID": parameter_store.ID, "AWS_SECRET_ACCESS_KEY": parameter_store.SECRET}
        self.prepare()
        ApiTest.setUp(self)
        self.find_port()
        self.master = self.store.values["/ephem-vpn/master-api-key"]

    def prepare(self):
        pass

    def of(self, user):
        """{leaf: value} of one user in the store."""
        start = f"/ephem-vpn/users/{user}/"
        return {name[len(start):]: value for name, value in self.store.values.items() if name.startswith(start)}

    def known(self):
        return {name.split("/")[3] for name in self.store.values if name.startswith("/ephem-vpn/users/")}


class Far(FarAway):
    def test_the_life_of_a_user(self):
        self.assertEqual(self.store.types["/ephem-vpn/master-api-key"], "SecureString")
        user = self.made("user1")
        self.assertEqual(self.of("user1"), {"wg-private-key": user["private_key"], "wg-public-key": user["public_key"],
                                            "created-at": user["created_at"], "status": "active", "address": "10.0.0.110",
                                            "api-key": "sha256:" + sha256(user["api_key"])})
        types = {leaf: self.store.types[f"/ephem-vpn/users/user1/{leaf}"] for leaf in LEAVES}
        self.assertEqual(types, {leaf: "SecureString" if leaf in ("wg-private-key", "api-key") else "String" for leaf in LEAVES})
        del user["api_key"]
        self.is_(self.shown("user1"), 200, user)
        self.is_(self.ask("DELETE", "/users/user1", self.master), 200)
        self.assertEqual(self.known(), set())
        self.assertEqual({call.split(".")[1] for call in self.store.calls},
                         {"GetParameter", "PutParameter", "DeleteParameter", "DescribeParameters"})

    def test_a_slow_store_delays_nobody_else(self):
        self.made("user1")
        self.store.delay = 0.2
        slow = [self.in_thread(self.create, f"slow{n}") for n in range(6)]
        time.sleep(0.1)
        took = []
        for _ in range(40):
            for ask in (lambda: self.ask("GET", "/health"), lambda: self.ask("GET", "/users", self.master),
                        lambda: self.gateway.local("GET", "/api/v1/peers"), lambda: self.gateway.raw("GET", "/openapi.json"),
                        lambda: self.create("user1")):
                began = time.monotonic()
                self.assertIn(ask().status, (200, 409))
                took.append(time.monotonic() - began)
            time.sleep(0.01)
        took.sort()
        print(f"# beside six slow calls: median {took[100] * 1000:.0f} ms, longest {took[-1] * 1000:.0f} ms")
        self.assertTrue(all(thread.is_alive() for thread in slow[3:]), "the slow ones went on meanwhile")
        self.assertLess(took[100], 0.1)  # one call to the store takes 200
        for thread in slow:
            thread.join()
        self.assertEqual([answer.status for answer in self.answers], [200] * 6, self.answers)
        self.assertEqual(len(self.gateway.on_device()), 7)

    def test_one_user_who_asks_again_and_again_keeps_nobody_waiting(self):
        key = self.made("user1")["api_key"]
        self.store.delay = 1.0
        asking = [self.in_thread(self.ask, "GET", "/users/user1", key) for _ in range(24)]
        self.soon(lambda: len(self.answers) == 23, "all but the first to be refused", 3)
        self.assertEqual({(answer.status, answer.headers["Retry-After"]) for answer in self.answers}, {(429, "1")})
        began = time.monotonic()
        self.is_(self.shown("user1"), 200)  # by the master's key
        self.assertLess(time.monotonic() - began, 2)
        for thread in asking:
            thread.join()
        self.assertEqual(sorted(answer.status for answer in self.answers), [200] + [429] * 23)
        self.store.delay = 0.0
        self.is_(self.ask("GET", "/users/user1", key), 200)

    def test_reading_leaves_places_for_changes(self):
        self.made("user1")
        self.made("user2")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        self.store.delay = 3.0
        reading = []
        for _ in range(1100):  # more than wait for a thread at most
            s = socket.create_connection((self.host, self.users_port))
            self.addCleanup(s.close)
            s.sendall(f"GET /users/user1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.master}\r\n\r\n".encode())
            reading.append(s)
        reading[-1].settimeout(10)
        self.assertIn(b" 503 ", reading[-1].recv(64))
        changes = [self.in_thread(self.create, "user3"), self.in_thread(self.ask, "DELETE", "/users/user2", self.master)]
        time.sleep(0.5)
        self.store.delay = 0.0
        for thread in changes:
            thread.join()
        self.assertEqual([answer.status for answer in self.answers], [200, 200], self.answers)

    def in_thread(self, call, *arguments):
        self.answers = getattr(self, "answers", [])
        thread = suite.threading.Thread(target=lambda: self.answers.append(call(*arguments)))
        thread.start()
        return thread

    def test_a_user_is_made_whole_or_not_at_all_whichever_call_fails(self):
        for n in range(8):
            user = f"user{n}"
            self.store.fail_after = n  # one after the other: six values are written
            answer = self.create(user)
            self.store.fail_after = None
            if answer.status == 200:
                break
            self.is_(answer, 503, {"detail": "The parameter store cannot be reached; try again"})
            self.assertEqual(self.gateway.on_device(), {}, n)
            self.is_(self.shown(user), 404)
            self.assertEqual(self.ask("GET", "/users", self.master).json, [])
        else:
            self.fail("never made")
        self.assertEqual(n, 6)
        self.soon(lambda: self.known() == {"user6"}, "what was begun to be taken back", 60)
        self.assertEqual([peer["name"] for peer in self.gateway.local("GET", "/api/v1/peers").json["peers"]], ["user6"])
        for n in range(6):
            self.soon(lambda user=f"user{n}": self.create(user).status == 200, "another try", 30)

    def test_a_user_is_cut_off_at_once_whichever_call_of_the_removal_fails(self):
        for n in range(8):
            key = self.made(f"user{n}")["api_key"]
            self.store.fail_after = n
            answer = self.ask("DELETE", f"/users/user{n}", self.master)
            self.assertEqual(self.gateway.on_device(), {}, n)
            self.is_(self.ask("GET", "/users", key), 401)
            self.store.fail_after = None
            if answer.status == 200:
                break
            self.is_(answer, 503)
            self.is_(self.shown(f"user{n}"), 404)
            again = self.ask("DELETE", f"/users/user{n}", self.master)  # tried again here, or just now by itself
            self.assertIn(again.status, (200, 404), again)
        self.assertEqual(n, 7)  # is it this one's key, and six values
        self.soon(lambda: self.known() == set(), "the tree to be clean", 60)

    def test_who_is_asked_for_is_looked_for(self):
        time.sleep(1)  # the first look is over, the next one half a minute away
        for leaf, value in (("wg-public-key", new_key(1)), ("status", "active")):
            self.store.put(f"/ephem-vpn/users/theirs/{leaf}", value)
        self.is_(self.shown("theirs"), 404)
        self.soon(lambda: self.shown("theirs").status == 200, "the user", 12)

    def test_a_name_that_the_store_has_already_is_not_overwritten(self):
        for leaf, value in (("wg-public-key", new_key(1)), ("wg-private-key", new_key(2)), ("status", "active")):
            self.store.put(f"/ephem-vpn/users/theirs/{leaf}", value)
        before = self.of("theirs")
        self.is_(self.create("theirs"), 409, {"detail": "User theirs already exists"})
        self.assertEqual(self.of("theirs"), before)
        self.assertEqual(self.gateway.on_device(), {})


class ManyUsers(FarAway):
    """More of them than a page of the store's lists has, there before the gateway."""

    def prepare(self):
        self.n = suite.scaled(150, 1000)
        self.store.put("/ephem-vpn/master-api-key", "0123456789abcdef" * 4, "SecureString")
        for n in range(self.n):
            key = new_key(n)
            for leaf, value in (("wg-public-key", key), ("wg-private-key", new_key(n + self.n)), ("status", "active"),
                                ("created-at", "2026-01-14T10:30:00.123456"), ("address", f"10.8.{n // 250}.{n % 250 + 2}")):
                self.store.put(f"/ephem-vpn/users/user{n}/{leaf}", value)

    extra = ("--listen-users", "http://127.0.0.1:0", "--params", "ssm:/ephem-vpn", "--subnet4", "10.8.0.0/16")

    def test_a_thousand_users_are_found_page_by_page(self):
        began = time.monotonic()
        self.soon(lambda: len(self.ask("GET", "/users", self.master).json) == self.n, "all users", 240)
        print(f"# {self.n} users in {time.monotonic() - began:.1f} s and {len(self.store.calls)} calls")
        self.assertEqual(self.ask("GET", "/users", self.master).json, sorted(f"user{n}" for n in range(self.n)))
        self.soon(lambda: len(self.gateway.on_device()) == self.n, "all tunnels")
        self.assertEqual(self.gateway.on_device()[new_key(7)], {"10.8.0.9/32"})
        self.gateway.stop()
        self.store.calls.clear()
        self.restart()
        self.assertEqual(len(self.ask("GET", "/users", self.master).json), self.n)
        time.sleep(1.5)  # a look at those who are the same reads nobody again
        self.assertLess(sum(call.endswith(".GetParameter") for call in self.store.calls), 10)
        print(f"# {self.store.connections} connections")
        self.assertLess(self.store.connections, 20)  # a few for each thread of each process


class Crash(FarAway):
    def test_after_kill_9_in_the_middle_there_is_all_of_a_user_or_nothing(self):
        for n in range(suite.scaled(9, 60)):
            user = f"user{n}"
            self.store.delay, seen = 0.02, []
            thread = suite.threading.Thread(target=lambda: seen.append(self.try_to(self.create, user)))
            thread.start()
            time.sleep(0.004 + 0.02 * (n % 9))
            self.gateway.kill()
            thread.join()
            self.store.delay = 0.0
            self.restart()
            acknowledged = seen[0] is not None and seen[0].status == 200
            self.soon(lambda: self.is_settled(user), "the user to be all or nothing", 10)
            listed = user in self.ask("GET", "/users", self.master).json
            if acknowledged:
                self.assertTrue(listed, n)
                self.is_(self.ask("GET", f"/users/{user}", seen[0].json["api_key"]), 200)
            if listed:
                self.is_(self.ask("DELETE", f"/users/{user}", self.master), 200)
            self.soon(lambda: self.create(user).status == 200, "the name to be free", 5)
            self.is_(self.ask("DELETE", f"/users/{user}", self.master), 200)
        self.assertEqual(self.known(), set())

    def try_to(self, call, *arguments):
        try:
            return call(*arguments)
        except (OSError, http.client.HTTPException):
            return None

    def is_settled(self, user):
        listed = user in self.ask("GET", "/users", self.master).json
        peers = [peer["name"] for peer in self.gateway.local("GET", "/api/v1/peers").json["peers"]]
        return set(self.of(user)) == (LEAVES if listed else set()) and (user in peers) == listed

    def test_a_stop_in_the_middle_answers_and_leaves_nothing_half_made(self):
        for n in range(3):
            user, seen = f"stopped{n}", []
            self.store.delay = 0.15
            threads = [suite.threading.Thread(target=lambda: seen.append(self.try_to(self.create, user))),
                       suite.threading.Thread(target=lambda: seen.append(self.try_to(self.create, user + "x")))]
            for thread in threads:
                thread.start()
            time.sleep(0.1 + 0.3 * n)
            self.assertEqual(self.gateway.stop(), 0)
            for thread in threads:
                thread.join()
            self.store.delay = 0.0
            self.restart()
            statuses = sorted(answer.status if answer else 0 for answer in seen)
            self.assertTrue(set(statuses) <= {200, 503}, statuses)
            for one in (user, user + "x"):
                self.soon(lambda: self.is_settled(one), "the user to be all or nothing", 10)
            self.assertEqual(len(self.ask("GET", "/users", self.master).json), statuses.count(200), statuses)
            for one in self.ask("GET", "/users", self.master).json:
                self.is_(self.ask("DELETE", f"/users/{one}", self.master), 200)

    def test_a_removal_that_was_acknowledged_or_begun_stays(self):
        for n in range(suite.scaled(6, 60)):
            user = f"user{n}"
            key = self.made(user)["api_key"]
            self.store.delay = 0.02
            thread = suite.threading.Thread(target=lambda: self.try_to(self.ask, "DELETE", f"/users/{user}", self.master))
            thread.start()
            time.sleep(0.01 + 0.02 * (n % 8))
            self.gateway.kill()
            thread.join()
            self.store.delay = 0.0
            self.restart()
            self.soon(lambda: self.is_settled(user), "the user to be all or nothing", 10)
            if user not in self.ask("GET", "/users", self.master).json:
                self.is_(self.ask("GET", "/users", key), 401)
                self.assertEqual(self.gateway.on_device(), {})
            else:  # it had not begun
                self.is_(self.ask("DELETE", f"/users/{user}", self.master), 200)


class Encrypted(FarAway):
    """By a name, over TLS: inside the sandbox, which has few files and no program."""

    def setUp(self):
        netns.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                  "-keyout", "/run/store.key", "-out", "/run/store.crt", "-subj", "/CN=ssm.test", "-addext", "subjectAltName=DNS:ssm.test")
        with open("/run/store.pem", "w") as f:
            f.write(open("/run/store.crt").read() + open("/run/store.key").read())
        with open("/run/hosts", "w") as f:
            f.write("127.0.0.1 localhost\n127.0.0.1 ssm.test\n::1 ssm.test\n")
        os.chmod("/run/hosts", 0o644)
        netns.run("mount", "--bind", "/run/hosts", "/etc/hosts")
        self.addCleanup(netns.run, "umount", "/etc/hosts")
        self.store = parameter_store.Store("/run/store.pem", "ssm.test")
        self.addCleanup(self.store.server.shutdown)
        self.env = {"AWS_ENDPOINT_URL_SSM": self.store.url, "AWS_REGION": parameter_store.REGION, "AWS_CA_BUNDLE": "/run/store.crt",
                    "AWS_ACCESS_KEY_ID": parameter_store.ID, "AWS_SECRET_ACCESS_KEY": parameter_store.SECRET}
        ApiTest.setUp(self)
        self.find_port()
        self.master = self.store.values["/ephem-vpn/master-api-key"]

    def test_the_sandbox_lets_names_and_certificates_through(self):
        user = self.made("user1")
        self.is_(self.ask("GET", "/users/user1", user["api_key"]), 200)
        self.is_(self.ask("DELETE", "/users/user1", self.master), 200)
        self.assertEqual(self.gateway.stop(), 0)

    def test_a_certificate_of_somebody_else_is_refused(self):
        self.gateway.stop()
        del self.gateway.env["AWS_CA_BUNDLE"]
        self.gateway.spawn()
        self.assertEqual(self.gateway.process.wait(20), 1)
        self.assertIn("ssm.test", self.logged())


class NotThere(FarAway):
    def test_a_store_that_is_down_at_the_start_keeps_nobody_from_their_tunnel(self):
        user = self.made("user1")
        self.gateway.stop()
        port = self.store.server.server_port
        self.store.server.shutdown()
        self.store.server.server_close()
        self.restart()
        self.assertEqual(list(self.gateway.on_device()), [user["public_key"]])
        self.is_(self.ask("GET", "/users", user["api_key"]), 200, ["user1"])
        self.is_(self.ask("GET", "/users", self.master), 503)
        self.is_(self.create("x"), 503)
        self.is_(self.ask("GET", "/users/user1", user["api_key"]), 503)
        self.is_(self.gateway.local("GET", "/api/v1/peers"), 200)
        self.assertIn("is not reached, it is tried again", self.logged())
        self.assertTrue(port)

    def test_wrong_credentials_are_told_at_the_start(self):
        self.gateway.stop()
        self.gateway.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
        self.gateway.spawn()
        self.assertEqual(self.gateway.process.wait(20), 1)
        self.assertIn("InvalidSignatureException", self.logged())


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A token, and whoever has it becomes a user, once.

    admin ── :api ──┐
    laptop ─ :users ┴── gateway-serve ── wg0
                              │
                        a directory of parameters
"""

import json
import os
import sqlite3
import subprocess
import threading
import time

from gateway import CULVERT, ApiTest, Gateway, netns, new_key, suite
from test_users import UsersTest

ENROLMENTS = "/api/v1/enrolments"
NOT_GOOD = {"detail": "This token is not good: it was used already, its time is over, or it never was one"}
SOMEBODY = "198.51.100.7"  # on the loopback, and yet not of it


class EnrolTest(UsersTest):
    def token(self, **body):
        answer = self.gateway.local("POST", ENROLMENTS, body)
        self.is_(answer, 201)
        return answer.json["token"]

    def enroll(self, token, key=None, **more):
        return self.ask("POST", "/enroll", None, {"token": token, "public_key": key or new_key(), **more})

    def records(self):
        return self.gateway.local("GET", ENROLMENTS).json["enrolments"]


class Wire(EnrolTest):
    def test_a_token_makes_one_user_whose_private_key_is_nowhere_here(self):
        made = self.gateway.local("POST", ENROLMENTS, {"client_id": "user1"})
        self.is_(made, 201)
        self.assertEqual(set(made.json), {"id", "client_id", "created", "expires", "token"})
        self.assertRegex(made.json["token"], r"^[0-9a-f]{64}$")
        token, key = made.json["token"], new_key(1)
        self.assertNotIn(token, self.gateway.local("GET", ENROLMENTS).text)
        answer = self.enroll(token, key)
        self.is_(answer, 200)
        user = answer.json
        self.assertEqual(set(user), {"api_key", "private_key", "public_key", "client_id", "created_at", "status", "client_config",
                                     "configuration"})
        self.assertEqual((user["private_key"], user["client_config"], user["public_key"], user["client_id"]), (None, None, key, "user1"))
        self.assertEqual(user["configuration"],
                         {"address": "10.0.0.110/24", "dns": ["8.8.8.8", "8.8.4.4"], "server_public_key": self.gateway.public,
                          "endpoint": "vpn.example.com:51820", "allowed_ips": ["0.0.0.0/0"], "persistent_keepalive": 25})
        self.assertEqual(self.gateway.on_device(), {key: {"10.0.0.110/32"}})
        self.assertEqual(self.tree.leaves("user1"), {"wg-public-key", "created-at", "status", "address", "api-key"})
        own = self.ask("GET", "/users/user1", user["api_key"])
        self.is_(own, 200)
        self.assertEqual((own.json["public_key"], own.json["client_config"]), (key, None))
        self.assertEqual(self.records(), [])
        self.is_(self.enroll(token), 403, NOT_GOOD)
        self.assertEqual(self.tree.names(), {"user1"})
        number = made.json["id"]
        rows = {row[:2] for row in self.audited()}
        for row in (("uid 0", "enrolment.create"), (f"enrolment {number} from 127.0.0.1", "enrolment.use"),
                    (f"enrolment {number} from 127.0.0.1", "user.create"), (f"enrolment {number} from 127.0.0.1", "peer.create")):
            self.assertIn(row, rows)

    def test_whoever_has_a_token_without_a_name_chooses_one(self):
        token = self.token()
        self.is_(self.enroll(token), 422)
        self.made("taken")
        self.is_(self.enroll(token, client_id="taken"), 409, {"detail": "User taken already exists"})
        self.is_(self.enroll(token, client_id="../x"), 422)
        self.assertEqual(len(self.records()), 1)  # none of that used it up
        self.is_(self.enroll(token, client_id="mine"), 200)
        named = self.token(client_id="other")
        self.is_(self.enroll(named, client_id="mine2"), 422, {"detail": "This token is for another client_id"})
        self.is_(self.enroll(named, client_id="other"), 200)
        self.assertEqual(self.tree.names(), {"taken", "mine", "other"})

    def test_keys_that_nobody_may_have_are_refused_and_the_token_stays(self):
        token = self.token(client_id="a")
        for key in ("", "x", "A" * 43 + "=", self.gateway.public, new_key()[:-2], 7, None):
            self.is_(self.ask("POST", "/enroll", None, {"token": token, "public_key": key}), 422)
        first = self.made("first")
        self.is_(self.enroll(token, first["public_key"]), 409)
        for body in (b"", b"{", b"[]", json.dumps({"public_key": new_key()}).encode()):
            self.is_(self.ask("POST", "/enroll", None, body), 422)
        self.assertEqual(len(self.records()), 1)
        self.is_(self.enroll(token), 200)

    def test_the_master_key_makes_tokens_and_no_other_key_of_users_does(self):
        user = self.made("user1")
        self.is_(self.ask("POST", "/enrolments", user["api_key"], {"client_id": "x"}), 401)
        self.is_(self.ask("POST", "/enrolments", None, {"client_id": "x"}), 401)
        self.is_(self.ask("POST", "/enrolments", self.master, {"client_id": "user1"}), 409, {"detail": "User user1 already exists"})
        for wrong in ({"client_id": ".x"}, {"client_id": 3}, {"ttl": 59}, {"ttl": 604801}, {"ttl": "1h"}, {"tll": 60}):
            self.is_(self.ask("POST", "/enrolments", self.master, wrong), 422)
        answer = self.ask("POST", "/enrolments", self.master, {"client_id": "laptop"})
        self.is_(answer, 201)
        self.is_(self.enroll(answer.json["token"]), 200)

    def test_the_matrix_of_roles(self):
        g = self.gateway
        keys = {role: g.local("POST", "/api/v1/keys", {"name": role, "role": role}).json["key"] for role in ("reader", "operator", "admin")}
        number = g.local("POST", ENROLMENTS, {}).json["id"]
        for method, target, body, good in (("GET", ENROLMENTS, None, 200), ("POST", ENROLMENTS, {"client_id": "x"}, 201),
                                           ("DELETE", f"{ENROLMENTS}/{number}", None, 200)):
            data = b"" if body is None else json.dumps(body).encode()
            for role, key in keys.items():
                answer = g.raw(method, target, data, {"Authorization": f"Bearer {key}"})
                self.is_(answer, good if role == "admin" else 403)
            self.is_(g.raw(method, target, data), 401)

    def test_the_command_prints_a_token(self):
        command = [CULVERT, "gateway", "peer", "enroll", "laptop", "--state", self.gateway.state]
        done = subprocess.run([*command, "--ttl", "2h"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^[0-9a-f]{64}\n$")
        self.assertIn("for the user laptop", done.stderr)
        self.is_(self.enroll(done.stdout.strip()), 200)
        self.assertEqual(subprocess.run(command, capture_output=True).returncode, 3)  # there is a laptop
        for wrong in ("x", "1s", "31d"):
            self.assertEqual(subprocess.run([*command, "--ttl", wrong], capture_output=True).returncode, 2, wrong)


class Ends(EnrolTest):
    def test_a_token_that_was_removed_or_is_old_is_none(self):
        first = self.gateway.local("POST", ENROLMENTS, {"client_id": "a"}).json
        self.is_(self.gateway.local("DELETE", f"{ENROLMENTS}/{first['id']}"), 200)
        self.is_(self.enroll(first["token"]), 403, NOT_GOOD)
        second = self.token(client_id="b")
        self.gateway.stop()
        with sqlite3.connect(f"{self.gateway.state}/culvert.db") as db:
            (body,), = db.execute("SELECT body FROM record WHERE kind = 9").fetchall()
            over = {**json.loads(body), "until_ns": time.time_ns() - 10**9}
            db.execute("UPDATE record SET body = ? WHERE kind = 9", (json.dumps(over, separators=(",", ":")),))
        db.close()
        self.restart()
        self.is_(self.enroll(second), 403, NOT_GOOD)
        self.token(client_id="c")
        self.soon(lambda: [r["client_id"] for r in self.records()] == ["c"], "the old one to be gone")
        self.assertEqual(self.tree.names(), set())

    def test_of_two_at_once_one_becomes_a_user(self):
        for n in range(suite.scaled(6, 100)):
            token, answers = self.token(), []
            threads = [threading.Thread(target=lambda i=i: answers.append(self.enroll(token, client_id=f"r{n}-{i}"))) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(a.status for a in answers), [200, 403, 403, 403], answers)
            won = next(a.json["client_id"] for a in answers if a.status == 200)
            self.soon(lambda: {name for name in self.tree.names() if name.startswith(f"r{n}-")} == {won}, "one user")
            self.assertEqual({u for u in self.ask("GET", "/users", self.master).json if u.startswith(f"r{n}-")}, {won})
        self.assertEqual(self.records(), [])

    def test_a_crash_loses_no_token_and_none_is_good_twice(self):
        token = self.token(client_id="a")
        self.gateway.kill()
        self.restart()
        key = new_key()
        answer = self.enroll(token, key)
        self.is_(answer, 200)
        self.gateway.kill()
        self.restart()
        self.is_(self.enroll(token), 403, NOT_GOOD)
        self.is_(self.ask("GET", "/users/a", answer.json["api_key"]), 200)
        for n in range(suite.scaled(4, 100)):
            token = self.token(client_id=f"k{n}")
            thread = threading.Thread(target=self.try_to_enroll, args=(token,))
            thread.start()
            time.sleep(0.004 * n % 0.04)
            self.gateway.kill()
            thread.join()
            self.restart()
            self.soon(lambda: self.is_settled(n), "user and token agree", 15)
            is_user = f"k{n}" in self.ask("GET", "/users", self.master).json
            # What was begun is taken back first.
            answer = self.soon(lambda: (lambda a: a.status != 503 and a)(self.enroll(token)), "an answer", 15)
            self.assertEqual(answer.status, 403 if is_user else 200)

    def try_to_enroll(self, token):
        try:
            self.enroll(token)
        except OSError:
            pass  # it was killed

    def is_settled(self, n):
        """Either there is the user, or there is the token."""
        is_user = f"k{n}" in self.ask("GET", "/users", self.master).json
        return is_user != any(r["client_id"] == f"k{n}" for r in self.records())

    def test_the_token_is_not_in_the_database_nor_the_log(self):
        used, unused = self.token(client_id="a"), self.token(client_id="b")
        self.is_(self.enroll(used), 200)
        self.gateway.stop()
        for name in os.listdir(self.gateway.state):
            if name.startswith("culvert.db"):
                with open(f"{self.gateway.state}/{name}", "rb") as f:
                    data = f.read()
                for token in (used, unused):
                    self.assertNotIn(token.encode(), data)
                    self.assertNotIn(bytes.fromhex(token), data)
        self.assertNotIn(used, self.logged())


class Guesses(EnrolTest):
    extra = ("--listen-users", f"http://{SOMEBODY}:0 insecure", "--subnet4", "10.0.0.0/24", "--endpoint", "vpn.example.com")
    host = SOMEBODY

    def setUp(self):
        netns.run("ip", "address", "add", f"{SOMEBODY}/32", "dev", "lo", check=False)
        super().setUp()

    def find_port(self):
        self.users_port = int(self.logged().rsplit(f"users: http://{SOMEBODY}:", 1)[1].split()[0])

    def test_guessing_is_made_to_wait_before_anything_is_looked_at(self):
        good = self.token(client_id="a")
        answers = [self.enroll(f"{n:064x}").status for n in range(30)]
        self.assertEqual(set(answers), {403, 429})
        self.assertEqual(answers[:20], [403] * 20)
        self.is_(self.enroll(good), 429)
        self.is_(self.ask("GET", "/users", self.master), 200, [])  # whoever has a key is not locked out
        self.soon(lambda: self.enroll(good).status == 200, "the wait to be over", 25)


class Nobody(ApiTest):
    def test_where_no_users_are_served_no_tokens_are_made(self):
        answer = self.gateway.local("POST", ENROLMENTS, {"client_id": "a"})
        self.is_(answer, 409)
        self.assertIn("--listen-users", answer.json["detail"])
        self.is_(self.gateway.local("GET", ENROLMENTS), 200, {"enrolments": [], "next": None, "total": 0})


if __name__ == "__main__":
    suite.main()

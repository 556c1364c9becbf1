#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our own API in full: every member of a peer, batches, accounts, keys, the audit trail, events."""

import http.client
import json
import os
import sqlite3
import subprocess
import time
import urllib.parse

from gateway import CULVERT, ApiTest, new_key, suite

PEERS, BATCH, ACCOUNTS, KEYS, AUDIT = (f"/api/v1/{name}" for name in ("peers", "batch", "accounts", "keys", "audit"))

EVERYTHING = {
    "name": "all",
    "dns": "d3",
    "preshared_key": new_key(90),
    "addresses": ["10.0.1.77", "fd42:4242:1::77"],
    "expires": "2099-12-31T23:59:59Z",
    "quota": {"bytes": 10**12, "period": "month"},
    "rate_bps": 10_000_000,
    "keepalive": 15,
    "routes": ["192.168.7.0/24", "fd77::/64"],
    "schedule": "mon-sun 00:00-24:00",
    "note": "the blue one",
}


class OwnTest(ApiTest):
    def create(self, name, **members):
        answer = self.gateway.local("POST", PEERS, {"name": name, **members})
        self.is_(answer, 201)
        return answer.json

    def patch(self, which, **members):
        return self.gateway.local("PATCH", f"{PEERS}/{urllib.parse.quote(which)}", members)

    def show(self, name):
        return self.gateway.local("GET", f"{PEERS}/{name}").json

    def bearer(self, key, method, target, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        return self.gateway.raw(method, target, data, {"Authorization": f"Bearer {key}"})

    def new_key(self, name, **members):
        answer = self.gateway.local("POST", KEYS, {"name": name, **members})
        self.is_(answer, 201)
        return answer.json


class Members(OwnTest):
    def test_every_member_is_kept_across_a_restart_and_on_the_interface(self):
        g, key = self.gateway, new_key(91)
        self.create(**EVERYTHING, public_key=key)
        g.kill()
        g.start()
        shown = self.show("all")
        for name, value in EVERYTHING.items():
            if name == "preshared_key":
                self.assertTrue(shown["has_preshared_key"])
            elif name == "addresses":
                self.assertEqual(shown["addresses"], ["10.0.1.77/32", "fd42:4242:1::77/128"])
            else:
                self.assertEqual(shown[name], value, name)
        on = g.on_device()
        self.assertEqual(on[key], {"10.0.1.77/32", "fd42:4242:1::77/128", "192.168.7.0/24", "fd77::/64"})
        self.assertNotIn(EVERYTHING["preshared_key"], g.local("GET", PEERS).text)
        dump = g.device.wg("show", g.interface, "dump").stdout
        self.assertIn(EVERYTHING["preshared_key"], dump)
        self.assertIn("\t15\n", dump + "\n")

    def test_null_takes_a_member_away_and_absence_leaves_it(self):
        self.create(**EVERYTHING, public_key=new_key(91))
        self.is_(self.patch("all", note=None, quota=None, routes=None, preshared_key=None, expires=None), 200)
        shown = self.show("all")
        self.assertEqual([shown[n] for n in ("note", "quota", "routes", "has_preshared_key", "expires")],
                         [None, None, [], False, None])
        self.assertEqual((shown["rate_bps"], shown["dns"], shown["keepalive"]), (10_000_000, "d3", 15))

    def test_what_is_wrong_is_said_with_its_place(self):
        wrong = {"expires": "2001-01-01T00:00:00Z", "quota": {"period": "month"}, "rate_bps": -1, "keepalive": 70000,
                 "routes": ["0.0.0.0/0"], "schedule": "never", "preshared_key": "x", "dns": "d9", "addresses": ["10.0.1.0/24"],
                 "note": "x" * 600}
        for name, value in wrong.items():
            answer = self.gateway.local("POST", PEERS, {"name": "w", name: value})
            self.is_(answer, 422)
            self.assertEqual([e["loc"][1] for e in answer.json["errors"]][:1], [name if name != "quota" else "quota"], name)

    def test_a_peer_moves_and_gets_another_name_and_key(self):
        g = self.gateway
        self.create("old", public_key=new_key(1))
        self.is_(self.patch("old", name="new", addresses=["10.0.1.99"]), 200)
        self.assertEqual(self.show("new")["addresses"], ["10.0.1.99/32"])
        self.is_(g.local("GET", f"{PEERS}/old"), 404)
        answer = self.patch("new", generate=True)
        self.is_(answer, 200)
        self.assertIn("PrivateKey = " + answer.json["private_key"], answer.json["configuration"])
        self.assertEqual(g.on_device(), {answer.json["public_key"]: {"10.0.1.99/32"}})
        self.create("other", public_key=new_key(2))
        self.is_(self.patch("other", name="new"), 409)
        self.is_(self.patch("other", addresses=["10.0.1.99"]), 409)

    def test_a_made_preshared_key_is_shown_once(self):
        made = self.create("psk", preshared_key=True)
        self.assertIn(made["preshared_key"], made["configuration"])
        self.assertNotIn(made["preshared_key"], json.dumps(self.show("psk")))

    def test_if_match_refuses_what_is_no_longer_so(self):
        g = self.gateway
        self.create("a", public_key=new_key(1))
        before = g.local("GET", f"{PEERS}/a").headers["ETag"]
        self.is_(self.patch("a", note="1"), 200)
        for method, body in (("PATCH", {"note": "2"}), ("DELETE", None)):
            answer = g.local(method, f"{PEERS}/a", body, {"If-Match": before})
            self.is_(answer, 412)
        now = g.local("GET", f"{PEERS}/a").headers["ETag"]
        self.is_(g.local("PATCH", f"{PEERS}/a", {"note": "2"}, {"If-Match": now}), 200)

    def test_a_repeated_idempotency_key_makes_nothing_new(self):
        g, body = self.gateway, {"name": "once", "public_key": new_key(1)}
        first = g.local("POST", PEERS, body, {"Idempotency-Key": "k1"})
        self.is_(first, 201)
        again = g.local("POST", PEERS, body, {"Idempotency-Key": "k1"})
        self.is_(again, 201)
        self.assertEqual((again.json["id"], again.headers["ETag"]), (first.json["id"], first.headers["ETag"]))
        self.is_(g.local("POST", PEERS, {**body, "name": "two"}, {"Idempotency-Key": "k1"}), 422)
        g.kill()
        g.start()
        self.is_(g.local("POST", PEERS, body, {"Idempotency-Key": "k1"}), 201)
        self.is_(g.local("POST", PEERS, body, {"Idempotency-Key": "k2"}), 409)
        self.assertEqual(g.local("GET", PEERS).json["total"], 1)

    def test_lists_are_filtered_and_sorted(self):
        g = self.gateway
        for n in range(6):
            self.create(f"p{n}", public_key=new_key(n + 1), enabled=n % 2 == 0, obfuscation_level="high" if n > 3 else "off")
        def names(query):
            answer = g.local("GET", f"{PEERS}?{query}")
            self.is_(answer, 200)
            return [p["name"] for p in answer.json["peers"]]
        self.assertEqual(names("status=suspended"), ["p1", "p3", "p5"])
        self.assertEqual(names("status=active&sort=-id"), ["p4", "p2", "p0"])
        self.assertEqual(names("obfuscation_level=high"), ["p4", "p5"])
        self.assertEqual(names("name=p3"), ["p3"])
        self.assertEqual(names("sort=-id&limit=2"), ["p5", "p4"])
        after = g.local("GET", f"{PEERS}?sort=-id&limit=2").json["next"]
        self.assertEqual(names(f"sort=-id&limit=2&after={after}"), ["p3", "p2"])
        for wrong in ("status=x", "sort=name", "limit=0", "limit=1001", "x=1", "limit", "name=%zz"):
            self.is_(g.local("GET", f"{PEERS}?{wrong}"), 400)


class Unknown(OwnTest):
    def test_members_that_nobody_knows_are_refused_by_name_with_what_may_be_meant(self):
        g = self.gateway
        self.create("a", public_key=new_key(1))
        rows = (("POST", PEERS, {"name": "b", "quotta": {"bytes": 1}}, ["quotta"], "'quota' was meant"), ("PATCH", f"{PEERS}/a", {"enbled": False}, ["enbled"], "'enabled'"),
                ("PATCH", f"{PEERS}/a", {"note": "x", "zzzzzz": None}, ["zzzzzz"], "Nothing here has this name"),
                ("POST", PEERS, {"name": "b", "quota": {"bytes": 1, "perod": "day"}}, ["perod"], "'period'"),
                ("POST", BATCH, {"create": [], "dryrun": True}, ["dryrun"], "'dry_run'"),
                ("POST", BATCH, {"create": [{"public_key": new_key(2), "nam": "x"}]}, ["create", 0, "nam"], "'name'"),
                ("POST", BATCH, {"update": [{"peer": "a", "nots": "x"}]}, ["update", 0, "nots"], "'note'"),
                ("POST", ACCOUNTS, {"name": "c", "enable": False}, ["enable"], "'enabled'"), ("POST", KEYS, {"name": "k", "rol": "admin"}, ["rol"], "'role'"),
                ("POST", "/api/v1/profiles/low/rotate", {"keep": 1}, ["keep"], "Nothing here"),
                ("POST", "/api/v1/access", {"name": "l", "rules": [], "nots": "x"}, ["nots"], "'note'"))
        for method, target, body, place, text in rows:
            answer = g.local(method, target, body)
            self.is_(answer, 422)
            self.assertEqual([e["loc"] for e in answer.json["errors"]], [["body", *place]], body)
            self.assertIn(text, answer.json["errors"][0]["msg"])
        self.assertEqual([p["enabled"] for p in g.local("GET", PEERS).json["peers"]], [True])
        answer = g.local("POST", PEERS, {"name": "b", **{f"x{n}" * 40: n for n in range(1000)}})
        self.is_(answer, 422)
        self.assertEqual(len(answer.json["errors"]), 16, answer)
        self.assertLess(len(answer.text), 4000)

    def test_who_says_nothing_of_himself_is_told_how(self):
        answer = self.gateway.raw("GET", PEERS)
        self.is_(answer, 401)
        self.assertIn("Authorization: Bearer KEY", answer.json["detail"])

    def test_a_change_answers_with_what_it_blocks(self):
        account = self.gateway.local("POST", ACCOUNTS, {"name": "shop", "enabled": False}).json["id"]
        self.create("a", public_key=new_key(1))
        for n in range(20):
            self.assertEqual(self.patch("a", account=account).json["blocked"], ["account"], n)
            self.assertEqual(self.patch("a", account=None).json["blocked"], [], n)
        self.assertEqual(self.create("b", public_key=new_key(2), account=account)["blocked"], ["account"])


class Batches(OwnTest):
    def run_batch(self, **lists):
        return self.gateway.local("POST", BATCH, lists)

    def test_all_of_it_happens_in_one_answer(self):
        for n in range(3):
            self.create(f"p{n}", public_key=new_key(n + 1))
        answer = self.run_batch(create=[{"name": f"n{n}", "public_key": new_key(n + 10)} for n in range(50)],
                                update=[{"peer": "p0", "note": "x"}, {"peer": new_key(2), "enabled": False}], delete=["p2"])
        self.is_(answer, 200)
        self.assertEqual((len(answer.json["created"]), len(answer.json["updated"]), answer.json["deleted"]), (50, 2, 1))
        self.assertEqual(self.gateway.local("GET", PEERS).json["total"], 52)
        self.assertEqual(len(self.gateway.on_device()), 51)

    def test_nothing_of_it_happens_when_one_is_refused(self):
        self.create("p0", public_key=new_key(1))
        before, on = self.gateway.local("GET", PEERS).text, self.gateway.on_device()
        for lists, code, text in (
                ({"create": [{"name": "a", "public_key": new_key(2)}, {"name": "p0", "public_key": new_key(3)}]}, 409, "create 1"),
                ({"create": [{"name": "a", "public_key": new_key(2)}], "delete": ["nobody"]}, 422, "delete"),
                ({"create": [{"name": "a"}]}, 422, "public_key"),
                ({"create": [{"name": "a", "generate": True}]}, 422, "generate"),
                ({"update": [{"peer": "p0", "note": "x"}], "delete": ["p0"]}, 422, "once"),
                ({"update": [{"peer": "p0", "note": "x"}], "create": [{"name": "b", "public_key": new_key(1)}]}, 409, "create 0"),
                ({"create": []}, 422, "1 to 1000"),
                ({"create": [{}] * 1001}, 422, "1 to 1000")):
            answer = self.run_batch(**lists)
            self.is_(answer, code)
            self.assertIn(text, answer.text)
        self.assertEqual((self.gateway.local("GET", PEERS).text, self.gateway.on_device()), (before, on))
        self.is_(self.run_batch(create=[{"name": "a", "public_key": new_key(2)}]), 200)  # no address was lost
        self.assertEqual(self.show("a")["addresses"][0], "10.0.1.3/32")

    def test_every_entry_that_cannot_be_is_named_with_the_reason(self):
        self.create("p0", public_key=new_key(1), addresses=["10.0.1.9"])
        rows = [{"name": "a", "public_key": new_key(2)}, {"name": "p0", "public_key": new_key(3)}, {"name": "b", "public_key": new_key(1)},
                {"name": "c", "public_key": new_key(4), "addresses": ["10.0.1.9"]}, {"name": "a", "public_key": new_key(5)},
                {"name": "d", "public_key": new_key(6), "addresses": ["10.9.0.2"]}, {"public_key": self.gateway.public},
                {"name": "e", "public_key": new_key(7), "routes": ["10.0.1.128/25"]}]
        answer = self.run_batch(create=rows, update=[{"peer": "p0", "addresses": ["10.0.1.1"]}])
        self.is_(answer, 409)
        self.assertEqual({tuple(e["loc"][1:]): e["msg"] for e in answer.json["errors"]}, {
            ("create", 1): "its name is that of another peer: p0", ("create", 2): "its key is that of another peer: p0",
            ("create", 3): "its address is that of another peer: p0", ("create", 4): "its name is that of another peer of the same batch: a",
            ("create", 5): "its address is not a client's address of this gateway: one of 10.0.1.0/24 or fd42:4242:1::/64, and not the first",
            ("create", 6): "its key cannot be a client's", ("create", 7): "a network of it lies among the addresses of peers",
            ("update", 0): "its address is not a client's address of this gateway: one of 10.0.1.0/24 or fd42:4242:1::/64, and not the first"})
        self.assertEqual(answer.json["detail"], "Nothing was changed: create 1: its name is that of another peer: p0")
        self.assertEqual(self.gateway.local("GET", PEERS).json["total"], 1)
        self.is_(self.run_batch(create=rows[:1]), 200)
        self.assertEqual(self.show("a")["addresses"], ["10.0.1.2/32", "fd42:4242:1::2/128"])  # nothing was left behind

    def test_a_dry_run_says_what_would_be_and_does_nothing(self):
        self.create("p0", public_key=new_key(1))
        before, on = self.gateway.local("GET", PEERS).text, self.gateway.on_device()
        rows = [{"name": f"n{n}", "public_key": new_key(n + 10)} for n in range(5)]
        answer = self.run_batch(create=rows, update=[{"peer": "p0", "note": "x"}], dry_run=True)
        self.is_(answer, 200, {"created": [], "updated": [], "deleted": 0, "dry_run": True})
        answer = self.run_batch(create=[*rows, rows[0]], delete=["p0"], dry_run=True)
        self.is_(answer, 409)
        self.assertEqual([e["loc"] for e in answer.json["errors"]], [["body", "create", 5]])
        self.is_(self.run_batch(create=rows, dry_run="yes"), 422)
        self.assertEqual((self.gateway.local("GET", PEERS).text, self.gateway.on_device()), (before, on))
        self.is_(self.run_batch(create=rows), 200)
        self.assertEqual(self.gateway.local("GET", PEERS).json["total"], 6)


class SmallPool(OwnTest):
    extra = ("--subnet4", "10.0.1.0/29")

    def test_a_batch_that_finds_no_address_is_refused_as_the_callers(self):
        answer = self.gateway.local("POST", BATCH, {"create": [{"public_key": new_key(n)} for n in range(7)]})
        self.is_(answer, 409)
        self.assertEqual([(e["loc"][2], e["msg"]) for e in answer.json["errors"]], [(5, "the address pool is full"), (6, "the address pool is full")])
        self.is_(self.gateway.local("POST", BATCH, {"create": [{"public_key": new_key(n)} for n in range(5)]}), 200)


RECORDS = "INSERT INTO record (kind, name, body, created_ns, changed_ns) VALUES (?, ?, '{}', 1, 1)"
ACCOUNT, OUTBOX, ACCOUNTS_MAX, OUTBOX_MAX = 1, 7, 65536, 65536


class Bounds(OwnTest):
    def test_more_than_may_be_made_is_no_reason_not_to_start(self):
        g = self.gateway
        g.stop()
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.executemany(RECORDS, ((ACCOUNT, f"a{n}") for n in range(ACCOUNTS_MAX - 1)))
            db.executemany(RECORDS, ((OUTBOX, f"msg_{n:032x}-1") for n in range(2 * OUTBOX_MAX + 100)))
        db.close()
        g.start()
        self.is_(g.local("POST", ACCOUNTS, {"name": "last"}), 201)
        answer = g.local("POST", ACCOUNTS, {"name": "one more"})
        self.is_(answer, 409)
        self.assertIn("65536", answer.text)
        self.new_key("k", role="reader")  # other kinds have room of their own
        g.kill()
        g.start()

    def test_a_key_that_somebody_wrote_into_the_database_is_let_in_by_nobody(self):
        g, made = self.gateway, self.new_key("ops", role="admin")
        g.stop()
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            self.assertEqual(db.execute("SELECT count(*) FROM record WHERE body LIKE '%admin%'").fetchone(), (0,))
            db.execute(RECORDS, (2, "intruder"))
            db.execute("PRAGMA user_version = 3")  # as if nobody had sealed any yet
        db.close()
        self.assertRaises(AssertionError, g.start)
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.execute("DELETE FROM record WHERE name = 'intruder'")
        db.close()
        g.start()
        self.assertEqual([k["name"] for k in g.local("GET", KEYS).json["keys"]], ["ops"])

    def test_a_full_outbox_refuses_no_change_and_is_trimmed(self):
        g = self.gateway
        hook = g.local("POST", "/api/v1/webhooks", {"name": "h", "url": "https://hooks.example/"})
        self.is_(hook, 201)
        where = f"/api/v1/webhooks/{hook.json['id']}"
        g.stop()
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.executemany(RECORDS, ((OUTBOX, f"msg_{n:032x}-{hook.json['id']}") for n in range(OUTBOX_MAX + 100)))
        db.close()
        g.start()
        self.create("a", public_key=new_key(1))
        deadline = time.monotonic() + 20
        while not (state := g.local("GET", where).json["delivery"])["missed"] and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertGreater(state["missed"], 0)
        self.assertLess(state["pending"], OUTBOX_MAX)


class Accounts(OwnTest):
    def test_accounts_hold_their_peers(self):
        g = self.gateway
        account = g.local("POST", ACCOUNTS, {"name": "acme", "note": "n"}).json
        self.assertEqual((account["name"], account["enabled"], account["peers"]), ("acme", True, 0))
        self.create("a", public_key=new_key(1), account=account["id"])
        self.is_(g.local("POST", PEERS, {"name": "b", "public_key": new_key(2), "account": 4711}), 422)
        self.assertEqual(g.local("GET", f"{ACCOUNTS}/{account['id']}").json["peers"], 1)
        self.is_(g.local("DELETE", f"{ACCOUNTS}/{account['id']}"), 409)
        self.is_(g.local("POST", ACCOUNTS, {"name": "acme"}), 409)
        g.kill()
        g.start()
        self.is_(self.patch("a", account=None), 200)
        self.is_(g.local("DELETE", f"{ACCOUNTS}/{account['id']}"), 200)
        self.is_(g.local("GET", f"{ACCOUNTS}/{account['id']}"), 404)

    def test_a_key_of_an_account_sees_and_changes_its_own_peers_only(self):
        g = self.gateway
        ids = [g.local("POST", ACCOUNTS, {"name": name}).json["id"] for name in ("one", "two")]
        self.create("mine", public_key=new_key(1), account=ids[0])
        self.create("theirs", public_key=new_key(2), account=ids[1])
        key = self.new_key("k", role="operator", account=ids[0])["key"]
        listed = self.bearer(key, "GET", PEERS).json
        self.assertEqual(([p["name"] for p in listed["peers"]], listed["total"]), (["mine"], 1))
        self.is_(self.bearer(key, "GET", f"{PEERS}/theirs"), 404)
        self.is_(self.bearer(key, "DELETE", f"{PEERS}/theirs"), 404)
        self.is_(self.bearer(key, "PATCH", f"{PEERS}/{new_key(2).replace('/', '%2F')}", {"note": "x"}), 404)
        self.is_(self.bearer(key, "PATCH", f"{PEERS}/mine", {"account": ids[1]}), 422)
        self.is_(self.bearer(key, "POST", BATCH, {"delete": ["theirs"]}), 422)
        made = self.bearer(key, "POST", PEERS, {"name": "new", "public_key": new_key(3), "account": ids[1]})
        self.is_(made, 201)
        self.assertEqual(made.json["account"], ids[0])
        self.is_(self.bearer(key, "GET", ACCOUNTS), 403)


class Keys(OwnTest):
    def test_a_key_of_an_account_sets_no_networks(self):
        g = self.gateway
        account = g.local("POST", ACCOUNTS, {"name": "a"}).json["id"]
        key = g.local("POST", KEYS, {"name": "k", "role": "operator", "account": account}).json["key"]
        headers = {"Authorization": f"Bearer {key}"}
        body = {"name": "x", "public_key": new_key(1), "routes": ["192.168.7.0/24"]}
        self.is_(g.raw("POST", PEERS, json.dumps(body).encode(), headers), 422)
        self.is_(g.raw("POST", BATCH, json.dumps({"create": [body]}).encode(), headers), 422)
        del body["routes"]
        self.is_(g.raw("POST", PEERS, json.dumps(body).encode(), headers), 201)
        self.is_(g.raw("PATCH", PEERS + "/x", b'{"routes": ["192.168.7.0/24"]}', headers), 422)

    def test_networks_take_no_address_of_peers_and_fit_their_place(self):
        g = self.gateway
        victim = g.local("POST", PEERS, {"name": "victim", "public_key": new_key(1)}).json
        addresses = [a.split("/")[0] for a in victim["addresses"]]
        taken = [a + ("/128" if ":" in a else "/32") for a in addresses]
        for routes in ([taken[0]], [taken[-1]], ["10.0.1.1/32"], ["10.0.1.0/24"]):
            self.is_(g.local("POST", PEERS, {"name": "thief", "public_key": new_key(2), "routes": routes}), 409)
        self.is_(g.local("POST", PEERS, {"name": "site", "public_key": new_key(3), "routes": ["10.0.0.0/8"]}), 201)
        self.is_(g.local("PATCH", PEERS + "/site", {"routes": [taken[0]]}), 409)
        self.assertEqual(g.on_device()[new_key(1)], set(taken))
        long = [f"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff{i:02x}/128" for i in range(32)]
        self.is_(g.local("PATCH", PEERS + "/site", {"routes": long}), 422)
        self.is_(g.local("POST", BATCH, {"create": [{"name": "y", "public_key": new_key(4), "routes": long}]}), 422)
        self.is_(g.local("PATCH", PEERS + "/site", {"routes": long[:20]}), 200)

    def test_a_network_is_behind_one_peer_at_a_time(self):
        g, net = self.gateway, "192.168.7.0/24"
        def make(n, name, routes):
            return g.local("POST", PEERS, {"name": name, "public_key": new_key(n), "routes": routes})
        self.is_(make(1, "a", [net, "fd77::/64"]), 201)
        self.is_(make(2, "b", [net]), 409)
        self.is_(make(2, "b", ["192.168.7.0/25", "192.168.0.0/16"]), 201)  # the longer prefix decides
        self.is_(g.local("PATCH", PEERS + "/b", {"routes": ["fd77::/64"]}), 409)
        self.is_(g.local("PATCH", PEERS + "/a", {"routes": [net]}), 200)  # its own stay, one goes
        self.is_(g.local("PATCH", PEERS + "/b", {"routes": ["fd77::/64"]}), 200)
        both = {"create": [{"name": n, "public_key": new_key(k), "routes": ["10.77.0.0/16"]} for k, n in ((3, "c"), (4, "d"))]}
        self.is_(g.local("POST", BATCH, both), 409)
        self.is_(make(3, "c", ["10.77.0.0/16"]), 201)  # what was refused holds nothing
        g.kill()
        g.start()
        self.is_(make(4, "d", ["10.77.0.0/16"]), 409)
        self.is_(g.local("DELETE", PEERS + "/c"), 200)
        self.is_(make(4, "d", ["10.77.0.0/16"]), 201)

    def test_a_batch_that_is_in_its_own_way_is_told_so(self):
        g = self.gateway
        for name, key in (("p0", 0), ("p1", 1)):
            self.is_(g.local("POST", PEERS, {"name": name, "public_key": new_key(key)}), 201)
        for batch in ({"create": [{"name": "n", "public_key": new_key(5)}, {"name": "n", "public_key": new_key(6)}]},
                      {"create": [{"name": "n", "public_key": new_key(5)}, {"name": "m", "public_key": new_key(5)}]},
                      {"update": [{"peer": "p1", "note": "x"}, {"peer": "p0", "name": "p1"}]}):
            self.is_(g.local("POST", BATCH, batch), 409)
        self.assertEqual(len(g.local("GET", PEERS).json["peers"]), 2)

    def test_keys_of_one_beginning_are_no_one_principal(self):
        g = self.gateway
        answers = []
        for n in range(2):
            name = "\u00e9" * 30 + str(n)
            key = g.local("POST", KEYS, {"name": name, "role": "operator"}).json["key"]
            headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "once"}
            body = json.dumps({"name": f"x{n}", "public_key": new_key(n)}).encode()
            answers.append(g.raw("POST", PEERS, body, headers).status)
        self.assertEqual(answers, [201, 201])
        who = {row["who"] for row in g.local("GET", "/api/v1/audit").json["audit"] if row["action"] == "peer.create"}
        self.assertEqual(len(who), 2, who)

    def test_the_account_of_a_key_is_a_number(self):
        for word in ("shop", "2x", "0", "-1"):
            done = subprocess.run([CULVERT, "gateway", "key", "add", "k", "--account", word, "--state",
                                   self.gateway.state], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)

    def test_the_matrix_of_roles(self):
        g = self.gateway
        self.create("p", public_key=new_key(1))
        keys = {role: self.new_key(role, role=role)["key"] for role in ("reader", "operator", "admin")}
        rows = [("GET", PEERS, None, "reader"), ("GET", f"{PEERS}/p", None, "reader"), ("GET", "/api/v1/profiles", None, "reader"),
                ("PATCH", f"{PEERS}/p", {"note": "x"}, "operator"), ("POST", BATCH, {"update": [{"peer": "p", "note": "y"}]}, "operator"),
                ("GET", KEYS, None, "admin"), ("GET", AUDIT, None, "admin"), ("GET", ACCOUNTS, None, "admin")]
        order = ["reader", "operator", "admin"]
        for method, target, body, needed in rows:
            for role in order:
                expected = 200 if order.index(role) >= order.index(needed) else 403
                self.assertEqual(self.bearer(keys[role], method, target, body).status, expected, (method, target, role))
            for nobody in ("", "cvk_1_" + "0" * 64, keys["admin"][:-1] + ("0" if keys["admin"][-1] != "0" else "1"), "x"):
                self.assertEqual(self.bearer(nobody, method, target, body).status, 401, (method, target, nobody))

    def test_a_key_is_shown_once_and_ends(self):
        g = self.gateway
        made = self.new_key("k", role="reader")
        self.assertNotIn(made["key"], g.local("GET", KEYS).text + g.local("GET", f"{KEYS}/{made['id']}").text + self.logged())
        secret = made["key"].split("_")[2]
        for name in ("culvert.db", "culvert.db-wal"):
            with open(f"{g.state}/{name}", "rb") as f:
                self.assertNotIn(secret.encode(), f.read())
        g.kill()
        g.start()
        self.is_(self.bearer(made["key"], "GET", PEERS), 200)
        self.is_(g.local("DELETE", f"{KEYS}/{made['id']}"), 200)
        self.is_(self.bearer(made["key"], "GET", PEERS), 401)
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
        brief = self.new_key("brief", role="reader", expires=later)["key"]
        self.is_(self.bearer(brief, "GET", PEERS), 200)
        self.soon(lambda: self.bearer(brief, "GET", PEERS).status == 401, "the key to expire")
        self.is_(g.local("POST", KEYS, {"name": "x", "role": "admin", "account": 1}), 422)


class Commands(OwnTest):
    def culvert(self, *arguments, code=0):
        done = subprocess.run([CULVERT, *arguments, "--state", self.gateway.state], text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, code, done)
        return done

    def test_keys_and_requests_from_the_command_line(self):
        made = self.culvert("gateway", "key", "add", "ci", "--role", "reader")
        key = made.stdout.strip()
        self.is_(self.bearer(key, "GET", PEERS), 200)
        self.assertEqual(self.culvert("gateway", "key", "list").stdout.splitlines()[1].split()[:2], ["ci", "reader"])
        self.culvert("gateway", "api", "POST", PEERS, json.dumps({"name": "a", "public_key": new_key(1)}))
        shown = json.loads(self.culvert("gateway", "api", "PATCH", f"{PEERS}/a", '{"note": "mine"}').stdout)
        self.assertEqual(shown["note"], "mine")
        self.culvert("gateway", "api", "PATCH", f"{PEERS}/a", "{", code=3)
        self.culvert("gateway", "api", "GET", "peers", code=2)
        # A wrong value of an option is a wrong command line; a wrong name or URL is refused input.
        for words, code in ((("key", "add", "k", "--role", "king"), 2), (("key", "add", "k", "--expires", "soon"), 2),
                            (("key", "add", "k", "--expires", "2030-12-31"), 2), (("key", "add", "a/b"), 3),
                            (("webhook", "add", "h", "ftp://hooks.example/"), 3), (("webhook", "test", "none"), 3),
                            (("peer", "add", "p", "--dns", "bogus..name"), 2), (("peer", "add", "p", "--dns", "-a.example"), 2),
                            (("peer", "add", "p", "--dns", "a" * 64 + ".example"), 2), (("peer", "link", "a", "--ttl", "x"), 2)):
            self.assertEqual(self.culvert("gateway", *words, code=code).stdout, "", words)
        self.assertEqual(self.gateway.local("GET", f"{PEERS}/p").status, 404)
        self.assertIn("DNS = 10.0.0.1, lan.example, x-1.example", self.culvert("gateway", "peer", "add", "p", "--dns",
                                                                             "10.0.0.1,lan.example,x-1.example").stdout)
        self.culvert("gateway", "webhook", "add", "h", "https://hooks.example/")
        self.assertTrue(self.culvert("gateway", "webhook", "test", "h").stdout.startswith("h gets webhook.test"))
        self.assertEqual(self.culvert("gateway", "webhook", "remove", "h").stdout, "h removed\n")
        self.assertIn("wireguard_sent_bytes_total", self.culvert("gateway", "api", "GET", "/metrics").stdout)
        self.assertIn("<html", self.culvert("gateway", "api", "GET", "/docs").stdout)
        self.assertNotIn("--role", self.culvert("gateway", "api", "--help").stdout)
        self.assertIn("--role", self.culvert("gateway", "key", "--help").stdout)
        self.assertEqual(self.culvert("gateway", "key", "remove", "ci").stdout, "ci removed\n")
        self.is_(self.bearer(key, "GET", PEERS), 401)
        self.culvert("gateway", "key", "remove", "ci", code=3)

    def test_list_and_show_tell_who_is_blocked_and_what_a_peer_may(self):
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
        account = self.gateway.local("POST", ACCOUNTS, {"name": "shop", "enabled": False}).json["id"]
        self.create("plain", public_key=new_key(1))
        self.assertNotIn("QUOTA", self.culvert("gateway", "peer", "list").stdout)
        self.create("bound", public_key=new_key(2), account=account, expires=later, quota={"bytes": 3 << 30, "period": "month"},
                    rate_bps=20_000_000, routes=["192.168.7.0/24", "192.168.8.0/24"], schedule="mon-sun 00:00-24:00", note="of Ann")
        self.create("off", public_key=new_key(3), enabled=False)
        self.soon(lambda: "blocked: account" in self.culvert("gateway", "peer", "list").stdout, "the account's peer to be blocked")
        rows = {line.split()[0]: line for line in self.culvert("gateway", "peer", "list").stdout.splitlines()}
        self.assertIn("0 B of 3.0 GiB a month", rows["bound"])
        self.assertIn(" disabled ", rows["off"])
        self.assertIn(" enabled ", rows["plain"])
        shown = self.culvert("gateway", "peer", "show", "bound").stdout
        for line in ("state:           blocked: account", "used of quota:   0 B of 3.0 GiB a month", f"expires:         {later}",
                     "schedule:        mon-sun 00:00-24:00", "note:            of Ann", "rate:            20 Mbit/s each way",
                     f"account:         {account}", "routes:          192.168.7.0/24\n                 192.168.8.0/24", "preshared key:   no"):
            self.assertIn(line + "\n", shown)
        self.assertNotIn("quota", self.culvert("gateway", "peer", "show", "plain").stdout)

    def test_the_trail_is_verified_beside_a_running_gateway(self):
        g = self.gateway
        for n in range(5):
            self.create(f"p{n}", public_key=new_key(n + 1))
        whole = json.loads(self.culvert("audit", "verify", "--json").stdout)
        self.assertEqual((whole["whole"], whole["rows"], whole["last"]), (True, 5, 5))
        g.stop()
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.execute("UPDATE audit SET who = 'uid 1' WHERE id = 3")
        db.close()
        touched = self.culvert("audit", "verify", code=1)
        self.assertIn("the first is row 3", touched.stdout)
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.execute("UPDATE audit SET who = 'uid 0' WHERE id = 3")
            db.execute("DELETE FROM audit WHERE id = 5")
        db.close()
        self.culvert("audit", "verify")
        self.culvert("audit", "verify", "--head", whole["head"], code=1)
        os.rename(f"{g.state}/culvert.db", f"{g.state}/gone.db")
        self.assertIn(f"{g.state}/culvert.db: No such file", self.culvert("audit", "verify", code=1).stderr)


class Trail(OwnTest):
    def test_every_change_has_a_row_with_who_and_what(self):
        g = self.gateway
        self.create("a", public_key=new_key(1))
        key = self.new_key("ops", role="operator")["key"]
        self.is_(self.bearer(key, "PATCH", f"{PEERS}/a", {"note": "x"}), 200)
        self.is_(self.bearer(key, "DELETE", f"{PEERS}/a"), 200)
        rows = g.local("GET", AUDIT).json["audit"]
        self.assertEqual([(r["action"], r["who"]) for r in rows],
                         [("peer.create", "uid 0"), ("key.create", "uid 0"), ("peer.update", "key ops"), ("peer.delete", "key ops")])
        self.assertEqual([r["subject"] for r in rows], ["peer 1 a", "key 1 ops", "peer 1 a", "peer 1 a"])
        page = g.local("GET", f"{AUDIT}?after=1&limit=2").json
        self.assertEqual(([r["id"] for r in page["audit"]], page["next"]), ([2, 3], 3))

    def events(self, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=10)
        c.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {self.key}", **(headers or {})})
        answer = c.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        self.addCleanup(c.close)
        return answer

    def next_event(self, stream):
        event = {}
        while True:
            line = stream.readline().decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if not line and event:
                return event
            if line:
                name, value = line.split(": ", 1)
                event[name] = value

    def test_events_come_as_they_happen_and_go_on_where_a_reader_stopped(self):
        self.key = self.new_key("r", role="reader")["key"]
        stream = self.events()
        for n in range(3):
            self.create(f"p{n}", public_key=new_key(n + 1))
        seen = [self.next_event(stream) for _ in range(3)]
        self.assertEqual([e["event"] for e in seen], ["peer.created"] * 3)
        self.assertEqual(json.loads(seen[1]["data"])["subject"], "peer 2 p1")
        again = self.events({"Last-Event-ID": seen[0]["id"]})
        self.assertEqual([self.next_event(again)["id"] for _ in range(2)], [e["id"] for e in seen[1:]])

    def test_a_key_that_is_gone_hears_nothing_more(self):
        made = self.new_key("r", role="reader")
        self.key = made["key"]
        stream = self.events()
        self.create("before", public_key=new_key(1))
        self.assertEqual(self.next_event(stream)["event"], "peer.created")
        self.is_(self.gateway.local("DELETE", f"{KEYS}/{made['id']}"), 200)
        self.create("after", public_key=new_key(2))
        rest = stream.read().decode()  # to its end
        self.assertNotIn("after", rest)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Access lists: who may make, see and give them, and what the host is told in which order.

The host of gateway.py keeps what it is told in two dictionaries; what real packets then do is in
tests/system/test_access_lists.py.
"""

import json
import os
import random
import subprocess
import time

from gateway import ACCESS_CHECK, ACCESS_CLEAR, ACCESS_ENFORCE, ACCESS_LIST, ACCESS_MEMBERS, CULVERT, ApiTest, new_key, suite

PEERS, ACCOUNTS, KEYS, LISTS, AUDIT, BATCH = (f"/api/v1/{n}" for n in ("peers", "accounts", "keys", "access", "audit", "batch"))
WEB = {"to": "10.9.0.0/24", "protocol": "tcp", "ports": "80-81"}


class AccessTest(ApiTest):
    def ask(self, method, target, body=None, status=200):
        answer = self.gateway.local(method, target, body)
        self.is_(answer, status)
        return answer.json

    def make_list(self, name, *rules):
        return self.ask("POST", LISTS, {"name": name, "rules": list(rules)}, 201)["id"]

    def make_peer(self, name, **members):
        return self.ask("POST", PEERS, {"name": name, "public_key": new_key(), **members}, 201)

    @property
    def members(self):
        return self.gateway.access.members

    def addresses(self, peer):
        return {a.split("/")[0] for a in peer["addresses"]}


class Lists(AccessTest):
    def test_a_list_is_shown_as_it_was_made_and_reaches_the_host(self):
        made = self.ask("POST", LISTS, {"name": "office", "note": "n", "rules": [
            WEB, {"to": "fd09::1"}, {"to": "10.9.0.7/16", "protocol": "icmp"}, {"to": "::/0", "protocol": "udp", "ports": "53"}]}, 201)
        rules = [WEB, {"to": "fd09::1/128", "protocol": "any", "ports": None}, {"to": "10.9.0.0/16", "protocol": "icmp", "ports": None},
                 {"to": "::/0", "protocol": "udp", "ports": "53"}]
        self.assertEqual((made["rules"], made["note"], made["peers"], made["accounts"]), (rules, "n", 0, 0))
        self.assertEqual(self.ask("GET", f"{LISTS}/{made['id']}"), made)
        self.assertEqual(self.ask("GET", LISTS), {"access": [made], "next": None, "total": 1, "isolation": False})
        self.assertEqual(self.gateway.access.lists[made["id"]], [
            ("10.9.0.0/24", "tcp", 80, 81), ("fd09::1/128", "any", 0, 0), ("10.9.0.0/16", "icmp", 0, 0), ("::/0", "udp", 53, 53)])
        changed = self.ask("PATCH", f"{LISTS}/{made['id']}", {"rules": [], "note": None})
        self.assertEqual((changed["rules"], changed["note"], changed["name"]), ([], None, "office"))
        self.assertEqual(self.gateway.access.lists, {made["id"]: []})
        self.ask("DELETE", f"{LISTS}/{made['id']}")
        self.assertEqual(self.gateway.access.lists, {})
        actions = [row["action"] for row in self.ask("GET", AUDIT)["audit"]]
        self.assertEqual(actions[-3:], ["access.create", "access.update", "access.delete"])

    def test_what_is_no_rule_is_refused_with_its_place(self):
        wrong = [{}, "10.0.0.0/8", {"to": None}, {"to": "10.0.0.0/33"}, {"to": "example.org"}, {"to": 1}, {**WEB, "ports": "0"},
                 {**WEB, "ports": "81-80"}, {**WEB, "ports": "80-"}, {**WEB, "ports": "65536"}, {**WEB, "ports": 80}, {**WEB, "ports": ""},
                 {**WEB, "protocol": "sctp"}, {**WEB, "protocol": "icmp"}, {**WEB, "protocol": None}, {**WEB, "port": "80"}]
        for rule in wrong:
            answer = self.gateway.local("POST", LISTS, {"name": "x", "rules": [WEB, rule]})
            self.is_(answer, 422)
            self.assertIn("Rule 2 ", answer.json["errors"][0]["msg"], rule)
        self.is_(self.gateway.local("POST", LISTS, {"name": "x", "rules": [WEB] * 257}), 422)
        self.is_(self.gateway.local("POST", LISTS, {"name": "x"}), 422)
        self.ask("POST", LISTS, {"name": "x", "rules": [WEB] * 256}, 201)

    def test_a_list_in_use_is_not_removed(self):
        number = self.make_list("web", WEB)
        self.make_peer("a", access=number)
        self.is_(self.gateway.local("DELETE", f"{LISTS}/{number}"), 409)
        account = self.ask("POST", ACCOUNTS, {"name": "one", "access": number}, 201)["id"]
        self.ask("DELETE", f"{PEERS}/a")
        self.assertEqual([self.ask("GET", f"{LISTS}/{number}")[n] for n in ("peers", "accounts")], [0, 1])
        self.is_(self.gateway.local("DELETE", f"{LISTS}/{number}"), 409)
        self.gateway.kill()
        self.gateway.start()
        self.is_(self.gateway.local("DELETE", f"{LISTS}/{number}"), 409)
        self.ask("PATCH", f"{ACCOUNTS}/{account}", {"access": None})
        self.ask("DELETE", f"{LISTS}/{number}")
        for path, body in ((f"{ACCOUNTS}/{account}", {"access": number}), (f"{PEERS}", {"name": "b", "access": number})):
            self.is_(self.gateway.local("PATCH" if "account" in path else "POST", path, body), 422)

    def test_a_key_of_an_account_neither_sees_nor_chooses_lists(self):
        number = self.make_list("web", WEB)
        account = self.ask("POST", ACCOUNTS, {"name": "one", "access": number}, 201)["id"]
        key = self.ask("POST", KEYS, {"name": "k", "role": "operator", "account": account}, 201)["key"]
        bearer = {"Authorization": f"Bearer {key}"}
        for target in (LISTS, f"{LISTS}/{number}"):
            self.is_(self.gateway.raw("GET", target, b"", bearer), 403)
        made = self.gateway.raw("POST", PEERS, json.dumps({"name": "a", "public_key": new_key()}).encode(), bearer)
        self.is_(made, 201)
        self.assertEqual({self.members[a] for a in self.addresses(made.json)}, {number})
        for value in (number, 0, None):
            body = json.dumps({"access": value}).encode()
            self.is_(self.gateway.raw("PATCH", f"{PEERS}/a", body, bearer), 422)
        reader = self.ask("POST", KEYS, {"name": "r", "role": "reader"}, 201)["key"]
        self.is_(self.gateway.raw("GET", LISTS, b"", {"Authorization": f"Bearer {reader}"}), 200)
        self.is_(self.gateway.raw("DELETE", f"{LISTS}/{number}", b"", {"Authorization": f"Bearer {reader}"}), 403)

    def test_networks_behind_a_peer_and_a_list_exclude_each_other(self):
        number = self.make_list("web", WEB)
        account = self.ask("POST", ACCOUNTS, {"name": "one"}, 201)["id"]
        self.make_peer("site", routes=["192.168.7.0/24"], account=account)
        for target, body in ((f"{ACCOUNTS}/{account}", {"access": number}), (f"{PEERS}/site", {"access": number})):
            self.is_(self.gateway.local("PATCH", target, body), 409)
        self.is_(self.gateway.local("POST", PEERS, {"name": "x", "routes": ["192.168.8.0/24"], "access": number}), 409)
        self.is_(self.gateway.local("POST", BATCH, {"update": [{"peer": "site", "access": number}]}), 409)
        self.ask("PATCH", f"{PEERS}/site", {"access": number, "routes": None})
        self.ask("PATCH", f"{ACCOUNTS}/{account}", {"access": number})
        self.ask("PATCH", f"{PEERS}/site", {"access": None})
        self.is_(self.gateway.local("PATCH", f"{PEERS}/site", {"routes": ["192.168.7.0/24"]}), 409)
        self.assertEqual(self.ask("GET", f"{LISTS}/{number}")["accounts"], 1)

    def test_while_there_is_no_list_the_host_has_nothing_to_look_at(self):
        self.make_peer("a")
        self.assertEqual(set(self.gateway.access.heard), {ACCESS_CLEAR})
        number = self.make_list("web", WEB)
        self.assertEqual([k for k in self.gateway.access.heard if k != ACCESS_CHECK][-2:], [ACCESS_LIST, ACCESS_ENFORCE])
        self.ask("DELETE", f"{LISTS}/{number}")
        self.gateway.kill()
        self.gateway.access.heard.clear()
        self.gateway.start()
        self.assertEqual(set(self.gateway.access.heard), {ACCESS_CLEAR})


class Commands(AccessTest):
    def run_command(self, *words, code=0):
        done = subprocess.run([CULVERT, "gateway", *words, "--state", self.gateway.state], text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_lists_are_made_and_given_from_the_command_line(self):
        said = self.run_command("access", "add", "office", "--allow", "10.9.0.0/24 tcp 80-443,fd09::1 , 10.9.0.7 icmp", "--note", "n")
        self.assertEqual(said, "10.9.0.0/24 tcp 80-443\nfd09::1/128\n10.9.0.7/32 icmp\n")
        self.assertEqual(self.run_command("access", "show", "office"), said)
        number = self.ask("GET", LISTS)["access"][0]["id"]
        self.run_command("peer", "add", "phone", "--access", "office", "--json")
        self.assertEqual(set(self.members.values()), {number})
        self.assertEqual(self.run_command("access", "list").split()[5:], [str(number), "office", "3", "1", "0"])
        self.assertIn(f"access list:     {number}\n", self.run_command("peer", "show", "phone"))
        self.assertIn("still have it", self.run_command("access", "remove", "office", code=3))
        self.run_command("peer", "access", "phone", "none")
        self.assertEqual(self.members, {})
        self.run_command("peer", "access", "phone", "office")
        self.assertEqual(set(self.members.values()), {number})
        self.assertEqual(self.run_command("access", "set", "office", "--allow", ""), "")
        self.assertEqual(self.gateway.access.lists[number], [])
        self.assertEqual(json.loads(self.run_command("access", "show", "office", "--json"))["note"], "n")
        self.run_command("peer", "access", "phone", "none")
        self.run_command("access", "remove", "office")
        self.assertEqual(json.loads(self.run_command("access", "list", "--json")), [])

    def test_what_is_wrong_on_the_command_line_is_said(self):
        for words, code, what in ((("access", "add", "x"), 2, "--allow"), (("access", "add", "x", "--allow", "10.0.0.0/8 tcp 1 2"), 3, "list like"),
                                  (("access", "add", "x", "--allow", "10.0.0.0/8, 10.0.0.0/33"), 3, "Rule 2"), (("access",), 2, "say list"),
                                  (("access", "add", "x", "--allow", ","), 3, "Rule 1"), (("access", "show", "none"), 3, "no access list"),
                                  (("access", "show"), 2, "say list"), (("peer", "add", "p", "--access", "none-such"), 3, "no access list"),
                                  (("peer", "access", "p"), 2, "one more word")):
            self.assertIn(what, self.run_command(*words, code=code), words)
        self.assertEqual((self.ask("GET", PEERS)["total"], self.ask("GET", LISTS)["total"]), (0, 0))


class Order(AccessTest):
    """What a stranger could use: a moment in which a peer is let in and its list is not in force."""

    def setUp(self):
        super().setUp()
        self.broken = []
        self.gateway.access.watch = self.watch

    def watch(self, kind, changes):
        if self.gateway.access.staged:  # not in force yet, nor is what it says
            return
        on_device = {p.split("/")[0] for prefixes in self.gateway.on_device().values() for p in prefixes}
        for address, was, now in changes or ():
            if was == 0 and address in on_device and not self.may_be_there:
                self.broken.append(f"{address} was let in before its list {now}")
            if now == 0 and address in on_device and not self.may_be_there:
                self.broken.append(f"{address} is let in without its list {was}")

    may_be_there = False

    def test_the_list_is_there_before_the_peer_and_goes_after_it(self):
        number = self.make_list("web", WEB)
        made = self.make_peer("a", access=number)
        self.assertEqual(self.members, dict.fromkeys(self.addresses(made), number))
        self.ask("PATCH", f"{PEERS}/a", {"addresses": ["10.0.1.99"]})
        self.assertEqual(self.members, {"10.0.1.99": number})
        self.ask("PATCH", f"{PEERS}/a", {"public_key": new_key()})
        self.ask("PATCH", f"{PEERS}/a", {"enabled": False})
        self.assertEqual(self.members, {"10.0.1.99": number})
        self.ask("PATCH", f"{PEERS}/a", {"enabled": True})
        self.ask("DELETE", f"{PEERS}/a")
        self.assertEqual((self.members, self.broken), ({}, []))

    def test_a_batch_that_passes_addresses_on_leaves_nobody_open(self):
        lists = self.make_list("one", WEB), self.make_list("two")
        self.ask("POST", BATCH, {"create": [{"name": n, "public_key": new_key(), "access": lists[i], "addresses": [f"10.0.1.{50 + i}"]}
                                            for i, n in enumerate(("a", "b"))]})
        self.may_be_there = True
        answer = self.gateway.local("POST", BATCH, {"update": [{"peer": "a", "addresses": ["10.0.1.60"]}], "delete": ["b"],
                                                    "create": [{"name": "c", "public_key": new_key(), "access": lists[1]}]})
        self.is_(answer, 200)
        c = self.addresses(answer.json["created"][0])
        self.assertEqual(self.members, {"10.0.1.60": lists[0], **dict.fromkeys(c, lists[1])})

    def test_while_the_host_fails_a_peer_with_a_list_stays_out_and_others_come_in(self):
        self.fail_for_a_while(range(50, 57))

    def test_so_it_does_while_the_host_fails_in_the_last_moment(self):
        """Everything is told, and then does not take force."""
        self.fail_for_a_while((ACCESS_ENFORCE, ACCESS_MEMBERS, ACCESS_CHECK))
        self.gateway.access.fails_with, self.gateway.access.fails_on = 5, (ACCESS_ENFORCE,)
        self.gateway.access.heed = lambda kind, body: 1006 if kind == ACCESS_CHECK else type(self.gateway.access).heed(
            self.gateway.access, kind, body)
        self.soon(lambda: "are not in force" in self.logged(), "a complaint")
        opened, closed = self.make_peer("another"), self.make_peer("and another", access=self.ask("GET", LISTS)["access"][0]["id"])
        self.soon(lambda: opened["public_key"] in self.gateway.on_device(), "the one without a list")
        self.assertNotIn(closed["public_key"], self.gateway.on_device())

    def fail_for_a_while(self, on):
        number = self.make_list("web", WEB)
        inside = self.make_peer("inside", access=number)
        self.gateway.access.fails_with, self.gateway.access.fails_on = 5, on
        closed, opened = self.make_peer("closed", access=number), self.make_peer("open")
        self.soon(lambda: opened["public_key"] in self.gateway.on_device(), "the one without a list")
        time.sleep(1.5)
        self.assertEqual(set(self.gateway.on_device()), {inside["public_key"], opened["public_key"]})
        self.is_(self.gateway.local("PATCH", f"{LISTS}/{number}", {"rules": []}), 503)
        self.may_be_there = True  # it is set anew as a whole: nothing of that is in force before its end
        self.gateway.access.fails_with = 0
        self.soon(lambda: closed["public_key"] in self.gateway.on_device(), "the one with a list")
        self.assertEqual(self.gateway.access.lists[number], [])
        self.assertEqual(set(self.members), self.addresses(inside) | self.addresses(closed))
        self.assertEqual(self.broken, [])

    def test_a_host_that_lost_the_lists_gets_them_again(self):
        number = self.make_list("web", WEB)
        made = self.make_peer("a", access=number)
        access = self.gateway.access
        self.soon(lambda: ACCESS_CHECK in access.heard, "a question whether they are there")
        access.members.clear()
        self.may_be_there = True
        heed = access.heed

        def forgetful(kind, body):
            return 1006 if kind == ACCESS_CHECK and not access.members else heed(kind, body)

        access.heed = forgetful
        self.soon(lambda: set(access.members) == self.addresses(made), "the list again")


class Random(AccessTest):
    extra = ("--subnet4", "10.64.0.0/14")

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("CULVERT_SEED") or int.from_bytes(os.urandom(4), "big"))
        print(f"# seed {seed}", flush=True)
        self.rng = random.Random(seed)
        self.peers, self.lists, self.accounts, self.serial = set(), set(), set(), 0

    def some(self, these):
        return self.rng.choice([None, *sorted(these)])

    def step(self):
        r = self.rng
        self.serial += 1
        kind = r.randrange(12)
        if kind < 3:
            self.make_peer(f"p{self.serial}", access=self.some(self.lists), account=self.some(self.accounts))
            self.peers.add(f"p{self.serial}")
        elif kind < 6 and self.peers:
            body = r.choice(({"access": self.some(self.lists)}, {"account": self.some(self.accounts)}, {"public_key": new_key()},
                             {"addresses": [f"10.65.{r.randrange(250)}.{r.randrange(1, 250)}"]}, {"enabled": r.random() < 0.5}))
            self.assertIn(self.gateway.local("PATCH", f"{PEERS}/{self.some(self.peers) or min(self.peers)}", body).status, (200, 409))
        elif (kind < 7 or len(self.peers) > 40) and self.peers:
            self.peers.remove(gone := min(self.peers))
            self.ask("DELETE", f"{PEERS}/{gone}")
        elif kind < 8 and len(self.lists) < 5:
            self.lists.add(self.make_list(f"l{self.serial}", *[WEB] * r.randrange(4)))
        elif kind < 9 and len(self.accounts) < 4:
            made = self.ask("POST", ACCOUNTS, {"name": f"a{self.serial}", "access": self.some(self.lists)}, 201)
            self.accounts.add(made["id"])
        elif kind < 10 and self.accounts:
            self.ask("PATCH", f"{ACCOUNTS}/{min(self.accounts)}", {"access": self.some(self.lists)})
        elif kind < 11 and self.lists:
            gone = max(self.lists)
            if self.gateway.local("DELETE", f"{LISTS}/{gone}").status == 200:
                self.lists.remove(gone)
        elif r.random() < 0.3:
            self.gateway.kill()
            self.gateway.start()

    def compare(self):
        accounts = {a["id"]: a["access"] for a in self.ask("GET", ACCOUNTS)["accounts"]}
        peers = self.ask("GET", PEERS)["peers"]
        wanted = {address: p["access"] or accounts.get(p["account"]) for p in peers for address in self.addresses(p)}
        self.assertEqual(self.members, {address: number for address, number in wanted.items() if number})
        lists = {a["id"]: len(a["rules"]) for a in self.ask("GET", LISTS)["access"]}
        self.assertEqual({n: len(rules) for n, rules in self.gateway.access.lists.items()}, lists)
        self.assertEqual(set(self.gateway.on_device()), {p["public_key"] for p in peers if p["enabled"]})

    def test_after_any_changes_the_host_has_what_is_stored(self):
        for _ in range(suite.scaled(150, 5000)):
            self.step()
            self.compare()


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Webhooks: events reach other people's servers, signed, in order, whatever happens in between.

    gateway-serve ── courier ── lo ── receiver (its own check of signatures)
          └─ culvert.db: what was not delivered yet
"""

import base64
import json
import os
import sqlite3
import subprocess
import time

import pgserver
from gateway import CULVERT, ApiTest, new_key, suite
from receiver import Receiver

HOOKS, PEERS = "/api/v1/webhooks", "/api/v1/peers"


class HookTest(ApiTest):
    extra = ("--webhooks-private", "on", "--webhooks-retry", "1")

    def receiver(self, **options):
        made = Receiver(**options)
        self.addCleanup(made.close)
        return made

    def hook(self, receiver, name="h", **members):
        answer = self.gateway.local("POST", HOOKS, {"name": name, "url": receiver.url, **members})
        self.is_(answer, 201)
        receiver.secrets.append(answer.json["secret"])
        return answer.json

    def peer(self, name, n):
        answer = self.gateway.local("POST", PEERS, {"name": name, "public_key": new_key(n)})
        self.is_(answer, 201)
        return answer.json

    def delivery(self, hook):
        return self.gateway.local("GET", f"{HOOKS}/{hook['id']}").json["delivery"]

    def all_is_well_with(self, *receivers):
        for one in receivers:
            self.assertEqual(one.bad, [])

    def waiting(self):
        """Names of the messages that the store holds."""
        with sqlite3.connect(f"{self.gateway.state}/culvert.db") as db:
            names = [name for (name,) in db.execute("SELECT name FROM record WHERE kind = 7 ORDER BY id")]
        db.close()
        return names


class Delivery(HookTest):
    def test_every_change_arrives_signed_and_in_order(self):
        r = self.receiver()
        self.hook(r, events=["peer.*", "account.created"])
        made = self.peer("a", 1)
        g = self.gateway
        self.is_(g.local("PATCH", f"{PEERS}/a", {"note": "x"}), 200)
        self.is_(g.local("PATCH", f"{PEERS}/a", {"enabled": False}), 200)
        self.is_(g.local("PATCH", f"{PEERS}/a", {"enabled": True}), 200)
        self.is_(g.local("POST", "/api/v1/accounts", {"name": "acme"}), 201)
        self.is_(g.local("POST", "/api/v1/keys", {"name": "k", "role": "reader"}), 201)  # nobody asked for that
        self.is_(g.local("DELETE", f"{PEERS}/a"), 200)
        self.soon(lambda: len(r.accepted) == 6, "six messages")
        self.assertEqual([m.type for m in r.accepted], ["peer.created", "peer.updated", "peer.suspended", "peer.resumed",
                                                        "account.created", "peer.deleted"])
        first = r.accepted[0]
        self.assertEqual((first.data["id"], first.data["name"], first.data["public_key"]), (made["id"], "a", new_key(1)))
        self.assertEqual((first.data["addresses"], first.data["who"]), (made["addresses"], "uid 0"))
        self.assertEqual(r.accepted[2].data["enabled"], False)
        self.assertEqual(r.accepted[4].data["name"], "acme")
        self.assertGreater(r.accepted[4].data["id"], 0)
        self.assertEqual(len({m.id for m in r.accepted}), 6)
        self.assertEqual(first.headers["Content-Type"], "application/json")
        self.soon(lambda: self.waiting() == [], "the outbox to be empty")
        self.all_is_well_with(r)

    def test_a_batch_has_one_event_for_each_of_its_changes_or_none(self):
        r, g = self.receiver(), self.gateway
        self.hook(r, events=["peer.created"])
        self.is_(g.local("POST", "/api/v1/batch", {"create": [{"name": f"b{n}", "public_key": new_key(n)} for n in range(20)]}), 200)
        twice = {"create": [{"name": "c", "public_key": new_key(30)}, {"name": "b1", "public_key": new_key(31)}]}
        self.is_(g.local("POST", "/api/v1/batch", twice), 409)
        self.peer("last", 40)
        self.soon(lambda: len(r.accepted) >= 21, "the messages")
        self.assertEqual([m.data["name"] for m in r.accepted], [f"b{n}" for n in range(20)] + ["last"])
        self.assertEqual(len({m.data["id"] for m in r.accepted}), 21)
        self.all_is_well_with(r)

    def test_what_fails_is_tried_again_under_the_same_id_and_in_its_place(self):
        r = self.receiver()
        r.plan = [500, 302, 400]
        hook = self.hook(r)
        self.peer("a", 1)
        self.soon(lambda: len(r.all) == 1, "the first try")
        self.soon(lambda: self.delivery(hook)["state"] == "retrying", "it to be told")
        told = self.delivery(hook)
        self.assertEqual((told["last"]["status"], told["failed"], told["pending"]), (500, 1, 1))
        self.assertIsNotNone(told["next_try"])
        self.peer("b", 2)
        self.soon(lambda: len(r.accepted) == 2, "both to arrive", 20)
        self.assertEqual([m.data["name"] for m in r.all], ["a"] * 4 + ["b"])
        self.assertEqual(len({m.id for m in r.all[:4]}), 1)
        self.assertEqual(len({bytes(m.body) for m in r.all[:4]}), 1)
        self.assertTrue(all("elsewhere" not in m.headers for m in r.all))
        pauses = [b.at - a.at for a, b in zip(r.all, r.all[1:4])]
        self.assertTrue(0.4 < pauses[0] < 2 and 0.9 < pauses[1] < 3 and 1.8 < pauses[2] < 5.5, pauses)
        self.soon(lambda: self.delivery(hook)["state"] == "ok", "it to be well again")
        self.all_is_well_with(r)

    def test_one_that_hangs_or_talks_without_end_delays_nobody_else(self):
        def endless(handler):
            handler.send_response(200)
            handler.end_headers()
            try:
                for _ in range(10_000):
                    handler.wfile.write(b"x" * 10_000)
            except OSError:
                pass
            handler.close_connection = True

        slow, talker, quick = self.receiver(), self.receiver(), self.receiver()
        slow.plan, talker.plan = ["hang"], [endless]
        self.hook(slow, "slow")
        talk = self.hook(talker, "talker", events=["peer.*"])
        self.hook(quick, "quick", events=["peer.*"])
        began = time.time()
        for n in range(20):
            self.peer(f"p{n}", n + 1)
        self.soon(lambda: len(quick.types()) == 20 and len(talker.all) == 20, "the others' messages", 8)
        self.assertEqual(len(talker.types()), 19)  # the endless one counts as delivered: it had said 200
        self.assertEqual(self.delivery(talk)["failed"], 0)
        self.assertLess(time.time() - began, 8)
        self.assertEqual(len(slow.all), 1)
        self.soon(lambda: len(slow.types()) == 20, "the slow one's, after its time is over", 25)
        self.assertEqual(slow.all[0].id, slow.all[1].id)
        self.all_is_well_with(slow, talker, quick)

    def test_nothing_acknowledged_is_lost_when_the_gateway_is_killed(self):
        rounds = 10 if os.environ.get("CULVERT_SOAK") else 2
        print(f"# scale: {rounds} kills, full 10")
        r = self.receiver()
        port = r.port
        hook = self.hook(r, events=["peer.created"])
        n, wanted = 0, []
        for _ in range(rounds):
            for _ in range(15):
                n += 1
                self.peer(f"p{n}", n)
                wanted.append(f"p{n}")
            r.close()
            for _ in range(15):
                n += 1
                self.peer(f"p{n}", n)
                wanted.append(f"p{n}")
            waiting = self.waiting()
            self.assertGreaterEqual(len(waiting), 15)
            self.gateway.kill()
            self.assertGreaterEqual(set(self.waiting()), set(waiting[-15:]))
            again = self.receiver(port=port)
            again.secrets, again.all, again.accepted, again.bad = r.secrets, r.all, r.accepted, r.bad
            r = again
            self.gateway.start()
            self.soon(lambda: wanted[-1] in [m.data["name"] for m in r.accepted], "the last to arrive", 20)
        ids = {}
        for m in r.accepted:
            ids.setdefault(m.data["name"], set()).add(m.id)
        self.assertEqual(list(ids), wanted)  # none is missing, and each first came in its place
        self.assertTrue(all(len(one) == 1 for one in ids.values()), ids)
        self.assertTrue(all(m.data["id"] == int(m.data["name"][1:]) for m in r.accepted))
        self.soon(lambda: self.waiting() == [], "the outbox to be empty")
        self.assertEqual(self.delivery(hook)["pending"], 0)
        self.all_is_well_with(r)

    def test_an_account_of_what_was_too_much_is_given(self):
        r = self.receiver()
        r.plan = ["hang"]
        hook = self.hook(r, events=["peer.created"])
        g, per_batch, batches = self.gateway, 500, 10
        for b in range(batches):
            body = {"create": [{"name": f"m{b * per_batch + n}", "public_key": new_key(b * per_batch + n), "addresses":
                                [f"fd42:4242:1::{b * per_batch + n + 2:x}"]} for n in range(per_batch)]}
            self.is_(g.local("POST", "/api/v1/batch", body), 200)
        self.soon(lambda: self.delivery(hook)["missed"] > 0, "some to be dropped")
        self.soon(lambda: self.delivery(hook)["pending"] <= 4096, "the bound to be kept")
        r.hanging.set()
        g.kill()
        g.start()
        total = per_batch * batches
        self.soon(lambda: r.accepted and r.accepted[-1].data.get("name") == f"m{total - 1}", "the rest", 60)
        missed = [m for m in r.accepted if m.type == "missed"]
        self.assertEqual(len(missed), 1)
        self.assertIs(r.accepted.index(missed[0]) <= 1, True)
        seen = {m.data["name"] for m in r.accepted if m.type == "peer.created"}
        self.assertEqual(len(seen) + missed[0].data["events"], total)
        self.all_is_well_with(r)

    def test_a_receiver_that_wants_nothing_more_is_switched_off(self):
        r = self.receiver()
        r.plan = [410]
        hook = self.hook(r)
        self.peer("a", 1)
        self.soon(lambda: self.delivery(hook)["state"] == "disabled", "it to be switched off")
        self.peer("b", 2)
        time.sleep(1.5)
        self.assertEqual(len(r.all), 1)
        actions = [(row["action"], row["who"]) for row in self.gateway.local("GET", "/api/v1/audit").json["audit"]]
        self.assertIn(("webhook.disable", "gateway"), actions)
        self.is_(self.gateway.local("PATCH", f"{HOOKS}/{hook['id']}", {"enabled": True}), 200)
        self.soon(lambda: r.types() == ["peer.created"], "what had waited")
        self.assertEqual(r.accepted[0].data["name"], "a")

    def test_after_a_day_of_failing_it_is_called_failing(self):
        r = self.receiver()
        r.plan = [500] * 1000
        hook = self.hook(r)
        self.peer("a", 1)
        self.soon(lambda: len(r.all) == 1, "a try")
        self.gateway.kill()
        with sqlite3.connect(f"{self.gateway.state}/culvert.db") as db:
            db.execute("UPDATE record SET created_ns = created_ns - 86500000000000 WHERE kind = 7")
        db.close()
        self.gateway.start()
        self.soon(lambda: self.delivery(hook)["state"] == "failing", "it to be told")
        tries = len(r.all)
        time.sleep(3)
        self.assertEqual(len(r.all), tries)  # the next is in an hour
        r.plan = []
        answer = self.gateway.local("POST", f"{HOOKS}/{hook['id']}/test")
        self.is_(answer, 202)
        self.soon(lambda: "webhook.test" in [m.type for m in r.accepted], "a test to go at once")
        self.assertEqual(r.types(), ["peer.created"])
        self.assertEqual(r.accepted[-1].id, answer.json["message"])
        self.assertEqual(self.delivery(hook)["state"], "ok")


class Tls(HookTest):
    def certificate(self):
        path = f"/run/{self.id()}.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                        "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
                       check=True, capture_output=True)
        with open(path, "a") as f, open(f"{path}.crt") as crt:
            f.write(crt.read())
        return path

    def test_a_certificate_that_nobody_vouches_for_gets_nothing_and_one_that_is_trusted_all(self):
        path = self.certificate()
        r = self.receiver(certificate=path)
        hook = self.hook(r, events=["peer.*"])
        self.peer("a", 1)
        self.soon(lambda: self.delivery(hook)["last"], "a try")
        last = self.delivery(hook)["last"]
        self.assertIsNone(last["status"])
        self.assertIn("certificate", last["error"].lower())
        self.assertEqual(r.all, [])
        self.gateway.stop()
        subprocess.run(["mount", "--bind", f"{path}.crt", "/etc/ssl/certs/ca-certificates.crt"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/etc/ssl/certs/ca-certificates.crt"], check=True)
        self.gateway.start()
        self.soon(lambda: r.types() == ["peer.created"], "what had waited")
        self.all_is_well_with(r)


class Operator(HookTest):
    def test_what_is_not_allowed_any_more_is_not_sent_and_counted_as_waiting(self):
        r = self.receiver()
        hook = self.hook(r, events=["peer.*"])
        self.peer("a", 1)
        self.soon(lambda: r.types() == ["peer.created"], "a message")
        self.gateway.stop()
        self.gateway.extra = ["--webhooks-retry", "1"]
        self.gateway.start()
        self.peer("b", 2)
        self.soon(lambda: self.delivery(hook)["last"], "a refusal")
        self.assertIn("not a public address", self.delivery(hook)["last"]["error"])
        self.assertEqual(len(r.all), 1)
        told = self.gateway.local("GET", "/metrics").text
        self.assertIn('culvert_webhook_events_waiting{interface="wg0"} 1\n', told)
        self.assertRegex(told, r'culvert_webhook_tries_failed_total\{interface="wg0"\} [1-9]')


class OnPostgres(HookTest):
    """gateway-serve ── /run/pg ── postgres: the outbox is a kind of record, whatever keeps them."""

    def make(self, **options):
        if pgserver.why_not():
            self.skipTest(pgserver.why_not())
        self.server = pgserver.Server(self.log)
        self.addCleanup(subprocess.run, ["rm", "-rf", "/run/pg"], check=True)
        self.addCleanup(self.server.close)
        options["extra"] = [*self.extra, "--store", "postgres", "--database", self.server.conninfo]
        return super().make(**options)

    def waiting(self):
        return [name for (name,) in self.server.psql("SELECT name FROM culvert.record WHERE kind = 7 ORDER BY id")]

    def test_what_waits_survives_a_kill(self):
        r = self.receiver()
        r.plan = ["hang"]
        self.hook(r, events=["peer.created"])
        wanted = [f"p{n}" for n in range(20)]
        for n, name in enumerate(wanted[:10]):
            self.peer(name, n + 1)
        self.gateway.kill()
        self.assertEqual(len(self.waiting()), 10)
        self.gateway.start()
        for n, name in enumerate(wanted[10:]):
            self.peer(name, n + 11)
        self.soon(lambda: len({m.id for m in r.accepted}) >= 20, "all to arrive", 30)
        self.assertEqual(list(dict.fromkeys(m.data["name"] for m in r.accepted)), wanted)
        self.assertEqual(len({(m.data["name"], m.id) for m in r.accepted}), 20)
        self.soon(lambda: self.waiting() == [], "the outbox to be empty")
        self.all_is_well_with(r)


class Objects(HookTest):
    def test_the_secret_is_told_when_it_is_made_and_never_again(self):
        r = self.receiver()
        hook = self.hook(r)
        self.assertGreaterEqual(len(base64.b64decode(hook["secret"].removeprefix("whsec_"))), 24)
        for target in (HOOKS, f"{HOOKS}/{hook['id']}"):
            self.assertNotIn(hook["secret"], self.gateway.local("GET", target).text)
        self.assertNotIn(hook["secret"], self.gateway.local("PATCH", f"{HOOKS}/{hook['id']}", {"note": "x"}).text)
        self.gateway.stop()
        for name in os.listdir(self.gateway.state):
            with open(f"{self.gateway.state}/{name}", "rb") as f:
                self.assertNotIn(hook["secret"].encode(), f.read(), name)

    def test_an_exchanged_secret_and_the_one_before_are_both_good_for_a_while(self):
        r = self.receiver()
        hook = self.hook(r)
        answer = self.gateway.local("PATCH", f"{HOOKS}/{hook['id']}", {"secret": True})
        self.is_(answer, 200)
        self.assertNotEqual(answer.json["secret"], hook["secret"])
        self.peer("a", 1)
        self.soon(lambda: r.accepted, "a message")
        self.assertEqual(len(r.accepted[0].headers["webhook-signature"].split(" ")), 2)
        r.secrets = [answer.json["secret"]]
        self.peer("b", 2)
        self.soon(lambda: len(r.accepted) == 2, "another")
        self.all_is_well_with(r)

    def test_a_secret_of_the_callers_own_is_taken_if_it_is_good(self):
        own = "whsec_" + base64.b64encode(bytes(range(24))).decode()
        r = self.receiver()
        hook = self.gateway.local("POST", HOOKS, {"name": "h", "url": r.url, "secret": own})
        self.assertEqual((hook.status, hook.json["secret"]), (201, own))
        for wrong in ("whsec_", "x", own[:20], own + "AAAA" * 20, 7):
            self.is_(self.gateway.local("POST", HOOKS, {"name": "i", "url": r.url, "secret": wrong}), 422)

    def test_they_are_listed_changed_and_removed(self):
        r, g = self.receiver(), self.gateway
        hook = self.hook(r, note="for the billing", events=["peer.*"])
        self.assertEqual([h["name"] for h in g.local("GET", HOOKS).json["webhooks"]], ["h"])
        self.is_(g.local("POST", HOOKS, {"name": "h", "url": r.url}), 409)
        shown = g.local("PATCH", f"{HOOKS}/{hook['id']}", {"name": "two", "events": ["key.created"], "note": None}).json
        self.assertEqual((shown["name"], shown["events"], shown["note"]), ("two", ["key.created"], None))
        self.peer("a", 1)
        self.is_(g.local("POST", "/api/v1/keys", {"name": "k", "role": "reader"}), 201)
        self.soon(lambda: r.accepted, "a message")
        self.assertEqual([m.type for m in r.accepted], ["key.created"])
        r.plan = [500] * 100
        self.is_(g.local("POST", "/api/v1/keys", {"name": "l", "role": "reader"}), 201)
        self.soon(lambda: len(r.all) == 2, "a try")
        self.is_(g.local("DELETE", f"{HOOKS}/{hook['id']}"), 200)
        self.is_(g.local("GET", f"{HOOKS}/{hook['id']}"), 404)
        self.soon(lambda: self.waiting() == [], "what waited for it to go too")
        for n in range(8):
            self.is_(g.local("POST", HOOKS, {"name": f"n{n}", "url": r.url}), 201)
        self.is_(g.local("POST", HOOKS, {"name": "n9", "url": r.url}), 409)

    def test_only_an_admin_may_see_and_change_them(self):
        for role, status in (("reader", 403), ("operator", 403), ("admin", 200)):
            key = self.gateway.local("POST", "/api/v1/keys", {"name": role, "role": role}).json["key"]
            answer = self.gateway.raw("GET", HOOKS, b"", {"Authorization": f"Bearer {key}"})
            self.assertEqual(answer.status, status, role)
        self.is_(self.gateway.raw("GET", HOOKS), 401)

    def test_what_is_wrong_is_said_with_its_place(self):
        wrong = {"url": "ftp://example.com/", "events": ["peer.conected"], "note": "x" * 600, "enabled": "yes", "secret": "no"}
        for name, value in wrong.items():
            answer = self.gateway.local("POST", HOOKS, {"name": "w", "url": "https://example.com/", name: value})
            self.is_(answer, 422)
            self.assertEqual(answer.json["errors"][0]["loc"][:2], ["body", name])
        for events in ([], ["*"] * 33, "peer.*", [7], ["peer."], ["x" * 100]):
            self.is_(self.gateway.local("POST", HOOKS, {"name": "w", "url": "https://example.com/", "events": events}), 422)


class Command(HookTest):
    def culvert(self, *words, code=0):
        done = subprocess.run([CULVERT, "gateway", "webhook", *words, "--state", self.gateway.state], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done)
        return done.stdout

    def test_the_command_makes_tries_lists_and_removes_them(self):
        r = self.receiver()
        r.secrets.append(self.culvert("add", "billing", r.url, "--events", "peer.created, key.*").strip())
        self.peer("a", 1)
        self.culvert("test", "billing")
        self.soon(lambda: len(r.accepted) == 2, "both messages")
        self.assertEqual([m.type for m in r.accepted], ["peer.created", "webhook.test"])
        self.soon(lambda: self.culvert("list").splitlines()[1].split() == ["billing", "ok", "0", "204", r.url], "it to be told")
        self.assertEqual(json.loads(self.culvert("list", "--json"))["webhooks"][0]["events"], ["peer.created", "key.*"])
        self.culvert("add", "billing", r.url, code=3)
        self.culvert("add", "other", "ftp://x", code=3)
        self.culvert("add", "other", r.url, "--events", "peer.conected", code=3)
        self.culvert("test", "nobody", code=3)
        self.culvert("add", "other", code=2)
        self.culvert("list", "--events", "x", code=2)
        self.culvert("remove", "billing")
        self.assertEqual(len(self.culvert("list").splitlines()), 1)
        self.all_is_well_with(r)


class Strict(HookTest):
    """As it is when nobody allows anything."""

    extra = ("--webhooks-retry", "1")

    def test_no_url_leads_into_a_private_network_or_is_plain(self):
        hosts = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "10.0.0.1", "172.16.0.1", "192.168.1.1",
                 "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[::ffff:127.0.0.1]",
                 "[::ffff:7f00:1]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fd00:ec2::254]",
                 "198.18.0.1", "192.0.2.1", "[2001:db8::1]"]
        for host in hosts:
            answer = self.gateway.local("POST", HOOKS, {"name": "w", "url": f"https://{host}/hook"})
            self.assertEqual(answer.status, 422, host)
        for url in ("http://example.com/", "http://93.184.215.14/", "https://user:pw@example.com/", "https://example.com/#x",
                    "https://", "//example.com", "https://exa mple.com/", "https://example.com\\@10.0.0.1/", "file:///etc/passwd",
                    "gopher://example.com/", "https://" + "x" * 1100 + ".com/"):
            answer = self.gateway.local("POST", HOOKS, {"name": "w", "url": url})
            self.assertEqual(answer.status, 422, url)
        self.is_(self.gateway.local("POST", HOOKS, {"name": "w", "url": "https://example.com:8443/hook?x=1"}), 201)

    def test_a_name_that_means_one_is_found_out_when_it_is_connected_to(self):
        """As with rebinding: what counts is the address that is connected to."""
        r, names = self.receiver(), {"inside.example.com": "127.0.0.1", "meta.example.com": "169.254.169.254"}
        with open("/run/hosts", "w") as f:
            f.write("".join(f"{a} {n}\n" for n, a in names.items()))
        self.gateway.stop()
        subprocess.run(["mount", "--bind", "/run/hosts", "/etc/hosts"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/etc/hosts"], check=True)
        self.gateway.start()
        hooks = [self.gateway.local("POST", HOOKS, {"name": n, "url": f"https://{n}:{r.port}/hook"}).json for n in names]
        self.peer("a", 1)
        for hook, address in zip(hooks, names.values()):
            self.soon(lambda: self.delivery(hook)["last"], "a try")
            last = self.delivery(hook)["last"]
            self.assertEqual((last["status"], last["error"]), (None, f"{address} is not a public address"))
        self.assertEqual(r.all, [])


class Insecure(HookTest):
    extra = ("--webhooks-retry", "1", "--webhooks-insecure", "on")

    def test_no_address_of_this_machine_is_reached_though_it_is_a_public_one(self):
        public = "9.9.9.9"  # of this sandbox's loopback
        subprocess.run(["ip", "address", "add", f"{public}/32", "dev", "lo"], check=True)
        self.addCleanup(subprocess.run, ["ip", "address", "delete", f"{public}/32", "dev", "lo"], check=True)
        r = self.receiver(host=public)
        hook = self.hook(r)
        self.peer("a", 1)
        self.soon(lambda: self.delivery(hook)["last"], "a try")
        self.assertEqual(self.delivery(hook)["last"]["error"], f"{public} is an address of this gateway")
        self.assertEqual(r.all, [])


if __name__ == "__main__":
    suite.main()

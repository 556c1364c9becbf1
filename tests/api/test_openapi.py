#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The API is what proto/openapi.yaml says: requests are made from it, answers are judged by it.

    generator ─ gateway.sock ─┐
              ─ lo, TCP ──────┴─ gateway-serve ─ UAPI ─ device wg0

Bodies are of three kinds. Sound ones are made with what is known of the state, and must be accepted
unless something is in the way (409). Ones that break their schema, as python3-jsonschema finds, must be
refused. Of those in between (an address of no pool, a time that is over) any documented answer will do.
"""

import base64
import hashlib
import html.parser
import json
import os
import random
import re
import time
import urllib.parse

import jsonschema
import yaml
from gateway import ApiTest, LocalConnection, http, new_key, suite

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES = ("reader", "operator", "admin")
API = "/api/v1"
PEERS_KEPT = 40
WAITED_FOR = {"Stored, but the interface does not act on it yet", "Removed, but the interface does not act on it yet",
              "Stored, but it is not in force yet"}
NOT_JSON = (b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}{}", b'{"name":"a","name":"b"}', b'{"name":"\xff\xfe"}', b"\x00",
            b'{"name":"\\ud800"}', b'{"name":"a\\u0000b"}', b"[" * 40 + b"]" * 40, b'{"a":' * 20 + b"1" + b"}" * 20,
            b'{"rate_bps":1e999}', b'{"rate_bps":99999999999999999999999}', b"\xef\xbb\xbf{}", b"{'name': 1}")
TEXTS = ("", "a", " a", "a ", "a/b", "a\tb", "x" * 65, "x" * 600, "‮evil", "null", "0", "-1", "10.64.0.0/33", "ñ" * 40,
         "10.0.0.300", "2001-01-01T00:00:00Z", "2099-13-01T00:00:00Z", "mon-xyz", "<script>", "A" * 44, "=" * 44, "%00")
OTHERS = (None, True, False, 0, 1, -1, 1.5, 65536, 2**31, 2**63 - 1, 2**63, 10**20, [], {}, [None], [1], ["x"], {"bytes": 0},
          {"bytes": 5, "period": "year"}, {"period": "day"}, [[]], ["10.64.0.1"] * 3, ["::/0"], ["0.0.0.0/0"], [{}])


def document():
    with open(os.path.join(ROOT, "proto", "openapi.yaml")) as f:
        return yaml.safe_load(f)


class Operation:
    def __init__(self, all_of_it, path, method):
        self.document, self.path, self.method = all_of_it, path, method.upper()
        item = all_of_it["paths"][path]
        self.node = item[method]
        self.role = self.node["x-role"]
        self.parameters = [self.resolve(p) for p in (*item.get("parameters", ()), *self.node.get("parameters", ()))]
        body = self.node.get("requestBody")
        self.body = self.validator(body["content"]["application/json"]["schema"]) if body else None
        self.answers = {int(status): self.resolve(r) for status, r in self.node["responses"].items()}
        self.judges = {(status, kind): self.validator(one["schema"])
                       for status, r in self.answers.items() for kind, one in r.get("content", {}).items()}

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            node = target
        return node

    def validator(self, schema):
        return jsonschema.Draft202012Validator({**schema, "components": self.document["components"]})

    def __repr__(self):
        return f"{self.method} {self.path}"


def operations(of):
    return [Operation(of, path, method.lower()) for path, item in of["paths"].items() for method in METHODS
            if method.lower() in item]


class DocumentTest(ApiTest):
    extra = ("--subnet4", "10.64.0.0/14", "--listen-users", "http://127.0.0.1:0")

    def setUp(self):
        super().setUp()
        self.document = document()
        self.operations = operations(self.document)
        self.by_id = {o.node["operationId"]: o for o in self.operations}
        self.kept = {}
        self.counts = {}
        self.sent = 0

    def connection(self, kind):
        """A kept connection; one that has idled might just be closed."""
        made, used = self.kept.get(kind, (None, 0))
        if not made or time.monotonic() - used > 3:
            if made:
                made.close()
            made = LocalConnection(f"{self.gateway.state}/gateway.sock") if kind == "local" else \
                http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        self.kept[kind] = made, time.monotonic()
        return made

    def send(self, operation, target, body=None, headers=None, how="local"):
        """One request, its answer judged by the document. how: local, signed, nobody, or a key."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = dict(headers or {})
        if how == "signed":
            stamp, nonce = str(int(time.time())), os.urandom(8).hex()
            headers |= {"signature": self.gateway.sign_v2(operation.method, target, stamp, nonce, data), "timestamp": stamp,
                        "X-Nonce": nonce, "X-Signature-Version": "2"}
        elif how not in ("local", "nobody"):
            headers["Authorization"] = f"Bearer {how}"
        answer = self.gateway.raw(operation.method, target, data, headers,
                                  self.connection("local" if how == "local" else "tcp"))
        self.sent += 1
        self.counts[operation, answer.status] = self.counts.get((operation, answer.status), 0) + 1
        self.judge(operation, answer, f"{operation.method} {target} {data[:2000]!r} {headers}")
        return answer

    def judge(self, operation, answer, what):
        what = f"{what}: {answer}"
        self.assertIn(answer.status, operation.answers, f"not documented: {what}")
        if answer.status >= 500:
            self.assertEqual(answer.status, 503, what)
            self.assertIn(answer.json["detail"], WAITED_FOR, what)
        kind = answer.headers["Content-Type"].split(";")[0]
        self.assertIn((answer.status, kind), operation.judges, f"another type: {what}")
        value = answer.json if kind.endswith("json") else answer.text
        wrong = jsonschema.exceptions.best_match(operation.judges[answer.status, kind].iter_errors(value))
        if wrong:
            self.fail(f"{wrong.message} at {list(wrong.absolute_path)}: {what}")
        if kind == "application/problem+json":
            self.assertEqual(answer.json["status"], answer.status, what)
        for name in operation.answers[answer.status].get("headers", ()):
            self.assertIn(name, answer.headers, what)
        if answer.status == 401:
            self.assertIn("WWW-Authenticate", answer.headers, what)

    def key_of(self, role, **members):
        answer = self.send(self.by_id["createKey"], f"{API}/keys", {"name": f"a {role} {os.urandom(3).hex()}", "role": role,
                                                                   **members})
        self.is_(answer, 201)
        return answer.json["key"]


class PageReader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.tags, self.styles, self.attributes = set(), [], set(), [], set()
        self.in_style = False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.in_style = tag == "style"
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.add(value)
            if name in ("href", "src"):
                self.links.append(value)

    def handle_data(self, data):
        if self.in_style:
            self.styles.append(data)
            self.in_style = False


class Documents(DocumentTest):
    def test_every_route_is_in_the_document_and_the_reverse(self):
        with open(os.path.join(ROOT, "src", "api", "own_routes.c")) as f:
            rows = re.findall(r'OWN_ROUTE\(HTTP_(\w+),\s*"([^"]+)",\s*ROUTE_(\w+),', f.read())
        self.assertGreater(len(rows), 20)
        roles = {"READ": "reader", "OPERATE": "operator", "ADMINISTER": "admin", "OPEN": "anybody"}
        self.assertEqual({(method, path, roles[auth]) for method, path, auth in rows},
                         {(o.method, re.sub(r"\{\w+\}", "{}", o.path), o.role) for o in self.operations})

    def test_its_schemas_are_schemas_and_its_references_lead_somewhere(self):
        for schema in self.document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        names = re.findall(r"'\$ref': '#/components/(\w+)/(\w+)'", str(self.document))
        for group, name in set(names):
            self.assertIn(name, self.document["components"][group])
        unused = {(g, n) for g in ("schemas", "responses", "parameters", "headers")
                  for n in self.document["components"][g]} - set(names)
        self.assertEqual(unused, set())

    def test_anybody_gets_it_as_it_is_written(self):
        answer = self.send(self.by_id["showDocument"], "/openapi.json", how="nobody")
        self.is_(answer, 200, self.document)

    def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(self):
        answer = self.send(self.by_id["showPage"], "/docs", how="nobody")
        self.is_(answer, 200)
        page = PageReader()
        page.feed(answer.text)
        self.assertLessEqual({o.node["operationId"] for o in self.operations}, page.ids)
        self.assertLessEqual({f"schema-{name}" for name in self.document["components"]["schemas"]}, page.ids)
        self.assertEqual({link[1:] for link in page.links if link.startswith("#")} - page.ids, set())
        self.assertEqual({link for link in page.links if not link.startswith("#")}, {"/openapi.json"})
        self.assertEqual(page.tags & {"script", "link", "img", "iframe", "object", "form", "base"}, set())
        self.assertEqual({a for a in page.attributes if a.startswith("on") or a == "style"}, set())
        digest = base64.b64encode(hashlib.sha256("".join(page.styles).encode()).digest()).decode()
        self.assertEqual(answer.headers["Content-Security-Policy"],
                         f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'")


class Access(DocumentTest):
    def target(self, operation):
        return re.sub(r"\{\w+\}", "1", operation.path)

    def test_nobody_gets_past_a_route_without_the_role_it_asks_for(self):
        keys = {role: self.key_of(role) for role in ROLES}
        gone = self.key_of("admin")
        number = self.send(self.by_id["listKeys"], f"{API}/keys").json["keys"][-1]["id"]
        self.is_(self.send(self.by_id["deleteKey"], f"{API}/keys/{number}"), 200)
        changed = keys["admin"][:-2] + ("AA" if keys["admin"][-2:] != "AA" else "BB")
        for o in self.operations:
            if o.role == "anybody":
                continue
            target, body = self.target(o), {} if o.body else None
            for how in ("nobody", "", "x", gone, changed, keys["admin"] + "A", keys["admin"][1:]):
                self.assertEqual(self.send(o, target, body, how=how).status, 401, (o, how))
            for header in ("Basic eDp5", keys["admin"], f"Bearer  {keys['admin']} x"):
                self.assertEqual(self.send(o, target, body, {"Authorization": header}, "nobody").status, 401, (o, header))
            wrong = {"signature": "0" * 64, "timestamp": str(int(time.time())), "X-Nonce": "a" * 16, "X-Signature-Version": "2"}
            self.assertEqual(self.send(o, target, body, wrong, "nobody").status, 401, o)
            for role in ROLES[:ROLES.index(o.role)]:
                self.assertEqual(self.send(o, target, body, how=keys[role]).status, 403, (o, role))
        self.assertEqual(self.send(self.by_id["listPeers"], f"{API}/peers").json["total"], 0)

    def test_what_a_route_does_not_do_is_405_with_what_it_does(self):
        for path in self.document["paths"]:
            target = re.sub(r"\{\w+\}", "1", path)
            # A part of a path may have slashes, as keys do: several patterns may fit.
            have = {o.method for o in self.operations if re.fullmatch(re.sub(r"\{\w+\}", ".+", o.path), target)}
            for method in {*METHODS, "OPTIONS"} - have:
                answer = self.gateway.raw(method, target)
                self.assertEqual(answer.status, 405, (method, path, answer))
                self.assertEqual(set(answer.headers["Allow"].split(", ")), have, (method, path))
                self.assertEqual(answer.headers["Content-Type"], "application/problem+json", (method, path))

    def test_a_head_is_what_a_get_would_say_without_its_body(self):
        for o in self.operations:
            if o.method == "GET":
                target = self.target(o)
                expected = 404 if "{" in o.path else 200
                answer = self.gateway.local("HEAD", target)
                self.assertEqual((answer.status, answer.text), (expected, ""), o)
                self.assertEqual(answer.headers["Content-Type"].split(";")[0], "application/problem+json" if expected == 404 else
                                 next(iter(o.answers[200]["content"])), o)

    def test_a_body_of_more_than_a_mebibyte_is_refused_wherever_one_is_taken(self):
        for o in self.operations:
            if o.body:
                answer = self.send(o, self.target(o), b'{"note":"' + b"x" * (1 << 20) + b'"}')
                self.assertEqual(answer.status, 413, o)

    def test_paths_that_are_none_are_404_in_the_same_shape(self):
        for path in self.document["paths"]:
            if "{" in path:
                continue
            for target in (f"{path}x", f"{path}//"):
                answer = self.gateway.raw("GET", target)
                self.assertIn(answer.status, (401, 404, 405), answer)  # "/" may be the name of something
                self.assertEqual(answer.headers["Content-Type"], "application/problem+json", target)


class Model:
    """What should be there, in the simplest words."""

    def __init__(self, rng):
        self.rng = rng
        self.peers, self.accounts, self.keys, self.lists = {}, {}, {}, {}  # by id: name and key, name, name, name
        self.gone_peers, self.gone_ids, self.serial = ["never was"], [10**12], 0

    def new_name(self):
        self.serial += 1
        return self.rng.choice(("p{}", "peer {} b", "Ünï-{}", "<b>{}<b>", "a&b={}", "{}%41", "'{}\"", "é{}?#")).format(self.serial)

    def peer_part(self, number):
        """One of the ways to name a peer in a path."""
        name, key = self.peers[number]
        if not name or self.rng.random() < 0.5:
            return self.rng.choice((key, key.replace("/", "_").replace("+", "-"), key.rstrip("="), urllib.parse.quote(key, safe="")))
        return urllib.parse.quote(name, safe="")


class Bodies:
    """Requests' bodies: sound ones, and what comes of breaking them."""

    def __init__(self, rng, model):
        self.rng, self.model, self.networks = rng, model, 0

    def network(self, family=4):
        """One that nobody has yet."""
        self.networks += 1
        a, b = 1 + self.networks // 250, 1 + self.networks % 250
        return f"11.{a}.{b}.0/24" if family == 4 else f"fd77:{a:x}:{b:x}::/64"

    def members(self):
        r = self.rng
        made = {
            "enabled": lambda: r.random() < 0.8,
            "obfuscation_level": lambda: r.choice(("off", "low", "basic", "medium", "high", "extreme", "stealth", None)),
            "dns": lambda: r.choice(("d1", "d2", "d3")),
            "preshared_key": lambda: r.choice((new_key(), new_key().rstrip("="), None)),
            "addresses": lambda: r.choice((None, [], [self.v4()], [self.v6()], [self.v6(), self.v4()])),
            "account": lambda: r.choice((None, 0, *self.model.accounts)),
            "access": lambda: r.choice((None, 0, *self.model.lists)),
            "expires": lambda: r.choice((None, "2099-12-31T23:59:59Z", "2099-02-28T12:00:00.123456+02:00")),
            "quota": lambda: r.choice((None, {"bytes": r.randrange(1, 2**63)}, {"bytes": 5, "period": r.choice(
                ("none", "day", "week", "month", "rolling-day", "rolling-month"))})),
            "rate_bps": lambda: r.choice((None, 0, 8, 10**9, 2**63 - 1)),
            "keepalive": lambda: r.choice((None, 0, 25, 65535)),
            "routes": lambda: r.choice((None, [], [self.network()], [self.network(), self.network(6)])),
            "schedule": lambda: r.choice((None, "mon-sun 00:00-24:00", "mon-fri 22:00-06:00, sat", "sun +02:00")),
            "note": lambda: r.choice((None, "", "a note", "x" * 512, "Zeile\nzwei 😀", "</td><script>")),
        }
        return {name: made[name]() for name in r.sample(sorted(made), r.choice((0, 1, 1, 2, 3, 5, len(made))))}

    def v4(self):
        return f"10.{self.rng.randrange(64, 68)}.{self.rng.randrange(1, 255)}.{self.rng.randrange(1, 255)}"

    def v6(self):
        return f"fd42:4242:1::{self.rng.randrange(2, 2**16):x}"

    def create_peer(self):
        body = {"name": self.model.new_name(), **self.members()}
        if self.rng.random() < 0.7:
            body["public_key"] = new_key()
        elif self.rng.random() < 0.5:
            body["generate"] = self.rng.random() < 0.5
        if self.rng.random() < 0.2:
            body["preshared_key"] = True
        return body

    def change_peer(self):
        body = self.members()
        if self.rng.random() < 0.2:
            body["name"] = self.rng.choice((None, self.model.new_name(), self.model.new_name()))
        if self.rng.random() < 0.1:
            body["generate"] = True
        elif self.rng.random() < 0.1:
            body["public_key"] = new_key()
        for name in ("obfuscation_level", "addresses", "public_key"):  # null and none change nothing
            if name in body and not body[name]:
                del body[name]
        return body or {"enabled": True}

    def account(self):
        body = {"name": self.model.new_name()}
        if self.rng.random() < 0.5:
            body["enabled"] = self.rng.choice((None, True, True, False))
        if self.rng.random() < 0.3:
            body["access"] = self.rng.choice((None, 0, *self.model.lists))
        if self.rng.random() < 0.5:
            body["note"] = self.rng.choice((None, "", "n", "x" * 512))
        return body

    def rule(self):
        r, made = self.rng, {"to": self.rng.choice(("0.0.0.0/0", "::/0", "10.9.0.1", "192.168.7.0/24", "fd09::/16", self.v4(), self.v6()))}
        protocol = r.choice(("any", "tcp", "udp", "icmp", None, ""))
        if protocol != "":
            made["protocol"] = protocol
        if protocol in ("tcp", "udp"):
            made["ports"] = r.choice((None, "1", "443", "8000-8100", "65535", "1-65535"))
        return made

    def access_list(self):
        body = {"name": self.model.new_name(), "rules": [self.rule() for _ in range(self.rng.choice((0, 1, 2, 5, 256)))]}
        if self.rng.random() < 0.3:
            body["note"] = self.rng.choice((None, "", "n", "x" * 512))
        return body

    def change_access_list(self):
        body = self.access_list()
        for name in ("name", "rules"):
            if self.rng.random() < 0.4:
                body[name] = None
        return body

    def change_account(self):
        body = self.account()
        if self.rng.random() < 0.5:
            del body["name"]
        return body

    def webhook(self):
        r = self.rng
        return {"name": self.model.new_name(), "url": f"https://receiver{r.randrange(9)}.invalid:8443/h?x=1",
                "events": r.choice((None, ["*"], ["peer.*", "key.created"])), "enabled": r.choice((None, True, False)),
                "secret": r.choice((None, True, "whsec_" + base64.b64encode(bytes(24)).decode())), "note": r.choice((None, "", "n"))}

    def change_webhook(self):
        body = self.webhook()
        return {name: body[name] for name in self.rng.sample(sorted(body), self.rng.randrange(1, 4))}

    def link(self):
        r = self.rng
        body = {"ttl": r.choice((None, 60, 2592000)), "uses": r.choice((None, 1, 100)), "generate": r.choice((None, True, False))}
        return {name: body[name] for name in r.sample(sorted(body), r.randrange(4))}

    def enrolment(self):
        r = self.rng
        body = {"client_id": r.choice((None, "a", "x.y-z_9", f"u{r.randrange(10**9)}")), "ttl": r.choice((None, 60, 604800))}
        return {name: body[name] for name in r.sample(sorted(body), r.randrange(3))}

    def key(self):
        body = {"name": self.model.new_name(), "role": self.rng.choice((None, *ROLES))}
        if self.rng.random() < 0.3 and body["role"] != "admin":
            body["account"] = self.rng.choice((None, 0, *self.model.accounts))
        if self.rng.random() < 0.3:
            body["expires"] = self.rng.choice((None, "2099-12-31T23:59:59Z"))
        return body

    def batch(self):
        """Each peer once, as a batch wants it."""
        r, m = self.rng, self.model
        chosen = r.sample(sorted(m.peers), min(len(m.peers), r.randrange(4)))
        split = r.randint(0, len(chosen))
        body = {"create": [{**self.members(), "public_key": new_key(), "name": r.choice((m.new_name(), None))}
                           for _ in range(r.randrange(1, 4))],
                "update": [{**self.change_peer(), "peer": self.named(n)} for n in chosen[:split]],
                "delete": [self.named(n) for n in chosen[split:]]}
        for entry in body["update"]:
            entry.pop("generate", None)
            if entry.keys() == {"peer"}:
                entry["note"] = "n"
        return {k: v for k, v in body.items() if v or r.random() < 0.3}

    def named(self, number):
        name, key = self.model.peers[number]
        return self.rng.choice((name or key, key))

    def broken(self, body):
        """The same with one place changed; whether that is wrong the schema says."""
        r = self.rng
        at, made = None, json.loads(json.dumps(body))
        node = made
        while isinstance(node, (dict, list)) and node:
            key = r.choice(sorted(node)) if isinstance(node, dict) else r.randrange(len(node))
            at, node = (node, key), node[key]
            if r.random() < 0.4:
                break
        if at is None or r.random() < 0.1:
            made[r.choice(("name", "enabled", "quota", "keep_days", "create", "account", "expires", "role", "note"))] = \
                r.choice(TEXTS + OTHERS)
        elif isinstance(at[0], dict) and r.random() < 0.2:
            del at[0][at[1]]
        else:
            at[0][at[1]] = r.choice(TEXTS + OTHERS)
        return made


class Generated(DocumentTest):
    def start_run(self):
        seed = int(os.environ.get("CULVERT_SEED") or int.from_bytes(os.urandom(4), "big"))
        print(f"# seed {seed}", flush=True)
        self.rng = random.Random(seed)
        self.model = Model(self.rng)
        self.bodies = Bodies(self.rng, self.model)
        self.credentials = {role: self.key_of(role) for role in ROLES}
        for _ in range(2):
            self.create_account(self.bodies.account())

    def how(self, operation):
        """Somebody who may."""
        may = ROLES[ROLES.index(operation.role):]
        return self.rng.choice(("local", "local", "signed", *(self.credentials[r] for r in may)))

    def call(self, name, target, body=None, headers=None):
        operation = self.by_id[name]
        return self.send(operation, target, body, headers, self.how(operation))

    # --- Chains: what was done can be seen, what is gone is gone ---

    def seen(self, number):
        """A peer is there under each of its names, and in the list."""
        name, key = self.model.peers[number]
        answer = self.call("showPeer", f"{API}/peers/{self.model.peer_part(number)}")
        self.assertEqual((answer.status, answer.json.get("id"), answer.json.get("name"), answer.json.get("public_key")),
                         (200, number, name, key), answer)
        page = self.call("listPeers", f"{API}/peers?after={number - 1}&limit=1").json
        self.assertEqual([p["id"] for p in page["peers"]], [number])
        self.assertEqual(page["total"], len(self.model.peers))
        return answer

    def matches(self, shown, body):
        """What was asked for is what it became."""
        for name in ("enabled", "dns", "rate_bps", "note", "schedule", "routes"):
            if body.get(name):
                self.assertEqual(shown[name], body[name], (name, body))
        for name in ("account", "access"):
            if name in body:
                self.assertEqual(shown[name], body[name] or None, (name, body))
        if body.get("quota"):
            self.assertEqual(shown["quota"], {"period": "none", **body["quota"]})
        if body.get("addresses"):
            self.assertEqual({a.split("/")[0] for a in shown["addresses"]}, set(body["addresses"]))
        if "preshared_key" in body:
            self.assertEqual(shown["has_preshared_key"], body["preshared_key"] is not None)

    def may_conflict(self, *bodies):
        """An address may be another's; networks behind a peer do not go with an access list."""
        return any(body.keys() & {"addresses", "access", "account", "routes"} for body in bodies)

    def create_peer(self):
        body, headers = self.bodies.create_peer(), {}
        if self.rng.random() < 0.1:
            headers["Idempotency-Key"] = os.urandom(8).hex()
        operation = self.by_id["createPeer"]
        how = self.how(operation)
        answer = self.send(operation, f"{API}/peers", body, headers, how)
        if answer.status == 409 and self.may_conflict(body):
            return
        self.assertEqual(answer.status, 201, (body, answer))
        self.matches(answer.json, body)
        if "public_key" not in body:
            self.assertIn(f"PrivateKey = {answer.json['private_key']}", answer.json["configuration"])
        else:
            self.assertNotIn("private_key", answer.json)
        self.model.peers[answer.json["id"]] = body["name"], answer.json["public_key"]
        if headers:
            again = self.send(operation, f"{API}/peers", body, headers, how)
            self.assertEqual((again.status, again.json["id"]), (201, answer.json["id"]), again)
            self.assertNotIn("private_key", again.json)
        else:
            self.assertEqual(self.send(operation, f"{API}/peers", {**body, "addresses": None}).status, 409, body)
        self.seen(answer.json["id"])

    def change_peer(self, number):
        body, headers = self.bodies.change_peer(), {}
        target = f"{API}/peers/{self.model.peer_part(number)}"
        if self.rng.random() < 0.3:
            tag = self.seen(number).headers["ETag"]
            self.assertEqual(self.call("changePeer", target, body, {"If-Match": '"0"'}).status, 412)
            headers["If-Match"] = self.rng.choice((tag, "*"))
        answer = self.call("changePeer", target, body, headers)
        if answer.status == 409 and self.may_conflict(body):
            return
        self.assertEqual(answer.status, 200, (body, answer))
        self.matches(answer.json, body)
        self.assertEqual("private_key" in answer.json, body.get("generate") is True)
        self.renamed(number, body, answer.json)
        self.seen(number)

    def renamed(self, number, body, shown):
        name, key = self.model.peers[number]
        self.model.peers[number] = body.get("name", name), shown["public_key"]
        for part, now in ((name, shown["name"]), (key, shown["public_key"])):
            if part and part != now:
                self.absent(part)

    def absent(self, part):
        part = urllib.parse.quote(part, safe="")
        name, extra = self.rng.choice((("showPeer", None), ("showConfiguration", None), ("deletePeer", None),
                                       ("changePeer", {"enabled": True})))
        path = f"{API}/peers/{part}" + ("/configuration" if name == "showConfiguration" else "")
        self.assertEqual(self.call(name, path, extra).status, 404, part)

    def delete_peer(self, number):
        name, key = self.model.peers[number]
        answer = self.call("deletePeer", f"{API}/peers/{self.model.peer_part(number)}")
        self.assertEqual(answer.status, 200, answer)
        del self.model.peers[number]
        self.model.gone_peers.append(name or key)
        for part in filter(None, (name, key)):
            self.absent(part)
        self.assertNotIn(key, self.call("listPeers", f"{API}/peers?after={number - 1}&limit=1").text)

    def read_peer(self, number):
        level = self.rng.choice(("", "?obfuscation_level=high", "?obfuscation_level=off"))
        answer = self.call("showConfiguration", f"{API}/peers/{self.model.peer_part(number)}/configuration{level}")
        self.assertEqual((answer.status, answer.json["id"]), (200, number), answer)

    def create_account(self, body):
        answer = self.call("createAccount", f"{API}/accounts", body)
        self.assertEqual((answer.status, answer.json.get("name")), (201, body["name"]), answer)
        self.assertEqual(self.call("createAccount", f"{API}/accounts", body).status, 409)
        number = answer.json["id"]
        self.model.accounts[number] = body["name"]
        self.assertEqual(self.call("showAccount", f"{API}/accounts/{number}").json, answer.json)
        listed = self.call("listAccounts", f"{API}/accounts?after={number - 1}").json
        self.assertEqual((listed["accounts"][0], listed["total"]), (answer.json, len(self.model.accounts)))

    def change_account(self, number):
        body = self.bodies.change_account()
        answer = self.call("changeAccount", f"{API}/accounts/{number}", body)
        if answer.status == 409 and body.get("access"):
            return
        self.assertEqual(answer.status, 200, (body, answer))
        self.model.accounts[number] = body.get("name") or self.model.accounts[number]
        self.assertEqual(answer.json["name"], self.model.accounts[number])
        if body.get("enabled") is not None:
            self.assertEqual(answer.json["enabled"], body["enabled"])
        if "access" in body:
            self.assertEqual(answer.json["access"], body["access"] or None)

    def delete_account(self, number):
        shown = self.call("showAccount", f"{API}/accounts/{number}").json
        answer = self.call("deleteAccount", f"{API}/accounts/{number}")
        self.assertEqual(answer.status, 409 if shown["peers"] else 200, (shown, answer))
        if answer.status == 200:
            del self.model.accounts[number]
            self.model.gone_ids.append(number)
            for name, body in (("showAccount", None), ("changeAccount", {"note": "x"}), ("deleteAccount", None)):
                self.assertEqual(self.call(name, f"{API}/accounts/{number}", body).status, 404)

    def ruled(self, answer, body):
        """The rules are those that were sent, with what was left out."""
        wanted = [(r.get("protocol") or "any", r.get("ports")) for r in body["rules"]]
        self.assertEqual([(r["protocol"], r["ports"]) for r in answer.json["rules"]], wanted)
        self.assertEqual([r["to"].split("/")[0] for r in answer.json["rules"]], [r["to"].split("/")[0] for r in body["rules"]])

    def create_list(self):
        body = self.bodies.access_list()
        answer = self.call("createAccessList", f"{API}/access", body)
        self.assertEqual((answer.status, answer.json.get("name")), (201, body["name"]), answer)
        self.ruled(answer, body)
        self.assertEqual(self.call("createAccessList", f"{API}/access", body).status, 409)
        number = answer.json["id"]
        self.model.lists[number] = body["name"]
        self.assertEqual(self.call("showAccessList", f"{API}/access/{number}").json, answer.json)
        listed = self.call("listAccessLists", f"{API}/access?after={number - 1}").json
        self.assertEqual((listed["access"][0], listed["total"]), (answer.json, len(self.model.lists)))

    def change_list(self, number):
        body = self.bodies.change_access_list()
        before = self.call("showAccessList", f"{API}/access/{number}").json
        answer = self.call("changeAccessList", f"{API}/access/{number}", body)
        if answer.status == 503 and answer.json["detail"] in WAITED_FOR:
            return
        self.assertEqual(answer.status, 200, (body, answer))
        self.model.lists[number] = body["name"] or self.model.lists[number]
        self.assertEqual(answer.json["name"], self.model.lists[number])
        if body["rules"] is None:
            self.assertEqual(answer.json["rules"], before["rules"])
        else:
            self.ruled(answer, body)

    def delete_list(self, number):
        shown = self.call("showAccessList", f"{API}/access/{number}").json
        answer = self.call("deleteAccessList", f"{API}/access/{number}")
        self.assertEqual(answer.status, 409 if shown["peers"] or shown["accounts"] else 200, (shown, answer))
        if answer.status == 200:
            del self.model.lists[number]
            self.model.gone_ids.append(number)
            for name, body in (("showAccessList", None), ("changeAccessList", {"note": "x"}), ("deleteAccessList", None)):
                self.assertEqual(self.call(name, f"{API}/access/{number}", body).status, 404)

    def life_of_a_key(self):
        body = self.bodies.key()
        answer = self.call("createKey", f"{API}/keys", body)
        self.assertEqual(answer.status, 201, (body, answer))
        number, secret = answer.json["id"], answer.json["key"]
        self.assertNotIn(secret, self.call("showKey", f"{API}/keys/{number}").text)
        listed = self.send(self.by_id["listPeers"], f"{API}/peers", how=secret).json["peers"]
        if answer.json["account"]:
            self.assertEqual({p["account"] for p in listed} - {answer.json["account"]}, set())
        else:
            self.assertEqual({p["id"] for p in listed}, set(self.model.peers))
        self.assertEqual(self.call("deleteKey", f"{API}/keys/{number}").status, 200)
        self.assertEqual(self.send(self.by_id["listPeers"], f"{API}/peers", how=secret).status, 401)
        for name in ("showKey", "deleteKey"):
            self.assertEqual(self.call(name, f"{API}/keys/{number}").status, 404)
        self.model.gone_ids.append(number)

    def life_of_a_webhook(self):
        body = self.bodies.webhook()
        answer = self.call("createWebhook", f"{API}/webhooks", body)
        if answer.status == 409:  # strangers have made as many as there may be
            for one in self.call("listWebhooks", f"{API}/webhooks").json["webhooks"]:
                self.assertEqual(self.call("deleteWebhook", f"{API}/webhooks/{one['id']}").status, 200)
            return
        self.assertEqual(answer.status, 201, (body, answer))
        target, secret = f"{API}/webhooks/{answer.json['id']}", answer.json["secret"]
        if isinstance(body["secret"], str):
            self.assertEqual(secret, body["secret"])
        self.assertEqual(self.call("testWebhook", f"{target}/test").status, 202)
        change = self.bodies.change_webhook()
        answer = self.call("changeWebhook", target, change)
        self.assertEqual(answer.status, 200, (change, answer))
        self.assertEqual("secret" in answer.json, change.get("secret") is True)
        self.assertNotIn("secret", self.call("showWebhook", target).json)
        self.assertNotIn(secret, self.call("listWebhooks", f"{API}/webhooks").text)
        self.assertEqual(self.call("deleteWebhook", target).status, 200)
        for name in ("showWebhook", "deleteWebhook"):
            self.assertEqual(self.call(name, target).status, 404)

    def life_of_a_link(self):
        m = self.model
        if not m.peers:
            return
        number = self.rng.choice(sorted(m.peers))
        before = self.call("showPeer", f"{API}/peers/{m.peer_part(number)}").json
        answer = self.call("createLink", f"{API}/peers/{m.peer_part(number)}/link", self.bodies.link())
        self.assertEqual(answer.status, 201, answer)
        link, after = answer.json, self.call("listPeers", f"{API}/peers?after={number - 1}&limit=1").json["peers"][0]
        self.assertEqual((link["peer"], link["name"], after["name"]), (number, before["name"], before["name"]))
        self.assertNotEqual(after["public_key"], before["public_key"])
        m.peers[number] = after["name"], after["public_key"]
        listed = self.call("listLinks", f"{API}/links?after={link['id'] - 1}")
        self.assertEqual(listed.json["links"][0], {name: value for name, value in link.items() if name != "url"})
        self.assertNotIn(link["url"][-43:], listed.text)
        self.assertEqual(self.call("deleteLink", f"{API}/links/{link['id']}").status, 200)
        self.assertEqual(self.call("deleteLink", f"{API}/links/{link['id']}").status, 404)
        m.gone_ids.append(link["id"])

    def life_of_an_enrolment(self):
        answer = self.call("createEnrolment", f"{API}/enrolments", self.bodies.enrolment())
        self.assertEqual(answer.status, 201, answer)
        made = answer.json
        listed = self.call("listEnrolments", f"{API}/enrolments?after={made['id'] - 1}")
        self.assertEqual(listed.json["enrolments"][0], {name: value for name, value in made.items() if name != "token"})
        self.assertNotIn(made["token"], listed.text)
        self.assertEqual(self.call("deleteEnrolment", f"{API}/enrolments/{made['id']}").status, 200)
        self.assertEqual(self.call("deleteEnrolment", f"{API}/enrolments/{made['id']}").status, 404)
        self.model.gone_ids.append(made["id"])

    def run_batch(self):
        body = self.bodies.batch()
        answer = self.call("runBatch", f"{API}/batch", body)
        if answer.status == 409 and self.may_conflict(*(body.get("create") or ()), *(body.get("update") or ())):
            return
        self.assertEqual(answer.status, 200, (body, answer))
        by_key = {key: n for n, (_, key) in self.model.peers.items()}
        by_name = {name: n for n, (name, _) in self.model.peers.items() if name}
        for entry in body.get("delete") or ():
            number = by_key.get(entry) or by_name[entry]
            self.model.gone_peers.append(self.model.peers.pop(number)[1])
        for shown in answer.json["created"] + answer.json["updated"]:
            self.model.peers[shown["id"]] = shown["name"], shown["public_key"]
        self.assertEqual([len(answer.json["created"]), len(answer.json["updated"]), answer.json["deleted"]],
                         [len(body.get(k) or ()) for k in ("create", "update", "delete")])
        for shown in answer.json["created"] + answer.json["updated"]:
            self.seen(shown["id"])
        if body.get("delete"):
            self.absent(self.model.gone_peers[-1])

    def rotate(self):
        level, days = self.rng.choice(("low", "medium", "high", "extreme")), self.rng.choice((0, 0, 0, 1))
        answer = self.call("rotateProfile", f"{API}/profiles/{level}/rotate", {"keep_days": days})
        self.assertIn(answer.status, (200, 409), answer)
        profiles = self.call("listProfiles", f"{API}/profiles").json["profiles"]
        for name in [p["name"] for p in profiles if p["until"]][:1]:
            self.assertEqual(self.call("dropProfile", f"{API}/profiles/{name}").status, 200)
            self.assertEqual(self.call("dropProfile", f"{API}/profiles/{name}").status, 404)

    def switch(self):
        for enabled in (False, True):
            answer = self.call("changeGateway", f"{API}/gateway", {"enabled": enabled})
            self.assertEqual((answer.status, answer.json["enabled"]), (200, enabled), answer)
            self.assertEqual(self.call("showGateway", f"{API}/gateway").json, answer.json)

    def read_lists(self):
        r = self.rng
        query = "&".join(r.sample((f"limit={r.randrange(1, 20)}", f"after={r.randrange(50)}", "sort=-id", "status=active",
                                   f"account={r.choice(list(self.model.accounts) or [1])}", "obfuscation_level=high", "name=%70"),
                                  r.randrange(4)))
        self.assertEqual(self.call("listPeers", f"{API}/peers" + (f"?{query}" if query else "")).status, 200, query)
        answer = self.call("listAudit", f"{API}/audit?limit={r.randrange(1, 30)}&after={r.randrange(100)}")
        self.assertEqual(answer.status, 200)

    def chain(self):
        r, m = self.rng, self.model
        choices = [self.create_peer, self.create_peer, self.run_batch, self.life_of_a_key, self.life_of_a_webhook, self.life_of_a_link, self.life_of_an_enrolment, self.read_lists, self.switch]
        if m.peers:
            number = r.choice(sorted(m.peers))
            choices += [lambda: self.change_peer(number)] * 3 + [lambda: self.delete_peer(number), lambda: self.read_peer(number)]
        if m.accounts:
            account = r.choice(sorted(m.accounts))
            choices += [lambda: self.change_account(account), lambda: self.delete_account(account)]
        if m.lists:
            wanted = r.choice(sorted(m.lists))
            choices += [lambda: self.change_list(wanted), lambda: self.delete_list(wanted)]
        if len(m.lists) < 5:
            choices.append(self.create_list)
        if len(m.accounts) < 5:
            choices.append(lambda: self.create_account(self.bodies.account()))
        if r.random() < 0.2:
            choices = [self.rotate]
        r.choice(choices)()
        while len(m.peers) > PEERS_KEPT:
            self.delete_peer(min(m.peers))

    # --- Strangers: anything at all, and every answer is a documented one ---

    def part(self, name):
        r, m = self.rng, self.model
        garbage = urllib.parse.quote(bytes(r.randrange(1, 256) for _ in range(r.randrange(1, 30))), safe="/")
        if name == "peer":
            known = [m.peer_part(n) for n in r.sample(sorted(m.peers), min(1, len(m.peers)))]
            return r.choice([*known, *known, urllib.parse.quote(r.choice(m.gone_peers), safe=""), garbage, "%", "%00", "x" * 300])
        if name == "id":
            return str(r.choice([*m.accounts, *m.lists, *m.gone_ids, 0, -1, 2**63 - 1, 2**63, "abc", "1%20", garbage]))
        return r.choice(("off", "low", "basic", "extreme", "none", garbage, "x" * 100))

    def query(self, operation):
        """Some parameters, right or wrong, and perhaps one that is none. Return: is it all right?"""
        r, pairs, right = self.rng, [], True
        for p in operation.parameters:
            if p["in"] != "query" or r.random() < 0.5:
                continue
            schema = operation.resolve(p["schema"])
            good = [str(v) for v in schema.get("enum", ())] or {"integer": ["1", "7", "1000"], "string": ["a", "%C3%BC"]}[schema["type"]]
            bad = ["", "0x1", "-5", "99999999999999999999", "%ZZ", "a%00", "x" * 200, "1.0"]
            value = r.choice(good) if r.random() < 0.8 else r.choice(bad)
            right &= value in good
            pairs.append(f"{p['name']}={value}")
        if r.random() < 0.05:
            pairs.append(r.choice(("unknown=1", "limit", "=", "after=1=2")))
            right = right and not any(p["in"] == "query" for p in operation.parameters)
        return "&".join(pairs), right

    def headers(self, operation):
        """Those that the operation has, right or wrong."""
        values = {"Idempotency-Key": ("", "k", "x" * 255, "x" * 256, "a b", os.urandom(6).hex()),
                  "If-Match": ("", "*", '"0"', "x", 'W/"1"', '"' + "f" * 300 + '"')}
        return {p["name"]: self.rng.choice(values[p["name"]]) for p in operation.parameters
                if p["in"] == "header" and self.rng.random() < 0.5}

    def sound_body(self, operation):
        b = self.bodies
        return {"createPeer": b.create_peer, "changePeer": b.change_peer, "createAccount": b.account, "createKey": b.key,
                "createWebhook": b.webhook, "changeWebhook": b.change_webhook, "createLink": b.link, "createEnrolment": b.enrolment,
                "changeAccount": b.change_account, "createAccessList": b.access_list,
                "changeAccessList": b.change_access_list, "runBatch": b.batch,
                "changeGateway": lambda: {"enabled": True}, "rotateProfile": lambda: {"keep_days": 0}}[operation.node["operationId"]]()

    def stranger(self):
        r = self.rng
        operation = r.choice([o for o in self.operations if o.node["operationId"] != "followEvents"])
        target = re.sub(r"\{(\w+)\}", lambda m: self.part(m.group(1)), operation.path)
        query, right = self.query(operation)
        body, is_wrong = None, False
        if operation.body:
            body = self.bodies.broken(self.sound_body(operation))
            if r.random() < 0.15:
                body = r.choice(NOT_JSON)
                is_wrong = True
            else:
                is_wrong = not operation.body.is_valid(body)
        if re.search("/(configuration|link)$", target) and operation.node["operationId"] not in ("showConfiguration", "createLink"):
            return  # names no route of this kind
        how = r.choice(("local", "signed", self.credentials["admin"])) if operation.role != "anybody" else "nobody"
        target += f"?{query}" if query else ""
        if re.search("%00|%(?![0-9A-Fa-f]{2})", target):  # refused before a body is read
            self.assertEqual(self.send(operation, target, b"", how=how).status, 400)
            return
        headers = self.headers(operation)
        answer = self.send(operation, target, body, headers, how)
        for p in operation.parameters:
            if p["in"] == "header" and p["name"] in headers and not operation.validator(p["schema"]).is_valid(headers[p["name"]]):
                self.assertEqual(answer.status, 400, (operation, headers, answer))
        if is_wrong and answer.status not in (400, 412):  # of a header
            self.assertIn(answer.status, (404, 422), (operation, body, answer))
            if answer.status == 422:
                self.assertTrue(answer.json.get("errors") or operation.node["operationId"] in ("runBatch", "rotateProfile") or
                                "Idempotency-Key" in headers, answer)
        if right and "{" not in operation.path and not operation.body:
            self.assertEqual(answer.status, 200, (operation, query, answer))
        self.learn(operation, target, answer)

    def learn(self, operation, target, answer):
        """A stranger may have changed something after all."""
        if operation.method == "GET" or answer.status >= 300:
            return
        if "/peers" in target or "/batch" in target:
            shown, after = {}, 0
            while after is not None:
                page = self.send(self.by_id["listPeers"], f"{API}/peers?after={after}").json
                shown |= {p["id"]: (p["name"], p["public_key"]) for p in page["peers"]}
                after = page["next"]
            self.model.gone_peers += [key for n, (_, key) in self.model.peers.items() if n not in shown][:3]
            self.model.peers = shown
        elif "/accounts" in target:
            page = self.send(self.by_id["listAccounts"], f"{API}/accounts").json
            self.model.accounts = {a["id"]: a["name"] for a in page["accounts"]}
        elif "/access" in target:
            page = self.send(self.by_id["listAccessLists"], f"{API}/access").json
            self.model.lists = {a["id"]: a["name"] for a in page["access"]}
        elif "/keys/" in target:
            self.credentials = {role: self.key_of(role) for role in ROLES}

    def test_generated_requests_get_documented_answers_and_what_was_done_stays_done(self):
        wanted = suite.scaled(2000, 50000)
        self.start_run()
        while self.sent < wanted:
            if self.rng.random() < 0.5:
                self.stranger()
            else:
                self.chain()
        met = {o.node["operationId"] for (o, status) in self.counts if status < 300}
        self.assertEqual(set(self.by_id) - met, {"followEvents"}, "every other operation went well at least once")
        refused = sum(n for (_, status), n in self.counts.items() if status >= 400)
        print(f"# {self.sent} requests, {refused} of them refused, {len(self.counts)} kinds of answers", flush=True)
        self.assertGreater(refused, wanted / 10)
        self.assertIsNone(self.gateway.process.poll())
        self.assertNotIn("ERROR: AddressSanitizer", self.logged())

    def test_the_stream_of_events_is_as_documented(self):
        operation = self.by_id["followEvents"]
        c = LocalConnection(f"{self.gateway.state}/gateway.sock")
        c.request("GET", operation.path, headers={"Last-Event-ID": "0"})
        answer = c.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        self.send(self.by_id["createAccount"], f"{API}/accounts", {"name": "seen"})
        lines = []
        while not any(line.startswith(b"data:") for line in lines):
            lines.append(answer.readline())
        row = json.loads(next(line for line in lines if line.startswith(b"data:"))[5:])
        wrong = list(operation.validator({"$ref": "#/components/schemas/AuditRow"}).iter_errors(row))
        self.assertEqual((wrong, row["action"]), ([], "account.create"))
        c.close()
        for last in ("x", "-1", "99999999999999999999", ""):
            self.assertEqual(self.send(operation, operation.path, headers={"Last-Event-ID": last}).status, 400, last)


if __name__ == "__main__":
    suite.main()

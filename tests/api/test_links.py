#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Links that give a client's file once: to whoever has the link, and to nobody who has the database.

    browser, preview of a messenger ── lo (198.51.100.9) ── gateway-serve --listen-links ── culvert.db
"""

import concurrent.futures
import html
import http.client
import json
import os
import re
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse

import gateway
from gateway import CULVERT, ApiTest, netns, new_key, suite, tunnel

import client_file  # of tests/net, which gateway.py has put in reach

PEERS, LINKS = "/api/v1/peers", "/api/v1/links"
SOMEBODY = "198.51.100.9"  # loopback is exempt from waiting


class LinkTest(ApiTest):
    extra = ("--endpoint", "127.0.0.1")

    def create(self, name, **members):
        answer = self.gateway.local("POST", PEERS, {"name": name, **members})
        self.is_(answer, 201)
        return answer.json

    def link(self, peer, status=201, **members):
        answer = self.gateway.local("POST", f"{PEERS}/{urllib.parse.quote(peer)}/link", members)
        self.is_(answer, status)
        return answer.json

    def path(self, link):
        url = urllib.parse.urlsplit(link["url"])
        self.assertEqual((url.scheme, url.netloc), ("http", f"127.0.0.1:{self.gateway.port}"))
        self.assertRegex(url.path, "^/l/[A-Za-z0-9_-]{43}$")
        return url.path

    def get(self, path):
        return self.gateway.raw("GET", path)

    def take(self, path, what=None):
        return self.gateway.raw("POST", path, b"" if what is None else f"as={what}".encode(),
                                {"Content-Type": "application/x-www-form-urlencoded"})

    def key_of(self, conf):
        private = re.search("^PrivateKey = (.*)$", conf, re.M).group(1)
        return netns.run("wg", "pubkey", input=private).stdout.strip()


class Links(LinkTest):
    def test_a_link_gives_a_file_that_connects_once_and_looking_does_not_use_it_up(self):
        self.create("phone ü", public_key=new_key(1))
        made = self.link("phone ü")
        path = self.path(made)
        for _ in range(3):
            page = self.get(path)
            self.is_(page, 200)
        self.assertIn('<form method="post">', page.text)
        self.assertNotIn("PrivateKey", page.text)
        self.assertEqual(page.headers["Content-Security-Policy"],
                         "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
        self.assertEqual((page.headers["X-Robots-Tag"], page.headers["Cache-Control"], page.headers["Referrer-Policy"]),
                         ("noindex", "no-store", "no-referrer"))
        head = self.gateway.raw("HEAD", path)
        self.assertEqual((head.status, head.text), (200, ""))
        file = self.take(path, "file")
        self.is_(file, 200)
        self.assertEqual(file.headers["Content-Disposition"], 'attachment; filename="phone.conf"')
        self.assertEqual(file.headers["Cache-Control"], "no-store")
        self.assertEqual(set(self.gateway.on_device()), {self.key_of(file.text)})
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(file.text)
            f.flush()
            subprocess.run([CULVERT, "conf", "check", f.name], check=True, capture_output=True)
        for answer in (self.get(path), self.take(path), self.take(path, "qr")):
            self.assertEqual(answer.status, 410)
            self.assertNotIn("PrivateKey", answer.text)
        rows = [(r["action"], r["who"].split(" ")[0]) for r in self.gateway.local("GET", "/api/v1/audit").json["audit"]]
        self.assertEqual(rows, [("peer.create", "uid"), ("peer.rotate", "uid"), ("link.create", "uid"), ("link.use", "link")])

    def test_the_code_on_the_page_is_the_file(self):
        self.create("a", public_key=new_key(1))
        page = self.take(self.path(self.link("a")), "qr")
        self.is_(page, 200)
        svg = re.search("<svg.*</svg>", page.text, re.S).group(0)
        shown = html.unescape(re.search("<pre>(.*)</pre>", page.text, re.S).group(1))
        self.assertNotIn("<?xml", page.text)
        with tempfile.TemporaryDirectory() as d:
            side, dark = self.modules(svg)
            with open(f"{d}/code.pbm", "w") as f:
                f.write(f"P1\n{side * 4} {side * 4}\n")
                for y in range(side * 4):
                    f.write(" ".join("1" if (x // 4, y // 4) in dark else "0" for x in range(side * 4)) + "\n")
            read = subprocess.run(["zbarimg", "-q", "--raw", f"{d}/code.pbm"], capture_output=True, text=True)
        self.assertEqual(read.stdout.strip(), shown.strip())
        self.assertIn("PrivateKey = ", shown)

    def modules(self, svg):
        """Side and dark squares of a picture that is drawn as runs: "M x y h n v 1 h -n z"."""
        side = int(re.search(r'viewBox="0 0 (\d+) ', svg).group(1))
        dark = set()
        for x, y, n in re.findall(r"M(\d+)[ ,](\d+)h(\d+)", svg):
            dark |= {(int(x) + i, int(y)) for i in range(int(n))}
        self.assertGreater(len(dark), 100)
        return side, dark

    def test_of_many_who_take_it_at_once_one_gets_it(self):
        links = suite.scaled(10, 1000)
        takers = 16
        self.create("a", public_key=new_key(1))
        for n in range(links):
            path = self.path(self.link("a", generate=True))
            with concurrent.futures.ThreadPoolExecutor(takers) as pool:
                answers = list(pool.map(lambda _: self.take(path).status, range(takers)))
            self.assertEqual(sorted(answers), [200] + [410] * (takers - 1))

    def test_a_link_for_several_is_good_for_so_many(self):
        self.create("a", public_key=new_key(1))
        made = self.link("a", uses=3)
        files = {self.take(self.path(made)).text for _ in range(3)}
        self.assertEqual(len(files), 1)
        self.assertEqual(self.take(self.path(made)).status, 410)

    def test_it_ends_with_its_time_and_with_the_key_it_was_made_for(self):
        self.create("a", public_key=new_key(1))
        self.create("b", public_key=new_key(2))
        first, second = self.path(self.link("a")), self.path(self.link("b"))
        self.is_(self.get(first), 200)
        self.link("a", generate=True)
        self.is_(self.gateway.local("DELETE", f"{PEERS}/b"), 200)
        for path in (first, second):
            self.assertEqual((self.get(path).status, self.take(path).status), (410, 410))
        self.create("c", public_key=new_key(3))
        third = self.path(self.link("c", ttl=60))
        self.gateway.kill()
        with sqlite3.connect(f"{self.gateway.state}/culvert.db") as db:  # sealed: its time cannot be changed there
            self.assertEqual(db.execute("SELECT COUNT(*) FROM record WHERE kind = 4 AND body IS NULL").fetchone(), (4,))
        db.close()
        self.gateway.start()
        self.assertEqual(self.gateway.raw("GET", third).status, 200)

    def test_whoever_has_the_database_and_its_key_does_not_have_the_file(self):
        self.create("a", public_key=new_key(1))
        path = self.path(self.link("a"))
        token = path.rpartition("/")[2]
        self.gateway.kill()
        for name in set(os.listdir(self.gateway.state)) - {"gateway.sock"}:
            with open(f"{self.gateway.state}/{name}", "rb") as f:
                data = f.read()
            self.assertNotIn(token.encode(), data, name)
            self.assertNotIn(b"PrivateKey", data, name)
        self.gateway.start()  # a link survives that
        file = self.gateway.raw("POST", path)
        self.is_(file, 200)
        self.assertNotIn(re.search("^PrivateKey = (.*)$", file.text, re.M).group(1), self.logged())
        self.assertNotIn(token, self.logged())

    def test_a_device_in_use_is_not_cut_off_unless_that_is_said(self):
        netns.run("ip", "link", "set", "wg0", "up")
        made = self.create("a", generate=True)
        device = tunnel.Device(gateway.Here(), "wgc0", "culvert", log=self.log)
        self.addCleanup(device.process.kill)
        device.uapi(client_file.uapi(made["configuration"]))
        netns.run("ip", "address", "add", made["addresses"][0], "dev", "wgc0")
        netns.run("ip", "link", "set", "wgc0", "up")
        netns.run("ping", "-c", "1", "-W", "1", "-I", "wgc0", "10.0.1.1", check=False)
        self.soon(lambda: self.gateway.local("GET", f"{PEERS}/a").json["last_handshake"], "a handshake")
        self.link("a", status=409)
        self.assertEqual(set(self.gateway.on_device()), {made["public_key"]})
        with_key = self.link("a", private_key=made["private_key"])
        self.assertIn(made["private_key"], self.take(self.path(with_key)).text)
        self.assertEqual(set(self.gateway.on_device()), {made["public_key"]})
        self.link("a", generate=True)
        self.assertNotIn(made["public_key"], self.gateway.on_device())

    def test_a_preshared_key_is_part_of_the_file_or_the_request_is_refused(self):
        made = self.create("a", generate=True, preshared_key=True)
        self.link("a", status=422, private_key=made["private_key"])
        link = self.link("a", private_key=made["private_key"], preshared_key=made["preshared_key"])
        self.assertIn(f"PresharedKey = {made['preshared_key']}", self.take(self.path(link)).text)
        text = self.take(self.path(self.link("a", generate=True))).text
        fresh = re.search("^PresharedKey = (.*)$", text, re.M).group(1)
        self.assertNotEqual(fresh, made["preshared_key"])
        self.assertIn(fresh, self.gateway.device.wg("show", "wg0", "dump").stdout)

    def test_what_is_wrong_is_said_with_its_place(self):
        made = self.create("a", generate=True)
        other = self.create("b", generate=True)
        wrong = {"ttl": (59, 10**9, "1", 0), "uses": (0, 101, "x"), "private_key": ("x", other["private_key"], 7), "generate": ("x",),
                 "preshared_key": ("x",)}
        for name, values in wrong.items():
            for value in values:
                refused = self.link("a", status=422, **{name: value})
                self.assertEqual(refused["errors"][0]["loc"][:2], ["body", name], (name, value))
        self.link("a", status=422, private_key=made["private_key"], generate=True)
        self.is_(self.gateway.local("POST", f"{PEERS}/nobody/link", {}), 404)
        self.assertEqual(self.gateway.local("GET", LINKS).json["links"], [])

    def test_they_are_listed_without_what_opens_them_and_taken_back(self):
        g = self.gateway
        account = g.local("POST", "/api/v1/accounts", {"name": "acme"}).json["id"]
        self.create("a", public_key=new_key(1), account=account)
        self.create("b", public_key=new_key(2))
        links = [self.link("a"), self.link("b")]
        shown = g.local("GET", LINKS)
        self.assertEqual([(x["name"], x["uses"]) for x in shown.json["links"]], [("a", 1), ("b", 1)])
        for one in links:
            self.assertNotIn(one["url"].rpartition("/")[2], shown.text)
        key = g.local("POST", "/api/v1/keys", {"name": "k", "role": "operator", "account": account}).json["key"]
        bearer = {"Authorization": f"Bearer {key}"}
        self.assertEqual([x["name"] for x in g.raw("GET", LINKS, b"", bearer).json["links"]], ["a"])
        self.is_(g.raw("DELETE", f"{LINKS}/{links[1]['id']}", b"", bearer), 404)
        self.is_(g.raw("POST", f"{PEERS}/b/link", b"{}", bearer), 404)
        self.is_(g.raw("DELETE", f"{LINKS}/{links[0]['id']}", b"", bearer), 200)
        self.assertEqual(self.get(self.path(links[0])).status, 410)
        self.assertEqual(self.get(self.path(links[1])).status, 200)


class Bounds(LinkTest):
    extra = LinkTest.extra + ("--subnet4", "10.0.0.0/16")

    def keyed(self, name, **members):
        """A peer, and what a link to it needs that leaves its key as it is."""
        return {"private_key": self.create(name, generate=True, **members)["private_key"]}

    def ids(self, headers=None):
        """Pages of ids."""
        pages, after = [], 0
        while after is not None:
            answer = self.gateway.raw("GET", f"{LINKS}?after={after}", b"", headers) if headers else \
                self.gateway.local("GET", f"{LINKS}?after={after}")
            self.is_(answer, 200)
            pages.append([link["id"] for link in answer.json["links"]])
            after = answer.json["next"]
        return pages

    def operator(self, account):
        key = self.gateway.local("POST", "/api/v1/keys", {"name": "k", "role": "operator", "account": account}).json["key"]
        return {"Authorization": f"Bearer {key}"}

    def test_a_fifth_link_to_a_peer_takes_the_place_of_the_oldest(self):
        key, other = self.keyed("a"), self.keyed("b")
        kept = self.link("b", **other)
        made = [self.link("a", **key) for _ in range(6)]
        self.assertEqual([self.get(self.path(one)).status for one in made], [410, 410, 200, 200, 200, 200])
        self.assertEqual(self.ids(), [[kept["id"]] + [one["id"] for one in made[2:]]])
        self.is_(self.take(self.path(made[5])), 200)  # used: there is a place
        more = self.link("a", **key)
        self.assertEqual([self.get(self.path(one)).status for one in (*made[2:5], more)], [200] * 4)
        self.link("a", generate=True)  # its key is another now, so all these lead nowhere, and go first
        last = [self.link("a", generate=True) for _ in range(5)][-1]
        self.assertEqual(len(self.ids()[0]), 5)
        self.is_(self.take(self.path(last)), 200)
        rows = [r for r in self.gateway.local("GET", "/api/v1/audit?limit=500").json["audit"] if r["action"] == "link.delete"]
        self.assertEqual(rows[0]["detail"].split(" ")[2], "a")

    def test_links_to_peers_that_are_gone_or_have_another_key_are_forgotten(self):
        for name in ("gone", "changed"):
            self.link(name, **self.keyed(name))
        self.is_(self.gateway.local("DELETE", f"{PEERS}/gone"), 200)
        kept = [self.link("changed", generate=True)["id"], self.link("same", **self.keyed("same"))["id"]]
        self.assertEqual(len(self.ids()[0]), 4)
        self.gateway.kill()  # a start looks at once, and else a minute passes
        self.gateway.start()
        self.soon(lambda: self.ids() == [kept], "the others to go")

    def test_a_list_looks_at_a_bounded_number_and_goes_on(self):
        g = self.gateway
        account = g.local("POST", "/api/v1/accounts", {"name": "acme"}).json["id"]
        foreign = [self.link(f"p{n}", **self.keyed(f"p{n}")) for n in range(205)]
        own = self.link("own", **self.keyed("own", account=account))
        self.assertEqual([len(page) for page in self.ids()], [200, 6])
        self.assertEqual(self.ids(self.operator(account)), [[], [own["id"]]])
        self.assertEqual(sum(self.ids(), []), [one["id"] for one in (*foreign, own)])

    def test_an_account_that_makes_all_it_can_leaves_places_for_others(self):
        account = self.gateway.local("POST", "/api/v1/accounts", {"name": "acme"}).json["id"]
        bearer = self.operator(account)

        def fill(n):
            body = json.dumps(self.keyed(f"p{n}", account=account)).encode()
            return [self.gateway.raw("POST", f"{PEERS}/p{n}/link", body, bearer).status for _ in range(4)]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = sum(pool.map(fill, range(640)), [])
        self.assertEqual((set(answers), 2500 <= answers.count(201) < 2504), ({201, 409}, True))
        self.link("other", **self.keyed("other"))


class ElsewhereTest(LinkTest):
    def setUp(self):
        netns.run("ip", "address", "add", f"{SOMEBODY}/32", "dev", "lo")
        self.addCleanup(netns.run, "ip", "address", "delete", f"{SOMEBODY}/32", "dev", "lo")
        super().setUp()

    def ask(self, method, path, headers=None):
        c = http.client.HTTPConnection(SOMEBODY, 8099, timeout=10, source_address=(SOMEBODY, 0))
        c.request(method, path, headers=headers or {})
        answer = c.getresponse()
        text = answer.read().decode()
        c.close()
        return answer.status, text


class OneAddress(ElsewhereTest):
    """Links and the REST API, asked from one address, as behind a NAT."""

    extra = ("--endpoint", "127.0.0.1", "--listen-gateway", f"http://{SOMEBODY}:8099 insecure")

    def make(self, **options):
        made = gateway.Gateway(self.log, extra=self.extra)
        self.addCleanup(made.close)
        made.spawn()
        self.assertIn("gateway ready", made.process.stdout.readline())
        return made

    def test_bad_links_lock_nobody_out_of_the_api_and_bad_keys_nobody_out_of_links(self):
        key = self.gateway.local("POST", "/api/v1/keys", {"name": "k", "role": "admin"}).json["key"]
        good, bad = {"Authorization": f"Bearer {key}"}, {"Authorization": f"Bearer {key}x"}
        self.create("a", public_key=new_key(1))
        path = urllib.parse.urlsplit(self.link("a")["url"]).path
        answers = [self.ask("GET", "/l/x")[0] for _ in range(30)]
        self.assertEqual((answers[:20], 429 in answers[20:]), ([410] * 20, True))
        self.assertEqual(self.ask("GET", PEERS, good)[0], 200)
        self.soon(lambda: self.ask("GET", path)[0] == 200, "the wait to be over", 25)
        answers = [self.ask("GET", PEERS, bad)[0] for _ in range(30)]
        self.assertEqual((answers[:20], 429 in answers[20:]), ([401] * 20, True))
        self.assertEqual(self.ask("GET", path)[0], 200)


class Elsewhere(ElsewhereTest):
    extra = ("--endpoint", "127.0.0.1", "--listen-links", f"http://{SOMEBODY}:8099 insecure")

    def test_a_place_of_their_own_has_links_and_nothing_else(self):
        self.create("a", public_key=new_key(1))
        made = self.link("a")
        self.assertTrue(made["url"].startswith(f"http://{SOMEBODY}:8099/l/"), made)
        path = urllib.parse.urlsplit(made["url"]).path
        for other in ("/api/v1/peers", "/metrics", "/openapi.json", "/", "/l", "/status"):
            self.assertEqual(self.ask("GET", other)[0], 404, other)
        self.assertEqual(self.ask("DELETE", path)[0], 405)
        self.assertEqual(self.ask("GET", path)[0], 200)
        status, text = self.ask("POST", path)
        self.assertEqual(status, 200)
        self.assertIn("PrivateKey", text)

    def test_guessing_is_made_to_wait_and_every_wrong_link_looks_the_same(self):
        self.create("a", public_key=new_key(1))
        used = urllib.parse.urlsplit(self.link("a")["url"]).path
        good = urllib.parse.urlsplit(self.link("a", generate=True)["url"]).path
        self.assertEqual(self.ask("POST", good)[0], 200)
        wrong = [used, good, "/l/" + "A" * 43, "/l/" + "A" * 42, "/l/x", "/l/" + "%41" * 43, "/l/" + "A" * 43 + "/", "/l/" + "-" * 43]
        self.assertEqual(len({self.ask(method, path) for method in ("GET", "POST") for path in wrong}), 1)
        answers = [self.ask("GET", "/l/" + "B" * 43)[0] for _ in range(12)]
        self.assertEqual(set(answers), {410, 429})
        fresh = urllib.parse.urlsplit(self.link("a", generate=True)["url"]).path
        self.assertEqual(self.ask("GET", fresh)[0], 429)  # before anything is looked at
        self.soon(lambda: self.ask("GET", fresh)[0] == 200, "the wait to be over", 25)

    def test_the_command_prints_a_link(self):
        self.create("a", public_key=new_key(1))
        command = [CULVERT, "gateway", "peer", "link", "a", "--state", self.gateway.state]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        url = done.stdout.splitlines()[0]
        self.assertTrue(url.startswith(f"http://{SOMEBODY}:8099/l/"), url)
        self.assertEqual(self.ask("POST", urllib.parse.urlsplit(url).path)[0], 200)
        made = json.loads(subprocess.run([*command, "--json", "--ttl", "2h", "--uses", "2"], capture_output=True, text=True).stdout)
        self.assertEqual(made["uses"], 2)
        until = time.mktime(time.strptime(made["expires"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        self.assertLess(abs(until - time.time() - 7200), 60)
        for wrong in (("--ttl", "x"), ("--ttl", "1s"), ("--uses", "0")):
            self.assertEqual(subprocess.run([*command, *wrong], capture_output=True, text=True).returncode, 2, wrong)
        said = subprocess.run([*command, "--uses", "3", "--generate"], capture_output=True, text=True).stderr
        self.assertTrue(said.startswith("Good 3 times, until "), said)
        self.assertIn("a has a new key now: files made for it before connect no more.", said)
        self.assertEqual(subprocess.run([*command[:-3], "nobody", "--state", self.gateway.state], capture_output=True).returncode, 3)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our own routes, and the command line that uses them."""

import base64
import json
import os
import pty
import re
import subprocess
import tempfile
import termios
import time
import unicodedata

from gateway import CULVERT, ApiTest, netns, new_key, suite

PEERS = "/api/v1/peers"


def public_of(private):
    return netns.run("wg", "pubkey", input=private + "\n").stdout.strip()


class Routes(ApiTest):
    def test_a_generated_key_is_returned_once_and_stored_nowhere(self):
        g = self.gateway
        answer = g.local("POST", PEERS, {"name": "phone", "generate": True})
        self.is_(answer, 201)
        made = answer.json
        self.assertEqual(public_of(made["private_key"]), made["public_key"])
        self.assertEqual(made["addresses"], ["10.0.1.2/32", "fd42:4242:1::2/128"])
        self.assertIn(f"PrivateKey = {made['private_key']}\n", made["configuration"])
        self.assertEqual(g.on_device(), {made["public_key"]: set(made["addresses"])})
        shown = g.local("GET", f"{PEERS}/phone")
        self.is_(shown, 200)
        raw = base64.b64decode(made["private_key"])
        everything = shown.text + g.local("GET", PEERS).text + self.logged()
        self.assertNotIn(made["private_key"], everything)
        for name in os.listdir(g.state):
            if os.path.isfile(f"{g.state}/{name}"):
                data = open(f"{g.state}/{name}", "rb").read()
                self.assertNotIn(raw, data, name)
                self.assertNotIn(made["private_key"].encode(), data, name)

    def test_a_given_key_has_no_private_half_here(self):
        key = new_key(1)
        answer = self.gateway.local("POST", PEERS, {"name": "router", "public_key": key, "addresses": ["10.0.1.9"]})
        self.is_(answer, 201)
        self.assertNotIn("private_key", answer.json)
        self.assertEqual((answer.json["public_key"], answer.json["addresses"]), (key, ["10.0.1.9/32"]))
        self.assertNotIn("\nPrivateKey", answer.json["configuration"])

    def test_peers_are_found_by_name_and_by_key(self):
        g, key = self.gateway, new_key(2)
        name = "Büro-Drucker (2. Stock)"
        self.is_(g.local("POST", PEERS, {"name": name, "public_key": key}), 201)
        from urllib.parse import quote
        for part in (quote(name), quote(name, safe=""), key, key.replace("/", "_").replace("+", "-"), quote(key, safe="")):
            answer = g.local("GET", f"{PEERS}/{part}")
            self.is_(answer, 200)
            self.assertEqual(answer.json["name"], name)
            self.assertEqual(set(answer.json), {"id", "name", "public_key", "addresses", "enabled", "created", "endpoint",
                                                "obfuscation_level", "last_handshake", "profile", "rx_bytes",
                                                "tx_bytes", "dns", "changed", "account", "access", "expires", "quota",
                                                "rate_bps", "keepalive", "routes", "schedule", "note",
                                                "has_preshared_key", "blocked", "used_bytes"})
            self.assertEqual((answer.json["obfuscation_level"], answer.json["profile"]), ("off", None))
        for part in ("nobody", new_key(3).replace("/", "_"), "%FF", "B%C3"):
            self.is_(g.local("GET", f"{PEERS}/{part}"), 404)

    def test_the_list_comes_in_pages(self):
        g = self.gateway
        names = [f"peer-{n}" for n in range(25)]
        for name in names:
            self.is_(g.local("POST", PEERS, {"name": name}), 201)
        found, after = [], 0
        while after is not None:
            page = g.local("GET", f"{PEERS}?limit=10&after={after}")
            self.is_(page, 200)
            found += [p["name"] for p in page.json["peers"]]
            after = page.json["next"]
            self.assertEqual(page.json["total"], 25)
        self.assertEqual(found, names)
        for query in ("limit=0", "limit=1001", "limit=x", "after=-1", "other=1", "limit=5&limit", "&", "limit"):
            self.is_(g.local("GET", f"{PEERS}?{query}"), 400)

    def test_disabling_and_removing(self):
        g = self.gateway
        key = g.local("POST", PEERS, {"name": "a"}).json["public_key"]
        self.is_(g.local("PATCH", f"{PEERS}/a", {"enabled": False}), 200)
        self.assertEqual(g.on_device(), {})
        self.assertFalse(g.local("GET", f"{PEERS}/a").json["enabled"])
        self.is_(g.local("PATCH", f"{PEERS}/{key.replace('/', '_')}", {"enabled": True}), 200)
        self.assertIn(key, g.on_device())
        for body in ({}, {"enabled": 1}, {"enabled": "false"}):
            self.is_(g.local("PATCH", f"{PEERS}/a", body), 422)
        self.is_(g.local("DELETE", f"{PEERS}/a"), 200)
        self.is_(g.local("DELETE", f"{PEERS}/a"), 404)
        self.is_(g.local("PATCH", f"{PEERS}/a", {"enabled": True}), 404)
        self.assertEqual(g.on_device(), {})

    def test_a_level_can_be_changed_for_good(self):
        g = self.gateway
        key = g.local("POST", PEERS, {"name": "a"}).json["public_key"]
        keepalives = netns.run("wg", "show", "wg0", "persistent-keepalive").stdout
        answer = g.local("PATCH", f"{PEERS}/a", {"obfuscation_level": "stealth"})
        self.is_(answer, 200)
        self.assertEqual((answer.json["obfuscation_level"], answer.json["enabled"]), ("extreme", True))
        self.assertIn("HeaderProtectionKey", g.local("GET", f"{PEERS}/a/configuration").json["configuration"])
        self.assertNotEqual(netns.run("wg", "show", "wg0", "persistent-keepalive").stdout, keepalives)
        for body in ({"obfuscation_level": "utmost"}, {"obfuscation_level": None}, {"obfuscation_level": 1}):
            answer = g.local("PATCH", f"{PEERS}/a", body)
            self.is_(answer, 422)
            self.assertEqual(len(answer.json["errors"]), 1, answer)
        self.is_(g.local("PATCH", f"{PEERS}/b", {"obfuscation_level": "low"}), 404)
        g.kill()
        g.start()
        self.assertEqual(g.local("GET", f"{PEERS}/a").json["obfuscation_level"], "extreme")
        # Of a peer that is disabled, too; it stays so.
        self.is_(g.local("PATCH", f"{PEERS}/a", {"enabled": False}), 200)
        self.is_(g.local("PATCH", f"{PEERS}/a", {"obfuscation_level": "off"}), 200)
        self.assertEqual(g.on_device(), {})
        self.is_(g.local("PATCH", f"{PEERS}/a", {"enabled": True}), 200)
        self.assertEqual(set(g.on_device()), {key})
        self.assertEqual(netns.run("wg", "show", "wg0", "persistent-keepalive").stdout, keepalives)

    def test_names_keys_and_addresses_belong_to_one(self):
        g, key = self.gateway, new_key(4)
        self.is_(g.local("POST", PEERS, {"name": "a", "public_key": key, "addresses": ["10.0.1.5", "fd42:4242:1::5"]}), 201)
        for body in ({"name": "a"}, {"name": "b", "public_key": key}, {"name": "b", "addresses": ["10.0.1.5/32"]},
                     {"name": "b", "addresses": ["10.0.1.6", "fd42:4242:1::5"]}):
            answer = g.local("POST", PEERS, body)
            self.is_(answer, 409)
            self.assertEqual(answer.json["status"], 409)
        # The IPv4 address of a refused pair was not kept.
        self.is_(g.local("POST", PEERS, {"name": "b", "addresses": ["10.0.1.6"]}), 201)
        self.is_(g.local("DELETE", f"{PEERS}/a"), 200)
        self.is_(g.local("POST", PEERS, {"name": "c", "addresses": ["10.0.1.5"]}), 409)  # it rests

    def test_wrong_members_are_named(self):
        g = self.gateway
        cases = [({}, "name"), ({"name": ""}, "name"), ({"name": "x" * 65}, "name"), ({"name": "a/b"}, "name"),
                 ({"name": "a\nb"}, "name"), ({"name": " a"}, "name"), ({"name": "a\u202eb"}, "name"),
                 ({"name": new_key(1)}, "name"), ({"name": 5}, "name"),
                 ({"name": "a", "public_key": "x"}, "public_key"),
                 ({"name": "a", "public_key": new_key(1), "generate": True}, "generate"),
                 ({"name": "a", "addresses": ["10.0.1.0/24"]}, "addresses"),
                 ({"name": "a", "addresses": ["10.0.1.2", "10.0.1.3"]}, "addresses"),
                 ({"name": "a", "obfuscation_level": "utmost"}, "obfuscation_level"),
                 ({"name": "a", "addresses": [5]}, "addresses"), ({"name": "a", "addresses": "10.0.1.2"}, "addresses")]
        for body, member in cases:
            answer = g.local("POST", PEERS, body)
            self.is_(answer, 422)
            self.assertEqual(answer.json["errors"][0]["loc"], ["body", member], (body, answer))
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        for address in ("10.0.1.0", "10.0.1.1", "10.0.1.255", "10.0.2.2", "fd42:4242:1::1", "::1"):
            self.is_(g.local("POST", PEERS, {"name": "a", "addresses": [address]}), 422)
        self.assertEqual(g.on_device(), {})
        self.is_(g.local("POST", PEERS, {"name": "x" * 64}), 201)


class Configurations(ApiTest):
    extra = ("--endpoint", "192.0.2.1", "--obfuscation", "high")

    def framing(self, text):
        """What a file says of AmneziaWG, without the junk that every client has of its own."""
        lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        return {key: value for key, value in lines.items() if re.fullmatch("[SH][1-4]|HeaderProtectionKey|RandomTrailers", key)}

    def test_a_peer_has_the_gateways_level_or_its_own(self):
        g = self.gateway
        for name, body, level in (("a", {}, "high"), ("b", {"obfuscation_level": "basic"}, "low"),
                                  ("c", {"obfuscation_level": "off"}, "off"),
                                  ("d", {"obfuscation_level": "stealth"}, "extreme")):
            made = g.local("POST", PEERS, {"name": name, **body})
            self.is_(made, 201)
            self.assertEqual(made.json["obfuscation_level"], level)
            self.assertEqual(g.local("GET", f"{PEERS}/{name}").json["obfuscation_level"], level)
            client = made.json["client"]
            self.assertEqual("amneziawg" in client, level != "off")
            self.assertEqual(client["mtu"], 1420 - int(client.get("amneziawg", {}).get("S4", 0)))
            for key, value in client.get("amneziawg", {}).items():
                self.assertIn(f"\n{key} = {value}\n", made.json["configuration"])
            keepalive = client["persistent_keepalive"]
            self.assertIn(f"\nPersistentKeepalive = {keepalive}\n", made.json["configuration"])
            self.assertEqual(keepalive == 25, level != "extreme")

    def test_a_file_can_be_had_again_without_its_private_key(self):
        g = self.gateway
        made = g.local("POST", PEERS, {"name": "a", "generate": True}).json
        again = g.local("GET", f"{PEERS}/a/configuration")
        self.is_(again, 200)
        self.assertNotIn("\nPrivateKey", again.json["configuration"])
        self.assertEqual(self.framing(again.json["configuration"]), self.framing(made["configuration"]))
        key = made["public_key"].replace("/", "_").replace("+", "-")
        self.is_(g.local("GET", f"{PEERS}/{key}/configuration"), 200)
        self.is_(g.local("GET", f"{PEERS}/nobody/configuration"), 404)

    def test_a_file_can_be_had_for_another_level(self):
        g = self.gateway
        self.is_(g.local("POST", PEERS, {"name": "a"}), 201)
        other = g.local("GET", f"{PEERS}/a/configuration?obfuscation_level=stealth")
        self.is_(other, 200)
        self.assertEqual(other.json["obfuscation_level"], "extreme")
        self.assertIn("HeaderProtectionKey", self.framing(other.json["configuration"]))
        self.assertEqual(self.framing(g.local("GET", f"{PEERS}/a/configuration?obfuscation_level=off")
                                      .json["configuration"]), {})
        self.assertEqual(g.local("GET", f"{PEERS}/a").json["obfuscation_level"], "high")
        for query in ("obfuscation_level=utmost", "obfuscation_level=", "level=low", "obfuscation_level=low&x"):
            self.is_(g.local("GET", f"{PEERS}/a/configuration?{query}"), 400)


class CommandLine(ApiTest):
    extra = ("--endpoint", "192.0.2.1")

    def run_it(self, *words, code=0):
        done = subprocess.run([CULVERT, "gateway", "peer", *words, "--state", self.gateway.state], text=True,
                              capture_output=True, timeout=30)
        self.assertEqual(done.returncode, code, (words, done))
        return done

    def test_add_writes_a_file_that_wg_quick_reads(self):
        done = self.run_it("add", "phone")
        with open("/run/phone.conf", "w") as f:
            f.write(done.stdout)
        os.chmod("/run/phone.conf", 0o600)
        stripped = netns.run("wg-quick", "strip", "/run/phone.conf").stdout
        private = stripped.split("PrivateKey = ")[1].split()[0]
        public, = self.gateway.on_device()
        self.assertEqual(public_of(private), public)
        for line in ("Address = 10.0.1.2/32, fd42:4242:1::2/128", "DNS = 1.1.1.1", "MTU = 1420",
                     f"PublicKey = {self.gateway.public}", "Endpoint = 192.0.2.1:51820",
                     "AllowedIPs = 0.0.0.0/0, ::/0", "PersistentKeepalive = 25"):
            self.assertIn(line + "\n", done.stdout)
        self.assertNotIn("█", done.stdout)

    def test_add_with_json_has_exactly_its_members(self):
        made = json.loads(self.run_it("add", "laptop", "--json").stdout)
        self.assertEqual(set(made), {"name", "public_key", "private_key", "addresses", "configuration"})
        self.assertEqual(public_of(made["private_key"]), made["public_key"])
        self.assertIn(made["private_key"], made["configuration"])
        self.assertEqual(made["addresses"], ["10.0.1.2/32", "fd42:4242:1::2/128"])

    def on_a_terminal(self, *words, columns=0, stderr=None):
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (50, columns))
        p = subprocess.Popen([CULVERT, "gateway", "peer", *words, "--state", self.gateway.state], stdout=slave,
                             stdin=subprocess.DEVNULL, stderr=stderr)
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(master)
        self.assertEqual(p.wait(), 0)
        return shown.decode()

    def test_add_shows_a_code_on_a_terminal(self):
        text = self.on_a_terminal("add", "phone")
        self.assertIn("PrivateKey = ", text)
        self.assertIn("▀", text)

    def test_add_says_that_a_code_does_not_fit_the_terminal(self):
        for words in (("add", "phone"), ("add", "tablet", "--level", "high", "--amnezia")):
            with tempfile.TemporaryFile("w+") as said:
                text = self.on_a_terminal(*words, columns=40, stderr=said)
                said.seek(0)
                complaint = said.read()
            self.assertRegex(text, "PrivateKey = |vpn://")
            self.assertNotIn("▀", text)
            self.assertIn("this terminal has 40: use a wider window", complaint)
            self.assertIn("-o FILE.png", complaint)

    def test_add_shows_a_series_of_codes_for_amnezia_on_a_terminal(self):
        text = self.on_a_terminal("add", "phone", "--level", "high", "--amnezia")
        self.assertTrue(text.startswith("vpn://"), text)
        self.assertNotIn("PrivateKey", text)
        parts = int(re.search(r"part 1 of (\d+)", text)[1])
        self.assertEqual([int(n) for n in re.findall(r"part (\d+) of", text)], list(range(1, parts + 1)))
        self.assertIn("▀", text)

    def test_add_writes_what_the_level_needs(self):
        shown = {}
        for word, keys in (("off", set()), ("basic", {"S1", "S2", "H1", "H4"}), ("medium", {"S1", "S2", "H1"}),
                           ("high", {"S3", "S4", "I1"}), ("stealth", {"HeaderProtectionKey", "RandomTrailers", "I1"})):
            text = self.run_it("add", word, "--level", word).stdout
            lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
            self.assertLessEqual(keys, set(lines), text)
            self.assertEqual(int(lines["MTU"]), 1420 - int(lines.get("S4", 0)))
            shown[word] = lines
        self.assertNotIn("Jc", shown["off"])
        self.assertRegex(shown["stealth"]["PersistentKeepalive"], r"^\d+-\d+$")
        self.assertIn("stealth", self.run_it("list").stdout)
        self.assertIn("level:           extreme", self.run_it("show", "stealth").stdout)

    def test_conf_writes_the_file_again_for_another_level(self):
        self.run_it("add", "a", "--level", "low")
        again = self.run_it("conf", "a").stdout
        self.assertIn("\n# PrivateKey = ", again)
        self.assertIn("\nS2 = ", again)
        self.assertNotIn("\nS4 = ", again)
        self.assertIn("\nS4 = ", self.run_it("conf", "a", "--level", "high", "--dns", "none").stdout)
        made = json.loads(self.run_it("conf", "a", "--json").stdout)
        self.assertIsNone(made["private_key"])
        self.assertIn("--level is off, low", self.run_it("add", "b", "--level", "utmost", code=2).stderr)
        self.run_it("conf", "a", "--level", "utmost", code=2)
        self.run_it("conf", "nobody", code=3)
        self.run_it("conf", code=2)

    def test_add_makes_a_link_for_amnezia(self):
        link = self.run_it("add", "phone", "--level", "extreme", "--amnezia").stdout
        self.assertRegex(link, r"^vpn://[\w-]+\n$")
        back = netns.run(CULVERT, "conf", "show", "/dev/stdin", input=link).stdout
        self.assertIn("192.0.2.1:51820", back)
        made = json.loads(self.run_it("add", "laptop", "--amnezia", "--json").stdout)
        self.assertTrue(made["link"].startswith("vpn://"))
        self.assertIn(made["private_key"], made["configuration"])
        self.assertEqual(self.run_it("add", "r", "--public-key", new_key(9), "--amnezia", code=2).stdout, "")
        self.assertEqual(len(self.gateway.on_device()), 2)

    def test_the_key_is_shown_where_there_can_be_no_link(self):
        nowhere = self.make(state="/run/nowhere", interface="wg8", extra=())
        done = subprocess.run([CULVERT, "gateway", "peer", "add", "phone", "--amnezia", "--state", nowhere.state], text=True,
                              capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("\nPrivateKey = ", done.stdout)
        self.assertIn("instead of a link", done.stderr)

    def test_options_of_add(self):
        key = new_key(8)
        done = self.run_it("add", "r", "--public-key", key, "--address", "10.0.1.40", "--dns", "none",
                           "--allowed-ips=10.0.1.0/24, fd42:4242:1::/64")
        self.assertIn("Address = 10.0.1.40/32\n", done.stdout)
        self.assertNotIn("DNS", done.stdout)
        self.assertNotIn("\nPrivateKey", done.stdout)
        self.assertIn("AllowedIPs = 10.0.1.0/24, fd42:4242:1::/64\n", done.stdout)
        self.assertEqual(self.gateway.on_device(), {key: {"10.0.1.40/32"}})

    def test_level_changes_what_conf_writes(self):
        self.run_it("add", "a")
        self.assertIn("a has level extreme: 'peer conf' writes its new file", self.run_it("level", "a", "stealth").stdout)
        self.assertIn("\nHeaderProtectionKey = ", self.run_it("conf", "a").stdout)
        self.assertEqual(json.loads(self.run_it("level", "a", "low", "--json").stdout)["obfuscation_level"], "low")
        self.assertIn("a level is off, low", self.run_it("level", "a", "utmost", code=2).stderr)
        self.assertIn("b: There is no such peer", self.run_it("level", "b", "low", code=3).stderr)
        self.assertIn("a NAME and one more word", self.run_it("level", "a", code=2).stderr)

    def test_conf_writes_the_key_it_is_given(self):
        made = json.loads(self.run_it("add", "a", "--level", "low", "--json").stdout)
        self.run_it("add", "b")
        files = {"key": made["private_key"] + "\n", "file": made["configuration"], "none": "[Interface]\nMTU = 1400\n"}
        for name, text in files.items():
            files[name] = f"{self.gateway.state}/given-{name}"
            with open(files[name], "w") as f:
                f.write(text)
        line = f"\nPrivateKey = {made['private_key']}\n"
        for name in ("key", "file"):
            text = self.run_it("conf", "a", "--level", "high", "--private-key", files[name]).stdout
            self.assertIn(line, text)
            self.assertIn("\nS4 = ", text)
            self.assertNotIn("# PrivateKey", text)
        again = json.loads(self.run_it("conf", "a", "--json", "--private-key", files["key"]).stdout)
        self.assertEqual(again["private_key"], made["private_key"])
        for peer, name, why in (("b", "key", "not the private key of this peer"), ("a", "none", "neither a private key"),
                                ("a", "file/x", "ot a directory")):
            told = self.run_it("conf", peer, "--private-key", files.get(name, files["file"] + "/x"), code=3)
            self.assertIn(why, told.stderr)
            self.assertEqual(told.stdout, "")

    def test_a_verb_refuses_options_that_say_nothing_to_it(self):
        self.run_it("add", "a")
        for words in (("conf", "a", "--public-key", new_key(1)), ("conf", "a", "--amnezia"), ("conf", "a", "--address", "10.0.1.9"),
                      ("add", "b", "--private-key", "/dev/null"), ("list", "--level", "low"), ("show", "a", "--dns", "none"),
                      ("level", "a", "low", "--level", "high"), ("remove", "a", "--allowed-ips", "::/0")):
            told = self.run_it(*words, code=2).stderr
            option = next(w for w in words if w.startswith("--"))
            self.assertTrue(told.startswith(f"culvert gateway peer: {words[0]} takes no {option}\n"), told)
        self.assertEqual([p["name"] for p in json.loads(self.run_it("list", "--json").stdout)], ["a"])

    def test_resolvers_are_addresses_or_domains(self):
        self.run_it("add", "a")
        for dns in ("foo", "10.0.1.1, foo", "10.0.1", "1.2.3.4.5", "fd42:", "a:b.c", "none, 10.0.1.1"):
            for verb, name in (("add", "b"), ("conf", "a")):
                self.assertIn("--dns is a list of addresses", self.run_it(verb, name, "--dns", dns, code=2).stderr)
        self.assertIn("\nDNS = 10.0.1.1, fd42::1, lan.example\n",
                      self.run_it("conf", "a", "--dns", "10.0.1.1,fd42::1 lan.example").stdout)
        self.assertEqual([p["name"] for p in json.loads(self.run_it("list", "--json").stdout)], ["a"])

    def test_list_show_disable_enable_remove(self):
        self.run_it("add", "one")
        self.run_it("--state", self.gateway.state, "add", "zwei ü")
        listed = self.run_it("list").stdout.splitlines()
        self.assertEqual(len(listed), 3)
        self.assertTrue(listed[1].startswith("one ") and "10.0.1.2/32" in listed[1] and "enabled" in listed[1])
        self.assertEqual([p["name"] for p in json.loads(self.run_it("list", "--json").stdout)], ["one", "zwei ü"])
        self.run_it("disable", "one")
        self.assertFalse(json.loads(self.run_it("show", "one", "--json").stdout)["enabled"])
        self.assertIn("state:           disabled", self.run_it("show", "one").stdout)
        self.run_it("enable", "one")
        self.assertEqual(len(self.gateway.on_device()), 2)
        key = json.loads(self.run_it("show", "zwei ü", "--json").stdout)["public_key"]
        self.run_it("remove", key)
        self.assertEqual(len(self.gateway.on_device()), 1)

    def test_columns_of_a_list_stand_below_each_other_on_a_terminal(self):
        for name in ("a", "zwölf ü", "日本語の電話", "e\u0301"):
            self.run_it("add", name)

        def width(text):
            return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

        lines = self.run_it("list").stdout.splitlines()
        begins = {width(line[:line.index(word)]) for line, word in zip(lines, ["ADDRESSES"] + ["10.0.1."] * 4)}
        self.assertEqual((len(lines), len(begins)), (5, 1), lines)

    def test_add_warns_when_others_may_read_the_file(self):
        for mode, warned in ((0o644, True), (0o600, False)):
            with open("/run/laptop.conf", "wb") as out:
                os.fchmod(out.fileno(), mode)
                done = subprocess.run([CULVERT, "gateway", "peer", "add", f"l{mode}", "--state", self.gateway.state],
                                      stdout=out, stderr=subprocess.PIPE, timeout=30)
            self.assertEqual((done.returncode, b"others may read" in done.stderr), (0, warned))

    def test_refusals_are_sentences_with_codes(self):
        self.run_it("add", "one")
        self.assertIn("one: A peer with this name exists; choose another", self.run_it("add", "one", code=3).stderr)
        for verb in ("show", "disable", "enable", "remove"):
            told = self.run_it(verb, "two", code=3).stderr
            self.assertIn("two: There is no such peer\n'culvert gateway peer list' shows", told)
        self.assertIn("peer: a?[1mb: name: ", self.run_it("add", "a\x1b[1mb", code=3).stderr)
        self.assertIn("name: A name has no slash", self.run_it("add", "a/b", code=3).stderr)
        self.assertIn("one NAME", self.run_it("add", code=2).stderr)
        self.assertIn("no NAME", self.run_it("list", "x", code=2).stderr)
        self.assertIn("say add", self.run_it("ad", "x", code=2).stderr)
        self.assertIn("no option", self.run_it("add", "x", "--jsn", code=2).stderr)
        self.assertIn("base64", self.run_it("add", "x", "--public-key", "short", code=2).stderr)
        self.gateway.stop()
        started = time.monotonic()
        done = self.run_it("list", code=1)
        self.assertIn("no gateway is running", done.stderr)
        self.assertIn(f"culvert gateway --state {self.gateway.state}", done.stderr)
        self.assertLess(time.monotonic() - started, 5)

    def test_a_private_key_is_in_no_argument_and_no_file(self):
        private = json.loads(self.run_it("add", "phone", "--json").stdout)["private_key"]
        for name in os.listdir(self.gateway.state):
            path = f"{self.gateway.state}/{name}"
            if os.path.isfile(path):
                self.assertNotIn(base64.b64decode(private), open(path, "rb").read(), name)
        self.assertNotIn(private, self.logged())


if __name__ == "__main__":
    suite.main()

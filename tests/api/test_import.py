#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Peers of other servers, from the files those servers have, into a running gateway.

    culvert gateway import FILE ─ gateway.sock ─ gateway-serve ─ UAPI ─ device wg0
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from gateway import CULVERT, SANITIZER, ApiTest, new_key, suite

REFUSED, USAGE = 3, 2


def pair(n):
    """The n-th private key and its public one, as wg makes it."""
    private = base64.b64encode(bytes([8 * n % 256] * 31 + [64])).decode()
    public = subprocess.run(["wg", "pubkey"], input=private, text=True, capture_output=True, check=True).stdout.strip()
    return private, public


def peer(n, *lines, psk=None, allowed=None):
    text = f"[Peer]\nPublicKey = {new_key(n)}\n" + (f"PresharedKey = {psk}\n" if psk else "")
    return text + f"AllowedIPs = {allowed or f'10.0.1.{n}/32, fd42:4242:1::{n:x}/128'}\n" + "".join(f"{line}\n" for line in lines)


class ImportTest(ApiTest):
    def setUp(self):
        super().setUp()
        self.work = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.work)
        self.server = f"[Interface]\nPrivateKey = {self.gateway.private}\nListenPort = 51820\nAddress = 10.0.1.1/24\n\n"

    def file(self, text, name="wg0.conf"):
        path = self.work / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    def run_import(self, *words, code=0):
        done = subprocess.run([CULVERT, "gateway", "import", *words, "--state", self.gateway.state, "--json"], text=True,
                              capture_output=True, env={**os.environ, **SANITIZER})
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        self.errors = done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def results(self, answer):
        return [p["result"] for p in answer["peers"]]

    def peers(self):
        return {p["public_key"]: p for p in self.gateway.local("GET", "/api/v1/peers").json["peers"]}


class Files(ImportTest):
    def test_names_addresses_keys_and_keepalives_come_over(self):
        psk = new_key(99)
        path = self.file(self.server + "### Client phone\n" + peer(2, psk=psk) + "\n# BEGIN_PEER lap top\n" +
                         peer(3, "PersistentKeepalive = 15", allowed="10.0.1.3/32,192.168.7.0/24,10.99.0.0/16") + "# END_PEER lap top\n\n" +
                         peer(4))
        answer = self.run_import(path)
        self.assertEqual(self.results(answer), ["new"] * 3)
        self.assertEqual([p["line"] for p in answer["peers"]], [7, 13, 19])
        found = self.peers()
        self.assertEqual([(p["name"], p["addresses"], p["routes"], p["keepalive"], p["has_preshared_key"], p["enabled"]) for p in found.values()], [
            ("phone", ["10.0.1.2/32", "fd42:4242:1::2/128"], [], 0, True, True),
            ("lap top", ["10.0.1.3/32"], ["10.99.0.0/16", "192.168.7.0/24"], 15, False, True),
            (None, ["10.0.1.4/32", "fd42:4242:1::4/128"], [], 0, False, True)])
        self.assertIn(f"{new_key(2)}\t{psk}", self.gateway.device.wg("show", "wg0", "preshared-keys").stdout)
        self.assertEqual(self.gateway.on_device()[new_key(3)], {"10.0.1.3/32", "192.168.7.0/24", "10.99.0.0/16"})
        before = self.gateway.local("GET", "/api/v1/peers").text
        self.assertEqual(self.results(self.run_import(path)), ["unchanged"] * 3)
        self.assertEqual(self.gateway.local("GET", "/api/v1/peers").text, before)

    def test_peers_that_were_switched_off_stay_off(self):
        off = "".join(f"#[disabled] {line}\n" for line in ("### begin tablet ###\n" + peer(5) + "### end tablet ###").splitlines())
        self.run_import(self.file(self.server + "### begin phone ###\n" + peer(2) + "### end phone ###\n" + off))
        self.assertEqual({p["name"]: p["enabled"] for p in self.peers().values()}, {"phone": True, "tablet": False})
        self.assertEqual(set(self.gateway.on_device()), {new_key(2)})

    def test_a_directory_of_clients_gives_peers_and_names_and_keeps_no_private_key(self):
        pairs = [pair(n) for n in (1, 2, 3)]
        for n, (private, _) in enumerate(pairs):
            server = self.gateway.public if n < 2 else new_key(50)
            self.file(f"[Interface]\nPrivateKey = {private}\nAddress = 10.0.1.{n + 2}/24, fd42:4242:1::{n + 2}/64\nDNS = 1.1.1.1\n\n[Peer]\n"
                      f"PublicKey = {server}\nPresharedKey = {new_key(70 + n)}\nEndpoint = vpn.example.com:51820\nAllowedIPs = 0.0.0.0/0, ::/0\n",
                      f"configs/wg0-client-c{n}.conf" if n else "configs/phone.conf")
        named = self.file(self.server + f"[Peer]\nPublicKey = {pairs[1][1]}\nAllowedIPs = 10.0.1.3/32\n")
        answer = self.run_import(named, str(self.work / "configs"), code=REFUSED)
        self.assertEqual([(p["name"], p["result"]) for p in answer["peers"]], [("c1", "new"), ("phone", "new"), ("c2", "refused")])
        self.assertIn(f"for the server {new_key(50)}", answer["peers"][2]["why"])
        self.assertEqual({k: (p["name"], p["addresses"]) for k, p in self.peers().items()}, {
            pairs[1][1]: ("c1", ["10.0.1.3/32"]), pairs[0][1]: ("phone", ["10.0.1.2/32", "fd42:4242:1::2/128"])})
        for path in pathlib.Path(self.gateway.state).glob("culvert.db*"):
            for private, _ in pairs:
                self.assertNotIn(private.encode(), path.read_bytes())
                self.assertNotIn(base64.b64decode(private), path.read_bytes())

    def test_the_json_of_a_panel(self):
        clients = {f"id-{n}": {"id": f"id-{n}", "name": f"client {n}", "address": f"10.0.1.{n}", "privateKey": pair(n)[0],
                               "publicKey": new_key(n), "preSharedKey": new_key(80 + n), "createdAt": "2024-01-01T00:00:00.000Z",
                               "enabled": n != 3} for n in (2, 3)}
        text = json.dumps({"server": {"privateKey": self.gateway.private, "publicKey": self.gateway.public, "address": "10.0.1.1"}, "clients": clients})
        answer = self.run_import(self.file(text, "wg0.json"))
        self.assertEqual(self.results(answer), ["new", "new"])
        self.assertEqual([(p["name"], p["addresses"], p["enabled"], p["has_preshared_key"]) for p in self.peers().values()],
                         [("client 2", ["10.0.1.2/32"], True, True), ("client 3", ["10.0.1.3/32"], False, True)])
        for wrong in ('{"clients": []}', '{"clients": {"a": {"publicKey": "x"}}}', "{", '{"clients": {"a": 1}}'):
            self.run_import(self.file(wrong, "wrong.json"), code=REFUSED)
            self.assertIn("wrong.json", self.errors)

    def test_what_is_no_server_of_peers_is_refused_with_file_and_line(self):
        for text, why in (("[Interface]\nPrivateKey = x\n", "wg0.conf:2: "), ("[Peer]\n", "wg0.conf:1: "),
                          (f"[Interface]\nPrivateKey = {pair(1)[0]}\n[Peer]\nPublicKey = {new_key(1)}\nEndpoint = h:1\nAllowedIPs = ::/0\n", "client's file")):
            self.run_import(self.file(text), code=REFUSED)
            self.assertIn(why, self.errors)
        self.run_import("/nonexistent", code=1)
        self.run_import(code=USAGE)
        self.run_import("x", "--level", "huge", code=USAGE)
        (self.work / "empty").mkdir()
        self.run_import(str(self.work / "empty"), code=REFUSED)
        self.assertEqual(self.peers(), {})


class Conflicts(ImportTest):
    def setUp(self):
        super().setUp()
        self.text = self.server + "# phone\n" + peer(2) + "# taken\n" + peer(3) + "# far\n" + peer(4, allowed="10.9.9.4/32") + \
            "# all\n" + peer(5, allowed="10.0.1.5/32, 0.0.0.0/0") + "# twin\n" + peer(6, allowed="10.0.1.2/32") + "# none\n" + \
            f"[Peer]\nPublicKey = {new_key(7)}\n" + "# gate\n" + peer(8, allowed="10.0.1.1/32")
        self.is_(self.gateway.local("POST", "/api/v1/peers", {"name": "taken", "public_key": new_key(20), "addresses": ["10.0.1.200"]}), 201)
        self.wanted = ["new", "refused", "refused", "refused", "refused", "refused", "refused"]

    def test_each_is_told_what_is_in_its_way_and_the_rest_is_done(self):
        answer = self.run_import(self.file(self.text), code=REFUSED)
        why = [p["why"] for p in answer["peers"]]
        self.assertEqual(self.results(answer), self.wanted, why)
        self.assertEqual([p["done"] for p in answer["peers"]], [True] + [False] * 6)
        for n, text in ((1, "its name is that of another peer: taken"), (2, "10.9.9.4/32 is in neither 10.0.1.0/24 nor fd42:4242:1::/64"),
                        (3, "routes: A network"), (4, "its address is that of another peer"), (5, "no AllowedIPs"), (6, "not a client's address")):
            self.assertIn(text, why[n])
        self.assertEqual({p["name"] for p in self.peers().values()}, {"phone", "taken"})
        self.assertEqual(self.results(self.run_import(self.file(self.text), code=REFUSED)), ["unchanged", *self.wanted[1:]])

    def test_all_or_nothing_does_nothing_then(self):
        answer = self.run_import(self.file(self.text), "--all-or-nothing", code=REFUSED)
        self.assertEqual(len(self.peers()), 1)
        self.assertFalse(any(p["done"] for p in answer["peers"]))
        # what only the gateway knows stops it as well
        self.run_import(self.file(self.server + peer(2) + "# taken\n" + peer(3)), "--all-or-nothing", code=REFUSED)
        self.assertEqual(len(self.peers()), 1)
        self.run_import(self.file(self.server + peer(2) + peer(3)), "--all-or-nothing")
        self.assertEqual(len(self.peers()), 3)

    def test_a_dry_run_says_the_same_and_does_nothing(self):
        answer = self.run_import(self.file(self.text), "--dry-run", code=REFUSED)
        self.assertEqual(self.results(answer), self.wanted)
        self.assertEqual(len(self.peers()), 1)
        self.assertFalse(any(p["done"] for p in answer["peers"]))

    def test_other_values_change_a_peer_only_when_that_was_said(self):
        self.run_import(self.file(self.server + "# phone\n" + peer(2)))
        other = self.file(self.server + "# phone\n" + peer(2, "PersistentKeepalive = 9", psk=new_key(60), allowed="10.0.1.77/32"))
        answer = self.run_import(other, code=REFUSED)
        self.assertIn("other values: addresses, keepalive, preshared key", answer["peers"][0]["why"])
        self.assertEqual(self.peers()[new_key(2)]["keepalive"], 0)
        self.assertEqual(self.results(self.run_import(other, "--update", "--dry-run")), ["changed"])
        self.assertEqual(self.peers()[new_key(2)]["keepalive"], 0)
        self.assertEqual(self.results(self.run_import(other, "--update")), ["changed"])
        now = self.peers()[new_key(2)]
        self.assertEqual((now["keepalive"], now["addresses"], now["has_preshared_key"]), (9, ["10.0.1.77/32"], True))
        self.assertEqual(self.results(self.run_import(other)), ["unchanged"])
        self.assertEqual(self.gateway.on_device()[new_key(2)], {"10.0.1.77/32"})

    def test_equal_names_of_one_file_are_told_apart(self):
        answer = self.run_import(self.file(self.server + "# phone\n" + peer(2) + "# phone\n" + peer(3) + "# " + "ü" * 32 + "\n" + peer(4) +
                                           "# " + "ü" * 32 + "\n" + peer(5) + "# Name: a/b\n" + peer(6)))
        self.assertEqual([p["name"] for p in answer["peers"]], ["phone", "phone-2", "ü" * 32, "ü" * 31 + "-2", None])
        self.assertIn("its name is left out: A name has no slash", answer["peers"][4]["note"])

    def test_a_thousand_and_more_in_several_steps(self):
        rows = [f"[Peer]\nPublicKey = {new_key(1000 + n)}\nAllowedIPs = fd42:4242:1::{n + 2:x}/128\n" for n in range(2300)]
        rows[1500] = f"[Peer]\nPublicKey = {new_key(2500)}\nAllowedIPs = fd42:4242:1::2/128\n"  # the first one's
        answer = self.run_import(self.file(self.server + "".join(rows)), code=REFUSED)
        self.assertEqual((answer["new"], answer["refused"], self.results(answer)[1500]), (2299, 1, "refused"))
        self.assertEqual(self.gateway.local("GET", "/api/v1/peers?limit=1").json["total"], 2300)
        moved = "".join(row.replace("fd42:4242:1::", "fd42:4242:1::f:") for row in rows[:1001])
        self.run_import(self.file(self.server + moved), "--all-or-nothing", "--update", code=REFUSED)
        self.assertIn("no more than 1000", self.errors)


class Framing(ImportTest):
    def test_a_file_that_frames_otherwise_is_refused_unless_a_level_is_said(self):
        framed = self.file(self.server.replace("\n\n", "\nJc = 4\nS1 = 20\nS2 = 70\nH1 = 100\nH2 = 101\nH3 = 102\nH4 = 103\n\n") + peer(2))
        self.assertIsNone(self.run_import(framed, code=REFUSED))
        self.assertIn("accepts no messages framed like that", self.errors)
        self.run_import(framed, "--level", "high")
        self.assertEqual(self.peers()[new_key(2)]["obfuscation_level"], "high")

    def test_a_file_that_frames_as_a_level_of_the_gateway_gives_that_level(self):
        profile = next(p for p in self.gateway.local("GET", "/api/v1/profiles").json["profiles"] if p["name"] == "medium")
        lines = "".join(f"{name} = {value}\n" for name, value in profile["amneziawg"].items())
        self.run_import(self.file(self.server.replace("\n\n", "\n" + lines + "\n") + peer(2)))
        self.assertEqual(self.peers()[new_key(2)]["obfuscation_level"], "medium")

    def test_a_server_of_another_key_is_told_of(self):
        self.run_import(self.file(self.server.replace(self.gateway.private, pair(9)[0]) + peer(2)))
        self.assertIn("has another server key than this gateway", self.errors)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server of wg-quick becomes a gateway, and its clients do not notice.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge]
             2001:db8:1::2/64     2001:db8:1::1/64

The client is wireguard-go, or awg-peer for AmneziaWG, where those are there; else ours. It is set up once, for the old
server, and never touched again. In a soak the old server, a tunnel of ours with the old file, served it before.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import client_file
import suite
import tunnel
from test_gateway import WholeTest
from test_host import CULVERT

REFUSED, USAGE = 3, 2
AWG = "Jc = 5\nJmin = 10\nJmax = 50\nS1 = 72\nS2 = 56\nS3 = 32\nS4 = 16\nH1 = 1000-2000\nH2 = 3000-4000\nH3 = 5000\nH4 = 6000-7000\n"
AWG1 = "Jc = 4\nJmin = 40\nJmax = 70\nS1 = 66\nS2 = 113\nH1 = 924883749\nH2 = 16843009\nH3 = 305419896\nH4 = 878082202\n"


def keys(n):
    private = base64.b64encode(bytes([8 * n % 256] * 31 + [64])).decode()
    return private, subprocess.run(["wg", "pubkey"], input=private, text=True, capture_output=True, check=True).stdout.strip()


def psk(n):
    return base64.b64encode(bytes([n] * 32)).decode()


class AdoptTest(WholeTest):
    def setUp(self):
        super().setUp()
        self.base = f"/run/adopt-{id(self)}"
        os.makedirs(self.base)
        self.addCleanup(shutil.rmtree, self.base, True)
        self.server = keys(1)
        self.phone, self.laptop, self.tablet = (keys(n) for n in (2, 3, 4))

    def file(self, text, name="wg0.conf"):
        path = f"{self.base}/{name}"
        pathlib.Path(path).write_text(text)
        os.chmod(path, 0o600)
        return path

    def old_server(self, framing="", address="10.66.66.1/24,fd42:42:42::1/64", port=51999):
        return (f"[Interface]\nAddress = {address}\nListenPort = {port}\nPrivateKey = {self.server[0]}\n{framing}"
                "PostUp = iptables -I INPUT -p udp --dport 51999 -j ACCEPT\nPostDown = iptables -D INPUT -p udp --dport 51999 -j ACCEPT\n"
                f"\n### Client phone\n[Peer]\nPublicKey = {self.phone[1]}\nPresharedKey = {psk(7)}\nAllowedIPs = 10.66.66.2/32,fd42:42:42::2/128\n"
                f"\n### Client laptop\n[Peer]\nPublicKey = {self.laptop[1]}\nPresharedKey = {psk(8)}\nAllowedIPs = 10.66.66.3/32,fd42:42:42::3/128\n")

    def old_client(self, framing="", port=51999):
        return (f"[Interface]\nPrivateKey = {self.phone[0]}\nAddress = 10.66.66.2/32, fd42:42:42::2/128\nDNS = 1.1.1.1\nMTU = 1380\n{framing}"
                f"\n[Peer]\nPublicKey = {self.server[1]}\nPresharedKey = {psk(7)}\nEndpoint = 192.0.2.1:{port}\nAllowedIPs = 10.66.66.0/24, fd42:42:42::/64\n")

    def join(self, text):
        wanted = "awg-peer" if "S1" in text else "wireguard-go"
        contender = wanted if tunnel.is_available(wanted) else "culvert"
        print(f"# client: {contender}", flush=True)
        device = tunnel.Device(self.client, "wgc", contender, log=self.log)
        self.addCleanup(device.stop)
        device.uapi(client_file.uapi(text))
        self.client.address("wgc", "10.66.66.2/32", "fd42:42:42::2/128")
        self.client.ip("link", "set", "wgc", "up", "mtu", "1380")
        for there in ("10.66.66.0/24", "fd42:42:42::/64"):
            self.client.ip("-6" if ":" in there else "-4", "route", "add", there, "dev", "wgc")
        return device

    def serve_old(self, text):
        """The old server: a tunnel with what `strip` leaves of its file."""
        device = tunnel.Device(self.edge, "wg0", "culvert", log=self.log)
        self.edge.run(CULVERT, "conf", "apply", "wg0", self.file(text))
        self.edge.address("wg0", "10.66.66.1/24", "fd42:42:42::1/64")
        self.edge.ip("link", "set", "wg0", "up")
        return device

    def adopt(self, *words, code=0, state=None):
        done = self.edge.run(CULVERT, "gateway", "adopt", *words, "--state", state or self.state, "--json", check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        self.said = done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def goes_on(self, framing=""):
        """A client of the old server, then of the gateway that adopted it. Return: what adopt said."""
        old = self.serve_old(self.old_server(framing)) if suite.SOAK else None
        print(f"# scale: {'old server first' if old else 'client first'}, full old server first", flush=True)
        self.join(self.old_client(framing))
        if old:
            self.reaches("10.66.66.1", "fd42:42:42::1")
            old.stop()
        answer = self.adopt(self.file(self.old_server(framing)))
        gateway = self.start()
        self.reaches("10.66.66.1", "fd42:42:42::1", timeout=30)
        self.moved(self.client, self.edge, "10.66.66.1", 1 << 20)
        return answer, gateway


class Adoption(AdoptTest):
    def test_a_client_of_plain_wireguard_goes_on_as_it_is(self):
        answer, gateway = self.goes_on()
        self.assertEqual((answer["interface"], answer["port"], answer["subnet4"], answer["subnet6"], answer["obfuscation_level"], answer["public_key"]),
                         ("wg0", 51999, "10.66.66.0/24", "fd42:42:42::/64", "off", self.server[1]))
        self.assertEqual([n["what"] for n in answer["not_taken_over"]], ["PostUp (line 5)", "PostDown (line 6)"])
        listed = json.loads(self.peer("list", "--json").stdout)
        self.assertEqual([(p["name"], p["addresses"], p["has_preshared_key"], p["keepalive"], p["obfuscation_level"]) for p in listed],
                         [("phone", ["10.66.66.2/32", "fd42:42:42::2/128"], True, 0, "off"), ("laptop", ["10.66.66.3/32", "fd42:42:42::3/128"], True, 0, "off")])
        # A new peer gets the next address and the old key, port and network.
        values = client_file.values(self.peer("add", "new").stdout)
        self.assertEqual((values["Address"], values["PublicKey"], values["Endpoint"]),
                         ("10.66.66.4/32, fd42:42:42::4/128", self.server[1], "192.0.2.1:51999"))
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_client_of_amneziawg_2_goes_on_as_it_is(self):
        answer, gateway = self.goes_on(AWG)
        self.assertEqual(answer["obfuscation_level"], "high")
        heard = {p["name"]: p["profile"] for p in json.loads(self.peer("list", "--json").stdout)}
        self.assertEqual(heard["phone"], "high")
        # New peers get the same parameters, since theirs is the level's profile.
        values = client_file.values(self.peer("add", "new").stdout)
        for line in AWG.splitlines():
            name, value = line.split(" = ")
            if name[0] in "SH":
                self.assertEqual(values[name], value, name)
        self.assertEqual(gateway.end(), 0, gateway.errors())

    def test_a_client_of_amneziawg_1_goes_on_as_it_is(self):
        answer, gateway = self.goes_on(AWG1)
        self.assertIn(answer["obfuscation_level"], ("low", "medium"))
        gateway.end()

    def test_what_is_adopted_outlives_a_crash_and_another_start(self):
        self.adopt(self.file(self.old_server(AWG)))
        gateway = self.start()
        before = self.peer("list", "--json").stdout
        os.kill(self.child(gateway, "gateway-serve"), 9)
        self.soon(lambda: self.peer("list", check=False).returncode == 0, "the API again")
        gateway.end()
        gateway = self.start()
        self.assertEqual(self.peer("list", "--json").stdout, before)
        gateway.end()
        self.assertEqual(sorted(os.listdir(self.state)), ["api.key", "culvert.conf", "culvert.db", "lock", "master.key", "sealed", "server.key"])
        self.adopt(self.file(self.old_server(AWG)), code=REFUSED)
        self.assertIn("database already", self.said)


class Export(AdoptTest):
    def export(self, *words, code=0):
        done = self.edge.run(CULVERT, "gateway", "export", *words, "--state", self.state, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.said = done.stderr
        return done.stdout

    def whole(self, framing):
        """A file with all that an export may have."""
        off = f"[Peer]\n# friendly_name = Ann's tablet\nPublicKey = {self.tablet[1]}\nAllowedIPs = 10.66.66.4/32\n"
        return self.old_server(framing) + "\n# plain\n[Peer]\nPublicKey = " + keys(5)[1] + \
            "\nAllowedIPs = 10.66.66.5/32, fd99::/48, 192.168.20.0/24, 192.168.3.0/24\nPersistentKeepalive = 21\n\n" + \
            "".join(f"#[disabled] {line}\n" for line in off.splitlines())

    def round_trip(self, framing, *words):
        self.adopt(self.file(self.whole(framing)))
        gateway = self.start()
        first = self.export("--with-private-key", *words)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertEqual([n for n in os.listdir(self.state) if "export" in n or "copy" in n], [])
        shutil.rmtree(self.state)
        self.adopt(self.file(first))
        gateway = self.start()
        self.assertEqual(self.export("--with-private-key", *words), first)
        gateway.end()
        return first

    def test_an_export_of_plain_wireguard_is_adopted_and_exported_octet_for_octet(self):
        text = self.round_trip("")
        for line in (f"PrivateKey = {self.server[0]}", "ListenPort = 51999", "Address = 10.66.66.1/24, fd42:42:42::1/64", f"PresharedKey = {psk(7)}",
                     "# friendly_name = laptop", "AllowedIPs = 10.66.66.5/32, 192.168.20.0/24, 192.168.3.0/24, fd99::/48",
                     "PersistentKeepalive = 21", "#[disabled] # friendly_name = Ann's tablet", f"#[disabled] PublicKey = {self.tablet[1]}"):
            self.assertIn(line + "\n", text)

    def test_an_export_of_amneziawg_is_adopted_and_exported_octet_for_octet(self):
        text = self.round_trip(AWG)
        for line in AWG.splitlines():
            self.assertIn(line + "\n", text)
        self.assertIn("MTU = 1404\n", text)

    def test_wg_quick_serves_the_clients_of_the_gateway_with_an_export(self):
        self.adopt(self.file(self.whole("")))
        gateway = self.start()
        secret = self.export("--with-private-key")
        public = self.export()
        self.assertNotIn(self.server[0], public)
        self.assertEqual(public, secret.replace(f"PrivateKey = {self.server[0]}", "# PrivateKey = is left out here"))
        gateway.end()
        self.join(self.old_client())
        path = self.file(secret, "wg9.conf")
        environment = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": CULVERT, "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"}
        words = ["env", *(f"{k}={v}" for k, v in environment.items() if k.startswith("WG_")), "bash", "-c",
                 'ip() { [ "$*" = "link add wg9 type wireguard" ] && return 1; command ip "$@"; }; export -f ip; '
                 f'ln -sf {CULVERT} {self.base}/culvert-device; export WG_QUICK_USERSPACE_IMPLEMENTATION={self.base}/culvert-device; wg-quick up {path}']
        self.edge.run(*words)
        self.addCleanup(self.edge.run, "wg-quick", "down", path, check=False)
        shown = self.edge.output("wg", "show", "wg9", "allowed-ips")
        self.assertEqual(sorted(line.split("\t")[0] for line in shown.splitlines()), sorted([self.phone[1], self.laptop[1], keys(5)[1]]))
        self.reaches("10.66.66.1", "fd42:42:42::1")

    def test_what_a_file_cannot_hold_is_told(self):
        self.adopt(self.file(self.old_server()))
        gateway = self.start()
        self.peer("add", "far", "--level", "high")
        self.edge.run(CULVERT, "gateway", "api", "PATCH", "/api/v1/peers/laptop", '{"rate_bps": 1000000}', "--state", self.state)
        self.export()
        self.assertIn("1 peers have another level than off", self.said)
        self.assertIn("1 peers have limits", self.said)
        self.assertIn("S4 = ", self.export("--format", "awg", "--level", "high"))
        self.assertIn("2 peers have another level than high", self.said)
        for words in (("--format", "x"), ("--format", "awg"), ("--format", "wg", "--level", "high"), ("--level", "x"), ("word",)):
            self.export(*words, code=USAGE)
        gateway.end()
        self.export(code=1)  # nobody there to say port and networks


class Refusals(AdoptTest):
    def assertNothingLeft(self):
        self.assertFalse(os.path.exists(self.state), os.path.exists(self.state) and os.listdir(self.state))

    def test_a_dry_run_leaves_nothing(self):
        answer = self.adopt(self.file(self.old_server()), "--dry-run")
        self.assertEqual((answer["adopted"], len(answer["peers"])), (False, 2))
        self.assertNothingLeft()

    def test_a_peer_that_cannot_be_keeps_all_out_unless_it_is_left_out(self):
        text = self.old_server() + f"\n# twin\n[Peer]\nPublicKey = {self.tablet[1]}\nAllowedIPs = 10.66.66.2/32\n"
        answer = self.adopt(self.file(text), code=REFUSED)
        self.assertEqual([p["refused"] for p in answer["peers"]], [False, False, True])
        self.assertIn("its IPv4 address is that of a peer above", answer["peers"][2]["why"])
        self.assertIn("wg0.conf:21: twin: its IPv4", self.said)
        self.assertNothingLeft()
        self.assertTrue(self.adopt(self.file(text), "--leave-out")["adopted"])
        gateway = self.start()
        self.assertEqual([p["name"] for p in json.loads(self.peer("list", "--json").stdout)], ["phone", "laptop"])
        gateway.end()

    def test_files_that_lack_what_clients_know_are_refused(self):
        full = self.old_server()
        for text, why in ((full.replace("ListenPort = 51999\n", ""), "ListenPort"), (full.replace(f"PrivateKey = {self.server[0]}\n", ""), "PrivateKey"),
                          (full.replace("10.66.66.1/24", "10.66.66.9/32"), "--subnet4"), (full.replace("[Peer]", "[Pear]", 1), "wg0.conf:9"),
                          (full.replace("PostUp", "S2 = 50\nPostUp", 1), "cannot tell them apart")):
            self.adopt(self.file(text), code=REFUSED)
            self.assertIn(why, self.said)
            self.assertNothingLeft()
        self.adopt(code=USAGE)
        self.adopt("/nonexistent", code=1)

    def test_what_is_there_is_not_written_over(self):
        path = self.file(self.old_server())
        os.makedirs(self.state)
        for name, text in (("server.key", keys(9)[0] + "\n"), ("culvert.conf", "[gateway]\n")):
            pathlib.Path(self.state, name).write_text(text)
            self.adopt(path, code=REFUSED)
            self.assertIn(name, self.said)
            self.assertEqual(pathlib.Path(self.state, name).read_text(), text)
            os.unlink(f"{self.state}/{name}")
        gateway = self.start()
        self.adopt(path, code=REFUSED)
        self.assertIn("a gateway is running", self.said)
        self.peer("add", "phone")  # it may still write
        gateway.end()


class Networks(AdoptTest):
    def networks(self, address, *allowed, code=0, words=()):
        text = f"[Interface]\nAddress = {address}\nListenPort = 1\nPrivateKey = {self.server[0]}\n"
        text += "".join(f"[Peer]\nPublicKey = {keys(n + 10)[1]}\nAllowedIPs = {a}\n" for n, a in enumerate(allowed))
        answer = self.adopt(self.file(text), "--dry-run", *words, code=code)
        return answer and (answer["subnet4"], answer["subnet6"], [n["what"] for n in answer["not_taken_over"]])

    def test_networks_are_those_that_have_the_server_first_and_the_peers_in_them(self):
        rows = (("10.8.0.1/24", ("10.8.0.2/32",), ("10.8.0.0/24", "fd42:4242:1::/64", [])),
                ("10.6.0.1/24,fd11:5ee:bad:c0de::a06:1/64", ("10.6.0.2/32,fd11:5ee:bad:c0de::a06:2/128",),
                 ("10.6.0.0/24", "fd11:5ee:bad:c0de::a06:0/111", [])),
                ("10.9.0.1/32", ("10.9.0.7/32",), ("10.9.0.0/24", "fd42:4242:1::/64", [])),
                ("10.0.0.129/24", ("10.0.0.130/32",), ("10.0.0.128/25", "fd42:4242:1::/64", [])),
                ("10.0.0.129/24", ("10.0.0.30/32",), ("10.0.0.0/24", "fd42:4242:1::/64", ["Address 10.0.0.129"])),
                ("10.0.0.254/24", ("10.0.0.2/32",), ("10.0.0.0/24", "fd42:4242:1::/64", ["Address 10.0.0.254"])),
                ("10.0.0.1/24,10.1.0.1/24", ("10.0.0.2/32,192.168.1.0/24",), ("10.0.0.0/24", "fd42:4242:1::/64", ["Address 10.1.0.1", "routes"])))
        for address, allowed, wanted in rows:
            self.assertEqual(self.networks(address, *allowed), wanted, address)
        self.assertEqual(self.networks("10.9.0.1/32", "10.200.0.7/32", words=("--subnet4", "10.0.0.0/8"))[0], "10.0.0.0/8")
        self.networks("10.9.0.1/32", "10.200.0.7/32", code=REFUSED)
        self.networks("10.0.0.254/24", "10.0.0.1/32", code=REFUSED)  # the gateway's own


if __name__ == "__main__":
    suite.main()

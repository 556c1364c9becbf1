#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files with the keys of AmneziaWG on running interfaces, where no awg is installed.

    [left] culvert conf apply, culvert-quick ──── [right] culvert device

culvert-quick runs the real wg-quick.
"""

import json
import os
import re
import shutil

import netns
import suite
import tunnel

CULVERT = tunnel._built_culvert()
QUICK = os.path.join(tunnel.ROOT, "packaging", "culvert-quick")
AMNEZIA = """\
Jc = 5
Jmin = 10
Jmax = 50
S1 = 42
S2 = 24
S3 = 13
S4 = 20
H1 = 100000000-200000000
H2 = 300000000-400000000
H3 = 500000000-600000000
H4 = 700000000-800000000
I1 = <b 0xc0ff><r 80><t>
"""
UAPI = dict(re.findall(r"(\w+) = (.*)", AMNEZIA.lower()))


def culvert(namespace, *words, **options):
    return namespace.run(CULVERT, *words, **options)


class Apply(suite.NetTest):
    """culvert conf apply and export, and doctor, on a pair of interfaces."""

    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.left, self.right = self.tunnel.ends
        self.one, self.other = self.tunnel.devices
        self.connected(self.tunnel)

    def write(self, device, extra="", peers=""):
        other = self.other if device is self.one else self.one
        i = self.tunnel.devices.index(device)
        path = f"/run/{device.interface}.conf"
        with open(path, "w") as f:
            f.write(f"[Interface]\nPrivateKey = {device.private}\nListenPort = {self.tunnel.PORT[i]}\n"
                    f"Address = 10.99.0.1/24\n{extra}\n[Peer]\nPublicKey = {other.public}\n"
                    f"AllowedIPs = {self.tunnel.INNER[0][1 - i]}/32, {self.tunnel.INNER[1][1 - i]}/128\n"
                    f"Endpoint = {self.tunnel.endpoint(1 - i)}\n{peers}")
        return path

    def apply(self, device, *words, **options):
        return culvert(device.namespace, "conf", "apply", *words, device.interface, **options)

    def test_a_file_of_amneziawg_is_applied_whole(self):
        for device in (self.one, self.other):
            self.apply(device, input=open(self.write(device, AMNEZIA)).read())
        device, peers = self.one.get()
        self.assertEqual({key: device.get(key) for key in UAPI}, UAPI)
        self.assertEqual(list(peers), [self.other.public])
        self.connected(self.tunnel)

    def test_what_the_file_does_not_name_goes_to_its_default(self):
        self.one.configure(**UAPI)
        self.one.uapi("set=1\nculvert_profile=old s1=3 h1=77\nfwmark=7\n\n")
        culvert(self.left, "conf", "apply", self.one.interface, self.write(self.one, "S1 = 42\n"))
        device = self.one.get()[0]
        self.assertEqual((device["s1"], device["h1"]), ("42", "1"))
        for key in ("jc", "s2", "s4", "i1", "fwmark", "culvert_profile"):
            self.assertNotIn(key, device)

    def test_profiles_of_a_file_serve_beside_the_default(self):
        culvert(self.left, "conf", "apply", self.one.interface, self.write(
            self.one, "CulvertProfile = new s1=20 h1=77 h2=78 h3=79 h4=80 i1=<b 0x01><r 5>\n"))
        self.assertEqual(self.one.get()[0]["culvert_profile"],
                         "new s1=20 h1=77 h2=78 h3=79 h4=80 i1=<b 0x01><r 5>")
        self.connected(self.tunnel)
        self.other.configure(s1=20, h1=77, h2=78, h3=79, h4=80)
        self.other.remove_peer(self.one.public)
        self.tunnel.join(1)
        self.soon(lambda: self.pings(self.right, self.tunnel.INNER[0][0]), "a ping under the new profile", 15)

    def test_a_bad_file_changes_nothing(self):
        before = self.one.get()
        for extra, words in (("S1 = 42\nH1 = 1-10\n", "header-overlap"), ("Jc = 4-8\n", "Jc")):
            result = culvert(self.left, "conf", "apply", self.one.interface, self.write(self.one, extra), check=False)
            self.assertEqual(result.returncode, 3)
            self.assertIn(words, result.stderr)
        self.assertEqual(self.one.get(), before)

    def test_sync_leaves_peers_alone_that_are_the_same(self):
        gone, new = tunnel.keypair()[1], tunnel.keypair()[1]
        self.one.add_peer(gone, ["10.70.0.0/16"])
        before = self.one.get()[1][self.other.public]
        path = self.write(self.one, peers=f"[Peer]\nPublicKey = {new}\nAllowedIPs = 10.70.0.0/16\n"
                                          "PersistentKeepalive = 22-30\n")
        culvert(self.left, "conf", "apply", "--sync", self.one.interface, path)
        after = self.one.get()[1]
        self.assertEqual(set(after), {self.other.public, new})
        self.assertEqual(after[self.other.public]["last_handshake_time_nsec"], before["last_handshake_time_nsec"])
        self.assertEqual(after[new]["allowed_ip"], ["10.70.0.0/16"])
        self.assertTrue(self.pings(self.left, self.tunnel.INNER[0][1]), "the session lives on")
        culvert(self.left, "conf", "apply", self.one.interface, path)
        self.assertEqual(self.one.get()[1][self.other.public]["last_handshake_time_sec"], "0")

    def test_sync_changes_what_differs(self):
        path = self.write(self.one, peers="PersistentKeepalive = 7\n")
        culvert(self.left, "conf", "apply", "--sync", self.one.interface, path)
        peer = self.one.get()[1][self.other.public]
        self.assertEqual(peer["persistent_keepalive_interval"], "7")
        self.assertNotEqual(peer["last_handshake_time_sec"], "0")
        with open(path, "a") as f:
            f.write("AllowedIPs = 10.71.0.0/16\n")
        culvert(self.left, "conf", "apply", "--sync", self.one.interface, path)
        self.assertIn("10.71.0.0/16", self.one.get()[1][self.other.public]["allowed_ip"])
        self.assertTrue(self.pings(self.left, self.tunnel.INNER[0][1]))

    def test_what_is_exported_is_applied_as_the_same(self):
        self.one.configure(**UAPI)
        self.one.uapi("set=1\nculvert_profile=old s1=3 h1=77\n"
                      f"public_key={tunnel.hexkey(self.other.public)}\npersistent_keepalive_interval=22-30\n\n")
        text = culvert(self.left, "conf", "export", self.one.interface).stdout
        self.assertTrue(text.startswith("[Interface]\nListenPort = 51821\n"))
        for line in (*AMNEZIA.splitlines(), "CulvertProfile = old s1=3 h1=77", "PersistentKeepalive = 22-30",
                     f"PrivateKey = {self.one.private}"):
            self.assertIn(f"{line}\n", text)
        self.apply(self.one, input="[Interface]\n")
        self.assertEqual(self.one.get()[1], {})
        self.apply(self.one, input=text)
        self.assertEqual(culvert(self.left, "conf", "export", self.one.interface).stdout, text)

    def test_wireguard_go_takes_a_file_of_wireguard(self):
        self.need("wireguard-go")
        theirs = self.device(self.left, "wgo0", "wireguard-go")
        path = "/run/wgo0.conf"
        with open(path, "w") as f:
            f.write(f"[Interface]\nPrivateKey = {theirs.private}\nListenPort = 51900\n[Peer]\n"
                    f"PublicKey = {self.other.public}\nAllowedIPs = 10.70.0.0/16\n")
        culvert(self.left, "conf", "apply", "wgo0", path)
        self.assertEqual(theirs.get()[0]["listen_port"], "51900")
        culvert(self.left, "conf", "apply", "--sync", "wgo0", path)
        self.assertEqual(list(theirs.get()[1]), [self.other.public])
        with open(path, "a") as f:
            f.write("[Interface]\nS1 = 9\n")
        result = culvert(self.left, "conf", "apply", "wgo0", path, check=False)
        self.assertEqual(result.returncode, 3)
        self.assertIn("refused", result.stderr)

    def doctor(self, namespace, interface):
        result = culvert(namespace, "doctor", "--json", interface, check=False)
        self.assertIn(result.returncode, (0, 3), result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(result.returncode == 3, bool(answer["findings"]))
        return answer

    def test_the_doctor_finds_nothing_in_a_good_pair(self):
        answer = self.doctor(self.left, self.one.interface)
        self.assertEqual((answer["findings"], answer["peers"], answer["never_connected"]), ([], 1, 0))
        self.assertEqual((answer["mtu"], answer["path_mtu"], answer["greatest_mtu"]), (1420, 1500, 1440))
        self.assertEqual(answer["profiles"], [{"name": "", "plain": True}])

    def test_the_doctor_sees_an_mtu_that_does_not_fit_the_route(self):
        self.left.ip("link", "set", "out0", "mtu", "1400")
        self.one.configure(**UAPI)
        found = self.doctor(self.left, self.one.interface)
        self.assertEqual(found["greatest_mtu"], 1400 - 60 - 20)
        self.assertTrue(any("set it to 1320" in f["text"] for f in found["findings"]), found)

    def test_the_doctor_says_which_message_never_arrived(self):
        """H2 differs: initiations arrive, responses are not understood."""
        self.one.configure(h2=77)
        for device, i in ((self.one, 0), (self.other, 1)):
            device.remove_peer(self.tunnel.devices[1 - i].public)
        for i in (0, 1):
            self.tunnel.join(i)
        self.assertFalse(self.pings(self.left, self.tunnel.INNER[0][1]))
        left = self.doctor(self.left, self.one.interface)["findings"]
        right = self.doctor(self.right, self.other.interface)["findings"]
        self.assertTrue(any("no response ever arrived" in f["text"] for f in left), left)
        self.assertTrue(any("its initiations arrive" in f["text"] for f in right), right)


class Quick(suite.NetTest):
    """culvert-quick up, save, down with the real wg-quick."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.net.namespace("left"), self.net.namespace("right")
        self.net.link(self.left, "out0", self.right, "out0", addresses=(
            ["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"]))
        self.server = self.device(self.right, "quickr")
        self.server.configure(listen_port=5100, **UAPI)
        self.server.up("10.9.0.2/24", mtu=1400)
        self.private, self.public = tunnel.keypair()
        self.server.add_peer(self.public, ["10.9.0.1/32"])
        self.env = {**os.environ, "CULVERT_PROGRAM": CULVERT}

    def configuration(self, extra=AMNEZIA):
        path = "/run/quickl.conf"
        with open(path, "w") as f:
            f.write(f"[Interface]\nPrivateKey = {self.private}\nAddress = 10.9.0.1/24\n{extra}"
                    f"[Peer]\nPublicKey = {self.server.public}\nAllowedIPs = 10.9.0.0/24\n"
                    "Endpoint = 192.0.2.2:5100\nPersistentKeepalive = 22-30\n")
        os.chmod(path, 0o600)
        return path

    def quick(self, verb, path, **options):
        return self.left.run(QUICK, verb, path, env=self.env, **options)

    def exported(self):
        return culvert(self.left, "conf", "export", "quickl").stdout

    def test_a_file_of_amneziawg_comes_up_and_goes(self):
        path = self.configuration()
        self.quick("up", path)
        self.assertTrue(self.pings(self.left, "10.9.0.2", timeout=6))
        self.assertIn(AMNEZIA, self.exported())
        self.assertIn("mtu 1400", self.left.output("ip", "link", "show", "quickl"), "1500 - 80 - S4")
        self.quick("down", path)
        self.soon(lambda: "quickl" not in self.left.output("ip", "-o", "link"), "the interface is gone")

    def test_an_mtu_in_the_file_is_taken_as_it_is(self):
        path = self.configuration("MTU = 1376\nCulvertProfile = x s4=30\n" + AMNEZIA)
        self.quick("up", path)
        self.assertIn("mtu 1376", self.left.output("ip", "link", "show", "quickl"))
        self.quick("down", path)

    def test_the_longest_padding_of_all_profiles_counts(self):
        path = self.configuration("CulvertProfile = x s4=30 h1=5\n" + AMNEZIA)
        self.quick("up", path)
        self.assertIn("mtu 1390", self.left.output("ip", "link", "show", "quickl"))
        self.quick("down", path)

    def test_save_keeps_the_parameters(self):
        path = self.configuration("CulvertProfile = x s4=30\nSaveConfig = true\n" + AMNEZIA)
        self.quick("up", path)
        self.quick("down", path)
        text = open(path).read()
        for words in (AMNEZIA, "CulvertProfile = x s4=30\n", "PersistentKeepalive = 22-30\n", "Address = 10.9.0.1/24\n",
                      "SaveConfig = true\n"):
            self.assertIn(words, text)
        self.quick("up", path)
        self.assertTrue(self.pings(self.left, "10.9.0.2", timeout=6), "what was saved comes up")
        self.quick("down", path)

    def test_a_bad_file_leaves_nothing_behind(self):
        result = self.quick("up", self.configuration("Jc = 4-8\n"), check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("Jc: '4-8' is a range", result.stderr)
        self.soon(lambda: "quickl" not in self.left.output("ip", "-o", "link"), "the interface is gone")

    def test_nothing_else_is_started_when_our_device_fails(self):
        os.makedirs("/run/other", exist_ok=True)
        for name, text in (("wireguard-go", "touch /run/other/started"), ("failing", '[ "$1" != device ]')):
            with open(f"/run/other/{name}", "w") as f:
                f.write(f"#!/bin/sh\n{text}\n")
            os.chmod(f"/run/other/{name}", 0o755)
        for program, words in (("/run/other/failing", "'/run/other/failing device quickl' failed"),
                               ("/run/other/none", "/run/other/none is missing")):
            self.env = {**os.environ, "PATH": "/run/other:" + os.environ["PATH"], "CULVERT_PROGRAM": program}
            result = self.quick("up", self.configuration(), check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(words, result.stderr)
            self.assertNotIn("quickl", self.left.output("ip", "-o", "link"))
        self.assertFalse(os.path.exists("/run/other/started"), "nobody asked for wireguard-go")

    def test_from_the_source_tree_the_build_directory_has_the_program(self):
        tree = "/run/tree"
        for path, target in ((f"{tree}/packaging/culvert-quick", QUICK), (f"{tree}/build/culvert", CULVERT)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(target, path)
        path = self.configuration()
        environment = {key: value for key, value in os.environ.items() if key != "CULVERT_PROGRAM"}
        self.left.run(f"{tree}/packaging/culvert-quick", "up", path, env=environment)
        self.assertIn(AMNEZIA, self.exported())
        self.left.run(f"{tree}/packaging/culvert-quick", "down", path, env=environment)


suite.main()

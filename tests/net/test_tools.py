#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tools people have already: wg and wg-quick, unchanged.

    [left] wg-quick ──── [right]
"""

import os
import socket
import time

import netns
import suite
import tunnel


class Wg(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.one = self.tunnel.devices[0]
        self.peer = self.tunnel.devices[1].public

    def show(self, *words):
        return self.one.wg("show", self.one.interface, *words).stdout.strip()

    def test_dump_has_the_columns_that_scripts_cut(self):
        self.moved(self.tunnel.left, self.tunnel.right, "10.9.0.2", 1 << 20)
        lines = [line.split("\t") for line in self.show("dump").splitlines()]
        self.assertEqual(lines[0], [self.one.private, self.one.public, "51821", "off"])
        self.assertEqual(lines[1][:4], [self.peer, "(none)", "192.0.2.2:51822", "10.9.0.2/32,fd09::2/128"])
        handshake, received, sent, keepalive = lines[1][4:]
        self.assertLess(abs(int(handshake) - time.time()), 60, "wall-clock seconds (W5)")
        self.assertGreater(int(sent), 1 << 20)
        self.assertGreater(int(received), 1000)
        self.assertEqual(keepalive, "off")

    def test_show_prints_each_field(self):
        self.assertEqual(self.show("public-key"), self.one.public)
        self.assertEqual(self.show("private-key"), self.one.private)
        self.assertEqual(self.show("listen-port"), "51821")
        self.assertEqual(self.show("fwmark"), "off")
        self.assertEqual(self.show("peers"), self.peer)
        self.assertEqual(self.show("endpoints"), f"{self.peer}\t192.0.2.2:51822")
        self.assertEqual(self.show("allowed-ips"), f"{self.peer}\t10.9.0.2/32 fd09::2/128")
        self.assertEqual(self.show("persistent-keepalive"), f"{self.peer}\toff")
        self.assertEqual(self.one.wg("show", "interfaces").stdout.split().count(self.one.interface), 1)
        self.assertIn("latest handshake", self.one.wg("show").stdout)

    def test_set_changes_each_field_and_nothing_else(self):
        set_ = lambda *words, **options: self.one.wg("set", self.one.interface, *words, **options)
        psk, other = tunnel.keypair()[0], tunnel.keypair()[1]
        set_("listen-port", "6001", "fwmark", "0x77", "peer", self.peer, "persistent-keepalive", "25",
             "allowed-ips", "10.9.0.2/32,10.50.0.0/16,fd09::2/128", "preshared-key", "/dev/stdin", input=psk)
        set_("peer", other, "allowed-ips", "10.60.0.0/16", "endpoint", "[2001:db8::2]:9")
        lines = [line.split("\t") for line in self.show("dump").splitlines()]
        self.assertEqual(lines[0], [self.one.private, self.one.public, "6001", "0x77"])
        peers = {line[0]: line[1:] for line in lines[1:]}
        self.assertEqual(peers[self.peer][:3], [psk, "192.0.2.2:51822", "10.9.0.2/32,10.50.0.0/16,fd09::2/128"])
        self.assertEqual(peers[self.peer][6], "25")
        self.assertEqual(peers[other], ["(none)", "[2001:db8::2]:9", "10.60.0.0/16", "0", "0", "0", "off"])
        set_("peer", other, "remove")
        self.assertEqual(self.show("peers"), self.peer)

    def test_showconf_reads_back_as_the_same_configuration(self):
        text = self.one.wg("showconf", self.one.interface).stdout
        with open("/run/again.conf", "w") as f:
            f.write(text)
        self.one.wg("setconf", self.one.interface, "/run/again.conf")
        self.assertEqual(self.one.wg("showconf", self.one.interface).stdout, text)
        self.assertTrue(self.pings(self.tunnel.left, "10.9.0.2", timeout=6))

    def test_syncconf_leaves_unchanged_peers_alone(self):
        other, gone = tunnel.keypair()[1], tunnel.keypair()[1]
        self.one.add_peer(gone, ["10.70.0.0/16"])
        before = self.one.get()[1][self.peer]
        self.write(f"[Interface]\nPrivateKey = {self.one.private}\nListenPort = 51821\n"
                   f"[Peer]\nPublicKey = {self.peer}\nAllowedIPs = 10.9.0.2/32, fd09::2/128\n"
                   f"Endpoint = 192.0.2.2:51822\n[Peer]\nPublicKey = {other}\nAllowedIPs = 10.61.0.0/16\n")
        self.one.wg("syncconf", self.one.interface, "/run/sync.conf")
        after = self.one.get()[1]
        self.assertEqual(set(after), {self.peer, other})
        for key in ("last_handshake_time_sec", "last_handshake_time_nsec", "endpoint", "allowed_ip"):
            self.assertEqual(after[self.peer][key], before[key])
        self.assertTrue(self.pings(self.tunnel.left, "10.9.0.2"), "the session lives on")

    def test_addconf_adds(self):
        other = tunnel.keypair()[1]
        self.write(f"[Peer]\nPublicKey = {other}\nAllowedIPs = 10.62.0.0/16\n")
        self.one.wg("addconf", self.one.interface, "/run/sync.conf")
        self.assertEqual(set(self.one.get()[1]), {self.peer, other})

    @staticmethod
    def write(text):
        with open("/run/sync.conf", "w") as f:
            f.write(text)


class Uapi(suite.NetTest):
    """What wg never sends, but others may."""

    def setUp(self):
        super().setUp()
        self.one = self.device(self.net.namespace("host"), "uapi0")
        self.one.configure(listen_port=5500)
        self.key = tunnel.hexkey(tunnel.keypair()[1])
        self.one.uapi(f"set=1\npublic_key={self.key}\nallowed_ip=10.1.0.0/16\n\n")
        self.stream = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.stream.close)
        self.stream.settimeout(5)
        self.stream.connect(self.one.socket_path)

    def ask(self, text):
        self.stream.sendall(text.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            chunk = self.stream.recv(65536)
            self.assertTrue(chunk, "the stream was closed")
            answer += chunk
        return answer.decode()

    def test_a_refused_set_changes_nothing_and_leaves_the_stream_usable(self):
        """W38: the rest of the request is not read as the next operation."""
        before = self.ask("get=1\n\n")
        for bad, code in (("listen_port=99999", -22), ("no equals sign", -71), ("nonsense=1", -22),
                          (f"public_key={self.key[:-1]}", -22), ("fwmark=x", -22)):
            answer = self.ask(f"set=1\nlisten_port=5501\npublic_key={self.key}\nremove=true\n{bad}\n"
                              f"public_key={'11' * 32}\nallowed_ip=10.2.0.0/16\n\n")
            self.assertEqual(answer, f"errno={code}\n\n", bad)
            self.assertEqual(self.ask("get=1\n\n"), before, bad)

    def test_several_operations_follow_each_other_on_one_stream(self):
        self.assertEqual(self.ask("set=1\nlisten_port=5502\n\n"), "errno=0\n\n")
        self.assertIn("listen_port=5502", self.ask("get=1\n\n"))
        self.assertEqual(self.ask(f"set=1\npublic_key={'22' * 32}\nupdate_only=true\nallowed_ip=10.3.0.0/16\n\n"),
                         "errno=0\n\n")
        self.assertNotIn("22" * 32, self.ask("get=1\n\n"))


class WgQuick(suite.NetTest):
    """wg-quick up, save, down. The program is found under the one name that wg-quick calls."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.net.namespace("left"), self.net.namespace("right")
        self.net.link(self.left, "out0", self.right, "out0", addresses=(
            ["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"]))
        self.server = self.device(self.right, "quickr")
        self.server.configure(listen_port=5100)
        self.server.up("10.9.0.2/24", "fd09::2/64")
        self.private, self.public = tunnel.keypair()
        self.server.add_peer(self.public, ["10.9.0.1/32", "fd09::1/128"])
        self.words = [w for w in tunnel.CONTENDERS["culvert"]() if w not in ("-f", "--foreground")]
        self.env = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": self.one_word()}

    def one_word(self):
        """wireguard-go, as a link to the program: argv[0] says what it shall be."""
        path = "/run/bin/wireguard-go"
        os.makedirs("/run/bin", exist_ok=True)
        if not os.path.lexists(path):
            target = netns.run("sh", "-c", 'command -v "$1"', "sh", self.words[0]).stdout.strip()
            os.symlink(target, path)
        return path

    def configuration(self, allowed="10.9.0.0/24, fd09::/64", extra=""):
        path = "/run/quickl.conf"
        with open(path, "w") as f:
            f.write(f"[Interface]\nPrivateKey = {self.private}\nAddress = 10.9.0.1/24, fd09::1/64\n{extra}"
                    f"[Peer]\nPublicKey = {self.server.public}\nAllowedIPs = {allowed}\n"
                    "Endpoint = 192.0.2.2:5100\n")
        os.chmod(path, 0o600)
        return path

    def quick(self, verb, path, **options):
        return self.left.run("wg-quick", verb, path, env=self.env, **options)

    def has_link(self):
        return "quickl" in self.left.output("ip", "-o", "link")

    def test_up_connects_and_down_leaves_nothing(self):
        path = self.configuration()
        routes = self.left.output("ip", "route") + self.left.output("ip", "-6", "route")
        self.quick("up", path)
        self.assertTrue(self.pings(self.left, "10.9.0.2", timeout=6))
        self.assertTrue(self.pings(self.left, "fd09::2"))
        self.assertIn("mtu 1420", self.left.output("ip", "link", "show", "quickl"))
        self.quick("down", path)
        self.soon(lambda: not self.has_link(), "the interface is gone")
        self.assertEqual(self.left.output("ip", "route") + self.left.output("ip", "-6", "route"), routes)

    def test_save_writes_what_was_set_meanwhile(self):
        path = self.configuration(extra="# kept by hand\n")
        self.quick("up", path)
        other = tunnel.keypair()[1]
        self.left.run("wg", "set", "quickl", "peer", other, "allowed-ips", "10.63.0.0/16")
        self.quick("save", path)
        text = open(path).read()
        self.assertIn(f"PublicKey = {other}\nAllowedIPs = 10.63.0.0/16", text)
        self.assertIn("Address = 10.9.0.1/24", text)
        self.quick("down", path)
        self.quick("up", path)
        self.assertTrue(self.pings(self.left, "10.9.0.2", timeout=6), "what was saved comes up")
        self.assertEqual(len(self.left.output("wg", "show", "quickl", "peers").split()), 2)
        self.quick("down", path)

    def test_a_default_route_goes_through_the_tunnel_and_its_own_packets_do_not(self):
        path = self.configuration(allowed="0.0.0.0/0, ::/0")
        self.server.add_peer(self.public, ["0.0.0.0/0", "::/0"])
        self.right.ip("address", "add", "198.18.5.5/32", "dev", "lo")
        self.quick("up", path)
        self.assertTrue(self.pings(self.left, "198.18.5.5", timeout=6))
        self.assertEqual(self.left.output("wg", "show", "quickl", "fwmark").strip(), "0xca6c")
        self.quick("down", path)
        self.assertFalse(self.pings(self.left, "198.18.5.5"))

    def test_up_twice_is_refused_and_the_tunnel_stays(self):
        path = self.configuration()
        self.quick("up", path)
        self.assertNotEqual(self.quick("up", path, check=False).returncode, 0)
        self.assertTrue(self.pings(self.left, "10.9.0.2", timeout=6))
        self.quick("down", path)


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""culvert device as a drop-in for amneziawg-go: its socket, its text, its tools where they are.

    [left] culvert ──── [right] culvert

Where `awg` is installed it speaks; everywhere the text that it writes and the rules by which it
reads are spelled out here.
"""

import os
import shutil
import socket
import time
import unittest

import amnezia
import suite
import tunnel

AMNEZIA = tunnel.SOCKETS_AMNEZIA
GENERATIONS, KEY = amnezia.GENERATIONS, "5f3c2b1a" * 8
# What AmneziaVPN gives a server of its own.
DEFAULT_31 = {key: value for key, value in GENERATIONS["3.1"].items() if key not in ("h1", "h2", "h3", "h4")}

# The order in which amneziawg-go answers, and what the parser of `awg` takes for each.
ORDER = ["private_key", "listen_port", "fwmark", "jc", "jmin", "jmax", "s1", "s2", "s3", "s4",
         "h1", "h2", "h3", "h4", "i1", "i2", "i3", "i4", "i5", "header_protection_key",
         "content_padding_addition", "rekey_after_time", "rekey_timeout", "reject_after_time",
         "keepalive_timeout", "max_handshake_attempts", "random_trailers", "disable_cookies"]
SMALL, RANGE = r"\d{1,5}", r"\d+(-\d+)?"
SHAPES = {**{key: SMALL for key in ("jc", "jmin", "jmax", "s1", "s2", "s3", "s4", "listen_port")},
          **{key: RANGE for key in ("h1", "h2", "h3", "h4", "content_padding_addition", "rekey_after_time",
                                    "rekey_timeout", "reject_after_time", "keepalive_timeout",
                                    "max_handshake_attempts")},
          "private_key": "[0-9a-f]{64}", "header_protection_key": "[0-9a-f]{64}", "fwmark": r"\d+",
          "random_trailers": "[01]", "disable_cookies": "[01]"}


def ask(device, request):
    """One operation on the socket of `awg`: the lines of the answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(f"{AMNEZIA}/{device.interface}.sock")
        s.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += s.recv(65536)
    return answer.decode().strip("\n").split("\n")


class Drop(suite.NetTest):
    """One device under the eyes of its tools."""

    def setUp(self):
        super().setUp()
        self.end = self.net.namespace("one")
        self.one = self.device(self.end, "wga0")

    def test_each_tool_has_a_socket_of_its_own_and_both_go_with_the_process(self):
        paths = [f"{directory}/wga0.sock" for directory in ("/var/run/wireguard", AMNEZIA)]
        for path in paths:
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o700)
        self.one.stop()
        self.assertEqual([os.path.exists(path) for path in paths], [False, False])

    def test_the_process_ends_when_either_socket_is_deleted(self):
        os.unlink(f"{AMNEZIA}/wga0.sock")  # as `awg-quick down` does
        self.soon(lambda: self.one.process.poll() is not None, "the end of the process")
        self.assertEqual(self.one.process.returncode, 0)
        self.assertFalse(os.path.exists("/var/run/wireguard/wga0.sock"))

    def test_the_text_of_setconf_is_taken_and_answered_in_the_order_that_awg_reads(self):
        private, peer = tunnel.keypair()[0], tunnel.keypair()[1]
        self.assertEqual(ask(self.one, (
            f"set=1\nprivate_key={tunnel.hexkey(private)}\nfwmark=0\n" + amnezia.lines(DEFAULT_31) +
            f"i1=<b 0xc000><r 30>\nreplace_peers=true\npublic_key={tunnel.hexkey(peer)}\n"
            "replace_allowed_ips=true\nallowed_ip=10.8.1.2/32\n"
            "persistent_keepalive_interval=22-30\n\n")), ["errno=0"])
        lines = ask(self.one, "get=1\n\n")
        self.assertEqual(lines[-1], "errno=0")
        device = [line.partition("=") for line in lines[:lines.index(f"public_key={tunnel.hexkey(peer)}")]]
        known = [(key, value) for key, _, value in device if not key.startswith("culvert_")]
        keys = [key for key, _ in known]
        self.assertEqual(keys, [key for key in ORDER if key in keys])
        for key, value in known:
            self.assertRegex(value, f"^({SHAPES.get(key, '.+')})$", key)
        self.assertEqual({k: v for k, v in known if k in DEFAULT_31},
                         {k: str(v) for k, v in DEFAULT_31.items()})
        self.assertEqual(dict(known)["i1"], "<b 0xc000><r 30>")
        self.assertIn("persistent_keepalive_interval=22-30", lines)

    def test_what_is_not_named_stays_and_zero_or_nothing_clears(self):
        self.one.configure(**GENERATIONS["2.0"])
        self.one.configure(jc=0, i1="", s4=0)
        device = self.one.get()[0]
        self.assertNotIn("jc", device)
        self.assertNotIn("i1", device)
        self.assertNotIn("s4", device)
        self.assertEqual((device["s1"], device["h4"]), ("87", "1073741824-1207959552"))

    def test_one_bad_parameter_and_nothing_of_the_request_is_done(self):
        before = self.one.get()
        for bad in ("h1=1-10", "jmin=9\njmax=8", f"header_protection_key={KEY}\ns1=12", "jc=4-8", "i1=<x>"):
            with self.assertRaises(tunnel.UapiError, msg=bad) as refused:
                self.one.uapi(f"set=1\nlisten_port=4321\n{bad}\n\n")
            self.assertEqual(refused.exception.errno, -22)
            self.assertEqual(self.one.get(), before)

    def test_wg_reads_its_own_socket_whatever_awg_has_set(self):
        peer = tunnel.keypair()[1]
        self.one.configure(**DEFAULT_31, i1="<b 0xc000><r 30>")
        self.one.uapi(f"set=1\nculvert_profile=old s1=3 h1=77\npublic_key={tunnel.hexkey(peer)}\n"
                      "persistent_keepalive_interval=22-30\n\n")
        self.assertEqual(self.one.wg("show", "wga0", "persistent-keepalive").stdout.strip(), f"{peer}\t22")
        self.assertEqual(self.one.wg("show", "wga0", "dump").stdout.count("\n"), 2)
        self.assertIn("PersistentKeepalive = 22", self.one.wg("showconf", "wga0").stdout)

    def test_under_the_name_amneziawg_go_it_is_the_device(self):
        name = f"/run/amneziawg-go-{os.getpid()}"
        os.makedirs(name)
        self.addCleanup(shutil.rmtree, name)
        os.symlink(os.environ.get("CULVERT") or os.path.join(tunnel.ROOT, "build", "culvert"),
                   f"{name}/amneziawg-go")
        process = self.end.start(f"{name}/amneziawg-go", "-f", "wga1", stdout=self.log, stderr=self.log)
        self.addCleanup(process.kill)
        self.soon(lambda: os.path.exists(f"{AMNEZIA}/wga1.sock"), "the socket")
        self.assertEqual(self.end.output("wg", "show", "wga1", "fwmark").strip(), "off")

    @unittest.skipUnless(shutil.which("awg"), "awg is not installed: the text it speaks is tested above")
    def test_awg_sets_shows_and_syncs(self):
        conf = f"/run/{os.getpid()}.awg.conf"
        self.addCleanup(lambda: os.path.exists(conf) and os.unlink(conf))
        with open(conf, "w") as f:
            f.write(f"[Interface]\nPrivateKey = {tunnel.keypair()[0]}\nListenPort = 5555\nJc = 4\nJmin = 8\n"
                    "Jmax = 80\nS1 = 20\nS2 = 30\nH1 = 1111\nH2 = 2222\nH3 = 3333\nH4 = 4444\n\n"
                    f"[Peer]\nPublicKey = {tunnel.keypair()[1]}\nAllowedIPs = 10.1.1.1/32\n")
        for verb in ("setconf", "syncconf"):
            self.end.run("awg", verb, "wga0", conf)
        dump = self.end.output("awg", "show", "wga0", "dump").splitlines()
        self.assertEqual(dump[0].split("\t")[2:8], ["5555", "4", "8", "80", "20", "30"])
        self.assertEqual(len(dump), 2)


class Framed(suite.NetTest):
    """Two of ours under one framing."""

    def framed(self, framing, **options):
        pair = self.pair(framing=framing, **options)
        self.connected(pair)
        return pair

    def begin_anew(self, pair):
        """The client has forgotten everything. A peer is answered at most 50 times a second."""
        pair.devices[0].remove_peer(pair.devices[1].public)
        time.sleep(0.05)
        pair.join(0)

    def traffic(self, generation, outer):
        pair = self.framed(GENERATIONS[generation], outer=outer)
        self.moved(pair.left, pair.right, pair.INNER[0][1], 8 << 20)
        self.moved(pair.right, pair.left, pair.INNER[1][0], 8 << 20)

    def test_nothing_on_the_wire_carries_a_tos_of_its_own(self):
        pair = self.framed(DEFAULT_31)
        pair.left.rules("ip", "filter hook output", "udp dport 51822 ip dscp != 0 counter")
        self.begin_anew(pair)
        self.connected(pair)
        self.assertEqual(pair.left.hits("ip"), 0)

    def test_a_full_packet_fits_the_path_with_the_mtu_that_is_advised(self):
        pair = self.framed(DEFAULT_31, outer=6)
        advice = int(pair.devices[0].get()[0]["culvert_mtu_advice"])
        self.assertEqual(advice, 1408)
        for end, name in ((pair.left, "wgl0"), (pair.right, "wgr0")):
            end.ip("link", "set", name, "mtu", advice)
        pair.left.rules("ip6", "filter hook output", "exthdr frag exists counter", "frag id 0-4294967295 counter")
        self.moved(pair.left, pair.right, pair.INNER[0][1], 8 << 20)
        self.assertTrue(self.pings(pair.left, pair.INNER[0][1], words=("-s", advice - 28, "-M", "do")))
        self.assertEqual(pair.left.hits("ip6"), 0, "nothing was cut")

    def test_in_a_rotation_old_and_new_clients_are_served(self):
        pair = self.framed(DEFAULT_31)
        server, client = pair.devices[1], pair.devices[0]
        new = amnezia.lines(amnezia.whole(GENERATIONS["2.0"]))
        server.uapi(f"set=1\n{new}{amnezia.profile('old', DEFAULT_31)}\n\n")
        self.assertTrue(self.pings(pair.left, pair.INNER[0][1], count=20), "the session goes on")
        self.begin_anew(pair)
        self.assertTrue(self.pings(pair.left, pair.INNER[0][1], timeout=5), "the old parameters connect")
        self.assertEqual(server.get()[1][client.public]["culvert_profile_heard"], "old")
        client.uapi(f"set=1\n{new}\n")
        self.begin_anew(pair)
        self.assertTrue(self.pings(pair.left, pair.INNER[0][1], timeout=5), "and the new ones")
        self.assertNotIn("culvert_profile_heard", server.get()[1][client.public])
        server.uapi("set=1\nculvert_profile=old remove\n\n")
        self.assertTrue(self.pings(pair.left, pair.INNER[0][1], count=5))


for name in ("1.0", "2.0", "3.1"):
    for family in (4, 6):
        setattr(Framed, f"test_traffic_passes_under_{name}_over_ipv{family}",
                lambda self, n=name, f=family: self.traffic(n, f))
suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers get silence, friends are not disturbed, nobody speaks for somebody else.

    [left] ──── [right] ──── [stranger]
"""

import os
import random
import socket
import struct
import subprocess
import time

import suite
import tunnel

UDP_SEGMENT = 103


class Strangers(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.stranger = self.net.namespace("stranger")
        self.net.link(self.tunnel.right, "str0", self.stranger, "out0",
                      addresses=(["203.0.113.1/24", "2001:db8:1::1/64"], ["203.0.113.2/24", "2001:db8:1::2/64"]))
        # An answer of any kind counts, but not the neighbour discovery of the link itself.
        self.seen = suite.Capture(self.stranger, "out0", lambda p: p[:1] and (p[0] >> 4 == 4 or p[6] == 17))
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"# seed {seed}", flush=True)
        self.random = random.Random(seed)

    def open(self, family=socket.AF_INET):
        with self.stranger:
            s = socket.socket(family, socket.SOCK_DGRAM)
        s.connect(("203.0.113.1" if family == socket.AF_INET else "2001:db8:1::1", self.tunnel.PORT[1]))
        self.addCleanup(s.close)
        return s

    def garbage(self):
        """A datagram that is nearly right, in one of many ways."""
        kind = self.random.choice((0, 1, 2, 3, 4, 4, 5, 255, 0x01000001))
        size = self.random.choice((0, 1, 3, 4, 15, 16, 31, 32, 63, 64, 65, 91, 92, 147, 148, 149,
                                   self.random.randrange(1500), self.random.randrange(1500)))
        return (struct.pack("<I", kind) + self.random.randbytes(size))[:size]

    def answers(self):
        return [p for out, p in self.seen.packets() if not out]

    def undisturbed(self):
        self.assertTrue(all(d.process.poll() is None for d in self.tunnel.devices), "both processes live")
        self.assertTrue(self.pings(self.tunnel.left, "10.9.0.2"))
        peers = self.tunnel.devices[1].get()[1]
        self.assertEqual(peers[self.tunnel.devices[0].public]["endpoint"], "192.0.2.1:51821")

    def test_not_one_octet_is_answered_to_garbage(self):
        """P11."""
        sockets = self.open(), self.open(socket.AF_INET6)
        for number in range(suite.scaled(20000, 1000000)):
            sockets[number % 2].send(self.garbage())
            if number % 200 == 0:
                self.assertEqual(self.answers(), [])
        self.assertEqual(self.answers(), [])
        self.undisturbed()

    def test_datagrams_of_every_length_are_swallowed_while_traffic_flows(self):
        """W44."""
        self.tunnel.right.start("iperf3", "-s", "-p", 5201, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        load = self.tunnel.left.start("iperf3", "-c", "10.9.0.2", "-p", 5201, "-t", 4, stdout=subprocess.DEVNULL)
        s = self.open()
        for size in [0, 0, 0, 65507, 65506, 65000, 9001, 1501, *range(0, 65508, 2048 if not suite.SOAK else 16)]:
            for kind in (1, 4):
                s.send((struct.pack("<I", kind) + bytes(size))[:size])
        self.coalesced(s)
        self.assertEqual(load.wait(20), 0)
        self.assertEqual(self.answers(), [])
        self.undisturbed()

    def coalesced(self, s):
        """Trains that arrive as one buffer where the receiver asked for GRO."""
        for size, count in ((1, 60), (32, 60), (148, 40), (1452, 40), (1000, 64)):
            train = b"".join((struct.pack("<I", 4) + self.random.randbytes(size))[:size] for _ in range(count))
            train = train[:len(train) - self.random.randrange(size)][:65000]
            s.sendmsg([train], [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", size))])

    def test_recorded_packets_said_again_are_not_answered(self):
        left, right = self.tunnel.devices
        recorder = suite.Capture(self.tunnel.right, "out0", lambda p: suite.udp_of(p) is not None)
        for device in (left, right):
            device.namespace.ip("link", "set", device.interface, "down")
            device.namespace.ip("link", "set", device.interface, "up")
        self.connected(self.tunnel)
        payloads = [udp[5] for out, p in recorder.packets() if not out and (udp := suite.udp_of(p))]
        self.assertTrue(payloads, "nothing was recorded: no test")
        s = self.open()
        for payload in payloads * 3:
            s.send(payload)
        self.assertEqual(self.answers(), [])
        self.undisturbed()

    def test_a_key_nobody_knows_gets_no_handshake(self):
        device = self.device(self.stranger, "str1")
        device.configure()
        device.add_peer(self.tunnel.devices[1].public, ["10.9.0.0/24"], "203.0.113.1:51822")
        device.up("10.9.0.9/24")
        self.assertFalse(self.pings(self.stranger, "10.9.0.2", timeout=2))
        self.assertEqual(self.answers(), [])


class SourceFilter(suite.NetTest):
    """W35: the longest prefix over all peers decides who may use a source."""

    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.left, self.right = self.tunnel.ends
        left, right = self.tunnel.devices
        other = tunnel.keypair()[1]
        right.add_peer(left.public, ["10.9.0.0/24", "fd09::/64"])
        right.add_peer(other, ["10.9.0.64/26", "fd09::1:0/112"])
        left.add_peer(right.public, ["10.9.0.0/24", "fd09::/64"])

    def arrives(self, source, target):
        self.left.address(self.tunnel.devices[0].interface, f"{source}/{128 if ':' in source else 32}")
        capture = suite.Capture(self.right, self.tunnel.devices[1].interface)
        self.left.run("ping", "-n", "-c1", "-W0.3", "-I", source, target, check=False)
        found = any(not out for out, _ in capture.packets())
        capture.close()
        return found

    def test_a_peer_may_use_what_its_own_prefix_covers(self):
        self.assertTrue(self.arrives("10.9.0.33", "10.9.0.2"))
        self.assertTrue(self.arrives("fd09::33", "fd09::2"))

    def test_a_peer_may_not_use_a_longer_prefix_of_another_peer(self):
        self.assertFalse(self.arrives("10.9.0.66", "10.9.0.2"))
        self.assertFalse(self.arrives("fd09::1:66", "fd09::2"))

    def test_a_peer_may_not_use_an_address_of_nobody(self):
        self.assertFalse(self.arrives("172.16.5.5", "10.9.0.2"))
        self.assertFalse(self.arrives("2001:db8:5::5", "fd09::2"))


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What peers may reach through a gateway, with real traffic.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] eth1 198.51.100.1/24 ──── [world] 198.51.100.2/24
    [second] s0 203.0.113.2/24 ─── 203.0.113.1/24 eth2 [edge]

Both clients are peers of the gateway on [edge].
"""

import os
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
from test_gateway import WholeTest


def bound(namespace, family, address, port):
    with namespace:
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((address, port))
    s.settimeout(2)
    return s


def own_address(text):
    """The IPv4 address in a configuration."""
    line = next(line for line in text.splitlines() if line.startswith("Address"))
    return line.split("=")[1].split(",")[0].split("/")[0].strip()


class AccessTest(WholeTest):
    def connect_second(self, text):
        """As connect(), for another namespace; the tunnel goes out of its own wire."""
        self.second = self.net.namespace("second")
        self.net.link(self.edge, "eth2", self.second, "s0", addresses=(("203.0.113.1/24",), ("203.0.113.2/24",)))
        first, self.client = self.client, self.second
        try:
            return self.connect(text.replace("192.0.2.1:", "203.0.113.1:"), "wgc2")
        finally:
            self.client = first

    def two(self, *options):
        gateway = self.start(*options)
        self.connect(self.peer("add", "first").stdout)
        text = self.peer("add", "second").stdout
        self.connect_second(text)
        self.reaches("10.0.1.1", "198.51.100.2")
        self.soon(lambda: self.pings(self.second, "198.51.100.2"), "a ping from the second", 15)
        return gateway, own_address(text)


class Access(AccessTest):
    def test_peers_reach_each_other_unless_they_are_isolated(self):
        gateway, second = self.two()
        self.reaches(second)
        self.assertEqual(gateway.end(), 0, gateway.errors())

    def test_isolated_peers_reach_the_world_and_the_gateway_but_not_each_other(self):
        gateway, second = self.two("--peer-isolation", "on")
        for _ in range(3):
            self.assertFalse(self.pings(self.client, second))
        self.reaches("10.0.1.1", "198.51.100.2")
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.edge.ip("link", "delete", "eth2")
        self.assertAsFound()

    def test_no_peer_takes_the_port_of_the_tunnel_for_its_own_flow(self):
        gateway = self.start()
        text = self.peer("add", "first").stdout
        self.connect(text)
        self.reaches("198.51.100.2")
        world = bound(self.world, socket.AF_INET, "198.51.100.2", 7777)
        peer = bound(self.client, socket.AF_INET, own_address(text), 51820)
        with world, peer:
            peer.sendto(b"shadow", ("198.51.100.2", 7777))
            _, (address, port) = world.recvfrom(100)
            self.assertEqual(address, "198.51.100.1")
            self.assertTrue(1024 <= port < 51820, port)
            world.sendto(b"to the tunnel", ("198.51.100.1", 51820))
            with self.assertRaises(TimeoutError):
                peer.recvfrom(100)
            world.sendto(b"an answer", ("198.51.100.1", port))
            self.assertEqual(peer.recvfrom(100)[0], b"an answer")
        self.assertEqual(gateway.end(), 0, gateway.errors())


if __name__ == "__main__":
    suite.main()

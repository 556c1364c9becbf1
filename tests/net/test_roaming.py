#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the other end is, when it moves: roaming, NAT, several addresses.

    [left] out0 192.0.2.1 ──── 192.0.2.2 out0 [right]
    [left] ──── [nat] ──── [right]            masquerade in the middle
"""

import socket
import subprocess
import time

import suite
import tunnel


class Roaming(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.left, self.right = self.tunnel.ends

    def seen_by_right(self):
        """Endpoint of the left end as the right one has it."""
        return self.tunnel.devices[1].get()[1][self.tunnel.devices[0].public].get("endpoint")

    def test_follows_a_changed_address(self):
        self.left.ip("address", "del", "192.0.2.1/24", "dev", "out0")
        self.left.address("out0", "192.0.2.11/24")
        self.soon(lambda: self.pings(self.left, "10.9.0.2"), "ping from the new address")
        self.assertEqual(self.seen_by_right(), "192.0.2.11:51821")
        self.assertTrue(self.pings(self.right, "10.9.0.1"), "and back to it")

    def test_follows_a_changed_port_alone(self):
        self.tunnel.devices[0].configure(listen_port=40001)
        self.assertTrue(self.pings(self.left, "10.9.0.2"), "the first packet already")
        self.assertEqual(self.seen_by_right(), "192.0.2.1:40001")

    def test_follows_from_ipv4_to_ipv6_and_back(self):
        for outer in (6, 4, 6):
            device = self.tunnel.devices[0]
            device.add_peer(self.tunnel.devices[1].public, ["10.9.0.2/32"], self.tunnel.endpoint(1, outer))
            self.soon(lambda: self.pings(self.left, "10.9.0.2"), f"ping over IPv{outer}")
            self.assertEqual(self.seen_by_right(), self.tunnel.endpoint(0, outer))

    def test_a_transfer_goes_on_while_both_ends_move(self):
        mover = self.left.start("sh", "-c", "for p in 1 2 3 4 5; do sleep 0.3; "
                                f"wg set {self.tunnel.devices[0].interface} listen-port 4100$p; done")
        while mover.poll() is None:
            self.moved(self.left, self.right, "10.9.0.2", suite.scaled(64, 512) << 20)
        self.assertEqual(mover.returncode, 0)
        self.assertTrue(self.pings(self.left, "10.9.0.2"), "after the last move")
        self.assertEqual(self.seen_by_right(), "192.0.2.1:41005")

    def test_replayed_and_forged_packets_do_not_move_the_endpoint(self):
        capture = suite.Capture(self.right, "out0", lambda p: suite.udp_of(p) is not None)
        self.assertTrue(self.pings(self.left, "10.9.0.2", count=5))
        payloads = [udp[5] for out, p in capture.packets() if not out and (udp := suite.udp_of(p))]
        self.assertGreaterEqual(len(payloads), 5)
        with self.left:
            thief = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with thief:
            thief.bind(("192.0.2.1", 6666))
            for payload in payloads:
                thief.sendto(payload, ("192.0.2.2", 51822))
                thief.sendto(payload[:-1] + bytes([payload[-1] ^ 1]), ("192.0.2.2", 51822))
            time.sleep(0.2)
            self.assertEqual(self.seen_by_right(), "192.0.2.1:51821")
            thief.settimeout(0.2)
            self.assertRaises(TimeoutError, thief.recv, 1)


class BothFamilies(suite.NetTest):
    def test_endpoints_of_both_families_are_told_apart_in_mixed_batches(self):
        """W15: two peers, one over IPv4, one over IPv6, send to one socket pair at once."""
        server, four, six = (self.net.namespace(n) for n in ("server", "four", "six"))
        self.net.link(four, "out0", server, "f0", addresses=("192.0.2.1/24", "192.0.2.9/24"))
        self.net.link(six, "out0", server, "s0", addresses=("2001:db8::1/64", "2001:db8::9/64"))
        hub = self.device(server, "mix0")
        hub.configure(listen_port=5400)
        ends = []
        for number, (namespace, endpoint) in enumerate(((four, "192.0.2.9:5400"), (six, "[2001:db8::9]:5400"))):
            device = self.device(namespace, f"mix{number + 1}")
            device.configure(listen_port=5401 + number)
            device.add_peer(hub.public, ["10.9.0.0/24"], endpoint)
            device.up(f"10.9.0.{number + 1}/24")
            hub.add_peer(device.public, [f"10.9.0.{number + 1}/32"])
            ends.append(device)
        hub.up("10.9.0.9/24")
        for device in ends:
            self.soon(lambda d=device: self.pings(d.namespace, "10.9.0.9"), "connected", 10)
        runs = [d.namespace.start("ping", "-n", "-q", "-f", "-c", "2000", "10.9.0.9", stdout=subprocess.DEVNULL)
                for d in ends]
        self.assertEqual([run.wait(60) for run in runs], [0, 0])
        peers = hub.get()[1]
        self.assertEqual([peers[d.public]["endpoint"] for d in ends], ["192.0.2.1:5401", "[2001:db8::1]:5402"])


class BehindNat(suite.NetTest):
    def setUp(self):
        super().setUp()
        net = self.net
        self.left, self.nat, self.right = (net.namespace(n) for n in ("left", "nat", "right"))
        net.link(self.left, "out0", self.nat, "in0", addresses=("10.1.0.2/24", "10.1.0.1/24"))
        net.link(self.nat, "out0", self.right, "out0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        self.nat.sysctl("net.ipv4.ip_forward", 1)
        self.nat.rules("ip", "nat hook postrouting", 'oifname "out0" udp dport 5002 masquerade random')
        self.left.ip("route", "add", "default", "via", "10.1.0.1")
        self.client, self.server = self.device(self.left, "nat0"), self.device(self.right, "nat1")
        self.client.configure()
        self.server.configure(listen_port=5002)
        self.client.add_peer(self.server.public, ["10.9.0.2/32"], "192.0.2.2:5002")
        self.server.add_peer(self.client.public, ["10.9.0.1/32"])
        self.client.up("10.9.0.1/24")
        self.server.up("10.9.0.2/24")

    def mapped(self):
        return self.server.get()[1][self.client.public].get("endpoint")

    def rebind(self):
        """Give the client another port outside. Masquerading forgets when its address goes."""
        before = self.mapped()
        self.nat.ip("address", "del", "192.0.2.1/24", "dev", "out0")
        self.nat.address("out0", "192.0.2.1/24")
        self.soon(lambda: self.pings(self.left, "10.9.0.2"), "ping through the new mapping")
        self.assertNotEqual(self.mapped(), before, "the mapping did not change: no test")

    def test_survives_rebinding_of_the_mapping(self):
        self.assertTrue(self.pings(self.left, "10.9.0.2", timeout=5))
        self.assertTrue(self.mapped().startswith("192.0.2.1:"))
        for _ in range(suite.scaled(3, 30)):
            self.rebind()
            self.assertTrue(self.pings(self.right, "10.9.0.1"), "the server answers to the new port")

    def test_a_persistent_keepalive_opens_the_mapping_for_the_server(self):
        self.client.add_peer(self.server.public, ["10.9.0.2/32"], keepalive=1)
        self.soon(self.mapped, "the server knows the client", 10)
        self.assertTrue(self.pings(self.right, "10.9.0.1", timeout=3))


class SeveralAddresses(suite.NetTest):
    """W34: answers come from the address that was asked, until it is gone."""

    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.left, self.right = self.tunnel.ends
        self.right.address("out0", "192.0.2.22/24", "2001:db8::22/64")

    def ask(self, endpoint):
        self.tunnel.devices[0].add_peer(self.tunnel.devices[1].public, ["10.9.0.2/32"], endpoint)
        capture = suite.Capture(self.left, "out0", lambda p: suite.udp_of(p) is not None)
        self.assertTrue(self.pings(self.left, "10.9.0.2", count=3, timeout=6))
        found = {suite.udp_of(p)[0] for out, p in capture.packets() if not out}
        capture.close()
        return found

    def test_answers_come_from_the_address_that_was_asked(self):
        self.assertEqual(self.ask("192.0.2.22:51822"), {"192.0.2.22"})
        self.assertEqual(self.ask("[2001:db8::22]:51822"), {"2001:db8::22"})
        self.assertEqual(self.ask("192.0.2.2:51822"), {"192.0.2.2"})

    def test_a_source_that_is_gone_is_forgotten(self):
        self.assertEqual(self.ask("192.0.2.22:51822"), {"192.0.2.22"})
        self.right.ip("address", "del", "192.0.2.22/24", "dev", "out0")
        self.soon(lambda: self.pings(self.right, "10.9.0.1"), "another source is taken", 8)
        self.assertTrue(self.pings(self.left, "10.9.0.2"), "and the other end has followed")

    def test_the_default_route_may_move_to_another_interface(self):
        far = self.net.namespace("far")
        self.net.link(self.right, "wifi0", self.left, "wifi0", addresses=("203.0.113.2/24", "203.0.113.1/24"))
        self.left.ip("address", "add", "198.18.0.1/32", "dev", "lo")
        self.right.ip("route", "add", "198.18.0.1/32", "via", "192.0.2.1")
        self.left.sysctl("net.ipv4.conf.all.rp_filter", 0)
        device = self.tunnel.devices[1]
        device.add_peer(self.tunnel.devices[0].public, ["10.9.0.1/32"], "198.18.0.1:51821")
        self.assertTrue(self.pings(self.right, "10.9.0.1", timeout=6))
        self.right.ip("route", "replace", "198.18.0.1/32", "via", "203.0.113.1")
        self.right.ip("link", "set", "out0", "down")
        self.soon(lambda: self.pings(self.right, "10.9.0.1"), "traffic over the other interface", 8)
        far.close()


suite.main()

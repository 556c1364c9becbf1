#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packets get through: address families, sizes, loss.

    [left] out0 ──── [right] out0        (test_passes_..., test_carries_..., test_survives_...)
    [left] out0 ──── [middle] ──── [right] out0        where the middle link is narrower
"""

import socket
import threading
import time

import suite
import tunnel

MEGABYTE = 1 << 20


class Families(suite.NetTest):
    def both_families(self, outer):
        pair = self.pair(outer=outer)
        self.connected(pair)
        size = suite.scaled(8, 256) * MEGABYTE
        for family in (0, 1):
            self.assertTrue(self.pings(pair.left, pair.INNER[family][1]))
            self.assertTrue(self.pings(pair.right, pair.INNER[family][0]))
            self.moved(pair.left, pair.right, pair.INNER[family][1], size)
            self.moved(pair.right, pair.left, pair.INNER[family][0], size)

    def test_passes_ipv4_and_ipv6_over_ipv4(self):
        self.both_families(4)

    def test_passes_ipv4_and_ipv6_over_ipv6(self):
        self.both_families(6)

    def test_either_end_may_speak_first(self):
        pair = self.pair()
        self.soon(lambda: self.pings(pair.right, pair.INNER[1][0]), "the right end connects")

    def test_a_preshared_key_on_both_ends_lets_traffic_pass(self):
        self.connected(self.pair(preshared=tunnel.keypair()[0]))


class Refused(suite.NetTest):
    """One hub, a peer it may no longer send to, and one it may:  [gone] ── [hub] ── [there]"""

    def spoke(self, hub, number, name):
        namespace = self.net.namespace(name)
        self.net.link(hub.namespace, f"{name}0", namespace, "out0",
                      addresses=(f"192.0.{number}.1/24", f"192.0.{number}.2/24"))
        device = self.device(namespace, f"ref{number}")
        device.configure(listen_port=5501)
        device.add_peer(hub.public, ["10.9.0.0/24"], f"192.0.{number}.1:5500")
        device.up(f"10.9.0.{number}/24")
        hub.add_peer(device.public, [f"10.9.0.{number}/32"], f"192.0.{number}.2:5501")
        return device

    def test_a_datagram_that_is_refused_takes_none_of_its_batch_along(self):
        """W16: of packets read together some leave for nowhere; every other one arrives."""
        hub = self.device(self.net.namespace("hub"), "ref9")
        hub.configure(listen_port=5500)
        gone, there = (self.spoke(hub, number, name) for number, name in ((2, "gone"), (3, "there")))
        hub.up("10.9.0.9/24")
        for number in (2, 3):
            self.soon(lambda n=number: self.pings(hub.namespace, f"10.9.0.{n}"), "connected", 10)
        hub.namespace.ip("route", "add", "prohibit", "192.0.2.2/32")
        with there.namespace:
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("10.9.0.3", 7000))
        receiver.settimeout(1)
        with hub.namespace:
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        before, rounds, seen = hub.get()[0], suite.scaled(500, 20000), set()
        with receiver, sender:
            for number in range(rounds):
                for target in ("10.9.0.2", "10.9.0.3", "10.9.0.2"):
                    sender.sendto(number.to_bytes(4, "big"), (target, 7000))
                if number % 20 == 0:
                    time.sleep(0.001)
            while len(seen) < rounds:
                seen.add(receiver.recv(16))
        refused = int(hub.get()[0]["culvert_send_failed"]) - int(before["culvert_send_failed"])
        self.assertGreater(refused, 0, "nothing was refused: no test")
        self.assertIsNotNone(gone.get())


class Sizes(suite.NetTest):
    def test_carries_every_packet_size_up_to_the_mtu_from_1280_to_8920(self):
        pair = self.pair(link_mtu=9000, mtu=1280)
        self.connected(pair)
        for mtu in (1280, 1281, 1420, 1500, 2999, 8920):
            for device in pair.devices:
                device.namespace.ip("link", "set", device.interface, "mtu", mtu)
            for size in (0, 1, mtu - 48 - 1, mtu - 48):
                self.assertTrue(self.pings(pair.left, pair.INNER[1][1], words=("-s", size)),
                                f"IPv6 payload {size}, MTU {mtu}")
            self.assertTrue(self.pings(pair.left, pair.INNER[0][1], words=("-M", "do", "-s", mtu - 28)))
            self.moved(pair.left, pair.right, pair.INNER[0][1], 2 * MEGABYTE)

    def test_fragments_what_is_larger_than_the_link(self):
        pair = self.pair(link_mtu=1280, mtu=1420)
        self.connected(pair)
        self.moved(pair.left, pair.right, pair.INNER[0][1], 2 * MEGABYTE)

    def test_fragments_over_ipv6_too(self):
        pair = self.pair(outer=6, link_mtu=1280, mtu=1420)
        self.connected(pair)
        self.moved(pair.left, pair.right, pair.INNER[0][1], 2 * MEGABYTE)

    def test_bulk_passes_a_narrower_path_that_says_nothing(self):
        """W42: DF set on the outer packet would make a black hole of it."""
        for narrow in (1280, 1400, 1500):
            with self.subTest(path=narrow):
                self.bulk_through(narrow)

    def bulk_through(self, narrow):
        net = self.net
        left, middle, right = (net.namespace(n) for n in ("left", "middle", "right"))
        net.link(left, "out0", middle, "a0", addresses=("192.0.2.1/24", "192.0.2.254/24"))
        net.link(middle, "b0", right, "out0", mtu=narrow,
                 addresses=("198.51.100.254/24", "198.51.100.1/24"))
        # The far end does not know how narrow it is: only the middle does.
        right.ip("link", "set", "out0", "mtu", 1500)
        middle.sysctl("net.ipv4.ip_forward", 1)
        middle.rules("ip", "filter hook output", "icmp type destination-unreachable drop")
        left.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.254")
        right.ip("route", "add", "192.0.2.0/24", "via", "198.51.100.254")
        ends = [self.device(left, f"na{narrow}"), self.device(right, f"nb{narrow}")]
        for here, there, address, peer, endpoint in (
                (0, 1, "10.9.0.1/24", "10.9.0.2/32", "198.51.100.1:5001"),
                (1, 0, "10.9.0.2/24", "10.9.0.1/32", "192.0.2.1:5000")):
            ends[here].configure(listen_port=5000 + here)
            ends[here].add_peer(ends[there].public, [peer], endpoint)
            ends[here].up(address)
        self.soon(lambda: self.pings(left, "10.9.0.2"), "ping over the narrow path", 10)
        self.moved(left, right, "10.9.0.2", 4 * MEGABYTE, timeout=15)


class Offloads(suite.NetTest):
    """W43: what a driver can do may change under a running transfer."""

    SWITCHES = (("out0", "tx-udp-segmentation", "gso", "gro"), ("out0", "tx"), ("out0", "sg"), ("tun", "tso", "gso"),
                ("out0", "rx-gro-list", "rx-udp-gro-forwarding"))

    def test_a_transfer_goes_on_while_offloads_come_and_go(self):
        pair = self.pair()
        self.connected(pair)
        for switch in self.SWITCHES:
            self.moved_while(pair, switch)

    def moved_while(self, pair, switch):
        def turn(how):
            for device in pair.devices:
                where = device.interface if switch[0] == "tun" else switch[0]
                for feature in switch[1:]:
                    device.namespace.run("ethtool", "-K", where, feature, how, check=False)

        turner = threading.Timer(0.05, lambda: (turn("off"), time.sleep(0.1), turn("on"), time.sleep(0.1), turn("off")))
        turner.start()
        size = suite.scaled(48, 512) * MEGABYTE
        self.moved(pair.left, pair.right, pair.INNER[0][1], size)
        self.moved(pair.right, pair.left, pair.INNER[1][0], size)
        turner.join()
        turn("on")

    def test_a_transfer_goes_on_while_the_link_becomes_narrow_and_wide_again(self):
        pair = self.pair()
        self.connected(pair)
        for mtu in (1280, 1500, 1300, 1500):
            for end in pair.ends:
                end.ip("link", "set", "out0", "mtu", mtu)
            self.moved(pair.left, pair.right, pair.INNER[0][1], 8 * MEGABYTE)


def lose(namespace, percent):
    # Each datagram is lost by itself, not with the whole train it was sent in.
    namespace.run("ethtool", "-K", "out0", "tx-udp-segmentation", "off", "gso", "off", "gro", "off")
    namespace.rules("inet", "filter hook input", f'iifname "out0" numgen random mod 100 < {percent} counter drop')


class Loss(suite.NetTest):
    def test_a_transfer_survives_random_loss_in_both_directions(self):
        pair = self.pair()
        self.connected(pair)
        for end in pair.ends:
            lose(end, 2)
        self.moved(pair.left, pair.right, pair.INNER[0][1], suite.scaled(4, 64) * MEGABYTE, timeout=120)
        self.moved(pair.right, pair.left, pair.INNER[1][0], suite.scaled(4, 64) * MEGABYTE, timeout=120)
        self.assertGreater(min(end.hits("inet") for end in pair.ends), 10, "nothing was lost: no test")

    def test_a_handshake_gets_through_although_most_packets_are_lost(self):
        pair = self.pair()
        for end in pair.ends:
            lose(end, 30)
        self.connected(pair, timeout=60)


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a tunnel owes to IP beyond forwarding: ECN, DSCP, ICMP, marks.

    [left] out0 ──── a0 [middle] b0 ──── out0 [right]       a router that may rewrite ECN on the way
"""

import socket
import struct
import time

import suite
import tunnel

IP_RECVERR, IPV6_RECVERR = 11, 25

NOT_ECT, ECT1, ECT0, CE = range(4)
NAMES = {NOT_ECT: "not-ect", ECT1: "ect1", ECT0: "ect0", CE: "ce"}

# RFC 6040, section 4.2: what comes out for (inner, outer); None: dropped.
DECAPSULATED = {
    **{(NOT_ECT, outer): NOT_ECT for outer in (NOT_ECT, ECT0, ECT1)}, (NOT_ECT, CE): None,
    (ECT0, NOT_ECT): ECT0, (ECT0, ECT0): ECT0, (ECT0, ECT1): ECT1, (ECT0, CE): CE,
    (ECT1, NOT_ECT): ECT1, (ECT1, ECT0): ECT1, (ECT1, ECT1): ECT1, (ECT1, CE): CE,
    **{(CE, outer): CE for outer in range(4)},
}


class Routed(suite.NetTest):
    """A tunnel across a router."""

    def routed(self, outer):
        net = self.net
        self.left, self.middle, self.right = (net.namespace(n) for n in ("left", "middle", "right"))
        net.link(self.left, "out0", self.middle, "a0", addresses=(
            ["192.0.2.1/24", "2001:db8:a::1/64"], ["192.0.2.254/24", "2001:db8:a::fe/64"]))
        net.link(self.middle, "b0", self.right, "out0", addresses=(
            ["198.51.100.254/24", "2001:db8:b::fe/64"], ["198.51.100.1/24", "2001:db8:b::1/64"]))
        self.middle.sysctl("net.ipv4.ip_forward", 1)
        self.middle.sysctl("net.ipv6.conf.all.forwarding", 1)
        for end, v4, v6 in ((self.left, "192.0.2.254", "2001:db8:a::fe"),
                            (self.right, "198.51.100.254", "2001:db8:b::fe")):
            end.ip("route", "add", "default", "via", v4)
            end.ip("-6", "route", "add", "default", "via", v6)
        self.a, self.b = self.device(self.left, "ra0"), self.device(self.right, "rb0")
        where = {4: ("192.0.2.1:5000", "198.51.100.1:5001"),
                 6: ("[2001:db8:a::1]:5000", "[2001:db8:b::1]:5001")}[outer]
        self.a.configure(listen_port=5000)
        self.b.configure(listen_port=5001)
        self.a.add_peer(self.b.public, ["10.9.0.2/32", "fd09::2/128"], where[1])
        self.b.add_peer(self.a.public, ["10.9.0.1/32", "fd09::1/128"], where[0])
        self.a.up("10.9.0.1/24", "fd09::1/64")
        self.b.up("10.9.0.2/24", "fd09::2/64")

    def sockets(self, inner):
        """A sender on the left and a receiver on the right that learns the traffic class."""
        family, address = {4: (socket.AF_INET, "10.9.0.2"), 6: (socket.AF_INET6, "fd09::2")}[inner]
        with self.right:
            receiver = socket.socket(family, socket.SOCK_DGRAM)
        with self.left:
            sender = socket.socket(family, socket.SOCK_DGRAM)
        level, want = ((socket.IPPROTO_IP, socket.IP_RECVTOS) if inner == 4
                       else (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS))
        receiver.setsockopt(level, want, 1)
        receiver.bind((address, 7000))
        sender.connect((address, 7000))
        receiver.settimeout(0.4)
        self.addCleanup(receiver.close)
        self.addCleanup(sender.close)
        return sender, receiver

    @staticmethod
    def say(sender, tos, text=b"x"):
        if sender.family == socket.AF_INET:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
        sender.send(text)

    @staticmethod
    def heard(receiver):
        """Traffic class of the next datagram, or None."""
        try:
            _, control, _, _ = receiver.recvmsg(100, 100)
        except TimeoutError:
            return None
        data = control[0][2]
        return data[0] if len(data) == 1 else struct.unpack("i", data)[0]


class Ecn(Routed):
    """W41."""

    def encapsulation(self, outer):
        self.routed(outer)
        self.soon(lambda: self.pings(self.left, "10.9.0.2"), "connected", 10)
        capture = suite.Capture(self.left, "out0", lambda p: suite.udp_of(p) is not None)
        for inner in (4, 6):
            sender, receiver = self.sockets(inner)
            for ecn in range(4):
                capture.packets()
                self.say(sender, 0x48 | ecn)  # some DSCP, which must stay inside
                self.assertEqual(self.heard(receiver), 0x48 | ecn)
                seen = [suite.udp_of(p)[4] for out, p in capture.packets() if out and suite.udp_of(p)[5][0] == 4]
                self.assertEqual(set(seen), {ecn}, f"inner IPv{inner} {NAMES[ecn]}")
        capture.close()

    def test_ecn_is_copied_outwards_and_dscp_is_not_over_ipv4(self):
        self.encapsulation(4)

    def test_ecn_is_copied_outwards_and_dscp_is_not_over_ipv6(self):
        self.encapsulation(6)

    def decapsulation(self, outer):
        self.routed(outer)
        self.soon(lambda: self.pings(self.left, "10.9.0.2"), "connected", 10)
        for inner in (4, 6):
            sender, receiver = self.sockets(inner)
            for (ecn_in, ecn_out), expected in DECAPSULATED.items():
                self.middle.rules("inet", "filter hook forward",
                                  f"{'ip' if outer == 4 else 'ip6'} ecn set {NAMES[ecn_out]} counter")
                self.say(sender, 0x48 | ecn_in)
                heard = self.heard(receiver)
                self.assertEqual(None if heard is None else heard, None if expected is None else 0x48 | expected,
                                 f"inner IPv{inner} {NAMES[ecn_in]}, outer {NAMES[ecn_out]}")
                self.assertGreater(self.middle.hits("inet"), 0)

    def test_all_16_combinations_come_out_as_rfc_6040_says_over_ipv4(self):
        self.decapsulation(4)

    def test_all_16_combinations_come_out_as_rfc_6040_says_over_ipv6(self):
        self.decapsulation(6)

    def test_handshakes_are_marked_af41(self):
        self.routed(4)
        captures = [suite.Capture(end, "out0", lambda p: suite.udp_of(p) is not None)
                    for end in (self.left, self.right)]
        self.soon(lambda: self.pings(self.left, "10.9.0.2"), "connected", 10)
        found = {}
        for capture in captures:
            for out, packet in capture.packets():
                udp = suite.udp_of(packet)
                if out:
                    found.setdefault(udp[5][0], set()).add(udp[4])
            capture.close()
        self.assertEqual((found[1], found[2], found[4]), ({0x88}, {0x88}, {0}))


class Unroutable(suite.NetTest):
    """What cannot be sent is answered into the TUN, as the kernel module does."""

    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)

    def refused(self, address):
        """The error a datagram to this address brings back, within half a second."""
        left = self.tunnel.left
        with left:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            # Host unreachable is no hard error: without this a UDP socket is not told.
            s.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVERR) if ":" in address
                           else (socket.IPPROTO_IP, IP_RECVERR)), 1)
            s.connect((address, 9))
            s.send(b"anybody there?")
            s.settimeout(0.5)
            try:
                s.recv(1)
            except TimeoutError:
                return None
            except OSError as error:
                return error.errno
        return 0

    EHOSTUNREACH = 113

    def test_an_address_of_no_peer_is_unreachable(self):
        for address in ("10.9.0.77", "fd09::77"):
            self.assertEqual(self.refused(address), self.EHOSTUNREACH, address)

    def test_a_peer_without_endpoint_is_unreachable(self):
        self.tunnel.devices[0].add_peer(tunnel.keypair()[1], ["10.9.0.88/32", "fd09::88/128"])
        for address in ("10.9.0.88", "fd09::88"):
            self.assertEqual(self.refused(address), self.EHOSTUNREACH, address)

    def test_the_error_quotes_the_packet_and_comes_from_nowhere_else(self):
        left = self.tunnel.left
        capture = suite.Capture(left, self.tunnel.devices[0].interface)
        self.refused("10.9.0.77")
        errors = [p for out, p in capture.packets() if not out and p[9] == 1]
        self.assertEqual(len(errors), 1)
        icmp = errors[0][20:]
        self.assertEqual((icmp[0], icmp[1]), (3, 1), "destination unreachable, host")
        self.assertEqual(icmp[8 + 16:8 + 20], socket.inet_aton("10.9.0.77"))
        self.assertEqual(errors[0][16:20], socket.inet_aton("10.9.0.1"))


class Marks(suite.NetTest):
    def test_the_mark_may_change_at_run_time(self):
        """W18: only marked packets may leave, and the privileges are given up by now."""
        pair = self.pair()
        self.connected(pair)
        left, device = pair.left, pair.devices[0]
        left.rules("inet", "filter hook output", "udp dport 51822 meta mark != 0x1234 counter drop")
        self.assertFalse(self.pings(left, "10.9.0.2"), "nothing leaves without the mark: no test otherwise")
        for mark, works in (("0x1234", True), ("0x1", False), ("0x1234", True), ("off", False)):
            device.wg("set", device.interface, "fwmark", mark)
            if works:
                self.soon(lambda: self.pings(left, "10.9.0.2"), f"mark {mark}", 8)
            else:
                self.assertFalse(self.pings(left, "10.9.0.2"), f"mark {mark}")


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ports of a host without an interface that lead to peers, and echo by whichever right there is. test_usernet.py draws
the topology.
"""

import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import suite  # noqa: E402
import test_usernet  # noqa: E402
from test_usernet import CLIENT4, CLIENT6, OWN4, OWN6, UDP, WORLD4, WORLD6, UsernetTest  # noqa: E402

OUTSIDE = {WORLD4: "198.51.100.1", WORLD6: "2001:db8:1::1"}


class UdpPorts(UsernetTest):
    def options(self):
        return ("--address", f"{OWN4}/24,{OWN6}/64", "--flows", "64", "--forward",
                f"udp:5000={CLIENT4}:6000,udp:5001=[{CLIENT6}]:6000,tcp:5000={CLIENT4}:6001")

    def setUp(self):
        super().setUp()
        self.soon(lambda: self.pings(self.client, OWN4, timeout=1), "a ping to the gateway", 20)

    def inside(self, address):
        """A socket of the peer at the port that the host's leads to."""
        with self.client:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, UDP)
            s.bind((address, 6000))
        s.settimeout(10)
        self.addCleanup(s.close)
        return s

    def caller(self, address):
        with self.world:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, UDP)
            s.bind((address, 0))
        s.settimeout(10)
        self.addCleanup(s.close)
        return s

    def test_a_datagram_reaches_the_peer_and_its_answer_whoever_sent_it(self):
        for world, inner, own, port in ((WORLD4, CLIENT4, OWN4, 5000), (WORLD6, CLIENT6, OWN6, 5001)):
            peer, callers = self.inside(inner), [self.caller(world) for _ in range(3)]
            sources = {}
            for number, s in enumerate(callers):
                s.sendto(b"from %d" % number, (OUTSIDE[world], port))
                data, source = peer.recvfrom(100)
                self.assertEqual((data, source[0]), (b"from %d" % number, own))
                sources[number] = source
            self.assertEqual(len(set(sources.values())), 3, "each has a port of its own")
            for number in reversed(range(3)):
                peer.sendto(b"to %d" % number, sources[number])
                data, source = callers[number].recvfrom(100)
                self.assertEqual((data, source[:2]), (b"to %d" % number, (OUTSIDE[world], port)))
            callers[0].sendto(b"again", (OUTSIDE[world], port))
            self.assertEqual(peer.recvfrom(100)[1], sources[0], "and keeps it")
            for size in (0, 1, 1300, 5000, 30000):
                block = os.urandom(size)
                callers[0].sendto(block, (OUTSIDE[world], port))
                self.assertTrue(peer.recv(65536) == block, size)
                peer.sendto(block, sources[0])
                self.assertTrue(callers[0].recv(65536) == block, size)

    def test_the_answer_leaves_from_the_address_that_was_asked(self):
        self.gateway.address("out0", "198.51.100.77/32")
        peer, s = self.inside(CLIENT4), self.caller(WORLD4)
        for outside in ("198.51.100.77", "198.51.100.1"):
            s.sendto(b"x", (outside, 5000))
            source = peer.recvfrom(10)[1]
            peer.sendto(b"y", source)
            self.assertEqual(s.recvfrom(10)[1], (outside, 5000))

    def test_a_port_by_tcp_and_the_same_by_udp_are_two(self):
        with self.client:
            listener = socket.create_server((CLIENT4, 6001))
        self.addCleanup(listener.close)
        threading.Thread(target=lambda: test_usernet.echo(listener.accept()[0]), daemon=True).start()
        with self.world:
            s = socket.create_connection((OUTSIDE[WORLD4], 5000), 10)
        self.addCleanup(s.close)
        s.sendall(b"hello")
        self.assertEqual(s.recv(10), b"hello")

    def test_callers_are_bounded_and_who_is_one_already_is_not_disturbed(self):
        peer, first = self.inside(CLIENT4), self.caller(WORLD4)
        first.sendto(b"first", (OUTSIDE[WORLD4], 5000))
        source = peer.recvfrom(10)[1]
        for _ in range(20):  # an eighth of 64 flows are 8 callers
            self.caller(WORLD4).sendto(b"more", (OUTSIDE[WORLD4], 5000))
        self.soon(lambda: self.server.counter("full") >= 13, "refusals")
        peer.sendto(b"still", source)
        self.assertEqual(first.recv(10), b"still")
        self.assertLessEqual(self.server.counter("flows"), 9)

    def test_nobody_is_heard_whom_no_caller_awaits(self):
        with self.client:
            s = socket.socket(socket.AF_INET, UDP)
        self.addCleanup(s.close)
        s.settimeout(5)
        s.connect((OWN4, 40000))
        s.send(b"x")
        with self.assertRaises(ConnectionRefusedError):
            s.recv(10)


class Services(UsernetTest):
    """Ports of the gateway's own address that lead to services of the host, on its loopback and behind it."""

    def options(self):
        return ("--address", f"{OWN4}/24,{OWN6}/64", "--serve",
                f"tcp:8080=127.0.0.1:9000,udp:8080=127.0.0.1:9001,8081=[::1]:9000,8082={WORLD4}:9000,8083=127.0.0.1:9")

    def host_service(self, address, port, kind=test_usernet.TCP):
        with self.gateway:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
        self.addCleanup(s.close)
        if kind == UDP:
            threading.Thread(target=test_usernet.echo_datagrams, args=(s,), daemon=True).start()
            return
        s.listen()
        threading.Thread(target=lambda: test_usernet.echo(s.accept()[0]), daemon=True).start()

    def test_a_service_of_the_host_is_reached_by_name_of_its_port_alone(self):
        self.gateway.ip("link", "set", "lo", "up")
        self.host_service("127.0.0.1", 9000)
        self.host_service("127.0.0.1", 9001, UDP)
        self.host_service("::1", 9000)
        self.serve(WORLD4, test_usernet.echo, port=9000)
        for own, port in ((OWN4, 8080), (OWN6, 8081), (OWN4, 8082)):
            s = self.connect(own, port)
            s.sendall(b"hello")
            self.assertEqual(s.recv(10), b"hello")
        for own in (OWN4, OWN6):
            s = self.udp(own)
            for size in (1, 1300, 5000):
                s.sendto(b"x" * size, (own, 8080))
                data, source = s.recvfrom(65536)
                self.assertEqual((len(data), source[:2]), (size, (own, 8080)))
        for own, port in ((OWN4, 8083), (OWN4, 9000), (OWN6, 22)):
            with self.assertRaises(ConnectionRefusedError):
                self.connect(own, port)
        with self.assertRaises(OSError):  # the host itself stays out of reach
            self.connect("198.51.100.1", 9000)


class Echo(UsernetTest):
    """Where the group has no ping sockets."""

    privileges = ()

    def setUp(self):
        self.rights = ("--bounding-set=-all", "--inh-caps=-all")
        super().setUp()

    def begin(self, *privileges):
        self.server.stop()
        self.gateway.sysctl("net.ipv4.ping_group_range", "1 0")
        test_usernet.Usernet.rights = privileges
        self.addCleanup(lambda: setattr(test_usernet.Usernet, "rights", self.rights))
        self.join_again(*self.options())
        self.soon(lambda: self.pings(self.client, OWN4, timeout=1), "a ping to the gateway", 20)

    def join_again(self, *options):
        private, public = self.server.private, self.server.public
        self.server = test_usernet.Usernet(self.gateway, "user0", extra=options, log=self.log)
        self.addCleanup(self.server.stop)
        self.server.private, self.server.public = private, public
        self.server.configure(listen_port=51820)
        self.server.add_peer(self.tunnel.public, (f"{CLIENT4}/32", f"{CLIENT6}/128"))
        self.tunnel.remove_peer(public)
        self.tunnel.add_peer(self.server.public, ("0.0.0.0/0", "::/0"), "192.0.2.2:51820")

    def test_without_any_right_a_ping_is_told_that_it_is_prohibited(self):
        self.begin(*self.rights)
        self.assertIn("Packet filtered", self.client.run("ping", "-n", "-c1", "-W2", WORLD4, check=False).stdout)
        self.assertIn("prohibited", self.client.run("ping", "-n", "-c1", "-W2", WORLD6, check=False).stdout.lower())

    def test_with_the_right_to_raw_sockets_they_carry_echo_and_what_is_said_about_it(self):
        self.begin("--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw")
        for address in (WORLD4, WORLD6):
            self.assertTrue(self.pings(self.client, address, count=3), address)
            self.assertTrue(self.pings(self.client, address, words=("-s", "5000")), address)
        both = [self.client.start("ping", "-n", "-c5", "-i0.1", "-W2", WORLD4, stdout=-1) for _ in range(3)]
        for process in both:  # each hears its own answers, once
            text = process.communicate(timeout=20)[0]
            self.assertIn("5 received", text)
            self.assertNotIn("DUP", text)
        self.gateway.ip("route", "add", "unreachable", "203.0.113.0/24")
        text = self.client.run("ping", "-n", "-c1", "-W2", "203.0.113.5", check=False).stdout
        self.assertIn("Unreachable", text)


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway without interface, capability or /dev/net/tun, and a client that cannot tell.

    [client] wg0 10.9.0.2 fd09::2                  (wireguard-go, or ourselves)
        out0 192.0.2.1 ──── 192.0.2.2 up0  [gateway] culvert device --usernet, user nobody
                                               10.9.0.1 fd09::1, resolver 198.51.100.2
                             198.51.100.1, 2001:db8:1::1 out0 ──── in0 198.51.100.2, 2001:db8:1::2  [world]

The client's default route is the tunnel. A router of the world in between is not needed: what the
gateway's sockets send is the host's own traffic.
"""

import hashlib
import os
import re
import resource
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import netns  # noqa: E402
import suite  # noqa: E402
import tunnel  # noqa: E402

WORLD4, WORLD6 = "198.51.100.2", "2001:db8:1::2"
OWN4, OWN6 = "10.9.0.1", "fd09::1"
CLIENT4, CLIENT6 = "10.9.0.2", "fd09::2"
NOBODY = 65534
MEGABYTE = 1 << 20
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


class Usernet(tunnel.Device):
    """Our program as somebody without rights, where there is no /dev/net/tun; the directory of its socket is made for it."""

    words = ("--usernet",)
    dev_net = ""  # what is made in /dev/net
    under = ()  # a command that executes ours
    rights = ("--bounding-set=-all", "--inh-caps=-all")

    def start(self):
        os.makedirs(tunnel.SOCKETS, exist_ok=True)
        os.chown(tunnel.SOCKETS, NOBODY, NOBODY)
        program = os.environ.get("CULVERT", "culvert")
        command = ["unshare", "--mount", "sh", "-c",
                   f'mount -t tmpfs none /dev/net && mount -o remount,ro,bind / && {self.dev_net} exec "$@"', "sh",
                   "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", *self.rights, *self.under, program,
                   "device", *self.words, "-f", *self._extra, self.interface]
        output = None if os.environ.get("CULVERT_TEST_VERBOSE") else self._log
        self.process = self.namespace.start(*command, env={**os.environ, "LOG_LEVEL": "info"}, stdout=output,
                                            stderr=output)
        netns.wait_until(self._is_ready, what="culvert device --usernet")

    def counter(self, name):
        return int(self.get()[0].get("culvert_usernet_" + name, 0))


class UsernetTest(suite.NetTest):
    client_kind = "wireguard-go"
    server_kind = Usernet

    def setUp(self):
        super().setUp()
        self.need(self.client_kind)
        self.client, self.gateway, self.world = [self.net.namespace(n) for n in ("client", "gateway", "world")]
        self.net.link(self.client, "out0", self.gateway, "up0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        self.net.link(self.gateway, "out0", self.world, "in0",
                      addresses=(["198.51.100.1/24", "2001:db8:1::1/64"], [f"{WORLD4}/24", f"{WORLD6}/64"]))
        self.gateway.sysctl("net.ipv4.ping_group_range", f"{NOBODY} {NOBODY}")
        self.join(*self.options())

    def options(self):
        return ("--address", f"{OWN4}/24,{OWN6}/64", "--dns", WORLD4)

    def join(self, *options):
        self.server = self.server_kind(self.gateway, "user0", extra=options, log=self.log)
        self.addCleanup(self.ended_well, self.server)
        self.server.configure(listen_port=51820)
        self.tunnel = self.device(self.client, "wg0", self.client_kind)
        self.tunnel.configure()
        self.server.add_peer(self.tunnel.public, (f"{CLIENT4}/32", f"{CLIENT6}/128"))
        self.tunnel.add_peer(self.server.public, ("0.0.0.0/0", "::/0"), "192.0.2.2:51820")
        self.tunnel.up(f"{CLIENT4}/24", f"{CLIENT6}/64")
        for family in ("-4", "-6"):
            self.client.ip(family, "route", "add", "default", "dev", "wg0")

    def serve(self, address, handler, kind=TCP, port=0):
        """A server in the world: handler(socket) per connection, or handler(socket) once for UDP."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.world:
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
        self.addCleanup(s.close)

        if kind == TCP:
            s.listen(512)

        def serve_tcp():
            while True:
                try:
                    peer = s.accept()[0]
                except OSError:
                    return
                threading.Thread(target=handler, args=(peer,), daemon=True).start()

        threading.Thread(target=serve_tcp if kind == TCP else lambda: handler(s), daemon=True).start()
        return s.getsockname()[1]

    def connect(self, address, port, timeout=10):
        with self.client:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.addCleanup(s.close)
        s.settimeout(timeout)
        s.connect((address, port))
        return s

    def udp(self, address, timeout=5):
        with self.client:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, UDP)
        self.addCleanup(s.close)
        s.settimeout(timeout)
        return s


def echo(s):
    """Send back what comes, until it ends."""
    with s:
        try:
            while data := s.recv(1 << 16):
                s.sendall(data)
        except OSError:
            pass


def echo_datagrams(s):
    while True:
        try:
            data, peer = s.recvfrom(1 << 16)
            s.sendto(data, peer)
        except OSError:
            return


def dns_answer(query):
    """A minimal resolver: every name has the address 192.0.2.77."""
    head = query[:2] + b"\x81\x80" + query[4:6] + b"\0\1\0\0\0\0"
    end = query.index(b"\0", 12) + 5
    return head + query[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 77))


def dns_query(number):
    return struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + b"\7example\3com\0\0\1\0\1"


class Carries(UsernetTest):
    def test_tcp_passes_both_ways_over_both_families(self):
        for address in (WORLD4, WORLD6):
            port = self.serve(address, echo)
            s = self.connect(address, port)
            s.sendall(b"hello")
            self.assertEqual(s.recv(100), b"hello")
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(s.recv(100), b"")

    def test_64_megabytes_arrive_unharmed_in_either_direction(self):
        size = suite.scaled(64, 512) * MEGABYTE
        for address in (WORLD4, WORLD6):
            self.moved(self.client, self.world, address, size)
            self.assertEqual(*self.fetched(address, size), f"download from {address}")

    def fetched(self, address, size):
        """The server sends, the client reads: both SHA-256."""
        sent = hashlib.sha256()

        def give(s):
            left, block = size, os.urandom(1 << 20)
            while left:
                part = block[:min(left, len(block))]
                sent.update(part)
                s.sendall(part)
                left -= len(part)
            s.close()

        s, got = self.connect(address, self.serve(address, give), 60), hashlib.sha256()
        begin = time.monotonic()
        while data := s.recv(1 << 20):
            got.update(data)
        print(f"# {size * 8 / (time.monotonic() - begin) / 1e6:.0f} Mbit/s down")
        return sent.hexdigest(), got.hexdigest()

    def test_the_kernels_tcp_and_ours_repair_loss_in_either_direction(self):
        size = suite.scaled(4, 64) * MEGABYTE
        for percent in (1, 5):
            for hook, match in (("filter hook input", "iifname wg0"), ("filter hook output", "oifname wg0")):
                self.client.rules("ip", f"{hook}", f"{match} tcp dport != 0 numgen random mod 100 < {percent} "
                                  "counter drop", table=hook.split()[-1])
            self.moved(self.client, self.world, WORLD4, size, 120)
            self.assertEqual(*self.fetched(WORLD4, size), f"download with {percent} % lost")
            self.assertGreater(self.client.hits("ip", "input") + self.client.hits("ip", "output"), 10)

    def test_curl_gets_a_file(self):
        if self.client.run("sh", "-c", "command -v curl", check=False).returncode:
            self.skipTest("curl is not installed")
        os.makedirs("/run/www", exist_ok=True)
        with open("/run/www/file", "wb") as f:
            f.write(os.urandom(3 * MEGABYTE))
        for address in (WORLD4, WORLD6):
            server = self.world.start(sys.executable, "-m", "http.server", "-d", "/run/www", "-b", address, "8080",
                                      stdout=self.log, stderr=self.log)
            url = f"http://[{address}]:8080/file" if ":" in address else f"http://{address}:8080/file"
            self.soon(lambda u=url: self.client.run("curl", "-gsfo", "/run/got", u, check=False).returncode == 0, url)
            with open("/run/www/file", "rb") as a, open("/run/got", "rb") as b:
                self.assertTrue(a.read() == b.read(), "another file")
            netns.stop(server)

    def test_names_are_resolved_at_our_address_by_udp_and_tcp(self):
        def answer_udp(s):
            while True:
                try:
                    query, peer = s.recvfrom(1000)
                    s.sendto(dns_answer(query), peer)
                except OSError:
                    return

        def answer_tcp(s):
            query = s.recv(1000)
            reply = dns_answer(query[2:])
            s.sendall(struct.pack(">H", len(reply)) + reply)
            s.close()

        self.serve(WORLD4, answer_udp, UDP, 53)
        self.serve(WORLD4, answer_tcp, TCP, 53)
        for own in (OWN4, OWN6):
            s = self.udp(own)
            s.sendto(dns_query(7), (own, 53))
            reply, source = s.recvfrom(1000)
            self.assertEqual((reply, source[0]), (dns_answer(dns_query(7)), own))
            s = self.connect(own, 53)
            s.sendall(struct.pack(">H", len(dns_query(8))) + dns_query(8))
            self.assertEqual(s.recv(1000)[2:], dns_answer(dns_query(8)))

    def test_ping_answers_over_both_families_and_from_ourselves(self):
        for address in (OWN4, OWN6, WORLD4, WORLD6):
            self.assertTrue(self.pings(self.client, address, count=3), address)

    def test_a_port_that_is_closed_is_refused_at_once(self):
        for address in (WORLD4, WORLD6, OWN4):
            begin = time.monotonic()
            with self.assertRaises(ConnectionRefusedError):
                self.connect(address, 9)
            self.assertLess(time.monotonic() - begin, 1.5)

    def test_an_address_without_a_route_is_told_unreachable(self):
        self.gateway.ip("route", "add", "unreachable", "203.0.113.0/24")
        with self.assertRaises(OSError) as caught:
            self.connect("203.0.113.5", 80)
        self.assertIn(caught.exception.errno, (113, 101))

    def test_udp_answers_come_from_where_they_were_sent(self):
        for address in (WORLD4, WORLD6):
            port = self.serve(address, echo_datagrams, UDP)
            s = self.udp(address)
            for size in (0, 1, 100, 1300):
                s.sendto(b"x" * size, (address, port))
                data, source = s.recvfrom(2000)
                self.assertEqual((len(data), source[:2]), (size, (address, port)))

    def test_datagrams_larger_than_the_tunnel_pass_in_pieces(self):
        for address in (WORLD4, WORLD6):
            port = self.serve(address, echo_datagrams, UDP)
            s = self.udp(address)
            for size in (1400, 4000, 20000):
                block = os.urandom(size)
                s.sendto(block, (address, port))
                self.assertTrue(s.recv(65536) == block, size)
            for target in (address, OWN6 if ":" in address else OWN4):
                self.assertTrue(self.pings(self.client, target, words=("-s", "5000")), target)

    def beyond(self, mtu=1500):
        """A host behind the world, which is a router then."""
        far = self.net.namespace("far")
        self.net.link(self.world, "far0", far, "in0", mtu=mtu,
                      addresses=(["203.0.113.1/24", "2001:db8:2::1/64"], ["203.0.113.9/24", "2001:db8:2::9/64"]))
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.world.sysctl(key, 1)
        self.gateway.ip("route", "add", "203.0.113.0/24", "via", WORLD4)
        self.gateway.ip("-6", "route", "add", "2001:db8:2::/64", "via", WORLD6)
        far.ip("route", "add", "default", "via", "203.0.113.1")
        far.ip("-6", "route", "add", "default", "via", "2001:db8:2::1")
        return far

    def test_every_router_on_the_way_shows_itself(self):
        self.beyond()
        for family, hops, target in (("-4", (OWN4, WORLD4), "203.0.113.9"), ("-6", (OWN6, WORLD6), "2001:db8:2::9")):
            for number, router in enumerate(hops):
                text = self.client.run("ping", family, "-n", "-c1", f"-t{number + 1}", "-W2", target, check=False).stdout
                self.assertIn(f"From {router}", text)
            self.soon(lambda t=target: self.pings(self.client, t), f"a ping to {target}")
            self.assertEqual(self.udp_error(target, 2)[1], hops[1])

    def udp_error(self, address, hops):
        """Send one datagram; (errno, who says so) from the error queue."""
        v6 = ":" in address
        s = self.udp(address)
        level, ttl, error = ((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 25) if v6
                             else (socket.IPPROTO_IP, socket.IP_TTL, 11))
        s.setsockopt(level, ttl, hops)
        s.setsockopt(level, error, 1)
        s.sendto(b"x", (address, 33434))

        def told():
            try:
                return s.recvmsg(100, 512, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                return None

        s.setblocking(False)
        data = self.soon(told, "an error")[1][0][2]
        offender = socket.inet_ntop(socket.AF_INET6, data[24:40]) if v6 else socket.inet_ntoa(data[20:24])
        return struct.unpack_from("I", data)[0], offender

    def test_a_path_that_is_narrower_is_told(self):
        self.beyond(mtu=1300)
        for target in ("203.0.113.9", "2001:db8:2::9"):
            # The first is lost and teaches everybody on the way back, our client's kernel last.
            s = self.udp(target)
            s.setsockopt(*((socket.IPPROTO_IPV6, 23, 2) if ":" in target else (socket.IPPROTO_IP, 10, 2)))
            s.sendto(b"x" * 1340, (target, 9))

            def is_refused(s=s, target=target):
                try:
                    return not s.sendto(b"x" * 1340, (target, 9))
                except OSError as error:
                    return error.errno == 90

            self.soon(is_refused, "too long, says the client's kernel")
            self.assertIn("mtu 1300", self.client.output("ip", "route", "get", target))

    def test_a_udp_port_is_the_same_towards_everybody_and_lets_anybody_in(self):
        seen = []

        def note(s):
            while True:
                try:
                    seen.append(s.recvfrom(100)[1])
                except OSError:
                    return

        ports = [self.serve(WORLD4, note, UDP) for _ in range(3)]
        s = self.udp(WORLD4)
        for port in ports:
            s.sendto(b"x", (WORLD4, port))
        self.soon(lambda: len(seen) == 3, "three datagrams")
        self.assertEqual(len(set(seen)), 1, "one port for all")
        with self.world:
            stranger = socket.socket(socket.AF_INET, UDP)
        self.addCleanup(stranger.close)
        stranger.sendto(b"call", seen[0])
        self.assertEqual(s.recv(100), b"call")

    def test_a_closed_udp_port_is_told(self):
        for address in (WORLD4, WORLD6):
            s = self.udp(address)
            s.connect((address, 9))
            s.send(b"x")
            with self.assertRaises(ConnectionRefusedError):
                s.recv(100)

    def test_half_closed_connections_go_on_the_other_way(self):
        def count_then_answer(s):
            n = 0
            while data := s.recv(1 << 16):
                n += len(data)
            s.sendall(str(n).encode())
            s.close()

        s = self.connect(WORLD4, self.serve(WORLD4, count_then_answer))
        s.sendall(b"x" * 300000)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100), b"300000")

    def test_a_reset_is_passed_on_in_either_direction(self):
        ended = threading.Event()

        def wait_for_reset(s):
            try:
                while s.recv(100):
                    pass
            except ConnectionResetError:
                ended.set()

        def reset(s):
            s.recv(1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()

        s = self.connect(WORLD4, self.serve(WORLD4, wait_for_reset))
        s.sendall(b"x")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        self.assertTrue(ended.wait(3), "the server hears of it")
        s = self.connect(WORLD4, self.serve(WORLD4, reset))
        s.sendall(b"x")
        with self.assertRaises(ConnectionResetError):
            s.recv(1)

    def test_a_server_that_does_not_read_stops_the_client(self):
        release = threading.Event()

        def sleep_first(s):
            release.wait(20)
            digest, n = hashlib.sha256(), 0
            while data := s.recv(1 << 16):
                digest.update(data)
                n += len(data)
            s.sendall(digest.hexdigest().encode())
            s.close()

        s = self.connect(WORLD4, self.serve(WORLD4, sleep_first), 30)
        block = os.urandom(1 << 16)
        digest, sent = hashlib.sha256(), 0
        s.settimeout(1)
        try:
            while sent < 256 * MEGABYTE:
                n = s.send(block)
                digest.update(block[:n])
                sent += n
        except socket.timeout:
            pass
        self.assertLess(sent, 64 * MEGABYTE, "somebody took all of it")
        self.assertLess(self.server.resident_kb(), 120000)
        release.set()
        s.settimeout(30)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100).decode(), digest.hexdigest())


class Keeps(UsernetTest):
    """What it does not do, and whom it does not let through."""

    client_kind = "culvert"

    def test_it_has_no_right_no_interface_and_no_file(self):
        pid = self.server.process.pid
        with open(f"/proc/{pid}/status") as f:
            status = dict(line.split(":", 1) for line in f if ":" in line)
        self.assertEqual({int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {0})
        self.assertEqual(set(status["Uid"].split()), {str(NOBODY)})
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertFalse([link for link in links if "tun" in link], "no TUN is open")
        self.assertEqual(os.listdir(f"/proc/{pid}/root/dev/net"), [], "there is none")
        names = re.findall(r"^\d+: (\w+)", self.gateway.output("ip", "-o", "link"), re.M)
        self.assertEqual(set(names), {"lo", "up0", "out0"})

    def test_what_trusts_this_host_cannot_be_reached_through_it(self):
        with self.gateway:
            local = socket.create_server(("0.0.0.0", 7000))
            local6 = socket.create_server(("::", 7000), family=socket.AF_INET6)
        self.addCleanup(local.close)
        self.addCleanup(local6.close)
        self.client.ip("route", "add", "198.51.100.0/24", "dev", "wg0")
        self.client.ip("route", "add", "169.254.0.0/16", "dev", "wg0")
        for address in ("198.51.100.1", "192.168.7.7", "169.254.169.254", "2001:db8:1::1", "64:ff9b::7f00:1",
                        "2002:7f00:1::1", "10.10.10.10", "100.64.0.1"):
            begin = time.monotonic()
            with self.assertRaises(OSError, msg=address) as caught:
                self.connect(address, 7000)
            self.assertIn(caught.exception.errno, (113, 13, 101), address)
            self.assertLess(time.monotonic() - begin, 1, address)
        for size in (4, 1200):
            s = self.udp("192.168.7.7")
            s.connect(("192.168.7.7", 9))
            s.send(b"x" * size)
            with self.assertRaises(OSError):
                s.recv(10)
        self.assertFalse(self.pings(self.client, "192.168.7.7", timeout=1))
        self.assertGreaterEqual(self.server.counter("denied"), 11)

    def test_a_private_network_is_reached_once_it_is_opened(self):
        self.world.address("in0", "192.168.7.7/24")
        self.gateway.address("out0", "192.168.7.1/24")
        self.server.stop()
        self.join_again("--address", f"{OWN4}/24", "--allow", "192.168.7.0/24")
        self.connect("192.168.7.7", self.serve("192.168.7.7", echo))
        with self.assertRaises(OSError):
            self.connect("192.168.8.7", 80)

    def join_again(self, *options):
        private, public = self.server.private, self.server.public
        self.server = self.server_kind(self.gateway, "user0", extra=options, log=self.log)
        self.server.private, self.server.public = private, public
        self.addCleanup(self.ended_well, self.server)
        self.server.configure(listen_port=51820)
        self.server.add_peer(self.tunnel.public, (f"{CLIENT4}/32", f"{CLIENT6}/128"))
        self.tunnel.remove_peer(public)
        self.tunnel.add_peer(public, ("0.0.0.0/0", "::/0"), "192.0.2.2:51820")

    def test_it_speaks_amneziawg_as_with_an_interface(self):
        framing = {"jc": 4, "jmin": 40, "jmax": 70, "s1": 30, "s2": 40, "h1": "100-200", "h2": "300-400",
                   "h3": "500-600", "h4": "700-800"}
        for device in (self.server, self.tunnel):
            device.configure(**framing)
        self.moved(self.client, self.world, WORLD4, 4 * MEGABYTE)

    def test_a_port_or_a_peer_may_change_while_connections_go_on(self):
        s = self.connect(WORLD4, self.serve(WORLD4, echo))
        s.sendall(b"before")
        self.assertEqual(s.recv(10), b"before")
        self.server.configure(listen_port=51999)
        self.tunnel.add_peer(self.server.public, ("0.0.0.0/0", "::/0"), "192.0.2.2:51999")
        s.sendall(b"after")
        self.assertEqual(s.recv(10), b"after")
        self.server.remove_peer(self.tunnel.public)
        s.sendall(b"lost")
        s.settimeout(1)
        with self.assertRaises(socket.timeout):
            s.recv(10)
        self.server.add_peer(self.tunnel.public, (f"{CLIENT4}/32", f"{CLIENT6}/128"))
        self.tunnel.remove_peer(self.server.public)
        self.tunnel.add_peer(self.server.public, ("0.0.0.0/0", "::/0"), "192.0.2.2:51999")
        s.settimeout(20)
        self.assertEqual(s.recv(10), b"lost")

    def test_wrong_options_are_refused_and_say_what_would_be_right(self):
        for words, what in ((("--address", "10.0.0.1/24", "x"), "go with --usernet"),
                            (("--usernet", "--address", "10.0.0.300", "x"), "--address takes"),
                            (("--usernet", "--dns", "name", "x"), "--dns takes"),
                            (("--usernet", "--allow", "10.0.0.0/33", "x"), "--allow takes"),
                            (("--usernet", "--mtu", "100", "x"), "from 1280 to 9000"),
                            (("--usernet=tier-c", "x"), "tier-a, tier-b or auto"),
                            (("--usernet", "--flows", "1", "x"), "from 64 to"),
                            (("--usernet", "--forward", "80", "x"), "PORT=ADDRESS:PORT"),
                            (("--usernet", "--forward", "0=10.0.0.2:80", "x"), "PORT=ADDRESS:PORT"),
                            (("--usernet", "--serve", "tcp:80=127.0.0.1", "x"), "--serve takes"),
                            (("--usernet", "--take-over", "x"), "goes without"),
                            (("--usernet", "--workers", "2", "x"), "goes without")):
            done = self.gateway.run(os.environ.get("CULVERT", "culvert"), "device", *words, check=False)
            self.assertEqual((done.returncode, what in done.stderr), (2, True), (words, done.stderr))
        done = self.gateway.run(os.environ.get("CULVERT", "culvert"), "device", "--usernet", "-f", "--forward",
                                "8080=10.9.0.2:80", "user9", check=False)
        self.assertEqual((done.returncode, "--address names none" in done.stderr), (1, True), done.stderr)

    def test_a_port_of_the_host_leads_to_a_peer(self):
        self.server.stop()
        self.join_again("--address", f"{OWN4}/24,{OWN6}/64", "--forward",
                        f"8080={CLIENT4}:9000,8081=[{CLIENT6}]:9000", "--forward", f"8082={CLIENT4}:9")
        self.soon(lambda: self.pings(self.client, OWN4, timeout=1), "a ping to the gateway")
        seen = []

        def echo_and_note(s):
            seen.append(s.getpeername()[0])
            echo(s)

        for address, family, port, own in ((CLIENT4, socket.AF_INET, 8080, OWN4), (CLIENT6, socket.AF_INET6, 8081, OWN6)):
            with self.client:
                listener = socket.create_server((address, 9000), family=family)
            self.addCleanup(listener.close)
            threading.Thread(target=lambda s=listener: echo_and_note(s.accept()[0]), daemon=True).start()
            with self.world:
                s = socket.create_connection(("198.51.100.1", port), 10)
            self.addCleanup(s.close)
            block = os.urandom(2 * MEGABYTE)
            threading.Thread(target=lambda s=s, b=block: (s.sendall(b), s.shutdown(socket.SHUT_WR)), daemon=True).start()
            got = bytearray()
            while data := s.recv(1 << 16):
                got += data
            self.assertTrue(got == block, address)
            self.assertEqual(seen.pop(), own)
        with self.world, self.assertRaises(ConnectionResetError):  # perhaps before connect() has returned
            with socket.create_connection(("198.51.100.1", 8082), 10) as s:
                s.recv(1)

    def test_peers_reach_each_other_and_lose_a_hop_on_the_way(self):
        second = self.net.namespace("second")
        self.net.link(second, "out0", self.gateway, "up1", addresses=("192.0.3.1/24", "192.0.3.2/24"))
        other = self.device(second, "wg1")
        other.configure()
        self.server.add_peer(other.public, ("10.9.0.3/32", "fd09::3/128"))
        other.add_peer(self.server.public, ("10.9.0.0/24", "fd09::/64"), "192.0.3.2:51820", keepalive=1)
        other.up("10.9.0.3/24", "fd09::3/64")
        for address in ("10.9.0.3", "fd09::3"):
            self.soon(lambda a=address: self.pings(self.client, a, timeout=1), f"a ping to {address}")
        text = self.client.output("ping", "-n", "-c1", "10.9.0.3")
        self.assertIn("ttl=63", text)
        self.moved(self.client, second, "10.9.0.3", 8 * MEGABYTE)

    def test_a_packet_without_hops_left_is_answered_by_the_gateway(self):
        for family, own, address in (("-4", OWN4, WORLD4), ("-6", OWN6, WORLD6)):
            text = self.client.run("ping", family, "-n", "-c1", "-t1", "-W2", address, check=False).stdout
            self.assertIn(f"From {own}", text)

    def test_with_too_many_connections_the_one_that_was_idle_longest_ends(self):
        self.server.stop()
        self.join_again("--address", f"{OWN4}/24", "--flows", "64")
        port = self.serve(WORLD4, echo)
        opened = [self.connect(WORLD4, port) for _ in range(48)]
        opened[0].sendall(b"x")
        self.assertEqual(opened[0].recv(1), b"x")
        opened.append(self.connect(WORLD4, port))
        with self.assertRaises(ConnectionResetError):
            opened[1].recv(1)
        opened[0].sendall(b"y")
        self.assertEqual(opened[0].recv(1), b"y")
        self.assertEqual(self.server.counter("evicted"), 1)
        self.assertEqual(self.server.counter("flows"), 48)

    def test_many_connections_at_once_all_arrive(self):
        count = suite.scaled(2000, 10000)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        count = min(count, (limit - 500) // 2)
        self.world.run("sh", "-c", "echo 4096 >/proc/sys/net/core/somaxconn")
        with self.world:
            listener = socket.create_server((WORLD4, 0), backlog=4096)
        self.addCleanup(listener.close)
        kept, opened = [], []

        def take():
            while len(kept) < count:
                kept.append(listener.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        with self.client:
            for _ in range(count):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex((WORLD4, listener.getsockname()[1]))
                opened.append(s)
        thread.join(60)
        self.assertEqual(len(kept), count)
        by_port = {s.getsockname()[1]: s for s in opened}
        self.assertEqual(len(by_port), count)
        for number, s in enumerate(kept):
            s.sendall(struct.pack(">I", number))
        got = set()
        for s in opened:
            s.settimeout(20)
            got.add(struct.unpack(">I", s.recv(4))[0])
        self.assertEqual(len(got), count)
        for s in [*kept, *opened]:
            s.close()


if __name__ == "__main__":
    suite.main()

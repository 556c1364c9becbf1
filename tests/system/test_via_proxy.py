#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A host whose network lets nothing out but TCP to an HTTP proxy, and all of whose traffic leaves nevertheless.

    [client] tun0 10.0.0.2 fdcc:756c:7672::2       (culvert proxy-tunnel, mark 51820)
        out0 192.0.2.2 ──── 192.0.2.1 lan0  [router] dmz0 203.0.113.1
             2001:db8:2::2 ── 2001:db8:2::1          drops all but TCP to the proxy, and counts it
                                             203.0.113.2, 2001:db8:3::2 out0 [proxy] tinyproxy, or another, :3128
                                                                         far0 198.51.100.1, 2001:db8:1::1
                                             198.51.100.2, 2001:db8:1::2 in0 [world] HTTP, DNS by TCP

The router has no way to the world at all. What it sees on the client's side is captured and must be explained.
"""

import contextlib
import hashlib
import http.server
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import netns  # noqa: E402
import suite  # noqa: E402

WORLD4, WORLD6 = "198.51.100.2", "2001:db8:1::2"
PROXY4, PROXY6, PROXY_PORT = "203.0.113.2", "2001:db8:3::2", 3128
OWN4, OWN6 = "10.0.0.1", "fdcc:756c:7672::1"
MARK = 51820
USER, KEY = "somebody", "correct-horse-battery"
MEGABYTE = 1 << 20
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
NAMES = {"www.example": (WORLD4, None), "six.example": (None, WORLD6), "both.example": (WORLD4, WORLD6)}


def name_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels), at + 5


def resolve(query):
    """An answer as a resolver of the world gives it; "many.example" has 100 addresses."""
    name, end = name_of(query)
    kind = struct.unpack_from(">H", query, end - 4)[0]
    v4, v6 = NAMES.get(name, (None, None))
    data = []
    if kind == 1 and v4:
        data = [socket.inet_aton(v4)]
    elif kind == 1 and name == "many.example":
        data = [bytes((192, 0, 2, n)) for n in range(100)]
    elif kind == 28 and v6:
        data = [socket.inet_pton(socket.AF_INET6, v6)]
    known = name in NAMES or name == "many.example"
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(d)) + d for d in data)
    return query[:2] + (b"\x81\x80" if known else b"\x81\x83") + struct.pack(">HHHH", 1, len(data), 0, 0) + \
        query[12:end] + records


def query_for(name, number, kind=1):
    labels = b"".join(bytes((len(x),)) + x.encode() for x in name.split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def serve_dns(s):
    """One connection of a resolver: what came together is answered in the opposite order (RFC 7766 section 7)."""
    data = b""
    with s, contextlib.suppress(OSError):
        while more := s.recv(1 << 16):
            data, answers = data + more, []
            while len(data) >= 2 and len(data) >= 2 + (size := struct.unpack_from(">H", data)[0]):
                answers.append(resolve(data[2:2 + size]))
                data = data[2 + size:]
            for answer in reversed(answers):
                s.sendall(struct.pack(">H", len(answer)) + answer)


def varint(n):
    return bytes((n,)) if n < 64 else struct.pack(">H", n | 0x4000) if n < 16384 else struct.pack(">I", n | 0x80000000)


def read_varint(stream):
    first = stream.read(1)[0]
    return int.from_bytes(bytes((first & 63,)) + stream.read((1 << (first >> 6)) - 1), "big")


def echo(s):
    with s, contextlib.suppress(OSError):
        while data := s.recv(1 << 16):
            s.sendall(data)


class ProxyTest(suite.NetTest):
    wants_key = False

    def setUp(self):
        super().setUp()
        if not shutil.which("tinyproxy"):
            self.skipTest("tinyproxy is not installed")
        self.build()
        self.logs = open(f"/run/{self.id()}.tinyproxy", "w+")
        self.addCleanup(self.logs.close)
        self.start_proxy()
        self.capture = suite.Capture(self.router, "lan0")
        self.addCleanup(self.capture.close)
        self.serve(WORLD4, serve_dns, 53)
        self.resolver = self.listeners[-1]
        self.start_tunnel()

    def build(self):
        self.client, self.router, self.proxy, self.world = [
            self.net.namespace(n) for n in ("client", "router", "proxy", "world")]
        self.net.link(self.client, "out0", self.router, "lan0",
                      addresses=(["192.0.2.2/24", "2001:db8:2::2/64"], ["192.0.2.1/24", "2001:db8:2::1/64"]))
        self.net.link(self.router, "dmz0", self.proxy, "out0",
                      addresses=(["203.0.113.1/24", "2001:db8:3::1/64"], [f"{PROXY4}/24", f"{PROXY6}/64"]))
        self.net.link(self.proxy, "far0", self.world, "in0",
                      addresses=(["198.51.100.1/24", "2001:db8:1::1/64"], [f"{WORLD4}/24", f"{WORLD6}/64"]))
        for namespace, gateways in ((self.client, ("192.0.2.1", "2001:db8:2::1")),
                                    (self.proxy, ("203.0.113.1", "2001:db8:3::1"))):
            for gateway in gateways:
                namespace.ip("route", "add", "default", "via", gateway)
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.router.rules("inet", "filter hook forward", "policy accept;",
                          f"ip daddr {PROXY4} tcp dport {PROXY_PORT} accept",
                          f"ip6 daddr {PROXY6} tcp dport {PROXY_PORT} accept",
                          f"iifname dmz0 tcp sport {PROXY_PORT} ct state established accept", "counter drop")

    def start_proxy(self):
        path = f"/run/{self.id()}.conf"
        with open(path, "w") as f:
            f.write(f"Port {PROXY_PORT}\nTimeout 600\nMaxClients 2000\nLogLevel Critical\nDisableViaHeader Yes\n")
            f.write(f"BasicAuth {USER} {KEY}\n" if self.wants_key else "")
        self.tinyproxy = self.proxy.start("tinyproxy", "-d", "-c", path, stdout=self.logs, stderr=self.logs)
        self.soon(lambda: f":{PROXY_PORT}" in self.proxy.output("ss", "-ltn"), "tinyproxy")

    def options(self):
        return []

    def start_tunnel(self, **environment):
        self.tunnel = self.client.start(
            os.environ.get("CULVERT", "culvert"), "proxy-tunnel", "--connect-proxy", f"{PROXY4}:{PROXY_PORT}",
            "--dns", WORLD4, "--mark", MARK, *self.options(), stdout=self.log, stderr=self.log,
            env={**os.environ, **environment})
        self.addCleanup(self.end_tunnel)
        self.soon(lambda: self.client.ip("link", "show", "tun0", check=False).returncode == 0, "tun0")
        self.client.address("tun0", "10.0.0.2/24", "fdcc:756c:7672::2/64")
        self.client.ip("link", "set", "tun0", "up")
        for family in ("-4", "-6"):
            self.client.ip(family, "route", "add", "default", "dev", "tun0", "table", MARK)
            self.client.ip(family, "rule", "add", "not", "fwmark", MARK, "table", MARK)

    def end_tunnel(self):
        netns.stop(self.tunnel)
        self.assertEqual(self.tunnel.returncode, 0, "the tunnel ends well")

    def serve(self, address, handler, port=0):
        with self.world:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
        s.listen(1024)
        self.addCleanup(s.close)
        self.listeners = [*getattr(self, "listeners", ()), s]

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=handler, args=(s.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return s.getsockname()[1]

    def serve_datagrams(self, address):
        with self.world:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, UDP)
        s.bind((address, 0))
        self.addCleanup(s.close)

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    s.sendto(*s.recvfrom(65536))

        threading.Thread(target=answer, daemon=True).start()
        return s.getsockname()[1]

    def socket(self, address, kind=TCP, timeout=10):
        with self.client:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        self.addCleanup(s.close)
        s.settimeout(timeout)
        return s

    def connect(self, address, port, timeout=10):
        s = self.socket(address, timeout=timeout)
        s.connect((address, port))
        return s

    def website(self, directory, address="::"):
        with self.world:
            server = http.server.ThreadingHTTPServer.__new__(http.server.ThreadingHTTPServer)
            server.address_family = socket.AF_INET6

            class Quiet(http.server.SimpleHTTPRequestHandler):
                def __init__(self, *args, **options):
                    super().__init__(*args, directory=directory, **options)

                def log_message(self, *_):
                    pass

            server.__init__((address, 80), Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def only_the_proxy_was_spoken_to(self):
        """Each packet on the client's wire is TCP with the proxy, or a neighbour's business."""
        for _, packet in self.capture.packets():
            if packet[0] >> 4 == 4:
                hosts = {socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])}
                ports = struct.unpack_from(">HH", packet, (packet[0] & 15) * 4)
                self.assertTrue(packet[9] == 6 and PROXY4 in hosts and PROXY_PORT in ports, packet.hex())
            elif packet[0] >> 4 == 6:
                self.assertIn(packet[40] if packet[6] == 58 else 143, (133, 134, 135, 136, 143), packet.hex())
        self.assertEqual(self.router.hits("inet"), 0, "packets that the router dropped")


class PlainTest(ProxyTest):
    def test_web_pages_come_by_name_over_both_families(self):
        directory = f"/run/{self.id()}.web"
        os.makedirs(directory)
        with open(f"{directory}/page", "wb") as f:
            f.write(os.urandom(300000))
        with open(f"{directory}/page", "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        self.website(directory)
        with resolver("192.168.77.77"):  # of a network that the proxy does not see: queries go to --dns anyway
            for name in ("www.example", "six.example", "both.example"):
                out = f"{directory}/{name}.out"
                self.client.run("curl", "-sS", "--max-time", 20, "-o", out, f"http://{name}/page")
                with open(out, "rb") as f:
                    self.assertEqual(hashlib.sha256(f.read()).hexdigest(), digest, name)
            missing = self.client.run("curl", "-sS", "--max-time", 20, "http://absent.example/", check=False)
        self.assertEqual(missing.returncode, 6, "a name that nobody has is not found")
        self.only_the_proxy_was_spoken_to()

    def test_a_repository_is_cloned(self):
        directory = f"/run/{self.id()}.git"
        for words in (("init", "-q", directory), ("-C", directory, "-c", "user.name=A", "-c", "user.email=a@example",
                                                 "commit", "-q", "--allow-empty", "-m", "first"),
                      ("clone", "-q", "--bare", directory, f"{directory}/bare.git"),
                      ("-C", f"{directory}/bare.git", "update-server-info")):
            netns.run("git", *words)
        self.website(directory)
        self.client.run("git", "clone", "-q", f"http://{WORLD4}/bare.git", f"{directory}/copy")
        heads = [netns.run("git", "-C", d, "rev-parse", "HEAD").stdout for d in (directory, f"{directory}/copy")]
        self.assertEqual(*heads)
        self.only_the_proxy_was_spoken_to()

    def test_megabytes_are_the_same_at_the_other_end_both_ways(self):
        size = suite.scaled(48, 1024) * MEGABYTE
        self.moved(self.client, self.world, WORLD4, size)
        self.moved(self.client, self.world, WORLD6, size // 4)
        block = os.urandom(MEGABYTE)

        def send(s):
            with s:
                for n in range(size // MEGABYTE):
                    s.sendall(struct.pack(">I", n) + block[4:])

        s = self.connect(WORLD4, self.serve(WORLD4, send))
        received, expected = hashlib.sha256(), hashlib.sha256()
        while data := s.recv(1 << 18):
            received.update(data)
        for n in range(size // MEGABYTE):
            expected.update(struct.pack(">I", n) + block[4:])
        self.assertEqual(received.hexdigest(), expected.hexdigest())
        self.only_the_proxy_was_spoken_to()

    def test_many_connections_stand_at_a_time(self):
        port, n = self.serve(WORLD4, echo), suite.scaled(300, 500)
        sockets = [self.socket(WORLD4, timeout=30) for _ in range(n)]
        threads = [threading.Thread(target=s.connect, args=((WORLD4, port),)) for s in sockets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, s in enumerate(sockets):
            s.sendall(b"%d" % number)
        for number, s in enumerate(sockets):
            self.assertEqual(s.recv(100), b"%d" % number)

    def test_a_port_that_refuses_is_refused_at_once(self):
        for address in (WORLD4, WORLD6):
            start = time.monotonic()
            with self.assertRaises(ConnectionRefusedError):
                self.connect(address, 9)
            self.assertLess(time.monotonic() - start, 5)

    def test_datagrams_are_refused_at_once(self):
        for address in (WORLD4, WORLD6):
            s = self.socket(address, UDP, timeout=5)
            s.connect((address, 443))
            s.send(b"quic")
            with self.assertRaises(OSError) as told:
                s.recv(100)
            self.assertNotIsInstance(told.exception, TimeoutError)
        self.only_the_proxy_was_spoken_to()

    def test_only_our_own_end_answers_to_ping(self):
        for own, far in ((OWN4, WORLD4), (OWN6, WORLD6)):
            self.assertTrue(self.pings(self.client, own))
            told = self.client.run("ping", "-n", "-c1", "-W", 3, far, check=False).stdout
            self.assertRegex(told, "Packet filtered|prohibited")

    def test_queries_share_a_connection_and_get_their_own_answers(self):
        s = self.socket(WORLD4, UDP, timeout=10)
        wanted = {n: ("www.example" if n % 2 else "absent.example") for n in range(1000, 1100)}
        for number, name in wanted.items():
            s.sendto(query_for(name, number), ("198.18.0.53", 53))
        for _ in range(len(wanted)):
            answer, where = s.recvfrom(4096)
            self.assertEqual(where, ("198.18.0.53", 53))
            name = wanted.pop(struct.unpack_from(">H", answer)[0])
            self.assertEqual(answer[3] & 15, 0 if name == "www.example" else 3)
            self.assertEqual(name_of(answer)[0], name)
        self.only_the_proxy_was_spoken_to()

    def test_an_answer_that_is_too_long_for_a_datagram_comes_by_tcp(self):
        query = query_for("many.example", 7)
        s = self.socket(WORLD4, UDP)
        s.sendto(query, (OWN4, 53))
        answer = s.recv(4096)
        self.assertEqual((answer[2] & 2, len(answer)), (2, len(query)), "truncated, with its question")
        s.sendto(query[:10] + b"\0\1" + query[12:] + b"\0\0\x29\x10\0" + bytes(6), (OWN4, 53))
        self.assertEqual(s.recv(4096), resolve(query), "whole for who takes 4096 octets")
        t = self.connect(OWN4, 53)
        t.sendall(struct.pack(">H", len(query)) + query)
        self.assertEqual(t.makefile("rb").read(2 + len(resolve(query)))[2:], resolve(query))

    def test_what_the_proxy_cannot_do_is_told_and_ends_when_it_can_again(self):
        port = self.serve(WORLD4, echo)
        s = self.connect(WORLD4, port)
        netns.stop(self.tinyproxy)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(s.recv(1), b"")
        start = time.monotonic()
        with self.assertRaises(OSError) as told:
            self.connect(WORLD4, port)
        self.assertNotIsInstance(told.exception, (TimeoutError, ConnectionRefusedError))
        d = self.socket(WORLD4, UDP)
        d.sendto(query_for("www.example", 5), (OWN4, 53))
        self.assertEqual(d.recv(512)[3] & 15, 2, "SERVFAIL")
        self.assertLess(time.monotonic() - start, 5)
        self.start_proxy()
        s = self.connect(WORLD4, port)
        s.sendall(b"again")
        self.assertEqual(s.recv(100), b"again")
        d.sendto(query_for("www.example", 6), (OWN4, 53))
        self.assertEqual(d.recv(512)[3] & 15, 0)
        self.only_the_proxy_was_spoken_to()


class OddProxyTest(ProxyTest):
    """A proxy of a few lines that says what it is told to, as slowly or as quickly as HTTP allows."""

    DEAD = {"192.0.2.101": "403 Forbidden", "192.0.2.102": "502 Bad Gateway", "192.0.2.103": "504 Gateway Timeout",
            "192.0.2.104": "407 Proxy Authentication Required", "192.0.2.107": "302 Found",
            "192.0.2.105": "502 Bad Gateway\r\nProxy-Status: p; error=destination_ip_unroutable",
            "192.0.2.106": "502 Bad Gateway\r\nProxy-Status: p; error=connection_timeout; details=\"a, b\"",
            "192.0.2.108": "503 No\r\nProxy-Status: a; error=dns_error, b;error=connection_refused"}
    REFUSED = {"192.0.2.102", "192.0.2.108"}

    def start_proxy(self):
        self.requests, self.asked, self.offers_udp = [], [], False
        with self.proxy:
            s = socket.create_server((PROXY4, PROXY_PORT), backlog=512)
        self.addCleanup(s.close)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=self.relay, args=(s.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def relay(self, near):
        with near, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += near.recv(4096)
            self.requests.append(head.decode())
            if head.startswith(b"GET "):
                self.upgrade(near, head.decode().split("\r\n"))
                return
            host, port = head.split()[1].decode().rsplit(":", 1)
            if host in self.DEAD:
                near.sendall(f"HTTP/1.1 {self.DEAD[host]}\r\nContent-Length: 0\r\n\r\n".encode())
                near.recv(1)
                return
            with self.proxy:
                far = socket.create_connection((host.strip("[]"), int(port)), 5)
            with far:
                self.open(near, far)

    def open(self, near, far):
        """Interim answers, the head octet by octet, and what the far end says first in the same segment as its end."""
        head = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\nX: " + b"y" * 3000 + b"\r\n\r"
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(head), 97):
            near.sendall(head[at:at + 97])
        far.settimeout(0.1)
        try:
            early = far.recv(65536)
        except TimeoutError:
            early = b""
        far.settimeout(None)
        near.sendall(b"\n" + early)

        def pump(a, b):
            with contextlib.suppress(OSError):
                while data := a.recv(65536):
                    b.sendall(data)
            with contextlib.suppress(OSError):
                b.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=pump, args=(near, far))
        thread.start()
        pump(far, near)
        thread.join()

    def upgrade(self, near, lines):
        """RFC 9298: a datagram each way in a capsule of type 0, context 0; others are sent to be ignored."""
        self.asked.append(lines[0])
        if not self.offers_udp:
            near.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")
            return
        *_, host, port, end = lines[0].split()[1].split("/")
        self.assert_upgrade(lines, end)
        host = host.replace("%3A", ":")
        with self.proxy:
            far = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, UDP)
        far.connect((host, int(port)))
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
                     b"Capsule-Protocol: ?1\r\n\r\n" + b"\x29\x03abc")

        def back():
            with contextlib.suppress(OSError):
                while True:
                    data = far.recv(65536)
                    near.sendall(b"\0" + varint(1 + len(data)) + b"\0" + data[:7])
                    near.sendall(data[7:] + b"\0\x02\x05x")  # and a context that nobody has agreed on

        threading.Thread(target=back, daemon=True).start()
        stream = near.makefile("rb")
        while kind := stream.read(1):
            value = stream.read(read_varint(stream))
            self.datagrams.append((kind[0], len(value)))
            if kind == b"\0" and value[0] == 0:
                far.send(value[1:])

    def assert_upgrade(self, lines, end):
        fields = {line.split(":")[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:] if line}
        self.datagrams = []
        if end or fields != {"host": f"{PROXY4}:{PROXY_PORT}", "connection": "Upgrade", "upgrade": "connect-udp",
                             "capsule-protocol": "?1"}:
            raise OSError(f"no request for connect-udp: {lines}")

    def test_datagrams_go_by_connect_udp_where_it_is_offered(self):
        self.offers_udp = True
        for address in (WORLD4, WORLD6):
            port = self.serve_datagrams(address)
            s = self.socket(address, UDP)
            for size in (0, 1, 63, 64, 1200, 1472, 9000, 20000):
                s.sendto(bytes([size & 255]) * size, (address, port))
                self.assertEqual(s.recvfrom(65536)[0], bytes([size & 255]) * size)
            other = self.socket(address, UDP)
            other.sendto(b"other", (address, port))
            self.assertEqual(other.recv(100), b"other")
        self.assertEqual(len(self.asked), 4, "one for each port of ours and destination")
        self.assertEqual({kind for kind, _ in self.datagrams}, {0})
        self.only_the_proxy_was_spoken_to()

    def test_a_proxy_without_connect_udp_is_asked_once_in_a_while(self):
        for _ in range(5):
            s = self.socket(WORLD4, UDP, timeout=5)
            s.connect((WORLD4, 443))
            s.send(b"quic")
            with self.assertRaises(OSError) as told:
                s.recv(100)
            self.assertNotIsInstance(told.exception, TimeoutError)
        self.assertEqual(len(self.asked), 1)

    def test_what_the_far_end_says_first_is_not_lost(self):
        def greet(s):
            with s:
                s.sendall(b"220 ready\r\n")
                s.sendall(b"got " + s.recv(100))

        s = self.connect(WORLD4, self.serve(WORLD4, greet))
        stream = s.makefile("rb")
        self.assertEqual(stream.readline(), b"220 ready\r\n")
        s.sendall(b"thanks\n")
        self.assertEqual(stream.readline(), b"got thanks\n")
        self.assertEqual(stream.read(), b"")
        request = self.requests[-1].split("\r\n")
        self.assertEqual(request[1], "Host: " + request[0].split()[1])
        self.assertEqual(request[2:], ["", ""], "no key was given, none is shown")

    def test_ends_are_passed_on_one_by_one(self):
        def answer_at_the_end(s):
            with s:
                count = 0
                while data := s.recv(65536):
                    count += len(data)
                s.sendall(b"%d" % count)

        s = self.connect(WORLD4, self.serve(WORLD4, answer_at_the_end))
        s.sendall(b"x" * 100000)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100), b"100000")
        self.assertEqual(s.recv(100), b"")

    def test_why_there_is_no_connection_is_told_as_far_as_the_proxy_tells(self):
        for address in self.DEAD:
            start = time.monotonic()
            with self.assertRaises(OSError) as told:
                self.connect(address, 443)
            self.assertEqual(isinstance(told.exception, ConnectionRefusedError), address in self.REFUSED | {"192.0.2.107"},
                             f"{self.DEAD[address]}: {told.exception}")
            self.assertNotIsInstance(told.exception, TimeoutError)
            self.assertLess(time.monotonic() - start, 3)
        self.log.flush()
        with open(self.log_path) as f:
            self.assertEqual(f.read().count("refuses the key"), 1)

    def test_a_resolver_that_falls_silent_is_asked_again_over_another_connection(self):
        seen = []

        def serve_second(s):
            seen.append(s)
            if len(seen) > 1:
                serve_dns(s)

        self.resolver.shutdown(socket.SHUT_RDWR)
        self.resolver.close()
        self.serve(WORLD4, serve_second, 53)
        s = self.socket(WORLD4, UDP, timeout=9)
        s.sendto(query_for("www.example", 77), (OWN4, 53))
        answer = s.recv(512)
        self.assertEqual((struct.unpack_from(">H", answer)[0], answer[3] & 15), (77, 0))

    def test_the_resolver_may_hang_up_after_each_answer(self):
        def serve_one(s):
            with s, contextlib.suppress(OSError):
                data = s.recv(4096)
                answer = resolve(data[2:2 + struct.unpack_from(">H", data)[0]])
                s.sendall(struct.pack(">H", len(answer)) + answer)

        self.resolver.shutdown(socket.SHUT_RDWR)
        self.resolver.close()
        self.serve(WORLD4, serve_one, 53)
        s = self.socket(WORLD4, UDP, timeout=10)
        for number in range(5):
            s.sendto(query_for("www.example", number), (OWN4, 53))
            self.assertEqual(struct.unpack_from(">H", s.recv(512))[0], number)


class OwnProxyTest(ProxyTest):
    """Both ends are ours: `culvert proxy`, shown the key as Bearer."""

    def start_proxy(self):
        self.keys = f"/run/{self.id()}.keys"
        self.write_keys(KEY)
        self.server = self.proxy.start(os.environ.get("CULVERT", "culvert"), "proxy", "--listen",
                                       f"{PROXY4}:{PROXY_PORT},[{PROXY6}]:{PROXY_PORT}", "--keys", self.keys,
                                       stdout=self.log, stderr=self.log)
        self.addCleanup(lambda: (netns.stop(self.server), self.assertEqual(self.server.returncode, 0)))
        self.soon(lambda: f":{PROXY_PORT}" in self.proxy.output("ss", "-ltn"), "culvert proxy")

    def write_keys(self, key):
        with open(self.keys, "w") as f:
            f.write(f"somebody {hashlib.sha256(key.encode()).hexdigest()}\n")

    def start_tunnel(self):
        super().start_tunnel(VPN_API_KEY=KEY)

    def test_megabytes_and_ends_pass_and_refusals_are_told(self):
        self.moved(self.client, self.world, WORLD4, 16 * MEGABYTE)
        self.moved(self.client, self.world, WORLD6, 16 * MEGABYTE)
        with self.assertRaises(ConnectionRefusedError):
            self.connect(WORLD4, 9)
        start = time.monotonic()
        with self.assertRaises(OSError) as told:  # a private network, which the proxy does not open
            self.connect("172.16.5.5", 80)
        self.assertNotIsInstance(told.exception, (TimeoutError, ConnectionRefusedError))
        self.assertLess(time.monotonic() - start, 5)
        self.only_the_proxy_was_spoken_to()

    def test_datagrams_go_by_its_connect_udp(self):
        for address in (WORLD4, WORLD6):
            port = self.serve_datagrams(address)
            s = self.socket(address, UDP)
            for size in (0, 1, 1200, 9000):
                s.sendto(bytes([size & 255]) * size, (address, port))
                self.assertEqual(s.recvfrom(65536)[0], bytes([size & 255]) * size)
        self.only_the_proxy_was_spoken_to()

    def test_a_key_that_is_taken_away_ends_what_it_opened(self):
        port = self.serve(WORLD4, echo)
        s = self.connect(WORLD4, port)
        s.sendall(b"hello")
        self.assertEqual(s.recv(100), b"hello")
        self.write_keys("another")
        self.server.send_signal(signal.SIGHUP)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(s.recv(100), b"")
        with self.assertRaises(OSError) as told:
            self.connect(WORLD4, port)
        self.assertNotIsInstance(told.exception, (TimeoutError, ConnectionRefusedError))
        self.log.flush()
        with open(self.log_path) as f:
            said = f.read()
        self.assertIn("the proxy refuses the key", said)
        self.assertNotIn(KEY, said)


class KeyTest(ProxyTest):
    wants_key = True

    def options(self):
        return ["--proxy-user", USER]

    def start_tunnel(self):
        super().start_tunnel(VPN_API_KEY=KEY)

    def run_with(self, *words, **environment):
        return self.client.run(os.environ.get("CULVERT", "culvert"), "proxy-tunnel", "--connect-proxy",
                               f"{PROXY4}:{PROXY_PORT}", "--dns", WORLD4, "--mark", MARK, "--interface", "tun1",
                               *words, check=False, env={**os.environ, **environment})

    def test_the_key_opens_and_a_wrong_one_is_named(self):
        s = self.connect(WORLD4, self.serve(WORLD4, echo))
        s.sendall(b"hello")
        self.assertEqual(s.recv(100), b"hello")
        path = f"/run/{self.id()}.key"
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write("another\n")
        for done, words in ((self.run_with("--proxy-user", USER, "--key-file", path), "refuses this key"),
                            (self.run_with(), "wants a key")):
            self.assertEqual(done.returncode, 3)
            self.assertIn(words, done.stderr)
            self.assertNotIn(KEY, done.stderr)
            self.assertNotIn("another", done.stderr)
        os.chmod(path, 0o644)
        self.assertIn("chmod 600", self.run_with("--key-file", path).stderr)


@contextlib.contextmanager
def resolver(address):
    """Everybody's resolv.conf; the sandbox has its own mounts."""
    with open("/run/resolv.conf", "w") as f:
        f.write(f"nameserver {address}\noptions timeout:3 attempts:1\n")
    netns.run("mount", "--bind", "/run/resolv.conf", os.path.realpath("/etc/resolv.conf"))
    try:
        yield
    finally:
        netns.run("umount", os.path.realpath("/etc/resolv.conf"))


if __name__ == "__main__":
    suite.main()

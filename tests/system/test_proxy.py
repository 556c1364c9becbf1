#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The CONNECT proxy as somebody without rights, between a client and a world.

    [client] 192.0.2.1 ──── 192.0.2.2, 10.7.0.1 [proxy] 198.51.100.1, 2001:db8:1::1 ──── .2, ::2 [world]
             out0           in0        culvert proxy, user nobody    out0              in0  servers, DNS

The proxy's resolver is the world's. Everything that leaves the proxy towards the world can be seen on its out0.
"""

import base64
import hashlib
import itertools
import os
import random
import re
import select
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import netns  # noqa: E402
import suite  # noqa: E402

PROXY, PORT = "192.0.2.2", 3128
OWN = "10.7.0.1"
WORLD4, WORLD6 = "198.51.100.2", "2001:db8:1::2"
NOBODY = 65534
KEY, OTHER = os.urandom(32).hex(), os.urandom(32).hex()
MEGABYTE = 1 << 20


def line(name, key):
    return f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n"


def bearer(key):
    return f"Proxy-Authorization: Bearer {key}\r\n"


class Resolver:
    """A name server: NAME -> a list of answers, of which each query of a type gets the next, the last for good."""

    def __init__(self, namespace, names):
        self.names, self.asked = names, []
        with namespace:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((WORLD4, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(2048)
            except OSError:
                return
            self.socket.sendto(self._answer(query), peer)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        name = ".".join(labels)
        self.asked.append((name, kind))
        found = self.names.get(name)
        turns = (found or {}).get(kind, [[]])
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        head = query[:2] + (b"\x81\x80" if found is not None else b"\x81\x83") + query[4:6]
        body = b""
        for address in addresses:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            body += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(packed)) + packed
        return head + struct.pack("!HHH", len(addresses), 0, 0) + query[12:at + 5] + body

    def close(self):
        self.socket.close()


class ProxyTest(suite.NetTest):
    options = ()
    names = {}

    def setUp(self):
        super().setUp()
        self.client, self.proxy, self.world = [self.net.namespace(n) for n in ("client", "proxy", "world")]
        self.net.link(self.client, "out0", self.proxy, "in0",
                      addresses=("192.0.2.1/24", [f"{PROXY}/24", f"{OWN}/32"]))
        self.net.link(self.proxy, "out0", self.world, "in0",
                      addresses=(["198.51.100.1/24", "2001:db8:1::1/64"], [f"{WORLD4}/24", f"{WORLD6}/64"]))
        self.directory = f"/run/{self._testMethodName[:40]}"
        os.makedirs(self.directory)
        self.keys(line("alice", KEY) + line("bob", OTHER))
        with open(f"{self.directory}/resolv.conf", "w") as f:
            f.write(f"nameserver {WORLD4}\noptions timeout:1 attempts:1\n")
        self.resolver = Resolver(self.world, {k: {t: list(v) for t, v in d.items()} for k, d in self.names.items()})
        self.addCleanup(self.resolver.close)
        self.start()

    def keys(self, text):
        with open(f"{self.directory}/keys", "w") as f:
            f.write(text)

    def start(self):
        words = ["unshare", "--mount", "sh", "-c",
                 'mount --bind "$0" /etc/resolv.conf && exec "$@"', f"{self.directory}/resolv.conf",
                 "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--bounding-set=-all",
                 "--inh-caps=-all", os.environ.get("CULVERT", "culvert"), "proxy", "--keys", f"{self.directory}/keys",
                 "--listen", f"{PROXY}:{PORT}", "--json", *self.options]
        self.process = self.proxy.start(*words, stdout=-1, stderr=self.log)
        ready = self.process.stdout.readline()
        self.assertIn(b'"ready":true', ready if isinstance(ready, bytes) else ready.encode())
        self.addCleanup(self.stop, self.process)

    def stop(self, process):
        netns.stop(process)
        process.stdout.close()
        self.assertIn(process.returncode, (0, -signal.SIGKILL))

    def pid(self):
        return self.process.pid

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid()}/fd"))

    def serve(self, address, handler, namespace=None, port=0):
        """A server in the world: handler(socket) per connection."""
        with namespace or self.world:
            s = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                                     backlog=512)
        self.addCleanup(s.close)

        def run():
            while True:
                try:
                    peer = s.accept()[0]
                except OSError:
                    return
                threading.Thread(target=handler, args=(peer,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        return s.getsockname()[1]

    def connect(self, timeout=15):
        with self.client:
            s = socket.socket()
        self.addCleanup(s.close)
        s.settimeout(timeout)
        s.connect((PROXY, PORT))
        return s

    def ask(self, request, timeout=15):
        """Send that; (status, response, socket)."""
        s = self.connect(timeout)
        s.sendall(request if isinstance(request, bytes) else request.encode())
        return (*response(s), s)

    def tunnel(self, target, key=KEY, more=""):
        status, text, s = self.ask(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{bearer(key)}{more}\r\n")
        self.assertEqual(status, 200, text)
        return s

    def status(self, target, key=KEY):
        status, text, s = self.ask(f"CONNECT {target} HTTP/1.1\r\n{bearer(key)}\r\n")
        s.close()
        return status


def response(s):
    """The head of a response, octet by octet where it has to be: what follows belongs to the tunnel."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        octet = s.recv(1)
        if not octet:
            break
        text += octet
    words = text.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 else 0), text.decode()


def echo(s):
    with s:
        try:
            while data := s.recv(1 << 16):
                s.sendall(data)
        except OSError:
            pass


def read_all(s):
    data = b""
    while chunk := s.recv(1 << 16):
        data += chunk
    return data


class Tunnels(ProxyTest):
    names = {"echo.test": {1: [[WORLD4]], 28: [[]]},
             "slow6.test": {1: [[WORLD4]], 28: [["2001:db8:1::dead"]]}}

    def test_carries_curl_to_a_server_by_name_and_by_address(self):
        os.makedirs(f"{self.directory}/www")
        with open(f"{self.directory}/www/file", "wb") as f:
            f.write(os.urandom(3 * MEGABYTE))
        self.world.start("python3", "-m", "http.server", "8080", "--bind", WORLD4, "--directory",
                         f"{self.directory}/www", stdout=-3, stderr=-3)
        self.soon(lambda: "8080" in self.world.output("ss", "-ltn"), "the server")
        for host in ("echo.test", WORLD4):
            for who in (["--proxy-header", f"Proxy-Authorization: Bearer {KEY}"], ["--proxy-user", f"me:{KEY}"],
                        ["--proxy-anyauth", "--proxy-user", f"me:{KEY}"]):
                out = f"{self.directory}/got"
                self.client.run("curl", "-sf", "-p", "-x", f"http://{PROXY}:{PORT}", *who, "-o", out,
                                f"http://{host}:8080/file")
                with open(out, "rb") as a, open(f"{self.directory}/www/file", "rb") as b:
                    self.assertEqual(a.read(), b.read())

    def test_carries_much_both_ways_at_once_unharmed(self):
        sent = {}

        def both(s):
            with s:
                down, size = os.urandom(MEGABYTE), 48
                sent["down"] = hashlib.sha256(down * size).hexdigest()
                sender = threading.Thread(target=lambda: [s.sendall(down) for _ in range(size)])
                sender.start()
                digest = hashlib.sha256()
                while data := s.recv(1 << 18):
                    digest.update(data)
                sent["up"] = digest.hexdigest()
                sender.join()

        for address in (WORLD4, WORLD6):
            port = self.serve(address, both)
            s = self.tunnel(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
            up, got = os.urandom(MEGABYTE), hashlib.sha256()

            def send():
                for _ in range(48):
                    s.sendall(up)
                s.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            while data := s.recv(1 << 18):
                got.update(data)
            sender.join()
            self.assertEqual(got.hexdigest(), sent["down"])
            self.assertEqual(hashlib.sha256(up * 48).hexdigest(), sent["up"])

    def test_passes_an_end_of_one_direction_on_and_keeps_the_other(self):
        def count(s):
            with s:
                data = read_all(s)
                s.sendall(b"%d octets" % len(data))

        port = self.serve(WORLD4, count)
        s = self.tunnel(f"{WORLD4}:{port}")
        s.sendall(b"x" * 1000)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(s), b"1000 octets")

        def speak_first(s):
            with s:
                s.sendall(b"over")
                s.shutdown(socket.SHUT_WR)
                got.append(read_all(s))

        got = []
        s = self.tunnel(f"{WORLD4}:{self.serve(WORLD4, speak_first)}")
        self.assertEqual(read_all(s), b"over")
        s.sendall(b"still here")
        s.close()
        self.soon(lambda: got == [b"still here"], "what came after the other end had ended")

    def test_carries_what_came_with_the_request(self):
        port = self.serve(WORLD4, echo)
        head = f"CONNECT {WORLD4}:{port} HTTP/1.1\r\n{bearer(KEY)}\r\n".encode()
        for early in (b"early", b"e" * 7000, b"f" * 200000):
            s = self.connect()
            threading.Thread(target=s.sendall, args=(head + early,)).start()
            self.assertEqual(response(s)[0], 200)
            got = b""
            while len(got) < len(early):
                got += s.recv(1 << 16)
            self.assertEqual(got, early)
            s.close()

    def test_reads_a_request_octet_by_octet(self):
        port = self.serve(WORLD4, echo)
        s = self.connect()
        for octet in f"CONNECT {WORLD4}:{port} HTTP/1.0\r\n{bearer(KEY)}\r\n":
            s.sendall(octet.encode())
        self.assertEqual(response(s)[0], 200)
        s.sendall(b"ping")
        self.assertEqual(s.recv(10), b"ping")

    def test_a_reset_stays_a_reset(self):
        def reset(s):
            s.recv(10)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()

        s = self.tunnel(f"{WORLD4}:{self.serve(WORLD4, reset)}")
        s.sendall(b"x")
        with self.assertRaises(ConnectionResetError):
            s.recv(10)

    def test_tries_the_other_family_beside_one_that_does_not_answer(self):
        self.world.rules("inet", "filter hook input", "ip6 daddr 2001:db8:1::dead drop")
        self.world.ip("-6", "address", "add", "2001:db8:1::dead/64", "dev", "in0", "nodad")
        port = self.serve(WORLD4, echo)
        s = self.tunnel(f"slow6.test:{port}")
        s.sendall(b"ping")
        self.assertEqual(s.recv(10), b"ping")

    def test_no_descriptor_is_left_after_many_tunnels_of_every_kind(self):
        port = self.serve(WORLD4, echo)
        self.tunnel(f"{WORLD4}:{port}").close()
        before, count = self.descriptors(), suite.scaled(300, 100000)
        for i in range(count):
            s = self.tunnel(f"{WORLD4}:{port}")
            if i % 3 == 0:
                s.sendall(b"x" * 100000)
            if i % 5 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            self.assertEqual(self.status(f"{WORLD4}:1"), 502)
        self.soon(lambda: self.descriptors() <= before + 4, "descriptors as before, but for pipes that are kept")

    def test_another_takes_the_port_at_once_after_kill_9(self):
        s = self.tunnel(f"{WORLD4}:{self.serve(WORLD4, echo)}")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()
        self.assertEqual(s.recv(10) if self._is_open(s) else b"", b"")
        self.tunnel(f"{WORLD4}:{self.serve(WORLD4, echo)}")

    @staticmethod
    def _is_open(s):
        try:
            s.settimeout(2)
            return s.recv(1, socket.MSG_PEEK) is not None
        except OSError:
            return False


def varint(n):
    if n < 64:
        return bytes([n])
    return struct.pack("!H", n | 1 << 14) if n < 1 << 14 else struct.pack("!I", n | 2 << 30)


def capsule(payload, kind=0, context=b"\0"):
    return varint(kind) + varint(len(context + payload)) + context + payload


def payloads(s, count):
    """So many payloads out of what comes."""
    data, found = b"", []

    def number(at):
        size = 1 << (data[at] >> 6) if at < len(data) else 9
        if at + size > len(data):
            return None, at
        return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size

    while len(found) < count:
        kind, at = number(0)
        length, at = number(at)
        if length is None or len(data) < at + length:
            chunk = s.recv(1 << 16)
            assert chunk, "the tunnel ended"
            data += chunk
            continue
        assert (kind, data[at]) == (0, 0)
        found.append(data[at + 1:at + length])
        data = data[at + length:]
    return found


class Datagrams(ProxyTest):
    names = {"world.test": {1: [[WORLD4]], 28: [[]]}, "inside.test": {1: [["127.0.0.1"]], 28: [[]]}}
    UPGRADE = "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n"

    def ask_udp(self, host, port, key=KEY, more=UPGRADE, early=b""):
        head = f"GET /.well-known/masque/udp/{host}/{port}/ HTTP/1.1\r\nHost: {PROXY}\r\n{more}{bearer(key)}\r\n"
        return self.ask(head.encode() + early)

    def echo_udp(self, address):
        with self.world:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, 0))
        self.addCleanup(s.close)

        def run():
            while True:
                try:
                    s.sendto(*s.recvfrom(1 << 16))
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        return s.getsockname()[1]

    def test_datagrams_go_through_in_capsules_whole_and_in_pieces(self):
        for host, address in ((WORLD4, WORLD4), ("world.test", WORLD4), (WORLD6.replace(":", "%3A"), WORLD6)):
            port = self.echo_udp(address)
            status, text, s = self.ask_udp(host, port, early=capsule(b"early") + capsule(b"part")[:3])
            self.assertEqual(status, 101, text)
            self.assertIn("Upgrade: connect-udp", text)
            s.sendall(capsule(b"part")[3:])
            self.assertEqual(payloads(s, 2), [b"early", b"part"])
            sent = [b"", b"x", os.urandom(1200), os.urandom(20000)]
            for one in sent:
                s.sendall(capsule(one, kind=77, context=b"") + capsule(b"of another context", context=b"\x02") + capsule(one))
                self.assertEqual(payloads(s, 1), [one])
            for octet in capsule(b"slowly"):
                s.sendall(bytes([octet]))
            self.assertEqual(payloads(s, 1), [b"slowly"])
            s.close()
        self.soon(lambda: not self.proxy.output("ss", "-Hun").strip(), "no socket is left")

    def test_rules_are_those_of_connect(self):
        port = self.echo_udp(WORLD4)
        for host, key, more, want in ((WORLD4, "nobody", self.UPGRADE, 407), ("127.0.0.1", KEY, self.UPGRADE, 403),
                                      ("inside.test", KEY, self.UPGRADE, 403), (OWN, KEY, self.UPGRADE, 403),
                                      ("nothing.test", KEY, self.UPGRADE, 502), (WORLD4, KEY, "", 400),
                                      ("a%40b", KEY, self.UPGRADE, 400),
                                      (WORLD4, KEY, "Connection: Upgrade\r\nUpgrade: websocket\r\n", 400)):
            status, text, s = self.ask_udp(host, port, key, more)
            s.close()
            self.assertEqual(status, want, (host, text))
        self.assertEqual(self.ask_udp(WORLD4, 0)[0], 400)
        s = self.ask_udp(WORLD4, port)[2]
        s.sendall(varint(0) + varint(1 << 20) + b"\0")  # more than a datagram holds
        with self.assertRaises(ConnectionResetError):
            s.recv(10)


class Admission(ProxyTest):
    names = {"world.test": {1: [[WORLD4]], 28: [[]]}}
    options = ("--tunnels-per-key", "3", "--idle", "3600")

    def seen(self):
        return [p for p in self.capture.packets() if p[0] and p[1][9:10] in (b"\x06", b"\x11")]

    def test_asks_for_a_key_before_anything_leaves_for_anywhere(self):
        port = self.serve(WORLD4, echo)
        self.capture = suite.Capture(self.proxy, "out0")
        self.addCleanup(self.capture.close)
        wrong = ["", bearer("x"), bearer(KEY[:-1]), bearer(KEY + "0"), bearer(KEY.upper() + "G"), bearer(""),
                 f"Proxy-Authorization: Basic {KEY}\r\n", f"Proxy-Authorization: Digest {KEY}\r\n",
                 f"Authorization: Bearer {KEY}\r\n", f"Proxy-Authorization: {KEY}\r\n",
                 "Proxy-Authorization: Basic " + base64.b64encode(f"{KEY}:wrong".encode()).decode() + "\r\n",
                 "Proxy-Authorization: Basic " + base64.b64encode(KEY.encode()).decode() + "\r\n"]
        count = suite.scaled(300, 100000)
        for i, (field, host) in enumerate(itertools.islice(itertools.cycle(
                itertools.product(wrong, (WORLD4, "world.test", f"name{os.getpid()}.test", "127.0.0.1"))), count)):
            status, text, s = self.ask(f"CONNECT {host}:{port} HTTP/1.1\r\n{field}\r\n")
            s.close()
            self.assertEqual(status, 407, field)
        self.assertIn("\r\nProxy-Authenticate: Bearer\r\n", text)
        self.assertIn("\r\nProxy-Authenticate: Basic realm=", text)
        self.assertEqual((self.seen(), self.resolver.asked), ([], []))
        self.tunnel(f"world.test:{port}")
        self.assertTrue(self.seen(), "the capture sees what leaves")

    def test_a_key_that_goes_takes_its_tunnels_along(self):
        port = self.serve(WORLD4, echo)
        mine, theirs = self.tunnel(f"{WORLD4}:{port}"), self.tunnel(f"{WORLD4}:{port}", OTHER)
        self.keys(line("bob", OTHER))
        self.process.send_signal(signal.SIGHUP)
        mine.settimeout(5)
        with self.assertRaises(ConnectionResetError):
            mine.recv(10)
        theirs.sendall(b"ping")
        self.assertEqual(theirs.recv(10), b"ping")
        self.assertEqual(self.status(f"{WORLD4}:{port}"), 407)
        self.keys("bob not-a-hash\n")
        self.process.send_signal(signal.SIGHUP)
        self.soon(lambda: "line 1" in open(self.log_path).read(), "a complaint about the line")
        theirs.sendall(b"ping")
        self.assertEqual(theirs.recv(10), b"ping")

    def test_one_key_has_so_many_tunnels_and_another_has_its_own(self):
        port = self.serve(WORLD4, echo)
        held = [self.tunnel(f"{WORLD4}:{port}") for _ in range(3)]
        self.assertEqual(self.status(f"{WORLD4}:{port}"), 429)
        self.tunnel(f"{WORLD4}:{port}", OTHER)
        held.pop().close()
        self.soon(lambda: self.status(f"{WORLD4}:{port}") == 200, "room after one was closed")

    def test_refuses_what_is_not_exactly_a_request(self):
        good = f"CONNECT {WORLD4}:1 HTTP/1.1\r\n"
        for request, want in (
                ("GET / HTTP/1.1\r\n\r\n", 405), ("GET http://world.test/ HTTP/1.1\r\n\r\n", 405),
                ("connect a:1 HTTP/1.1\r\n\r\n", 405), ("CONNECT a:1 HTTP/2.0\r\n\r\n", 505),
                ("CONNECT a HTTP/1.1\r\n\r\n", 400), ("CONNECT a:0 HTTP/1.1\r\n\r\n", 400),
                ("CONNECT me@a:1 HTTP/1.1\r\n\r\n", 400), ("CONNECT http://a:1 HTTP/1.1\r\n\r\n", 400),
                ("CONNECT a:1 HTTP/1.1\n\n", 400), ("CONNECT a:1 \0HTTP/1.1\r\n\r\n", 400),
                (good + "A: b\r\n c\r\n\r\n", 400), (good + "A : b\r\n\r\n", 400),
                (good + "Content-Length: 5\r\n\r\nhello", 400), (good + bearer(KEY) * 2 + "\r\n", 400),
                ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n", 400), (good + f"A: {'x' * 9000}\r\n\r\n", 431)):
            status, text, s = self.ask(request)
            self.assertEqual(status, want, request[:60])
            self.assertTrue(read_all(s).strip(), "it says why")
            s.close()


class Bounds(ProxyTest):
    names = {"dead.test": {1: [["198.51.100.77"]], 28: [[]]}}

    @property
    def options(self):
        return ("--tunnels", "256", "--workers", "1", "--status", f"{self.directory}/status")

    def start(self):
        os.chmod(self.directory, 0o777)
        super().start()

    def test_serves_the_honest_while_others_dawdle_and_gives_up_what_does_not_come(self):
        """Both waits are ten seconds, beside each other."""
        port = self.serve(WORLD4, echo)
        self.world.rules("ip", "filter hook input", "ip daddr 198.51.100.77 drop")
        self.world.ip("address", "add", "198.51.100.77/24", "dev", "in0")
        slow = []
        for i in range(150):
            s = self.connect()
            s.sendall(b"CONNECT a:1 HTTP/1.1\r\nX-" + b"a" * i)
            slow.append(s)
        dead = self.connect(20)
        dead.sendall(f"CONNECT dead.test:{port} HTTP/1.1\r\n{bearer(KEY)}\r\n".encode())
        for i in range(40):
            s = self.tunnel(f"{WORLD4}:{port}")
            s.sendall(b"ping")
            self.assertEqual(s.recv(10), b"ping")
            s.close()
            try:
                slow[-1].sendall(b"x")
            except OSError:
                pass
            time.sleep(0.1)
        self.assertEqual(response(dead)[0], 504)
        answers = []
        for s in slow:
            try:
                answers.append(response(s)[0])
            except OSError:
                answers.append(0)
        self.assertLessEqual(set(answers), {0, 408})
        self.assertIn(408, answers, "those that were not pushed out were told")

    def test_tells_what_it_has_done(self):
        port = self.serve(WORLD4, echo)
        s = self.tunnel(f"{WORLD4}:{port}")
        s.sendall(b"x" * 1000)
        self.assertEqual(len(s.recv(1000, socket.MSG_WAITALL)), 1000)
        self.status("127.0.0.1:1")
        self.status(f"{WORLD4}:{port}", "nobody")
        text = netns.run("curl", "-sf", "--unix-socket", f"{self.directory}/status", "http://proxy/metrics").stdout
        for one in ("culvert_proxy_tunnels 1", "culvert_proxy_keys 2", "culvert_proxy_received_bytes_total 1000",
                    "culvert_proxy_sent_bytes_total 1000", 'culvert_proxy_refused_total{reason="address"} 1',
                    'culvert_proxy_refused_total{reason="key"} 1'):
            self.assertIn(one + "\n", text)
        self.process.send_signal(signal.SIGUSR1)
        self.soon(lambda: "1 without a key" in open(self.log_path).read(), "a line about it")


def forms4(address):
    """Ways to write an IPv4 address that some reader understands."""
    a, b, c, d = (int(x) for x in address.split("."))
    n = a << 24 | b << 16 | c << 8 | d
    yield from (address, str(n), f"0x{n:x}", f"0X{n:08X}", f"0{n:o}", f"{a}.{b << 16 | c << 8 | d}",
                f"{a}.{b}.{c << 8 | d}", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
                f"0x{a:02x}.{b}.0{c:o}.{d}", f"000{a:o}.{b}.{c}.{d}", f"{a}.0x{b << 16 | c << 8 | d:x}")
    pair = f"{a:02x}{b:02x}:{c:02x}{d:02x}"
    for head in ("::ffff:", "0:0:0:0:0:ffff:", "::ffff:0:", "::", "64:ff9b::", "64:ff9b:1::"):
        yield f"[{head}{address}]"
        yield f"[{head}{pair}]"
    yield f"[2002:{pair}::1]"
    yield f"[2002:{pair}::]"
    yield f"[2001:0:{pair}::1]"
    m = n ^ 0xFFFFFFFF
    yield f"[2001:0:c000:201::{m >> 16:x}:{m & 0xffff:x}]"
    yield f"[2001:db8:1::5efe:{address}]"


class Policy(ProxyTest):
    names = {"rebind.test": {1: [[WORLD4], ["127.0.0.1"]], 28: [[]]},
             "inside.test": {1: [["127.0.0.1"]], 28: [["::1"]]},
             "mixed.test": {1: [["127.0.0.1", WORLD4, OWN]], 28: [["::ffff:127.0.0.1"]]},
             "mapped.test": {1: [[]], 28: [["::ffff:10.7.0.1"]]}}

    REFUSED4 = ("127.0.0.1", "127.255.255.254", "127.8.9.10", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2",
                "169.254.0.1", "10.7.0.1", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
                "192.168.255.254", "100.64.0.1", "100.127.255.254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
                "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", PROXY, "198.51.100.1")
    REFUSED6 = ("::1", "::", "0:0:0:0:0:0:0:1", "fe80::1", "febf:ffff::1", "fec0::1", "fc00::1", "fd00:ec2::254",
                "fdff:ffff::1", "ff02::1", "ff0e::1", "100::1", "fd20:ce::254", "2001:db8:1::1", "2001:DB8:1:0::1")

    def test_reaches_no_inside_address_in_whatever_form_it_is_written(self):
        reached = []
        ports = [self.serve(a, lambda s: (reached.append(s), s.close()), self.proxy)
                 for a in ("127.0.0.1", "::1", OWN, "198.51.100.1", "2001:db8:1::1")]
        rng, seed = random.Random(), random.randrange(1 << 32)
        rng.seed(seed)
        print(f"# seed {seed}")
        cases = [f for a in self.REFUSED4 for f in forms4(a)] + [f"[{a}]" for a in self.REFUSED6]
        for net, bits in (("127.0.0.0", 8), ("10.0.0.0", 8), ("169.254.0.0", 16), ("172.16.0.0", 12),
                          ("192.168.0.0", 16), ("100.64.0.0", 10), ("224.0.0.0", 3)):
            base = struct.unpack("!I", socket.inet_aton(net))[0]
            for _ in range(8 if not suite.SOAK else 400):
                n = base | rng.getrandbits(32 - bits)
                cases += list(forms4(socket.inet_ntoa(struct.pack("!I", n))))
        capture = suite.Capture(self.proxy, "out0")
        self.addCleanup(capture.close)
        print(f"# scale: {len(cases)} forms of addresses")
        wrong = []
        for i, form in enumerate(cases):
            status = self.status(f"{form}:{ports[i % len(ports)]}")
            # An octal number that is none is no address to anybody: then it is a name, which is not there.
            if status != 403 and not (status in (400, 502) and not form.startswith("[") and "0" in form):
                wrong.append((form, status))
        self.assertEqual(wrong, [])
        self.assertEqual(reached, [])
        sent = [p for out, p in capture.packets() if out and (p[9:10] == b"\x06" if p[0] >> 4 == 4 else p[6:7] == b"\x06")]
        self.assertEqual(sent, [], "no connection left for anywhere")

    def test_connects_to_the_address_that_was_judged_whatever_a_name_says_next(self):
        reached = []
        port = self.serve("127.0.0.1", lambda s: (reached.append(s), s.close()), self.proxy)
        self.serve(WORLD4, echo, port=port)
        self.assertEqual(self.status(f"rebind.test:{port}"), 200)
        self.assertEqual(self.status(f"rebind.test:{port}"), 403)
        self.assertEqual(self.status(f"inside.test:{port}"), 403)
        self.assertEqual(self.status(f"mapped.test:{port}"), 403)
        self.assertEqual(self.status(f"localhost:{port}"), 403)
        s = self.tunnel(f"mixed.test:{port}")
        s.sendall(b"ping")
        self.assertEqual(s.recv(10), b"ping")
        self.assertEqual(reached, [])
        self.assertEqual(self.status(f"nothing.test:{port}"), 502)

    def test_an_address_that_is_new_is_the_hosts_own_soon(self):
        reached = []
        self.proxy.ip("address", "add", "198.51.100.9/24", "dev", "out0")
        port = self.serve("198.51.100.9", lambda s: (reached.append(s), s.close()), self.proxy)
        self.soon(lambda: self.status(f"198.51.100.9:{port}") == 403, "a refusal", 4)


class Allowed(ProxyTest):
    options = ("--allow", "10.8.0.0/24,fd08::/64", "--rate-per-key", str(4 * MEGABYTE))

    def test_opened_networks_are_reached_and_others_not_and_a_rate_loses_nothing(self):
        self.world.ip("address", "add", "10.8.0.2/24", "dev", "in0")
        self.proxy.ip("route", "add", "10.8.0.0/16", "dev", "out0")
        port = self.serve("10.8.0.2", echo)
        s = self.tunnel(f"10.8.0.2:{port}")
        data = os.urandom(2 * MEGABYTE)
        threading.Thread(target=s.sendall, args=(data,)).start()
        got = b""
        while len(got) < len(data):
            got += s.recv(1 << 16)
        self.assertEqual(got, data)
        self.assertEqual(self.status(f"10.8.1.2:{port}"), 403)
        self.assertEqual(self.status(f"10.7.0.1:{port}"), 403)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A tunnel where UDP does not get through: over TCP, https, http, and through a proxy.

    [client] 192.0.2.2 ──── [router] ──── 198.51.100.2 [server]
                              │ drops what a test says
                        203.0.113.2 [proxy]                      where a proxy is the only way
"""

import hashlib
import os
import re
import signal
import socket
import ssl
import threading
import time

import carriers
import suite

MIB = 1 << 20


class Ways(carriers.CarrierTest):
    def carried(self, kind, *more, **options):
        """Bring the tunnel over a carrier and move something both ways."""
        self.connect(kind, *more, **options)
        self.lead("127.0.0.1:7000")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), f"a ping over {kind}", 15)
        size = suite.scaled(16, 256) * MIB
        self.moved(self.client, self.server, "10.9.0.2", size)
        self.moved(self.server, self.client, "10.9.0.1", size)

    def test_carries_a_tunnel_over_tcp_where_udp_is_dropped(self):
        self.only("tcp dport 8443 accept")
        self.tunnel()
        self.serve("tcp")
        self.carried("tcp")

    def test_carries_a_tunnel_over_https_where_only_443_is_open(self):
        self.only("tcp dport 443 accept")
        self.tunnel()
        self.serve("https")
        self.carried("https")

    def test_carries_a_tunnel_over_plain_http(self):
        self.only("tcp dport 80 accept")
        self.tunnel()
        self.serve("http")
        self.carried("http")

    def test_carries_a_tunnel_over_ipv6(self):
        for namespace, interface, address in ((self.client, "out0", "2001:db8:1::2/64"), (self.router, "c0", "2001:db8:1::1/64"),
                                              (self.router, "s0", "2001:db8:2::1/64"), (self.server, "out0", "2001:db8:2::2/64")):
            namespace.address(interface, address)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.client.ip("-6", "route", "add", "default", "via", "2001:db8:1::1")
        self.server.ip("-6", "route", "add", "default", "via", "2001:db8:2::1")
        self.tunnel()
        self.serve("tcp", address="[::]")
        self.carried("tcp", host="[2001:db8:2::2]")


class ThroughAProxy(Ways):
    CREDENTIALS = ("anna", "s3cret")

    def setUp(self):
        super().setUp()
        self.proxy = self.net.namespace("proxy")
        self.net.link(self.router, "p0", self.proxy, "out0", addresses=("203.0.113.1/24", "203.0.113.2/24"))
        self.proxy.ip("route", "add", "default", "via", "203.0.113.1")
        config = self.write("tinyproxy.conf", "Port 3128\nListen 203.0.113.2\nTimeout 600\nMaxClients 50\n"
                            "LogLevel Error\nConnectPort 443\nConnectPort 8443\n"
                            f"BasicAuth {self.CREDENTIALS[0]} {self.CREDENTIALS[1]}\n")
        self.proxy.start("tinyproxy", "-d", "-c", config, stdout=self.log, stderr=self.log)
        self.soon(lambda: "3128" in self.proxy.output("ss", "-ltn"), "the proxy listens")
        self.only("ip daddr 203.0.113.2 tcp dport 3128 accept", "ip saddr 203.0.113.2 accept")
        self.tunnel()

    def via(self, key=None):
        user, right = self.CREDENTIALS
        path = self.write("via-key", (key or right) + "\n")
        return "--via", "http://203.0.113.2:3128", "--via-user", user, "--via-key-file", path

    def test_takes_no_key_of_a_proxy_from_the_command_line(self):
        words = ("carrier", "--to", "tcp://198.51.100.2:8443", "--listen", "127.0.0.1:7000", "--key-file", f"{self.dir}/key")
        said = self.client.run(carriers.CULVERT, *words, "--via", "http://anna:s3cret@203.0.113.2:3128", check=False)
        self.assertEqual(said.returncode, 3, said.stderr)
        self.assertIn("--via-key-file", said.stderr)
        self.assertNotIn("s3cret", said.stderr)

    def test_takes_it_from_the_environment(self):
        self.serve("tcp")
        self.connect("tcp", env={"CULVERT_CARRIER_VIA": "http://anna:s3cret@203.0.113.2:3128"})
        self.lead("127.0.0.1:7000")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping through the proxy", 15)

    def test_carries_a_tunnel_through_a_proxy(self):
        self.serve("tcp", "https")
        self.carried("https", *self.via())

    def test_says_that_a_proxy_refused_the_key(self):
        self.serve("tcp")
        for words in (self.via("wrong"), ("--via", "http://203.0.113.2:3128")):
            end = self.connect("tcp", *words)
            self.soon(lambda: re.search(r"the proxy 203\.0\.113\.2 .*40[17]", open(self.log_path).read()), "a reason")
            end.terminate()
            end.wait(10)


# The base's tests once are enough.
for name in [n for n in dir(Ways) if n.startswith("test_")]:
    setattr(ThroughAProxy, name, None)


class Fenced(carriers.CarrierTest):
    def status(self, process):
        with open(f"/proc/{process.pid}/status") as f:
            return dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)

    def test_keeps_no_right_but_that_to_a_mark_or_a_device(self):
        self.tunnel()
        self.serve("tcp")
        for number, (words, rights) in enumerate(((("--mark", "7"), 1 << 12), (("--device", "out0"), 1 << 13), ((), 0),
                                                  (("--mark", "7", "--device", "out0"), 3 << 12))):
            end = self.connect("tcp", *words, port=7000 + number)
            self.lead(f"127.0.0.1:{7000 + number}")
            self.soon(lambda: self.pings(self.client, "10.9.0.2"), f"a ping with {words}", 15)
            s = self.status(end)
            self.assertNotIn("0", s["Uid"].split(), words)
            self.assertEqual(s["NoNewPrivs"], "1", words)
            for name, want in (("CapPrm", rights), ("CapEff", rights), ("CapInh", 0), ("CapBnd", 0), ("CapAmb", 0)):
                self.assertEqual(int(s[name], 16), want, (words, name))


class Switching(carriers.CarrierTest):
    def test_a_session_survives_from_udp_to_a_carrier_and_back(self):
        self.tunnel()
        self.serve("https")
        self.connect("https")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping over UDP")
        with self.server:
            listener = socket.create_server(("10.9.0.2", 0))
        with self.client:
            long = socket.create_connection(listener.getsockname(), timeout=10)
        other = listener.accept()[0]
        other.settimeout(10)
        shaken = self.near.get()[1][self.far.public]["last_handshake_time_nsec"]
        for number, (rules, endpoint) in enumerate(((("meta l4proto udp drop",), "127.0.0.1:7000"),
                                                    ((), "198.51.100.2:51820"),
                                                    (("meta l4proto udp drop",), "127.0.0.1:7000"))):
            self.router.rules("inet", "filter hook forward", *rules)
            self.lead(endpoint)
            for sender, receiver in ((long, other), (other, long)):
                words = b"still here %d" % number
                sender.sendall(words)
                self.assertEqual(receiver.recv(100), words, endpoint)
        self.assertEqual(self.near.get()[1][self.far.public]["last_handshake_time_nsec"], shaken,
                         "the session is the first one still")
        for s in (long, other, listener):
            s.close()

    def test_finds_the_server_again_after_it_was_gone(self):
        self.tunnel()
        self.serve("tcp")
        self.connect("tcp")
        self.lead("127.0.0.1:7000")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping")
        self.gate.kill()
        self.killed = self.gate
        self.assertFalse(self.pings(self.client, "10.9.0.2"), "nothing without it")
        self.serve("tcp")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping through the new one", 20)

    def test_a_stalled_connection_drops_old_datagrams(self):
        self.tunnel()
        self.serve("tcp")
        end = self.connect("tcp")
        self.lead("127.0.0.1:7000")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping")
        with self.server:
            sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sink.bind(("10.9.0.2", 5000))
        sink.settimeout(1)
        arrived, over = set(), threading.Event()

        def take():
            while not over.is_set():
                try:
                    arrived.add(int.from_bytes(sink.recv(2000)[:4], "big"))
                except TimeoutError:
                    pass

        reader = threading.Thread(target=take, daemon=True)
        reader.start()
        with self.client:
            source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sent = {"before": range(0, 50), "stalled": range(50, 550), "after": range(550, 650)}
        for phase, numbers in sent.items():
            if phase != "before":
                time.sleep(0.1)
                self.router.rules("inet", "filter hook forward", *(["tcp dport 8443 drop"] if phase == "stalled" else []))
            if phase == "after":
                self.soon(lambda: self.pings(self.client, "10.9.0.2"), "TCP tries again", 20)
            for number in numbers:
                source.sendto(number.to_bytes(4, "big") + bytes(1196), ("10.9.0.2", 5000))
                time.sleep(0.004)
        time.sleep(1)
        over.set()
        reader.join(5)
        came = {phase: len(arrived.intersection(numbers)) for phase, numbers in sent.items()}
        print(f"# of 50, 500 and 100 datagrams before, in and after the stall arrived {came}")
        self.assertGreater(came["before"], 40)
        self.assertLess(came["stalled"], 250, "most of what was sent meanwhile is gone")
        self.assertGreater(came["after"], 50, "what is new gets through")
        end.send_signal(signal.SIGUSR1)
        self.soon(lambda: re.search(r"dropped [1-9]", open(self.log_path).read()), "it counts what it dropped")


class Choosing(carriers.CarrierTest):
    def log_says(self, pattern):
        return re.search(pattern, open(self.log_path).read())

    def test_goes_over_what_works_and_back_to_udp_without_losing_a_connection(self):
        self.tunnel()
        self.serve("tcp", "https")
        self.router.address("c0", "192.0.2.3/24")
        self.only("tcp dport 443 accept", "tcp dport 8443 reject with tcp reset")
        self.client.start("ping", "-n", "-q", "-i", "0.2", "10.9.0.2", stdout=self.log, stderr=self.log)
        _, ready = self.run_end(self.client, "--auto", "cn0", "--peer", self.far.public, "--key-file", f"{self.dir}/key",
                                "--to", "tcp://198.51.100.2:8443,https://198.51.100.2", "--pin", self.pin)
        self.assertEqual(ready, {"ready": True})
        self.soon(lambda: self.log_says("cn0 goes over 198.51.100.2 now") and self.pings(self.client, "10.9.0.2"),
                  "over https, the only way", 40)
        with self.server:
            listener = socket.create_server(("10.9.0.2", 0))
        with self.client:
            long = socket.create_connection(listener.getsockname(), timeout=20)
        other = listener.accept()[0]
        other.settimeout(20)
        self.addCleanup(lambda: [s.close() for s in (long, other, listener)])
        self.only("meta l4proto udp accept")
        self.client.ip("route", "replace", "default", "via", "192.0.2.3")
        self.soon(lambda: self.log_says("another network"), "it sees that")
        self.soon(lambda: self.near.get()[1][self.far.public]["endpoint"] == "198.51.100.2:51820", "back to UDP", 20)
        for sender, receiver in ((long, other), (other, long)):
            sender.sendall(b"still here")
            self.assertEqual(receiver.recv(100), b"still here")
        self.only("tcp dport 443 accept")
        self.client.ip("route", "replace", "default", "via", "192.0.2.1")
        # What worked here before is the first that is tried: a second or two, not a round of patience.
        self.soon(lambda: self.near.get()[1][self.far.public]["endpoint"].startswith("127.0.0.1:"), "it remembers", 5)
        long.sendall(b"and here")
        self.assertEqual(other.recv(100), b"and here")


class OneWay(Choosing):
    """It takes as long as a session lives."""

    is_for_soak = staticmethod(lambda name: True)
    test_goes_over_what_works_and_back_to_udp_without_losing_a_connection = None

    def test_leaves_udp_where_only_what_it_sends_is_blocked(self):
        self.tunnel()
        self.serve("https")
        self.client.start("ping", "-n", "-q", "-i", "0.5", "10.9.0.2", stdout=self.log, stderr=self.log)
        self.run_end(self.client, "--auto", "cn0", "--peer", self.far.public, "--key-file", f"{self.dir}/key",
                     "--to", "https://198.51.100.2", "--pin", self.pin)
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "UDP", 15)
        self.server.start("ping", "-n", "-q", "-i", "0.5", "10.9.0.1", stdout=self.log, stderr=self.log)
        self.router.rules("inet", "filter hook forward", "ip saddr 192.0.2.2 meta l4proto udp counter drop", table="oneway")
        self.soon(lambda: self.log_says("cn0 goes over 198.51.100.2 now"), "over https", 200)
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping over https", 15)


class Strangers(carriers.CarrierTest):
    def listen(self):
        """All three, and a counter of what reaches WireGuard's port."""
        self.serve("tcp", "https", "http")
        self.server.rules("inet", "filter hook output", "udp dport 51820 counter")

    def test_nothing_is_forwarded_for_who_has_no_key(self):
        self.listen()
        wrong = self.write("wrong", "cvu_another\n")
        frames = b"\0\x20" + os.urandom(32)
        upgrade = (b"GET /.well-known/masque/udp/localhost/51820/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                   b"Upgrade: connect-udp\r\n\r\n\0\x21\0" + os.urandom(32))
        for number, (kind, port) in enumerate(self.PORTS.items()):
            for first in (frames, upgrade, os.urandom(500), b"CULVERT1" + os.urandom(500)):
                with self.client:
                    s = socket.create_connection(("198.51.100.2", port), timeout=5)
                if kind == "https":
                    context = ssl._create_unverified_context()
                    s = context.wrap_socket(s)
                try:
                    for _ in range(20):
                        s.sendall(first)
                except OSError:
                    pass
                s.close()
            self.connect(kind, key=wrong, port=7100 + number)
        with self.client:
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(len(self.PORTS)):
            u.sendto(b"x" * 148, ("127.0.0.1", 7100 + number))
        time.sleep(1)
        self.assertEqual(self.server.hits("inet"), 0, "datagrams to WireGuard")
        self.gate.send_signal(signal.SIGUSR1)
        self.soon(lambda: re.search(r"proved 0, refused [1-9]", open(self.log_path).read()), "it counts them")

    def test_looks_like_an_ordinary_web_server(self):
        os.mkdir(f"{self.dir}/site")
        os.chmod(f"{self.dir}/site", 0o755)
        self.write("site/index.html", "<h1>my cats</h1>\n")
        self.serve("https", more=("--site", f"{self.dir}/site"))
        curl = ("curl", "-s", "--max-time", "10", "--cacert", f"{self.dir}/cert.pem", "--resolve", "localhost:443:198.51.100.2")
        self.assertEqual(self.client.output(*curl, "https://localhost/"), "<h1>my cats</h1>\n")
        head = self.client.output(*curl, "-I", "https://localhost/")
        self.assertIn("HTTP/1.1 200 OK", head)
        self.assertIn("Content-Type: text/html", head)
        self.assertNotIn("ulvert", head)
        # HTTP/2 is asked for and not there; one connection serves several requests.
        several = self.client.run(*curl, "-v", "--http2", "https://localhost/", "https://localhost/no", "-o", "/dev/null", "-o",
                                  "/dev/null", "-w", "%{http_code} ")
        self.assertEqual(several.stdout, "200 404 ")
        self.assertRegex(several.stderr, r"accepted (to use )?http/1\.1")
        self.assertIn("Re-using existing connection", several.stderr)
        self.assertEqual(self.client.output(*curl, "-o", "/dev/null", "-w", "%{http_code}", "-d", "x", "https://localhost/"), "405")
        seen = self.client.run("openssl", "s_client", "-connect", "198.51.100.2:443", "-alpn", "h2,http/1.1", "-brief",
                               input="").stderr
        self.assertRegex(seen, "TLSv1.3")
        old = self.client.run("openssl", "s_client", "-connect", "198.51.100.2:443", "-tls1_1", "-cipher", "ALL@SECLEVEL=0",
                              input="", check=False)
        self.assertNotEqual(old.returncode, 0, "TLS 1.1 is refused")

    def test_says_whose_a_file_of_keys_has_to_be(self):
        os.chown(f"{self.dir}/keys", 1234, 0)
        said = self.server.run(carriers.CULVERT, "carrier", "--listen", "tcp://127.0.0.1:8443", "--keys", f"{self.dir}/keys", check=False)
        self.assertEqual((said.returncode, "has to belong to root" in said.stderr), (4, True), said.stderr)

    def test_notices_by_itself_that_keys_were_replaced(self):
        self.tunnel()
        self.write("keys", "bea " + "0" * 64 + "\n")
        self.serve("tcp", more=("--watch-keys",))
        self.connect("tcp")
        self.lead("127.0.0.1:7000")
        self.soon(lambda: "does not know this key" in open(self.log_path).read(), "the key is refused")
        self.write("new", f"anna {hashlib.sha256(carriers.KEY.encode()).hexdigest()}\n")
        os.rename(f"{self.dir}/new", f"{self.dir}/keys")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping", 15)

    def test_reads_keys_again_and_ends_what_they_opened(self):
        self.tunnel()
        self.serve("tcp")
        self.connect("tcp")
        self.lead("127.0.0.1:7000")
        self.soon(lambda: self.pings(self.client, "10.9.0.2"), "a ping")
        self.write("keys", "bea " + "0" * 64 + "\n")
        self.gate.send_signal(signal.SIGHUP)
        self.soon(lambda: not self.pings(self.client, "10.9.0.2", timeout=1), "no ping any more")
        self.write("keys", "not a key\n")
        self.gate.send_signal(signal.SIGHUP)
        self.soon(lambda: "the keys stay as they were" in open(self.log_path).read(), "a wrong file changes nothing")


suite.main()

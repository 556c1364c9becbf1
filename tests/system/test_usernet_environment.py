#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`culvert device --usernet` that is told everything by variables, as the router of a container is: nobody, no
capability, a read-only root, and no control socket either. test_usernet.py draws the topology.
"""

import http.server
import json
import os
import pathlib
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import netns  # noqa: E402
import suite  # noqa: E402
import test_usernet  # noqa: E402
import tunnel  # noqa: E402
from test_usernet import CLIENT4, CLIENT6, NOBODY, UDP, WORLD4, WORLD6, UsernetTest, dns_answer  # noqa: E402

REFUSED = 3
GROUPS = ("ts total tcp udp tcp_ext tcp_active udp_active wg flow proc rt egress_limiter flow_limiter srv_limits").split()
TOTALS = "conns_created conns_closed pkts_sent pkts_recv bytes_sent bytes_recv errors".split()


class Environment(UsernetTest):
    def setUp(self):
        self.private, self.public = tunnel.keypair()
        self.clients = tunnel.keypair()
        super().setUp()

    def join(self, *options):
        """The client only: each test starts its router."""
        self.tunnel = self.device(self.client, "wg0", self.client_kind)
        self.tunnel.configure()
        self.tunnel.add_peer(self.public, ("0.0.0.0/0", "::/0"), "192.0.2.2:51820")
        self.tunnel.up(f"{CLIENT4}/24", f"{CLIENT6}/64")
        for family in ("-4", "-6"):
            self.client.ip(family, "route", "add", "default", "dev", "wg0")

    def route(self, wait=True, **variables):
        """Start the router with these variables. Its output goes to files."""
        variables = {"WG_PRIVATE_KEY": self.private, "WG_PEERS": "0,1", "WG_PEER_0_PUBLIC_KEY": self.tunnel.public,
                     "WG_PEER_0_ALLOWED_IPS": f"{CLIENT4}/32, {CLIENT6}/128", "WG_PEER_1_ALLOWED_IPS": "10.1.1.1/32",
                     "PROCESSOR_WORKERS": "4", "TCP_CC": "newreno", "POOLING": "x",  # of no meaning here
                     "ASAN_OPTIONS": "detect_leaks=0", "LSAN_OPTIONS": "detect_leaks=0", **variables}
        variables = {name: str(value) for name, value in variables.items() if value is not None}
        os.makedirs("/run/router", exist_ok=True)
        os.chown("/run/router", NOBODY, NOBODY)
        self.out, self.err = open("/run/router.out", "w+"), open("/run/router.err", "w+")
        process = self.gateway.start(
            "unshare", "--mount", "sh", "-c",
            'mount -t tmpfs none /dev/net && mount -o remount,ro,bind / && exec "$@"', "sh",
            "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
            os.environ.get("CULVERT", "culvert"), "device", "--usernet", "-f", "router0",
            env={**os.environ, **variables}, stdout=self.out, stderr=self.err)
        self.addCleanup(process.kill)
        self.call(self.tunnel, "192.0.2.2:51820", "0.0.0.0/0", "::/0")
        if wait:
            netns.wait_until(lambda: "listening on port" in self.errors() or process.poll() is not None, what="the router")
            self.soon(lambda: self.pings(self.client, WORLD4, timeout=1), f"a ping through it\n{self.errors()}", 20)
        return process

    def call(self, device, endpoint, *prefixes, **options):
        """Without a memory of the router before."""
        device.remove_peer(self.public)
        device.add_peer(self.public, prefixes, endpoint, **options)

    def errors(self):
        return pathlib.Path("/run/router.err").read_text()

    def lines(self):
        return pathlib.Path("/run/router.out").read_text().splitlines()

    def test_a_tunnel_of_variables_carries_its_peers_and_tells_its_numbers(self):
        process = self.route(METRICS_INTERVAL="300ms", METRICS_FORMAT="json", WG_PCAP="/run/router/pcap")
        port = self.serve(WORLD4, test_usernet.echo)
        s = self.connect(WORLD4, port)
        s.sendall(b"hello" * 100)
        self.assertEqual(len(s.recv(500, socket.MSG_WAITALL)), 500)

        def told():
            rows = [json.loads(line) for line in self.lines()]
            return rows and rows[-1]["tcp_active"] == 1 and rows[-1]

        row = self.soon(told, "numbers of the connection")
        self.assertEqual(list(row), GROUPS)
        self.assertEqual(list(row["total"]), TOTALS)
        self.assertGreaterEqual(row["total"]["conns_created"], 2)
        self.assertGreater(row["total"]["bytes_sent"], 500)
        self.assertEqual(row["total"]["pkts_recv"], row["wg"]["plaintext_from_wg"])
        self.assertEqual(row["wg"]["queue_drops"], 0)
        s.close()
        self.soon(lambda: json.loads(self.lines()[-1])["tcp"]["conns_created"] == 1, "the count to stay")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), 0, self.errors())
        text = self.gateway.output("tcpdump", "-nr", "/run/router/pcap")
        self.assertRegex(text, rf"IP {CLIENT4}.\d+ > {WORLD4}.{port}: Flags \[S\]")
        self.assertIn(f"{WORLD4} > {CLIENT4}: ICMP echo reply", text)
        self.assertEqual(os.stat("/run/router/pcap").st_mode & 0o777, 0o600)
        self.assertIn("WG_PEER_1_PUBLIC_KEY is not set", self.errors())
        self.assertNotIn(self.private, self.errors())

    def test_as_text_the_same_numbers_are_words(self):
        self.route(METRICS_LOG="1", METRICS_INTERVAL="200ms")
        line = self.soon(lambda: self.lines() and self.lines()[-1], "a line")
        self.assertRegex(line, r"^metrics ts=\d+ total\.conns_created=\d+ .* srv_limits\.flows_max=\d+$")

    def test_mtu_and_port_are_as_said_or_as_usual(self):
        for variables, mtu, port in (({}, 1380, 51820), ({"WG_MTU": "1300", "WG_LISTEN_PORT": "51999"}, 1300, 51999),
                                     ({"WG_MTU": "much", "WG_LISTEN_PORT": "0"}, 1380, 51820)):
            process = self.route(wait=False, **variables)
            self.soon(lambda p=port: f"listening on port {p}" in self.errors() or
                      self.gateway.run("sh", "-c", f"ss -Hnul sport = {p} | grep -q .", check=False).returncode == 0, "it")
            if port == 51820:
                self.soon(lambda: self.pings(self.client, WORLD4, timeout=1), "a ping", 20)
                size = self.client.output("ip", "route", "get", WORLD4)
                self.client.run("ping", "-c1", "-W2", "-Mdo", "-s", str(mtu - 28), WORLD4)
                self.assertNotIn("mtu", size)
            process.kill()
            process.wait()

    def test_ipv6_is_refused_at_once_where_it_is_switched_off(self):
        self.route(WG_DISABLE_IPV6="yes")
        text = self.client.run("ping", "-n", "-c1", "-W2", WORLD6, check=False).stdout
        self.assertIn("No route", text)

    def test_peers_reach_each_other_only_with_overlay_routing_and_not_what_is_excluded(self):
        second = self.net.namespace("second")
        self.net.link(second, "out0", self.gateway, "up1", addresses=("192.0.3.1/24", "192.0.3.2/24"))
        other = self.device(second, "wg1")
        other.configure()
        other.add_peer(self.public, ("10.9.0.0/24",), "192.0.3.2:51820", keepalive=1)
        other.up("10.9.0.3/24")
        second.ip("address", "add", "10.9.0.4/32", "dev", "wg1")
        peers = {"WG_PEERS": "0,7", "WG_PEER_7_PUBLIC_KEY": other.public, "WG_PEER_7_ALLOWED_IPS": "10.9.0.3/32,10.9.0.4/32"}
        process = self.route(**peers)
        text = self.client.run("ping", "-n", "-c1", "-W2", "10.9.0.3", check=False).stdout
        self.assertIn("Packet filtered", text)  # a private network, as seen from the host
        process.kill()
        process.wait()
        self.call(other, "192.0.3.2:51820", "10.9.0.0/24", keepalive=1)
        self.route(WG_OVERLAY_ROUTING="on", WG_OVERLAY_EXCLUDE_CIDRS="10.9.0.4/32", **peers)
        self.soon(lambda: self.pings(self.client, "10.9.0.3", timeout=1), "a ping to the other peer", 20)
        self.assertFalse(self.pings(self.client, "10.9.0.4", timeout=1))

    def test_what_is_asked_of_the_world_is_answered_or_not(self):
        def answer_udp(s):
            while True:
                try:
                    query, peer = s.recvfrom(1000)
                    s.sendto(dns_answer(query), peer)
                except OSError:
                    return

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/well" else 503)
                self.end_headers()

            def log_message(self, *words):
                pass

        with self.world:
            server = http.server.HTTPServer((WORLD4, 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        self.serve(WORLD4, answer_udp, UDP, 53)
        base = f"http://{WORLD4}:{server.server_port}"
        for path, ip, expected in (("/well", WORLD4, (f"{base}/well answers", "the address of example.com answers")),
                                   ("/ill", "198.51.100.9", (f"{base}/ill: status 503", "the address of example.com: "))):
            process = self.route(wait=False, HEALTHCHECK="true", HEALTH_HTTP_URL=base + path, HEALTH_DNS_NAME="example.com",
                                 HEALTH_DNS_IP=ip)
            for words in expected:
                self.soon(lambda w=words: w in self.errors(), words, 12)
            process.kill()
            process.wait()

    def test_what_cannot_be_is_refused_by_name(self):
        for variables, what in (({"WG_PRIVATE_KEY": "x"}, "WG_PRIVATE_KEY: a key in base64"),
                                ({"WG_PEER_0_PUBLIC_KEY": "x"}, "WG_PEER_0_PUBLIC_KEY: a key"),
                                ({"WG_PEER_0_ALLOWED_IPS": "10.0.0.0/33"}, "WG_PEER_0_ALLOWED_IPS: networks"),
                                ({"WG_PEER_0_ENDPOINT": "host"}, "WG_PEER_0_ENDPOINT: host:port"),
                                ({"WG_PEERS": "0,a"}, "WG_PEERS: numbers"),
                                ({"WG_OVERLAY_ROUTING": "1", "WG_OVERLAY_EXCLUDE_CIDRS": "x"}, "WG_OVERLAY_EXCLUDE_CIDRS"),
                                ({"HEALTHCHECK": "1", "HEALTH_HTTP_URL": "ftp://x"}, "HEALTH_HTTP_URL"),
                                ({"HEALTHCHECK": "1", "HEALTH_DNS_NAME": "a..b"}, "HEALTH_DNS_NAME"),
                                ({"HEALTHCHECK": "1", "HEALTH_DNS_IP": "x"}, "HEALTH_DNS_IP")):
            process = self.route(wait=False, **variables)
            self.assertEqual(process.wait(10), REFUSED, (variables, self.errors()))
            self.assertIn(what, self.errors())


suite.main()

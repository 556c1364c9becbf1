#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus asks for, read by a strict parser of its text format.

    scraper ─ lo ─ /metrics of its own listener, of the REST API, of gateway.sock
    wgc0 (a client, a culvert device) ── UDP on lo ── wg0 (the gateway's device)
"""

import http.client
import re
import socket
import time

import gateway
from gateway import ApiTest, netns, new_key, suite, tunnel

import client_file  # of tests/net, which gateway.py has put in reach

PORT = 9586
PEERS = "/api/v1/peers"
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,?)')
VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?$")
EASY = {"wireguard_sent_bytes", "wireguard_received_bytes", "wireguard_latest_handshake_seconds",
        "wireguard_configured_peers", "wireguard_enabled_peers", "wireguard_connected_peers"}
PORTAL = {"wireguard_peer_up", "wireguard_peer_last_handshake_seconds", "wireguard_peer_received_bytes_total",
          "wireguard_peer_sent_bytes_total", "wireguard_interface_received_bytes_total", "wireguard_interface_sent_bytes_total"}
WGD = {"wireguard_peer_receive_bytes_total", "wireguard_peer_transmit_bytes_total", "wireguard_peers_total",
       "wireguard_peers_active", "wireguard_interface_receive_bytes_total", "wireguard_interface_transmit_bytes_total",
       "wireguard_interface_count", "wireguard_peer_last_handshake_seconds"}


def parse_labels(text, at):
    """Labels from behind the brace on. Return: them, and the place behind the closing one."""
    labels = {}
    while text[at] != "}":
        match = LABEL.match(text, at)
        if not match or match.group(1) in labels:
            raise ValueError(f"labels of {text!r}")
        labels[match.group(1)] = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), match.group(2))
        at = match.end()
        if not match.group(3) and text[at] != "}":
            raise ValueError(f"labels of {text!r}")
    return labels, at + 1


def parse(text):
    """The format 0.0.4, strictly: {name: (type, {labels: value})}, each name in one group with HELP and TYPE first."""
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    families, current = {}, None
    for line in text.split("\n")[:-1]:
        if line == "# The interface is asked.":  # any other comment is one
            continue
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            if word == "HELP" and name not in families and NAME.fullmatch(name):
                current, families[name] = name, [None, {}]
            elif word == "TYPE" and name == current and families[name] == [None, {}] and rest in ("counter", "gauge"):
                families[name][0] = rest
            else:
                raise ValueError(f"out of place: {line!r}")
            continue
        match = NAME.match(line)
        if not match or match.group() != current or not families[current][0]:
            raise ValueError(f"out of place: {line!r}")
        labels, at = {}, match.end()
        if line[at] == "{":
            labels, at = parse_labels(line, at + 1)
        key = tuple(sorted(labels.items()))
        if line[at] != " " or not VALUE.match(line[at + 1:]) or key in families[current][1]:
            raise ValueError(f"not a sample, or one twice: {line!r}")
        families[current][1][key] = float(line[at + 1:])
    return families


class MetricsTest(ApiTest):
    extra = ("--subnet4", "10.64.0.0/14", "--listen-metrics", f"http://127.0.0.1:{PORT}")

    def create(self, name, **members):
        answer = self.gateway.local("POST", PEERS, {"name": name, **members})
        self.is_(answer, 201)
        return answer.json

    def get(self, target="/metrics", port=PORT, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.addCleanup(c.close)
        c.request("GET", target, headers=headers or {})
        response = c.getresponse()
        return gateway.Answer(response, response.read())

    def scrape(self, query="", **options):
        answer = self.get(f"/metrics{query}", **options)
        self.is_(answer, 200)
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIsNone(answer.headers["Content-Encoding"])
        return parse(answer.text)

    def of(self, families, name, /, **wanted):
        """The value of the one sample with these labels."""
        found = [value for labels, value in families[name][1].items() if wanted.items() <= dict(labels).items()]
        self.assertEqual(len(found), 1, (name, wanted, families[name]))
        return found[0]


class Names(MetricsTest):
    def test_the_parser_refuses_what_prometheus_would(self):
        good = '# HELP a b\n# TYPE a gauge\na{x="1"} 2\n'
        self.assertEqual(parse(good), {"a": ["gauge", {(("x", "1"),): 2.0}]})
        for bad in (good[:-1], good + good, good + 'a{x="1"} 3\n', good.replace('"1"', '"1'), good.replace("2", "two"),
                    good.replace('"1"', '"\\x"'), "a 1\n", good + "b 1\n", good.replace("gauge", "gorge")):
            with self.assertRaises((ValueError, IndexError), msg=bad):
                parse(bad)

    def test_every_peer_has_the_lines_of_the_exporter(self):
        keys = [new_key(1), new_key(2)]
        self.create("phone", public_key=keys[0], addresses=["10.64.1.2", "fd42:4242:1::9"], routes=["192.168.7.0/24"])
        self.is_(self.gateway.create(keys[1]), 200)
        families = self.scrape()
        for name, kind in (("wireguard_sent_bytes_total", "counter"), ("wireguard_received_bytes_total", "counter"),
                           ("wireguard_latest_handshake_seconds", "gauge")):
            self.assertEqual(families[name][0], kind)
            labels = {dict(one)["public_key"]: dict(one) for one in families[name][1]}
            self.assertEqual(labels[keys[0]], {"interface": "wg0", "public_key": keys[0], "friendly_name": "phone",
                                               "allowed_ips": "10.64.1.2/32,fd42:4242:1::9/128,192.168.7.0/24"})
            self.assertEqual(set(labels), set(keys))
            self.assertEqual(set(labels[keys[1]]), {"interface", "public_key", "allowed_ips"})
            self.assertEqual(set(families[name][1].values()), {0.0})
        self.assertEqual(self.of(families, "culvert_peers", interface="wg0"), 2)
        self.assertGreater(self.of(families, "culvert_http_requests_total", code="2xx"), 0)

    def test_names_are_escaped_as_labels(self):
        names = ['a"b', "a\\b", '\\"} 1', "{x=\"1\"}", "Zoë 😀", "a,b=c", "\\n"]
        for name in names:
            self.create(name)
        for query in ("", "?compat=wg-easy", "?compat=wg-portal"):
            label = "name" if query else "friendly_name"
            found = [sorted(dict(labels)[label] for labels in family[1] if label in dict(labels))
                     for family in self.scrape(query).values()]
            self.assertGreaterEqual(found.count(sorted(names)), 3, query)
            self.assertEqual(found.count(sorted(names)) + found.count([]), len(found), query)

    def test_other_programs_names_on_request(self):
        key = new_key(1)
        self.create("a", public_key=key, addresses=["10.64.1.2"])
        self.create("b", enabled=False)
        easy, portal, wgd = (self.scrape(f"?compat={word}") for word in ("wg-easy", "wg-portal", "wgd"))
        self.assertEqual((set(easy), set(portal), set(wgd)), (EASY, PORTAL, WGD))
        self.assertEqual(self.of(easy, "wireguard_sent_bytes", interface="wg0", enabled="true", address="10.64.1.2", name="a"), 0)
        self.assertEqual(self.of(easy, "wireguard_enabled_peers", interface="wg0"), 1)
        self.assertEqual(self.of(easy, "wireguard_configured_peers"), 2)
        self.assertEqual(self.of(portal, "wireguard_peer_up", id=key, name="a", addresses="10.64.1.2/32"), 0)
        self.assertEqual(self.of(wgd, "wireguard_peer_receive_bytes_total", interface="wg0", public_key=key[:16]), 0)
        self.assertEqual(wgd["wireguard_peer_last_handshake_seconds"][1], {}, "nobody was there yet")
        self.assertEqual(self.scrape("?compat=exporter").keys(), self.scrape().keys())

    def test_a_wrong_query_is_refused(self):
        for query in ("compat=x", "compat=", "peers=maybe", "peers", "x=1", "peers=on&x", "&", "compat=wgdx"):
            answer = self.get(f"/metrics?{query}")
            self.is_(answer, 400)
            self.assertIn("compat (exporter, wg-easy, wg-portal or wgd)", answer.text)


class Where(MetricsTest):
    def test_its_own_listener_asks_for_nothing_and_has_nothing_else(self):
        self.scrape()
        for target in (PEERS, "/openapi.json", "/metrics/", "/", "/metricsx"):
            self.is_(self.get(target), 404)
        answer = self.gateway.raw("POST", "/metrics", connection=http.client.HTTPConnection("127.0.0.1", PORT, timeout=20))
        self.is_(answer, 405)

    def test_beside_the_rest_it_is_for_whoever_may_read(self):
        g = self.gateway
        self.is_(self.get(port=g.port), 401)
        key = g.local("POST", "/api/v1/keys", {"name": "prometheus", "role": "reader"}).json["key"]
        self.scrape(port=g.port, headers={"Authorization": f"Bearer {key}"})
        self.is_(self.get(port=g.port, headers={"Authorization": f"Bearer {key[:-1]}"}), 401)
        self.assertEqual(parse(g.local("GET", "/metrics").text).keys(), self.scrape().keys())

    def test_a_key_of_an_account_sees_its_peers_alone(self):
        g = self.gateway
        account = g.local("POST", "/api/v1/accounts", {"name": "acme"}).json["id"]
        key = g.local("POST", "/api/v1/keys", {"name": "k", "account": account}).json["key"]
        self.create("mine", account=account)
        self.create("theirs")
        families = self.scrape(port=g.port, headers={"Authorization": f"Bearer {key}"})
        self.assertEqual({dict(one)["friendly_name"] for one in families["wireguard_sent_bytes_total"][1]}, {"mine"})
        self.assertEqual(self.of(families, "culvert_peers"), 1)
        self.assertNotIn("culvert_http_requests_total", families)

    def test_it_is_off_unless_asked_for(self):
        self.gateway.stop()
        self.gateway.extra = ["--subnet4", "10.64.0.0/14"]
        self.gateway.start()
        with self.assertRaises(ConnectionRefusedError):
            self.get()

    def test_lines_for_each_peer_can_be_left_out(self):
        for name in ("a", "b"):
            self.create(name)
        families = self.scrape("?peers=off")
        self.assertNotIn("wireguard_sent_bytes_total", families)
        self.assertEqual(self.of(families, "culvert_peers"), 2)
        self.gateway.stop()
        self.gateway.start("--metrics-peers", "off")
        self.assertEqual(self.scrape().keys(), families.keys())
        self.assertEqual(len(self.scrape("?peers=on")["wireguard_sent_bytes_total"][1]), 2)


class Traffic(MetricsTest):
    extra = (*MetricsTest.extra, "--endpoint", "127.0.0.1")

    def connect(self, made):
        netns.run("ip", "link", "set", "wg0", "up")
        device = tunnel.Device(gateway.Here(), "wgc0", "culvert", log=self.log)
        self.addCleanup(device.process.kill)
        device.uapi(client_file.uapi(made["configuration"]))
        netns.run("ip", "address", "add", made["addresses"][0], "dev", "wgc0")
        netns.run("ip", "link", "set", "wgc0", "up")
        netns.run("ip", "route", "add", "192.0.2.1/32", "dev", "wgc0")
        return device

    def test_octets_and_handshakes_are_those_of_the_interface(self):
        made = self.create("phone")
        self.create("other")
        self.connect(made)
        began = int(time.time())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((made["addresses"][0].split("/")[0], 0))
            for _ in range(200):
                s.sendto(b"x" * 1000, ("192.0.2.1", 9))
        key = made["public_key"]

        def dumped():
            for line in netns.run("wg", "show", "wg0", "dump").stdout.splitlines()[1:]:
                fields = line.split("\t")
                if fields[0] == key:
                    return [int(n) for n in fields[4:7]]
            return None

        def agree():
            families, (at, rx, tx) = self.scrape(), dumped()
            return rx > 100_000 and (at, rx, tx) == tuple(self.of(families, name, public_key=key) for name in (
                "wireguard_latest_handshake_seconds", "wireguard_received_bytes_total", "wireguard_sent_bytes_total")) and families

        families = self.soon(agree, "what is measured to be what is there", 10)
        self.assertGreaterEqual(self.of(families, "wireguard_latest_handshake_seconds", public_key=key), began - 5)
        self.assertEqual(self.of(families, "culvert_peers_connected"), 1)
        rx = self.of(families, "wireguard_received_bytes_total", public_key=key)
        tx = self.of(families, "wireguard_sent_bytes_total", public_key=key)
        self.assertEqual((self.of(families, "culvert_received_bytes"), self.of(families, "culvert_sent_bytes")), (rx, tx))
        self.assertNotEqual(rx, tx)
        easy, portal, wgd = (self.scrape(f"?compat={word}") for word in ("wg-easy", "wg-portal", "wgd"))
        self.assertEqual(self.of(easy, "wireguard_received_bytes", name="phone"), rx)
        self.assertLess(self.of(easy, "wireguard_latest_handshake_seconds", name="phone"), 60)
        self.assertEqual(self.of(easy, "wireguard_connected_peers"), 1)
        self.assertEqual((self.of(portal, "wireguard_peer_up", name="phone"), self.of(portal, "wireguard_peer_up", name="other")), (1, 0))
        self.assertEqual(self.of(wgd, "wireguard_peers_active"), 1)
        self.assertEqual(len(wgd["wireguard_peer_last_handshake_seconds"][1]), 1)
        # A counter that was stored does not go back, whatever restarts.
        time.sleep(7)
        self.gateway.stop()
        self.gateway.restart_device()
        self.gateway.start()
        again = self.scrape()
        self.assertGreaterEqual(self.of(again, "wireguard_received_bytes_total", public_key=key), rx)


class Many(MetricsTest):
    def make(self, **options):
        made = gateway.Gateway(self.log, extra=self.extra, **options)
        self.addCleanup(made.close)
        self.count = suite.scaled(20_000, 100_000)
        self.keys = made.preload(self.count)
        return made.start()

    def test_all_peers_are_there_once_also_while_some_come_and_go(self):
        g = self.gateway
        names = ("wireguard_sent_bytes_total", "wireguard_received_bytes_total", "wireguard_latest_handshake_seconds")
        families = self.scrape()
        for name in names:
            self.assertEqual({dict(one)["public_key"] for one in families[name][1]}, self.keys)
        self.assertEqual(self.of(families, "culvert_peers"), self.count)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it is not sent in one go
            s.settimeout(20)
            s.connect(("127.0.0.1", PORT))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(s)
            response.begin()
            text, gone, new = response.read(1000), [], []
            for n in range(40):
                peer = g.local("GET", f"{PEERS}?limit=1&after={n * self.count // 40}").json["peers"][0]
                self.is_(g.local("DELETE", f"{PEERS}/{peer['public_key'].replace('/', '_')}"), 200)
                gone.append(peer["public_key"])
                new.append(self.create(f"new {n}")["public_key"])
                text += response.read(20_000)
            text += response.read()
        families = parse(text.decode())  # refuses what is there twice
        for name in names:
            found = {dict(one)["public_key"] for one in families[name][1]}
            self.assertLessEqual(self.keys - set(gone), found)
            self.assertLessEqual(found, self.keys | set(new))
        last = {dict(one)["public_key"] for one in families[names[2]][1]}
        self.assertEqual((set(new) - last, set(gone) & last), (set(), set()), "what came or went long before the end")


if __name__ == "__main__":
    suite.main()

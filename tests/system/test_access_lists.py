#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Access lists with real traffic: what they let through, and that nothing else ever passes.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] eth1 198.51.100.1/24 ──── [world] 198.51.100.2/24
             2001:db8:1::2/64     2001:db8:1::1/64         2001:db8:2::1/64                  2001:db8:2::2/64
    [second] s0 203.0.113.2/24 ─── 203.0.113.1/24 eth2 [edge]

Both clients are peers of the gateway on [edge]. A rule is judged here by a model of three lines.
"""

import concurrent.futures
import errno
import ipaddress
import itertools
import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
from test_access import AccessTest
from test_host import CULVERT

WORLD4, WORLD6, HOST4, HOST6 = "198.51.100.2", "2001:db8:2::2", "10.0.1.1", "fd42:4242:1::1"
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
QUIET_S = 1.0  # what was refused has not come after that


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def allows(rules, address, protocol, port):
    """Does one of the rules have that?"""
    for rule in rules:
        first, _, last = (rule.get("ports") or "1-65535").partition("-")
        if ipaddress.ip_address(address) in ipaddress.ip_network(rule["to"]) and \
                rule.get("protocol", "any") in ("any", protocol) and \
                (protocol == "icmp" or int(first) <= port <= int(last or first)):
            return True
    return False


class Echo:
    """Sends back what comes, on ports of both families and both protocols of a namespace."""

    def __init__(self, namespace, ports):
        self.sockets, self.seen = [], set()
        with namespace:
            for family in (socket.AF_INET, socket.AF_INET6):
                for port in ports:
                    for kind in (TCP, UDP):
                        s = socket.socket(family, kind)
                        if family == socket.AF_INET6:
                            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        s.bind(("", port))
                        self.sockets.append(s)
                        if kind == TCP:
                            s.listen(50)
                        threading.Thread(target=self.accept if kind == TCP else self.answer, args=(s,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.return_all, args=(connection,), daemon=True).start()

    @staticmethod
    def return_all(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                return

    def answer(self, s):
        while True:
            try:
                data, source = s.recvfrom(2000)
                self.seen.add(data)
                s.sendto(data, source)
            except OSError as error:
                if error.errno != errno.ENETUNREACH:
                    return

    def close(self):
        for s in self.sockets:
            s.close()


class Lists(AccessTest):
    def api(self, method, path, body=None, check=True):
        words = [json.dumps(body)] if body is not None else []
        done = self.edge.run(CULVERT, "gateway", "api", method, path, *words, "--state", self.state, check=check)
        return json.loads(done.stdout) if done.stdout else None

    def make_list(self, name, *rules):
        return self.api("POST", "/api/v1/access", {"name": name, "rules": list(rules)})["id"]

    def give(self, name, access):
        return self.api("PATCH", f"/api/v1/peers/{name}", {"access": access})

    def one(self, *options):
        """A gateway, a client that is connected, and the world answering."""
        gateway = self.start(*options)
        self.connect(self.peer("add", "first").stdout)
        self.reaches(HOST4, WORLD4, WORLD6)
        self.serve()
        return gateway

    def serve(self):
        for namespace in (self.world, self.edge):
            echo = Echo(namespace, (53, 80, 81))
            self.addCleanup(echo.close)
            if namespace is self.world:
                self.echo = echo

    # --- Does it get there and back? ---

    def connects(self, address, port, namespace=None, timeout=QUIET_S):
        with namespace or self.client:
            s = socket.socket(family_of(address), TCP)
        with s:
            s.settimeout(timeout)
            try:
                s.connect((address, port))
                s.sendall(b"x")
                return s.recv(1) == b"x"
            except OSError:
                return False

    def echoes(self, address, port, namespace=None, timeout=QUIET_S):
        with namespace or self.client:
            s = socket.socket(family_of(address), UDP)
        with s:
            s.settimeout(timeout)
            try:
                s.sendto(b"x", (address, port))
                return s.recvfrom(10)[0] == b"x"
            except OSError:
                return False

    def probe(self, address, protocol, port):
        if protocol == "icmp":
            return self.pings(self.client, address, timeout=1)
        return (self.connects if protocol == "tcp" else self.echoes)(address, port)

    def compare(self, rules):
        """Every kind of packet to every place, all at once, against the model."""
        probes = [(address, protocol, port) for address in (WORLD4, WORLD6, HOST4, HOST6)
                  for protocol, port in (("tcp", 80), ("tcp", 81), ("udp", 53), ("udp", 81), ("icmp", 0))]
        with concurrent.futures.ThreadPoolExecutor(len(probes)) as pool:
            passed = list(pool.map(lambda p: self.probe(*p), probes))
        self.assertEqual(passed, [allows(rules, *p) for p in probes], (rules, probes))

    # --- What lists mean ---

    def test_a_list_lets_through_what_it_says_by_either_family_and_each_protocol(self):
        gateway = self.one()
        some = [{"to": f"{WORLD4}/32", "protocol": "tcp", "ports": "80"}, {"to": "2001:db8:2::/64", "protocol": "udp"},
                {"to": "fd42:4242:1::/64", "protocol": "icmp"}, {"to": "10.0.1.1/32", "protocol": "udp", "ports": "50-60"}]
        number = self.make_list("some", *some)
        self.assertTrue(self.connects(WORLD4, 81))  # a list that nobody has is nobody's concern
        self.assertEqual(self.give("first", number)["access"], number)
        self.compare(some)
        for rules in ([], [{"to": "0.0.0.0/0"}], [{"to": "::/0", "protocol": "icmp"}, {"to": f"{WORLD4}/31", "protocol": "tcp",
                                                                                    "ports": "81-65535"}]):
            self.api("PATCH", f"/api/v1/access/{number}", {"rules": rules})
            self.compare(rules)
        self.assertEqual(self.api("GET", "/api/v1/access")["isolation"], False)
        self.give("first", None)
        self.reaches(HOST4, WORLD4, WORLD6)
        self.api("DELETE", f"/api/v1/access/{number}")
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_whoever_reaches_a_peer_gets_answers_and_a_change_cuts_what_stands(self):
        gateway = self.one()
        address = self.api("GET", "/api/v1/peers/first")["addresses"][0].split("/")[0]
        everything = self.make_list("everything", {"to": "0.0.0.0/0"})
        self.give("first", everything)
        with self.client:
            s = socket.create_connection((WORLD4, 80), timeout=2)
        with s:
            s.sendall(b"before")
            self.assertEqual(s.recv(10), b"before")
            self.api("PATCH", f"/api/v1/access/{everything}", {"rules": []})
            s.sendall(b"after")
            s.settimeout(1)
            self.assertRaises(TimeoutError, s.recv, 10)
        peer = Echo(self.client, (7000,))
        self.addCleanup(peer.close)
        self.assertTrue(self.connects(address, 7000, self.edge, 2))
        self.assertTrue(self.echoes(address, 7000, self.edge, 2))
        self.assertTrue(self.pings(self.edge, address))
        self.assertFalse(self.pings(self.client, HOST4))
        self.assertEqual(gateway.end(), 0, gateway.errors())

    def test_a_list_follows_a_peer_that_moves_and_gets_another_key(self):
        gateway = self.one()
        number = self.make_list("web", {"to": "0.0.0.0/0", "protocol": "tcp", "ports": "80"})
        self.give("first", number)
        changed = self.api("PATCH", "/api/v1/peers/first", {"addresses": ["10.0.1.77"], "generate": True})
        self.client.ip("address", "flush", "dev", "wgc")
        self.client.address("wgc", "10.0.1.77/32")
        for there in ("10.0.1.0/24", "198.51.100.0/24"):
            self.client.ip("route", "replace", there, "dev", "wgc")
        path = pathlib.Path("/run/key")
        path.write_text(changed["private_key"])
        self.client.run("wg", "set", "wgc", "private-key", path)
        self.soon(lambda: self.connects(WORLD4, 80), "the web from another place", 20)
        self.assertFalse(self.connects(WORLD4, 81) or self.pings(self.client, HOST4))
        self.assertEqual(self.members(), {"10.0.1.77"})
        self.api("DELETE", "/api/v1/peers/first")
        self.assertEqual(self.members(), set())
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def members(self):
        """The addresses that have a list, as nft sees them."""
        shown = json.loads(self.edge.output("nft", "-j", "list", "ruleset"))["nftables"]
        maps = [one["map"] for one in shown if one.get("map", {}).get("name") in ("access4", "access6")]
        return {address for one in maps for address, _ in one.get("elem", ())}

    # --- Closed at all times ---

    def knock(self):
        """Datagrams to what is refused, and to what is not, until the end. They are told apart in the world."""
        self.over = over = threading.Event()
        numbers = self.numbers = getattr(self, "numbers", itertools.count())

        def run():
            with self.client:
                s = socket.socket(socket.AF_INET, UDP)
            with s:
                while not over.is_set():
                    n = next(numbers)
                    for port in (53, 81):
                        try:
                            s.sendto(b"%d to %d" % (n, port), (WORLD4, port))
                        except OSError:
                            pass
                    time.sleep(0.002)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)

    def passed(self, port):
        return sum(data.endswith(b"to %d" % port) for data in list(self.echo.seen))

    def test_nothing_that_is_refused_passes_while_processes_die_and_come_back(self):
        gateway = self.one()
        number = self.make_list("names", {"to": "0.0.0.0/0", "protocol": "udp", "ports": "53"})
        self.give("first", number)
        self.knock()
        self.soon(lambda: self.passed(53) > 100, "what is allowed")
        for word in ("gateway-serve", "culvert-device"):
            before = self.passed(53)
            os.kill(self.child(gateway, word), signal.SIGKILL)
            self.soon(lambda: self.peer("list", check=False).returncode == 0, "the API again", 20)
            self.soon(lambda: self.passed(53) > before + 100, f"what is allowed, after {word} died", 30)
        self.assertEqual(self.members(), {"10.0.1.2", "fd42:4242:1::2"})
        self.edge.run("nft", "flush", "ruleset")
        began = time.monotonic()
        self.soon(lambda: self.members() == {"10.0.1.2", "fd42:4242:1::2"}, "the lists that somebody flushed", 10)
        print(f"# lists are back {time.monotonic() - began:.2f} s after all rules were flushed", flush=True)
        self.over.set()
        time.sleep(0.1)
        flushed = self.passed(81)  # in that moment there was nobody to refuse
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.knock()
            pids = [gateway.process.pid, self.child(gateway, "culvert-device"), self.child(gateway, "gateway-serve")]
            if how == signal.SIGTERM:
                self.assertEqual(gateway.end(), 0, gateway.errors())
            else:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                gateway.process.wait(10)
            before = self.passed(53)
            gateway = self.start()
            # It would call again by itself, after 15 s without an answer.
            self.client.run("wg", "setconf", "wgc", "/dev/stdin", input=self.client.output(CULVERT, "conf", "strip", "/run/wgc.conf"))
            self.soon(lambda: self.passed(53) > before + 100, f"what is allowed, after {how}", 30)
            self.over.set()
        self.assertEqual(self.passed(81), flushed)
        print(f"# {self.passed(53)} datagrams that are allowed passed, of those that are not {flushed}, while the rules were flushed",
              flush=True)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_flow_of_another_peer_does_not_notice_a_thousand_changes(self):
        gateway, second = self.two()
        self.serve()
        number = self.make_list("some", {"to": "0.0.0.0/0", "protocol": "tcp", "ports": "80"})
        self.give("second", number)
        with self.second:
            flow = socket.create_connection((WORLD4, 80), timeout=5)
        changes = suite.scaled(30, 1000)
        returned = self.exchange(flow)
        for n in range(changes // 2):
            self.api("PATCH", f"/api/v1/access/{number if n % 10 == 0 else self.other}", {
                "rules": [{"to": "0.0.0.0/0", "protocol": "tcp", "ports": "80"}, {"to": f"10.9.{n % 256}.0/24"}]})
            self.give("first", (number, self.other, None)[n % 3])
        longest, count = returned()
        print(f"# {count} exchanges during {changes} changes, the longest took {longest * 1000:.0f} ms", flush=True)
        self.assertGreater(count, changes)
        self.assertLess(longest, 1)
        self.assertEqual(gateway.end(), 0, gateway.errors())

    @property
    def other(self):
        if not hasattr(self, "_other"):
            self._other = self.make_list("other", {"to": "10.9.0.0/16"})
        return self._other

    def exchange(self, flow):
        """A line there and back, again and again. Return: a function that ends it: the longest, how many."""
        over, took = threading.Event(), []

        def run():
            with flow:
                while not over.is_set():
                    began = time.monotonic()
                    flow.sendall(b"y" * 1000)
                    left = 1000
                    while left:
                        left -= len(flow.recv(left))
                    took.append(time.monotonic() - began)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end():
            over.set()
            thread.join(10)
            self.assertFalse(thread.is_alive())
            return max(took), len(took)

        return end


if __name__ == "__main__":
    suite.main()

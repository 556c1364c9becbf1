#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""culvert host firewall: what comes in, what stays, and that rules nobody confirms go away.

    [client] eth0 192.0.2.2/24, 2001:db8::2/64 ──── 192.0.2.1/24, 2001:db8::1/64 eth0 [host]
"""

import os
import pathlib
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import netns
import suite

CULVERT = os.path.abspath(os.environ.get("CULVERT", "build/culvert"))
V4, V6 = "192.0.2.1", "2001:db8::1"
OTHERS = "table inet filter {\n\tchain mine {\n\t\ttcp dport 1 drop\n\t}\n}\n"


class Firewall(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.client, self.host = self.net.namespace("client"), self.net.namespace("host")
        self.net.link(self.client, "eth0", self.host, "eth0", addresses=(
            ["192.0.2.2/24", "192.0.2.3/24", "2001:db8::2/64"], ["192.0.2.1/24", "2001:db8::1/64"]))
        self.host.run("nft", "-f", "-", input=OTHERS)
        self.addCleanup(self.forget)

    def forget(self):
        self.culvert("remove", check=False)
        time.sleep(0.5)  # whoever waited looks, and leaves

    def culvert(self, *words, **options):
        return self.host.run(CULVERT, "host", "firewall", *words, **options)

    def rules(self):
        return self.host.output("nft", "-s", "-t", "list", "ruleset")

    def serve(self, port, kind=socket.SOCK_STREAM):
        with self.host:
            s = socket.socket(socket.AF_INET6, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            s.listen(64)
        s.settimeout(0.5)
        self.addCleanup(s.close)
        return s

    def connects(self, address, port, source=None, timeout=0.4):
        with self.client:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        with s:
            s.settimeout(timeout)
            if source:
                s.bind((source, 0))
            try:
                s.connect((address, port))
                return True
            except OSError:
                return False

    def arrives(self, sink, address, port):
        with self.client, socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"hello", (address, port))
        try:
            return sink.recv(16) == b"hello"
        except TimeoutError:
            return False

    def test_only_what_is_named_comes_in(self):
        for port in (22, 443, 8080):
            self.serve(port)
        wanted, other = self.serve(51820, socket.SOCK_DGRAM), self.serve(5353, socket.SOCK_DGRAM)
        for address in (V4, V6):
            self.soon(lambda to=address: self.connects(to, 8080), "it answers before")
        self.culvert("apply", "--allow", "udp:51820", "--allow", "tcp:443")
        for address in (V4, V6):
            self.client.ip("neigh", "flush", "all")
            self.assertTrue(self.pings(self.client, address), "ICMP, and neighbours are found")
            for port, is_open in ((22, True), (443, True), (8080, False), (25, False)):
                self.assertEqual(self.connects(address, port), is_open, (address, port))
            self.assertTrue(self.arrives(wanted, address, 51820))
            self.assertFalse(self.arrives(other, address, 5353))
        with self.host:
            socket.create_connection(("127.0.0.1", 8080), 1).close()
        self.assertIn("chain mine", self.rules(), "tables of others stay")

    def test_the_port_of_a_file_comes_in(self):
        path = "/run/fw.conf"
        with open(path, "w") as f:
            f.write(f"[Interface]\nPrivateKey = {netns.run('wg', 'genkey').stdout}ListenPort = 5100\n")
        sink = self.serve(5100, socket.SOCK_DGRAM)
        self.culvert("apply", "--conf", path)
        self.assertTrue(self.arrives(sink, V4, 5100))

    def test_connections_that_are_there_stay(self):
        """The host only listens on this one: nothing that it sends could open the way."""
        listener = self.serve(8080)
        with self.client:
            near = socket.create_connection((V4, 8080), 2)
        far = listener.accept()[0]
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        far.settimeout(2)
        self.culvert("apply")
        for _ in range(3):
            near.sendall(b"still")
            self.assertEqual(far.recv(16), b"still")
        self.assertFalse(self.connects(V4, 8080))

    def test_ssh_is_limited_for_each_address(self):
        self.serve(22)
        self.culvert("apply")
        first = [self.connects(V4, 22, "192.0.2.2", timeout=0.2) for _ in range(16)]
        self.assertTrue(all(first[:10]), first)
        self.assertFalse(any(first[12:]), first)
        self.assertTrue(self.connects(V4, 22, "192.0.2.3"), "another address has its own count")

    def test_rules_that_nobody_confirms_go_away(self):
        before = self.rules()
        self.culvert("apply", "--seconds", "1")
        self.assertIn("culvert_host", self.rules())
        self.soon(lambda: self.rules() == before, "all is as before")

    def test_what_was_confirmed_comes_back_exactly(self):
        self.culvert("apply", "--allow", "udp:51820", "--allow", "tcp:443")
        self.culvert("confirm")
        time.sleep(0.5)
        before = self.rules()
        self.culvert("apply", "--seconds", "2", "--allow", "tcp:8080", "--ssh", "2222")
        self.culvert("apply", "--seconds", "1", "--allow", "tcp:9090", "--ssh", "0")
        self.assertNotEqual(self.rules(), before)
        self.soon(lambda: self.rules() == before, "two that waited are both undone")
        time.sleep(2)
        self.assertEqual(self.rules(), before, "nothing happens afterwards")

    def test_a_killed_command_and_a_lost_terminal_are_no_reason_to_stay(self):
        before = self.rules()
        for how in (signal.SIGKILL, signal.SIGHUP):
            process = self.host.start(CULVERT, "host", "firewall", "apply", "--seconds", "2", stdout=-3)
            self.soon(lambda: "culvert_host" in self.rules(), "the rules apply")
            try:
                os.killpg(process.pid, how)
            except ProcessLookupError:
                pass
            process.wait()
            self.assertIn("culvert_host", self.rules())
            self.soon(lambda: self.rules() == before, "all is as before")

    def test_what_is_confirmed_stays(self):
        self.assertEqual(self.culvert("confirm", check=False).returncode, 1)
        self.culvert("apply", "--seconds", "1")
        self.assertIn("wait for", self.culvert("show").stdout)
        self.culvert("confirm")
        now = self.rules()
        time.sleep(1.8)
        self.assertEqual(self.rules(), now)
        self.assertNotIn("wait for", self.culvert("show").stdout)
        self.culvert("remove")
        self.assertNotIn("culvert_host", self.rules())

    def test_wrong_words_change_nothing(self):
        before = self.rules()
        for words in (("apply", "--allow", "51820"), ("apply", "--allow", "udp:0"), ("apply", "--allow", "udp:65536"),
                      ("apply", "--allow", "tcp:1 } accept; #"), ("apply", "--seconds", "0"), ("apply", "x"), ("eat",)):
            result = self.culvert(*words, check=False)
            self.assertEqual(result.returncode, 2, words)
            self.assertIn("culvert host: ", result.stderr)
        self.assertEqual(self.rules(), before)


if __name__ == "__main__":
    suite.main()

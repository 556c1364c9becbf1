#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""culvert connect --connect-proxy: everything through nothing but an HTTP proxy, and all of it taken back.

The network is drawn in test_via_proxy.py. The client has a gateway that lets nothing out but TCP to the proxy, and counts
what else it sees.
"""

import json
import os
import pathlib
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))

import client_net  # noqa: E402
import netns  # noqa: E402
import suite  # noqa: E402
import test_via_proxy as via  # noqa: E402
from client_net import CULVERT, RESOLV  # noqa: E402
from test_via_proxy import KEY, PROXY4, PROXY_PORT, UDP, USER, WORLD4, WORLD6  # noqa: E402


class ConnectTest(via.ProxyTest):
    def setUp(self):
        client_net.own_etc()
        client_net.plain_resolv("nameserver 192.168.77.1\n")
        os.makedirs("/run/wireguard", exist_ok=True)
        self.state = f"/run/state{time.monotonic_ns()}"
        super().setUp()

    def start_tunnel(self):
        self.soon(lambda: "tentative" not in self.client.output("ip", "address"), "settled addresses")
        self.addCleanup(self.disconnect, check=False)
        self.before = client_net.picture(self.client)

    def culvert(self, *words, check=True, **environment):
        return self.client.run(CULVERT, *words, check=check, env={**os.environ, **environment})

    def connect(self, *words, **more):
        return self.culvert("connect", "--state", self.state, "--connect-proxy", f"{PROXY4}:{PROXY_PORT}", "--dns", WORLD4,
                            *words, **more)

    def disconnect(self, **more):
        return self.culvert("disconnect", "--state", self.state, "tun0", **more)

    def assert_as_before(self):
        after = client_net.picture(self.client)
        for key, value in self.before.items():
            self.assertEqual(value, after[key], f"{key} differs")

    def speaks(self, port, address=WORLD4):
        s = via.ProxyTest.connect(self, address, port)
        s.sendall(b"hello")
        return s.recv(100) == b"hello"

    def keeper(self):
        path = pathlib.Path(f"{self.state}/client/tun0.journal")
        return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("keeper "))


class PlainTest(ConnectTest):
    def test_all_goes_through_the_proxy_and_all_comes_back(self):
        ports = {a: self.serve(a, via.echo) for a in (WORLD4, WORLD6)}
        said = self.connect()
        self.assertIn("✓ VPN connected successfully!", said.stdout)
        self.assertIn(f"{PROXY4}:{PROXY_PORT}, which answered within", said.stdout)
        for address, port in ports.items():
            self.assertTrue(self.speaks(port, address))
        self.assertIn("nameserver 10.0.0.1", RESOLV.read_text())
        found = self.client.output("getent", "ahostsv4", "www.example")
        self.assertIn(WORLD4, found)
        self.assertEqual(self.status()["state"], "connected")
        self.assertEqual(self.disconnect().stdout, "✓ VPN disconnected successfully!\n")
        self.assert_as_before()
        self.only_the_proxy_was_spoken_to()

    def status(self):
        return json.loads(self.culvert("status", "--json", "--state", self.state, check=False).stdout)[0]

    def test_nothing_leaves_beside_a_tunnel_that_was_killed(self):
        port = self.serve(WORLD4, via.echo)
        self.connect()
        self.assertTrue(self.speaks(port))
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: "tun0:" not in self.client.output("cat", "/proc/net/dev"), "the end of the interface")
        for kind, target in ((via.TCP, (WORLD4, port)), (UDP, (WORLD4, 53)), (via.TCP, (PROXY4, PROXY_PORT))):
            s = self.socket(WORLD4, kind, timeout=1)
            with self.assertRaises(OSError):
                s.connect(target)
                s.send(b"x" * 20)
                s.recv(1)
        self.only_the_proxy_was_spoken_to()
        self.connect()
        self.assertTrue(self.speaks(port))
        self.disconnect()
        self.assert_as_before()

    def test_the_tunnel_process_is_started_again(self):
        port = self.serve(WORLD4, via.echo)
        self.connect()
        child = next(pid for pid in filter(str.isdigit, os.listdir("/proc"))
                     if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"culvert\0proxy-tunnel\0"))
        os.kill(int(child), signal.SIGKILL)

        def again():
            try:
                return self.speaks(port)
            except OSError:
                return False

        self.soon(again, "a connection through the tunnel's next process", 15)
        self.only_the_proxy_was_spoken_to()

    def test_a_host_that_has_the_usual_address_itself_gets_another(self):
        self.client.address("out0", "10.0.0.2/24")
        self.before = client_net.picture(self.client)
        port = self.serve(WORLD4, via.echo)
        self.connect()
        self.assertTrue(self.speaks(port))
        self.assertIn("10.255.255.2/32", self.client.output("ip", "address", "show", "tun0"))
        self.disconnect()
        self.assert_as_before()

    def test_words_that_make_no_sense_change_nothing(self):
        for words, code, text in ((["file.conf"], 2, "a proxy has no file: file.conf"),
                                  (["--connect-proxy", "nonsense"], 2, "a proxy is HOST:PORT"),
                                  (["--connect-proxy", "host:1\nPostUp = x"], 2, "a proxy is HOST:PORT"),
                                  (["--dns", "one.example"], 2, "--dns takes at most three addresses"),
                                  (["--key-file", "/run/no-such-key"], 1, "no such file")):
            done = self.connect(*words, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)
        done = self.culvert("connect", "--key-file", "x", "file.conf", check=False)
        self.assertEqual((done.returncode, "go with --connect-proxy" in done.stderr), (2, True))
        self.assert_as_before()


class NoProxyTest(ConnectTest):
    """A web server, or nothing, in its place."""

    def start_proxy(self):
        self.web = self.proxy.start("/usr/bin/python3", "-m", "http.server", "--bind", PROXY4, PROXY_PORT, stdout=self.logs,
                                    stderr=self.logs)
        self.soon(lambda: f":{PROXY_PORT}" in self.proxy.output("ss", "-ltn"), "a web server")

    def test_what_is_no_proxy_is_refused_and_what_is_not_there_is_waited_for(self):
        done = self.connect(check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("is no proxy for CONNECT: it answers 501", done.stderr)
        self.assert_as_before()
        netns.stop(self.web)
        done = self.connect("--wait", "1", check=False)
        self.assertEqual((done.returncode, "✓" in done.stdout), (1, False), done.stderr)
        self.assertIn("waiting for an answer", done.stdout)
        self.disconnect()
        self.assert_as_before()


class KeyTest(ConnectTest):
    wants_key = True

    def test_a_wrong_key_is_named_before_anything_is_changed(self):
        done = self.connect("--proxy-user", USER, check=False, VPN_API_KEY="wrong")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("refuses this key", done.stderr)
        self.assert_as_before()
        self.connect("--proxy-user", USER, VPN_API_KEY=KEY)
        self.assertTrue(self.speaks(self.serve(WORLD4, via.echo)))
        s = self.socket(WORLD4, UDP)
        s.sendto(via.query_for("www.example", 7), ("192.168.77.1", 53))
        self.assertEqual(struct.unpack_from(">H", s.recv(512))[0], 7)
        self.disconnect()
        self.assert_as_before()
        self.assertNotIn(KEY, netns.run("sh", "-c", f"cat {self.state}/client/* 2>/dev/null || true").stdout)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The CONNECT proxy of a gateway that serves users: their keys count while they are there.

    [client] c0 192.0.2.2 ──── 192.0.2.1 eth0 [edge] culvert gateway and its proxy :3128
                                              out0 198.51.100.1 ──── 198.51.100.2 in0 [world]
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "net"))
import suite
from test_host import Gateway, is_settled

URL, PROXY, WORLD = "http://192.0.2.1:8000", ("192.0.2.1", 3128), "198.51.100.2"


def echo(s):
    with s:
        try:
            while data := s.recv(1 << 16):
                s.sendall(data)
        except OSError:
            pass


class ProxyOfAGateway(suite.NetTest):
    def setUp(self):
        super().setUp()
        os.chmod("/run", 0o755)
        self.base = f"/run/proxy-{id(self)}"
        os.mkdir(self.base)
        os.chmod(self.base, 0o755)
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.edge, self.client, self.world = [self.net.namespace(n) for n in ("edge", "client", "world")]
        self.net.link(self.edge, "eth0", self.client, "c0", addresses=(("192.0.2.1/24",), ("192.0.2.2/24",)))
        self.net.link(self.edge, "out0", self.world, "in0", addresses=(("198.51.100.1/24",), (f"{WORLD}/24",)))
        self.soon(lambda: is_settled(self.edge), "settled addresses")
        with self.world:
            self.server = socket.create_server((WORLD, 7777))
        self.addCleanup(self.server.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                threading.Thread(target=echo, args=(self.server.accept()[0],), daemon=True).start()
            except OSError:
                return

    def start(self, *options, **more):
        gateway = Gateway(self.edge, f"{self.base}/state", "--listen-users", f"{URL} insecure", *options, program=None, **more)
        self.addCleanup(gateway.process.kill)
        return gateway

    def ask(self, key, method, target, body=None):
        request = urllib.request.Request(URL + target, None if body is None else json.dumps(body).encode(),
                                         {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}, method=method)
        with self.client:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)

    def connect(self, key):
        """(status, socket)."""
        with self.client:
            s = socket.socket()
        self.addCleanup(s.close)
        s.settimeout(20)
        try:
            s.connect(PROXY)
            s.sendall(f"CONNECT {WORLD}:7777 HTTP/1.1\r\nProxy-Authorization: Bearer {key}\r\n\r\n".encode())
            text = s.recv(39)  # as long as "HTTP/1.1 200 Connection established" and what ends it
        except OSError:
            return 0, s
        return int(text.split(b" ")[1]) if text else 0, s

    def comes_to(self, key, status):
        self.soon(lambda: self.connect(key)[0] == status, f"status {status}", 20)

    def passes(self, s):
        s.sendall(b"ping")
        self.assertEqual(s.recv(10), b"ping")

    def proxies(self):
        return [pid for pid in filter(str.isdigit, os.listdir("/proc"))
                if b"culvert\0proxy\0" in self.command_line(pid) and self.is_ours(pid)]

    @staticmethod
    def command_line(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    def is_ours(self, pid):
        return f"{self.base}".encode() in self.command_line(pid) or b"/run/culvert/" in self.command_line(pid)

    def test_users_keys_count_from_their_creation_to_their_end(self):
        gateway = self.start(env={"PROXY_PORT": "3128"}).ready()
        master = pathlib.Path(f"{self.base}/state/params/master-api-key").read_text()
        one, two = [self.ask(master, "POST", "/users", {"client_id": n})["api_key"] for n in ("user1", "user2")]
        for key in (one, two, master):
            self.comes_to(key, 200)
        self.assertEqual(self.connect("x" * 64)[0], 407)
        (_, first), (_, second) = self.connect(one), self.connect(two)
        self.passes(first)
        self.passes(second)
        self.ask(master, "DELETE", "/users/user1")
        with self.assertRaises(ConnectionResetError):
            first.recv(10)
        self.passes(second)
        self.comes_to(one, 407)

        # Either may end and come back without the other.
        proxy, = self.proxies()
        status = pathlib.Path(f"/proc/{proxy}/status").read_text()
        self.assertIn("CapEff:\t0000000000000000\n", status)
        self.assertNotIn("Uid:\t0\t", status)
        child, = [p for p in filter(str.isdigit, os.listdir("/proc")) if b"gateway-serve\0" in self.command_line(p)]
        os.kill(int(child), signal.SIGKILL)
        self.passes(second)
        self.assertEqual(self.connect(two)[0], 200)
        os.kill(int(proxy), signal.SIGKILL)
        self.comes_to(two, 200)
        self.soon(lambda: self.can_ask(master), "the API again", 20)
        three = self.ask(master, "POST", "/users", {"client_id": "user3"})["api_key"]
        self.comes_to(three, 200)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertEqual(self.proxies(), [])

    def can_ask(self, master):
        try:
            return self.ask(master, "GET", "/users")
        except OSError:
            return None

    def test_a_proxy_is_for_users_and_is_said_so(self):
        done = self.edge.run(os.environ.get("CULVERT", "culvert"), "gateway", "--state", f"{self.base}/other",
                             "--listen-proxy", "[::]:3128", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("--listen-proxy", done.stderr)
        for wrong in ("192.0.2.1", "http://192.0.2.1:3128", "0", "70000"):
            done = self.edge.run(os.environ.get("CULVERT", "culvert"), "gateway", "--state", f"{self.base}/other",
                                 "--listen-users", f"{URL} insecure", "--listen-proxy", wrong, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    suite.main()

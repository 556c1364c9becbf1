# SPDX-License-Identifier: Apache-2.0
"""Carriers for tests: a gateway's end, a client's end, and the tunnel that goes through them."""

import hashlib
import json
import os
import signal

import netns
import suite
import tunnel

KEY = "cvu_0123456789abcdef"
CULVERT = tunnel._built_culvert()


class CarrierTest(suite.NetTest):
    """[client] 192.0.2.2 ──── 192.0.2.1 [router] 198.51.100.1 ──── 198.51.100.2 [server]

    The tunnel: 10.9.0.1 at the client, 10.9.0.2 at the server, WireGuard's port there is 51820.
    """

    PORTS = {"tcp": 8443, "https": 443, "http": 80}

    def setUp(self):
        super().setUp()
        self.client, self.router, self.server = (self.net.namespace(n) for n in ("client", "router", "server"))
        self.net.link(self.client, "out0", self.router, "c0", addresses=("192.0.2.2/24", "192.0.2.1/24"))
        self.net.link(self.router, "s0", self.server, "out0", addresses=("198.51.100.1/24", "198.51.100.2/24"))
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.client.ip("route", "add", "default", "via", "192.0.2.1")
        self.server.ip("route", "add", "default", "via", "198.51.100.1")
        self.dir = f"/run/{self.id()}"
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.write("keys", f"anna {hashlib.sha256(KEY.encode()).hexdigest()}\n")
        self.write("key", KEY + "\n")
        self.killed = None

    def write(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def tunnel(self):
        """Both devices, with the client's peer where UDP would find it."""
        self.near = self.device(self.client, "cn0")
        self.far = self.device(self.server, "cf0")
        for device, port, address in ((self.near, 51821, "10.9.0.1/24"), (self.far, 51820, "10.9.0.2/24")):
            device.configure(listen_port=port)
            device.up(address)
        self.far.add_peer(self.near.public, ["10.9.0.1/32"])
        self.lead("198.51.100.2:51820")

    def lead(self, endpoint):
        """Where the client's tunnel finds its peer from now on."""
        self.near.add_peer(self.far.public, ["10.9.0.2/32"], endpoint)

    def run_end(self, namespace, *words, **options):
        env = {**os.environ, "XDG_STATE_HOME": self.dir, **options.pop("env", {})}
        process = namespace.start(CULVERT, "carrier", *words, "--json", stdout=-1, stderr=self.log, env=env)
        self.addCleanup(self.ended_quietly, process)
        line = process.stdout.readline()
        self.assertTrue(line, "the carrier is ready")
        return process, json.loads(line)

    def ended_quietly(self, process):
        """It leaves with 0, which it does not after a leak or a crash."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), -signal.SIGKILL if process is self.killed else 0)

    def serve(self, *kinds, address="0.0.0.0", more=()):
        urls = ",".join(f"{kind}://{address}:{self.PORTS[kind]}" for kind in kinds)
        self.gate, ready = self.run_end(self.server, "--listen", urls, "--keys", f"{self.dir}/keys",
                                        "--cert", f"{self.dir}/cert.pem", "--cert-key", f"{self.dir}/cert.key", *more)
        self.pin = ready.get("fingerprint")
        return ready

    def connect(self, kind, *more, host="198.51.100.2", key=None, port=7000, env=None):
        words = ["--to", f"{kind}://{host}:{self.PORTS[kind]}", "--listen", f"127.0.0.1:{port}",
                 "--key-file", key or f"{self.dir}/key", *more]
        if kind == "https" and "--ca" not in more:
            words += ["--pin", self.pin]
        return self.run_end(self.client, *words, env=env or {})[0]

    def only(self, *rules):
        """What the router lets through; everything else of IP is dropped."""
        self.router.rules("inet", "filter hook forward", "ct state established accept", *rules, "meta l4proto icmp accept",
                          "counter drop")

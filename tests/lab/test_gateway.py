#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway and a client made of wg-quick and the kernel's module. tests/net/gateway_client.py draws it.

    tests/lab/kernel-lab tests/lab/test_gateway.py
"""

import hashlib
import os
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import gateway_client  # noqa: E402
import suite  # noqa: E402


class Kernel(gateway_client.GatewayTest):
    megabytes_usual = 4

    def connect(self, text):
        super().connect(text)
        self.assertIn("wireguard", self.client.output("ip", "-d", "link", "show", "phone"), "the module serves it")


class KernelAtBothEnds(Kernel):
    kind = "kernel"

    def is_for_soak(self, _):
        return True

    def serve(self):
        process = super().serve()
        self.assertIn("wireguard", self.gateway.output("ip", "-d", "link", "show", "wg0"), "the module serves it")
        return process


class KernelAndUsernet(Kernel):
    """A gateway without an interface."""

    kind = "usernet"

    def is_for_soak(self, name):
        return "stock_client" not in name

    def test_a_stock_client_connects_with_what_peer_add_prints(self):
        self.gateway.sysctl("net.ipv4.ping_group_range", "0 0")
        process = self.serve()
        self.assertNotIn("wg0", self.gateway.output("ip", "-o", "link"))
        self.connect(self.add("phone"))
        self.reaches_everything()
        size = suite.scaled(self.megabytes_usual, self.megabytes) << 20
        for address in gateway_client.WORLD[:2 if suite.SOAK else 1]:
            self.moved(self.client, self.world, address, size, 600)
            self.assertEqual(*self.fetched(address, size), f"download from {address}")
        self.disconnect()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)

    def fetched(self, address, size):
        """The world sends to who connects: both SHA-256."""
        sent, got = hashlib.sha256(), hashlib.sha256()
        with self.world:
            listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)

        def give():
            block = os.urandom(1 << 20)
            with listener.accept()[0] as s:
                for _ in range(size >> 20):
                    sent.update(block)
                    s.sendall(block)

        thread = threading.Thread(target=give, daemon=True)
        thread.start()
        with self.client:
            s = socket.create_connection((address, listener.getsockname()[1]), 60)
        s.settimeout(120)
        while data := s.recv(1 << 18):
            got.update(data)
        thread.join(10)
        for each in (s, listener):
            each.close()
        return sent.hexdigest(), got.hexdigest()


suite.main()

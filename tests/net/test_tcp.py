#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's TCP and ours (inet/tcp.h), with a bad network in between, packet by packet.

    [left] client ── tcp0 10.3.0.1/24 fd03::1/64 ══ TUN ══ tests/net/tcp_echo, any other address of these networks

Everything that the kernel sends comes back; both directions are loaded at once.
"""

import os
import random
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import netns  # noqa: E402
import suite  # noqa: E402

PROGRAM = os.environ.get("CULVERT_TCP_ECHO", "tcp_echo")


class KernelTcp(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.left = self.net.namespace("left")

    def network(self, seed, delay=0, jitter=0, loss=0, duplicate=0):
        process = self.left.start(PROGRAM, "tcp0", seed, delay, jitter, loss, duplicate, stdin=subprocess.PIPE,
                                  stdout=self.log, stderr=self.log)
        self.addCleanup(self.ended, process)
        netns.wait_until(lambda: "tcp0" in self.left.output("ip", "-o", "link"), what="the interface")
        self.left.address("tcp0", "10.3.0.1/24", "fd03::1/64")
        self.left.ip("link", "set", "tcp0", "mtu", "1420", "up")

    def ended(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(10), 0)

    def echoed(self, address, size, timeout=120):
        """Send size octets and read as many, at the same time: Mbit/s. They must be the same."""
        block = random.Random(size).randbytes(size)
        with self.left:
            s = socket.create_connection((address, 7), timeout)
        s.settimeout(timeout)
        began = time.monotonic()

        def give():
            s.sendall(block)
            s.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=give, daemon=True)
        thread.start()
        got = bytearray()
        while data := s.recv(1 << 18):
            got += data
        thread.join(5)
        s.close()
        self.assertEqual(len(got), size)
        self.assertTrue(got == block, "octets differ")
        return size * 8 / (time.monotonic() - began) / 1e6

    def test_without_trouble_over_both_families(self):
        self.network(1)
        for address in ("10.3.0.2", "fd03::2"):
            for size in (0, 1, 1000, 4 << 20):
                self.echoed(address, size)

    def test_every_octet_comes_back_whatever_the_network_does(self):
        seed = int(os.environ.get("CULVERT_SEED", time.time()))
        print(f"# seed {seed}", flush=True)
        draw = random.Random(seed)
        for _ in range(suite.scaled(6, 200)):
            path = {"delay": draw.choice((0, 2, 20)), "jitter": draw.choice((0, 0, 5, 20)),
                    "loss": draw.choice((0, 50, 300)), "duplicate": draw.choice((0, 0, 300))}
            self.network(draw.randrange(1 << 32), **path)
            rate = self.echoed(draw.choice(("10.3.0.2", "fd03::2")), draw.randrange(300000), 300)
            print(f"# {path}: {rate:.1f} Mbit/s", flush=True)
            self.doCleanups()
            self.setUp()

    def test_many_connections_at_once(self):
        self.network(3, delay=5, jitter=10, loss=100)
        failures = []

        def one(number):
            try:
                self.echoed("10.3.0.2", 20000 + number)
            except (AssertionError, OSError) as error:
                failures.append(f"{number}: {error}")

        threads = [threading.Thread(target=one, args=(n,)) for n in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(200)
        self.assertEqual(failures, [])


suite.main()

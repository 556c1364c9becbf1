#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's TCP and ours (inet/tcp.h), with a bad network in between, packet by packet.

    [left] client ── tcp0 10.3.0.1/24 fd03::1/64 ══ TUN ══ tests/net/tcp_echo, any other address of these networks

Everything that the kernel sends comes back; both directions are loaded at once.
"""

import concurrent.futures
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
FLOWS, NETWORKS_AT_ONCE = 40, 4


class KernelTcp(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.left = self.net.namespace("left")

    def network(self, seed, delay=0, jitter=0, loss=0, duplicate=0, left=None):
        left = left or self.left
        process = left.start(PROGRAM, "tcp0", seed, delay, jitter, loss, duplicate, stdin=subprocess.PIPE,
                             stdout=self.log, stderr=self.log)
        netns.wait_until(lambda: "tcp0" in left.output("ip", "-o", "link"), what="the interface")
        left.address("tcp0", "10.3.0.1/24", "fd03::1/64")
        left.ip("link", "set", "tcp0", "mtu", "1420", "up")
        return process

    def ended(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(10), 0)

    def echoed(self, address, size, timeout=120, left=None):
        """Send size octets and read as many, at the same time: Mbit/s. They must be the same."""
        block = random.Random(size).randbytes(size)
        with left or self.left:
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
        self.addCleanup(self.ended, self.network(1))
        for address in ("10.3.0.2", "fd03::2"):
            for size in (0, 1, 1000, 4 << 20):
                self.echoed(address, size)

    def test_every_octet_comes_back_whatever_the_network_does(self):
        seed = int(os.environ.get("CULVERT_SEED", time.time()))
        print(f"# seed {seed}", flush=True)
        count = suite.scaled(4, 10000 // FLOWS)
        print(f"# scale: {count * FLOWS} transfers, {FLOWS} at once on each of {count} networks", flush=True)
        with concurrent.futures.ThreadPoolExecutor(NETWORKS_AT_ONCE) as pool:
            for number, failures in enumerate(pool.map(self.over_one_network, range(seed, seed + count))):
                self.assertEqual(failures, [], f"network {number}")

    def over_one_network(self, seed):
        """FLOWS transfers at once over a network that this seed makes up: what failed."""
        draw = random.Random(seed)
        path = {"delay": draw.choice((0, 2, 20)), "jitter": draw.choice((0, 0, 5, 20)),
                "loss": draw.choice((0, 50, 300)), "duplicate": draw.choice((0, 0, 300))}
        transfers = [(draw.choice(("10.3.0.2", "fd03::2")), draw.randrange(300000)) for _ in range(FLOWS)]
        failures = []

        def one(address, size, left):
            try:
                self.echoed(address, size, 300, left)
            except (AssertionError, OSError) as error:
                failures.append(f"seed {seed}, {path}, {address}, {size} octets: {error!r}")

        with netns.Network() as net:
            left = net.namespace("left")
            process = self.network(draw.randrange(1 << 32), **path, left=left)
            began = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(FLOWS) as pool:
                for address, size in transfers:
                    pool.submit(one, address, size, left)
            print(f"# {path}: {sum(t[1] for t in transfers) * 8 / (time.monotonic() - began) / 1e6:.1f} Mbit/s", flush=True)
            self.ended(process)
        return failures

    def test_many_connections_at_once(self):
        self.addCleanup(self.ended, self.network(3, delay=5, jitter=10, loss=100))
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

# SPDX-License-Identifier: Apache-2.0
"""Clients of every kind at one device of ours, which knows several framings, on one port.

    [server] ──── a link to each client's namespace, named like the client
"""

import threading
import time

import amnezia
import suite


class OnePortTest(suite.HandshakeTest):
    """Subclasses say who the clients are: name -> (contender, generation of parameters or None)."""

    CLIENTS = {}
    PORT = 51820
    MTU = 1360  # fits every profile over every family
    PATIENCE_S = 300 if not suite.SOAK else 3600

    def setUp(self):
        super().setUp()
        for contender, _ in self.CLIENTS.values():
            self.need(contender)
        self.end = self.net.namespace("server")
        self.server = self.device(self.end, "wgs0")
        self.server.configure(listen_port=self.PORT)
        known = sorted({generation for _, generation in self.CLIENTS.values() if generation})
        lines = [amnezia.profile(f"generation-{name}", amnezia.GENERATIONS[name]) for name in known]
        self.server.uapi("set=1\n" + "\n".join(lines) + "\n\n")
        self.server.up("10.9.0.1/24", "fd09::1/64", mtu=self.MTU)
        self.clients = [self.client(number, name) for number, name in enumerate(self.CLIENTS, 2)]

    def client(self, number, name):
        contender, generation = self.CLIENTS[name]
        namespace = self.net.namespace(name)
        self.net.link(namespace, "out0", self.end, f"to-{name}",
                      addresses=(f"198.51.{number}.2/24", f"198.51.{number}.1/24"))
        device = self.device(namespace, f"wgc{number}", contender)
        device.number = number
        device.configure(listen_port=51830 + number, **(amnezia.GENERATIONS[generation] if generation else {}))
        device.up(f"10.9.0.{number}/24", f"fd09::{number}/64", mtu=self.MTU)
        self.server.add_peer(device.public, [f"10.9.0.{number}/32", f"fd09::{number}/128"])
        self.join(device)
        return device

    def join(self, device):
        device.add_peer(self.server.public, ["10.9.0.1/32", "fd09::1/128"], f"198.51.{device.number}.1:{self.PORT}")

    def latest(self, device):
        """When the server last had a handshake with a client."""
        peer = self.server.get()[1][device.public]
        return peer["last_handshake_time_sec"], peer["last_handshake_time_nsec"]

    def handshakes(self, device, count):
        """As consecutive_handshakes(): the client forgets, and one ping brings one handshake at once."""
        for number in range(count):
            before = self.latest(device)
            device.remove_peer(self.server.public)
            self.join(device)
            time.sleep(self.PAUSE_S)
            self.assertTrue(self.pings(device.namespace, "10.9.0.1", timeout=3), f"handshake {number + 1}")
            self.assertNotEqual(self.latest(device), before, f"handshake {number + 1}")

    def both_ways(self, device, size):
        self.moved(device.namespace, self.end, "10.9.0.1", size, self.PATIENCE_S)
        self.moved(self.end, device.namespace, f"fd09::{device.number}", size, self.PATIENCE_S)

    def at_once(self, work):
        """Run work(client) for all clients, each in a thread of its own; fail with what any of them says."""
        failures = []

        def run(device):
            try:
                work(device)
            except Exception as error:  # told by the test's own thread
                failures.append(f"{device.namespace.name}: {error}")

        threads = [threading.Thread(target=run, args=(device,), daemon=True) for device in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

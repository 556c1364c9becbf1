#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many peers on one interface: set, list, traffic in their midst, change, forget.

    [left] one peer ──── [right] the same peer and 10 000 others
"""

import base64
import os
import random
import subprocess
import time

import suite
import tunnel


class ManyPeers(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.count = suite.scaled(10000, 100000 if "culvert" in tunnel.CONTENDERS["culvert"]()[0] else 60000)
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.right = self.tunnel.devices[1]
        keys = random.Random(7).randbytes(32 * self.count)
        self.keys = [base64.b64encode(keys[i:i + 32]).decode() for i in range(0, len(keys), 32)]

    @staticmethod
    def prefixes(i):
        return f"10.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}/32", f"fd42::{i:x}:0/112"

    def write(self, keys):
        left = self.tunnel.devices[0]
        with open("/run/many.conf", "w") as f:
            f.write(f"[Interface]\nPrivateKey = {self.right.private}\nListenPort = {self.tunnel.PORT[1]}\n"
                    f"[Peer]\nPublicKey = {left.public}\nAllowedIPs = 10.9.0.1/32, fd09::1/128\n"
                    f"Endpoint = {self.tunnel.endpoint(0)}\n")
            for i, key in enumerate(keys):
                f.write(f"[Peer]\nPublicKey = {key}\nAllowedIPs = {', '.join(self.prefixes(i))}\n")

    def test_setconf_dump_traffic_and_removal_with_ten_thousand_peers(self):
        self.write(self.keys)
        self.right.wg("setconf", self.right.interface, "/run/many.conf", timeout=120)
        dump = self.right.wg("show", self.right.interface, "dump", timeout=120).stdout.splitlines()
        self.assertEqual(len(dump), self.count + 2)
        listed = {fields[0]: fields[3] for line in dump[1:] if (fields := line.split("\t"))}
        for i in random.sample(range(self.count), 200):
            self.assertEqual(listed[self.keys[i]], ",".join(self.prefixes(i)))
        # setconf made new peers of all; the session of the old one is gone at this end only.
        self.soon(lambda: self.pings(self.tunnel.right, "10.9.0.1"), "a ping in the crowd", 10)
        self.moved(self.tunnel.left, self.tunnel.right, "10.9.0.2", 16 << 20)
        self.listing_during_traffic()
        self.write(self.keys[:10])
        self.right.wg("syncconf", self.right.interface, "/run/many.conf", timeout=120)
        self.assertEqual(len(self.right.get()[1]), 11)
        self.assertTrue(self.pings(self.tunnel.left, "10.9.0.2"), "the session outlives the crowd")

    def listing_during_traffic(self):
        """A full get while pings pass: none is lost, none waits for it."""
        text = self.tunnel.left.start("ping", "-n", "-q", "-i", "0.01", "-c", "200", "10.9.0.2",
                                      stdout=subprocess.PIPE)
        for _ in range(5):
            self.right.exchange(b"get=1\n\n")
        answer = text.communicate(timeout=30)[0]
        self.assertIn(" 0% packet loss", answer)

    def test_one_peer_among_ten_thousand_is_added_and_removed_in_a_moment(self):
        self.write(self.keys)
        self.right.wg("setconf", self.right.interface, "/run/many.conf", timeout=120)
        took = []
        for _ in range(50):
            key = tunnel.hexkey(base64.b64encode(os.urandom(32)))
            start = time.monotonic()
            self.right.uapi(f"set=1\npublic_key={key}\nallowed_ip=10.8.0.1/32\n\n")
            self.right.uapi(f"set=1\npublic_key={key}\nremove=true\n\n")
            took.append(time.monotonic() - start)
        self.assertLess(sorted(took)[len(took) // 2], 0.02, "median seconds for adding and removing one")


suite.main()

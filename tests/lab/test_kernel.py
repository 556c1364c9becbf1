#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Us and the kernel's WireGuard module. Run it by kernel-lab where the host has no module:

    tests/lab/kernel-lab tests/lab/test_kernel.py [WORDS]

    [left] one of them ──── [right] the other
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import suite  # noqa: E402
import tunnel  # noqa: E402

BOTH_ROLES = (("culvert", "kernel"), ("kernel", "culvert"))
MEGABYTE = 1 << 20


class Kernel(suite.HandshakeTest):
    def handshakes(self, contenders, outer):
        self.consecutive_handshakes(contenders, outer, suite.scaled(5, 100))

    def test_every_handshake_that_we_begin_is_answered_over_ipv4(self):
        self.handshakes(BOTH_ROLES[0], 4)

    def test_every_handshake_that_we_begin_is_answered_over_ipv6(self):
        self.handshakes(BOTH_ROLES[0], 6)

    def test_every_handshake_that_the_kernel_begins_is_answered_over_ipv4(self):
        self.handshakes(BOTH_ROLES[1], 4)

    def test_every_handshake_that_the_kernel_begins_is_answered_over_ipv6(self):
        self.handshakes(BOTH_ROLES[1], 6)

    def bulk(self, outer):
        pair = self.pair(contenders=BOTH_ROLES[0], outer=outer, preshared=tunnel.keypair()[0])
        self.connected(pair, 20)
        size = suite.scaled(4, 64) * MEGABYTE
        for family in (0, 1):
            self.assertTrue(self.pings(pair.left, pair.INNER[family][1], timeout=3))
            self.moved(pair.left, pair.right, pair.INNER[family][1], size, 300)
            self.moved(pair.right, pair.left, pair.INNER[family][0], size, 300)

    def test_bulk_passes_unharmed_both_ways_over_ipv4(self):
        self.bulk(4)

    def test_bulk_passes_unharmed_both_ways_over_ipv6(self):
        self.bulk(6)

    def test_each_follows_the_other_to_a_new_port_and_address(self):
        for contenders in BOTH_ROLES:
            with self.subTest(mover=contenders[0]):
                pair = self.pair(contenders=contenders)
                self.connected(pair, 20)
                pair.devices[0].configure(listen_port=40001)
                self.soon(lambda: self.pings(pair.left, "10.9.0.2"), "a ping from the new port")
                pair.left.ip("address", "del", "192.0.2.1/24", "dev", "out0")
                pair.left.address("out0", "192.0.2.11/24")
                self.soon(lambda: self.pings(pair.left, "10.9.0.2"), "a ping from the new address", 10)
                seen = pair.devices[1].get()[1][pair.devices[0].public]["endpoint"]
                self.assertEqual(seen, "192.0.2.11:40001")
                self.net.close()

    def test_either_end_may_be_restarted(self):
        pair = self.pair(contenders=BOTH_ROLES[0])
        self.connected(pair, 20)
        for i in (0, 1, 0, 1):
            pair.devices[i].restart()
            pair.devices[i].configure(listen_port=pair.PORT[i])
            pair.join(i)
            pair.devices[i].up(f"{pair.INNER[0][i]}/24", f"{pair.INNER[1][i]}/64")
            self.soon(lambda: self.pings(pair.ends[i], pair.INNER[0][1 - i]), "the new one connects", 8)
            self.assertTrue(self.pings(pair.ends[1 - i], pair.INNER[1][i], timeout=3), "the other follows")

    def test_a_new_key_of_either_end_makes_a_new_session(self):
        pair = self.pair(contenders=BOTH_ROLES[0])
        self.connected(pair, 20)
        for i in (0, 1):
            device, old = pair.devices[i], pair.devices[i].public
            device.private, device.public = tunnel.keypair()
            device.wg("set", device.interface, "private-key", "/dev/stdin", input=device.private)
            pair.devices[1 - i].remove_peer(old)
            pair.join(1 - i)
            time.sleep(0.05)
            self.soon(lambda: self.pings(pair.ends[i], pair.INNER[0][1 - i]), "a session under the new key", 12)


class BadNetwork(suite.NetTest):
    """The kernel at one end, us at the other, netem on both sides of the link."""

    def over(self, *netem):
        pair = self.pair(contenders=BOTH_ROLES[0])
        self.connected(pair, 20)
        for end in pair.ends:
            end.run("ethtool", "-K", "out0", "tx-udp-segmentation", "off", "gso", "off", "gro", "off")
            end.run("tc", "qdisc", "add", "dev", "out0", "root", "netem", *netem)
        size = suite.scaled(1, 16) * MEGABYTE
        self.moved(pair.left, pair.right, "10.9.0.2", size, 300)
        self.moved(pair.right, pair.left, "fd09::1", size, 300)
        report = pair.left.output("tc", "-s", "qdisc", "show", "dev", "out0")
        print("# " + " ".join(report.split()[-24:]), flush=True)
        self.assertIn("netem", report)

    def test_a_transfer_survives_loss(self):
        self.over("loss", "3%")

    def test_a_transfer_survives_reordering(self):
        self.over("delay", "3ms", "1ms", "reorder", "25%", "50%")

    def test_a_transfer_survives_duplication_and_corruption(self):
        self.over("duplicate", "10%", "corrupt", "1%")


suite.main()

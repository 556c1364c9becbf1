#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's WireGuard beside AmneziaWG of three generations, all at one port of ours:

    tests/lab/kernel-lab tests/lab/test_amneziawg.py [WORDS]
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import one_port  # noqa: E402
import suite  # noqa: E402

MEGABYTE = 1 << 20


class OnePort(one_port.OnePortTest):
    CLIENTS = {
        "kernel": ("kernel", None),
        "plain": ("wireguard-go", None),
        "one": ("awg-peer", "1.0"),
        "two": ("awg-peer", "2.0"),
        "three": ("awg-peer", "3.1"),
        "own": ("culvert", "3.1"),
    }

    def test_one_port_serves_the_kernel_and_all_generations_at_once(self):
        handshakes, size = suite.scaled(10, 50), suite.scaled(2, 16) * MEGABYTE
        self.at_once(lambda device: self.handshakes(device, handshakes))
        self.at_once(lambda device: self.both_ways(device, size))


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway and a client made of wg-quick and the kernel's module. tests/net/gateway_client.py draws it.

    tests/lab/kernel-lab tests/lab/test_gateway.py
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import gateway_client  # noqa: E402
import suite  # noqa: E402


class Kernel(gateway_client.GatewayTest):
    megabytes_usual = 4

    def connect(self, text):
        super().connect(text)
        self.assertIn("wireguard", self.client.output("ip", "-d", "link", "show", "phone"), "the module serves it")

    @unittest.skipUnless(suite.SOAK, "only in the soak here; natively always")
    def test_a_disabled_peer_is_cut_off_and_an_enabled_one_is_back(self):
        super().test_a_disabled_peer_is_cut_off_and_an_enabled_one_is_back()


suite.main()

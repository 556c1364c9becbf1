#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway and a client made of wg-quick and the kernel's module. tests/net/gateway_client.py draws it.

    tests/lab/kernel-lab tests/lab/test_gateway.py
"""

import os
import sys

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


suite.main()

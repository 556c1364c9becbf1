#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway and a client made of wg-quick and wireguard-go. tests/net/gateway_client.py draws it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import gateway_client  # noqa: E402
import suite  # noqa: E402


class WireguardGo(gateway_client.GatewayTest):
    megabytes = 1024


suite.main()

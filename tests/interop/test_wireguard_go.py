#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Us and wireguard-go, as packaged and current (tools/install-rivals): both roles, both families.

    [left] one implementation ──── [right] the other
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import suite  # noqa: E402
import tunnel  # noqa: E402

RIVALS = ("wireguard-go", "wireguard-go-current")
MEGABYTE = 1 << 20


class Interop(suite.HandshakeTest):
    def handshakes(self, contenders, outer):
        self.consecutive_handshakes(contenders, outer, suite.scaled(20, 500))

    def bulk(self, rival, outer):
        pair = self.pair(contenders=("culvert", rival), outer=outer)
        self.connected(pair)
        size = suite.scaled(64, 1024) * MEGABYTE
        timeout = 120 if not suite.SOAK else 900
        self.moved(pair.left, pair.right, pair.INNER[0][1], size, timeout)
        self.moved(pair.right, pair.left, pair.INNER[1][0], size, timeout)


def add(name, function):
    setattr(Interop, "test_" + name.replace(" ", "_").replace("-", "_"), function)


def build():
    for rival in RIVALS:
        if not tunnel.is_available(rival):
            add(f"{rival} in both roles",
                lambda self, r=rival: self.skipTest(f"{r} is not installed (tools/install-rivals)"))
            continue
        for outer in (4, 6):
            add(f"every handshake that we begin is answered by {rival} over ipv{outer}",
                lambda self, r=rival, o=outer: self.handshakes(("culvert", r), o))
            add(f"every handshake that {rival} begins is answered over ipv{outer}",
                lambda self, r=rival, o=outer: self.handshakes((r, "culvert"), o))
            add(f"bulk passes unharmed both ways with {rival} over ipv{outer}",
                lambda self, r=rival, o=outer: self.bulk(r, o))
    for outer in (4, 6):
        add(f"every handshake among ourselves is answered over ipv{outer}",
            lambda self, o=outer: self.handshakes(("culvert", "culvert"), o))


build()
suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole gateway, and other implementations set up by the files that it printed, at each level they know.

    [client] somebody else's tunnel ──── [edge] gateway ──── [world]
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "net"), os.path.join(HERE, "..", "system")]

import suite  # noqa: E402
import tunnel  # noqa: E402
from test_levels import LEVELS, WORLD, WORLD6, LevelTest  # noqa: E402

KNOWN = {
    "wireguard-go": LEVELS[:1],
    "awg-peer": LEVELS,
    "amneziawg-go-1.0": LEVELS[:3],
    "amneziawg-go-1.5": LEVELS[:3],
    "amneziawg-go-2.0": LEVELS[:4],
    "amneziawg-go-3.0": LEVELS[:4],
    "amneziawg-go-current": LEVELS,
}


class Levels(LevelTest):
    """The methods are made below."""

    def connect_at(self, contender, level):
        if not tunnel.is_available(contender):
            self.skipTest(tunnel.why_not(contender))
        gateway = self.start()
        self.join(self.peer("add", "phone", "--level", level).stdout, contender=contender)
        self.reaches("10.0.1.1", WORLD, WORLD6)
        self.moved(self.client, self.world, WORLD, suite.scaled(8, 256) << 20)
        self.moved(self.client, self.world, WORLD6, 2 << 20)
        self.soon(lambda: self.heard() == {"phone": level}, "the peer to be heard at its level")
        self.assertEqual(gateway.end(), 0, gateway.errors())


for contender, levels in KNOWN.items():
    for level in levels if tunnel.is_available(contender) else levels[:1]:  # one skip says it all
        def test(self, contender=contender, level=level):
            self.connect_at(contender, level)
        setattr(Levels, f"test_{contender}_connects_at_level_{level}".replace("-", "_"), test)

if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway that is told its interface is the kernel's: what it refuses, and what stored peers become. The
interface here is ours, which would take all of it: whatever is missing on it, the gateway left out."""

import gateway
from gateway import ApiTest, new_key, suite

PEERS = "/api/v1/peers"


class PlainTest(ApiTest):
    extra = ("--kind", "kernel", "--endpoint", "127.0.0.1")

    def refused(self, answer, status=422):
        self.is_(answer, status)
        self.assertIn("kernel's WireGuard", answer.text)

    def test_levels_and_rates_are_refused_and_nothing_of_them_is_stored(self):
        g = self.gateway
        for members in ({"obfuscation_level": "low"}, {"rate_bps": 10**6}):
            self.refused(g.local("POST", PEERS, {"name": "a", "generate": True, **members}))
        self.is_(g.local("POST", PEERS, {"name": "b", "generate": True}), 201)
        for members in ({"obfuscation_level": "extreme"}, {"rate_bps": 1}):
            self.refused(g.local("PATCH", f"{PEERS}/b", members))
        self.refused(g.local("POST", "/api/v1/batch", {"create": [{"name": "c", "public_key": new_key(3)},
                                                                 {"name": "d", "public_key": new_key(4), "rate_bps": 5}]}),
                     409)
        self.refused(g.local("GET", f"{PEERS}/b/configuration?obfuscation_level=medium"))
        shown = g.local("GET", PEERS).json["peers"]
        self.assertEqual([(p["name"], p["obfuscation_level"], p["rate_bps"]) for p in shown], [("b", "off", 0)])
        self.assertEqual(len(g.on_device()), 1)

    def test_the_gateway_contract_refuses_levels_too(self):
        self.refused(self.gateway.create(new_key(1), obfuscation_level="high"), 409)
        self.is_(self.gateway.create(new_key(1)), 200)
        self.assertEqual(set(self.gateway.on_device()), {new_key(1)})

    def test_peers_that_were_stored_by_another_kind_are_served_plainly(self):
        g = self.gateway
        g.stop()
        g.extra = ["--endpoint", "127.0.0.1"]
        g.start()
        self.is_(g.local("POST", PEERS, {"name": "x", "public_key": new_key(1), "obfuscation_level": "extreme",
                                         "rate_bps": 10**6, "quota": {"bytes": 10**6, "period": "day"}}), 201)
        g.stop()
        g.restart_device()
        g.extra = list(self.extra)
        g.start()
        device, peers = g.device.get()
        self.assertEqual([key for key in device if key.startswith("culvert_profile")], [])
        self.assertEqual(peers[new_key(1)]["persistent_keepalive_interval"], "25")
        for key in ("culvert_rate_bps", "culvert_budget_bytes"):
            self.assertNotIn(key, peers[new_key(1)])
        self.is_(g.local("PATCH", f"{PEERS}/x", {"rate_bps": 0, "obfuscation_level": "off"}), 200)


if __name__ == "__main__":
    suite.main()

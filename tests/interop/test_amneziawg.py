#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Us and other AmneziaWG: every generation of its parameters, both roles, both families.

    [left] one implementation ──── [right] the other

awg-peer (tests/peers/awg-peer) is always there where Go is: it speaks every generation and has the
habits of others as switches. Releases of amneziawg-go are judged where tools/install-rivals got them.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))

import amnezia  # noqa: E402
import one_port  # noqa: E402
import suite  # noqa: E402
import tunnel  # noqa: E402

MEGABYTE = 1 << 20
# What each of them understands.
RIVALS = {
    "awg-peer": tuple(amnezia.GENERATIONS),
    "amneziawg-go-1.0": ("1.0",),
    "amneziawg-go-1.5": ("1.0", "1.5"),
    "amneziawg-go-2.0": ("1.0", "1.5", "2.0"),
    "amneziawg-go-3.0": ("1.0", "1.5", "2.0", "3.0"),
    "amneziawg-go-current": tuple(amnezia.GENERATIONS),
}


class AmneziaTest(suite.HandshakeTest):
    def framed(self, generation, contenders, framing=None, **options):
        framing = framing or amnezia.GENERATIONS[generation]
        return self.pair(contenders=contenders, framing=framing, mtu=amnezia.mtu(framing), **options)

    def counter(self, device, key):
        """Sum of a counter over the peers of a device, or the device's own."""
        state, peers = device.get()
        return int(state.get(key, 0)) + sum(int(peer.get(key, 0)) for peer in peers.values())


class Interop(AmneziaTest):
    """The methods are made by build(), below."""

    def handshakes(self, contenders, generation, outer):
        framing = amnezia.GENERATIONS[generation]
        self.consecutive_handshakes(contenders, outer, suite.scaled(20, 200), framing=framing,
                                    mtu=amnezia.mtu(framing))

    def keepalives(self, rival, generation, outer):
        """Nothing but keepalives, one way after the other: what one end sends defers those of the other."""
        pair = self.framed(generation, ("culvert", rival), outer=outer)
        count = suite.scaled(2, 30)
        for i, hears in ((0, pair.devices[1]), (1, pair.devices[0])):
            pair.join(i, keepalive=1)
            for number in range(count):
                heard = self.counter(hears, "rx_bytes")
                self.soon(lambda: self.counter(hears, "rx_bytes") > heard, f"keepalive {number + 1} from end {i}", 8)
            pair.join(i, keepalive=0)
        # A handshake, and keepalives only: no packet was ever sent.
        self.assertLess(max(self.counter(d, "rx_bytes") for d in pair.devices), 500 + 200 * count)

    def bulk(self, rival, generation, outer):
        pair = self.framed(generation, ("culvert", rival), outer=outer)
        self.connected(pair)
        size = suite.scaled(32, 1024) * MEGABYTE
        timeout = 120 if not suite.SOAK else 900
        self.moved(pair.left, pair.right, pair.INNER[0][1], size, timeout)
        self.moved(pair.right, pair.left, pair.INNER[1][0], size, timeout)


class Cookies(AmneziaTest):
    """Under load a handshake needs a cookie, over which and over whose MAC the type word goes too."""

    # The second initiation, five seconds after the first or a little more, carries the cookie.
    PATIENCE_S = 15

    def we_obey(self, generation, quirks=""):
        pair = self.framed(generation, ("culvert", f"awg-peer under-load{quirks}"),
                           amnezia.with_cookies(amnezia.GENERATIONS[generation]))
        self.connected(pair, self.PATIENCE_S)
        self.assertGreater(self.counter(pair.devices[1], "cookies_sent"), 0)
        self.assertGreater(self.counter(pair.devices[1], "cookies_honoured"), 0)

    def we_demand(self, generation):
        framing = amnezia.with_cookies(amnezia.GENERATIONS[generation])
        pair = self.framed(generation, ("awg-peer", "culvert"), framing)
        client, server = pair.devices
        client.remove_peer(server.public)
        stranger = self.net.namespace("stranger")
        self.net.link(stranger, "out0", pair.right, "out1", addresses=("203.0.113.1/24", "203.0.113.2/24"))
        flooder = self.device(stranger, "wgs0", "awg-peer flood")
        flooder.configure(**framing)
        flooder.add_peer(server.public, ["10.9.1.0/24"], f"203.0.113.2:{pair.PORT[1]}")
        flooder.up("10.9.1.1/24")
        time.sleep(0.5)
        pair.join(0)
        self.connected(pair, self.PATIENCE_S)
        self.assertGreater(self.counter(client, "cookies_received"), 0)

    def replies_to_a_flood(self, framing):
        pair = self.framed("3.1", ("awg-peer flood", "culvert"), framing)
        pair.left.rules("inet", "filter hook input", f"udp sport {pair.PORT[1]} counter")
        time.sleep(2)
        return pair.left.hits("inet")

    def test_no_cookie_is_sent_where_they_are_disabled(self):
        """Who is not believed without one is not answered either."""
        self.need("awg-peer")
        framing = amnezia.GENERATIONS["3.1"]
        self.assertEqual(self.replies_to_a_flood(framing), 0)
        self.net.close()
        self.assertGreater(self.replies_to_a_flood(amnezia.with_cookies(framing)), 0)


class Rekey(AmneziaTest):
    def test_a_key_beyond_rekey_after_time_is_replaced_while_packets_flow(self):
        self.need("awg-peer")
        if os.environ.get("CULVERT_DEVICE"):
            self.skipTest("the timers of another program")
        framing = {**amnezia.GENERATIONS["3.1"], "rekey_after_time": "3-4", "rekey_timeout": "1-2"}
        pair = self.framed("3.1", ("culvert", "awg-peer"), framing)
        self.connected(pair)
        seen, peer = set(), pair.devices[1].public
        for _ in range(suite.scaled(12, 120)):
            report = pair.left.output("ping", "-n", "-q", "-c", 10, "-i", "0.1", pair.INNER[0][1])
            self.assertIn(" 0% packet loss", report)
            seen.add(pair.devices[0].get()[1][peer]["last_handshake_time_sec"])
        self.assertGreaterEqual(len(seen), 3)


class OnePort(one_port.OnePortTest):
    CLIENTS = {
        "plain": ("wireguard-go", None),
        "one": ("awg-peer", "1.0"),
        "two": ("awg-peer", "2.0"),
        "three": ("awg-peer", "3.1"),
        "own": ("culvert", "3.1"),
    }

    def test_one_port_serves_all_generations_at_once(self):
        handshakes, size = suite.scaled(20, 200), suite.scaled(32, 1024) * MEGABYTE
        self.at_once(lambda device: self.handshakes(device, handshakes))
        self.at_once(lambda device: self.both_ways(device, size))

    def test_handshakes_of_some_generations_succeed_while_data_of_others_flows(self):
        count, size = suite.scaled(10, 100), suite.scaled(64, 1024) * MEGABYTE
        for device in self.clients:
            self.assertTrue(self.pings(device.namespace, "10.9.0.1"), device.namespace.name)
        self.at_once(lambda device: self.both_ways(device, size) if device.namespace.name in ("plain", "two")
                     else self.handshakes(device, count))


def add(group, name, function):
    setattr(group, "test_" + name.replace(" ", "_").replace("-", "_"), function)


def add_matrix(rival, generation, label, quirk=""):
    """All that is judged about one rival in one generation."""
    peer = rival + quirk
    for outer in (4, 6):
        if not quirk:
            add(Interop, f"every handshake that we begin is answered by {label} over ipv{outer}",
                lambda self, o=outer: self.handshakes(("culvert", peer), generation, o))
            add(Interop, f"bulk passes unharmed both ways with {label} over ipv{outer}",
                lambda self, o=outer: self.bulk(peer, generation, o))
        add(Interop, f"every handshake that {label} begins is answered over ipv{outer}",
            lambda self, o=outer: self.handshakes((peer, "culvert"), generation, o))
        add(Interop, f"keepalives alone keep a tunnel with {label} over ipv{outer}",
            lambda self, o=outer: self.keepalives(peer, generation, o))


def add_habits():
    """What awg-peer does on request."""
    add_matrix("awg-peer", "2.0", "a peer of bare keepalives", " bare-keepalives")
    add_matrix("awg-peer", "3.1", "a peer of junk with trailers", " junk-trailers")
    for generation in ("2.0", "3.1") if not suite.SOAK else amnezia.GENERATIONS:
        add(Cookies, f"we answer a cookie as {generation}", lambda self, g=generation: self.we_obey(g))
        add(Cookies, f"we ask for a cookie as {generation}", lambda self, g=generation: self.we_demand(g))
    add(Cookies, "we answer a cookie that header protection forgot",
        lambda self: self.we_obey("3.0", " unprotected-cookies"))


def build():
    for rival, known in RIVALS.items():
        if not tunnel.is_available(rival):
            add(Interop, f"{rival} in every generation and both roles", lambda self, r=rival: self.need(r))
            continue
        for generation in known:
            add_matrix(rival, generation, f"{rival} as {generation}")
        if rival == "awg-peer":
            add_habits()
    for generation in amnezia.GENERATIONS:
        add(Interop, f"every handshake among ourselves as {generation} is answered over ipv6",
            lambda self, g=generation: self.handshakes(("culvert", "culvert"), g, 6))


build()
suite.main()

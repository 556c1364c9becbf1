#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What each level of obfuscation hides from an observer on the path, and what it does not.

    [left] out0 ──┬── out0 [right] str0 ──── out0 [stranger]
               observer

The observer is detector.py, who knows no key and no parameter. The tests here know which traffic
they made, so they can tell which part of a recording was small packets, or bulk.
"""

import os
import random
import socket
import struct
import time

import detector
import levels
import suite
import tunnel
from detector import Direction

MEGABYTE = 1 << 20
OPENINGS = 20
PACKETS = 1000  # small ones each way, where the statistics need no more
INITIATION_PAUSE_S = 0.03  # a peer answers one in 20 ms
PORTS = 40000  # the left end's, one for each opening
SHOWS = "the level is known to show this"


class LevelTest(suite.NetTest):
    def setUp(self):
        super().setUp()
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"# seed {seed}", flush=True)
        self.random = random.Random(seed)
        self.tunnel = None

    def begin(self, level, **recording):
        """A tunnel of that level with parameters of its own, and somebody who watches. Ends the one before."""
        for device in self.tunnel.devices if self.tunnel else ():
            device.stop()
        self.server, self.client = levels.draw(level, self.random)
        self.tunnel = self.pair(mtu=levels.tunnel_mtu(self.server))
        self.left, self.right = self.tunnel.ends
        for device, values in zip(self.tunnel.devices, (self.client, self.server)):
            device.configure(**values)
            device.namespace.run("ethtool", "-K", "out0", "tx-udp-segmentation", "off", "gso", "off", "gro", "off")
        self.recorder = detector.Recorder(self.left, "out0", **recording)
        self.addCleanup(self.recorder.close)

    # --- Traffic; each returns what was recorded of it ---

    def openings(self, count=OPENINGS):
        """Handshakes from a new port each, and a packet each way."""
        left, right = self.tunnel.devices
        for number in range(count):
            left.remove_peer(right.public)
            left.uapi(f"set=1\nlisten_port={PORTS + number}\n\n")
            time.sleep(INITIATION_PAUSE_S)
            self.tunnel.join(0)
            self.assertTrue(self.pings(self.left, self.tunnel.INNER[0][1]), f"handshake {number + 1}")
        return self.recorder.take()

    def keepalives(self, count=100):
        """A persistent keepalive that is switched on sends one at once."""
        device, peer = self.tunnel.devices[0], tunnel.hexkey(self.tunnel.devices[1].public)
        for seconds in (25, 0) * count:
            device.uapi(f"set=1\npublic_key={peer}\npersistent_keepalive_interval={seconds}\n\n")
        return self.recorder.take()

    def small(self, count, sizes=lambda random: random.randint(1, 400), train=50):
        """UDP both ways in turns, with a pause behind each train so that no queue overflows."""
        ends = []
        for end, address in zip(self.tunnel.ends, self.tunnel.INNER[0]):
            with end:
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(s.close)
            s.bind((address, 7000))
            ends.append(s)
        for number in range(count):
            for s, address in zip(ends, reversed(self.tunnel.INNER[0])):
                s.sendto(self.random.randbytes(sizes(self.random)), (address, 7000))
            if number % train == train - 1:
                time.sleep(0.002)
        return self.recorder.take()

    def bulk(self, megabytes=2):
        self.moved(self.left, self.right, self.tunnel.INNER[0][1], megabytes * MEGABYTE)
        return self.recorder.take()


class Observer(LevelTest):
    """P23, P25: the findings for each level, also those that an operator would rather not have."""

    def observed(self, level, packets=PACKETS, megabytes=2):
        self.begin(level)
        found = self.openings() + self.keepalives() + self.small(packets) + self.bulk(megabytes)
        seen = detector.Observation(found)
        self.assertEqual(len(seen.openings), OPENINGS)
        self.assertEqual(len(seen.directions), 2)
        print(f"# {level}: {sum(len(d.sizes) for d in seen.directions)} datagrams behind the openings", flush=True)
        return seen

    def neither_sizes_nor_marks_are_wireguards(self, seen):
        sizes = seen.handshake_sizes()
        self.assertFalse(any(request == 148 or reply == 92 for request, reply in sizes), sizes)
        self.assertEqual(seen.handshake_marks(), set())

    def handshakes_show(self, seen):
        """What paddings of a fixed length do not hide: the index that comes back, and an empty MAC2."""
        s1, s2 = levels.pads(self.server)[:2]
        self.assertIn((s1 + 4, s2 + 8), seen.echoes(), SHOWS)
        self.assertTrue(seen.has_zeros_in_handshakes(), SHOWS)
        self.assertEqual(len(seen.handshake_sizes()), 1, SHOWS)

    def test_level_off_is_recognised_with_certainty(self):
        """Which proves that the observer is not blind."""
        seen = self.observed("off")
        self.assertTrue(seen.has_wireguard_handshakes())
        self.assertTrue(seen.has_wireguard_types())
        self.assertTrue(seen.has_reserved_zeros())
        self.assertTrue(seen.has_wireguard_data())
        self.assertTrue(seen.is_wireguard())
        self.assertEqual(set(seen.preludes()), {0})
        self.assertEqual(seen.echoes(), {(4, 8)})
        self.assertEqual(seen.handshake_marks(), {0x88})
        self.assertLessEqual({0, 1, 2, 3}, seen.constant_handshake_octets())
        self.assertEqual({width for _, width, _ in seen.everywhere(Direction.counters)}, {4, 8})

    def test_level_low_hides_handshake_sizes_and_the_type_but_neither_reserved_zeros_nor_the_counter(self):
        seen = self.observed("low")
        self.assertFalse(seen.is_wireguard())
        self.assertFalse(seen.has_wireguard_types())
        self.neither_sizes_nor_marks_are_wireguards(seen)
        self.assertGreater(min(seen.preludes()), 0)
        self.assertTrue(seen.has_reserved_zeros(), SHOWS)
        self.assertTrue(seen.has_wireguard_data(), SHOWS)
        self.handshakes_show(seen)

    def test_level_medium_hides_the_whole_type_but_neither_index_nor_counter(self):
        seen = self.observed("medium")
        self.assertFalse(seen.is_wireguard())
        self.assertFalse(seen.has_wireguard_types())
        self.assertFalse(seen.has_reserved_zeros())
        self.neither_sizes_nor_marks_are_wireguards(seen)
        self.assertGreater(min(seen.preludes()), 0)
        self.assertIn(0, seen.everywhere(Direction.constant_words), SHOWS)
        self.assertTrue(seen.has_wireguard_data(), SHOWS)
        self.handshakes_show(seen)

    def test_level_high_varies_the_type_behind_a_prelude_but_shows_index_and_counter(self):
        seen = self.observed("high")
        self.assertFalse(seen.is_wireguard())
        self.assertFalse(seen.has_wireguard_data())
        self.neither_sizes_nor_marks_are_wireguards(seen)
        self.assertGreaterEqual(min(seen.preludes()), self.client["jc"] + 1)
        at = self.server["s4"]
        self.assertNotIn(at, seen.anywhere(lambda d: d.constant_words(0.5)))
        self.assertIn(at + 4, seen.everywhere(Direction.constant_words), SHOWS)
        self.assertIn((at + 8, 8, "little"), seen.everywhere(Direction.counters), SHOWS)
        self.handshakes_show(seen)

    def test_level_extreme_shows_no_constant_octet_no_counter_and_no_size(self):
        least = suite.scaled(2 * 10**4, 10**5)
        seen = self.observed("extreme", packets=least * 2 // 5, megabytes=least // 2500)
        self.assertGreaterEqual(sum(len(d.sizes) for d in seen.directions), least)
        self.assertFalse(seen.is_wireguard() or seen.has_wireguard_types() or seen.has_wireguard_data())
        self.assertEqual(seen.anywhere(Direction.rising_fields), set())
        self.assertEqual(seen.anywhere(Direction.counters), set())
        self.assertEqual(seen.anywhere(lambda d: d.constant_words(0.01)), set())
        self.assertEqual(seen.echoes(), set())
        self.assertEqual(seen.constant_handshake_octets(), set())
        self.assertFalse(seen.has_zeros_in_handshakes())
        for direction in seen.directions:
            self.octets_are_even(direction)
        self.neither_sizes_nor_marks_are_wireguards(seen)
        sizes = seen.handshake_sizes()
        self.assertGreater(len({request for request, _ in sizes}), OPENINGS // 2)
        self.assertGreater(len({reply for _, reply in sizes}), OPENINGS // 2)
        # An answer may be as long as its question, but not as a rule.
        self.assertLess(sum(n for (request, reply), n in sizes.items() if request == reply), OPENINGS // 4)

    def octets_are_even(self, direction):
        """At no offset fewer than 7.9 bits, nor fewer than uniform octets would show."""
        octets = direction.octets()
        lowest, bound = min(bits for bits, _, _ in octets), detector.entropy_bound(min(n for _, _, n in octets))
        print(f"# entropy at offsets 0 to 31: at least {lowest:.4f} bits; uniform octets: {bound:.4f}", flush=True)
        self.assertGreaterEqual(lowest, 7.9)
        self.assertGreaterEqual(lowest, bound)
        self.assertLess(max(share for _, share, _ in octets), 0.02)


class Sizes(LevelTest):
    """P25, lengths: what is small spreads at level extreme; bulk has one size at every level."""

    def quiet(self, level):
        self.begin(level)
        self.connected(self.tunnel)
        self.recorder.take()

    def spread(self, datagrams):
        """(how many sizes, share of the commonest) of one direction."""
        sizes = [d.size for d in datagrams if d.source[0] == "192.0.2.1"]
        return len(set(sizes)), detector.commonest_share(sizes)

    def one_by_one(self):
        """Packets of one size that do not come in trains: those of a train share their padding."""
        return self.spread(self.small(300, lambda _: 100, train=1))

    def bulk_has_one_size(self):
        sizes = [d.size for d in self.bulk(4) if d.size >= 1000]
        self.assertGreater(detector.commonest_share(sizes), 0.95)

    def test_below_extreme_packets_of_one_size_keep_one_size(self):
        for level in levels.LEVELS[:-1]:
            with self.subTest(level):
                self.quiet(level)
                self.assertEqual(self.one_by_one(), (1, 1.0))
                self.assertEqual(self.spread(self.keepalives()), (1, 1.0))
                self.bulk_has_one_size()

    def test_at_level_extreme_small_packets_and_keepalives_have_many_sizes_and_bulk_has_one(self):
        self.quiet("extreme")
        for how_many, commonest in (self.one_by_one(), self.spread(self.keepalives(300))):
            self.assertGreater(how_many, 40)
            self.assertLess(commonest, 0.1)
        self.bulk_has_one_size()


class Answers(LevelTest):
    """P20, P11, P28: the level is no secret to the stranger here, and does not need to be one."""

    SOURCES = "203.0.113.2", "203.0.113.3"  # each gets a few cookies a second at most

    def begin(self, level, **recording):
        super().begin(level, **recording)
        self.stranger = self.net.namespace("stranger")
        self.net.link(self.right, "str0", self.stranger, "out0",
                      addresses=("203.0.113.1/24", [f"{source}/24" for source in self.SOURCES]))
        self.heard = suite.Capture(self.stranger, "out0", lambda p: p[:1] and p[0] >> 4 == 4)
        self.addCleanup(self.heard.close)

    def open(self, source):
        with self.stranger:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind((source, 0))
        s.connect(("203.0.113.1", self.tunnel.PORT[1]))
        return s

    def passed(self):
        """Since the last call: (payloads that left, packets that came back)."""
        packets = self.heard.packets()
        return [suite.udp_of(p)[5] for out, p in packets if out], [p for out, p in packets if not out]

    # --- P20 ---

    def test_no_reply_is_longer_than_its_request_at_any_level(self):
        for level in levels.LEVELS:
            with self.subTest(level):
                self.begin(level, keep=2048)
                openings = detector.Observation(self.openings(8)).openings
                sizes = [(o.request.size, o.reply.size) for o in openings]
                self.assertEqual([pair for pair in sizes if pair[1] > pair[0]], [])
                request = openings[-1].request.head
                self.cookies_are_not_longer(request, self.SOURCES[0])
                self.cookies_are_not_longer(request[:self.server.get("s1", 0) + 148], self.SOURCES[1])

    def cookies_are_not_longer(self, request, source):
        """Said again so often that the other end answers with cookies."""
        s = self.open(source)
        for _ in range(3000):
            s.send(request)
        time.sleep(0.5)
        answers = [len(suite.udp_of(p)[5]) for p in self.passed()[1]]
        self.assertTrue(answers, "no cookie reply: no test")
        self.assertLessEqual(max(answers), len(request))

    # --- Silence ---

    def nearly_right(self):
        """Octets by chance; in two of three the length of a message and a word from its range."""
        which = self.random.randrange(6)
        octets = bytearray(self.random.randbytes(self.random.choice((31, 32, 64, 92, 148, 1200, 1452))))
        if which < 4:
            pad, word = self.server.get(f"s{which + 1}", 0), str(self.server.get(f"h{which + 1}", which + 1))
            octets = bytearray(self.random.randbytes(pad + levels.MESSAGE[which]))
            struct.pack_into("<I", octets, pad, int(word.partition("-")[0]))
        return bytes(octets)

    def imposter(self):
        """A device with the level's parameters: for a key that is not there, and with one nobody knows."""
        device = self.device(self.stranger, "str1")
        device.configure(**self.client)
        self.addCleanup(device.stop)
        device.add_peer(tunnel.keypair()[1], ["10.9.1.0/24"], "203.0.113.1:51822")
        device.add_peer(self.tunnel.devices[1].public, ["10.9.2.0/24"], "203.0.113.1:51822")
        device.up("10.9.3.1/16")
        for address in ("10.9.1.1", "10.9.2.1"):
            self.pings(self.stranger, address, timeout=0.3)
        device.stop()

    def test_strangers_hear_nothing_at_any_level(self):
        for level in levels.LEVELS:
            with self.subTest(level):
                self.begin(level, keep=2048)
                recorded = self.openings(3) + self.small(20)
                s = self.open(self.SOURCES[0])
                for payload in [self.nearly_right() for _ in range(2000)] + [d.head for d in recorded]:
                    s.send(payload)
                sent, answers = self.passed()
                self.assertGreaterEqual(len(sent), 2000)
                self.assertEqual(answers, [])
                self.imposter()
                sent, answers = self.passed()
                self.assertGreaterEqual(len(sent), 2 + 2 * self.client.get("jc", 0))
                self.assertEqual(answers, [])
                self.connected(self.tunnel)


suite.main()

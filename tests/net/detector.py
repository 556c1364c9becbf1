# SPDX-License-Identifier: Apache-2.0
"""An observer on the path: no key, no parameter, only what passed.

    recorder = detector.Recorder(namespace, "out0")
    ...
    seen = detector.Observation(recorder.take())
    seen.is_wireguard()

It knows WireGuard's published format and looks for it in particular. It also looks for what any
protocol would give away: fields that count, words and octets that stay the same, words of a
request that its reply repeats, sizes. A conversation is what passes between two addresses and
ports; its opening is what passes until the first datagram back.
"""

import math
import socket
import threading
import time
from collections import Counter, namedtuple
from operator import gt, lt, sub

import suite

HEAD = 320  # octets of each datagram that are kept, unless all are wanted
FIELDS = 41  # offsets at which fields are looked for: 0..40
OCTETS = 32  # offsets whose octets are counted: 0..31
MANY = 500  # datagrams in one direction, before their statistics say anything
RISING = 0.6  # of the changes of a field: random ones are 0.5, deviation 0.3 / sqrt(n)
NEARLY_ALWAYS = 0.99

Datagram = namedtuple("Datagram", "source destination tos size head")
Opening = namedtuple("Opening", "prelude request reply")


# --- Statistics ---

def entropy(octets):
    """Bits per octet, corrected for the number of samples (Miller and Madow, 1955)."""
    counts = Counter(octets)
    n = sum(counts.values())
    plain = -sum(c / n * math.log2(c / n) for c in counts.values())
    return min(8.0, plain + (len(counts) - 1) / (2 * n * math.log(2)))


def entropy_bound(n):
    """What the estimate stays above where octets are uniform: eight deviations below 8.

    2 n ln 2 times what the uncorrected entropy lacks to 8 follows chi-square with 255 degrees of
    freedom, of which the deviation is 22.6.
    """
    return 8 - 8 * math.sqrt(2 * 255) / (2 * n * math.log(2))


def commonest_share(values):
    return Counter(values).most_common(1)[0][1] / len(values) if values else 0.0


def is_rising(values):
    """Does it rise, or fall, far more often than the opposite? Staying equal does not count."""
    up, down = (sum(map(way, values[1:], values)) for way in (gt, lt))
    return up + down >= 64 and max(up, down) > RISING * (up + down)


def is_counting(values):
    """Is nearly every value the one before plus 1 to 16?"""
    numbers = [int.from_bytes(v, "big") for v in values]
    good = sum(1 <= step <= 16 for step in map(sub, numbers[1:], numbers))
    return good > NEARLY_ALWAYS * (len(numbers) - 1)


# --- What passed ---

class Direction:
    """Datagrams of a conversation one way, in their order, without its opening."""

    def __init__(self, datagrams):
        self.sizes = [d.size for d in datagrams]
        self.heads = [d.head for d in datagrams]
        self.marks = {d.tos for d in datagrams}

    def words(self, offset, width=4, order="big"):
        """As octets that compare like the numbers they are."""
        cut = [h[offset:offset + width] for h in self.heads if len(h) >= offset + width]
        return cut if order == "big" else [w[::-1] for w in cut]

    def octets(self):
        """Per offset: (bits of entropy, share of the commonest value, how many were counted)."""
        columns = [[h[at] for h in self.heads if len(h) > at] for at in range(OCTETS)]
        return [(entropy(c), commonest_share(c), len(c)) for c in columns]

    def _fields(self, is_telling):
        return {(offset, width, order)
                for offset in range(FIELDS) for width in (4, 8) for order in ("little", "big")
                if is_telling(self.words(offset, width, order))}

    def rising_fields(self):
        """(offset, width, byte order) of what rises, or falls, as numbers in use do."""
        return self._fields(is_rising)

    def counters(self):
        """(offset, width, byte order) of what counts."""
        return self._fields(is_counting)

    def constant_words(self, share=NEARLY_ALWAYS):
        """Offsets of four octets that are the same in so many datagrams."""
        return {at for at in range(FIELDS) if commonest_share(self.words(at)) >= share}

    def begins_with(self, octets, at=0):
        hits = sum(h.startswith(octets, at) for h in self.heads)
        return hits >= NEARLY_ALWAYS * len(self.heads)

    def is_of_sixteens(self):
        """Are sizes multiples of 16? The longest is as long as the path lets it be."""
        small = [s for s in self.sizes if s < max(self.sizes)]
        return sum(s % 16 == 0 for s in small) >= NEARLY_ALWAYS * len(small) > 0


def _conversations(datagrams):
    found = {}
    for d in datagrams:
        found.setdefault(frozenset((d.source, d.destination)), []).append(d)
    return found.values()


def _split(conversation):
    """(opening or None, the rest)."""
    for at, d in enumerate(conversation):
        if d.source != conversation[0].source:
            return Opening(conversation[:at - 1], conversation[at - 1], d), conversation[at + 1:]
    return None, conversation


def _echoes(opening):
    """(offset in the request, offset in the reply) of four octets that are in both, not all zero."""
    request, reply = opening.request.head, opening.reply.head
    where = {}
    for at in range(len(reply) - 3):
        where.setdefault(reply[at:at + 4], []).append(at)
    where.pop(bytes(4), None)
    return {(at, other) for at in range(len(request) - 3) for other in where.get(request[at:at + 4], ())}


class Observation:
    """All that a capture gives away."""

    def __init__(self, datagrams):
        self.openings, self.directions = [], []
        for conversation in _conversations(datagrams):
            opening, rest = _split(conversation)
            self.openings += [opening] if opening else []
            ways = {}
            for d in rest:
                ways.setdefault(d.source, []).append(d)
            self.directions += [Direction(w) for w in ways.values() if len(w) >= MANY]

    def handshake_sizes(self):
        """The sizes of a request and of its reply, and how often."""
        return Counter((o.request.size, o.reply.size) for o in self.openings)

    def handshake_words(self):
        """The first four octets of requests, and of replies."""
        return {o.request.head[:4] for o in self.openings}, {o.reply.head[:4] for o in self.openings}

    def echoes(self):
        """Where every reply repeats four octets of its request: {(offset, offset)}."""
        return set.intersection(*map(_echoes, self.openings)) if self.openings else set()

    def constant_handshake_octets(self):
        """Offsets at which all requests, or all replies, have the same octet."""
        found = set()
        for heads in ([o.request.head for o in self.openings], [o.reply.head for o in self.openings]):
            found |= {at for at, octets in enumerate(zip(*heads)) if len(set(octets)) == 1}
        return found

    def has_zeros_in_handshakes(self, length=16):
        """A run of zeros in all requests, and in all replies: a MAC2 for which there is no cookie."""
        return all(bytes(length) in d.head for o in self.openings for d in (o.request, o.reply))

    def handshake_marks(self):
        """TOS octets of requests and replies that nothing else has."""
        rest = {d.tos for o in self.openings for d in o.prelude}.union(*(d.marks for d in self.directions))
        return {d.tos for o in self.openings for d in (o.request, o.reply)} - rest

    def preludes(self):
        """How many datagrams came before each request."""
        return [len(o.prelude) for o in self.openings]

    def everywhere(self, question):
        """What question(direction) finds in all long directions."""
        return set.intersection(*map(question, self.directions)) if self.directions else set()

    def anywhere(self, question):
        return set().union(*map(question, self.directions))

    # --- WireGuard, as it is published ---

    def has_wireguard_handshakes(self):
        return set(self.handshake_sizes()) == {(148, 92)} and (4, 8) in self.echoes()

    def has_wireguard_types(self):
        return (self.handshake_words() == ({b"\1\0\0\0"}, {b"\2\0\0\0"}) and
                all(d.begins_with(b"\4\0\0\0") for d in self.directions))

    def has_reserved_zeros(self):
        return bool(self.directions) and all(d.begins_with(bytes(3), at=1) for d in self.directions)

    def has_wireguard_data(self):
        """An index that stays, and behind it a counter."""
        return ((8, 8, "little") in self.everywhere(Direction.counters) and
                4 in self.everywhere(Direction.constant_words))

    def is_wireguard(self):
        """With certainty: none of these is ever seen together by chance."""
        return (self.has_wireguard_handshakes() and self.has_wireguard_types() and self.has_wireguard_data() and
                all(d.is_of_sixteens() for d in self.directions))


class Recorder:
    """UDP on an interface in both directions, kept by a thread of its own. At most 2^20 datagrams.

    Segmentation offloads must be off, or trains are seen as one.
    """

    def __init__(self, namespace, interface, keep=HEAD):
        self._keep = keep
        with namespace:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        so_rcvbufforce = 33
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, 64 << 20)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._socket.bind((interface, 0x0003))
        self._socket.settimeout(0.1)
        self._kept, self._ends = [], False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ends and len(self._kept) < 1 << 20:
            try:
                packet = self._socket.recv(self._keep + 48)
            except TimeoutError:
                continue
            udp = suite.udp_of(packet)
            if udp:
                at = len(packet) - len(udp[5])
                size = int.from_bytes(packet[at - 4:at - 2], "big") - 8
                self._kept.append(Datagram((udp[0], udp[2]), (udp[1], udp[3]), udp[4], size, udp[5][:self._keep]))

    def take(self, quiet_s=0.2):
        """All since the last call, once it has been quiet for so long."""
        seen = -1
        while seen != len(self._kept):
            seen = len(self._kept)
            time.sleep(quiet_s)
        taken = self._kept[:seen]
        del self._kept[:seen]
        return taken

    def close(self):
        self._ends = True
        self._thread.join()
        self._socket.close()

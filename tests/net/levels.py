# SPDX-License-Identifier: Apache-2.0
"""The five levels of obfuscation, drawn naively: no line of this is shared with the program.

    server, client = levels.draw("extreme", random.Random(seed))
    device.configure(**server)

Each is a table of UAPI keys. What both ends must share is equal in them, the rest is drawn twice.
"""

LEVELS = ("off", "low", "medium", "high", "extreme")
SHARED = ("s1", "s2", "s3", "s4", "h1", "h2", "h3", "h4", "header_protection_key", "random_trailers")
MESSAGE = (148, 92, 64, 32)  # octets of initiation, response, cookie reply and the shortest data
WORDS = 16777216, 2147483647


def draw(level, random):
    """(what the server has, what a client has); the seed decides."""
    server, client = (_draw_until_good(level, random) for _ in range(2))
    return server, {**client, **{key: server[key] for key in SHARED if key in server}}


def pads(values):
    """S1..S4 as numbers."""
    return [values.get(f"s{i}", 0) for i in (1, 2, 3, 4)]


def tunnel_mtu(values):
    return 1420 - pads(values)[3]


def _draw_until_good(level, random):
    while True:
        values = _RECIPES[level](random)
        if level == "off" or _is_good(values):
            return values


def _bounds(value):
    lo, _, hi = str(value).partition("-")
    return int(lo), int(hi or lo)


def _is_good(values):
    s = pads(values)
    total = [pad + message for pad, message in zip(s, MESSAGE)]
    headers = sorted(_bounds(values[f"h{i}"]) for i in (1, 2, 3, 4))
    if len(set(total)) < 4 or total[1] > total[0] or total[2] > total[0]:
        return False
    if any(low[1] >= high[0] for low, high in zip(headers, headers[1:])):
        return False
    if any(lo < hi for lo, hi in headers):  # no data may be as long as a handshake message
        return (s[0] - s[3]) % 16 != 12 and (s[1] - s[3]) % 16 != 4 and (s[2] - s[3]) % 16 != 0
    return True


def _headers(random, lo, hi):
    return dict(zip(("h1", "h2", "h3", "h4"), random.sample(range(lo, hi + 1), 4)))


def _range_within(random, lo, hi):
    width = random.randint(16777216, 134217728)
    start = random.randint(lo, hi - width + 1)
    return f"{start}-{start + width - 1}"


def _between(random, lo, hi):
    return f"{random.randint(*lo)}-{random.randint(*hi)}"


def _junk(random):
    return {"jc": random.randint(4, 10), "jmin": random.randint(16, 64), "jmax": random.randint(80, 250)}


def _signature(random):
    label = random.randint(5, 20)
    quic = f"<b 0xc{random.randrange(16):x}00000001><b 0x08><r 8><b 0x0000449e><r 1000><r 182>"
    dns = f"<r 2><b 0x01000001000000000000{label:02x}><rc {label}><b 0x03636f6d0000010001>"
    stun = "<b 0x000100002112a442><r 12>"
    return random.choice((quic, dns, stun))


def _low(random):
    return {"jc": random.randint(4, 6), "jmin": random.randint(8, 16), "jmax": random.randint(40, 80),
            "s1": random.randint(15, 40), "s2": random.randint(15, 40), **_headers(random, 5, 255)}


def _medium(random):
    return {**_junk(random), "s1": random.randint(15, 150), "s2": random.randint(15, 150),
            **_headers(random, *WORDS)}


def _high(random):
    return {**_medium(random), "s3": random.randint(8, 64), "s4": random.randint(4, 20),
            **{f"h{i}": _range_within(random, *WORDS) for i in (1, 2, 3, 4)}, "i1": _signature(random)}


def _extreme(random):
    pad = random.randint(12, 24)
    return {**_junk(random), "jc": random.randint(6, 10), "jmin": random.randint(10, 64),
            **{f"s{i}": pad for i in (1, 2, 3, 4)}, **_headers(random, *WORDS), "i1": _signature(random),
            "header_protection_key": random.randbytes(32).hex(),
            "content_padding_addition": _between(random, (5, 20), (80, 128)),
            "rekey_after_time": _between(random, (90, 105), (110, 120)),
            "rekey_timeout": _between(random, (3, 4), (5, 7)),
            "reject_after_time": _between(random, (150, 165), (170, 180)),
            "keepalive_timeout": _between(random, (5, 8), (12, 15)),
            "max_handshake_attempts": _between(random, (15, 16), (18, 20)),
            "random_trailers": 1}


_RECIPES = {"off": lambda random: {}, "low": _low, "medium": _medium, "high": _high, "extreme": _extreme}

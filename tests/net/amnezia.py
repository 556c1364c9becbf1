# SPDX-License-Identifier: Apache-2.0
"""Parameters of AmneziaWG for tests: one set per generation, as keys of the UAPI.

Each is a set that deployments use, with every kind of parameter its generation brought.
"""

# Looks like the start of a QUIC Initial: letters, digits, the time and noise behind it.
_SIGNATURE = "<b 0xc00000000108><r 8><b 0x0000449e><t><rc 7><rd 5><r 100>"
_HEADER_KEY = "5fd1c0a3b4e87629184b0c9a7de3f2615fd1c0a3b4e87629184b0c9a7de3f261"

_FIRST = {"jc": 4, "jmin": 8, "jmax": 80, "s1": 32, "s2": 57,
          "h1": 1234567801, "h2": 1234567802, "h3": 1234567803, "h4": 1234567804}

GENERATIONS = {
    "1.0": _FIRST,
    "1.5": {**_FIRST, "i1": _SIGNATURE, "i2": "<r 40>"},
    "2.0": {"jc": 5, "jmin": 16, "jmax": 120, "s1": 87, "s2": 61, "s3": 22, "s4": 10, "i1": _SIGNATURE,
            "h1": "268435456-335544320", "h2": "536870912-603979776",
            "h3": "805306368-872415232", "h4": "1073741824-1207959552"},
    "3.0": {"jc": 4, "jmin": 10, "jmax": 50, "s1": 42, "s2": 48, "s3": 13, "s4": 12, "h1": 71, "h2": "72-80",
            "h3": 83, "h4": 84, "header_protection_key": _HEADER_KEY, "content_padding_addition": "10-100"},
    # What Amnezia's client sets up on a server.
    "3.1": {"jc": 5, "jmin": 10, "jmax": 50, "s1": 42, "s2": 108, "s3": 13, "s4": 12, "h1": 1, "h2": 2, "h3": 3,
            "h4": 4, "header_protection_key": _HEADER_KEY, "content_padding_addition": "10-100",
            "rekey_after_time": "100-120", "rekey_timeout": "3-7", "reject_after_time": "150-180",
            "keepalive_timeout": "5-15", "max_handshake_attempts": "15-20", "random_trailers": 1,
            "disable_cookies": 1},
}


# Every key at its default: plain WireGuard.
PLAIN = {"jc": 0, "jmin": 0, "jmax": 0, "s1": 0, "s2": 0, "s3": 0, "s4": 0, "h1": 1, "h2": 2, "h3": 3, "h4": 4,
         "i1": "", "i2": "", "i3": "", "i4": "", "i5": "", "header_protection_key": "0" * 64,
         "content_padding_addition": 0, "rekey_after_time": 0, "rekey_timeout": 0, "reject_after_time": 0,
         "keepalive_timeout": 0, "max_handshake_attempts": 0, "random_trailers": 0, "disable_cookies": 0}


def whole(framing):
    """A framing that leaves nothing of the one before it."""
    return {**PLAIN, **framing}


def lines(framing):
    """The lines of a set."""
    return "".join(f"{key}={value}\n" for key, value in framing.items())


def mtu(framing, link=1500):
    """Largest inner packet that no outer one, over either family, has to be cut for."""
    return link - 80 - int(framing.get("s4", 0))


def with_cookies(framing):
    return {**framing, "disable_cookies": 0}


def profile(name, framing):
    """The line of a `set` that gives a device of ours one more profile."""
    return f"culvert_profile={name} " + " ".join(f"{key}={value}" for key, value in framing.items())

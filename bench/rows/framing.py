# SPDX-License-Identifier: Apache-2.0
"""What obfuscation costs: one TCP stream under a framing, beside our own plain tunnel."""

import contest as c
from contest import tunnel
from rows import traffic

KEY = "8f3c2b1a09786756453423120f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"

# What both ends are set to. 3.1 is what AmneziaVPN gives a server of its own; medium and high are
# one draw of `culvert conf obfuscate`.
FRAMINGS = {
    "3.1": {"jc": 5, "jmin": 10, "jmax": 50, "s1": 42, "s2": 108, "s3": 13, "s4": 12,
            "header_protection_key": KEY, "content_padding_addition": "10-100",
            "rekey_after_time": "100-120", "rekey_timeout": "3-7", "reject_after_time": "150-180",
            "keepalive_timeout": "5-15", "max_handshake_attempts": "15-20", "random_trailers": 1,
            "disable_cookies": 1},
    "medium": {"jc": 7, "jmin": 33, "jmax": 180, "s1": 77, "s2": 121, "h1": 1029384756,
               "h2": 564738291, "h3": 1203948576, "h4": 1918273645},
    "high": {"jc": 7, "jmin": 33, "jmax": 180, "s1": 77, "s2": 121, "s3": 33, "s4": 18,
             "h1": "100000000-200000000", "h2": "300000000-420000000", "h3": "500000000-560000000",
             "h4": "900000000-1030000000", "i1": "<b 0x000100002112a442><r 12>"},
}
RIVALS = ("amneziawg-go-current", "awg-peer")


def _framed(contest, name):
    """"culvert 3.1" is culvert with that framing at both ends; "culvert" is plain."""
    kind, _, framing = name.partition(" ")
    if not framing:
        return contest.pair(kind)
    return contest.kept(name, lambda: contest.new_pair(kind, framing=FRAMINGS[framing]))


def _row(framing, rivals=()):
    def run(contest):
        names = ["culvert", f"culvert {framing}"]
        for rival in rivals:
            if rival in tunnel.CONTENDERS and tunnel.is_available(rival):
                names.append(f"{rival} {framing}")
            else:
                contest.note(f"framing-{framing}: {rival} is not installed, left out")
        contest.rounds(f"framing-{framing}", names,
                       lambda name: traffic.tcp_sample(contest, _framed(contest, name)))
    return run


ROWS = {f"framing-{name}": _row(name, RIVALS if name == "3.1" else ()) for name in FRAMINGS}
assert c.RAW not in FRAMINGS

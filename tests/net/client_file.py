# SPDX-License-Identifier: Apache-2.0
"""A client's file as the request that sets up a tunnel: `wg` knows nothing of AmneziaWG's keys."""

import base64
import re

INTERFACE = {"PrivateKey": "private_key", "HeaderProtectionKey": "header_protection_key",
             "ContentPaddingAddition": "content_padding_addition", "RekeyAfterTime": "rekey_after_time",
             "RekeyTimeout": "rekey_timeout", "RejectAfterTime": "reject_after_time",
             "KeepaliveTimeout": "keepalive_timeout", "MaxHandshakeAttempts": "max_handshake_attempts",
             "RandomTrailers": "random_trailers", "DisableCookies": "disable_cookies"}
INTERFACE.update({name: name.lower() for name in ["Jc", "Jmin", "Jmax", *(f"{k}{n}" for k in "SH" for n in range(1, 5)),
                                                  *(f"I{n}" for n in range(1, 6))]})
PEER = {"PublicKey": "public_key", "PresharedKey": "preshared_key", "Endpoint": "endpoint", "AllowedIPs": "allowed_ip",
        "PersistentKeepalive": "persistent_keepalive_interval"}
FOR_THE_HOST = ("Address", "DNS", "MTU")


def values(text):
    """{key: value} of a file with one peer."""
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))


def _spell(name, value):
    if re.fullmatch(r"[A-Za-z0-9+/]{43}=", value):
        return base64.b64decode(value).hex()
    return {"on": "1", "off": "0"}.get(value, value) if name in ("RandomTrailers", "DisableCookies") else value


def uapi(text, **instead):
    """The request; @instead are keys of the UAPI with other values, e.g. endpoint."""
    device, peer = [], []
    for name, value in values(text).items():
        if name in FOR_THE_HOST:
            continue
        known, lines = (INTERFACE, device) if name in INTERFACE else (PEER, peer)
        key = known[name]
        for one in re.split(r",\s*", value) if key == "allowed_ip" else [value]:
            lines.append(f"{key}={instead.get(key, _spell(name, one))}")
    peer.sort(key=lambda line: not line.startswith("public_key="))
    return "\n".join(["set=1", *device, *peer]) + "\n\n"

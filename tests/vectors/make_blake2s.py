#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compute BLAKE2s, keyed BLAKE2s-128, HMAC and HKDF cases with Python's hashlib and hmac.

hashlib carries the BLAKE2 authors' reference code, and HKDF is spelled out below from
RFC 5869, so nothing is shared with what is tested. Writes blake2s.txt beside this script.
"""
import hashlib
import hmac
import pathlib
import random

rng = random.Random(7693)


def octets(n):
    return rng.randbytes(n)


def hmac_blake2s(key, text):
    return hmac.new(key, text, hashlib.blake2s).digest()


def hkdf(salt, ikm, length):
    prk = hmac_blake2s(salt, ikm)
    okm, block, i = b"", b"", 1
    while len(okm) < length:
        block = hmac_blake2s(prk, block + bytes([i]))
        okm, i = okm + block, i + 1
    return okm[:length]


rows = []
for n in list(range(0, 67)) + [95, 96, 116, 127, 128, 129, 132, 148, 191, 192, 193, 255, 1000]:
    text = octets(n)
    rows.append(("hash", b"", text, hashlib.blake2s(text).digest()))
for k in [1, 15, 16, 17, 31, 32]:
    for n in [0, 1, 6, 18, 63, 64, 65, 60, 76, 116, 127, 128, 129, 132, 300]:
        key, text = octets(k), octets(n)
        rows.append(("mac", key, text, hashlib.blake2s(text, key=key, digest_size=16).digest()))
for k in [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 200]:
    for n in [0, 1, 32, 33, 63, 64, 65, 128, 300]:
        key, text = octets(k), octets(n)
        rows.append(("hmac", key, text, hmac_blake2s(key, text)))
for n in [0, 1, 16, 31, 32, 33, 64, 65, 100]:
    for outputs in [1, 2, 3]:
        chain, text = octets(32), octets(n)
        rows.append(("kdf", chain, text, hkdf(chain, text, 32 * outputs)))

lines = ["# Made by make_blake2s.py.", "# kind key text output"]
lines += [" ".join([kind] + [f.hex() or "-" for f in fields]) for kind, *fields in rows]
(pathlib.Path(__file__).parent / "blake2s.txt").write_text("\n".join(lines) + "\n")

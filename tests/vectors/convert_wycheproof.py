#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Turn Wycheproof's JSON into the one-case-per-line text the tests read.

usage: convert_wycheproof.py DIRECTORY
DIRECTORY holds x25519_test.json, chacha20_poly1305_test.json, xchacha20_poly1305_test.json.
Writes wycheproof_*.txt beside this script. "-" stands for an empty field.
"""
import json
import pathlib
import sys

source = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).parent
HEAD = "# From Project Wycheproof (C2SP/wycheproof), Apache-2.0; see README.md.\n"


def cases(name):
    for group in json.loads((source / name).read_text())["testGroups"]:
        for test in group["tests"]:
            yield group, test


def write(name, columns, rows):
    lines = [" ".join(field or "-" for field in row) for row in rows]
    (here / name).write_text(HEAD + "# " + " ".join(columns) + "\n" + "\n".join(lines) + "\n")
    print(name, len(lines))


def aead(name, out, nonce_bits):
    # Our functions take a nonce of fixed size, so a wrong size cannot be expressed.
    write(out, ["case", "key", "nonce", "ad", "text", "sealed", "tag", "result"],
          [[str(t["tcId"]), t["key"], t["iv"], t["aad"], t["msg"], t["ct"], t["tag"], t["result"]]
           for g, t in cases(name) if g["ivSize"] == nonce_bits])


aead("chacha20_poly1305_test.json", "wycheproof_chacha20_poly1305.txt", 96)
aead("xchacha20_poly1305_test.json", "wycheproof_xchacha20_poly1305.txt", 192)
write("wycheproof_x25519.txt", ["case", "private", "public", "shared", "is-zero"],
      [[str(t["tcId"]), t["private"], t["public"], t["shared"],
        "yes" if "ZeroSharedSecret" in t["flags"] else "no"] for g, t in cases("x25519_test.json")])

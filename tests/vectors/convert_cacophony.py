#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Take the one case with WireGuard's protocol name out of the cacophony vectors.

usage: convert_cacophony.py cacophony.txt
Writes noise_ikpsk2.txt beside this script: the handshake's inputs, one per line, then
its messages as "message PAYLOAD CIPHERTEXT".
"""
import json
import pathlib
import sys

NAME = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
vectors = json.loads(pathlib.Path(sys.argv[1]).read_text())["vectors"]
(case,) = [v for v in vectors if v["protocol_name"] == NAME]
assert case["init_prologue"] == case["resp_prologue"] and case["init_psks"] == case["resp_psks"]

lines = [f"# {NAME} from the cacophony test vectors; see README.md."]
lines += [f"{name} {value}" for name, value in [
    ("prologue", case["init_prologue"]), ("psk", case["init_psks"][0]),
    ("initiator-static", case["init_static"]), ("initiator-ephemeral", case["init_ephemeral"]),
    ("responder-static", case["resp_static"]), ("responder-ephemeral", case["resp_ephemeral"]),
    ("responder-public", case["init_remote_static"]), ("handshake-hash", case["handshake_hash"])]]
lines += [f"message {m['payload']} {m['ciphertext']}" for m in case["messages"]]
(pathlib.Path(__file__).parent / "noise_ikpsk2.txt").write_text("\n".join(lines) + "\n")

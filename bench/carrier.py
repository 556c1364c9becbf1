#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One TCP stream through a tunnel over UDP, and through the same tunnel over each carrier.

    [client] cn0 ══ tunnel: UDP, or carrier ══ cf0 [server] iperf3 -s

All ways take turns in every round on one tunnel: what changes between them is the endpoint of the client's peer.

    bench/carrier.py [--rounds 5] [--seconds 4] [--culvert build/culvert] [--json FILE]
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "net"))

import netns  # noqa: E402
import tunnel  # noqa: E402

FAR, KEY = "10.9.0.2", "cvu_bench"
PORTS = {"tcp": 8443, "https": 443, "http": 80}


def refuse(reason):
    sys.exit(f"carrier: {reason}")


class Ways:
    """The tunnel, a gateway's end, and a client's end for each carrier."""

    def __init__(self, net, culvert):
        self.culvert = culvert
        self.client, self.server = net.namespace("client"), net.namespace("server")
        net.link(self.client, "out0", self.server, "out0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        self.near, self.far = tunnel.Device(self.client, "cn0"), tunnel.Device(self.server, "cf0")
        for device, port, address in ((self.near, 51821, "10.9.0.1/24"), (self.far, 51820, f"{FAR}/24")):
            device.configure(listen_port=port)
            device.up(address)
        self.far.add_peer(self.near.public, ["10.9.0.1/32"])
        self.server.start("iperf3", "-s", stdout=-3, stderr=-3)
        self.places = {"udp": "192.0.2.2:51820"}
        self.start_ends()

    def end(self, namespace, *words):
        process = namespace.start(self.culvert, "carrier", *words, "--json", stdout=subprocess.PIPE, stderr=-3,
                                  env={**os.environ, "VPN_API_KEY": KEY})
        return json.loads(process.stdout.readline())

    def start_ends(self):
        with open("/run/keys", "w") as f:
            f.write(f"bench {hashlib.sha256(KEY.encode()).hexdigest()}\n")
        os.chmod("/run/keys", 0o644)
        ready = self.end(self.server, "--listen", ",".join(f"{k}://0.0.0.0:{p}" for k, p in PORTS.items()), "--keys",
                         "/run/keys", "--cert", "/run/cert.pem", "--cert-key", "/run/cert.key")
        for kind, port in PORTS.items():
            made = self.end(self.client, "--to", f"{kind}://192.0.2.2:{port}", "--listen", "127.0.0.1:0", "--pin",
                            ready["fingerprint"])
            self.places[kind] = made["listen"][0]

    def lead(self, way):
        self.near.add_peer(self.far.public, [f"{FAR}/32"], self.places[way])
        netns.wait_until(lambda: self.client.ping(FAR, check=False, timeout=2), 20, what=f"a ping over {way}")

    def stream(self, seconds, direction):
        words = ["iperf3", "-c", FAR, "-t", seconds, "-O", 1, "-J"] + (["-R"] if direction == "down" else [])
        for _ in range(5):
            result = json.loads(self.client.run(*words, timeout=seconds + 30, check=False).stdout)
            if "error" not in result:
                return result["end"]["sum_received"]["bits_per_second"] / 1e9
            time.sleep(0.5)  # the server does not listen while it puts away the last test
        refuse(f"iperf3: {result['error']}")


def contest(options):
    with netns.Network() as net:
        ways = Ways(net, options.culvert)
        figures = {w: {"down": [], "up": []} for w in ways.places}
        for _ in range(options.rounds):
            for way, rates in figures.items():
                ways.lead(way)
                for direction in rates:
                    rates[direction].append(ways.stream(options.seconds, direction))
    result = {w: {d: round(statistics.median(v), 2) for d, v in f.items()} for w, f in figures.items()}
    for way in PORTS:
        result[f"{way} / udp"] = {
            d: round(statistics.median(a / b for a, b in zip(figures[way][d], figures["udp"][d])), 2) for d in ("down", "up")}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--culvert", default=os.environ.get("CULVERT") or os.path.join(ROOT, "build", "culvert"))
    parser.add_argument("--json", help="write the result to this file as well")
    options = parser.parse_args()
    os.environ["CULVERT"] = options.culvert = os.path.abspath(options.culvert)
    netns.sandbox(refuse)
    result = contest(options)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        with open(options.json, "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()

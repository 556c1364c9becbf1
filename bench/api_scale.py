#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the gateway's own API costs with 100 000 peers, and whether it costs the same with 100.

Over one kept connection, one request after the other, so that each latency is one request's own; to a
gateway with a real tunnel process, on a real disk. Batches of 100 creates, eight at a time, for the rate.

    bench/api_scale.py [--peers 100000] [--requests 2000] [--state DIR] [--json FILE]
"""

import argparse
import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "api"))

import gateway  # noqa: E402
from gateway import netns  # noqa: E402


def key(kind, n):
    return base64.b64encode(hashlib.sha256(b"%s %d" % (kind.encode(), n)).digest()).decode()


class Client:
    def __init__(self, g, bearer):
        self.connection = http.client.HTTPConnection("127.0.0.1", g.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}

    def ask(self, method, target, body=None):
        began = time.perf_counter()
        self.connection.request(method, target, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)
        return time.perf_counter() - began, text


def figures(times):
    times = sorted(times)
    return {"p50 ms": round(1000 * statistics.median(times), 3), "p99 ms": round(1000 * times[int(0.99 * len(times))], 3),
            "max ms": round(1000 * times[-1], 3)}


def creates(client, kind, n):
    return [client.ask("POST", "/api/v1/peers", {"name": f"{kind}{i}", "public_key": key(kind, i)})[0] for i in range(n)]


def batches(g, bearer, total):
    def work(worker):
        client = Client(g, bearer)
        for b in range(worker, total // 100, 8):
            client.ask("POST", "/api/v1/batch", {"create": [{"name": f"b{b}-{i}", "public_key": key("batch", b * 100 + i)}
                                                            for i in range(100)]})
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    return round(total / (time.perf_counter() - began))


def resident(g):
    with open(f"/proc/{g.process.pid}/status") as f:
        return [int(line.split()[1]) // 1024 for line in f if line.startswith("VmRSS")][0]


def with_few(g, options):
    g.start()
    bearer = g.local("POST", "/api/v1/keys", {"name": "bench", "role": "admin"}).json["key"]
    client = Client(g, bearer)
    creates(client, "warm", 100)
    return figures(creates(client, "few", options.requests // 2))


def run(make, options):
    result = {"peers": options.peers, "requests of a kind": options.requests}
    g = make()
    few = with_few(g, options)
    g.close()
    g = make()
    try:
        return {**result, **with_all(g, few, options)}
    finally:
        g.close()


def with_all(g, few, options):
    result = {}
    g.preload(options.peers)
    began = time.perf_counter()
    g.start()
    result["cold start, API serves s"] = round(time.perf_counter() - began, 2)
    while len(g.on_device()) < options.peers:
        time.sleep(0.05)
    result["interface complete s"] = round(time.perf_counter() - began, 2)
    bearer = g.local("POST", "/api/v1/keys", {"name": "bench2", "role": "admin"}).json["key"]
    client = Client(g, bearer)
    creates(client, "warm2", 100)
    many = figures(creates(client, "many", options.requests // 2))
    result["create with about 1 000 peers"], result["create with all"] = few, many
    result["ratio of medians"] = round(many["p50 ms"] / few["p50 ms"], 2)
    names = [urllib.parse.quote(key("many", i), safe="") for i in range(options.requests // 2)]
    result["get by key"] = figures([client.ask("GET", f"/api/v1/peers/{n}")[0] for n in names * 2])
    result["page of 100"] = figures([client.ask("GET", f"/api/v1/peers?limit=100&after={i * options.peers // options.requests}")[0]
                                     for i in range(options.requests)])
    result["creates per second in batches of 100"] = batches(g, bearer, options.batched)
    result["gateway RSS MiB"] = resident(g)
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--peers", type=int, default=100000)
    p.add_argument("--requests", type=int, default=2000)
    p.add_argument("--batched", type=int, default=40000)
    p.add_argument("--state", help="where the state directory goes (default: a new one in /var/tmp)")
    p.add_argument("--json", help="write the figures there as well")
    options = p.parse_args()
    netns.sandbox()
    with open("/run/bench.log", "w") as log:
        def make():
            state = tempfile.mkdtemp(prefix="culvert-bench-", dir=options.state or "/var/tmp")
            return gateway.Gateway(log, state=state, extra=("--subnet4", "10.64.0.0/14", "--subnet6", "fd42:4242:1::/64"))
        result = run(make, options)
    print(json.dumps(result, indent=2))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=2)


main()

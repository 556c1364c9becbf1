#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Durable creates through the HTTP API at a fixed rate, with many peers present.

An open loop: request n is due at n/rate, whether or not the one before was answered, and
its latency counts from then. Signed creates over kept connections, to a gateway with a
real tunnel process, on a real disk. Also: starting with all peers, and reads meanwhile.

    bench/api_creates.py [--peers 50000] [--rate 500] [--seconds 30] [--state DIR]
"""

import argparse
import asyncio
import base64
import collections
import hashlib
import hmac
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "api"))

import gateway  # noqa: E402
from gateway import netns  # noqa: E402


def request(g, n):
    body = json.dumps({"public_key": base64.b64encode(hashlib.sha256(b"new %d" % n).digest()).decode(),
                       "tunnel_traffic": ["ipv4", "ipv6"]}).encode()
    ts = str(int(time.time()))
    text = f"timestamp={ts}, body_hash={hashlib.sha256(body).hexdigest()}"
    signature = hmac.new(g.key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return (f"POST /api/v1/configurations/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"signature: {signature}\r\ntimestamp: {ts}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


class Pool:
    """Kept connections; one request at a time on each. As many as are needed are opened."""

    def __init__(self, port):
        self.port, self.free, self.opened = port, collections.deque(), 0

    async def exchange(self, data):
        if self.free:
            reader, writer = self.free.popleft()  # the longest idle: none gets old
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.opened += 1
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        self.free.append((reader, writer))
        return int(head.split()[1]), body


async def load(g, rate, seconds):
    pool, latencies, wrong, tasks = Pool(g.port), [], [], []
    begin = time.perf_counter() + 0.1

    async def one(n, due):
        status, body = await pool.exchange(request(g, n))
        latencies.append(time.perf_counter() - due)
        if status != 200 or b"created" not in body:
            wrong.append((status, body))

    for n in range(rate * seconds):
        due = begin + n / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(n, due)))
    await asyncio.gather(*tasks)
    return latencies, wrong, pool.opened, time.perf_counter() - begin


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--peers", type=int, default=50000)
    p.add_argument("--rate", type=int, default=500)
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--state", help="where the state directory goes (default: a new one in /var/tmp)")
    p.add_argument("--json", help="write the figures there as well")
    p.add_argument("--urgent", action="store_true", help="take the processor from others by a cgroup of our own")
    return p.parse_args()


def urgent():
    """A cgroup with 32 times the usual share, for a machine that is never alone."""
    for root, knob, value in (("/sys/fs/cgroup/cpu", "cpu.shares", 32768), ("/sys/fs/cgroup", "cpu.weight", 3200)):
        try:
            group = f"{root}/culvert-api-{os.getpid()}"
            os.mkdir(group)
            for name, text in ((knob, value), ("cgroup.procs", os.getpid())):
                with open(f"{group}/{name}", "w") as f:
                    f.write(str(text))
            return
        except OSError:
            continue
    sys.exit("api_creates: --urgent needs root and a cpu cgroup controller")


def disk(directory, n=300):
    """What this disk takes for 40 KiB and an fdatasync right now: p50 and p99 in ms."""
    fd, times = os.open(f"{directory}/probe", os.O_RDWR | os.O_CREAT), []
    for _ in range(n):
        begin = time.perf_counter()
        os.write(fd, b"x" * 40960)
        os.fdatasync(fd)
        times.append(1000 * (time.perf_counter() - begin))
    os.close(fd)
    os.unlink(f"{directory}/probe")
    times.sort()
    return [round(times[n // 2], 2), round(times[n * 99 // 100], 2)]


def main():
    options = arguments()
    if options.urgent and netns.INSIDE not in os.environ:
        urgent()
    netns.sandbox()
    state = tempfile.mkdtemp(prefix="culvert-bench-", dir=options.state or "/var/tmp")
    with open("/run/bench.log", "w") as log:
        g = gateway.Gateway(log, state=state, extra=("--subnet4", "10.64.0.0/14", "--subnet6", "fd42:4242:1::/64"))
        try:
            print(json.dumps(run(g, options), indent=2))
        finally:
            g.close()
            shutil.rmtree(state, ignore_errors=True)


def run(g, options):
    g.preload(options.peers)
    started = time.perf_counter()
    g.start()
    startup = time.perf_counter() - started
    present = len(g.on_device())
    assert present == options.peers, present
    cpu = cpu_seconds(g.process.pid), cpu_seconds(g.device.process.pid)
    before = disk(g.state)
    latencies, wrong, connections, took = asyncio.run(load(g, options.rate, options.seconds))
    figures = sorted(latencies)
    rss = [int(line.split()[1]) // 1024 for line in open(f"/proc/{g.process.pid}/status") if line.startswith("VmRSS")]
    result = {
        "peers present": options.peers, "creates per second": options.rate, "creates": len(figures),
        "wrong answers": len(wrong), "seconds": round(took, 2), "connections": connections,
        "disk alone, p50 and p99 ms, before and after": [before, disk(g.state)],
        "start with all peers, s": round(startup, 2),
        "p50 ms": round(1000 * statistics.median(figures), 2),
        "p90 ms": round(1000 * figures[int(0.90 * len(figures))], 2),
        "p99 ms": round(1000 * figures[int(0.99 * len(figures))], 2),
        "p99.9 ms": round(1000 * figures[int(0.999 * len(figures))], 2),
        "max ms": round(1000 * figures[-1], 2),
        "gateway CPU s": round(cpu_seconds(g.process.pid) - cpu[0], 2),
        "device CPU s": round(cpu_seconds(g.device.process.pid) - cpu[1], 2),
        "gateway RSS MiB": rss[0],
    }
    g.kill()
    g.start()
    result["peers after kill -9"] = len(g.on_device())
    assert result["peers after kill -9"] == options.peers + len(figures) - len(wrong), result
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=2)
    return result


main()

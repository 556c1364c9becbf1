#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One TCP stream of a client through `culvert device --usernet` over a bad path, beside the kernel's TCP over the same.

    [client] wg0 ══ tunnel over the bad path ══ [gateway] ──── [world] iperf3 -s

As "usernet" the client's connection ends in the gateway, and our TCP is one end of it; as "kernel" the gateway
forwards packets, and the kernel's TCP is at both ends. Everything else is the same. Either of:

    bench/usernet_loss.py [--seeds 5] [--seconds 30] [--only 50ms]
        The path is a relay of datagrams (below), which delays and loses by a seed, the same ones for both kinds.
    tests/lab/kernel-lab bench/usernet_loss.py --netem
        The path is the kernel's netem on both sides of a veth, without offloads, and the client is the kernel's
        WireGuard. The machine is emulated and slow: "idle" says whether its processor was what held the stream.

All seeds of a condition and a direction run at once, --parallel of them. Figures are Mbit/s that arrived.
"""

import argparse
import concurrent.futures
import heapq
import itertools
import json
import os
import random
import select
import socket
import statistics
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "net"))

import netns  # noqa: E402
import tunnel  # noqa: E402

WORLD, PORT = "198.51.100.2", 5201
# Name, round trip in ms, loss in datagrams of 10 000 either way, Mbit/s, octets that may wait.
CONDITIONS = (
    ("50ms, 0.1 %", 50, 10, 50, 400000),
    ("10ms, 1 %", 10, 100, 50, 200000),
    ("200ms, 0 %", 200, 0, 20, 600000),
)
QUIET = 20  # datagrams of either direction that are never lost: handshakes are not what is measured
numbers = itertools.count()


def refuse(reason):
    sys.exit(f"usernet_loss: {reason}")


class Direction:
    """A link with a queue, then a delay."""

    def __init__(self, seed, rtt_ms, loss, mbit, room):
        self.random, self.delay, self.loss = random.Random(seed), rtt_ms / 2000, loss
        self.per_octet, self.room, self.free_at, self.seen = 8 / (mbit * 1e6), room, 0.0, 0
        self.lost = 0

    def arrival(self, now, size):
        """When a datagram that came now is out at the other end; None: never."""
        self.seen += 1
        hit = self.random.randrange(10000) < self.loss
        waits = max(0.0, self.free_at - now)
        if self.seen > QUIET and (hit or waits / self.per_octet > self.room):
            self.lost += 1
            return None
        self.free_at = now + waits + size * self.per_octet
        return self.free_at + self.delay


def relay(front, server, seed, *path):
    """Datagrams from whoever sends to front, on to server, and back; for ever."""
    back, client, waiting, order = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), None, [], itertools.count()
    back.connect(server)
    ways = {front: Direction(2 * seed, *path), back: Direction(2 * seed + 1, *path)}
    for s in ways:
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    poll = select.epoll()
    by_fd = {s.fileno(): s for s in ways}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    while True:
        now = time.monotonic()
        for fd, _ in poll.poll(max(0.0, waiting[0][0] - now) if waiting else -1):
            s, now = by_fd[fd], time.monotonic()
            try:
                for _ in range(64):
                    data, source = s.recvfrom(2048)
                    client = source if s is front else client
                    at = ways[s].arrival(now, len(data) + 28)
                    if at is not None:
                        heapq.heappush(waiting, (at, next(order), s is front, data))
            except (BlockingIOError, ConnectionRefusedError):
                pass
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, is_up, data = heapq.heappop(waiting)
            try:
                if is_up:
                    back.send(data)
                elif client:
                    front.sendto(data, client)
            except (BlockingIOError, ConnectionRefusedError):
                pass


class Usernet(tunnel.Device):
    """Device, but for the words of its command."""

    def start(self):
        tunnel.CONTENDERS["usernet"] = lambda: [os.environ["CULVERT"], "device", USERNET, "-f"]
        super().start()

    def _is_ready(self):
        self.socket_path = f"{tunnel.SOCKETS}/{self.interface}.sock"
        return super()._is_ready()


USERNET = "--usernet=tier-b"


class Stream:
    """A topology of its own, a path between client and gateway, and one stream."""

    def __init__(self, kind, seed, path, options):
        self.net, n, is_netem = netns.Network(), next(numbers), options.netem
        self.child = None
        client, gateway, far = [self.net.namespace(name) for name in ("client", "gateway", "world")]
        self.net.link(client, "out0", gateway, "up0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        self.net.link(gateway, "out0", far, "in0", addresses=("198.51.100.1/24", f"{WORLD}/24"))
        far.start("iperf3", "-s", stdout=-3, stderr=-3)
        if kind == "usernet":
            server = Usernet(gateway, f"s{n}", "usernet", extra=("--address", "10.9.0.1/24"))
        else:
            server = tunnel.make_device(gateway, f"s{n}", "kernel" if is_netem else "culvert")
        server.configure(listen_port=51820)
        near = tunnel.make_device(client, f"c{n}", "kernel" if is_netem else "culvert")
        near.configure()
        server.add_peer(near.public, ("10.9.0.2/32",))
        near.add_peer(server.public, ("0.0.0.0/0",), f"192.0.2.2:{51820 if is_netem else 51000}")
        near.up("10.9.0.2/24")
        if kind == "kernel":
            server.up("10.9.0.1/24")
            gateway.sysctl("net.ipv4.ip_forward", 1)
            far.ip("route", "add", "10.9.0.0/24", "via", "198.51.100.1")
        client.ip("route", "add", "default", "dev", f"c{n}")
        self.client, self.congestion = client, options.congestion
        if is_netem:
            self.shape(client, "out0", path)
            self.shape(gateway, "up0", path)
        else:
            self.start_relay(gateway, seed, path)
        netns.wait_until(lambda: client.run("iperf3", "-c", WORLD, "-n", "10K", check=False).returncode == 0, 30,
                         what=f"a first connection by {kind}")

    @staticmethod
    def shape(end, interface, path):
        rtt, loss, mbit, room = path
        end.run("ethtool", "-K", interface, "tx-udp-segmentation", "off", "gso", "off", "gro", "off", "tso", "off")
        packets = int(mbit * 1e6 / 8 * rtt / 2000 / 1400 + room / 1400)
        end.run("tc", "qdisc", "add", "dev", interface, "root", "netem", "limit", packets, "rate", f"{mbit}mbit",
                "delay", f"{rtt / 2}ms", *(["loss", f"{loss / 100}%"] if loss else []))

    def start_relay(self, gateway, seed, path):
        with gateway:
            front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            front.bind(("192.0.2.2", 51000))
            self.child = os.fork()
            if self.child == 0:
                try:
                    relay(front, ("192.0.2.2", 51820), seed, *path)
                finally:
                    os._exit(1)
        front.close()

    def rate(self, seconds, direction):
        words = ["iperf3", "-c", WORLD, "-t", seconds, "-J", "-C", self.congestion] + (["-R"] if direction == "down" else [])
        for _ in range(5):
            result = json.loads(self.client.run(*words, timeout=seconds * 3 + 60, check=False).stdout)
            if "error" not in result:
                return result["end"]["sum_received"]["bits_per_second"] / 1e6
            time.sleep(1)
        raise RuntimeError(f"iperf3: {result['error']}")

    def close(self):
        if self.child:
            os.kill(self.child, 9)
            os.waitpid(self.child, 0)
        self.net.close()


def idle_share(before):
    now = [int(x) for x in open("/proc/stat").readline().split()[1:8]]
    if before is None:
        return now
    spent = [b - a for a, b in zip(before, now)]
    return spent[3] / max(1, sum(spent))


def measure(path, direction, options):
    """{kind: [Mbit/s per seed]}, and how idle the processors were."""
    figures = {"usernet": {}, "kernel": {}}
    jobs = [(kind, seed) for seed in range(options.first_seed, options.first_seed + options.seeds) for kind in figures]
    before = idle_share(None)
    for at in range(0, len(jobs), options.parallel):
        batch = jobs[at:at + options.parallel]
        streams = [Stream(kind, seed, path, options) for kind, seed in batch]
        with concurrent.futures.ThreadPoolExecutor(len(batch)) as pool:
            for (kind, seed), rate in zip(batch, pool.map(lambda s: s.rate(options.seconds, direction), streams)):
                figures[kind][seed] = rate
        for s in streams:
            s.close()
    return {k: [v[s] for s in sorted(v)] for k, v in figures.items()}, idle_share(before)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--first-seed", type=int, default=1)
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--parallel", type=int, default=4, help="streams at a time")
    p.add_argument("--only", default="", help="conditions whose name begins so")
    p.add_argument("--direction", choices=("down", "up"))
    p.add_argument("--netem", action="store_true", help="the kernel's netem and WireGuard, in a lab")
    p.add_argument("--congestion", default="cubic", help="what the kernel's TCP uses: cubic, reno, bbr")
    p.add_argument("--usernet", default="tier-b", help="tier-a, tier-b, auto")
    p.add_argument("--culvert", default=os.path.join(ROOT, "build", "culvert"))
    options = p.parse_args()
    global USERNET
    USERNET = f"--usernet={options.usernet}"
    os.environ["CULVERT"] = os.path.abspath(options.culvert)
    if options.netem:
        os.environ["CULVERT_INSIDE_SANDBOX"] = "1"
    netns.sandbox(refuse)
    print(f"# load {os.getloadavg()[0]:.1f}, {options.seeds} seeds from {options.first_seed}, {options.seconds} s each")
    for name, *path in CONDITIONS:
        if not name.startswith(options.only):
            continue
        for direction in [options.direction] if options.direction else ["down", "up"]:
            figures, idle = measure(path, direction, options)
            ratios = [a / b for a, b in zip(figures["usernet"], figures["kernel"])]
            medians = {k: statistics.median(v) for k, v in figures.items()}
            print(f"{name:12} {direction:4}  usernet {medians['usernet']:6.2f}  kernel {medians['kernel']:6.2f}  "
                  f"ratio of medians {medians['usernet'] / medians['kernel']:.2f}, of sums "
                  f"{sum(figures['usernet']) / sum(figures['kernel']):.2f}, median of ratios "
                  f"{statistics.median(ratios):.2f}  idle {idle:.2f}", flush=True)
            print("#   " + ", ".join(f"{a:.1f}/{b:.1f}" for a, b in zip(figures["usernet"], figures["kernel"])), flush=True)


main()

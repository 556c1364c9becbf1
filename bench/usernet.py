#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One TCP stream through `culvert device --usernet`, both tiers, beside our own TUN mode, slirp4netns and pasta.

    [client] wg0 ══ tunnel ══ [gateway] ──── [world] iperf3 -s

They take turns in every round, so that what else the machine does meets them alike. With TUN the gateway
forwards and masquerades in the kernel; slirp4netns and pasta have no encryption, and their client is in the namespace
that they serve. The client's end of the tunnel is ours in all of our modes.

    bench/usernet.py [--rounds 5] [--seconds 4] [--culvert build/culvert] [--json FILE]
    bench/usernet.py --flows 10000        new flows per second, memory of idle ones
"""

import argparse
import json
import os
import resource
import select
import shutil
import socket
import statistics
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "net"))

import netns  # noqa: E402
import tunnel  # noqa: E402

WORLD, PORT = "198.51.100.2", 5201


def refuse(reason):
    sys.exit(f"usernet: {reason}")


class Usernet(tunnel.Device):
    """Device, but for the words of its command. The tier is its contender's name."""

    def start(self):
        tier = self.contender
        tunnel.CONTENDERS[tier] = lambda: [os.environ["CULVERT"], "device", f"--usernet={tier}", "-f"]
        super().start()

    def _is_ready(self):
        self.socket_path = f"{tunnel.SOCKETS}/{self.interface}.sock"
        return super()._is_ready()


def world(net):
    client, gateway, far = [net.namespace(n) for n in ("client", "gateway", "world")]
    net.link(client, "out0", gateway, "up0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
    net.link(gateway, "out0", far, "in0", addresses=("198.51.100.1/24", f"{WORLD}/24"))
    far.start("iperf3", "-s", stdout=-3, stderr=-3)
    return client, gateway, far


def with_tunnel(net, kind):
    client, gateway, far = world(net)
    if kind.startswith("tier"):
        server = Usernet(gateway, "wgs0", kind, extra=("--address", "10.9.0.1/24"))
    else:
        server = tunnel.Device(gateway, "wgs0")
    server.configure(listen_port=51820)
    near = tunnel.Device(client, "wg0")
    near.configure()
    server.add_peer(near.public, ("10.9.0.2/32",))
    near.add_peer(server.public, ("0.0.0.0/0",), "192.0.2.2:51820")
    near.up("10.9.0.2/24")
    if kind == "tun":
        server.up("10.9.0.1/24")
        gateway.sysctl("net.ipv4.ip_forward", 1)
        gateway.rules("ip", "nat hook postrouting", "oifname out0 masquerade")
    client.ip("route", "add", "default", "dev", "wg0")
    return client, far, server


def with_slirp(net):
    client, gateway, far = world(net)
    gateway.start("slirp4netns", "--configure", "--mtu=1420", "--disable-host-loopback", client.pid, "tap0",
                  stdout=-3, stderr=-3)
    netns.wait_until(lambda: "default" in client.output("ip", "route"), what="slirp4netns")
    return client, far, None


class Inside:
    """A namespace that another program made and lives in."""

    def __init__(self, outer, pid):
        self.outer, self.pid = outer, pid

    def run(self, *command, **options):
        return self.outer.run("nsenter", "-t", self.pid, "-U", "-n", "--preserve-credentials", *command, **options)


def with_pasta(net):
    """pasta makes the client's namespace itself, as anybody, and copies what the gateway has."""
    _, gateway, far = world(net)
    gateway.ip("route", "add", "default", "via", WORLD)
    process = gateway.start("setpriv", "--reuid", 65534, "--regid", 65534, "--clear-groups", "pasta", "--foreground",
                            "--config-net", "--mtu", 1420, "--ipv4-only", "--no-map-gw", "-t", "none", "-T", "none", "-u", "none",
                            "-U", "none", "sleep", "infinity", stdout=-3, stderr=-3)
    child = netns.wait_until(lambda: netns.run("pgrep", "-P", process.pid, "-x", "sleep", check=False).stdout.split(),
                             what="pasta")
    return Inside(gateway, child[0]), far, None


def stream(client, seconds, direction):
    words = ["iperf3", "-c", WORLD, "-t", seconds, "-O", 1, "-J"] + (["-R"] if direction == "down" else [])
    for _ in range(5):
        result = json.loads(client.run(*words, timeout=seconds + 30, check=False).stdout)
        if "error" not in result:
            return result["end"]["sum_received"]["bits_per_second"] / 1e9
        time.sleep(0.5)  # the server does not listen while it puts away the last test
    sys.exit(f"usernet: iperf3: {result['error']}")


def measure(kind, seconds):
    with netns.Network() as net:
        make = {"slirp4netns": with_slirp, "pasta": with_pasta}.get(kind, lambda net: with_tunnel(net, kind))
        client, _, _ = make(net)
        netns.wait_until(lambda: client.run("iperf3", "-c", WORLD, "-n", "10K", check=False).returncode == 0, 15,
                         what=f"a first connection by {kind}")
        return {d: stream(client, seconds, d) for d in ("down", "up")}


def contest(options):
    kinds = options.kinds.split(",") if options.kinds else ["tier-a", "tier-b", "tun"]
    for other in [] if options.kinds else ("slirp4netns", "pasta"):
        if shutil.which(other):
            kinds.append(other)
    figures = {k: {"down": [], "up": []} for k in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            for direction, rate in measure(kind, options.seconds).items():
                figures[kind][direction].append(rate)
    result = {k: {d: round(statistics.median(v), 2) for d, v in f.items()} for k, f in figures.items()}
    for ours in [k for k in kinds if k.startswith("tier")]:
        for other in [k for k in kinds if k != ours]:
            result[f"{ours} / {other}"] = {
                d: round(statistics.median(a / b for a, b in zip(figures[ours][d], figures[other][d])), 2)
                for d in ("down", "up")}
    return result


def keep_all(listeners, n, done):
    """In a process of its own, because of the descriptors: accept n connections, say so, and keep them."""
    kept, poll = [], select.epoll()
    for s in listeners:
        s.setblocking(False)
        poll.register(s, select.EPOLLIN)
    while len(kept) < n:
        poll.poll()
        for s in listeners:
            try:
                while True:
                    kept.append(s.accept()[0])
            except BlockingIOError:
                pass
    os.write(done, b"x")
    time.sleep(600)


def flows(options):
    """Open many connections from the client, as fast as one process can, and keep them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with netns.Network() as net:
        client, far, server = with_tunnel(net, options.kinds or "tier-b")
        with far:
            listeners = [socket.create_server((WORLD, 6000 + i), backlog=4096) for i in range(4)]
        far.run("sh", "-c", "echo 4096 >/proc/sys/net/core/somaxconn")
        ready, done = os.pipe()
        child = os.fork()
        if child == 0:
            keep_all(listeners, options.flows, done)
            os._exit(0)
        for s in listeners:
            s.close()
        before, opened = server.resident_kb(), []
        begin = time.monotonic()
        with client:
            for i in range(options.flows):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex((WORLD, 6000 + i % 4))
                opened.append(s)
        os.read(ready, 1)
        took = time.monotonic() - begin
        time.sleep(1)
        os.kill(child, 9)
        return {"flows": options.flows, "per second": round(options.flows / took),
                "memory, MB": round((server.resident_kb() - before) / 1024, 1)}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=4)
    p.add_argument("--flows", type=int, default=0, help="measure so many idle flows instead")
    p.add_argument("--kinds", default="", help="of tier-a, tier-b, tun, slirp4netns, pasta; with commas")
    p.add_argument("--culvert", default=os.path.join(ROOT, "build", "culvert"))
    p.add_argument("--json", help="write the figures there as well")
    options = p.parse_args()
    os.environ["CULVERT"] = os.path.abspath(options.culvert)
    netns.sandbox(refuse)
    netns.run("sh", "-c", "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200")  # ours, for anybody
    result = flows(options) if options.flows else contest(options)
    print(json.dumps(result, indent=2))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=2)


main()

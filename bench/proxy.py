#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""CONNECT proxies side by side: one bulk tunnel, tunnels opened in a second, memory of tunnels at rest.

    [client] proxygen ──── [proxy] one of the contenders ──── [world] proxygen serve

squid and tinyproxy are CONNECT proxies, haproxy is a TCP relay that is told where to: it reads no request and asks for no
key, which ours does. Contenders take turns in every round; a ratio is taken per round, then the median.

    bench/proxy.py [--rounds 5] [--seconds 3] [--idle 10000] [--culvert build/culvert] [--json FILE]
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "net"))

import netns  # noqa: E402

PROXY, WORLD, PORT = "192.0.2.2", "198.51.100.2", 3128
SERVER, SERVERS = 6000, 16  # and one behind them that floods
KEY = "5" * 64

SQUID = f"""http_port {PORT}
http_access allow all
acl CONNECT method CONNECT
cache deny all
cache_mem 0
access_log none
cache_log /dev/null
pid_filename none
max_filedescriptors 65536
shutdown_lifetime 0
client_persistent_connections off
dns_nameservers {WORLD}
cache_effective_user proxy
"""
TINYPROXY = f"""Port {PORT}
Listen 0.0.0.0
Timeout 600
MaxClients 20000
LogLevel Critical
LogFile "/dev/null"
Allow 192.0.2.0/24
"""
HAPROXY = f"""global
  nbthread 2
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  option splice-auto
frontend tunnels
  bind :{PORT}
  default_backend world
backend world
  balance roundrobin
""" + "".join(f"  server s{i} {WORLD}:{SERVER + i}\n" for i in range(SERVERS)) + f"""
frontend bulk
  bind :{PORT + 1}
  default_backend flood
backend flood
  server s {WORLD}:{SERVER + SERVERS}
"""


class Contender:
    target, key, bulk_port = WORLD, "-", PORT

    def __init__(self, name, *command, file=None):
        self.name, self.command, self.file = name, command, file

    def start(self, namespace, directory):
        words = list(self.command)
        if self.file:
            path = os.path.join(directory, self.name)
            with open(path, "w") as f:
                f.write(self.file)
            words = [path if w == "FILE" else w for w in words]
        with namespace:
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            start_new_session=True)
        netns.wait_until(lambda: f":{PORT} " in namespace.output("ss", "-Hltn"), 10, what=self.name)

    def stop(self, namespace):
        netns.stop(self.process, 15, 2.0)
        for pid in self._session():
            os.kill(pid, 9)
        netns.wait_until(lambda: f":{PORT} " not in namespace.output("ss", "-Hltn"), 10, what=f"the end of {self.name}")

    def _session(self):
        """Its processes: those that share its session."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[3]) == self.process.pid:
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def cpu_s(self):
        """Of all its processes, those that ended among them."""
        total = 0
        for pid in self._session():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    total += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:15])
            except OSError:
                pass
        return total / os.sysconf("SC_CLK_TCK")

    def resident_mb(self):
        total = 0
        for pid in self._session():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except OSError:
                pass
        return total / 1024


def contenders(options):
    ours = Contender("culvert", options.culvert, "proxy", "--keys", "FILE", "--listen", f"{PROXY}:{PORT}",
                     "--tunnels-per-key", "100000", "--log-level", "error",
                     file=f"bench {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    ours.key = KEY
    relay = Contender("haproxy", "haproxy", "-db", "-f", "FILE", file=HAPROXY)
    relay.target, relay.bulk_port = "-", PORT + 1
    all_of_them = [ours, Contender("squid", "squid", "-N", "-f", "FILE", file=SQUID),
                   Contender("tinyproxy", "tinyproxy", "-d", "-c", "FILE", file=TINYPROXY), relay]
    if options.only:
        return [c for c in all_of_them if c.name in options.only.split(",")]
    return [c for c in all_of_them if c is ours or netns.run("sh", "-c", f"command -v {c.name}", check=False).returncode == 0]


def generate(options, client, contender, kind, *words):
    port = contender.bulk_port if kind == "bulk" else PORT
    return [str(w) for w in (options.generator, kind, PROXY, port, contender.target, SERVER, SERVERS, contender.key, *words)]


def measure(options, client, proxy, contender, directory):
    contender.start(proxy, directory)
    try:
        before = contender.cpu_s()
        rate = float(client.run(*generate(options, client, contender, "bulk", options.seconds)).stdout)
        # The second of warming up costs as well.
        found = {"gbit_s": rate, "cpu_s_per_gb": (contender.cpu_s() - before) * 8 / rate / (options.seconds + 1)}
        before = contender.cpu_s()
        words = generate(options, client, contender, "open", options.seconds, 64)
        opened, failed, took = client.run(*words).stdout.split()
        found["per_s"] = round(int(opened) / float(took))
        found["failed"] = int(failed)
        found["cpu_us_per_tunnel"] = round((contender.cpu_s() - before) * 1e6 / max(1, int(opened)), 1)
    finally:
        contender.stop(proxy)
    return found


def idle(options, client, proxy, contender, directory):
    contender.start(proxy, directory)
    try:
        time.sleep(0.5)
        before = contender.resident_mb()
        with client:
            p = subprocess.Popen(generate(options, client, contender, "idle", options.idle, 64), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        line = p.stdout.readline()
        if not line:
            sys.exit(f"proxy: the generator ended with {p.wait()}")
        opened, failed, _ = line.split()
        time.sleep(1)
        after = contender.resident_mb()
        p.stdin.close()
        p.wait()
        return {"idle": int(opened), "idle_failed": int(failed), "idle_mb": round(after, 1),
                "idle_more_mb": round(after - before, 1)}
    finally:
        contender.stop(proxy)


def build(net):
    client, proxy, world = [net.namespace(n) for n in ("client", "proxy", "world")]
    net.link(client, "out0", proxy, "in0", addresses=("192.0.2.1/24", f"{PROXY}/24"))
    net.link(proxy, "out0", world, "in0", addresses=("198.51.100.1/24", f"{WORLD}/24"))
    for namespace in (client, proxy, world):
        namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
        namespace.sysctl("net.ipv4.tcp_tw_reuse", 1)
        namespace.sysctl("net.core.somaxconn", 4096)
    return client, proxy, world


def ratios(samples, metric, others):
    """Ours over the best of the others, round by round."""
    ours = [s[metric] for s in samples["culvert"]]
    best = max((o for o in others if o in samples), key=lambda o: statistics.median(s[metric] for s in samples[o]),
               default=None)
    if best is None:
        return None
    each = [a / b[metric] for a, b in zip(ours, samples[best])]
    return {"against": best, "ratio": round(statistics.median(each), 2), "least": round(min(each), 2),
            "most": round(max(each), 2)}


def contest(options, net):
    directory = "/run/bench"
    os.makedirs(directory, exist_ok=True)
    client, proxy, world = build(net)
    server = world.start(options.generator, "serve", WORLD, SERVER, SERVERS, stdout=-1)
    server.stdout.readline()
    every = contenders(options)
    samples = {c.name: [] for c in every}
    for _ in range(options.rounds):
        for c in every:
            samples[c.name].append(measure(options, client, proxy, c, directory))
            print(c.name, samples[c.name][-1], file=sys.stderr)
    result = {}
    for c in every:
        result[c.name] = {m: round(statistics.median(s[m] for s in samples[c.name]), 2)
                          for m in samples[c.name][0]}
        if options.idle:
            result[c.name].update(idle(options, client, proxy, c, directory))
    result["verdicts"] = {"bulk (must 1.3, aim 1.6)": ratios(samples, "gbit_s", ("squid", "tinyproxy", "haproxy")),
                          "opened ÷ proxy (must 1.3)": ratios(samples, "per_s", ("squid", "tinyproxy")),
                          "opened ÷ relay (must 0.8, aim 1.2)": ratios(samples, "per_s", ("haproxy",))}
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--idle", type=int, default=10000, help="tunnels at rest; 0: none")
    p.add_argument("--only", help="names with commas")
    p.add_argument("--culvert", default=os.path.join(ROOT, "build", "culvert"))
    p.add_argument("--generator", default=os.path.join(ROOT, "build", "bench", "proxygen"))
    p.add_argument("--json", help="write the figures there as well")
    options = p.parse_args()
    options.culvert, options.generator = os.path.abspath(options.culvert), os.path.abspath(options.generator)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200000, 200000))
    except (ValueError, OSError):  # not for everybody
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        options.idle = min(options.idle, (hard - 5000) // 2)  # haproxy keeps some for itself
    netns.sandbox(lambda reason: sys.exit(f"proxy: {reason}"))
    with netns.Network() as net:
        result = contest(options, net)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=2)


main()

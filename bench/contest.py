# SPDX-License-Identifier: Apache-2.0
"""What every benchmark row needs: tunnels of each contender, samples, CPU accounting."""

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "net"))

import netns  # noqa: E402  (the path above comes first)
import tunnel  # noqa: E402

RAW = "raw"
CALM_TRIES = 6

# What one contender may do wrong without ending the contest for the others.
FAILURES = (netns.CommandFailed, RuntimeError, TimeoutError, OSError, subprocess.TimeoutExpired,
            tunnel.UapiError, ValueError)
ORDER = ["culvert", "wireguard-go", "wireguard-go-current", "boringtun"]


class Contest:
    """Options of one run, tunnels already built, and the samples so far."""

    def __init__(self, network, options):
        self.network, self.options = network, options
        self.samples = {}  # row -> contender -> metric -> [values in order of rounds]
        self.notes = []
        self._pairs = {}
        self._servers = set()
        self._numbers = itertools.count()

    def pair(self, contender):
        """The contender's tunnel, built at first use and then kept."""
        return self.kept(contender, lambda: self.new_pair(contender))

    def kept(self, name, make):
        """The tunnel of that name, made at first use."""
        if name not in self._pairs:
            self._pairs[name] = make()
        return self._pairs[name]

    def new_pair(self, contender, **options):
        number = next(self._numbers)
        kind = None if contender == RAW else (contender, contender)
        pair = tunnel.Pair(self.network, kind, names=(f"b{number}l", f"b{number}r"),
                           link_mtu=self.options.link_mtu, mtu=self.options.mtu, **options)
        if self.options.no_gso:
            for end in pair.ends:
                end.run("ethtool", "-K", "out0", "tx-udp-segmentation", "off", "gso", "off")
        pair.connect()
        return pair

    def rounds(self, row, contenders, sample, count=None):
        """Take samples in alternation: every contender once, then every one again."""
        failed = set()
        for number in range(count or self.options.pairs):
            for contender in contenders:
                if contender in failed:
                    continue
                try:
                    values = self._calm(sample, contender)
                except FAILURES as error:
                    failed.add(contender)
                    self.note(f"{row}: {contender} failed: {error}")
                    continue
                kept = self.samples.setdefault(row, {}).setdefault(contender, {})
                for metric, value in values.items():
                    kept.setdefault(metric, []).append(value)
                shown = "  ".join(f"{m}={_short(v)}" for m, v in values.items())
                print(f"{row} {number + 1} {contender:22} {shown}", file=sys.stderr, flush=True)

    def note(self, text):
        self.notes.append(text)
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def _calm(self, sample, contender):
        """One sample; taken again, a few times, while others use too much of the machine."""
        best = None
        for _ in range(CALM_TRIES):
            with ForeignLoad() as load:
                values = sample(contender)
            values["foreign_cpu"] = load.share
            if best is None or load.share < best["foreign_cpu"]:
                best = values
            if load.share <= self.options.calm:
                break
        return best

    def serve(self, namespace, *command):
        """Start a server in a namespace unless this very one runs there already."""
        key = (namespace.pid, *command)
        if key not in self._servers:
            namespace.start(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self._servers.add(key)
            port = command[-1]
            netns.wait_until(lambda: f":{int(port):04X} " in namespace.output(
                "cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"),
                what=" ".join(command))

    def udpgen(self):
        return self.options.udpgen


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class ForeignLoad:
    """How much processor time others took while a sample ran, as a share of all cores.

    Busy time of the machine, less the processes of this sandbox (alive or reaped by us).
    """

    def __enter__(self):
        self._busy, self._total = _machine()
        self._ours = _sandbox()
        return self

    def __exit__(self, *_):
        busy, total = _machine()
        ours = _sandbox() - self._ours
        self.share = round(max(0.0, busy - self._busy - ours) / max(1, total - self._total), 3)


def _machine():
    """(busy, total) seconds over all processors since boot."""
    with open("/proc/stat") as f:
        fields = [int(x) / tunnel.CLOCK_TICK for x in f.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def _sandbox():
    ticks = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = tunnel._stat(entry)
            ticks += int(fields[11]) + int(fields[12]) if fields else 0
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / tunnel.CLOCK_TICK + reaped.ru_utime + reaped.ru_stime


def spread(values):
    """(median, min, max)"""
    return statistics.median(values), min(values), max(values)


def ratios(over, under):
    """Ratio of each round, so that slow minutes of the machine cancel."""
    return [a / b for a, b in zip(over, under) if b]


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])

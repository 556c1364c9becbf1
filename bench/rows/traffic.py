# SPDX-License-Identifier: Apache-2.0
"""Rows that push packets through one tunnel: tcp, udp, udp-large, rtt."""

import json
import subprocess

import contest as c

PORT = "5201"
FINE_STEPS = 4  # halvings after the first rate that fails
LOSS_MAX = 0.01


def iperf(pair, seconds, *words):
    """One TCP stream from left to right: (bytes received, bits per second)."""
    text = pair.left.output("iperf3", "-J", "-c", pair.INNER[0][1], "-p", PORT, "-t", seconds,
                            *words, timeout=seconds + 30)
    received = json.loads(text)["end"]["sum_received"]
    return received["bytes"], received["bits_per_second"]


def tcp_sample(contest, pair):
    contest.serve(pair.right, "iperf3", "-s", "-p", PORT)
    before = pair.cpu_seconds()
    moved, speed = iperf(pair, contest.options.seconds)
    cpu = pair.cpu_seconds() - before
    if not pair.devices:
        return {"gbit_s": speed / 1e9}
    return {"gbit_s": speed / 1e9, "cpu_s_per_gb": cpu / (moved / 1e9)}


def tcp(contest):
    contest.rounds("tcp", contest.options.devices,
                   lambda name: tcp_sample(contest, contest.pair(name)))


class UdpTrial:
    """One run of the generator at a fixed rate."""

    def __init__(self, contest, pair, size, rate, seconds):
        tool = contest.udpgen()
        receiver = pair.right.start(tool, "receive", PORT, seconds + 10, stdout=subprocess.PIPE)
        receiver.stdout.readline()  # "listening"
        before = pair.cpu_seconds()
        sent = c.last_json(pair.left.output(tool, "send", pair.INNER[0][1], PORT, size, rate,
                                            seconds, timeout=seconds + 30))
        got = c.last_json(receiver.communicate(timeout=seconds + 30)[0])
        self.cpu = pair.cpu_seconds() - before
        self.received = got["received"]
        self.loss = 1 - got["received"] / sent["sent"]
        self.rate = got["received"] / sent["seconds"]
        self.offered = sent["sent"] / sent["seconds"]

    def is_clean(self):
        return self.loss < LOSS_MAX

    def cpu_us(self):
        return self.cpu * 1e6 / max(1, self.received)


def greatest_rate(contest, pair, size, start):
    """The clean trial with the most packets per second.

    Doubling by halves from start, then halving the step. A rate fails only when two trials
    of it lose too much: one loss may be somebody else's burst on this machine.
    """
    def attempt(rate):
        for _ in range(2):
            trial = UdpTrial(contest, pair, size, int(rate), contest.options.udp_seconds)
            if trial.is_clean():
                return trial
        return None

    best, low, rate = None, 0, start
    while True:
        trial = attempt(rate)
        if not trial:
            break
        if best is None or trial.rate > best.rate:
            best = trial
        low = rate
        if trial.offered < 0.9 * rate:  # the generator is at its end, not the tunnel
            return best
        rate *= 1.5
    high = rate
    for _ in range(FINE_STEPS):
        rate = (low + high) / 2
        trial = attempt(rate)
        if trial:
            low = rate
            best = trial if best is None or trial.rate > best.rate else best
        else:
            high = rate
    return best


def _udp(contest, row, size):
    start = {}

    def sample(name):
        pair = contest.pair(name)
        best = greatest_rate(contest, pair, size, start.get(name, 20000))
        if not best:
            raise RuntimeError("loses more than 1 % at every rate")
        start[name] = best.rate * 0.6
        if not pair.devices:
            return {"kpps": best.rate / 1e3}
        steady = UdpTrial(contest, pair, size, 40000, contest.options.udp_seconds)
        return {"kpps": best.rate / 1e3, "cpu_us_per_packet": best.cpu_us(),
                "cpu_us_at_40k": steady.cpu_us()}

    contest.rounds(row, contest.options.devices, sample, contest.options.udp_pairs)


def udp(contest):
    _udp(contest, "udp", 64)


def udp_large(contest):
    _udp(contest, "udp-large", 1372)


def rtt(contest):
    """Round trip of one small datagram at a time, nothing else on the way."""
    def sample(name):
        pair, tool = contest.pair(name), contest.udpgen()
        contest.serve(pair.right, tool, "echo", "5202")
        return {m: v for m, v in c.last_json(pair.left.output(
            tool, "ping", pair.INNER[0][1], "5202", 64, contest.options.pings, 0)).items()
            if m in ("p50_us", "p99_us", "lost")}

    contest.rounds("rtt", contest.options.devices, sample, contest.options.udp_pairs)

# SPDX-License-Identifier: Apache-2.0
"""Rows about handshakes: how many are answered, and what a flood of them disturbs."""

import statistics
import subprocess
import threading
import time

import contest as c
from contest import netns, tunnel

from . import traffic

PORT = 51820
CROWD = "10.200.0.0"  # initiations come from this address and those after it
PEERS = 8000
ATTACKERS = 10000
ANSWERED_MIN = 0.95
OVERLOAD = 3
WARM_UP_RATE = 2000
MTU_PAYLOAD = 1372  # of the paced flow
PACED_BITS = 200e6
NEWCOMERS = 4
NEWCOMER_LIMIT = 30  # counted for one that never connects


def attach_crowd(network, server, interface="crowd0"):
    """A namespace that holds 10.200.0.0/16, joined to the server's."""
    crowd = network.namespace("crowd")
    network.link(server, interface, crowd, "out0", txqueuelen=10000,
                 addresses=("198.51.100.1/24", "198.51.100.2/24"))
    crowd.ip("route", "add", "local", CROWD + "/16", "dev", "lo")
    server.ip("route", "add", CROWD + "/16", "via", "198.51.100.2")
    return crowd


class Trial:
    """hsflood against a device: what it answered and what that cost."""

    def __init__(self, contest, crowd, device, kind, sources, rate, seconds):
        before = device.cpu_seconds()
        text = crowd.output(contest.options.hsflood, kind, "198.51.100.1", PORT,
                            tunnel.hexkey(device.public), CROWD, sources, rate, seconds,
                            timeout=seconds + 60)
        self.cpu = device.cpu_seconds() - before
        found = c.last_json(text)
        self.sent, self.answered, self.cookies = (found[k] for k in ("sent", "answered", "cookies"))
        if found["forged"]:
            raise RuntimeError(f"{found['forged']} responses do not open")
        self.offered_rate = self.sent / found["seconds"]
        self.answered_rate = self.answered / found["seconds"]
        self.per_core_second = self.answered / self.cpu if self.cpu else 0.0

    def is_served(self):
        return self.answered >= ANSWERED_MIN * self.sent


def _capacity(contest, crowd, device):
    """The served trial with the highest rate. Every peer has shaken hands once before: what is computed
    once per peer, at its first handshake or when it was configured, stays out for all alike."""
    Trial(contest, crowd, device, "honest", PEERS, WARM_UP_RATE, 2 * PEERS // WARM_UP_RATE)
    time.sleep(1.1)
    best, low, rate = None, 0, 500
    while True:
        trial = Trial(contest, crowd, device, "honest", PEERS, int(rate), 2)
        if not trial.is_served():
            if not best:
                raise RuntimeError(f"does not answer {rate} handshakes per second")
            break
        best, low = trial, rate
        if trial.offered_rate < 0.9 * rate:
            return best
        rate *= 1.6
    high = rate
    for _ in range(traffic.FINE_STEPS):
        rate = (low + high) / 2
        time.sleep(1.1)  # a server that was pushed too far asks for cookies one second longer
        trial = Trial(contest, crowd, device, "honest", PEERS, int(rate), 2)
        if trial.is_served():
            best, low = trial, rate
        else:
            high = rate
    return best


def handshake(contest):
    number = iter(range(10**6))
    keys = netns.run(contest.options.hsflood, "keys", PEERS).stdout.split()

    def sample(name):
        server = contest.network.namespace("server")
        crowd = attach_crowd(contest.network, server)
        device = tunnel.Device(server, f"s{next(number)}", name)
        device.configure(listen_port=PORT)
        device.exchange(("set=1\n" + "".join(
            f"public_key={key}\nallowed_ip=10.{100 + i // 256 // 256}.{i // 256 % 256}.{i % 256}/32\n"
            for i, key in enumerate(keys)) + "\n").encode())
        device.up("10.9.0.1/24")
        best = _capacity(contest, crowd, device)
        time.sleep(1.1)
        pushed = Trial(contest, crowd, device, "honest", PEERS,
                       int(OVERLOAD * max(best.answered_rate, 1)), 4)
        device.stop()
        crowd.close()
        server.close()
        return {"hs_per_s": best.answered_rate, "hs_per_core_s": best.per_core_second,
                "hs_offered_3x": pushed.offered_rate, "hs_per_s_3x": pushed.answered_rate,
                "hs_per_core_s_3x": pushed.per_core_second,
                "hs_3x_ratio": pushed.per_core_second / best.per_core_second}

    contest.rounds("handshake", [n for n in contest.options.devices if n != c.RAW], sample,
                   contest.options.udp_pairs)


class Paced:
    """The flow of an established peer, running beside whatever happens."""

    def __init__(self, contest, pair, seconds):
        tool, rate = contest.udpgen(), int(PACED_BITS / 8 / MTU_PAYLOAD)
        self._receiver = pair.right.start(tool, "receive", traffic.PORT, seconds + 10,
                                          stdout=subprocess.PIPE)
        self._receiver.stdout.readline()
        self._sender = pair.left.start(tool, "send", pair.INNER[0][1], traffic.PORT, MTU_PAYLOAD, rate,
                                       seconds, stdout=subprocess.PIPE)
        self.is_running = lambda: self._sender.poll() is None

    def loss(self):
        sent = c.last_json(self._sender.communicate(timeout=60)[0])
        got = c.last_json(self._receiver.communicate(timeout=60)[0])
        self.offered_mbit = sent["sent"] * MTU_PAYLOAD * 8 / sent["seconds"] / 1e6
        return 1 - got["received"] / sent["sent"]


class Newcomer:
    """An honest peer that starts to connect in the middle of the flood."""

    def __init__(self, contest, pair, contender, tag, number):
        self.namespace = contest.network.namespace(f"newcomer{number}")
        name, self._inner = f"n{tag}x{number}", f"10.9.0.{70 + number}"
        host = [f"203.0.113.{4 * number + i}" for i in (1, 2)]
        contest.network.link(pair.right, f"new{tag}x{number}", self.namespace, "out0",
                             addresses=(f"{host[0]}/30", f"{host[1]}/30"))
        self.device = tunnel.Device(self.namespace, name, contender)
        self.device.configure()
        server = pair.devices[1]
        server.add_peer(self.device.public, [f"{self._inner}/32"])
        self.device.add_peer(server.public, ["10.9.0.0/24"], f"{host[0]}:{pair.PORT[1]}")
        self.took = None

    def start(self):
        """Ping until an answer comes; the first ping makes the first initiation."""
        self.device.up(f"{self._inner}/24")
        started = time.monotonic()
        ping = self.namespace.start("ping", "-n", "-i", "0.2", tunnel.Pair.INNER[0][1], stdout=subprocess.PIPE)

        def listen():
            for line in ping.stdout:
                if "bytes from" in line and self.took is None:
                    self.took = time.monotonic() - started

        threading.Thread(target=listen, daemon=True).start()

    def close(self):
        self.device.stop()
        self.namespace.close()


def kernel_drops(namespace):
    """Datagrams that found a full socket buffer, over all UDP sockets of a namespace."""
    return sum(int(line.split()[-1]) for line in namespace.output("cat", "/proc/net/udp").splitlines()[1:])


def flood(contest):
    """Paced flow, then the same under garbage initiations from 10 000 addresses."""
    number = iter(range(10**6))
    seconds = max(20, contest.options.flood_seconds)

    def sample(name):
        tag = next(number)
        pair = contest.new_pair(name)
        crowd = attach_crowd(contest.network, pair.right)
        newcomers = [Newcomer(contest, pair, name, tag, number) for number in range(NEWCOMERS)]
        server = pair.devices[1]
        calm = Paced(contest, pair, 5).loss()
        flooder = crowd.start(contest.options.hsflood, "garbage", "198.51.100.1", pair.PORT[1],
                              tunnel.hexkey(server.public), CROWD, ATTACKERS, 0, seconds,
                              stdout=subprocess.PIPE)
        begin, resident, waiting = time.monotonic(), [], list(newcomers)
        flow = Paced(contest, pair, seconds - 2)
        while flow.is_running():
            resident.append(server.resident_kb() / 1024)
            if waiting and time.monotonic() - begin > 2 + NEWCOMERS - len(waiting):
                waiting.pop().start()
            time.sleep(0.2)
        loss = flow.loss()
        sent = c.last_json(flooder.communicate(timeout=60)[0])
        dropped = kernel_drops(pair.right)
        took = [newcomer.took or NEWCOMER_LIMIT for newcomer in newcomers]
        for closing in (*newcomers, crowd, *pair.ends):
            closing.close()
        middle = resident[len(resident) // 3]
        return {"loss_calm_pct": 100 * calm, "loss_pct": 100 * loss, "paced_mbit": flow.offered_mbit,
                "flood_per_s": sent["sent"] / sent["seconds"], "cookies_per_s": sent["cookies"] / sent["seconds"],
                "unread_pct": 100 * dropped / sent["sent"],
                "newcomer_s": statistics.median(took), "newcomer_worst_s": max(took),
                "resident_mb": max(resident), "resident_growth_mb": max(resident) - middle}

    contest.rounds("flood", [n for n in contest.options.devices if n != c.RAW], sample,
                   contest.options.udp_pairs)

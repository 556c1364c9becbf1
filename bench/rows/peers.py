# SPDX-License-Identifier: Apache-2.0
"""Rows about size: memory under load, and many peers on one interface."""

import base64
import contextlib
import random
import subprocess
import tempfile
import time

import contest as c
from contest import netns, tunnel

from . import traffic

SPOKES = 10
GO_PEERS_MAX = 60000  # wireguard-go stops at 2^16


def peer_lines(count, seed=1):
    """UAPI lines for peers with well-spread keys and two addresses each; no endpoints."""
    generator = random.Random(seed)
    keys = generator.randbytes(32 * count).hex()
    lines = []
    for i in range(count):
        a, b, d = (i >> 16) & 63, (i >> 8) & 255, i & 255
        lines.append(f"public_key={keys[64 * i:64 * i + 64]}\nallowed_ip=10.{64 + a}.{b}.{d}/32\n"
                     f"allowed_ip=fd42:{a:x}:{b:x}:{d:x}::/64\n")
    return "".join(lines)


def setconf_text(count, private, seed=1):
    """The same peers as a file for `wg setconf`."""
    text = [f"[Interface]\nPrivateKey = {private}\n"]
    for block in peer_lines(count, seed).split("public_key=")[1:]:
        key, v4, v6, _ = block.split("\n")
        text.append(f"[Peer]\nPublicKey = {base64.b64encode(bytes.fromhex(key)).decode()}\n"
                    f"AllowedIPs = {v4[11:]}, {v6[11:]}\n")
    return "".join(text)


def timed(call):
    start = time.monotonic()
    result = call()
    return time.monotonic() - start, result


def peers(contest):
    """A fresh device each time: set all, get all, resident; then the same with wg."""
    number = iter(range(10**6))
    namespace = contest.network.namespace("crowded")

    def sample(name):
        count = min(contest.options.peers, GO_PEERS_MAX if "wireguard-go" in name else 2**20)
        device = tunnel.Device(namespace, f"p{next(number)}", name)
        request = (f"set=1\nprivate_key={tunnel.hexkey(device.private)}\n" + peer_lines(count) + "\n")
        set_s, _ = timed(lambda: device.exchange(request.encode()))
        get_s, answer = timed(lambda: device.exchange(b"get=1\n\n"))
        listed = (b"\n" + answer).count(b"\npublic_key=")
        if listed != count:
            raise RuntimeError(f"{listed} of {count} peers")
        values = {"peers": count, "set_s": set_s, "get_s": get_s,
                  "resident_mb": device.resident_kb() / 1024}
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(setconf_text(count, device.private))
            f.flush()
            values["setconf_s"], _ = timed(lambda: device.wg(
                "setconf", device.interface, f.name, timeout=300))
        values["dump_s"], _ = timed(lambda: device.wg("show", device.interface, "dump", timeout=300))
        values["resident_after_mb"] = device.resident_kb() / 1024
        device.stop()
        return values

    contest.rounds("peers", [n for n in contest.options.devices if n != c.RAW], sample,
                   contest.options.udp_pairs)


def tcp_peers(contest):
    """One TCP stream, alone on the device and in a crowd."""
    count = contest.options.peers
    crowd = f"culvert, {count} peers"
    pairs = {"culvert": contest.pair("culvert"), crowd: contest.new_pair("culvert")}
    for device in pairs[crowd].devices:
        device.exchange(("set=1\n" + peer_lines(count) + "\n").encode())
    contest.rounds("tcp-peers", list(pairs), lambda name: traffic.tcp_sample(contest, pairs[name]))


class Hub:
    """One device with SPOKES peers, each in a namespace of its own with a device of the same kind."""

    def __init__(self, contest, contender, tag):
        net = contest.network
        self.center = net.namespace("hub")
        self.device = tunnel.Device(self.center, f"h{tag}", contender)
        self.device.configure(listen_port=51820)
        self.spokes = []
        for i in range(SPOKES):
            spoke = net.namespace(f"spoke{i}")
            net.link(self.center, f"to{i}", spoke, "out0", mtu=contest.options.link_mtu,
                     addresses=(f"192.0.2.{4 * i + 1}/30", f"192.0.2.{4 * i + 2}/30"))
            device = tunnel.Device(spoke, f"h{tag}s{i}", contender)
            device.configure()
            device.add_peer(self.device.public, ["10.9.0.0/24"], f"192.0.2.{4 * i + 1}:51820")
            device.up(f"10.9.0.{10 + i}/24", mtu=contest.options.mtu)
            self.device.add_peer(device.public, [f"10.9.0.{10 + i}/32"])
            self.spokes.append((spoke, device))
        self.device.up("10.9.0.1/24", mtu=contest.options.mtu)
        for i, (spoke, _) in enumerate(self.spokes):
            netns.wait_until(lambda s=spoke: s.ping("10.9.0.1", timeout=1, check=False), 20,
                             what="spoke connects")
            self.center.start("iperf3", "-s", "-p", 5300 + i, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)

    def load(self, seconds):
        """A stream from every spoke and one back to each; the greatest resident size meanwhile."""
        clients = []
        for i, (spoke, _) in enumerate(self.spokes):
            clients.append(spoke.start("iperf3", "-c", "10.9.0.1", "-p", 5300 + i, "-t", seconds,
                                       "--bidir", stdout=subprocess.DEVNULL))
        greatest = 0
        while any(client.poll() is None for client in clients):
            greatest = max(greatest, self.device.resident_kb())
            time.sleep(0.1)
        return greatest

    def close(self):
        for _, device in self.spokes:
            device.stop()
        self.device.stop()
        self.center.close()
        for spoke, _ in self.spokes:
            spoke.close()


def memory(contest):
    """Resident size of a device with ten peers that all send and receive as fast as they can."""
    number = iter(range(10**6))

    def sample(name):
        hub = Hub(contest, name, next(number))
        with contextlib.closing(hub):
            idle = hub.device.resident_kb()
            return {"resident_idle_mb": idle / 1024,
                    "resident_mb": hub.load(contest.options.seconds) / 1024}

    contest.rounds("memory", [n for n in contest.options.devices if n != c.RAW], sample,
                   contest.options.udp_pairs)

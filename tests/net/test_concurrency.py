#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The threads of the tunnel process, watched by ThreadSanitizer while everything happens at once.

    [left] ═ many flows, both ways ═ [right] ──── [stranger] handshakes, copies of what it saw

Traffic runs while peers, keys, ports, marks and prefixes change, links go down and up, clients
watch and ask, and strangers knock. Whatever is lost meanwhile may be lost; but no two threads
may touch the same octet unordered, and afterwards everything works.
"""

import base64
import collections
import hashlib
import os
import random
import socket
import subprocess
import threading
import time

import amnezia
import suite
import tunnel

DECOYS = 400  # peers that come and go together: tables grow and shrink while they are searched
NO_LIMIT = 1 << 63


def is_watched():
    """Is the program one that reports races?"""
    with open(tunnel.CONTENDERS["culvert"]()[0], "rb") as f:
        return b"__tsan_init" in f.read()


def place(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def initiation(public, rng):
    """A message with a valid MAC1 and nothing else: only a Diffie-Hellman tells."""
    message = b"\x01\x00\x00\x00" + rng.randbytes(112)
    key = hashlib.blake2s(b"mac1----" + base64.b64decode(public)).digest()
    return message + hashlib.blake2s(message, key=key, digest_size=16).digest() + bytes(16)


class Churn:
    """One disturbance after the other, drawn from a seed, at either end."""

    def __init__(self, pair, rng):
        self.pair, self.rng, self.ports, self.decoys = pair, rng, list(pair.PORT), [[], []]
        self.framing = amnezia.PLAIN
        self.steps = [name for name in dir(self) if name.startswith("step_")]
        self.done = collections.Counter()

    def step(self):
        name, i = self.rng.choice(self.steps), self.rng.randrange(2)
        getattr(self, name)(i, self.pair.devices[i], self.pair.devices[1 - i])
        self.done[name] += 1

    def join(self, i):
        device, other = self.pair.devices[i], self.pair.devices[1 - i]
        where = place(self.rng.choice(self.pair.OUTER)[1 - i], self.ports[1 - i])
        device.add_peer(other.public, [f"{self.pair.INNER[0][1 - i]}/32", f"{self.pair.INNER[1][1 - i]}/128"],
                        where, keepalive=self.rng.choice((0, 1)))

    @staticmethod
    def tell(device, public, *words):
        """A change of a peer that is there."""
        device.uapi("\n".join(("set=1", f"public_key={tunnel.hexkey(public)}", "update_only=true", *words, "\n")))

    def step_peer_again(self, i, device, other):
        device.remove_peer(other.public)
        self.join(i)

    def step_new_key(self, i, device, other):
        old, (device.private, device.public) = device.public, tunnel.keypair()
        device.configure()
        other.remove_peer(old)
        self.join(1 - i)

    def step_same_key(self, i, device, other):
        device.configure()

    def step_port(self, i, device, other):
        self.ports[i] = 20000 + self.rng.randrange(10000)
        device.configure(listen_port=self.ports[i])

    def step_mark(self, i, device, other):
        device.configure(fwmark=self.rng.randrange(3))

    def step_prefix_moves(self, i, device, other):
        """One of the other end's addresses goes to a stranger and comes back."""
        thief, which = self.rng.randbytes(32).hex(), self.rng.choice((f"{self.pair.INNER[0][1 - i]}/32",
                                                                     f"{self.pair.INNER[1][1 - i]}/128"))
        for owner in (thief, tunnel.hexkey(other.public)):
            device.uapi(f"set=1\npublic_key={owner}\nallowed_ip={which}\n\n")
        device.uapi(f"set=1\npublic_key={thief}\nremove=true\n\n")

    def step_preshared_key(self, i, device, other):
        key = self.rng.choice((bytes(32), self.rng.randbytes(32))).hex()
        self.tell(device, other.public, f"preshared_key={key}")
        self.tell(other, device.public, f"preshared_key={key}")

    def step_endpoint(self, i, device, other):
        """The same place by its other address, again and again, while packets tell where it is."""
        for outer in self.pair.OUTER * 5:
            self.tell(device, other.public, f"endpoint={place(outer[1 - i], self.ports[1 - i])}")

    def step_limits(self, i, device, other):
        """A budget, then a rate, that bite for a moment; then none."""
        for budget, rate in ((50000, 0), (NO_LIMIT, 1000000), (NO_LIMIT, 0)):
            self.tell(device, other.public, f"culvert_budget_bytes={budget}", f"culvert_rate_bps={rate}")
            time.sleep(0.02)

    def step_decoys(self, i, device, other):
        if self.decoys[i]:
            device.uapi("set=1\n" + "".join(f"public_key={key}\nremove=true\n" for key in self.decoys[i]) + "\n")
            self.decoys[i] = []
            return
        self.decoys[i] = [self.rng.randbytes(32).hex() for _ in range(DECOYS)]
        device.uapi("set=1\n" + "".join(
            f"public_key={key}\nendpoint=192.0.2.200:9\nallowed_ip=10.77.{n >> 8}.{n & 255}/32\n"
            f"allowed_ip=fd77:{n:x}::/64\n" for n, key in enumerate(self.decoys[i])) + "\n")

    def step_framing(self, i, device, other):
        """Both ends take other parameters; one of them knows the old ones as well, for a while."""
        old, new = self.framing, self.rng.choice((amnezia.PLAIN, *amnezia.GENERATIONS.values()))
        device.uapi(f"set=1\n{amnezia.lines(amnezia.whole(new))}{amnezia.profile('old', old)}\n\n")
        other.configure(**amnezia.whole(new))
        if self.rng.randrange(2):
            device.uapi("set=1\nculvert_replace_profiles=true\n\n")
        self.framing = new

    def step_profiles(self, i, device, other):
        """Profiles that nobody uses come and go, and a peer is pinned and let go."""
        names = self.rng.sample([f"p{n}" for n in range(12)], 4)
        device.uapi("set=1\nculvert_replace_profiles=true\n" + "\n".join(
            amnezia.profile(name, self.rng.choice(list(amnezia.GENERATIONS.values()))) for name in names) + "\n\n")
        self.tell(device, other.public, f"culvert_profile_pin={names[0]}")
        self.tell(device, other.public, "culvert_profile_pin=", "culvert_prelude=false")

    def down(self, i):
        self.pair.ends[i].ip("link", "set", self.pair.devices[i].interface, "down")

    def up(self, i):
        name = self.pair.devices[i].interface
        self.pair.ends[i].ip("link", "set", name, "up")
        self.pair.ends[i].ip("address", "replace", f"{self.pair.INNER[1][i]}/64", "dev", name, "nodad")

    def step_link(self, i, device, other):
        self.down(i)
        time.sleep(self.rng.choice((0, 0.05)))
        self.up(i)

    def step_mtu(self, i, device, other):
        device.namespace.ip("link", "set", device.interface, "mtu", self.rng.choice((1280, 1420)))

    def calm(self):
        """Both ends begin anew, so that what follows is no longer chance."""
        for i, device in enumerate(self.pair.devices):
            self.down(i)
            device.configure(replace_peers="true", fwmark=0, listen_port=self.ports[i])
            self.join(i)
        self.up(1)
        self.up(0)


class Clients:
    """Those who watch and ask, in threads that go on until told to stop."""

    def __init__(self, devices, rng):
        self._devices, self._seed = devices, rng.getrandbits(32)
        self._stopping, self.answers = threading.Event(), collections.Counter()
        self.problems = []
        self._threads = [threading.Thread(target=self._repeat, args=(work, device), daemon=True)
                         for device in devices for work in (self.ask, self.watch, self.sleep)]
        for thread in self._threads:
            thread.start()

    def _repeat(self, work, device):
        rng = random.Random(self._seed)
        while not self._stopping.is_set():
            try:
                work(device, rng)
            except Exception as error:  # told by the test's own thread
                self.problems.append(f"{work.__name__} {device.interface}: {error!r}")
                return

    def ask(self, device, rng):
        device.get()
        self.answers["get"] += 1
        time.sleep(rng.random() / 20)

    def _watching(self, device):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(device.socket_path)
        s.sendall(b"watch=1\n\n")
        return s

    def watch(self, device, rng):
        with self._watching(device) as s:
            end = time.monotonic() + rng.random() * 3
            while time.monotonic() < end:
                if not s.recv(65536):
                    raise EOFError("the stream ended")
                self.answers["watch"] += 1

    def sleep(self, device, rng):
        """A client that never reads."""
        with self._watching(device):
            time.sleep(rng.random() * 3)

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(15)


class Stranger:
    """From many addresses of its own: bursts of handshakes, each at the key of the moment, and copies
    of data it has seen, so that several threads judge packets of one session at once."""

    def __init__(self, namespace, host, churn, rng):
        self._host, self._churn, self._rng = host, churn, random.Random(rng.getrandbits(32))
        self._seen = suite.Capture(churn.pair.right, "out0", lambda p: len((suite.udp_of(p) or [b""])[-1]) >= 32)
        with namespace:
            self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(32)]
        for number, s in enumerate(self._sockets):
            s.bind((f"203.0.113.{100 + number}", 0))
        self.done, self._stopping = collections.Counter(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _send(self, what, messages):
        for message in messages:
            try:
                self._rng.choice(self._sockets).sendto(message, (self._host, self._churn.ports[1]))
                self.done[what] += 1
            except OSError:  # its port moved or it is down
                pass

    def _run(self):
        turn = 0
        while not self._stopping.is_set():
            copies = [suite.udp_of(p)[-1] for out, p in self._seen.packets(0.02) if not out]
            self._send("copies", copies[-200:])
            turn += 1
            if turn % 30 == 0:
                public = self._churn.pair.devices[1].public
                self._send("handshakes", [initiation(public, self._rng) for _ in range(1200)])

    def stop(self):
        self._stopping.set()
        self._thread.join()
        self._seen.close()
        for s in self._sockets:
            s.close()


class Threads(suite.NetTest):
    def setUp(self):
        if not is_watched():
            self.skipTest("built without -Db_sanitize=thread")
        super().setUp()
        # All reports of a run, not only the first; the exit status tells of them.
        options = os.environ.get("TSAN_OPTIONS", "") + ":halt_on_error=0:exitcode=66"
        os.environ["TSAN_OPTIONS"] = options.lstrip(":")
        seed = int(os.environ.get("CULVERT_SEED") or int.from_bytes(os.urandom(4), "big"))
        print(f"# seed {seed}", flush=True)
        self.rng = random.Random(seed)

    def ended_well(self, device):
        """Told to stop it leaves by itself, with nothing reported."""
        process = device.process
        if process.poll() is None:
            process.terminate()
        try:
            status = process.wait(20)
        except subprocess.TimeoutExpired:
            self.fail(f"{device.interface} does not end")
        with open(self.log_path) as log:
            reports = log.read().split("WARNING: ThreadSanitizer")[1:]
        self.assertEqual(len(reports), 0, "\n".join(r[:4000] for r in reports[:2]))
        self.assertEqual(status, 0)

    def traffic(self, pair):
        """Flows of all kinds, both ways, for as long as the namespaces live."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for i, end in enumerate(pair.ends):
            for inner in pair.INNER:
                for size in (64, 1200):
                    end.start("ping", "-n", "-q", "-i", "0.005", "-s", size, inner[1 - i], **quiet)
        for port, words in ((5201, ("-P", "3")), (5202, ("-u", "-b", "4M", "-l", "1300", "-P", "2"))):
            pair.right.start("sh", "-c", f"while :; do iperf3 -s -1 -p {port} --idle-timeout 5; done", **quiet)
            pair.left.start("sh", "-c", 'port=$1; shift; while :; do sleep 0.2; '
                            'timeout 8 iperf3 -c 10.9.0.2 -p "$port" -t 5 --bidir "$@"; done', "sh", port, *words, **quiet)

    @staticmethod
    def moved_bytes(device):
        lines = device.namespace.output("cat", "/proc/net/dev").splitlines()
        fields = next(line.split(":")[1].split() for line in lines if line.strip().startswith(device.interface + ":"))
        return int(fields[0]), int(fields[8])

    def disturbed(self, workers, seconds):
        pair = self.pair(extra=("--workers", workers))
        stranger = self.net.namespace("stranger")
        self.net.link(pair.right, "str0", stranger, "out0", addresses=(
            "203.0.113.1/24", [f"203.0.113.{host}/24" for host in range(100, 132)]))
        self.connected(pair, 30)
        churn = Churn(pair, self.rng)
        self.traffic(pair)
        clients = Clients(pair.devices, self.rng)
        knocking = Stranger(stranger, "203.0.113.1", churn, self.rng)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            churn.step()
            self.assertEqual([d.process.poll() for d in pair.devices], [None, None])
            time.sleep(0.2 * self.rng.random() ** 2)
        clients.stop()
        knocking.stop()
        counts = {name.removeprefix("step_"): n for name, n in churn.done.items()}
        print(f"# counts {counts}, {dict(clients.answers)}, {dict(knocking.done)}", flush=True)
        self.assertEqual(clients.problems, [])
        self.assertGreater(min(knocking.done["handshakes"], knocking.done["copies"]), 1000)
        for device in pair.devices:
            self.assertGreater(min(self.moved_bytes(device)), 1 << 20, "octets both ways, or there was no test")
        churn.calm()
        for inner in pair.INNER:
            self.soon(lambda: self.pings(pair.left, inner[1]), "a ping afterwards", 20)

    def test_two_workers_and_a_keeper_share_nothing_unordered(self):
        self.disturbed(2, suite.scaled(10, 600))

    def test_four_workers_and_a_keeper_share_nothing_unordered(self):
        self.disturbed(4, suite.scaled(10, 600))


suite.main()

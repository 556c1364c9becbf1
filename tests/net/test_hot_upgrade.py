#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Upgrades of a whole gateway under load: what its users and callers notice of them.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] eth1 198.51.100.1/24 ──── [world] 198.51.100.2/24
        wgc                                           wg0

Through the tunnel go TCP both ways and a datagram each millisecond both ways; the API is asked over TCP and over
the local socket. What measures runs in processes of its own, so that nothing waits for this one.
"""

import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import netns
import suite
import test_gateway
import test_upgrade as upgrades

TICK_S = 0.001
RATE = 1 << 20  # octets per second of each TCP flow
GAP_MS = 50  # what an upgrade may cost
NOISE_MS = 450  # what a busy machine may add to the worst of them
QUIET = 3  # seconds without an upgrade: what the machine itself does


# --- Programs of their own: this file with a word -----------------------------------------------------------------

def send(host, port):
    """A numbered datagram each millisecond until SIGTERM; prints when each left, in ns."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, int(port)))
    running, sent = [True], []
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    due = time.monotonic()
    while running:
        sent.append(time.clock_gettime_ns(time.CLOCK_REALTIME))
        try:
            s.send(struct.pack("<Q", len(sent) - 1))
        except OSError:
            pass
        due = max(due + TICK_S, time.monotonic() - 0.01)
        time.sleep(max(0.0, due - time.monotonic()))
    print(json.dumps(sent))


def receive(host, port):
    """Numbers and when each came, as the kernel saw it, until SIGTERM."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    s.settimeout(0.1)
    s.bind((host, int(port)))
    running, came = [True], []
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    print("ready", flush=True)
    while running:
        try:
            data, control, _, _ = s.recvmsg(64, 64)
        except TimeoutError:
            continue
        seconds, nanoseconds = struct.unpack("qq", control[0][2][:16])
        came.append((struct.unpack("<Q", data)[0], seconds * 10**9 + nanoseconds))
    print(json.dumps(came))


def watch(interface):
    """Every data packet of WireGuard on the interface, until SIGTERM: how many, lost, and repeated."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    s.settimeout(0.1)
    s.bind((interface, 0x0003))
    running, seen, repeated, count, merged = [True], set(), [], 0, 0
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    print("ready", flush=True)
    while running:
        try:
            packet = s.recv(2048)
        except TimeoutError:
            continue
        if len(packet) < 60 or packet[0] != 0x45 or packet[9] != 17 or packet[28:32] != b"\4\0\0\0":
            continue
        count += 1
        merged += int.from_bytes(packet[2:4], "big") > 1500
        one = packet[12:20] + packet[32:44]  # who to whom, receiver's index, counter
        if one in seen:
            repeated.append(one.hex())
        seen.add(one)
    missed = struct.unpack("II", s.getsockopt(263, 6, 8))[1]  # PACKET_STATISTICS
    print(json.dumps({"count": count, "merged": merged, "missed": missed, "repeated": repeated}))


# --- What is done meanwhile ---------------------------------------------------------------------------------------

class Flow(threading.Thread):
    """One TCP connection, RATE octets a second until told to stop; both ends keep a hash."""

    def __init__(self, source, sink, address):
        super().__init__(daemon=True)
        with sink:
            listener = socket.create_server((address, 0))
        with source:
            self.sender = socket.create_connection(listener.getsockname()[:2], timeout=20)
        self.receiver = listener.accept()[0]
        self.receiver.settimeout(20)
        listener.close()
        self.sent, self.received, self.octets, self.error = hashlib.sha256(), hashlib.sha256(), 0, None
        self.stopping = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.start()

    def guarded(self, work):
        try:
            work()
        except OSError as error:
            self.error = error

    def read(self):
        def work():
            while chunk := self.receiver.recv(1 << 16):
                self.received.update(chunk)
        self.guarded(work)

    def run(self):
        def work():
            while not self.stopping.wait(0.02):
                chunk = os.urandom(RATE // 50)
                self.sent.update(chunk)
                self.octets += len(chunk)
                self.sender.sendall(chunk)
            self.sender.shutdown(socket.SHUT_WR)
        self.guarded(work)

    def finish(self):
        self.stopping.set()
        self.join(30)
        self.reader.join(30)
        return self.sent.hexdigest(), self.received.hexdigest(), self.error


class LocalConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Caller(threading.Thread):
    """Adds peers one after the other. @connect: makes a connection; @keeps: until the server ends it."""

    def __init__(self, name, connect, headers, keeps):
        super().__init__(daemon=True)
        self.name, self.open, self.headers, self.keeps = name, connect, headers, keeps
        self.acknowledged, self.failed, self.slowest = [], [], 0.0
        self.stopping = threading.Event()
        self.start()

    def run(self):
        connection = None
        number = 0
        while not self.stopping.wait(0.02):
            number += 1
            peer, start = f"{self.name}-{number}", time.monotonic()
            try:
                connection = connection or self.open()
                connection.request("POST", "/api/v1/peers", json.dumps({"name": peer}), self.headers)
                reply = connection.getresponse()
                body = reply.read()
                if reply.status == 201:
                    self.acknowledged.append(peer)
                else:
                    self.failed.append(f"{reply.status} {body[:200]}")
                if not self.keeps or reply.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{peer}: {type(error).__name__} {error}")
                connection = None
            self.slowest = max(self.slowest, time.monotonic() - start)

    def finish(self):
        self.stopping.set()
        self.join(60)


def gaps(sent, came):
    """(when, how long) from one arrival to the next in ms, less what the sender itself was late by."""
    found = []
    for (number, at), (following, later) in zip(came, came[1:]):
        if following > number:
            late = sum(max(0, sent[i + 1] - sent[i] - 10**6) for i in range(number, following))
            found.append((at, (later - at - late) / 1e6))
    return found


class Load(upgrades.UpgradeTest):
    PORTS = {"up": 7001, "down": 7002}

    def program(self, namespace, *words, waits=True):
        process = namespace.start(sys.executable, os.path.abspath(__file__), *words, stdout=subprocess.PIPE)
        if waits:
            self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def result(self, process):
        process.send_signal(signal.SIGTERM)
        return json.loads(process.communicate(timeout=30)[0])

    def begin_load(self, client):
        self.measured = {}
        for name, source, sink, address in (("up", self.client, self.world, "198.51.100.2"),
                                            ("down", self.edge, self.client, client)):
            receiver = self.program(sink, "receive", address, self.PORTS[name])
            self.measured[name] = receiver, self.program(source, "send", address, self.PORTS[name], waits=False)
        self.watcher = self.program(self.client, "watch", "c0")
        self.flows = [Flow(self.client, self.world, "198.51.100.2"), Flow(self.edge, self.client, client)]
        token = json.loads(self.edge.output(upgrades.test_host.CULVERT, "gateway", "key", "add", "load", "--role",
                                            "operator", "--json", "--state", self.state))["key"]
        bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        local = f"{self.state}/gateway.sock"

        def over_tcp():
            with self.edge:
                connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=30)
                connection.connect()
            connection.auto_open = 0
            return connection

        self.callers = [Caller("tcp", over_tcp, bearer, False), Caller("kept", over_tcp, bearer, True),
                        Caller("local", lambda: LocalConnection(local), {"Content-Type": "application/json"}, False)]

    def end_load(self, upgraded):
        for caller in self.callers:
            caller.finish()
        hashes = [flow.finish() for flow in self.flows]
        found = {}
        for name, (receiver, sender) in self.measured.items():
            sent = self.result(sender)
            time.sleep(0.3)
            found[name] = gaps(sent, self.result(receiver))
        return hashes, {name: self.worst(each, upgraded) for name, each in found.items()}, self.result(self.watcher)

    @staticmethod
    def worst(found, upgraded):
        """Of each upgrade the longest gap."""
        return [max((gap for at, gap in found if begin <= at <= end), default=float("inf")) for begin, end in upgraded]

    def test_users_and_callers_do_not_notice_upgrades(self):
        for namespace, interface in ((self.edge, "eth0"), (self.client, "c0")):
            namespace.run("ethtool", "-K", interface, "tx-udp-segmentation", "off", "gso", "off", "gro", "off")
        gateway = self.begin("--subnet4", "10.0.0.0/16")
        text = self.peer("add", "phone").stdout
        self.connect(text)
        self.client.ip("route", "add", "10.0.0.0/24", "dev", "wgc")
        self.reaches("10.0.0.1", "198.51.100.2")
        client = next(l for l in text.splitlines() if l.startswith("Address")).split("=")[1].split("/")[0].strip()
        self.begin_load(client)
        time.sleep(1)
        quiet = []
        for _ in range(QUIET):
            begin = time.clock_gettime_ns(time.CLOCK_REALTIME)
            time.sleep(1)
            quiet.append((begin, time.clock_gettime_ns(time.CLOCK_REALTIME)))
        upgraded = []
        for _ in range(suite.scaled(5, 50)):
            self.installed.put()
            begin = time.clock_gettime_ns(time.CLOCK_REALTIME)
            self.upgrade(gateway)
            time.sleep(0.5)
            upgraded.append((begin, time.clock_gettime_ns(time.CLOCK_REALTIME)))
            self.assertTrue(all(self.runs(pid) for pid in (gateway.process.pid, *self.pids(gateway).values())))
        filters = {line for pid in (gateway.process.pid, *self.pids(gateway).values())
                   for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                   if line.startswith("Seccomp_filters")}
        hashes, worst, seen = self.end_load(quiet + upgraded)
        quiet = {name: each[:QUIET] for name, each in worst.items()}
        worst = {name: each[QUIET:] for name, each in worst.items()}
        for name, each in worst.items():
            print(f"# {name}: longest gap of an upgrade: median {statistics.median(each):.1f} ms, nine in ten up to "
                  f"{statistics.quantiles(each, n=10, method='inclusive')[8]:.1f}, worst {max(each):.1f} ms (of {len(each)}); of a second without: "
                  f"{max(quiet[name]):.1f} ms", flush=True)
        print(f"# {sum(f.octets for f in self.flows) >> 20} MiB over TCP; {seen['count']} data packets seen; slowest call "
              f"{max(c.slowest for c in self.callers):.2f} s of {sum(len(c.acknowledged) for c in self.callers)}",
              flush=True)
        for caller in self.callers:
            self.assertEqual(caller.failed, [], caller.name)
            self.assertGreater(len(caller.acknowledged), len(upgraded), caller.name)
        kept = {peer["name"] for peer in json.loads(self.peer("list", "--json").stdout)}
        self.assertEqual({n for c in self.callers for n in c.acknowledged} - kept, set(), "acknowledged and lost")
        for sent, received, error in hashes:
            self.assertIsNone(error)
            self.assertEqual(sent, received)
        self.assertEqual((seen["merged"], seen["missed"]), (0, 0), "every packet was seen by itself")
        self.assertGreater(seen["count"], 1000 * len(upgraded))
        self.assertEqual(seen["repeated"], [])
        for name, each in worst.items():
            self.assertLessEqual(statistics.median(each), GAP_MS + max(quiet[name]), name)
            self.assertLessEqual(max(each), GAP_MS + NOISE_MS, name)
        self.assertLessEqual({int(line.split()[1]) for line in filters}, {1, 2}, "filters do not pile up")
        self.assertEqual(gateway.end(), 0, gateway.errors())


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in ("send", "receive", "watch"):
        {"send": send, "receive": receive, "watch": watch}[sys.argv[1]](*sys.argv[2:])
    else:
        suite.main()

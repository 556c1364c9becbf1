# SPDX-License-Identifier: Apache-2.0
"""Network tests: a base class with the usual topology, and a runner that speaks TAP.

A test file ends with suite.main(). Its tests are unittest methods whose names are
sentences. Run one file by hand, or some of its tests, with the output of the devices:

    CULVERT_TEST_VERBOSE=1 tests/net/test_roaming.py rebinding

CULVERT_SOAK=1 raises the counts. CULVERT_DEVICE judges another program in our place.
"""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import unittest

import netns
import tunnel

SOAK = bool(os.environ.get("CULVERT_SOAK"))


def scaled(usual, soak):
    """A count that `make soak` raises. It is printed, so that a log says what was run."""
    print(f"# scale: {soak if SOAK else usual} (soak: {soak})", flush=True)
    return soak if SOAK else usual


class NetTest(unittest.TestCase):
    """A test with a network of its own."""

    longMessage = True

    def setUp(self):
        self.net = netns.Network()
        self.addCleanup(self.net.close)
        self.log_path = f"/run/{self.id()}.log"
        self.log = open(self.log_path, "w+")
        self.addCleanup(self.log.close)

    def pair(self, contenders=("culvert", "culvert"), **options):
        made = tunnel.Pair(self.net, contenders, log=self.log, **options)
        if os.environ.get("CULVERT_TEST_VERBOSE"):
            print(self.net.drawing())
        for device in made.devices:
            self.addCleanup(self.ended_well, device)
        return made

    def device(self, namespace, interface, contender="culvert", **options):
        options.setdefault("log", self.log)
        made = tunnel.make_device(namespace, interface, contender, **options)
        self.addCleanup(self.ended_well, made)
        return made

    def need(self, contender):
        """Skip the test unless a contender can be had."""
        if not tunnel.is_available(contender):
            self.skipTest(tunnel.why_not(contender))

    def ended_well(self, device):
        """At the end of a test: our process leaves with 0, which it does not after a leak or a crash."""
        if device.contender != "culvert" or os.environ.get("CULVERT_DEVICE"):
            return
        device.stop()
        self.assertIn(device.process.returncode, (0, -signal.SIGKILL))

    def soon(self, condition, what, timeout=5.0):
        """Assert that condition() becomes true in time."""
        try:
            return netns.wait_until(condition, timeout, what=what)
        except TimeoutError as error:
            self.fail(str(error))

    def pings(self, namespace, address, **options):
        return namespace.ping(address, check=False, **{"timeout": 2, **options})

    def connected(self, pair, timeout=10.0):
        self.soon(lambda: self.pings(pair.left, pair.INNER[0][1]), "a ping through the tunnel", timeout)

    def moved(self, source, sink, address, size, timeout=60):
        """Assert that size octets arrive unharmed over TCP."""
        self.assertEqual(*transfer(source, sink, address, size, timeout), "hashes differ")


class HandshakeTest(NetTest):
    """Two implementations that shall understand each other every single time."""

    # A peer answers at most one initiation in 20 ms, and two timestamps within 17 ms are equal.
    PAUSE_S = 0.03

    def consecutive_handshakes(self, contenders, outer, count, **options):
        """Each time the left end has forgotten everything; one ping must bring one handshake at once."""
        pair = self.pair(contenders=contenders, outer=outer, **options)
        left, right = pair.devices
        watched, other = (left, right) if contenders[0] != "kernel" else (right, left)
        seen = set()
        for number in range(count):
            left.remove_peer(right.public)
            pair.join(0)
            time.sleep(self.PAUSE_S)
            self.assertTrue(self.pings(pair.left, pair.INNER[number % 2][1], timeout=2), f"handshake {number + 1}")
            peer = watched.get()[1][other.public]
            seen.add((peer["last_handshake_time_sec"], peer["last_handshake_time_nsec"]))
            self.assertEqual(len(seen), number + 1, "each ping had a handshake of its own")


def transfer(source, sink, address, size, timeout=60):
    """Send size octets over TCP from one namespace to an address in another: both SHA-256."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    result = {}
    with sink:
        listener = socket.create_server((address, 0), family=family)
    listener.settimeout(timeout)

    def receive():
        digest = hashlib.sha256()
        try:
            with listener.accept()[0] as s:
                s.settimeout(timeout)
                while chunk := s.recv(1 << 18):
                    digest.update(chunk)
            result["received"] = digest.hexdigest()
        except OSError as error:
            result["received"] = f"receiver: {error}"

    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    try:
        sent = _send(source, family, listener.getsockname()[:2], size, timeout)
    except OSError as error:
        sent = f"sender: {error}"
    receiver.join(timeout)
    listener.close()
    return sent, result.get("received", "nothing arrived in time")


def _send(source, family, where, size, timeout):
    block, digest, left = os.urandom(1 << 20), hashlib.sha256(), size
    with source:
        s = socket.socket(family, socket.SOCK_STREAM)
    with s:
        s.settimeout(timeout)
        s.connect(where)
        while left:
            # Rotated, so that no two megabytes are equal.
            at = (size - left) // (1 << 20) % len(block)
            chunk = (block[at:] + block[:at])[:left]
            digest.update(chunk)
            s.sendall(chunk)
            left -= len(chunk)
        s.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


class Capture:
    """Frames on an interface, as Ethernet payloads (IP packets), seen with AF_PACKET."""

    def __init__(self, namespace, interface, keep=lambda packet: True):
        with namespace:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._socket.bind((interface, 0x0003))
        self._socket.setblocking(False)
        self._keep = keep

    def packets(self, settle=0.1):
        """Everything since the last call: [(is outgoing, packet)]."""
        time.sleep(settle)
        found = []
        while True:
            try:
                data, where = self._socket.recvfrom(65536)
            except BlockingIOError:
                return found
            if self._keep(data):
                found.append((where[2] == socket.PACKET_OUTGOING, data))

    def close(self):
        self._socket.close()


def udp_of(packet):
    """(source, destination, source port, destination port, TOS, payload) of a UDP packet, or None."""
    if packet[:1] and packet[0] >> 4 == 4:
        length, protocol, tos = (packet[0] & 15) * 4, packet[9], packet[1]
        hosts = socket.inet_ntop(socket.AF_INET, packet[12:16]), socket.inet_ntop(socket.AF_INET, packet[16:20])
    elif len(packet) >= 40:
        length, protocol, tos = 40, packet[6], (packet[0] & 15) << 4 | packet[1] >> 4
        hosts = socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40])
    else:
        return None
    if protocol != 17 or len(packet) < length + 8:
        return None
    ports = int.from_bytes(packet[length:length + 2], "big"), int.from_bytes(packet[length + 2:length + 4], "big")
    return (*hosts, *ports, tos, packet[length + 8:])


def main():
    """Run the tests of the calling file inside a sandbox and report them as TAP.

    A test whose class says so with is_for_soak(name) is not run unless a soak was asked for.
    """
    netns.sandbox()
    if not tunnel.is_available("culvert"):
        netns.skip(f"{tunnel.CONTENDERS['culvert']()[0]} is not built")
    tests = list(_flatten(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])))
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    tests = [t for t in tests if all(word in t.id() for word in wanted)]
    later = [] if SOAK else [t for t in tests if getattr(t, "is_for_soak", lambda _: False)(t._testMethodName)]
    tests = [t for t in tests if t not in later]
    if later:
        print(f"# scale: {len(tests)} tests, {len(later)} more in the soak")
    print(f"1..{len(tests)}", flush=True)
    good = [_report(number, test) for number, test in enumerate(tests, 1)]
    sys.exit(not all(good))


def _flatten(tests):
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from _flatten(test)
        else:
            yield test


def _report(number, test):
    name = re.sub(r"^test_", "", test._testMethodName).replace("_", " ")
    result, start = unittest.TestResult(), time.monotonic()
    test.run(result)
    took = time.monotonic() - start
    if result.skipped:
        print(f"ok {number} - {name} # SKIP {result.skipped[0][1]}", flush=True)
        return True
    problems = result.failures + result.errors
    print(f"{'not ok' if problems else 'ok'} {number} - {name}", flush=True)
    print(f"# {took:.1f} s", flush=True)
    for _, text in problems:
        _comment(text)
    if problems and os.path.exists(getattr(test, "log_path", "")):
        with open(test.log_path) as log:
            lines = [line for line in log if line.strip("│┌┐└┘─ \n") and "│" not in line]
            _comment("log of the devices:\n" + "".join(lines[-20:]))
    return not problems


def _comment(text):
    for line in text.rstrip().splitlines():
        print(f"#   {line}", flush=True)

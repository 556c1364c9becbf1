#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the process takes from the host, and what it does with several threads.

    [left] ──── [right]          one flow or many, one worker or four
"""

import re
import socket
import struct
import subprocess
import threading
import time

import suite
import tunnel

FOUR_WORKERS = ("--workers", "4")
SMALL = ("--memory", "4")


def is_ours():
    return "culvert" in tunnel.CONTENDERS["culvert"]()[0]


class Memory(suite.NetTest):
    def loaded(self, pair, seconds):
        """Greatest resident size in KiB while four streams run each way."""
        pair.right.start("iperf3", "-s", "-p", 5201, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        load = pair.left.start("iperf3", "-c", "10.9.0.2", "-p", 5201, "-t", seconds, "-P", 4, "--bidir",
                               stdout=subprocess.DEVNULL)
        greatest = 0
        while load.poll() is None:
            greatest = max(greatest, *(d.resident_kb() for d in pair.devices))
            time.sleep(0.1)
        self.assertEqual(load.returncode, 0)
        return greatest

    def test_a_small_router_is_not_asked_for_more_than_it_has(self):
        """W20: with --memory 4 the process stays small, whatever comes."""
        if not is_ours():
            self.skipTest("only ours has --memory")
        pair = self.pair(extra=SMALL)
        self.connected(pair)
        self.assertLess(self.loaded(pair, suite.scaled(4, 60)), 16 << 10)

    def test_load_does_not_make_the_process_grow_for_good(self):
        pair = self.pair()
        self.connected(pair)
        first = self.loaded(pair, suite.scaled(3, 30))
        again = self.loaded_again(pair)
        self.assertLess(again, first + 1024)

    def loaded_again(self, pair):
        load = pair.left.start("iperf3", "-c", "10.9.0.2", "-p", 5201, "-t", suite.scaled(3, 60), "-P", 4,
                               "--bidir", stdout=subprocess.DEVNULL)
        load.wait(120)
        return max(d.resident_kb() for d in pair.devices)

    def test_an_idle_peer_with_two_prefixes_costs_at_most_one_kilobyte(self):
        """W21: no queues, no threads, no buffers of its own."""
        host = self.net.namespace("host")
        device = self.device(host, "idle0")
        count = suite.scaled(20000, 100000)
        before = device.resident_kb()
        device.exchange(("set=1\n" + "".join(
            f"public_key={i:064x}\nallowed_ip=10.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}/32\n"
            f"allowed_ip=fd42:{i >> 8:x}:{i & 255:x}::/64\n" for i in range(1, count + 1)) + "\n").encode())
        self.assertEqual(len(device.get()[1]), count)
        cost = device.resident_kb() - before
        print(f"# count {count} peers: {cost * 1024 // count} octets each", flush=True)
        self.assertLess(cost, count, "KiB for that many peers")


class Queues(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.host = self.net.namespace("host")
        self.one = self.device(self.host, "queue0")
        self.one.configure(listen_port=5300)
        self.host.ip("link", "set", "queue0", "up")

    def test_the_tun_queue_holds_a_bandwidth_delay_product(self):
        """W23."""
        length = int(re.search(r"qlen (\d+)", self.host.output("ip", "link", "show", "queue0"))[1])
        self.assertGreaterEqual(length, 4096)

    def test_socket_buffers_are_larger_than_the_system_gives_by_default(self):
        """W24."""
        self.soon(lambda: ":5300" in self.host.output("ss", "-uanm"), "the sockets")
        sizes = [int(n) for n in re.findall(r"rb(\d+)", self.host.output("ss", "-uanm", "sport", "=", ":5300"))]
        self.assertTrue(sizes)
        self.assertGreaterEqual(max(sizes), 1 << 20)


class Numbered:
    """Numbered datagrams through a tunnel, one thread per flow; counts those out of order."""

    def __init__(self, source, sink, address, port, count):
        self.reordered = self.received = 0
        with sink:
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._receiver.bind((address, port))
        self._receiver.settimeout(1)
        with source:
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender.connect((address, port))
        self._count = count
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._receive, self._send)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        for number in range(self._count):
            self._sender.send(struct.pack("<Q", number) + bytes(200))
            if number % 32 == 0:
                time.sleep(0.001)

    def _receive(self):
        expected = 0
        while True:
            try:
                number = struct.unpack_from("<Q", self._receiver.recv(2048))[0]
            except TimeoutError:
                return
            self.received += 1
            self.reordered += number < expected
            expected = max(expected, number + 1)

    def finish(self):
        for thread in self._threads:
            thread.join()
        self._sender.close()
        self._receiver.close()


class Workers(suite.NetTest):
    def setUp(self):
        super().setUp()
        if not is_ours():
            self.skipTest("only ours has --workers")
        self.tunnel = self.pair(extra=FOUR_WORKERS)
        self.connected(self.tunnel)

    def test_four_workers_keep_every_flow_in_order(self):
        """W22."""
        flows = [Numbered(self.tunnel.left, self.tunnel.right, "10.9.0.2", 7000 + i, suite.scaled(5000, 200000))
                 for i in range(4)]
        for flow in flows:
            flow.finish()
        self.assertEqual([flow.reordered for flow in flows], [0] * 4)
        for flow in flows:
            self.assertGreater(flow.received, 4000)

    def test_four_workers_carry_bulk_both_ways(self):
        for family in (0, 1):
            self.moved(self.tunnel.left, self.tunnel.right, self.tunnel.INNER[family][1], 32 << 20)
            self.moved(self.tunnel.right, self.tunnel.left, self.tunnel.INNER[family][0], 32 << 20)

    def test_four_workers_send_from_one_port(self):
        """W30."""
        capture = suite.Capture(self.tunnel.left, "out0", lambda p: suite.udp_of(p) is not None)
        flows = [Numbered(self.tunnel.left, self.tunnel.right, "10.9.0.2", 7100 + i, 300) for i in range(8)]
        for flow in flows:
            flow.finish()
        seen = {suite.udp_of(p)[:4] for out, p in capture.packets() if out}
        self.assertEqual(seen, {("192.0.2.1", "192.0.2.2", 51821, 51822)})


class Errors(suite.NetTest):
    def test_a_peer_whose_port_is_closed_disturbs_no_other(self):
        """W29: ICMP errors neither end the receiver nor make it pause."""
        pair = self.pair()
        self.connected(pair)
        left = pair.devices[0]
        left.add_peer(tunnel.keypair()[1], ["10.9.0.200/32"], "192.0.2.2:9", keepalive=1)
        left.add_peer(tunnel.keypair()[1], ["10.9.0.201/32"], "[2001:db8::2]:9", keepalive=1)
        knock = pair.left.start("ping", "-n", "-q", "-i", "0.05", "-w", "6", "10.9.0.200", stdout=subprocess.DEVNULL)
        text = pair.left.output("ping", "-n", "-q", "-i", "0.02", "-c", "250", "10.9.0.2", timeout=60)
        knock.kill()
        self.assertIn(" 0% packet loss", text)
        self.assertLess(float(text.split("mdev = ")[1].split("/")[2]), 250, "greatest round trip in ms")


suite.main()

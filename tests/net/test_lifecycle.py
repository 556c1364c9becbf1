#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The life of the tunnel process: start, ready, restart, keys changed under load, end."""

import ctypes
import fcntl
import json
import os
import platform
import signal
import socket
import struct
import subprocess
import threading
import time

import netns
import suite
import tunnel


class Restarts(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)

    def restart(self, i, how):
        pair = self.tunnel
        pair.devices[i].restart(how)
        pair.devices[i].configure(listen_port=pair.PORT[i])
        pair.join(i)
        pair.devices[i].up(*(f"{pair.INNER[family][i]}/{(24, 64)[family]}" for family in (0, 1)))

    def test_either_end_may_be_killed_and_started_again(self):
        pair = self.tunnel
        for i in (0, 1) * suite.scaled(2, 20):
            self.restart(i, signal.SIGKILL)
            self.assertTrue(self.pings(pair.ends[i], pair.INNER[0][1 - i]), "the new process connects at once")
            self.assertTrue(self.pings(pair.ends[1 - i], pair.INNER[1][i]), "the other end follows")

    def test_the_other_end_notices_a_restart_by_itself(self):
        pair = self.tunnel
        self.restart(1, signal.SIGTERM)
        # Data without an answer for 15 s, and a new handshake begins (W4).
        start = time.monotonic()
        self.soon(lambda: self.pings(pair.left, pair.INNER[0][1]), "a new handshake", 20)
        self.assertGreater(time.monotonic() - start, 9)

    def test_stopping_leaves_neither_interface_nor_socket(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            device = self.device(self.tunnel.left, f"gone{int(how)}")
            device.stop(how)
            self.assertFalse(os.path.exists(device.socket_path))
            self.assertNotIn(device.interface, self.tunnel.left.output("ip", "-o", "link"))

    def test_the_first_packet_after_link_up_is_not_lost(self):
        """It may be in the TUN before the process has heard that the link is up."""
        pair, device = self.tunnel, self.tunnel.devices[0]
        for _ in range(suite.scaled(5, 100)):
            pair.left.ip("link", "set", device.interface, "down")
            self.soon(lambda: f":{pair.PORT[0]:04X} " not in pair.left.output("cat", "/proc/net/udp"), "down")
            time.sleep(0.03)  # handshakes are answered once in 20 ms
            device.process.send_signal(signal.SIGSTOP)
            pair.left.ip("link", "set", device.interface, "up")
            ping = pair.left.start("ping", "-n", "-q", "-c1", "-W2", pair.INNER[0][1], stdout=subprocess.DEVNULL)
            time.sleep(0.05)
            device.process.send_signal(signal.SIGCONT)
            self.assertEqual(ping.wait(10), 0)

    def test_link_down_closes_the_port_and_up_opens_it_again(self):
        pair = self.tunnel
        port = f":{pair.PORT[0]:04X} "
        bound = lambda: port in pair.left.output("cat", "/proc/net/udp")
        self.assertTrue(bound())
        pair.left.ip("link", "set", pair.devices[0].interface, "down")
        self.soon(lambda: not bound(), "the socket closes")
        pair.left.ip("link", "set", pair.devices[0].interface, "up")
        self.soon(bound, "the socket is back")
        self.soon(lambda: self.pings(pair.left, pair.INNER[0][1]), "traffic is back", 8)


class Handover(suite.NetTest):
    """A successor that asked for everything and then says nothing."""

    def setUp(self):
        super().setUp()
        self.left = self.net.namespace("left")
        self.tunnel = self.device(self.left, "wg0")
        self.tunnel.configure(listen_port=51820)
        self.tunnel.up("10.0.0.1/24")
        self.successor = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.successor.close)
        self.successor.connect(self.tunnel.socket_path)
        self.successor.sendall(b"handover=1\n\n")
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += self.successor.recv(65536)

    def test_it_holds_nobody_longer_than_its_time_whatever_happens_meanwhile(self):
        before = self.tunnel.cpu_seconds()
        for mtu in range(1300, 1310):
            self.left.ip("link", "set", "wg0", "mtu", str(mtu))
        self.successor.settimeout(9)
        self.assertEqual(self.successor.recv(1), b"", "it is dismissed")
        self.assertLess(self.tunnel.cpu_seconds() - before, 1, "nobody waits busily")
        self.tunnel.configure()

    def test_it_does_not_keep_a_tunnel_that_is_told_to_stop(self):
        start = time.monotonic()
        self.tunnel.process.send_signal(signal.SIGTERM)
        self.soon(lambda: self.tunnel.process.poll() is not None, "the end")
        self.assertLess(time.monotonic() - start, 3)
        self.assertFalse(os.path.exists(self.tunnel.socket_path))


class TakeOver(suite.NetTest):
    """A real successor: culvert device --take-over."""

    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.old = self.tunnel.devices[0]

    def successor(self):
        words = [*tunnel.CONTENDERS["culvert"](), "--take-over", self.old.interface]
        process = self.tunnel.left.start(*words, stdout=self.log, stderr=self.log,
                                         env={**os.environ, "LOG_LEVEL": "info"})
        self.addCleanup(lambda: process.poll() is None and netns.stop(process, signal.SIGKILL))
        return process

    def ask(self):
        """What the old process hands over; it is stopped with it, and does not go on."""
        answer, fds = b"", []
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(self.old.socket_path)
            asked.sendall(b"handover=1\n\n")
            while not answer.endswith(b"\n\n"):
                data, more, _, _ = socket.recv_fds(asked, 65536, 64)
                answer, fds = answer + data, fds + more
            self.old.process.send_signal(signal.SIGSTOP)
        return answer, fds

    def play(self, answer, fds, version=2, change=b""):
        """Hand that to a successor in place of an old process of that version, up to its done=1. @change: told at stop=1."""
        os.unlink(self.old.socket_path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.old.socket_path)
            listener.listen()
            after = self.successor()
            played, _ = listener.accept()
            self.assertEqual(played.recv(64), b"handover=2\n\n")
            if version == 1:
                played.close()
                played, _ = listener.accept()
                self.assertEqual(played.recv(64), b"handover=1\n\n")
        socket.send_fds(played, [answer], fds)
        for fd in fds:
            os.close(fd)
        if version == 2:
            self.assertEqual(played.recv(64), b"stop=1\n\n")
            played.sendall(b"stopped=1\nset=1\n" + change + b"errno=0\n\n")
        self.assertEqual(played.recv(64), b"done=1\n\n")
        return after, played

    def test_again_and_again_one_process_serves_and_traffic_goes_on(self):
        pair, before = self.tunnel, self.old.process
        start = self.old.namespace.output("ip", "-j", "link", "show", self.old.interface)
        for _ in range(suite.scaled(5, 100)):
            ping = pair.left.start("ping", "-n", "-q", "-i", "0.02", "-c", "100", "-W", "2", pair.INNER[0][1],
                                   stdout=subprocess.PIPE, text=True)
            time.sleep(0.3)
            after = self.successor()
            self.soon(lambda: before.poll() is not None, "the old process ends", 10)
            self.assertEqual(before.returncode, 0)
            self.assertIsNone(after.poll())
            lost = 100 - int(ping.communicate(timeout=30)[0].split(" received")[0].split()[-1])
            self.assertLess(lost, 30, "packets of a ping every 20 ms")
            self.assertTrue(self.pings(pair.right, pair.INNER[1][0]))
            before = self.old.process = after
        now = self.old.namespace.output("ip", "-j", "link", "show", self.old.interface)
        self.assertEqual(json.loads(start)[0]["ifindex"], json.loads(now)[0]["ifindex"], "the interface stayed")
        self.assertTrue(os.path.exists(self.old.socket_path))

    def test_what_is_set_while_a_successor_gets_ready_is_told_when_it_is_ready(self):
        keys = [tunnel.keypair()[1] for _ in range(3)]
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(self.old.socket_path)
            asked.settimeout(5)
            asked.sendall(b"handover=2\n\n")
            answer = b""
            while not answer.endswith(b"\n\n"):
                data, fds, _, _ = socket.recv_fds(asked, 65536, 64)
                answer += data
                for fd in fds:
                    os.close(fd)
            self.assertTrue(self.pings(self.tunnel.left, self.tunnel.INNER[0][1]), "it serves on")
            self.old.wg("set", self.old.interface, "peer", keys[0], "allowed-ips", "10.77.0.1/32", "peer", keys[1])
            self.old.wg("set", self.old.interface, "peer", keys[1], "remove", "peer", keys[2], "endpoint", "[fe80::1%lo]:5")
            asked.sendall(b"stop=1\n\n")
            told = b""
            while not told.endswith(b"\n\n"):
                told += asked.recv(65536)
        first, second, rest = told.decode().split("set=1\n")[1:]
        self.assertTrue(told.startswith(b"stopped=1\n"))
        for key, part in ((keys[0], first), (keys[1], first), (keys[1], second), (keys[2], second)):
            self.assertIn(f"public_key={tunnel.hexkey(key)}\n", part)
        self.assertIn("allowed_ip=10.77.0.1/32\n", first)
        self.assertIn("remove=true\n", second)
        self.assertIn("endpoint=[fe80::1%1]:5\n", second)
        self.assertTrue(rest.endswith("errno=0\n\n"))
        self.soon(lambda: self.pings(self.tunnel.left, self.tunnel.INNER[0][1]), "it goes on")

    def test_nothing_that_is_set_meanwhile_is_lost(self):
        """Peers come and go all the time, while one process after the other takes over."""
        there, failed, stopping = set(), [], threading.Event()

        def change():
            while not stopping.is_set():
                key = tunnel.hexkey(tunnel.keypair()[1])
                gone = there.pop() if len(there) > 50 else None
                lines = f"set=1\npublic_key={key}\nallowed_ip=10.78.0.0/16\n"
                lines += f"public_key={gone}\nremove=true\n" if gone else ""
                while True:  # a refusal, or a connection that ends with the old process, is asked again
                    try:
                        if self.old.exchange((lines + "\n").encode(), 10).endswith(b"errno=0\n\n"):
                            there.add(key)
                            break
                    except (OSError, ValueError, IndexError) as error:
                        failed.append(error)
                    if stopping.wait(0.01):
                        return

        changer = threading.Thread(target=change)
        changer.start()
        try:
            for _ in range(suite.scaled(5, 100)):
                before = self.old.process
                after = self.successor()
                self.soon(lambda: before.poll() is not None or after.poll() is not None, "one ends", 20)
                self.assertIsNone(after.poll(), "taken over")
                self.old.process = after
                time.sleep(0.2)
        finally:
            stopping.set()
            changer.join(30)
        kept = {line.split("=")[1] for line in self.old.exchange(b"get=1\n\n").decode().splitlines()
                if line.startswith("public_key=")}
        self.assertEqual(there - kept, set())
        self.assertLessEqual(len(kept - there), 2, "the real peer, and one that was asked for last")
        self.soon(lambda: self.pings(self.tunnel.left, self.tunnel.INNER[0][1]), "traffic")

    def test_a_successor_that_gets_no_answer_ends_and_harms_nothing(self):
        """The old one stands still while the successor waits for its answer."""
        old = self.old.process
        with socket.socket(socket.AF_UNIX) as asked:  # holds the old one, until it is stopped
            asked.connect(self.old.socket_path)
            asked.sendall(b"handover=1\n\n")
            self.assertTrue(asked.recv(1))
            old.send_signal(signal.SIGSTOP)
        after = self.successor()
        self.soon(lambda: after.poll() is not None, "the successor gives up", 20)
        self.assertNotEqual(after.returncode, 0)
        old.send_signal(signal.SIGCONT)
        self.soon(lambda: self.pings(self.tunnel.left, self.tunnel.INNER[0][1]), "traffic", 20)
        self.assertIsNone(old.poll())
        self.assertTrue(os.path.exists(self.old.socket_path))

    def test_a_successor_that_is_not_acknowledged_sends_nothing(self):
        """The old process is played here: it hands everything over and does not answer done=1."""
        handed = self.ask()
        watch = suite.Capture(self.tunnel.right, "out0")
        self.addCleanup(watch.close)
        after, played = self.play(*handed)
        self.addCleanup(played.close)
        self.soon(lambda: after.poll() is not None, "the successor gives up", 20)
        self.assertNotEqual(after.returncode, 0)
        # The right end misses its answers and begins handshakes of its own: those are no matter.
        came = [packet for is_outgoing, packet in watch.packets() if not is_outgoing]
        self.assertEqual([packet for packet in came if suite.udp_of(packet)], [])
        self.assertTrue(os.path.exists(self.old.socket_path), "the file is not its own")

    def test_the_label_of_the_last_handshake_goes_along(self):
        """A wall clock that was set back since must not lock us out: peers take later labels only."""
        answer = self.old.exchange(b"handover=1\n\n").decode()
        key = tunnel.hexkey(self.tunnel.devices[1].public)
        labels = [line for line in answer.splitlines() if line.startswith("culvert_label=")]
        self.assertEqual([label.split("=")[1].split(",")[0] for label in labels], [key])
        self.assertAlmostEqual(int(labels[0].split(",")[1]) / 1e9, time.time(), delta=60)

    def test_a_successor_goes_on_from_the_label_it_was_given_at_first(self):
        self.told = "at first"
        self.goes_on_from_the_label()

    def test_a_successor_goes_on_from_the_label_it_was_given_at_last(self):
        self.told = "at last"
        self.goes_on_from_the_label()

    def goes_on_from_the_label(self):
        """As if the clock had been set back by an hour: the old process is played, an hour ahead."""
        answer, fds = self.ask()
        ahead = time.time_ns() + 3600 * 10**9
        key = tunnel.hexkey(self.tunnel.devices[1].public)
        lines = [l for l in answer.decode().split("\n") if not l.startswith("culvert_label=")]
        label = f"culvert_label={key},{ahead}"
        version = 1 if self.told == "at first" else 2
        if self.told == "at first":
            lines.insert(-3, label)
        after, played = self.play("\n".join(lines).encode(), fds, version, label.encode() + b"\n")
        played.send(b"errno=0\n\n")
        played.close()
        self.old.process.kill()
        self.soon(lambda: self.pings(self.tunnel.left, self.tunnel.INNER[0][1]), "traffic")
        given = bytes.fromhex(self.tunnel.devices[1].get()[1][self.old.public]["culvert_greatest_timestamp"])
        seconds = int.from_bytes(given[:8], "big") - (1 << 62) - 10
        self.assertGreaterEqual(seconds, ahead // 10**9)
        self.old.process = after


class KeysUnderLoad(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.tunnel = self.pair()
        self.connected(self.tunnel)
        self.tunnel.right.start("iperf3", "-s", "-p", 5201, stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        seconds = 9  # one lost initiation is repeated after 5 s
        self.load = self.tunnel.left.start("iperf3", "-J", "-c", "10.9.0.2", "-p", 5201, "-t", seconds,
                                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(1)

    def last_second(self):
        """Bits per second at the end of the load, which must have ended well."""
        result = json.loads(self.load.communicate(timeout=30)[0])
        self.assertNotIn("error", result)
        return result["intervals"][-1]["sum"]["bits_per_second"]

    def handshake_of(self, i):
        device = self.tunnel.devices[i]
        peer = next(iter(device.get()[1].values()))
        return peer["last_handshake_time_sec"], peer["last_handshake_time_nsec"]

    def test_a_new_private_key_on_a_loaded_interface(self):
        left, right = self.tunnel.devices
        old, (left.private, left.public) = left.public, tunnel.keypair()
        left.wg("set", left.interface, "private-key", "/dev/stdin", input=left.private)
        right.remove_peer(old)
        self.tunnel.join(1)
        self.assertGreater(self.last_second(), 1e6, "traffic came back")
        self.assertEqual(left.wg("show", left.interface, "public-key").stdout.strip(), left.public)

    def test_the_same_private_key_again_changes_nothing(self):
        left, before = self.tunnel.devices[0], self.handshake_of(0)
        left.wg("set", left.interface, "private-key", "/dev/stdin", input=left.private)
        self.assertTrue(self.pings(self.tunnel.left, "10.9.0.2"))
        self.assertEqual(self.handshake_of(0), before)

    def test_a_new_preshared_key_waits_for_the_next_handshake(self):
        """W8: the live keys stay, the next handshake uses it."""
        left, right = self.tunnel.devices
        before, psk = self.handshake_of(0), tunnel.keypair()[0]
        for here, there in ((left, right), (right, left)):
            here.wg("set", here.interface, "peer", there.public, "preshared-key", "/dev/stdin", input=psk)
        self.assertGreater(self.last_second(), 1e6, "the live keys stay")
        self.assertEqual(self.handshake_of(0), before)
        self.fresh_handshake(True)
        wrong = tunnel.keypair()[0]
        left.wg("set", left.interface, "peer", right.public, "preshared-key", "/dev/stdin", input=wrong)
        self.fresh_handshake(False)

    def fresh_handshake(self, works):
        for device in self.tunnel.devices:
            device.namespace.ip("link", "set", device.interface, "down")
        for device in self.tunnel.devices:
            device.namespace.ip("link", "set", device.interface, "up")
        self.assertEqual(self.pings(self.tunnel.left, "10.9.0.2", timeout=2), works)


class Contract(suite.NetTest):
    """What wg-quick and scripts rely on."""

    def setUp(self):
        super().setUp()
        self.host = self.net.namespace("host")
        self.words = [w for w in tunnel.CONTENDERS["culvert"]() if w not in ("-f", "--foreground")]

    def alive(self, device):
        return device.process.poll() is None

    def has_link(self, name):
        return self.host.run("ip", "link", "show", name, check=False).returncode == 0

    def test_deleting_the_socket_ends_the_process(self):
        device = self.device(self.host, "del0")
        os.unlink(device.socket_path)
        self.soon(lambda: not self.alive(device), "the process ends")
        self.assertFalse(self.has_link("del0"))

    def test_deleting_the_interface_ends_the_process(self):
        device = self.device(self.host, "del1")
        self.host.ip("link", "del", "del1")
        self.soon(lambda: not self.alive(device), "the process ends")
        self.assertFalse(os.path.exists(device.socket_path))

    def test_a_stale_socket_is_replaced(self):
        os.makedirs(tunnel.SOCKETS, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{tunnel.SOCKETS}/stale0.sock")
        device = self.device(self.host, "stale0")
        self.assertTrue(self.alive(device))
        self.assertIn("errno=0", device.exchange(b"get=1\n\n").decode())

    def test_a_live_socket_is_refused(self):
        first = self.device(self.host, "live0")
        first.configure(listen_port=5010)
        elsewhere = self.net.namespace("elsewhere")
        second = elsewhere.run(*self.words, "-f", "live0", check=False, timeout=10)
        self.assertNotEqual(second.returncode, 0)
        self.assertEqual(first.get()[0]["listen_port"], "5010", "the first one is unharmed")
        self.assertNotIn("live0", elsewhere.output("ip", "-o", "link"))

    def test_the_socket_is_for_its_owner_alone(self):
        device = self.device(self.host, "mode0")
        self.assertEqual(os.stat(device.socket_path).st_mode & 0o077, 0)
        self.assertEqual(os.stat(tunnel.SOCKETS).st_mode & 0o777, 0o755)

    def test_the_parent_returns_when_interface_and_socket_exist(self):
        """W40, many times, because it would be a race."""
        for number in range(suite.scaled(10, 200)):
            name = f"d{number}"
            self.host.run(*self.words, name, timeout=10)
            self.assertTrue(self.has_link(name))
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(f"{tunnel.SOCKETS}/{name}.sock")
            os.unlink(f"{tunnel.SOCKETS}/{name}.sock")
        self.soon(lambda: not self.has_link(name), "the last daemon ends")

    def test_a_parent_that_fails_says_so(self):
        done = self.host.run(*self.words, "a-name-that-is-much-too-long", check=False, timeout=10)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(done.stdout + done.stderr, "a sentence about it")

    def test_the_environment_keeps_it_in_the_foreground(self):
        process = self.host.start(*self.words, "env0", stdout=self.log, stderr=self.log,
                                  env={**os.environ, "WG_PROCESS_FOREGROUND": "1"})
        self.soon(lambda: os.path.exists(f"{tunnel.SOCKETS}/env0.sock"), "the socket")
        self.assertIsNone(process.poll())

    def test_takes_a_tun_and_a_listening_socket_from_its_parent(self):
        with self.host:
            tun = os.open("/dev/net/tun", os.O_RDWR)
            IFF_TUN, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE, TUNSETIFF = 1, 0x1000, 0x4000, 0x100, 0x400454ca
            flags = IFF_TUN | IFF_NO_PI
            if "culvert" in self.words[0]:
                flags |= IFF_VNET_HDR | IFF_MULTI_QUEUE
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"fd0", flags))
        os.makedirs(tunnel.SOCKETS, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        path = f"{tunnel.SOCKETS}/fd0.sock"
        listener.bind(path)
        listener.listen(8)
        process = self.host.start(*self.words, "-f", "fd0", pass_fds=(tun, listener.fileno()),
                                  stdout=self.log, stderr=self.log,
                                  env={**os.environ, "WG_TUN_FD": str(tun), "WG_UAPI_FD": str(listener.fileno())})
        os.close(tun)
        listener.close()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(path)
            s.sendall(b"get=1\n\n")
            self.assertIn(b"errno=0\n\n", s.recv(65536))
        self.assertTrue(self.has_link("fd0"))
        self.assertIsNone(process.poll())

    def test_says_its_version(self):
        self.assertEqual(self.host.run(*self.words, "--version", check=False).returncode, 0)


def without_ipv6_sockets():
    """In a child before exec: socket(AF_INET6, …) answers EAFNOSUPPORT from now on."""
    number, arch = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}[platform.machine()]
    program = b"".join(struct.pack("HBBI", *step) for step in (
        (0x20, 0, 0, 4), (0x15, 0, 5, arch),         # load architecture, another: allow
        (0x20, 0, 0, 0), (0x15, 0, 3, number),       # load system call, not socket: allow
        (0x20, 0, 0, 16), (0x15, 0, 1, socket.AF_INET6),
        (0x06, 0, 0, 0x00050000 | 97),               # ERRNO, EAFNOSUPPORT
        (0x06, 0, 0, 0x7FFF0000)))                   # ALLOW
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_char_p(fprog), 0, 0):
        os._exit(99)


class OddHosts(suite.NetTest):
    def test_starts_where_the_kernel_has_no_ipv6(self):
        """W19."""
        wrapper = ["/usr/bin/python3", __file__, "--without-ipv6"]
        ours = tunnel.CONTENDERS["culvert"]
        tunnel.CONTENDERS["v4only"] = lambda: [*wrapper, *ours()]
        pair = self.pair(contenders=("v4only", "culvert"))
        self.connected(pair)

    def test_works_where_ipv6_is_switched_off(self):
        namespace = self.net.namespace("plain")
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        device = self.device(namespace, "plain0")
        device.configure(listen_port=5005)
        device.namespace.ip("link", "set", "plain0", "up")
        self.soon(lambda: f":{5005:04X} " in namespace.output("cat", "/proc/net/udp"), "the IPv4 socket")

    def test_a_stopped_and_continued_process_goes_on(self):
        """W17: every blocking call is interrupted, under traffic and idle."""
        pair = self.pair()
        self.connected(pair)
        pair.right.start("iperf3", "-s", "-p", 5201, stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        load = pair.left.start("iperf3", "-c", "10.9.0.2", "-p", 5201, "-t", 3, "--bidir", stdout=subprocess.DEVNULL)
        for _ in range(suite.scaled(300, 10000)):
            for device in pair.devices:
                device.process.send_signal(signal.SIGSTOP)
                device.process.send_signal(signal.SIGCONT)
            time.sleep(0.005)
        self.assertEqual(load.wait(20), 0)
        self.assertTrue(all(device.process.poll() is None for device in pair.devices))
        self.assertTrue(self.pings(pair.left, "10.9.0.2"))


if __name__ == "__main__" and "--without-ipv6" in os.sys.argv:
    without_ipv6_sockets()
    os.execvp(os.sys.argv[2], os.sys.argv[2:])
suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same gateway and client as in test_usernet.py, where the gateway's host lets anybody have namespaces and a TUN.

    [client] wg0 ══ [gateway] culvert device --usernet=tier-a, user nobody
                       │ (in it, unseen: a namespace with a TUN, a listener for any address, and TCP of the kernel)
                    198.51.100.1, 2001:db8:1::1 out0 ──── in0 198.51.100.2, 2001:db8:1::2  [world]
"""

import os
import socket
import struct
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "net")]

import suite  # noqa: E402
import test_usernet as base  # noqa: E402



class TierA(base.Usernet):
    words = ("--usernet=tier-a",)
    dev_net = "mknod -m 666 /dev/net/tun c 10 200 &&"


class Auto(TierA):
    words = ("--usernet=auto",)


class AutoWithFewDescriptors(Auto):
    under = ("prlimit", "--nofile=1024")


class AutoWithoutNamespaces(Auto):
    """In a namespace of users that may have none below it, as in many a container."""

    under = ("unshare", "--user", "--map-root-user", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh")


def why_not():
    """None where anybody may have what tier A needs."""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun "
                           "c 10 200 && setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --net true"],
                          capture_output=True, text=True)
    return done.stderr.strip().replace("\n", "; ") if done.returncode else None


WHAT_IS_TCP = (
    "test_tcp_passes_both_ways_over_both_families",
    "test_64_megabytes_arrive_unharmed_in_either_direction",
    "test_curl_gets_a_file",
    "test_names_are_resolved_at_our_address_by_udp_and_tcp",
    "test_a_port_that_is_closed_is_refused_at_once",
    "test_an_address_without_a_route_is_told_unreachable",
    "test_half_closed_connections_go_on_the_other_way",
    "test_a_reset_is_passed_on_in_either_direction",
    "test_a_port_or_a_peer_may_change_while_connections_go_on",
    "test_a_port_of_the_host_leads_to_a_peer",
    "test_many_connections_at_once_all_arrive",
    "test_what_trusts_this_host_cannot_be_reached_through_it",
    "test_a_private_network_is_reached_once_it_is_opened",
)


class TierATest(base.UsernetTest):

    client_kind = "culvert"
    server_kind = TierA
    fetched, join_again = base.Carries.fetched, base.Keeps.join_again

    def setUp(self):
        reason = why_not()
        if reason:
            self.skipTest(f"no namespaces for everybody here: {reason}")
        super().setUp()


SameAsOurs = type("SameAsOurs", (TierATest,), {
    "__doc__": "What a client sees is what it sees of our own TCP.",
    **{name: getattr(base.Carries, name, None) or getattr(base.Keeps, name) for name in WHAT_IS_TCP}})


class Repairs(TierATest):
    """One packet of the client's interface may be many segments; fewer are by wireguard-go."""

    client_kind = "wireguard-go"
    test_the_kernels_tcp_and_ours_repair_loss_in_either_direction = (
        base.Carries.test_the_kernels_tcp_and_ours_repair_loss_in_either_direction)


class Itself(TierATest):
    def test_nothing_of_it_is_seen_from_outside_and_no_process_is_left(self):
        pid = self.server.process.pid
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
        self.assertEqual(children, "")
        names = self.gateway.output("ip", "-o", "link")
        self.assertNotIn("peers", names)
        self.assertEqual(os.readlink(f"/proc/{pid}/ns/net"), os.readlink(f"/proc/{self.gateway.pid}/ns/net"))

    def test_a_connection_to_every_port_of_an_address_is_its_own(self):
        ports = [self.serve(base.WORLD4, base.echo) for _ in range(20)]
        # One port of the client towards all of them: only the far port tells them apart.
        opened = []
        for port in ports:
            with self.client:
                s = socket.socket()
            self.addCleanup(s.close)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((base.CLIENT4, 41000))
            s.settimeout(10)
            s.connect((base.WORLD4, port))
            opened.append(s)
        for number, s in enumerate(opened):
            s.sendall(str(number).encode())
        for number, s in enumerate(opened):
            self.assertEqual(s.recv(10), str(number).encode())
            self.assertEqual(s.getpeername(), (base.WORLD4, ports[number]))

    def test_a_port_may_be_used_again_at_once(self):
        port = self.serve(base.WORLD4, base.echo)
        for number in range(20):
            with self.client:
                s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.bind((base.CLIENT4, 42000))
            s.settimeout(10)
            s.connect((base.WORLD4, port))
            s.sendall(b"%d" % number)
            self.assertEqual(s.recv(10), b"%d" % number)
            s.close()

    def test_more_than_can_be_open_is_refused_and_what_is_open_lives(self):
        self.server.stop()
        self.join_again("--address", f"{base.OWN4}/24", "--flows", "64")
        port = self.serve(base.WORLD4, base.echo)
        opened = [self.connect(base.WORLD4, port) for _ in range(48)]
        opened[0].sendall(b"x")
        self.assertEqual(opened[0].recv(1), b"x")
        opened.append(self.connect(base.WORLD4, port))
        with self.assertRaises(ConnectionResetError):
            opened[1].recv(1)
        opened[0].sendall(b"y")
        self.assertEqual(opened[0].recv(1), b"y")
        self.assertEqual(self.server.counter("evicted"), 1)

    def test_a_server_that_does_not_read_stops_the_client(self):
        release = threading.Event()

        def sleep_first(s):
            release.wait(30)
            n = 0
            while data := s.recv(1 << 16):
                n += len(data)
            s.sendall(str(n).encode())
            s.close()

        s = self.connect(base.WORLD4, self.serve(base.WORLD4, sleep_first), 30)
        sent = 0
        s.settimeout(1)
        try:
            while sent < 256 * base.MEGABYTE:
                sent += s.send(b"x" * 65536)
        except socket.timeout:
            pass
        self.assertLess(sent, 128 * base.MEGABYTE, "somebody took all of it")
        before = self.server.resident_kb()
        release.set()
        s.settimeout(30)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100).decode(), str(sent))
        self.assertLess(before, 300000)

    def test_a_narrower_path_of_the_client_is_told_to_the_namespace(self):
        """The client is a router, and what lies behind it has a smaller MTU."""
        inner = self.net.namespace("inner")
        self.net.link(self.client, "in0", inner, "out0", mtu=1280, addresses=("10.9.5.1/24", "10.9.5.2/24"))
        self.client.sysctl("net.ipv4.ip_forward", 1)
        inner.ip("route", "add", "default", "via", "10.9.5.1")
        # It offers segments as if its link were as wide as ours: the router on the way has to speak.
        inner.ip("route", "change", "default", "via", "10.9.5.1", "advmss", "1380")
        inner.ip("link", "set", "out0", "mtu", "1500")
        self.server.add_peer(self.tunnel.public, (f"{base.CLIENT4}/32", f"{base.CLIENT6}/128", "10.9.5.0/24"))

        def give(s):
            s.sendall(bytes(300000))
            s.close()

        with inner:
            s = socket.create_connection((base.WORLD4, self.serve(base.WORLD4, give)), 10)
        self.addCleanup(s.close)
        s.settimeout(20)
        n = 0
        while data := s.recv(1 << 16):
            n += len(data)
        self.assertEqual(n, 300000)
        self.assertIn("mtu 1280", self.client.output("ip", "-d", "link", "show", "in0"))


class Chosen(TierATest):
    """auto: by what the host allows."""

    server_kind = Auto

    def tier(self):
        return self.server.get()[0]["culvert_usernet_tier"]

    def test_it_is_the_best_that_the_host_allows(self):
        self.assertEqual(self.tier(), "a")
        self.server.stop()
        for kind in (AutoWithoutNamespaces, AutoWithFewDescriptors, base.Usernet):
            with self.subTest(kind=kind.__name__):
                self.server_kind = kind
                self.join_again("--address", f"{base.OWN4}/24")
                self.assertEqual(self.tier(), "b")
                s = self.connect(base.WORLD4, self.serve(base.WORLD4, base.echo))
                s.sendall(b"x")
                self.assertEqual(s.recv(1), b"x")
                self.server.stop()

    def test_tier_a_by_force_fails_with_a_reason_where_there_is_none(self):
        program = os.environ.get("CULVERT", "culvert")
        done = self.gateway.run("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh",
                                program, "device", "--usernet=tier-a", "-f", "user8", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/dev/net/tun", done.stderr)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What leaves the host of a connected client, whatever happens to it: seen by the router, judged by a written list.

The network is drawn in client_net.py. A process of root talks all the time: UDP, TCP and raw packets, to the world, the
local network, the server and groups. The capture is on lan0, the router's end of the client's cable.
"""

import os
import pathlib
import random
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import client_net
import suite
from client_net import PORT, SERVER, SERVER_TOO, WORLD4, WORLD6


class Leaks(client_net.ClientTest):
    def begin(self, *options):
        """Talk, then connect; what was sent until now is forgotten.

        Packets that wait for a neighbour's address have passed the firewall already, and leave with the
        neighbour's answer: so both families' neighbours are known before.
        """
        self.watch = client_net.Watch(self)
        self.talker = client_net.talk(self.client)
        seen = []
        for world in (WORLD4, WORLD6):
            self.soon(lambda to=f"> {world} ": seen.extend(self.watch.unexplained()) or any(to in line for line in seen),
                      f"a packet to {world} while nothing is connected")
        self.connect(*options)
        self.watch.unexplained(0.2)

    def silent(self, what):
        """Nothing left that the list does not have, nor does it within a moment."""
        time.sleep(0.2)
        leaked = self.watch.unexplained()
        self.assertEqual(leaked[:5], [], f"{len(leaked)} packets left: {what}")

    # --- What may happen to a client ---

    def happen_nothing(self, dice):
        pass

    def happen_another_server(self, dice):
        endpoint = dice.choice([SERVER, SERVER_TOO])
        self.write(endpoint=f"{endpoint}:{PORT}")
        self.kill()
        self.connect("--wait", "0")

    def happen_kill(self, dice):
        self.kill()

    def kill(self):
        if self.is_kept():
            os.kill(self.keeper(), signal.SIGKILL)
            self.soon(lambda: not self.has_link(), "the end of the interface")

    def is_kept(self):
        return self.status("home").returncode == 0

    def happen_reconnect(self, dice):
        self.kill()
        self.connect("--wait", "0")

    def happen_cable(self, dice):
        self.client.ip("link", "set", "eth0", "down")
        time.sleep(dice.uniform(0, 0.2))
        self.client.ip("link", "set", "eth0", "up")
        self.client.ip("address", "replace", "2001:db8:77::2/64", "dev", "eth0", "nodad")
        self.default_routes()

    def happen_lease(self, dice):
        """A DHCP client gets another address, and option 121 with routes to everywhere."""
        address = f"192.168.77.{dice.randrange(10, 250)}"
        self.client.ip("address", "add", f"{address}/24", "dev", "eth0", check=False)
        for network in ("0.0.0.0/1", "128.0.0.0/1", f"{WORLD4}/32", f"{SERVER}/32"):
            self.client.ip("route", "replace", network, "via", "192.168.77.1")
        client_net.RESOLV.write_text("nameserver 192.168.77.1\n")

    def happen_advertisement(self, dice):
        """A router that was not there before: an address, and a route for all of IPv6."""
        self.client.sysctl("net.ipv6.conf.eth0.accept_ra", 2)
        prefix = bytes.fromhex("20010db80bad") + bytes(10)
        message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + \
            struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + prefix
        with self.router:
            s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        with s:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
            s.sendto(message, ("ff02::1", 0))

    def happen_sleep(self, dice):
        if self.is_kept():
            for how in (signal.SIGSTOP, signal.SIGCONT):
                os.kill(self.keeper(), how)
                time.sleep(dice.uniform(0, 0.1))

    def happen_lan_is_public(self, dice):
        """A network that says the world is on its cable."""
        self.client.ip("address", "replace", "198.51.100.77/24", "dev", "eth0")

    def test_nothing_leaves_whatever_happens_in_whatever_order(self):
        seed = int(os.environ.get("CULVERT_SEED") or random.SystemRandom().randrange(1 << 32))
        print(f"# seed {seed}")
        dice = random.Random(seed)
        events = [name for name in dir(self) if name.startswith("happen_")]
        self.begin()
        history = []
        for _ in range(suite.scaled(10, 200)):
            event = dice.choice(events)
            history.append(event[len("happen_"):])
            getattr(self, event)(dice)
            self.silent(" ".join(history[-10:]))
        print(f"# {self.watch.packets} packets seen: {' '.join(history)}")
        self.disconnect()
        self.soon(lambda: self.watch.unexplained(), "a packet that leaves after the end")

    def test_the_watch_sees_what_leaves_without_a_kill_switch(self):
        """The negative control: the same events are seen when nothing is there to stop them."""
        self.begin("--no-kill-switch")
        self.happen_kill(None)
        self.soon(lambda: self.watch.unexplained(), "a packet beside a tunnel without a kill switch")

    def test_ipv6_is_blocked_where_the_tunnel_has_none(self):
        self.write(address="10.8.0.2/24", allowed="0.0.0.0/0")
        self.begin()
        self.assertTrue(self.reaches(WORLD4))
        self.assertFalse(self.reaches(WORLD6))
        self.happen_advertisement(None)
        self.silent("a tunnel of IPv4 alone, and a late router advertisement")

    def test_nobody_but_the_tunnel_may_talk_to_the_endpoint(self):
        self.begin()
        self.watch.endpoints.clear()
        self.kill()  # so that nothing of the tunnel itself is seen
        for family in ("-4", "-6"):  # so that routing does not do the firewall's work
            self.client.ip(family, "rule", "del", "priority", "5183")
        self.watch.unexplained()
        self.silent("packets to the endpoint's address and port by another process")

    def test_probes_for_the_tunnels_address_are_not_answered_beside_it(self):
        self.begin()
        self.router.ip("route", "add", "10.8.0.2/32", "via", "192.168.77.2")
        self.router.ip("-6", "route", "add", "fd08::2/128", "via", "2001:db8:77::2")
        self.assertFalse(self.router.ping("10.8.0.2", check=False, timeout=0.3))
        self.assertFalse(self.router.ping("fd08::2", check=False, timeout=0.3))
        self.router.ip("route", "del", "10.8.0.2/32")
        self.router.ip("route", "add", "10.8.0.2/32", "dev", "lan0")  # by ARP now
        self.router.ping("10.8.0.2", check=False, timeout=0.3)
        self.assertNotIn("lladdr", self.router.output("ip", "neigh", "show", "to", "10.8.0.2"))
        self.silent("answers to probes")

    def test_the_lan_is_reached_only_when_asked_and_its_dns_never(self):
        self.connect("--wait", "0")
        self.assertFalse(self.reaches("192.168.77.1"))
        self.disconnect()
        self.connect("--lan")
        self.assertTrue(self.reaches("192.168.77.1") and self.reaches(WORLD4))
        watch = client_net.Watch(self)
        client_net.talk(self.client)
        time.sleep(0.3)
        for line in watch.unexplained():
            self.assertNotRegex(line, r"protocol (17|6): [0-9a-f]{4}(0035|0355|14eb)", "DNS on the local network")


if __name__ == "__main__":
    suite.main()

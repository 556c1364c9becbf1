# SPDX-License-Identifier: Apache-2.0
"""A client, a router that watches it, and a server: what the tests of connect and disconnect share.

    [client] eth0 ──── lan0 [router] wan0 ──── eth0 [internet]
      192.168.77.2/24    .1        203.0.113.1/24   .2 .3 .4
      2001:db8:77::2/64  ::1    2001:db8:ff::1/64   ::2
                                          server of the tunnel: port 51820 at .2 and .3; .4 is silent
                                          10.8.0.1/24, fd08::1/64 inside; world: 198.51.100.1 and
                                          2001:db8:aaaa::1 on its loopback

The tunnel's far end is `culvert device`, set with wg. What leaves the client is seen on lan0, by the router.
"""

import ipaddress
import json
import os
import pathlib
import re
import shutil
import stat
import time

import netns
import suite
import tunnel

CULVERT = os.environ.get("CULVERT", "build/culvert")
WORLD4, WORLD6 = "198.51.100.1", "2001:db8:aaaa::1"
SERVER, SERVER_TOO, SILENT = "203.0.113.2", "203.0.113.3", "203.0.113.4"
PORT = 51820
RESOLV = pathlib.Path("/etc/resolv.conf")


def own_etc():
    """An /etc of the sandbox's own, in which resolv.conf is a plain file."""
    if not os.path.ismount("/etc"):
        shutil.copytree("/etc", "/run/etc", symlinks=True)
        netns.run("mount", "--bind", "/run/etc", "/etc")


def plain_resolv(text="# of the tests\nnameserver 192.168.77.1\n"):
    if RESOLV.is_symlink() or RESOLV.exists():
        RESOLV.unlink()
    RESOLV.write_text(text)
    os.chmod(RESOLV, 0o640)


def picture(namespace):
    """Everything about a namespace and /etc/resolv.conf that a client might touch, comparable with ==."""
    script = ("ip -j route show table all; ip -6 -j route show table all; ip -j rule; ip -6 -j rule; ip -j address;"
              " nft -s list ruleset; cat /proc/sys/net/ipv4/conf/all/src_valid_mark")
    text = namespace.output("sh", "-c", script)
    # Counters of lifetimes go down while we look; a rule of nft may count.
    text = re.sub(r'"(expires|valid_life_time|preferred_life_time)":\d+,?', "", text)
    status = os.lstat(RESOLV) if RESOLV.is_symlink() or RESOLV.exists() else None
    return {
        "network": text,
        "resolv": RESOLV.read_bytes() if status and RESOLV.exists() else None,
        "resolv status": status and (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink,
                                     stat.S_IFMT(status.st_mode)),
        "etc": sorted(name for name in os.listdir("/etc") if "resolv" in name),
        "sockets": sorted(name for name in os.listdir("/run/wireguard") if name.startswith("home")),
    }


class ClientTest(suite.NetTest):
    """The network above, and a file to connect with.

    DETECTS: addresses of IPv6 are probed before they are used, which takes a second at each start.
    """

    DETECTS = False

    def setUp(self):
        super().setUp()
        own_etc()
        plain_resolv()
        self.client, self.router, self.internet = (self.net.namespace(n) for n in ("client", "router", "internet"))
        if not self.DETECTS:
            for namespace in (self.client, self.router, self.internet):
                namespace.sysctl("net.ipv6.conf.default.dad_transmits", 0)
        self.net.link(self.client, "eth0", self.router, "lan0",
                      addresses=(("192.168.77.2/24", "2001:db8:77::2/64"), ("192.168.77.1/24", "2001:db8:77::1/64")))
        self.net.link(self.router, "wan0", self.internet, "eth0",
                      addresses=(("203.0.113.1/24", "2001:db8:ff::1/64"),
                                 ("203.0.113.2/24", "203.0.113.3/24", "203.0.113.4/24", "2001:db8:ff::2/64")))
        for family in ("4.ip_forward", "6.conf.all.forwarding"):
            self.router.sysctl(f"net.ipv{family}", 1)
        self.default_routes()
        for gateway, namespace in (("203.0.113.1", self.internet), ("2001:db8:ff::1", self.internet)):
            namespace.ip("route", "add", "default", "via", gateway)
        self.internet.address("lo", f"{WORLD4}/32", f"{WORLD6}/128")
        self.router.ip("route", "add", WORLD4, "via", SERVER)
        self.router.ip("route", "add", WORLD6, "via", "2001:db8:ff::2")
        self.internet.rules("inet", "filter hook input", f"ip daddr {SILENT} drop")
        self.server = self.device(self.internet, f"srv{os.getpid() % 1000}")
        self.state = f"/run/state{time.monotonic_ns()}"
        self.keys = tunnel.keypair()
        self.configure_server()
        self.file = f"/run/f{time.monotonic_ns()}/home.conf"
        os.mkdir(os.path.dirname(self.file))
        self.write()
        self.addCleanup(self.end_all)
        self.soon(self.is_settled, "settled addresses")
        self.before = picture(self.client)

    def default_routes(self):
        self.client.ip("route", "replace", "default", "via", "192.168.77.1")
        self.client.ip("-6", "route", "replace", "default", "via", "2001:db8:77::1")

    def is_settled(self):
        links = json.loads(self.client.output("ip", "-j", "address", "show", "up"))
        return all(not any(a.get("tentative") for a in link["addr_info"]) and
                   ("LOOPBACK" in link["flags"] or any(a["scope"] == "link" for a in link["addr_info"]))
                   for link in links)

    def configure_server(self):
        name = self.server.interface
        self.internet.run("wg", "set", name, "listen-port", PORT, "private-key", "/dev/stdin", "peer", self.keys[1],
                          "allowed-ips", "10.8.0.2/32,fd08::2/128", input=self.server.private)
        self.internet.address(name, "10.8.0.1/24", "fd08::1/64")
        self.internet.ip("link", "set", name, "up", "mtu", 1400)

    def write(self, address="10.8.0.2/24, fd08::2/64", allowed="0.0.0.0/0, ::/0", endpoint=f"{SERVER}:{PORT}",
              dns="DNS = 10.8.0.1", more="", path=None):
        pathlib.Path(path or self.file).write_text(
            f"[Interface]\nPrivateKey = {self.keys[0]}\nAddress = {address}\n{dns}\n{more}\n[Peer]\n"
            f"PublicKey = {self.server.public}\nAllowedIPs = {allowed}\nEndpoint = {endpoint}\n")

    def culvert(self, *words, check=True, env=None, **options):
        return self.client.run(CULVERT, *words, check=check, env={**os.environ, **(env or {})}, **options)

    def connect(self, *options, file=None, **more):
        return self.culvert("connect", "--state", self.state, *options, file or self.file, **more)

    def disconnect(self, name="home", **more):
        return self.culvert("disconnect", "--state", self.state, name, **more)

    def status(self, *words, check=False):
        return self.culvert("status", "--json", "--state", self.state, *words, check=check)

    def journal(self, interface="home"):
        path = pathlib.Path(f"{self.state}/client/{interface}.journal")
        return path.read_text() if path.exists() else ""

    def keeper(self):
        return int(re.search(r"^keeper (\d+)", self.journal(), re.M)[1])

    def end_all(self):
        for path in pathlib.Path(f"{self.state}/client").glob("*.journal"):
            self.disconnect(path.stem, check=False)

    def assertAsBefore(self, what=""):
        after = picture(self.client)
        for key, value in self.before.items():
            self.assertEqual(value, after[key], f"{key} differs {what}")
        self.assertEqual(self.journal(), "")

    def reaches(self, address, **options):
        return self.client.ping(address, check=False, **{"timeout": 1, **options})

    def has_link(self, interface="home"):
        return f"{interface}:" in self.client.output("cat", "/proc/net/dev")


class Watch:
    """What leaves the client, as the router sees it on lan0, and whether the allow-list explains it."""

    def __init__(self, test, endpoints=((SERVER, PORT), (SERVER_TOO, PORT), (SILENT, PORT))):
        self.capture = suite.Capture(test.router, "lan0")
        test.addCleanup(self.capture.close)
        self.endpoints = set(endpoints)
        self.packets = 0

    def unexplained(self, settle=0.05):
        """A sentence for each packet since the last call that the written list does not have."""
        found = []
        for outgoing, packet in self.capture.packets(settle):
            if outgoing:
                continue
            self.packets += 1
            if not self._explains(packet):
                found.append(describe(packet))
        return found

    def _explains(self, packet):
        if packet[0] >> 4 == 4:
            return self._explains4(packet)
        if packet[0] >> 4 == 6:
            return self._explains6(packet)
        return packet[:2] == b"\x00\x01"  # ARP over Ethernet

    def _explains4(self, packet):
        udp = suite.udp_of(packet)
        if not udp:
            return False
        source, destination, sport, dport = udp[:4]
        dhcp = (sport, dport) == (68, 67) and destination in ("255.255.255.255", "192.168.77.1")
        return dhcp or (destination, dport) in self.endpoints

    def _explains6(self, packet):
        """Discovery by its precise types and places; DHCPv6; the groups of a host."""
        next_header, hops = packet[6], packet[7]
        destination = ipaddress.IPv6Address(packet[24:40])
        if next_header == 58 and hops == 255:
            kind = packet[40]
            near = destination in ipaddress.ip_network("fe80::/10")
            return (kind == 133 and str(destination) == "ff02::2") or \
                (kind == 135 and (near or destination in ipaddress.ip_network("ff02::1:ff00:0/104"))) or \
                (kind == 136 and (near or str(destination) == "ff02::1"))
        if next_header == 0 and hops == 1 and str(destination) == "ff02::16":
            return packet[40] == 58 and packet[48] == 143  # a membership report behind a router alert
        udp = suite.udp_of(packet)
        return bool(udp) and udp[2:4] == (546, 547)


def describe(packet):
    """One packet in a few words."""
    if packet[0] >> 4 == 6:
        return f"IPv6 {ipaddress.IPv6Address(packet[8:24])} > {ipaddress.IPv6Address(packet[24:40])} " \
               f"next {packet[6]} hops {packet[7]}: {packet[40:56].hex()}"
    return f"IPv4 {ipaddress.IPv4Address(packet[12:16])} > {ipaddress.IPv4Address(packet[16:20])} " \
           f"protocol {packet[9]}: {packet[20:36].hex()}"


TALK = """
import itertools, random, socket, struct, sys, time
targets4, targets6 = sys.argv[1].split(","), sys.argv[2].split(",")
for n in itertools.count():
    for family, targets in ((socket.AF_INET, targets4), (socket.AF_INET6, targets6)):
        for target in targets:
            for port in (53, 80, 443, 51820, 5353):
                try:
                    with socket.socket(family, socket.SOCK_DGRAM) as s:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                        s.sendto(b"talk", (target, port))
                except OSError:
                    pass
            for port in (53, 80, 853):
                with socket.socket(family, socket.SOCK_STREAM) as s:
                    s.setblocking(False)
                    try:
                        s.connect((target, port))
                    except OSError:
                        pass
    for protocol, target in ((41, targets4[0]), (1, targets4[0]), (2, "224.0.0.22")):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as s:
                s.sendto(b"\\x08\\x00\\xf7\\xff" + bytes(28), (target, 0))
        except OSError:
            pass
    time.sleep(0.02)
"""


def talk(namespace, *more4):
    """A process of root that sends all it can everywhere, for as long as the test lasts."""
    targets4 = [WORLD4, "192.168.77.1", SERVER, "224.0.0.251", "255.255.255.255", *more4]
    targets6 = [WORLD6, "2001:db8:77::1", "2001:db8:ff::2", "ff02::fb%eth0", "64:ff9b::c633:6401", "2002:c633:6401::1"]
    return namespace.start("/usr/bin/python3", "-c", TALK, ",".join(targets4), ",".join(targets6))

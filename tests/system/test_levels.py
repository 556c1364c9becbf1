#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole gateway and clients at every level of obfuscation, set up by the files that it printed.

    [client] 192.0.2.2 ──── 192.0.2.1 [edge] 198.51.100.1 ──── [world] 198.51.100.2

Each client is a tunnel of its own; what goes to [world] is taken by one after the other.
"""

import json
import os
import pathlib
import signal
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import client_file
import suite
import tunnel
from test_gateway import WholeTest
from test_host import CULVERT

LEVELS = ["off", "low", "medium", "high", "extreme"]
WORLD, WORLD6 = "198.51.100.2", "2001:db8:2::2"


class LevelTest(WholeTest):
    def join(self, text, interface="wgc", contender="culvert"):
        """A client of that file."""
        device = tunnel.Device(self.client, interface, contender, log=self.log)
        self.addCleanup(device.stop)
        device.uapi(client_file.uapi(text))
        values = client_file.values(text)
        self.client.address(interface, *values["Address"].replace(" ", "").split(","))
        self.client.ip("link", "set", interface, "up", "mtu", values["MTU"])
        self.take(interface)
        return device

    def take(self, interface):
        """The way to the gateway and the world goes through that tunnel from now on."""
        for there in ("10.0.1.0/24", "198.51.100.0/24", "fd42:4242:1::/64", "2001:db8:2::/64"):
            family = "-6" if ":" in there else "-4"
            self.client.ip(family, "route", "replace", there, "dev", interface, "metric", "7")

    def obfuscation(self, *words):
        return self.edge.run(CULVERT, "gateway", "obfuscation", *words, "--state", self.state).stdout

    def heard(self):
        return {p["name"]: p["profile"] for p in self.listed_peers()}

    def listed_peers(self):
        return json.loads(self.peer("list", "--json").stdout)

    def tunnel_profiles(self):
        """The names of what the gateway's tunnel accepts."""
        device = tunnel.Device.__new__(tunnel.Device)
        device.socket_path = "/run/wireguard/wg0.sock"
        return {line.split("=", 1)[1].split(" ")[0] for line in device.uapi("get=1\n\n")
                if line.startswith("culvert_profile=")}


class Levels(LevelTest):
    def test_every_level_carries_traffic_on_one_port(self):
        gateway = self.start()
        for n, level in enumerate(LEVELS):
            self.join(self.peer("add", level, "--level", level).stdout, f"wgc{n}")
            self.reaches("10.0.1.1", WORLD, WORLD6)
            self.moved(self.client, self.world, WORLD, 8 << 20)
            self.moved(self.client, self.world, WORLD6, 2 << 20)
        # And back again: each still has its own way of speaking.
        for n in range(len(LEVELS)):
            self.take(f"wgc{n}")
            self.reaches(WORLD)
        self.soon(lambda: self.heard() == {level: level for level in LEVELS}, "each level to be seen")
        # Packets as large as they come fit the path, whatever a level adds to them.
        self.assertNotIn("do not fit a path", gateway.errors())
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_full_packets_are_not_cut_in_pieces_at_any_level(self):
        gateway = self.start()
        # The longest padding there is leaves the least room.
        while int(self.profile("extreme")["S4"]) <= 20:
            self.obfuscation("rotate", "extreme", "--keep", "0")
        addresses = []
        for n, level in enumerate(LEVELS):
            text = self.peer("add", level, "--level", level).stdout
            addresses.append(client_file.values(text)["Address"].split("/")[0])
            self.join(text, f"wgc{n}")
            self.reaches(WORLD)
        watch = suite.Capture(self.edge, "eth0")
        self.addCleanup(watch.close)
        for n, address in enumerate(addresses):
            self.take(f"wgc{n}")
            self.moved(self.client, self.world, WORLD, 1 << 20)
            for size in (1300, 1368, 1392):
                self.soon(lambda a=address, s=size: self.pings(self.edge, a, words=("-s", s)), f"{size} octets to {address}")
        pieces = [p for _, p in watch.packets() if p[0] >> 4 == 4 and int.from_bytes(p[6:8], "big") & 0x3FFF]
        self.assertEqual(len(pieces), 0)
        gateway.end()

    def profile(self, name):
        shown = json.loads(self.obfuscation("show", "--json"))["profiles"]
        return next(p["amneziawg"] for p in shown if p["name"] == name)

    def test_what_the_gateway_prints_is_the_default_of_its_option(self):
        gateway = self.start("--obfuscation", "stealth")
        text = self.peer("add", "phone").stdout
        self.assertIn("HeaderProtectionKey", client_file.values(text))
        self.join(text)
        self.reaches(WORLD)
        gateway.end()


class Lives(LevelTest):
    def test_levels_outlive_the_tunnel_and_the_gateway(self):
        gateway = self.start()
        self.join(self.peer("add", "phone", "--level", "extreme").stdout)
        self.reaches(WORLD)
        before = self.obfuscation("show", "--json")
        os.kill(self.child(gateway, "culvert-device"), signal.SIGKILL)
        self.soon(lambda: os.path.exists("/run/wireguard/wg0.sock") and self.peer("list", check=False).returncode == 0,
                  "a new tunnel", timeout=15)
        self.reaches(WORLD, timeout=40)
        os.kill(self.child(gateway, "gateway-serve"), signal.SIGKILL)
        self.soon(lambda: self.peer("list", check=False).returncode == 0, "the API again", timeout=15)
        self.reaches(WORLD)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        again = self.start()
        self.reaches(WORLD, timeout=40)
        strip = self.without_counts
        self.assertEqual(strip(self.obfuscation("show", "--json")), strip(before))
        self.assertEqual(self.tunnel_profiles(), set(LEVELS[1:]))
        again.end()
        self.assertAsFound()

    def without_counts(self, text):
        return [{k: v for k, v in p.items() if k != "heard"} for p in json.loads(text)["profiles"]]

    def test_a_rotated_level_serves_clients_of_before_until_the_date(self):
        gateway = self.start()
        old = self.peer("add", "old", "--level", "extreme").stdout
        client = self.join(old, "wgc0")
        self.reaches(WORLD)
        self.obfuscation("rotate", "extreme", "--keep", "1")
        self.join(self.peer("add", "new", "--level", "extreme").stdout, "wgc1")
        self.reaches(WORLD)
        self.take("wgc0")
        self.reaches(WORLD)
        self.soon(lambda: self.heard() == {"old": "extreme.1", "new": "extreme"}, "both to be heard", timeout=20)
        gateway.end()
        client.stop()
        # The day passes.
        until = time.time() + 15
        with sqlite3.connect(f"{self.state}/culvert.db") as db:
            db.execute("UPDATE profile SET until_ns = ? WHERE name = 'extreme.1'", (int(until * 1e9),))
        db.close()
        again = self.start()
        client = self.join(old, "wgc0")
        self.reaches(WORLD, timeout=until - time.time())
        self.soon(lambda: time.time() > until + 1, "the date", timeout=30)
        self.soon(lambda: not self.pings(self.client, WORLD), "the old client to be unheard", timeout=10)
        self.take("wgc1")
        self.reaches(WORLD, timeout=30)
        # A file that is had again brings the old one back, with its own key.
        self.take("wgc0")
        client.uapi(client_file.uapi(self.peer("conf", "old").stdout))
        self.reaches(WORLD, timeout=30)
        again.end()

    def test_a_former_profile_that_is_dropped_cuts_its_client_until_it_has_a_new_file(self):
        gateway = self.start()
        text = self.peer("add", "phone", "--level", "low").stdout
        client = self.join(text)
        self.reaches(WORLD)
        self.obfuscation("rotate", "low", "--keep", "9")
        self.reaches(WORLD)
        self.obfuscation("drop", "low.1")
        self.assertEqual(self.tunnel_profiles(), set(LEVELS[1:]))
        self.soon(lambda: not self.pings(self.client, WORLD), "it to be unheard", timeout=10)
        self.soon(lambda: self.heard() == {"phone": None}, "it to be heard nowhere")
        self.peer("level", "phone", "extreme")
        old = f"{self.state}/phone.conf"
        pathlib.Path(old).write_text(text)
        again = self.peer("conf", "phone", "--private-key", old).stdout
        client.stop()
        self.join(again, "wgd")
        self.reaches(WORLD, timeout=30)
        self.soon(lambda: self.heard() == {"phone": "extreme"}, "it to be heard again")
        self.assertEqual(gateway.end(), 0, gateway.errors())


if __name__ == "__main__":
    suite.main()

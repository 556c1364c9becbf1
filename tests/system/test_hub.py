#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A hub and three spokes, each with the files that culvert hub made on it, brought up by wg-quick.

    [node-a] out0 198.51.100.2/30  ──── 198.51.100.1/30  a0 ┐
    [node-b] out0 198.51.100.6/30  ──── 198.51.100.5/30  b0 ┼ [hub] 10.88.0.1
    [node-c] out0 198.51.100.10/30 ──── 198.51.100.9/30  c0 ┘
    10.88.0.11, .12, .13

node-c runs Debian's wireguard-go where it is installed, the others ours. The nodes share a file system, so each
calls its tunnel by another name.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import stat
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import netns
import suite

CULVERT = os.path.abspath(os.environ.get("CULVERT", "build/culvert"))
PORT = 9999
HUB = "10.88.0.1"
VARIABLES = ("NODE_ID", "NODE_IP", "HUB_PUBLIC_IP", "HUB_PUBLIC_KEY", "WIREGUARD_PRIVATE_KEY")
CLEAN = {k: v for k, v in os.environ.items() if k not in VARIABLES}


class Node:
    """A namespace, the directory its files are in, and the name of its tunnel."""

    def __init__(self, namespace, interface, program):
        self.namespace = namespace
        self.interface = interface
        self.program = program
        self.directory = f"/run/{namespace.name}/config"
        os.makedirs(os.path.dirname(self.directory))

    def hub(self, *words, check=True, env=CLEAN):
        return self.namespace.run(CULVERT, "hub", *words, "--dir", self.directory, "--interface", self.interface,
                                  check=check, env=env)

    def conf(self, name):
        return f"{self.directory}/{name}/{self.interface}.conf"

    def quick(self, verb, name):
        return self.namespace.run("wg-quick", verb, self.conf(name),
                                  env={**CLEAN, "WG_QUICK_USERSPACE_IMPLEMENTATION": self.program})


def link(name):
    path = f"/run/bin/{name}"
    os.makedirs("/run/bin", exist_ok=True)
    if not os.path.lexists(path):
        os.symlink(CULVERT, path)
    return path


def receiver(namespace):
    with namespace:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind(("0.0.0.0", PORT))
    s.setblocking(False)
    return s


def count(sink, settle=0.5):
    time.sleep(settle)
    n = 0
    try:
        while sink.recv(64):
            n += 1
    except BlockingIOError:
        return n


def send(namespace, source, target, n):
    with namespace, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        for i in range(n):
            try:
                s.sendto(b"%06d" % i, (target, PORT))
            except PermissionError:  # a firewall of our own said no at once
                pass
            if i % 50 == 0:
                time.sleep(0.002)


def dropped(namespace):
    """Octets that our rules counted."""
    return sum(map(int, re.findall(r"bytes (\d+)", namespace.output("nft", "list", "table", "inet", "culvert_hub"))))


def connects(namespace, address, port):
    with namespace:
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with s:
        s.settimeout(1.5)
        try:
            s.connect((address, port))
            return True
        except OSError:
            return False


class Topology(suite.NetTest):
    def setUp(self):
        super().setUp()
        ours = link("wireguard-go")
        self.hub = Node(self.net.namespace("hub"), "tunh", ours)
        self.addCleanup(shutil.rmtree, "/run/hub")
        made = json.loads(self.hub.hub("init", "--json").stdout)
        self.spokes = {}
        for number, letter in enumerate("abc"):
            node = Node(self.net.namespace(f"node-{letter}"), f"tun{letter}", ours)
            self.addCleanup(shutil.rmtree, f"/run/node-{letter}")
            near = f"198.51.100.{4 * number + 1}"
            self.net.link(node.namespace, "out0", self.hub.namespace, f"{letter}0",
                          addresses=(f"198.51.100.{4 * number + 2}/30", f"{near}/30"))
            said = node.hub("join", "--json", "--name", f"node-{letter}", "--hub-public-key", made["public_key"],
                            "--hub-endpoint", f"{near}:51820", "--installed", "/run/none")
            self.hub.hub("add-spoke", f"node-{letter}", "--public-key", json.loads(said.stdout)["public_key"])
            self.spokes[letter] = node
        if os.path.exists("/usr/bin/wireguard-go"):
            self.spokes["c"].program = "/usr/bin/wireguard-go"

    def everything_up(self):
        self.hub.quick("up", "hub")
        self.addCleanup(self.hub.quick, "down", "hub")
        for letter, node in self.spokes.items():
            node.quick("up", f"node-{letter}")
            self.addCleanup(node.quick, "down", f"node-{letter}")
        for letter, number in (("a", 12), ("b", 13), ("c", 11)):
            self.soon(lambda n=self.spokes[letter], to=number: self.pings(n.namespace, f"10.88.0.{to}", timeout=1),
                      f"node-{letter} reaches .{number} through the hub", 20)

    def firewalls_of_spokes(self):
        for node in self.spokes.values():
            node.hub("firewall", "apply")


class Policy(Topology):
    def setUp(self):
        super().setUp()
        self.everything_up()

    def test_spokes_reach_each_other_through_the_hub_under_all_rules(self):
        self.firewalls_of_spokes()
        self.hub.hub("firewall", "apply")
        for letter in "abc":
            for number in (11, 12, 13):
                self.assertTrue(self.pings(self.spokes[letter].namespace, f"10.88.0.{number}"), (letter, number))
        self.moved(self.spokes["a"].namespace, self.spokes["c"].namespace, "10.88.0.13", 4 << 20)

    def test_the_hub_reaches_no_spoke_although_its_own_rules_are_off(self):
        tries = suite.scaled(1000, 10000)
        for letter, address in (("a", "10.88.0.11"), ("c", "10.88.0.13")):
            node = self.spokes[letter]
            sink = receiver(node.namespace)
            self.addCleanup(sink.close)
            send(self.hub.namespace, HUB, address, 20)
            self.assertGreater(count(sink), 0, "the way is open before the rules")
            node.hub("firewall", "apply")
            send(self.hub.namespace, HUB, address, tries)
            self.assertEqual(count(sink), 0)
            # In octets: datagrams of one flow arrive joined, and count as one packet.
            self.assertGreater(dropped(node.namespace), tries * 6 // 2, "they arrived, and fell")
            self.assertFalse(self.pings(self.hub.namespace, address, timeout=1))
            with node.namespace, socket.create_server(("0.0.0.0", 8080)):
                self.assertFalse(connects(self.hub.namespace, address, 8080))

    def test_the_hub_originates_nothing_and_takes_nothing_under_its_own_rules(self):
        self.hub.hub("firewall", "apply")
        sink = receiver(self.spokes["b"].namespace)
        self.addCleanup(sink.close)
        send(self.hub.namespace, HUB, "10.88.0.12", 200)
        self.assertEqual(count(sink), 0)
        self.assertFalse(self.pings(self.hub.namespace, "10.88.0.12", timeout=1))
        with self.hub.namespace, socket.create_server(("0.0.0.0", 8080)):
            self.assertFalse(connects(self.spokes["a"].namespace, HUB, 8080))
            self.hub.hub("firewall", "remove")
            self.assertTrue(connects(self.spokes["a"].namespace, HUB, 8080), "what was removed is gone")
        self.assertNotIn("culvert", self.hub.namespace.output("nft", "list", "ruleset"))

    def test_the_hub_forwards_from_the_tunnel_into_nothing_but_the_tunnel(self):
        a, b = self.spokes["a"], self.spokes["b"]
        self.hub.namespace.sysctl("net.ipv4.ip_forward", 1)  # a host that forwards for other reasons
        a.namespace.run("wg", "set", a.interface, "peer", self.hub_key(), "allowed-ips", "10.88.0.0/24,198.51.100.4/30")
        a.namespace.ip("route", "add", "198.51.100.6/32", "dev", a.interface, "src", "10.88.0.11")
        b.namespace.ip("route", "add", "10.88.0.11/32", "dev", "out0", "via", "198.51.100.5")
        self.assertTrue(self.pings(a.namespace, "198.51.100.6"), "the way is open before the rules")
        self.hub.hub("firewall", "apply")
        self.assertFalse(self.pings(a.namespace, "198.51.100.6", timeout=1))

    def hub_key(self):
        return open(f"{self.hub.directory}/hub/server.pub").read().strip()

    def test_a_spoke_cannot_speak_for_another(self):
        a, c = self.spokes["a"].namespace, self.spokes["c"].namespace
        a.ip("address", "add", "10.88.0.12/32", "dev", self.spokes["a"].interface)
        sink = receiver(c)
        self.addCleanup(sink.close)
        send(a, "10.88.0.11", "10.88.0.13", 200)
        self.assertGreater(count(sink), 150, "its own address passes")
        send(a, "10.88.0.12", "10.88.0.13", 200)
        self.assertEqual(count(sink), 0)

    def test_the_rules_for_a_whole_host_hold_too(self):
        for letter, node in self.spokes.items():
            node.namespace.run("nft", "-f", f"{node.directory}/node-{letter}/policy.nft")
            node.namespace.run("nft", "-f", f"{node.directory}/node-{letter}/policy.nft")
        self.hub.namespace.run("nft", "-f", f"{self.hub.directory}/hub/policy.nft")
        a, b = self.spokes["a"].namespace, self.spokes["b"].namespace
        for node in (a, b):  # a spoke is reached once it has spoken, at the next keepalive at the latest
            self.pings(node, "10.88.0.13", timeout=1)
        self.assertTrue(self.pings(a, "10.88.0.12"))
        self.assertFalse(self.pings(self.hub.namespace, "10.88.0.12", timeout=1))
        with self.hub.namespace, socket.create_server(("0.0.0.0", 8080)):
            self.assertFalse(connects(b, HUB, 8080))

    def test_show_says_who_was_heard_and_health_fails_without_anybody(self):
        said = json.loads(self.hub.hub("status", "--json").stdout)
        self.assertEqual((said["running"], said["alive"]), (True, 3))
        self.assertEqual([s["name"] for s in said["spokes"]], ["node-a", "node-b", "node-c"])
        self.assertTrue(all(s["last_handshake_sec"] < 60 for s in said["spokes"]))
        self.assertEqual(self.hub.hub("health").returncode, 0)


class Files(Topology):
    def test_forwarding_of_the_host_is_not_touched(self):
        for value in ("0", "1"):
            self.hub.namespace.sysctl("net.ipv4.ip_forward", value)
            self.hub.quick("up", "hub")
            self.assertEqual(self.hub.namespace.sysctl("net.ipv4.conf.tunh.forwarding"), "1")
            self.assertEqual(self.hub.namespace.sysctl("net.ipv4.ip_forward"), value)
            self.assertEqual(self.hub.namespace.sysctl("net.ipv4.conf.a0.forwarding"), value)
            self.hub.quick("down", "hub")
            self.assertEqual(self.hub.namespace.sysctl("net.ipv4.ip_forward"), value)

    def test_modes_are_those_of_secrets_and_no_private_key_leaves_its_node(self):
        for node, name, key in ((self.hub, "hub", "server.key"), (self.spokes["a"], "node-a", "private.key")):
            for path in (node.conf(name), f"{node.directory}/{name}/{key}"):
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.hub.directory}/hub/server.pub").st_mode), 0o644)
        secret = open(f"{self.spokes['a'].directory}/node-a/private.key").read().strip()
        for path in pathlib.Path("/run/hub").rglob("*"):
            if path.is_file():
                self.assertNotIn(secret, path.read_text())

    def test_doing_it_again_changes_nothing(self):
        before = {p: p.read_bytes() for p in pathlib.Path("/run/hub").rglob("*") if p.is_file()}
        key = open(f"{self.spokes['a'].directory}/node-a/public.key").read().strip()
        self.hub.hub("init")
        self.hub.hub("add-spoke", "node-a", "--public-key", key)
        self.assertEqual({p: p.read_bytes() for p in pathlib.Path("/run/hub").rglob("*") if p.is_file()}, before)
        node = self.spokes["a"]
        private = open(f"{node.directory}/node-a/private.key").read()
        node.hub("join", "--name", "node-a", "--hub-public-key", key, "--hub-endpoint", "h.example:1",
                 "--installed", "/run/none")
        self.assertEqual(open(f"{node.directory}/node-a/private.key").read(), private)

    def test_spokes_are_rotated_and_removed_and_other_lines_stay(self):
        path = self.hub.conf("hub")
        with open(path, "a") as f:
            f.write("\n[Peer]\n# by hand\nPublicKey = " + netns.run("wg", "pubkey", input="A" * 43 + "=\n").stdout)
        before = open(path).read()
        old = open(f"{self.spokes['b'].directory}/node-b/public.key").read().strip()
        new = netns.run("wg", "pubkey", input=netns.run("wg", "genkey").stdout).stdout.strip()
        self.hub.hub("rotate-spoke", "node-b", "--public-key", new)
        self.assertEqual(open(path).read(), before.replace(old, new))
        self.assertEqual(self.hub.hub("rotate-spoke", "node-z", "--public-key", new, check=False).returncode, 3)
        self.hub.hub("remove-spoke", "node-b")
        text = open(path).read()
        self.assertNotIn(new, text)
        self.assertIn("# by hand", text)
        self.assertEqual(text.count("[Peer]"), 3)
        self.hub.hub("remove-spoke", "node-b")
        self.assertEqual(open(path).read(), text)

    def test_clashes_are_refused(self):
        key = open(f"{self.spokes['b'].directory}/node-b/public.key").read().strip()
        other = netns.run("wg", "pubkey", input=netns.run("wg", "genkey").stdout).stdout.strip()
        before = open(self.hub.conf("hub")).read()
        for words in (("node-d", "--public-key", key), ("node-a", "--public-key", other),
                      ("node-d", "--public-key", other, "--address", "10.88.0.11"),
                      ("node-d", "--public-key", other, "--address", HUB),
                      ("node-d", "--public-key", other, "--address", "10.89.0.20"),
                      ("node-d", "--public-key", "x"), ("../x", "--public-key", other),
                      ("hub", "--public-key", other)):
            result = self.hub.hub("add-spoke", *words, check=False)
            self.assertEqual(result.returncode, 3, words)
            self.assertIn("culvert hub: ", result.stderr)
        self.assertEqual(open(self.hub.conf("hub")).read(), before)

    def test_variables_make_a_spoke_and_each_missing_one_is_named(self):
        node = self.spokes["a"]
        node.directory = "/run/node-a/other"
        key = open(f"{self.hub.directory}/hub/server.pub").read().strip()
        full = dict(zip(VARIABLES, ("node-b", "10.88.0.12", "203.0.113.9", key, "generate")))
        for name in VARIABLES:
            env = {**CLEAN, **full}
            del env[name]
            result = node.hub("join", "--from-environment", "--installed", "/run/none", env=env, check=False)
            self.assertEqual((result.returncode, result.stderr), (2, f"ERROR: {name} is required\n"))
        self.assertFalse(os.path.exists(node.directory))
        node.hub("join", "--from-environment", "--installed", "/run/none", env={**CLEAN, **full})
        self.assertIn("Endpoint = 203.0.113.9:51820\n", open(node.conf("node-b")).read())
        given = netns.run("wg", "genkey").stdout.strip()
        node.hub("join", "--from-environment", "--installed", "/run/none", "--force",
                 env={**CLEAN, **full, "WIREGUARD_PRIVATE_KEY": given})
        self.assertIn(given, open(node.conf("node-b")).read())

    def test_an_installed_file_wins(self):
        node = self.spokes["a"]
        node.directory = "/run/node-a/other"
        result = node.hub("join", "--name", "node-a", "--installed", self.hub.conf("hub"))
        self.assertIn("wins", result.stderr)
        self.assertFalse(os.path.exists(node.directory))

    def test_a_backup_comes_back_and_a_damaged_one_does_not(self):
        node = self.spokes["a"]
        for _ in range(4):
            path = os.path.realpath(node.hub("backup", "--keep", "2").stdout.strip())
        self.assertEqual(len(os.listdir("/run/node-a/backups")), 2)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        before = {p: (p.read_bytes(), p.stat().st_mode) for p in pathlib.Path(node.directory).rglob("*") if p.is_file()}
        shutil.rmtree(node.directory)
        whole = bytearray(open(path, "rb").read())
        whole[len(whole) // 2] ^= 1
        with open("/run/node-a/damaged", "wb") as f:
            f.write(whole)
        self.assertEqual(node.hub("restore", "/run/node-a/damaged", check=False).returncode, 3)
        self.assertFalse(os.path.exists(node.directory))
        node.hub("restore", path)
        self.assertEqual({p: (p.read_bytes(), p.stat().st_mode) for p in pathlib.Path(node.directory).rglob("*")
                          if p.is_file()}, before)

    def test_a_program_of_the_operator_gets_fixed_words_and_none_is_run_without_asking(self):
        result = self.hub.hub("destroy", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("CULVERT_HUB_HOOK", result.stderr)
        with open("/run/hub/hook", "w") as f:
            f.write("#!/bin/sh\nprintf '%s|' \"$@\"\n")
        os.chmod("/run/hub/hook", 0o755)
        said = self.hub.hub("destroy", "--hook", "/run/hub/hook", "--region", "fra1; id", "--nodes", "5").stdout
        self.assertEqual(said, "destroy|fra1; id|s-1vcpu-1gb|5|10.88.0.0/24|51820|")
        os.chmod("/run/hub/hook", 0o777)
        self.assertEqual(self.hub.hub("destroy", "--hook", "/run/hub/hook", check=False).returncode, 3)


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""connect, disconnect and status: what they change on a host, and that all of it comes back.

The network is drawn in client_net.py.
"""

import json
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import client_net
import netns
import suite
from client_net import RESOLV, WORLD4, WORLD6

FAILED, USAGE, REFUSED, PRIVILEGE = 1, 2, 3, 4


class Connect(client_net.ClientTest):
    def test_a_full_tunnel_carries_both_families_and_nothing_remains_of_it(self):
        said = self.connect().stdout
        self.assertIn("✓ VPN connected successfully!", said)
        self.assertIn("answered within", said)
        self.assertTrue(self.reaches(WORLD4) and self.reaches(WORLD6))
        self.assertIn("nameserver 10.8.0.1", RESOLV.read_text())
        self.assertEqual(self.disconnect().stdout, "✓ VPN disconnected successfully!\n")
        self.assertAsBefore()

    def test_words_and_codes_of_what_cannot_be(self):
        for words, code, text in (
                (["nothing.conf"], FAILED, "✗ Failed to connect: Configuration file not found: nothing.conf"),
                (["/run/nothing.conf"], FAILED, "Configuration file not found: /run/nothing.conf"),
                ([], USAGE, "name one connection"),
                (["--split", "10.0.0.0/33", self.file], USAGE, "not a network: 10.0.0.0/33"),
                (["--split", "10.0.0.0/8", "--only-user", "nobody", self.file], REFUSED, "go without each other"),
                (["--only-user", "no-such-user", self.file], USAGE, "no such user"),
                (["--interface", "a b", self.file], REFUSED, "cannot be the name of an interface")):
            done = self.culvert("connect", "--state", self.state, *words, check=False)
            self.assertEqual(done.returncode, code, (words, done.stderr))
            self.assertIn(text, done.stderr)
        self.write(more="Table = 77")
        done = self.connect(check=False)
        self.assertEqual((done.returncode, "Table" in done.stderr), (REFUSED, True), done.stderr)
        self.assertAsBefore()
        done = self.disconnect(check=False)
        self.assertEqual((done.returncode, done.stderr), (FAILED, "culvert disconnect: home is not connected\n"))
        self.write()
        self.client.ip("tuntap", "add", "home", "mode", "tun")
        done = self.connect(check=False)
        self.assertIn("there is an interface home already", done.stderr)
        self.client.ip("link", "delete", "home")
        self.assertAsBefore()

    def test_a_second_connection_is_refused_while_one_lets_nothing_leave(self):
        self.connect()
        self.assertIn("connected already", self.connect(check=False).stderr)
        other = self.file.replace("home", "other")
        self.write(path=other)
        self.assertIn("the connection on home lets nothing else leave", self.connect(file=other, check=False).stderr)
        self.disconnect()
        self.assertAsBefore()

    def test_status_tells_what_runs_and_what_was_left(self):
        self.assertEqual((self.status().returncode, json.loads(self.status().stdout)), (FAILED, []))
        self.connect()
        done = self.status("home")
        (seen,) = json.loads(done.stdout)
        self.assertEqual((done.returncode, seen["state"], seen["endpoint"]), (0, "connected", "203.0.113.2:51820"))
        self.assertGreater(seen["last_handshake"], time.time() - 60)
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: not self.has_link(), "the end of the interface")
        done = self.status()
        (seen,) = json.loads(done.stdout)
        self.assertEqual((done.returncode, seen["state"]), (FAILED, "left"))
        self.assertIn("firewall table", seen["changes"])
        self.assertFalse(self.reaches(WORLD4) or self.reaches(WORLD6), "packets leave beside a tunnel that died")
        self.culvert("disconnect", "--state", self.state, "--restore")
        self.assertAsBefore()


class Restore(client_net.ClientTest):
    def test_cycles_leave_nothing(self):
        for number in range(suite.scaled(5, 200)):
            self.connect("--wait", "0")
            self.disconnect()
            self.assertAsBefore(f"after cycle {number}")

    def test_killed_at_any_step_of_connect_all_comes_back(self):
        seed = int(os.environ.get("CULVERT_SEED") or random.SystemRandom().randrange(1 << 32))
        stride = 1 if suite.SOAK else 5
        print(f"# seed {seed}\n# scale: every step in {stride} of connect (soak: 1)")
        n, deaths = 1 + seed % stride, 0
        while True:
            done = self.connect("--wait", "0", env={"CULVERT_CLIENT_DIE_AT": str(n)}, check=False)
            survived = done.returncode == 0
            self.soon(lambda: survived or not self.has_link(), "the end of the interface")
            self.disconnect(check=False)
            self.assertAsBefore(f"after a death at step {n} of connect")
            if survived:
                break
            deaths += 1
            n += stride
        self.assertGreater(n, 20)
        print(f"# died at {deaths} of about {n} steps")

    def test_killed_at_any_step_of_disconnect_all_comes_back(self):
        seed = int(os.environ.get("CULVERT_SEED") or random.SystemRandom().randrange(1 << 32))
        stride = 1 if suite.SOAK else 5
        print(f"# seed {seed}\n# scale: every step in {stride} of disconnect (soak: 1)")
        n, deaths = 1 + seed % stride, 0
        while True:
            self.connect("--wait", "0")
            os.kill(self.keeper(), signal.SIGKILL)
            done = self.disconnect(env={"CULVERT_CLIENT_DIE_AT": str(n)}, check=False)
            if done.returncode == 0:
                break
            self.disconnect(check=False)
            self.assertAsBefore(f"after a death at step {n} of disconnect")
            deaths += 1
            n += stride
        self.assertAsBefore()
        self.assertGreater(n, 15)
        print(f"# died at {deaths} of about {n} steps")


if __name__ == "__main__":
    suite.main()

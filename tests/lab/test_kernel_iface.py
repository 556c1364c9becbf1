#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway whose interface is served by the kernel's module: the tests of tests/system that fit both kinds,
and what only a kernel interface can do. tests/system/test_gateway.py draws the topology.

    tests/lab/kernel-lab tests/lab/test_kernel_iface.py [WORDS]
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite  # noqa: E402
import test_gateway  # noqa: E402
import test_kinds  # noqa: E402
import tunnel  # noqa: E402
from test_host import Gateway  # noqa: E402

REFUSED, PRIVILEGE, FAILED = 3, 4, 1


# Each takes ten times as long here as on a machine: what tests/system asks of userspace as well and what
# fails together with these is for the soak.
USUAL = (
    "client_reaches_the_gateway_and_the_world", "quota_is_cut_off", "another_port_and_another_key",
    "deleted_is_made_again", "a_level_and_a_rate", "driver_dies", "an_upgrade", "left_is_removed", "one_capability", "crowd",
)


class Served:
    """By the kernel; the lab is emulated, and slow."""

    kind, driver, patience = "kernel", "kernel-serve", 3.0

    def is_for_soak(self, name):
        return not any(words in name for words in USUAL)

    def start(self, *options, **more):
        gateway = super().start(*options, **more)
        self.assertIn("wireguard", self.edge.output("ip", "-d", "link", "show", "wg0"), "the module serves it")
        self.assertFalse(os.path.exists("/run/wireguard/wg0.sock"), "wg(8) asks the kernel")
        return gateway


class KernelWhole(Served, test_gateway.Whole):
    def test_below_a_private_directory_everything_works(self):
        self.skipTest("the lab's root is an overlay over 9p, where no gateway of either kind can make its view")


class KernelPeers(Served, test_kinds.Peers):
    pass


class KernelDrift(Served, test_kinds.Drift):
    def test_an_interface_that_was_deleted_is_made_again_with_all_its_peers(self):
        self.begin()
        self.edge.ip("link", "delete", "wg0")
        self.soon(lambda: self.edge.run("wg", "show", "wg0", check=False).returncode == 0 and
                  self.allowed() == self.whole, "everything again", 20)
        self.assertIn("10.0.1.1", self.edge.output("ip", "address", "show", "wg0"))
        self.assertEqual(self.running.end(), 0, self.running.errors())
        self.assertAsFound()


class KernelOnly(Served, test_kinds.KindTest):
    def refused(self, code, *options):
        gateway = Gateway(self.edge, self.state, *options, program=None)
        self.assertEqual(gateway.process.wait(60), code, gateway.errors())
        return gateway.errors()

    def test_obfuscation_is_refused_before_anything_is_made(self):
        said = self.refused(REFUSED, "--kind", "kernel", "--obfuscation", "medium")
        self.assertRegex(said, "kernel.*no obfuscation.*userspace")
        self.assertAsFound()

    def test_a_level_and_a_rate_are_refused_for_each_peer(self):
        gateway = self.start()
        wanted = {"name": "a", "generate": True, "obfuscation_level": "low"}
        self.assertIn("no obfuscation", str(self.api("POST", "/api/v1/peers", wanted, 422)))
        self.create("b", generate=True)
        for members in ({"obfuscation_level": "high"}, {"rate_bps": 10**6}):
            self.assertIn("kernel", str(self.api("PATCH", "/api/v1/peers/b", members, 422)))
        self.assertEqual(len(self.allowed()), 1)
        gateway.end()

    def test_auto_takes_the_kernel_unless_obfuscation_is_asked_for(self):
        self.kind = "auto"
        gateway = self.start()  # which looks at the kind of the link
        gateway.end()
        gateway = Gateway(self.edge, self.state, "--kind", "auto", "--obfuscation", "low", program=None).ready()
        self.assertIn("tun", self.edge.output("ip", "-d", "link", "show", "wg0"))
        self.assertEqual(gateway.end(), 0)
        self.assertAsFound()

    def test_an_interface_of_somebody_else_is_left_alone(self):
        self.edge.ip("link", "add", "wg0", "type", "wireguard")
        said = self.refused(FAILED, "--kind", "kernel")
        self.assertRegex(said, "wg0 exists already and is not ours.*ip link delete wg0")
        self.assertIn("wireguard", self.edge.output("ip", "-d", "link", "show", "wg0"))
        self.edge.ip("link", "delete", "wg0")

    def test_tunnels_do_not_notice_that_the_driver_dies(self):
        gateway = self.start()
        self.connect(self.create("phone", generate=True)["configuration"])
        self.reaches("10.0.1.1")
        ping = self.client.start("ping", "-n", "-i", "0.1", "-c", "50", "-W", "2", "10.0.1.1",
                                 stdout=-1)
        os.kill(self.child(gateway, "kernel-serve"), signal.SIGKILL)
        self.assertIn("50 received", ping.communicate(timeout=60)[0])
        self.soon(lambda: self.child(gateway, "kernel-serve"), "another driver", 10)
        key = self.create("second", generate=True)["public_key"]
        self.soon(lambda: self.on(key), "its peer", 10)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_tunnels_do_not_notice_an_upgrade(self):
        gateway = self.start()
        self.connect(self.create("phone", generate=True)["configuration"])
        self.reaches("10.0.1.1")
        old = {word: self.child(gateway, word) for word in ("kernel-serve", "gateway-serve")}
        before = self.edge.output("ip", "-j", "link", "show", "wg0")
        ping = self.client.start("ping", "-n", "-i", "0.1", "-c", "150", "-W", "2", "10.0.1.1", stdout=-1)
        gateway.process.send_signal(signal.SIGUSR2)
        self.soon(lambda: "[host wg0]: upgraded" in gateway.errors(), "the upgrade\n" + gateway.errors(), 60)
        self.assertIn("150 received", ping.communicate(timeout=90)[0])
        for word, pid in old.items():
            self.assertNotIn(self.child(gateway, word), (None, pid), gateway.errors())
        index = [json.loads(text)[0]["ifindex"] for text in (before, self.edge.output("ip", "-j", "link", "show", "wg0"))]
        self.assertEqual(index[0], index[1], "the interface stayed")
        key = self.create("second", generate=True)["public_key"]
        self.soon(lambda: self.on(key), "its peer", 10)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_host_process_that_is_killed_takes_the_interface_along(self):
        gateway = self.start()
        gateway.process.kill()
        gateway.process.wait(10)
        self.soon(lambda: self.edge.run("ip", "link", "show", "wg0", check=False).returncode, "the link to go", 10)

    def test_what_a_killed_gateway_and_its_driver_left_is_removed_by_the_next(self):
        gateway = self.start()
        driver = self.child(gateway, "kernel-serve")
        os.kill(driver, signal.SIGSTOP)
        gateway.process.kill()
        gateway.process.wait(10)
        os.kill(driver, signal.SIGKILL)
        self.assertIn("wireguard", self.edge.output("ip", "-d", "link", "show", "wg0"))
        gateway = self.start()
        self.assertRegex(gateway.errors(), "removing the interface wg0")
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_the_driver_holds_one_capability_and_no_files(self):
        gateway = self.start()
        pid = self.child(gateway, "kernel-serve")
        status = dict(line.split(":\t") for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                      if ":\t" in line)
        self.assertEqual([int(status[n], 16) for n in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")],
                         [1 << 12, 1 << 12, 0, 0, 0])  # CAP_NET_ADMIN
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        opened = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        self.assertEqual([path for path in opened if path.startswith("/") and path != "/dev/null" and
                          not path.startswith("/run/errors")], [])
        serve = self.child(gateway, "gateway-serve")
        self.assertIn("CapEff:\t0000000000000000", pathlib.Path(f"/proc/{serve}/status").read_text())
        gateway.end()


class Crowd(Served, test_kinds.KindTest):
    def preload(self, n):
        """n peers, into the database of a gateway that does not run."""
        self.start("--subnet4", "10.64.0.0/14").end()
        keys = [hashlib.sha256(b"peer %d" % i).digest() for i in range(n)]
        first, now = (10 << 24 | 64 << 16) + 2, time.time_ns()
        with contextlib.closing(sqlite3.connect(f"{self.state}/culvert.db")) as db, db:
            # Without keepalives: the kernel makes handshakes for all who have one, whether it knows where they are
            # or not, and an emulated processor does nothing else then.
            db.executemany("INSERT INTO peer (id, interface_id, public_key, status, families, port, dns, created_ns,"
                           " changed_ns, keepalive_s) VALUES (?, 1, ?, 1, 1, 51820, 'd1', ?, ?, 0)",
                           ((i + 1, key, now, now) for i, key in enumerate(keys)))
            db.executemany("INSERT INTO address (interface_id, ip, peer_id) VALUES (1, ?, ?)",
                           (((first + i).to_bytes(4, "big"), i + 1) for i in range(n)))
        return {base64.b64encode(key).decode() for key in keys}

    def listed(self):
        """Empty while they are being set: wg begins anew whenever a peer came meanwhile."""
        time.sleep(1)  # while the kernel tells all of them it sets nobody
        try:
            return self.allowed()
        except subprocess.TimeoutExpired:
            return {}

    def dump_s(self):
        """How long the kernel needs here to tell all of its peers."""
        began = time.monotonic()
        self.wg("show", "wg0", "peers")
        return time.monotonic() - began

    def test_a_crowd_is_set_listed_and_repaired(self):
        keys = self.preload(suite.scaled(2000, 20000))
        began = time.monotonic()
        gateway = self.start("--subnet4", "10.64.0.0/14")
        self.addCleanup(lambda: print("".join(f"# {line}\n" for line in gateway.errors().splitlines()[-20:]), flush=True))
        self.soon(lambda: len(self.listed()) == len(keys), "all peers on the interface", suite.scaled(120, 600))
        print(f"# set after {time.monotonic() - began:.1f} s", flush=True)
        self.assertEqual(set(self.allowed()), keys)
        self.assertEqual(self.api("GET", "/api/v1/peers?limit=1")["total"], len(keys))
        whole, some = self.allowed(), sorted(keys)
        time.sleep(8)
        for key in some[:5]:
            self.wg("set", "wg0", "peer", key, "remove")
        for key in some[5:9]:
            self.wg("set", "wg0", "peer", key, "allowed-ips", "")
        for _ in range(3):
            self.wg("set", "wg0", "peer", tunnel.keypair()[1])
        began, dump_s = time.monotonic(), self.dump_s()
        self.soon(lambda: self.listed() == whole, "twelve changes taken back", 600)
        took, dump_s = time.monotonic() - began, max(dump_s, self.dump_s())
        print(f"# twelve changes taken back after {took:.1f} s, all peers told in {dump_s:.2f} s", flush=True)
        # Asked after ten times what that costs (gateway/drift.h); then it is told twice, and once to us.
        self.assertLess(took, max(1, 10 * dump_s) + 4 * dump_s + test_kinds.SEEN_S * self.patience)
        for words in ("cannot be", "does not answer", "not in sync", "does not say"):
            self.assertNotIn(words, gateway.errors())
        self.assertEqual(gateway.end(patience=suite.scaled(120, 900)), 0, gateway.errors())  # the kernel takes leave of each
        self.assertAsFound()


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole gateway of somebody who has no right at all: nobody, no capability, no /dev/net/tun, and a root that is
read-only but for the places of its own. test_gateway.py draws the topology; what of its tests and of test_kinds.py
fits every kind is asked of this one too.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
import test_gateway
import test_kinds
from test_host import CULVERT, Gateway

USAGE, PRIVILEGE = 2, 4
NOBODY = 65534
WORLD4, WORLD6 = "198.51.100.2", "2001:db8:2::2"
READ_ONLY = 'mount -t tmpfs none /dev/net && mount -o remount,ro,bind / && exec "$@"'

# The rest of what other kinds are asked, too, is for the soak.
USUAL = ("client_reaches_the_gateway_and_the_world", "quota_is_cut_off")


def as_nobody():
    """Words before a command: without rights, device and a place to write but what was given."""
    return ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh", "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
            "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


class Served:
    kind, options = "userspace", ()  # what it comes to is found out

    def is_for_soak(self, name):
        return not any(words in name for words in USUAL)

    def setUp(self):
        super().setUp()
        self.edge.sysctl("net.ipv4.ping_group_range", f"{NOBODY} {NOBODY}")
        self.state = f"/run/own/state-{id(self)}"
        for path in ("/run/own", "/run/wireguard"):
            os.makedirs(path, exist_ok=True)
            os.chown(path, NOBODY, NOBODY)
        for path in pathlib.Path("/run/wireguard").glob("*.sock"):  # of tunnels that the test before has killed
            path.unlink()
        self.before = self.picture()

    def picture(self):
        seen = test_gateway.picture(self.edge)
        seen["sockets"] = [path for path in seen["sockets"] if "wgc" not in path and "wgd" not in path]
        return seen

    def assertAsFound(self):
        self.assertEqual(self.picture(), self.before)

    def start(self, *options, **more):
        # Below setpriv the leak detector of a test build cannot look at its own process.
        env = {"ASAN_OPTIONS": "detect_leaks=0", "LSAN_OPTIONS": "detect_leaks=0", "XDG_RUNTIME_DIR": "/run/own",
               **more.pop("env", {})}
        return super().start(*self.options, *options, wrap=as_nobody(), env=env, **more)


class UsernetWhole(Served, test_gateway.Whole):
    def test_below_a_private_directory_everything_works(self):
        self.skipTest("its own user keeps a private directory as it is")

    def test_the_world_sees_the_address_of_the_way_out(self):
        self.skipTest("what leaves are this host's own connections: there is no other address")


class UsernetPeers(Served, test_kinds.Peers):
    pass


class UsernetDrift(Served, test_kinds.Drift):
    pass


class Chosen(Served, test_kinds.KindTest):
    def is_for_soak(self, name):
        return False

    def test_it_says_everywhere_that_it_is_usernet_and_why(self):
        gateway = Gateway(self.edge, self.state, program=None, wrap=as_nobody(),
                          env={"ASAN_OPTIONS": "detect_leaks=0", "LSAN_OPTIONS": "detect_leaks=0"})
        self.addCleanup(gateway.process.kill)
        line = gateway.process.stdout.readline()
        self.assertRegex(line, "^gateway ready: .*interface wg0, .*; usernet: there is no right .*CAP_NET_ADMIN")
        self.assertIn("without an interface", gateway.errors())
        facts = self.api("GET", "/api/v1/gateway")
        self.assertEqual(facts["kind"], "usernet")
        self.assertIn("CAP_NET_ADMIN", facts["kind_why"])
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_root_without_a_tun_gets_it_too_and_anybody_may_ask_for_it(self):
        os.chown("/run/wireguard", 0, 0)
        no_tun = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs x /dev/net && exec "$@"', "sh")
        for wrap, options, why in ((no_tun, (), "no /dev/net/tun"), ((), ("--kind", "usernet"), "chosen by --kind")):
            gateway = Gateway(self.edge, f"/run/root-{why[:3]}", *options, program=None, wrap=wrap)
            self.addCleanup(gateway.process.kill)
            self.assertIn(why, gateway.process.stdout.readline())
            self.assertEqual(self.wg("show", "wg0", "listen-port").strip(), "51820")
            self.assertEqual(gateway.end(), 0, gateway.errors())
            self.assertAsFound()

    def test_what_cannot_be_had_without_rights_is_refused_and_says_what_can(self):
        for options, code, what in ((("--kind", "tun"), PRIVILEGE, "start it as root, or choose --kind usernet"),
                                    (("--kind", "kernel"), PRIVILEGE, "start it as root, or choose --kind usernet"),
                                    (("--kind", "x"), USAGE, "userspace, tun, usernet, kernel or auto"),
                                    (("--allow", "10.0.0.0/33"), USAGE, "--allow takes"),
                                    (("--forward", "80"), USAGE, "--forward takes")):
            gateway = Gateway(self.edge, self.state, *options, program=None, wrap=as_nobody())
            self.assertEqual(gateway.process.wait(20), code, gateway.errors())
            self.assertIn(what, gateway.errors())

    def second(self, made):
        """Another peer, in the world's namespace. Its inner address."""
        self.world.start(CULVERT, "device", "-f", "wgd", stdout=self.log, stderr=self.log)
        self.soon(lambda: self.world.run("wg", "show", "wgd", check=False).returncode == 0, "the second client")
        keys = dict(line.split(" = ") for line in made["configuration"].splitlines() if " = " in line)
        self.world.run("wg", "set", "wgd", "private-key", "/dev/stdin", "peer", keys["PublicKey"], "allowed-ips",
                       "10.0.1.0/24", "endpoint", "198.51.100.1:51820", input=keys["PrivateKey"])
        address = made["addresses"][0].split("/")[0]
        self.world.address("wgd", f"{address}/32")
        self.world.ip("link", "set", "wgd", "up")
        self.world.ip("route", "add", "10.0.1.0/24", "dev", "wgd")
        self.soon(lambda: self.pings(self.world, "10.0.1.1"), "a ping of the second peer", 20)
        return address

    def test_peers_that_are_isolated_do_not_reach_each_other(self):
        for words, reached in ((("--peer-isolation", "on"), False), ((), True)):
            gateway = self.start(*words)
            first, second = (self.create(f"p{n}{reached}", generate=True) for n in range(2))
            self.connect(first["configuration"])
            self.reaches("10.0.1.1", WORLD4)
            other = self.second(second)
            if reached:
                self.reaches(other)
            else:
                self.assertIn("Packet filtered",
                              self.client.run("ping", "-n", "-c1", "-W2", other, check=False).stdout)
            self.assertEqual(gateway.end(), 0, gateway.errors())
            for interface, where in (("wgc", self.client), ("wgd", self.world)):
                where.ip("link", "del", interface)

    def test_private_networks_are_closed_until_they_are_opened(self):
        self.net.link(self.edge, "lan0", self.world, "lan0", addresses=(["10.99.0.1/24"], ["10.99.0.2/24"]))
        for words, reached in (((), False), (("--allow", "10.99.0.0/24"), True)):
            gateway = self.start(*words)
            self.connect(self.create(f"p{reached}", generate=True)["configuration"])
            self.client.ip("route", "add", "10.99.0.0/24", "dev", "wgc")
            self.reaches("10.0.1.1")
            self.assertEqual(bool(self.pings(self.client, "10.99.0.2", timeout=1)), reached)
            gateway.end()
            self.client.ip("link", "del", "wgc")

    def test_a_port_of_the_host_leads_to_a_peer(self):
        gateway = self.start("--forward", "8080=10.0.1.2:80")
        made = self.create("web", generate=True)
        self.assertEqual(made["addresses"][0].split("/")[0], "10.0.1.2")
        self.connect(made["configuration"])
        self.reaches("10.0.1.1")
        with self.client:
            listener = socket.create_server(("10.0.1.2", 80))
        with self.world:
            s = socket.create_connection(("198.51.100.1", 8080), 10)
        peer = listener.accept()[0]
        peer.sendall(b"hello")
        self.assertEqual(s.recv(10), b"hello")
        for each in (s, peer, listener):
            each.close()
        gateway.end()

    def test_access_lists_and_upgrades_are_refused_clearly(self):
        gateway = self.start()
        done = self.edge.run(CULVERT, "gateway", "access", "add", "office", "--allow", "10.9.0.0/24", "--state", self.state,
                             check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has no firewall", done.stderr)
        os.kill(gateway.process.pid, signal.SIGUSR2)
        self.soon(lambda: "restart the gateway when that suits" in gateway.errors(), "the refusal")
        self.assertEqual(self.peer("list", check=False).returncode, 0)
        self.assertEqual(gateway.end(), 0, gateway.errors())

    def test_peers_that_were_stored_with_an_access_list_are_not_served_and_others_are(self):
        os.chown("/run/wireguard", 0, 0)
        options = ("--endpoint", "192.0.2.1")
        gateway = Gateway(self.edge, self.state, *options, program=None).ready()
        self.addCleanup(gateway.process.kill)
        office = self.api("POST", "/api/v1/access", {"name": "office", "rules": [{"to": "10.9.0.0/24"}]}, 201)["id"]
        bound, free = (self.create(name, generate=True, **more)["public_key"]
                       for name, more in (("bound", {"access": office}), ("free", {})))
        self.soon(lambda: self.on(bound) and self.on(free), "both on the interface")
        gateway.end()
        gateway = Gateway(self.edge, self.state, *options, "--kind", "usernet", program=None).ready()
        self.addCleanup(gateway.process.kill)
        self.soon(lambda: self.on(free), "the one without a list", 15)
        self.assertFalse(self.on(bound))
        self.assertIn("access lists are not in force", gateway.errors())
        gateway.end()

    def test_another_gateway_of_the_same_name_is_refused_and_another_name_is_not(self):
        first = self.start()
        second = Gateway(self.edge, f"{self.state}-2", "--port", "51830", "--listen", "http://127.0.0.1:8010", program=None,
                         wrap=as_nobody())
        self.assertEqual(second.process.wait(20), 1, second.errors())
        self.assertIn("choose another name with --interface", second.errors())
        third = Gateway(self.edge, f"{self.state}-3", "--port", "51830", "--listen", "http://127.0.0.1:8010", "--interface",
                        "wg7", program=None, wrap=as_nobody()).ready()
        for gateway in (third, first):
            gateway.end()
        self.assertAsFound()

    def test_users_of_their_own_surface_are_served(self):
        gateway = self.start("--listen-users", "http://127.0.0.1:8001")
        master = pathlib.Path(f"{self.state}/params/master-api-key").read_text().strip()
        done = self.edge.output("curl", "-sf", "-H", f"Authorization: Bearer {master}", "-d", '{"client_id": "alice"}',
                                "http://127.0.0.1:8001/users")
        text = json.loads(done)["client_config"]
        self.connect(text.replace("DNS", "#DNS"))
        self.client.ip("route", "add", "10.0.0.1", "dev", "wgc")
        self.reaches("10.0.0.1", WORLD4)
        self.assertEqual(gateway.end(), 0, gateway.errors())


class FirstRun(suite.NetTest):
    """Somebody with a shell and no more: where things lie, and what is printed on a terminal."""

    def test_state_and_socket_lie_where_the_users_own_things_do(self):
        home = self.net.namespace("home")
        home.ip("link", "set", "lo", "up")
        shutil.rmtree("/run/wireguard", ignore_errors=True)
        os.makedirs("/run/home", exist_ok=True)
        os.chown("/run/home", NOBODY, NOBODY)
        environment = {"HOME": "/run/home", "XDG_STATE_HOME": "/run/home/state", "XDG_RUNTIME_DIR": "/run/home",
                       "ASAN_OPTIONS": "detect_leaks=0", "LSAN_OPTIONS": "detect_leaks=0"}
        process = home.start(*as_nobody(), "script", "-qefc", f"exec {CULVERT} gateway", "/run/home/typescript",
                             stdout=subprocess.DEVNULL, env={**os.environ, **environment})
        self.addCleanup(process.kill)
        path = pathlib.Path("/run/home/typescript")
        self.soon(lambda: path.exists() and "what goes on" in path.read_text(), "the first steps", 20)
        for word in ("gateway ready", "peer add NAME", "/run/home/state/culvert/api.key", "http://127.0.0.1:8000/docs"):
            self.assertIn(word, path.read_text())
        self.assertTrue(os.path.exists("/run/home/state/culvert/server.key"))
        self.assertTrue(os.path.exists("/run/home/culvert/wg0.sock"))
        made = home.output("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", CULVERT, "gateway",
                           "peer", "add", "phone", env={**os.environ, **environment})
        self.assertIn("[Peer]", made)
        self.assertIn("MTU = 1396", made)
        process.terminate()
        process.wait(20)
        self.soon(lambda: not os.path.exists("/run/home/culvert/wg0.sock"), "the socket's file to go", 10)


suite.main()

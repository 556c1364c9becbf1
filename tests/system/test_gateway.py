#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole gateway, all three processes real, and a client of its own configuration.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] eth1 198.51.100.1/24 ──── [world] 198.51.100.2/24
             2001:db8:1::2/64     2001:db8:1::1/64         2001:db8:2::1/64                  2001:db8:2::2/64

The client knows no way to [world] but the tunnel; [world] knows no way back to the tunnel's addresses.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
import pgserver
import suite
from test_host import CULVERT, Gateway, is_settled, picture


class WholeTest(suite.NetTest):
    kind = "userspace"  # what serves the interface; the lab of the kernel's module runs all this again
    driver = "culvert-device"  # a word of the process that the host starts for it

    def setUp(self):
        super().setUp()
        os.chmod("/run", 0o755)
        self.state = f"/run/state-{id(self)}"
        self.edge, self.client, self.world = (self.net.namespace(n) for n in ("edge", "client", "world"))
        self.net.link(self.edge, "eth0", self.client, "c0",
                      addresses=(("192.0.2.1/24", "2001:db8:1::1/64"), ("192.0.2.2/24", "2001:db8:1::2/64")))
        self.net.link(self.edge, "eth1", self.world, "w0",
                      addresses=(("198.51.100.1/24", "2001:db8:2::1/64"), ("198.51.100.2/24", "2001:db8:2::2/64")))
        self.soon(lambda: is_settled(self.edge), "settled addresses")
        self.before = picture(self.edge)

    def assertAsFound(self):
        after = picture(self.edge)
        after["sockets"] = [path for path in after["sockets"] if "wgc" not in path]  # the client's own
        for key, value in self.before.items():
            self.assertEqual(value, after[key], f"{key} differs")

    def start(self, *options, **more):
        gateway = Gateway(self.edge, self.state, "--endpoint", "192.0.2.1", "--kind", self.kind, *options,
                          program=None, **more)
        self.addCleanup(gateway.process.kill)
        self.addCleanup(lambda: shutil.rmtree(self.state, ignore_errors=True))
        return gateway.ready()

    def peer(self, *words, check=True):
        return self.edge.run(CULVERT, "gateway", "peer", *words, "--state", self.state, check=check)

    def add(self, name):
        return json.loads(self.peer("add", name, "--json").stdout)

    def child(self, gateway, word):
        pid = gateway.process.pid
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if word in pathlib.Path(f"/proc/{child}/cmdline").read_text().replace("\0", " "):
                return int(child)
        return None

    def connect(self, text, interface="wgc"):
        """Bring up a client from the configuration the gateway printed, with our own tunnel."""
        path = f"/run/{interface}.conf"
        pathlib.Path(path).write_text(text)
        # One that a killed tunnel of before has left would be taken for the new one's.
        pathlib.Path(f"/run/wireguard/{interface}.sock").unlink(missing_ok=True)
        device = self.client.start(CULVERT, "device", "-f", interface, stdout=self.log, stderr=self.log)
        self.soon(lambda: os.path.exists(f"/run/wireguard/{interface}.sock"), "the client's socket")
        stripped = self.client.output(CULVERT, "conf", "strip", path)
        self.client.run("wg", "setconf", interface, "/dev/stdin", input=stripped)
        for line in text.splitlines():
            if line.startswith("Address"):
                self.client.address(interface, *line.split("=")[1].replace(" ", "").split(","))
        self.client.ip("link", "set", interface, "up", "mtu", "1420")
        for there in ("10.0.1.0/24", "198.51.100.0/24", "fd42:4242:1::/64", "2001:db8:2::/64"):
            self.client.ip("-6" if ":" in there else "-4", "route", "add", there, "dev", interface)
        return device

    def reaches(self, *addresses, timeout=15.0):
        for address in addresses:
            self.soon(lambda a=address: self.pings(self.client, a), f"a ping to {address}", timeout)


class Whole(WholeTest):
    EVERYWHERE = ("10.0.1.1", "fd42:4242:1::1", "198.51.100.2", "2001:db8:2::2")

    def test_a_client_reaches_the_gateway_and_the_world_behind_it_over_both_families(self):
        gateway = self.start()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches(*self.EVERYWHERE)
        self.moved(self.client, self.world, "198.51.100.2", 4 << 20)
        self.moved(self.client, self.world, "2001:db8:2::2", 4 << 20)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()
        self.assertEqual([n for n in os.listdir(self.state) if n.endswith(".sock")], [])

    def test_the_world_sees_the_address_of_the_way_out(self):
        gateway = self.start()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("198.51.100.2")
        watch = suite.Capture(self.world, "w0")
        self.addCleanup(watch.close)
        self.assertTrue(self.pings(self.client, "198.51.100.2"))
        self.assertTrue(self.pings(self.client, "2001:db8:2::2"))
        sources = {p[12:16].hex() if p[0] >> 4 == 4 else p[8:24].hex() for outgoing, p in watch.packets()
                   if not outgoing and (p[0] >> 4 == 4 or p[6] == 58 and p[40] == 128)}
        self.assertEqual(sources, {"c6336401", "20010db8000200000000000000000001"})
        gateway.end()

    def test_traffic_does_not_notice_that_the_gateway_process_dies(self):
        gateway = self.start()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("198.51.100.2")
        ping = self.client.start("ping", "-n", "-i", "0.02", "-c", "100", "-W", "1", "198.51.100.2",
                                 stdout=subprocess.PIPE)
        os.kill(self.child(gateway, "gateway-serve"), signal.SIGKILL)
        output = ping.communicate(timeout=60)[0]
        self.assertIn("100 received", output)
        self.soon(lambda: self.peer("list", check=False).returncode == 0, "the API again")
        self.assertIn("phone", self.peer("list").stdout)
        gateway.end()
        self.assertAsFound()

    def test_a_tunnel_that_dies_comes_back_with_all_its_peers(self):
        gateway = self.start()
        names = [f"peer-{n}" for n in range(20)]
        keys = {self.add(name)["public_key"] for name in names}
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        os.kill(self.child(gateway, self.driver), signal.SIGKILL)
        self.soon(lambda: keys <= set(self.edge.run("wg", "show", "wg0", "peers", check=False).stdout.split()),
                  "all peers", timeout=15)
        self.reaches("10.0.1.1", "198.51.100.2", timeout=30)
        gateway.end()
        self.assertAsFound()

    def test_a_client_that_said_nothing_is_called_by_a_tunnel_that_came_back(self):
        """It would notice by itself only after 15 s without an answer: its session is still good to it."""
        gateway = self.start()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        self.assertIn("phone", self.peer("list").stdout)  # also a look at where it is
        tunnel = self.child(gateway, self.driver)
        os.kill(tunnel, signal.SIGKILL)
        self.soon(lambda: self.child(gateway, self.driver) not in (tunnel, None), "another tunnel", timeout=10)
        start = time.monotonic()
        self.reaches("10.0.1.1", timeout=10)
        self.assertLess(time.monotonic() - start, 8)
        self.assertIn("192.0.2.2:", self.edge.output("wg", "show", "wg0", "endpoints"))
        gateway.end()

    def test_all_peers_are_there_after_everything_was_killed(self):
        gateway = self.start()
        added = [self.add(f"peer-{n}") for n in range(10)]
        for pid in (gateway.process.pid, self.child(gateway, self.driver), self.child(gateway, "gateway-serve")):
            os.kill(pid, signal.SIGKILL)
        gateway.process.wait(10)
        again = self.start()
        listed = {p["public_key"]: p["addresses"] for p in self.listed()}
        self.assertEqual(listed, {p["public_key"]: p["addresses"] for p in added})
        peers = set(self.edge.output("wg", "show", "wg0", "peers").split())
        self.assertEqual(peers, set(listed))
        self.assertEqual(again.end(), 0, again.errors())
        self.assertAsFound()

    def listed(self):
        found = json.loads(self.peer("list", "--json").stdout)
        return found["peers"] if isinstance(found, dict) else found

    def test_below_a_private_directory_everything_works(self):
        """The program and the state lie where the gateway's user may not pass."""
        private = f"/run/private-{id(self)}"
        os.mkdir(private, 0o700)
        self.state = f"{private}/state"
        gateway = self.start()
        self.assertIn("10.0.1.2", self.peer("add", "phone").stdout)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_taken_api_port_is_said_and_leaves_no_trace(self):
        with self.edge:
            taken = socket.create_server(("127.0.0.1", 8000))
        self.addCleanup(taken.close)
        gateway = Gateway(self.edge, self.state, "--kind", self.kind, program=None)
        self.assertEqual(gateway.process.wait(30), 1, gateway.errors())
        self.assertRegex(gateway.errors(), "127.0.0.1:8000.*in use")
        self.assertAsFound()


class OnPostgres(WholeTest):
    """The same with PostgreSQL on the socket /run/pg/.s.PGSQL.5499."""

    def setUp(self):
        if pgserver.why_not():
            self.skipTest(pgserver.why_not())
        super().setUp()
        self.server = pgserver.Server(self.log)
        self.addCleanup(shutil.rmtree, "/run/pg")
        self.addCleanup(self.server.close)

    def start(self, *options, **more):
        return super().start("--store", "postgres", "--database", self.server.conninfo, *options, **more)

    def names(self):
        done = self.peer("list", "--json", check=False)
        return [p["name"] for p in json.loads(done.stdout)] if done.returncode == 0 else None

    def test_traffic_flows_while_the_server_and_the_gateway_process_come_and_go(self):
        gateway = self.start()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("198.51.100.2")
        self.server.kill()
        os.kill(self.child(gateway, "gateway-serve"), signal.SIGKILL)
        time.sleep(1.5)  # it is started again, finds no server, ends, and is started again
        self.assertTrue(self.pings(self.client, "198.51.100.2"))
        self.server.start()
        self.soon(lambda: self.names() == ["phone"], "the gateway process with its peers", 60)
        self.assertTrue(self.pings(self.client, "198.51.100.2"))
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_gateway_whose_rows_were_changed_by_another_begins_anew_by_itself(self):
        gateway = self.start()
        self.add("one")
        first = self.child(gateway, "gateway-serve")
        self.server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'culvert'")
        self.server.psql("UPDATE culvert.interface SET mark = substr(sha256('another'), 1, 16)")
        refused = self.peer("add", "two", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.soon(lambda: self.child(gateway, "gateway-serve") not in (None, first), "another process", 20)
        self.soon(lambda: self.names() == ["one"], "the peers", 20)
        self.add("two")
        self.assertEqual(self.server.psql("SELECT count(*) FROM culvert.peer"), [["2"]])
        self.assertEqual(gateway.end(), 0, gateway.errors())


if __name__ == "__main__":
    suite.main()

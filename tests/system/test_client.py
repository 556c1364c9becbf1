#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""connect, disconnect and status: what they change on a host, and that all of it comes back.

The network is drawn in client_net.py.
"""

import hashlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import client_net
import netns
import suite
from client_net import CULVERT, RESOLV, WORLD4, WORLD6

SERVER_WITHOUT_PORT = client_net.SERVER
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
        self.connect("--split", "10.8.0.0/24")
        self.assertIn("the connection on home has a kill switch", self.connect(file=other, check=False).stderr)
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


class Words(client_net.ClientTest):
    """What is said is so."""

    def test_a_server_that_does_not_answer_is_waited_for_and_that_is_no_success(self):
        self.write(endpoint=f"{client_net.SILENT}:51820")
        done = self.connect("--wait", "1", check=False)
        self.assertEqual((done.returncode, "✓" in done.stdout), (FAILED, False), done.stdout)
        self.assertIn("waiting for an answer", done.stdout)
        self.assertIn("nothing leaves until it does", done.stdout)
        done = self.status("home")
        self.assertEqual((done.returncode, json.loads(done.stdout)[0]["state"]), (0, "waiting"))
        self.assertIn("home: waiting", self.culvert("status", "--state", self.state).stdout)
        self.disconnect()
        done = self.connect("--wait", "1", "--json", check=False)
        self.assertEqual((done.returncode, json.loads(done.stdout)["answered"]), (FAILED, False))
        self.disconnect()
        self.assertAsBefore()

    def test_what_somebody_else_has_changed_is_named(self):
        self.connect("--wait", "0")
        os.kill(self.keeper(), signal.SIGSTOP)
        RESOLV.unlink()
        RESOLV.write_text("nameserver 192.0.2.99\n")
        done = self.disconnect()
        self.assertEqual(done.stderr, "/etc/resolv.conf: left as somebody else has made it since\n")
        self.assertEqual(RESOLV.read_text(), "nameserver 192.0.2.99\n")
        self.assertEqual(sorted(os.listdir(f"{self.state}/client")), ["lock"])

    def test_what_is_not_there_and_what_may_not_be_read_are_said(self):
        done = self.status("nope")
        self.assertEqual((done.returncode, done.stderr), (FAILED, "culvert status: there is no connection nope\n"))
        done = self.connect("--only-cgroup", "no/such", check=False)
        self.assertEqual((done.returncode, done.stderr), (USAGE, "culvert connect: no such cgroup: no/such\n"))
        os.chmod(self.file, 0o600)
        done = self.client.run("/usr/bin/python3", "-c", "import os, sys; os.setgroups([]); os.setgid(65534); "
                               "os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])", CULVERT, "connect", self.file,
                               check=False)
        self.assertEqual((done.returncode, "no permission to read" in done.stderr), (PRIVILEGE, True), done.stderr)
        self.assertAsBefore()


class Carried(client_net.ClientTest):
    """A full tunnel over a carrier of this host, on a network that lets nothing pass but TCP to one port."""

    CARRIER = f"{client_net.SERVER}:8443"

    def setUp(self):
        super().setUp()
        self.router.rules("inet", "filter hook forward", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
                          f"ip daddr {client_net.SERVER} tcp dport 8443 accept", f"ip saddr {client_net.SERVER} tcp sport 8443 accept",
                          "counter drop")
        self.dir = os.path.dirname(self.file)
        os.chmod(self.dir, 0o755)
        for name, text in (("keys", f"anna {hashlib.sha256(b'cvu_secret').hexdigest()}\n"), ("key", "cvu_secret\n")):
            pathlib.Path(f"{self.dir}/{name}").write_text(text)
            os.chmod(f"{self.dir}/{name}", 0o644)
        ready = self.carrier(self.internet, "--listen", "https://0.0.0.0:8443", "--keys", f"{self.dir}/keys",
                             "--cert", f"{self.dir}/c.pem", "--cert-key", f"{self.dir}/c.key")
        self.carrier(self.client, "--to", f"https://{self.CARRIER}", "--pin", ready["fingerprint"], "--listen",
                     "127.0.0.1:7000", "--key-file", f"{self.dir}/key", "--mark", "0xca6c")
        self.write(endpoint="127.0.0.1:7000", more="FwMark = 51820")

    def carrier(self, namespace, *words):
        process = namespace.start(client_net.CULVERT, "carrier", *words, "--json", stdout=-1, stderr=self.log)
        return json.loads(process.stdout.readline())

    def test_it_carries_everything_and_nothing_else_leaves(self):
        watch = client_net.Watch(self, endpoints=())
        explains = watch._explains4
        watch._explains4 = lambda packet: explains(packet) or (
            packet[9] == 6 and packet[16:20] == socket.inet_aton(client_net.SERVER) and packet[22:24] == b"\x20\xfb")
        said = self.connect("--carrier", self.CARRIER)
        self.assertIn("answered within", said.stdout)
        self.assertNotIn("loopback", said.stderr)
        client_net.talk(self.client)
        self.assertTrue(self.reaches(WORLD4) and self.reaches(WORLD6))
        # The same port without the mark, and the mark to another port.
        for port in (8443, 8444):
            done = self.client.run("/usr/bin/python3", "-c", f"import socket; s = socket.socket(); s.settimeout(1)\n"
                                   f"if {port} == 8444: s.setsockopt(1, 36, 51820)\n"
                                   f"s.connect(('{client_net.SERVER}', {port}))", check=False)
            self.assertEqual("Error" in done.stderr or "timed out" in done.stderr, port == 8444, done.stderr)
        self.assertEqual(watch.unexplained(), [])
        self.assertGreater(watch.packets, 5)
        self.disconnect()
        self.assertAsBefore()

    def test_without_it_a_hint_says_what_is_missing(self):
        said = self.connect("--wait", "1", check=False)
        self.assertIn("--carrier ADDRESS:PORT and 'culvert carrier --mark 51820'", said.stderr)
        self.disconnect()
        for word in ("vpn.example:443", SERVER_WITHOUT_PORT):
            self.assertEqual(self.connect("--carrier", word, check=False).returncode, USAGE)


class Ways(client_net.ClientTest):
    def test_a_handshake_that_came_before_the_call_is_an_answer(self):
        with open(self.file, "a", encoding="ascii") as file:
            file.write("PersistentKeepalive = 25\n")
        for _ in range(3):
            self.assertTrue(json.loads(self.connect("--json", "--wait", "2").stdout)["answered"])
            self.disconnect()

    WAYS = f"{client_net.SILENT}:51820,{client_net.SERVER_TOO}:51820"

    def calls(self):
        (seen,) = json.loads(self.status("home").stdout)
        return seen["endpoint"]

    def test_of_several_endpoints_the_one_that_answers_is_used(self):
        said = self.connect("--wait", "1", "--endpoint", self.WAYS).stdout
        self.assertIn(f"{client_net.SERVER_TOO}:51820, which answered within", said)
        self.assertEqual(self.calls(), f"{client_net.SERVER_TOO}:51820")
        self.assertTrue(self.reaches(WORLD4))

    def test_a_comment_of_the_file_names_more_endpoints_and_switch_uses_them(self):
        text = pathlib.Path(self.file).read_text()
        pathlib.Path(self.file).write_text(text + f"# Endpoints = {client_net.SERVER_TOO}:51820\n")
        self.connect()
        first = self.calls()
        self.assertIn("calls", self.culvert("switch", "--state", self.state, "home").stdout)
        self.assertTrue(self.reaches(WORLD4))
        self.assertNotEqual(self.calls(), first)
        # Another address of the same server, which the firewall did not know.
        self.internet.address("eth0", "203.0.113.9/24")
        done = self.culvert("switch", "--state", self.state, "home", "203.0.113.9:51820")
        self.assertEqual(done.stdout, "home calls 203.0.113.9:51820 now\n")
        self.soon(lambda: self.reaches(WORLD4), "a ping by the new endpoint")
        self.assertIn("203.0.113.9:51820", self.journal())
        self.disconnect()
        self.assertAsBefore()
        done = self.culvert("switch", "--state", self.state, "home", check=False)
        self.assertEqual((done.returncode, done.stderr), (FAILED, "culvert switch: home is not connected\n"))

    @staticmethod
    def is_for_soak(name):
        return "falls_silent" in name

    def test_a_server_that_falls_silent_is_left_for_the_next(self):
        self.connect("--endpoint", f"{client_net.SERVER}:51820,{client_net.SERVER_TOO}:51820")
        first = self.calls().split(":")[0]
        self.internet.rules("inet", "filter hook input", f"ip daddr {first} drop", table="dead")
        self.client.start("ping", "-n", "-q", WORLD4)
        self.soon(lambda: self.calls().split(":")[0] != first, "another endpoint", 20)
        self.soon(lambda: self.reaches(WORLD4), "a ping by the other endpoint")


class Scopes(client_net.ClientTest):
    """Part of the traffic only."""

    def way(self, address, uid=None, family="-4"):
        """The interface by which packets to an address leave."""
        words = ["uid", str(uid)] if uid is not None else []
        done = self.client.run("ip", family, "-j", "route", "get", address, *words, check=False)
        return json.loads(done.stdout)[0].get("dev", "none") if done.returncode == 0 else "none"

    def test_a_split_tunnel_takes_its_networks_and_they_leave_no_other_way(self):
        self.connect("--split", f"{WORLD4}/32,10.8.0.0/24")
        self.assertEqual((self.way(WORLD4), self.way("203.0.113.1")), ("home", "eth0"))
        self.assertTrue(self.reaches(WORLD4) and self.reaches("203.0.113.1"))
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: not self.has_link(), "the end of the interface")
        self.assertFalse(self.reaches(WORLD4))
        self.assertTrue(self.reaches("203.0.113.1"), "what is not the tunnel's is not stopped")
        self.disconnect()
        self.assertAsBefore()

    def test_networks_of_the_file_make_a_split_tunnel_and_excluded_ones_stay_beside_a_full_one(self):
        self.write(allowed=f"{WORLD4}/32")
        self.connect()
        self.assertEqual((self.way(WORLD4), self.way("203.0.113.1")), ("home", "eth0"))
        self.disconnect()
        self.write()
        self.connect("--exclude", "203.0.113.0/24")
        self.assertEqual((self.way(WORLD4), self.way("203.0.113.1")), ("home", "eth0"))
        self.assertTrue(self.reaches(WORLD4) and self.reaches("203.0.113.1"))
        self.disconnect()
        self.assertAsBefore()

    def test_two_split_tunnels_that_end_in_any_order_bring_the_first_resolv_conf_back(self):
        hard = self.file.replace("home", "hard")
        self.write(path=hard, address="10.9.0.2/24", dns="DNS = 10.9.0.1")
        for order in (("home", "hard"), ("hard", "home")):
            self.connect("--split", "13.0.0.0/24", "--no-kill-switch")
            said = self.connect("--split", "14.0.0.0/24", "--no-kill-switch", "--wait", "0", file=hard).stdout
            self.assertIn("Name servers stay those of the connection on home.", said)
            self.assertIn("nameserver 10.8.0.1", RESOLV.read_text())
            done = self.connect("--interface", "full", file=hard, check=False)
            self.assertEqual((done.returncode, "home has the name servers" in done.stderr), (FAILED, True), done.stderr)
            self.disconnect(order[0])
            self.assertEqual("nameserver 10.8.0.1" in RESOLV.read_text(), order[0] != "home")
            self.disconnect(order[1])
            self.assertAsBefore(f"after {order}")

    def test_name_servers_that_a_split_tunnel_does_not_lead_to_are_left_out(self):
        for dns, words, used in (("9.9.9.9", ["--split", "13.0.0.0/24"], []),
                                 ("9.9.9.9, 13.0.0.53", ["--split", "13.0.0.0/24"], ["13.0.0.53"]),
                                 ("10.8.0.1", ["--split", "13.0.0.0/24"], ["10.8.0.1"]),
                                 ("9.9.9.9", [], ["9.9.9.9"])):
            self.write(dns=f"DNS = {dns}")
            said = self.connect("--wait", "0", *words).stdout
            self.assertEqual(re.findall(r"nameserver (\S+)", RESOLV.read_text()), used or ["192.168.77.1"])
            self.assertEqual("Name servers stay as they are" in said, not used)
            self.disconnect()
            self.assertAsBefore()

    def test_without_a_kill_switch_a_killed_tunnel_does_not_cut_the_network(self):
        self.connect("--no-kill-switch")
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: not self.has_link(), "the end of the interface")
        self.soon(lambda: self.reaches(WORLD4) and self.reaches(WORLD6), "pings beside it")
        self.disconnect()
        self.assertAsBefore()

    def test_one_users_packets_go_through_the_tunnel_or_nowhere(self):
        self.connect("--only-user", "nobody")
        self.assertEqual((self.way(WORLD4, 65534), self.way(WORLD4, 0)), ("home", "eth0"))
        self.assertEqual(self.way(WORLD6, 65534, "-6"), "home")
        self.assertEqual(RESOLV.read_text(), "# of the tests\nnameserver 192.168.77.1\n")
        sends = ("import os, socket; os.setuid(65534); s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
                 f"s.setsockopt(socket.SOL_SOCKET, 25, b'eth0'); s.sendto(b'x', ('{WORLD4}', 9))")
        done = self.client.run("/usr/bin/python3", "-c", sends, check=False)
        self.assertNotEqual(done.returncode, 0, "a packet of that user beside the tunnel")
        self.disconnect()
        self.assertAsBefore()

    def test_a_cgroups_packets_go_through_the_tunnel_also_when_it_is_made_anew(self):
        root = pathlib.Path("/sys/fs/cgroup")
        if netns.run("mount", "-t", "cgroup2", "none", root, check=False).returncode != 0:
            self.skipTest("control groups of version 2 cannot be mounted here")
        self.addCleanup(netns.run, "umount", root)
        group = root / f"culvert-test-{os.getpid()}"
        group.mkdir()
        self.addCleanup(group.rmdir)
        self.router.rules("inet", "filter hook forward", f"ip daddr {WORLD4} drop")
        for interface in ("all", "default"):
            self.client.sysctl(f"net.ipv4.conf.{interface}.rp_filter", 1)
        self.connect("--only-cgroup", group.name)

        def reaches_inside():
            script = f"echo $$ >{group}/cgroup.procs && exec ping -n -q -c 1 -W 1 {WORLD4}"
            return self.client.run("sh", "-c", script, check=False).returncode == 0

        self.assertTrue(reaches_inside())
        self.assertFalse(self.reaches(WORLD4), "who is not in it goes another way")
        group.rmdir()
        group.mkdir()
        self.soon(reaches_inside, "the cgroup that was made anew")
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: not self.has_link(), "the end of the interface")
        self.router.run("nft", "delete", "table", "inet", "test")
        self.assertTrue(self.reaches(WORLD4))
        self.assertFalse(reaches_inside(), "packets of the cgroup beside a tunnel that died")
        self.disconnect()
        self.assertAsBefore()


class Life(client_net.ClientTest):
    """While it is connected."""

    def test_a_tunnel_process_that_dies_is_started_again_and_nothing_leaves_meanwhile(self):
        self.connect()
        pid = int(re.search(r"^device (\d+)", self.journal(), re.M)[1])
        os.kill(pid, signal.SIGKILL)
        self.soon(lambda: re.search(r"^device (\d+)", self.journal(), re.M)[1] != str(pid), "another tunnel process")
        self.soon(lambda: self.reaches(WORLD4) and self.reaches(WORLD6), "pings through it", 10)
        self.disconnect()
        self.assertAsBefore()

    def has_table(self):
        return "culvert_client_home" in self.client.output("nft", "list", "tables")

    def test_a_firewall_that_is_flushed_or_changed_is_made_again_and_status_tells_what_is_there(self):
        self.connect("--wait", "0")
        made = self.client.output("nft", "-s", "list", "ruleset")
        for words in ("flush ruleset", "insert rule inet culvert_client_home output accept",
                      "add table inet culvert_client_home { flags dormant; }"):
            self.client.run("nft", words)
            self.soon(lambda: self.client.output("nft", "-s", "list", "ruleset") == made, f"our tables after {words}")
        self.assertTrue(json.loads(self.status().stdout)[0]["kill_switch"])
        os.kill(self.keeper(), signal.SIGKILL)
        self.client.run("nft", "flush ruleset")
        self.assertFalse(json.loads(self.status().stdout)[0]["kill_switch"], "there is no table")
        self.disconnect()
        self.assertAsBefore()

    def test_another_network_namespace_takes_nothing_back_and_leaves_a_socket_that_answers(self):
        self.connect("--wait", "0")
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: not self.has_link(), "the end of the interface")
        written = self.journal()
        words = (client_net.CULVERT, "disconnect", "--state", self.state)
        done = self.router.run(*words, "home", check=False)
        self.assertIn("another network namespace", done.stderr)
        done = self.router.run(*words, "--restore", check=False)
        self.assertEqual((done.returncode, done.stderr), (0, "home: left as it was connected in another network namespace\n"))
        self.culvert("disconnect", "--state", self.state, "--restore", "--boot")
        self.assertEqual(self.journal(), written)
        self.assertTrue(self.has_table())
        path = pathlib.Path("/run/wireguard/home.sock")
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(str(path))
            other.listen(5)
            self.disconnect()
            self.assertTrue(path.exists(), "the socket of another process")
            self.assertIn("another process serves", self.connect(check=False).stderr)
        path.unlink()
        self.assertAsBefore()

    def test_name_servers_of_a_dhcp_client_come_back_at_the_end_and_ours_stand_until_then(self):
        self.connect()
        RESOLV.unlink()
        RESOLV.write_text("nameserver 192.0.2.99\n")
        self.soon(lambda: "10.8.0.1" in RESOLV.read_text(), "our name servers", 10)
        self.disconnect()
        self.assertEqual(RESOLV.read_text(), "nameserver 192.0.2.99\n")
        self.before = {**self.before, **{k: v for k, v in client_net.picture(self.client).items() if k.startswith("res")}}
        self.assertAsBefore()

    def test_a_resolv_conf_that_is_mounted_is_written_in_place_and_a_link_comes_back_as_one(self):
        other = pathlib.Path("/run/mounted.conf")
        other.write_text("nameserver 192.0.2.1\n" * 20)
        netns.run("mount", "--bind", other, RESOLV)
        try:
            self.connect("--wait", "0")
            self.assertIn("10.8.0.1", other.read_text())
            self.disconnect()
            self.assertEqual(other.read_text(), "nameserver 192.0.2.1\n" * 20)
        finally:
            netns.run("umount", RESOLV)
        RESOLV.unlink()
        RESOLV.symlink_to("../run/mounted.conf")
        before = client_net.picture(self.client)
        self.connect("--wait", "0")
        self.assertFalse(RESOLV.is_symlink())
        self.disconnect()
        self.assertEqual(client_net.picture(self.client), before)

    def test_in_the_foreground_ctrl_c_disconnects_and_the_service_manager_is_told(self):
        path = f"{os.path.dirname(self.file)}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(20)
            process = self.client.start(client_net.CULVERT, "connect", "--state", self.state, "--service", self.file,
                                        env={**os.environ, "NOTIFY_SOCKET": path})
            self.assertIn(b"READY=1", manager.recv(1000))
            self.assertTrue(self.reaches(WORLD4))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(20), 0)
        self.assertAsBefore()

    def test_after_a_restart_of_the_machine_only_files_are_taken_back(self):
        self.connect()
        path = pathlib.Path(f"{self.state}/client/home.journal")
        written = path.read_text()
        os.kill(self.keeper(), signal.SIGKILL)
        self.soon(lambda: not self.has_link(), "the end of the interface")
        path.write_text(re.sub(r"^(culvert-client 1) \S+", r"\1 another-boot", written))
        rules = self.client.output("ip", "rule")
        self.culvert("disconnect", "--state", self.state, "--restore")
        self.assertEqual(RESOLV.read_text(), "# of the tests\nnameserver 192.168.77.1\n")
        self.assertEqual(self.client.output("ip", "rule"), rules, "this boot's rules are not that boot's")
        path.write_text(written)  # the rest, for real
        self.disconnect()
        self.assertAsBefore()


class Lockdown(client_net.ClientTest):
    def lockdown(self, word, **more):
        return self.culvert("lockdown", "--state", self.state, word, **more)

    def test_nothing_leaves_before_a_connection_during_its_changes_or_after_it(self):
        self.lockdown("on")
        self.assertEqual(self.lockdown("status").stdout, "on\n")
        locked = client_net.picture(self.client)
        watch = client_net.Watch(self)
        client_net.talk(self.client)
        self.assertFalse(self.reaches(WORLD4) or self.reaches("192.168.77.1"))
        done = self.connect("--split", f"{WORLD4}/32", check=False)
        self.assertIn("lockdown is on", done.stderr)
        self.connect()
        self.assertTrue(self.reaches(WORLD4) and self.reaches(WORLD6))
        self.lockdown("on")  # again, as at boot: the connection stays
        self.assertTrue(self.reaches(WORLD4))
        self.disconnect()
        self.assertFalse(self.reaches(WORLD4))
        self.assertEqual(watch.unexplained(), [])
        self.assertEqual(client_net.picture(self.client), locked)
        self.lockdown("off")
        self.assertEqual(self.lockdown("status", check=False).stdout, "off\n")
        self.assertAsBefore()


    def test_it_stops_what_is_no_full_tunnel(self):
        self.connect("--wait", "0", "--split", "10.8.0.0/24")
        self.assertTrue(self.reaches(WORLD4))
        self.assertIn("home is no full tunnel", self.lockdown("on").stderr)
        self.assertFalse(self.reaches(WORLD4) or self.reaches("192.168.77.1"))
        self.client.run("nft", "flush ruleset")
        self.soon(lambda: "culvert_lockdown" in self.client.output("nft", "list", "tables"), "lockdown's table")
        self.disconnect()
        self.assertFalse(self.reaches(WORLD4))
        self.lockdown("off")
        self.assertAsBefore()


class Restore(client_net.ClientTest):
    def test_cycles_leave_nothing(self):
        for number in range(suite.scaled(3, 200)):
            self.connect("--wait", "0")
            self.disconnect()
            self.assertAsBefore(f"after cycle {number}")

    def test_killed_at_any_step_of_connect_all_comes_back(self):
        seed = int(os.environ.get("CULVERT_SEED") or random.SystemRandom().randrange(1 << 32))
        stride = 1 if suite.SOAK else 8
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
        stride = 1 if suite.SOAK else 8
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

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The routing tool, by both of its names, around clients that end well, badly, or not at all.

    [host] eth0 192.0.2.2/24 ──── 192.0.2.1/24 [router] eth1 198.51.100.1/24 ──── [proxy] 198.51.100.9:3128
           eth1 203.0.113.2/24 ── 203.0.113.1/24
           tun0 10.0.0.2/24, made by a client

The clients are programs of the test; what the kernel has before and after is compared word by word.
"""

import json
import os
import pathlib
import signal
import socket
import stat
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "net"))
import netns
import suite
from test_host import CULVERT, is_settled

DONE, FAILED, USAGE, REFUSED, PRIVILEGE = range(5)
FILE, SESSION = "/var/lib/culvert/vpn-routing-backup.txt", "/var/lib/culvert/vpn-routing-session.txt"
ONCE = "/tmp/vpn-routing-backup.txt"
PROXY = "198.51.100.9"

# What a client does: its own device, a default route through it, and then what its last word says.
CLIENT = """#!/bin/sh
printf '%s\\n' "$*" "$VPN_API_KEY" > /run/client.said
ip -4 route show > /run/client.routes
ip link add tun0 type veth peer name tun1 && ip link set tun1 up && ip addr add 10.0.0.2/24 dev tun0 && ip link set tun0 up
ip route del default; ip route add default dev tun0
echo $$ > /run/client.pid
how=$(cat /run/client.how)
case $how in
    end) exit 0 ;;
    fail) exit 7 ;;
    crash) kill -SEGV $$ ;;
    deaf) trap '' TERM INT; while :; do sleep 0.1; done ;;
esac
trap 'ip link del tun0; exit 0' TERM
while :; do sleep 0.1; done
"""


class RoutingTest(suite.NetTest):
    def setUp(self):
        super().setUp()
        for path in ("/var/lib", "/tmp"):
            netns.run("mount", "-t", "tmpfs", "-o", "mode=1777" if path == "/tmp" else "mode=755", "own", path)
            self.addCleanup(netns.run, "umount", path)
        self.host, self.router, self.proxy = (self.net.namespace(n) for n in ("host", "router", "proxy"))
        self.net.link(self.host, "eth0", self.router, "r0", addresses=(("192.0.2.2/24",), ("192.0.2.1/24",)))
        self.net.link(self.host, "eth1", self.router, "r2", addresses=(("203.0.113.2/24",), ("203.0.113.1/24",)))
        self.net.link(self.router, "r1", self.proxy, "p0", addresses=(("198.51.100.1/24",), (f"{PROXY}/24",)))
        self.host.ip("route", "add", "default", "via", "192.0.2.1", "dev", "eth0", "proto", "dhcp", "metric", "100")
        self.proxy.ip("route", "add", "default", "via", "198.51.100.1")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        pathlib.Path("/run/client").write_text(CLIENT)
        os.chmod("/run/client", 0o755)
        self.old = "/run/setup-routing"
        if not os.path.islink(self.old):
            os.symlink(CULVERT, self.old)
        self.soon(lambda: is_settled(self.host), "settled addresses")
        self.before = self.picture()

    def picture(self):
        """Routes, rules and addresses, but for how long they live."""
        found = {}
        for what in (("route", "show", "table", "all"), ("rule",), ("addr",)):
            for family in ("-4", "-6"):
                rows = json.loads(self.host.output("ip", "-j", family, *what) or "[]")
                if what == ("addr",):
                    rows = [(row["ifname"], sorted(a["local"] for a in row["addr_info"])) for row in rows if row]
                found[family, what] = sorted(json.dumps(row, sort_keys=True) for row in rows)
        return found

    def as_before(self):
        self.assertEqual(self.picture(), self.before)

    def call(self, *words, **more):
        done = self.host.run(self.old, *words, check=False, timeout=60, **more)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def own(self, *words):
        done = self.host.run(CULVERT, "routing", *words, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def write(self, text, path=FILE, mode=0o600):
        os.makedirs("/var/lib/culvert", mode=0o700, exist_ok=True)
        pathlib.Path(path).write_text(text)
        os.chmod(path, mode)

    def default(self):
        return self.host.output("ip", "-4", "route", "show", "default").strip()


class Commands(RoutingTest):
    def test_a_backup_has_the_shape_that_people_know_and_is_roots_alone(self):
        code, out = self.call("backup")
        self.assertEqual((code, FILE in out), (DONE, True), out)
        lines = pathlib.Path(FILE).read_text().splitlines()
        self.assertRegex(lines[0], r"^# VPN Routing Backup - \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \w+ \d{4}$")
        self.assertEqual(lines[1:3], ["# Original default route:", "default via 192.0.2.1 dev eth0 proto dhcp metric 100 "])
        self.assertLess(lines.index("# Original iptables rules:"), lines.index("# DNS configuration:"))
        resolvers = pathlib.Path("/etc/resolv.conf").read_text().splitlines()
        self.assertEqual(lines[lines.index("# DNS configuration:") + 1:], resolvers)
        self.assertEqual([stat.S_IMODE(os.stat(p).st_mode) for p in (FILE, os.path.dirname(FILE))], [0o600, 0o700])
        self.assertEqual(self.call("restore")[0], DONE)
        self.as_before()

    def test_restore_brings_back_what_was_changed_and_twice_is_as_once(self):
        self.assertEqual(self.call("backup")[0], DONE)
        self.host.ip("route", "del", "default")
        self.host.ip("link", "add", "tun0", "type", "veth", "peer", "name", "tun1")
        self.host.ip("link", "set", "tun1", "up")
        self.host.ip("addr", "add", "10.0.0.2/24", "dev", "tun0")
        self.host.ip("link", "set", "tun0", "up")
        self.host.ip("route", "add", "default", "dev", "tun0")
        self.assertEqual(self.call("setup")[0], DONE)
        self.assertEqual((self.default(), "10.0.0.0/24 dev tun0" in self.host.output("ip", "route")), ("", True))
        self.host.ip("route", "add", "default", "via", "192.0.2.77", "dev", "eth0")
        for _ in range(2):
            self.assertEqual(self.call("restore"), (DONE, f"✓ Routing restored from {FILE}\n"))
            self.assertEqual(self.default(), "default via 192.0.2.1 dev eth0 proto dhcp metric 100")
            self.assertNotIn("tun0", self.host.output("ip", "route"))
            self.assertNotIn(",UP", self.host.output("ip", "-br", "link", "show", "tun0"))
        self.host.ip("link", "del", "tun0")
        self.as_before()

    def test_a_way_that_ended_meanwhile_is_not_installed_and_the_new_one_stays(self):
        self.assertEqual(self.call("backup")[0], DONE)
        self.host.ip("route", "del", "default")
        self.host.ip("link", "set", "eth0", "down")  # another network since
        self.host.ip("route", "add", "default", "via", "203.0.113.1")
        code, out = self.call("restore")
        self.assertEqual((code, out.startswith("✗ ip: ")), (FAILED, True), out)
        self.assertEqual(self.default(), "default via 203.0.113.1 dev eth1")
        self.host.ip("link", "set", "eth0", "up")
        self.assertEqual(self.call("restore")[0], DONE)  # the other network's stays beside it
        self.assertEqual(self.default().splitlines(), ["default via 203.0.113.1 dev eth1 ",
                                                       "default via 192.0.2.1 dev eth0 proto dhcp metric 100"])

    def test_a_file_of_somebody_else_is_not_believed_and_no_line_is_run(self):
        good = "# VPN Routing Backup\ndefault via 192.0.2.1 dev eth0 metric 5\n"
        code, out = self.call("restore")
        self.assertEqual((code, out), (FAILED, f"Warning: there is no backup: {ONCE}\n"))
        self.write(good, ONCE, 0o644)
        os.chown(ONCE, 65534, 65534)
        self.assertEqual(self.call("restore"), (FAILED, f"✗ {ONCE} does not belong to root alone: it is not believed\n"))
        os.chown(ONCE, 0, 0)
        os.chmod(ONCE, 0o666)
        self.assertEqual(self.call("restore")[0], FAILED)
        os.unlink(ONCE)
        self.write(good, "/run/elsewhere")
        os.symlink("/run/elsewhere", ONCE)
        self.assertEqual(self.own("restore")[0], PRIVILEGE)
        self.as_before()
        os.unlink(ONCE)
        self.write(good, ONCE, 0o644)
        self.assertEqual(self.call("restore")[0], DONE)  # root's own, from the tool of before
        self.assertEqual(self.default(), "default via 192.0.2.1 dev eth0 metric 5")
        for line in ("default via 192.0.2.1 dev eth0; touch /run/pwned", "default via $(touch /run/pwned) dev eth0",
                     "default `touch /run/pwned`", "default via 192.0.2.1 dev eth0 table 9"):
            self.write(f"# VPN Routing Backup\n{line}\n")
            code, _, err = self.own("restore")
            self.assertEqual((code, f"{FILE}, line 2: " in err), (REFUSED, True), err)
        self.assertFalse(os.path.exists("/run/pwned"))
        self.assertEqual(self.default(), "default via 192.0.2.1 dev eth0 metric 5")

    def test_test_show_help_and_what_is_none(self):
        with self.proxy:
            listener = socket.create_server((PROXY, 3128))
        self.addCleanup(listener.close)
        self.assertEqual(self.call("test", PROXY, "3128"), (DONE, f"✓ Can connect to {PROXY}:3128\n"))
        code, out = self.call("test", PROXY, "3129")
        self.assertEqual((code, out.startswith(f"✗ Cannot connect to {PROXY}:3129")), (FAILED, True), out)
        self.proxy.rules("inet", "filter hook input", "tcp dport 3130 drop")
        began = time.monotonic()
        self.assertEqual(self.call("test", PROXY, "3130")[0], FAILED)
        self.assertGreater(time.monotonic() - began, 4)
        code, out = self.call("show")
        self.assertEqual(code, DONE)
        for word in ("default via 192.0.2.1 dev eth0", "NAT rules:", "eth1"):
            self.assertIn(word, out)
        self.assertEqual(self.call("setup"), (DONE, "tun0 is not there: nothing to do\n"))
        self.assertEqual(self.call("help")[0], DONE)
        for words in ((), ("fly",), ("start", "x"), ("test", "x"), ("backup", "x")):
            code, out = self.call(*words)
            self.assertEqual((code, out.startswith("Usage: setup-routing")), (FAILED, True), words)
            self.assertEqual(self.own(*words)[0], USAGE)
        nobody = ("setpriv", "--reuid", "65534", "--clear-groups")
        done = self.host.run(*nobody, CULVERT, "routing", "backup", check=False)
        self.assertEqual((done.returncode, "as root" in done.stderr), (PRIVILEGE, True), done)
        self.as_before()


class Start(RoutingTest):
    def begin(self, how, *more):
        pathlib.Path("/run/client.how").write_text(how)
        for name in ("pid", "said", "routes"):
            pathlib.Path(f"/run/client.{name}").unlink(missing_ok=True)
        process = self.host.start(self.old, "start", PROXY, "3128", *more, "--client", "/run/client", stdout=self.log, stderr=self.log)
        self.addCleanup(process.kill)
        self.soon(lambda: os.path.exists("/run/client.pid") and pathlib.Path("/run/client.pid").read_text(), "the client", 20)
        return process

    def settled(self):
        self.soon(lambda: not os.path.exists(SESSION), "the routes", 30)
        if "tun0" in self.host.output("ip", "link"):
            self.host.ip("link", "del", "tun0")
        self.as_before()

    def test_a_client_that_ends_leaves_the_routes_as_they_were(self):
        for how, code in (("end", DONE), ("fail", FAILED), ("crash", FAILED)):
            process = self.begin(how, "secret")
            self.assertEqual(process.wait(30), code)
            self.settled()
            self.assertEqual(pathlib.Path("/run/client.said").read_text(), f"connect --foreground --connect-proxy {PROXY}:3128\nsecret\n")
            self.assertIn(f"{PROXY} via 192.0.2.1 dev eth0", pathlib.Path("/run/client.routes").read_text())

    def test_a_signal_ends_the_client_and_brings_the_routes_back(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.begin("wait")
            self.assertEqual(self.default(), "default dev tun0 scope link")
            process.send_signal(number)
            self.assertEqual(process.wait(30), DONE)
            self.settled()

    def test_who_is_killed_is_tidied_up_after_even_if_nobody_is_left_to_do_it(self):
        process = self.begin("wait")
        process.kill()
        process.wait()
        self.settled()
        process = self.begin("deaf")
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self.assertEqual(len(children), 2)
        for pid in (*children, process.pid):  # guard, client, and who waits for them
            os.kill(int(pid), signal.SIGKILL)
        process.wait()
        self.assertTrue(os.path.exists(SESSION))
        self.host.ip("link", "del", "tun0")
        code, out = self.call("backup")  # of what there is now would lose what there was
        self.assertEqual((code, "restore first" in out), (FAILED, True), out)
        self.assertEqual(self.begin("end").wait(30), DONE)  # begins by tidying up
        self.settled()

    def test_a_server_that_cannot_be_is_refused_before_anything_is_changed(self):
        for words in (("x.invalid", "3128"), (PROXY, "0"), (PROXY, "x"), (PROXY, "65536"), ("-x", "1"), ("a b", "1")):
            self.assertEqual(self.call("start", *words, "--client", "/run/client")[0], FAILED)
        self.assertFalse(os.path.exists(FILE))
        done = self.host.run(self.old, "start", PROXY, "3128", "--client", "/run/none", check=False)
        self.assertEqual((done.returncode, done.stderr), (FAILED, "culvert routing: /run/none: No such file or directory\n"))
        self.settled()


if __name__ == "__main__":
    suite.main()

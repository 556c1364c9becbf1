#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that people use, through a gateway of nobody: no capability, no /dev/net/tun, a read-only root.

    [client] ──── [gateway] ──── [world] 198.51.100.2, 2001:db8:1::2 ──── [far] 203.0.113.9, 2001:db8:2::9

tests/system/test_usernet.py draws the rest. What runs in the world is what runs anywhere: git's own server, an SSH
server, iperf3, a web server. The client is wireguard-go, and then our own.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import suite  # noqa: E402
import test_usernet  # noqa: E402
from test_usernet import MEGABYTE, OWN4, OWN6, UDP, WORLD4, WORLD6, UsernetTest, dns_answer, dns_query  # noqa: E402

BOTH = (WORLD4, WORLD6)
KEY = "/run/key"
SSH = ("ssh", "-n", "-i", KEY, "-oBatchMode=yes", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null",
       "-oLogLevel=ERROR")
SSHD = ('mount -t tmpfs -o mode=700 none /root && mkdir -m 700 /root/.ssh && cp "$1.pub" /root/.ssh/authorized_keys && '
        'exec dropbear -F -E -s -r "$2" -p "$3:22"')
WITH_RESOLVER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def bracketed(address):
    return f"[{address}]" if ":" in address else address


class Programs(UsernetTest):
    client_kind = "culvert"

    def setUp(self):
        super().setUp()
        self.soon(lambda: self.pings(self.client, WORLD4, timeout=1), "a ping through it", 20)

    def need_programs(self, *names):
        for name in names:
            if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
                self.skipTest(f"{name} is not installed")

    def start_in_world(self, *command):
        return self.world.start(*command, stdout=self.log, stderr=self.log)

    def succeeds(self, *command, what, timeout=10):
        """Its server may need a moment."""
        return self.soon(lambda: (done := self.client.run(*command, check=False)).returncode == 0 and done, what, timeout)

    def test_curl_by_address_and_by_name(self):
        self.need_programs("curl")
        os.makedirs("/run/www", exist_ok=True)
        content = os.urandom(3 * MEGABYTE)
        pathlib.Path("/run/www/file").write_bytes(content)
        self.answer_queries()
        for address in BOTH:
            self.start_in_world(sys.executable, "-m", "http.server", "-d", "/run/www", "-b", address, "80")
            self.succeeds("curl", "-gsfo", "/run/got", f"http://{bracketed(address)}/file", what=f"curl from {address}")
            self.assertTrue(pathlib.Path("/run/got").read_bytes() == content, "another file")
        for options, own in (("", OWN4), ("options use-vc\n", OWN6)):  # by UDP, by TCP
            pathlib.Path("/run/resolv.conf").write_text(f"nameserver {own}\n{options}")
            self.client.run("unshare", "-m", "sh", "-c", WITH_RESOLVER, "sh", "/run/resolv.conf", "curl", "-4sfo", "/run/got",
                            "http://example.com/file")

    def answer_queries(self):
        """Every name is the world's."""
        def answer(query):
            return dns_answer(query)[:-4] + bytes(int(n) for n in WORLD4.split("."))

        def by_udp(s):
            while True:
                try:
                    query, peer = s.recvfrom(1000)
                    s.sendto(self.without_address(query) if query[-3] == 28 else answer(query), peer)
                except OSError:
                    return

        def by_tcp(s):
            with s:
                while head := s.recv(2):
                    query = s.recv(int.from_bytes(head, "big"))
                    reply = self.without_address(query) if query[-3] == 28 else answer(query)
                    s.sendall(len(reply).to_bytes(2, "big") + reply)

        self.serve(WORLD4, by_udp, UDP, 53)
        self.serve(WORLD4, by_tcp, port=53)

    @staticmethod
    def without_address(query):
        """There is none of that kind (AAAA)."""
        return query[:2] + b"\x81\x80" + query[4:6] + bytes(6) + query[12:query.index(b"\0", 12) + 5]

    def test_git_clones(self):
        self.need_programs("git")
        run = lambda *words: subprocess.run(["git", "-C", "/run/repository", *words], check=True, stdout=self.log,
                                            stderr=self.log)
        os.makedirs("/run/repository", exist_ok=True)
        run("init", "-q")
        pathlib.Path("/run/repository/file").write_bytes(os.urandom(MEGABYTE))
        run("add", "file")
        run("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "a file")
        self.start_in_world("git", "daemon", "--export-all", "--reuseaddr", "--base-path=/run")
        for number, address in enumerate(BOTH):
            self.succeeds("git", "clone", "-q", f"git://{bracketed(address)}/repository", f"/run/clone{number}",
                          what=f"a clone from {address}")
            self.assertTrue(pathlib.Path(f"/run/clone{number}/file").read_bytes() ==
                            pathlib.Path("/run/repository/file").read_bytes())
            shutil.rmtree(f"/run/clone{number}")
        shutil.rmtree("/run/repository")

    def test_ssh_logs_in_and_carries_a_file(self):
        self.need_programs("ssh", "ssh-keygen", "dropbear", "dropbearkey")
        for command in (("ssh-keygen", "-qt", "ed25519", "-N", "", "-f", KEY), ("dropbearkey", "-t", "ed25519", "-f", "/run/host")):
            if not os.path.exists(command[-1]):
                subprocess.run(command, check=True, stdout=self.log, stderr=self.log)
        for address in BOTH:
            self.start_in_world("unshare", "-m", "sh", "-c", SSHD, "sh", KEY, "/run/host", bracketed(address))
            done = self.succeeds(*SSH, f"root@{address}", "echo $SSH_CONNECTION; head -c 2000000 /dev/zero | sha256sum",
                                 what=f"ssh to {address}")
            came_from, digest = done.stdout.split("\n")[:2]
            self.assertIn(f" {address} 22", came_from)
            self.assertEqual(digest.split()[0], hashlib.sha256(bytes(2_000_000)).hexdigest())

    def test_traceroute_names_every_hop_and_ping_the_last(self):
        self.need_programs("traceroute")
        test_usernet.Carries.beyond(self)
        for family, hops in (("-4", (OWN4, WORLD4, "203.0.113.9")), ("-6", (OWN6, WORLD6, "2001:db8:2::9"))):
            self.soon(lambda t=hops[-1]: self.pings(self.client, t), f"a ping to {hops[-1]}")
            for kind in ((), ("-I",)):  # by UDP, by echo
                text = self.client.output("traceroute", family, "-n", "-q1", "-w3", "-N1", "-m5", *kind, hops[-1])
                seen = [line.split()[1] for line in text.splitlines()[1:]]
                self.assertEqual(tuple(seen), hops, text)

    def iperf3(self, *words):
        """Its report. Until a server that was just started listens, it is refused."""
        def measured():
            report.update(json.loads(self.client.run("iperf3", "-Jc", *words, check=False).stdout))
            return "refused" not in report.get("error", "") or report.clear()
        report = {}
        self.soon(measured, f"iperf3 {words}", 20)
        return report

    def test_iperf3_measures_both_ways(self):
        self.need_programs("iperf3")
        for address in BOTH:
            for words in ((), ("-R",), ("-u", "-b", "20M")):
                self.start_in_world("iperf3", "-s", "-1", "-B", address)
                much = ("-t", "1") if "-u" in words else ("-n", "16M")
                report = self.iperf3(address, *much, *words)
                self.assertNotIn("error", report)
                total = report["end"].get("sum_received") or report["end"]["sum"]
                self.assertGreater(total["bytes"], 0)
                print(f"# {address} {' '.join(words)}: {total['bits_per_second'] / 1e6:.0f} Mbit/s", flush=True)

    def test_files_arrive_unharmed_in_either_direction(self):
        size = suite.scaled(256, 10 * 1024) * MEGABYTE
        self.moved(self.client, self.world, WORLD4, size, 1800)
        self.assertEqual(*test_usernet.Carries.fetched(self, WORLD4, size), "download")
        self.moved(self.client, self.world, WORLD6, size // 16, 600)
        self.assertEqual(*test_usernet.Carries.fetched(self, WORLD6, size // 16), "download over IPv6")


class ProgramsOfAnother(Programs):
    """Their client, in the place of ours."""

    client_kind = "wireguard-go"

    def is_for_soak(self, name):
        return "files_arrive" in name or "iperf3" in name


suite.main()

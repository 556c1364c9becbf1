#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""culvert doctor --host: each finding is provoked, and gone when its reason is.

    [host]  lo, and what a test puts there
"""

import ctypes
import json
import os
import pathlib
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import netns
import suite

CULVERT = os.path.abspath(os.environ.get("CULVERT", "build/culvert"))
TIME_ERROR = 5


RESOLVER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    query, source = s.recvfrom(512)
    s.sendto(bytes([query[0] ^ (sys.argv[2] == "lies"), query[1]]) + b"\\x81\\x80" + query[4:], source)
"""


def resolver(namespace, address="127.0.0.1", manner="answers"):
    """Answers whatever it is asked; one that lies, to a question that nobody asked."""
    process = namespace.start(sys.executable, "-c", RESOLVER, address, manner, stdout=subprocess.PIPE)
    process.stdout.readline()


class Doctor(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.host = self.net.namespace("host")
        self.host.sysctl("net.ipv4.ip_forward", 1)
        self.host.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.host.sysctl("net.ipv4.conf.all.rp_filter", 0)
        self.host.sysctl("net.ipv4.conf.default.rp_filter", 0)
        self.cover("/etc/resolv.conf", "# the only one\nnameserver 127.0.0.1\n")
        resolver(self.host)

    def cover(self, path, text):
        """Put another file over a file, in the mounts of this test."""
        other = f"/run/{os.path.basename(path)}"
        with open(other, "w") as f:
            f.write(text)
        netns.run("mount", "--bind", other, path)
        self.addCleanup(netns.run, "umount", path)

    def findings(self, *words):
        result = self.host.run(CULVERT, "doctor", "--host", "--json", *words, check=False)
        found = [f for f in json.loads(result.stdout)["findings"] if f["about"] != "clock"]
        if found:
            self.assertEqual(result.returncode, 3)
        return [(f["about"], f["text"]) for f in found]

    def one(self, about, part, *words):
        found = self.findings(*words)
        self.assertEqual([f[0] for f in found], [about], found)
        self.assertIn(part, found[0][1])

    def test_a_good_host_has_no_finding(self):
        self.assertEqual(self.findings(), [])

    def test_the_clock_is_judged_as_the_kernel_does(self):
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
        found = json.loads(self.host.run(CULVERT, "doctor", "--host", "--json", check=False).stdout)["findings"]
        self.assertEqual([f["about"] for f in found], ["clock"] if state == TIME_ERROR else [])

    def test_forwarding_that_is_off_is_found_for_each_family(self):
        self.host.sysctl("net.ipv4.ip_forward", 0)
        self.one("forwarding", "IPv4")
        self.host.sysctl("net.ipv4.ip_forward", 1)
        self.host.sysctl("net.ipv6.conf.all.forwarding", 0)
        self.one("forwarding", "IPv6")

    def test_a_strict_reverse_path_filter_is_found(self):
        self.host.sysctl("net.ipv4.conf.all.rp_filter", 1)
        self.one("rp_filter", "conf/all/rp_filter=2")
        self.host.sysctl("net.ipv4.conf.default.rp_filter", 2)
        self.assertEqual(self.findings(), [], "the greater one counts")

    def test_a_port_in_use_is_found(self):
        with self.host:
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(("::", 5100))
        self.one("port", "in use", "--port", "5100")
        s.close()
        self.assertEqual(self.findings("--port", "5100"), [])

    def test_a_port_that_a_tunnel_does_not_serve_is_found(self):
        device = self.device(self.host, "tun0")
        self.one("port", "closed", "--port", "5100", "tun0")
        device.configure(listen_port=5100)
        device.up("10.9.0.1/24")
        self.soon(lambda: self.findings("--port", "5100", "tun0") == [], "the port is served")

    def test_an_interface_of_another_program_is_found(self):
        self.host.ip("tuntap", "add", "wg0", "mode", "tun")
        self.one("interface", "not a tunnel of ours", "wg0")
        self.host.ip("link", "delete", "wg0")
        self.assertEqual(self.findings("--port", "5100"), [])

    def test_resolvers_that_do_not_answer_are_found(self):
        for text, part in (("nameserver 127.0.0.2\n", "127.0.0.2"), ("search example\n", "names no resolver")):
            with open("/run/resolv.conf", "w") as f:
                f.write(text)
            self.one("dns", part)
        resolver(self.host, "127.0.0.2", "lies")
        with open("/run/resolv.conf", "w") as f:
            f.write("nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
        self.one("dns", "127.0.0.2")

    def test_a_missing_device_and_a_missing_program_are_found(self):
        netns.run("mount", "-t", "tmpfs", "empty", "/dev/net")
        try:
            self.one("modules", "modprobe tun")
        finally:
            netns.run("umount", "/dev/net")
        self.cover(os.path.realpath("/usr/sbin/nft"), "no program")
        self.one("modules", "install nftables")

    def test_an_api_that_cannot_be_reached_is_found(self):
        with self.host:
            s = socket.create_server(("127.0.0.1", 0))
        where = "127.0.0.1:%d" % s.getsockname()[1]
        self.assertEqual(self.findings("--api", where), [])
        s.close()
        self.one("api", where, "--api", where)
        self.one("api", "nonsense", "--api", "nonsense")

    def test_a_gateway_that_left_its_socket_is_found(self):
        os.makedirs("/run/state", exist_ok=True)
        s = socket.socket(socket.AF_UNIX)
        s.bind("/run/state/gateway.sock")
        s.listen()
        self.assertEqual(self.findings("--state", "/run/state"), [])
        s.close()
        self.one("api", "gateway.sock", "--state", "/run/state")
        os.unlink("/run/state/gateway.sock")
        self.assertEqual(self.findings("--state", "/run/state"), [])
        with open("/run/state/culvert.db", "w"):
            pass
        self.one("gateway", "does not run", "--state", "/run/state")


if __name__ == "__main__":
    suite.main()

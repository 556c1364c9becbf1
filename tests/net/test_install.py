#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts in place, and that it works from there.

    [host] quick0 (culvert-quick)
"""

import atexit
import functools
import os
import pathlib
import subprocess
import tempfile

import netns
import suite
import tunnel

BUILD = pathlib.Path(os.environ["CULVERT"]).resolve().parent


@functools.cache
def installed():
    """Install once, into a directory of its own: that directory, and what is below the prefix."""
    keep = tempfile.TemporaryDirectory(prefix="culvert-install-")
    atexit.register(keep.cleanup)
    top = pathlib.Path(keep.name)
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", top], check=True,
                   stdout=subprocess.DEVNULL)
    prefix = next(top.rglob("bin/culvert")).parent.parent
    return top, prefix, {str(path.relative_to(prefix)): path for path in top.rglob("*") if not path.is_dir()}


class Install(suite.NetTest):
    def setUp(self):
        super().setUp()
        self.top, self.prefix, self.files = installed()

    def test_puts_programs_pages_and_units_in_place(self):
        for name in ("bin/culvert", "bin/culvert-device", "bin/culvert-quick",
                     "lib/systemd/system/culvert-gateway.service", "lib/systemd/system/culvert-device@.service",
                     "lib/systemd/system/culvert-gateway@.service", "lib/systemd/system/culvert-proxy.service",
                     "lib/sysusers.d/culvert.conf",
                     "share/doc/culvert/wg-quick@.service.d-culvert.conf"):
            self.assertIn(name, self.files)
        if any("man/" in name for name in self.files):
            for page in ("culvert.1", "culvert-keys.1", "culvert-conf.1", "culvert-qr.1", "culvert-device.8",
                         "culvert-gateway.8", "culvert.conf.5"):
                self.assertIn(f"share/man/man{page[-1]}/{page}", self.files)

    def test_units_name_programs_that_were_installed(self):
        for name, path in self.files.items():
            if not name.endswith((".service", ".conf")):
                continue
            for line in path.read_text().splitlines():
                if line.startswith("Exec") and line.split("=", 1)[1]:
                    program = line.split("=", 1)[1].split()[0].lstrip("+")
                    top = "" if program.startswith("/bin/") else self.top  # mkdir, kill
                    self.assertTrue(os.access(f"{top}{program}", os.X_OK), f"{name}: {line}")

    def test_the_gateway_finds_its_module_where_it_was_installed(self):
        prefix = "/" + str(self.prefix.relative_to(self.top))
        os.makedirs(prefix, exist_ok=True)
        script = 'mount --bind "$0" "$1" && exec "$1/bin/culvert" gateway peer --help'
        said = subprocess.run(["unshare", "--mount", "sh", "-c", script, self.prefix, prefix],
                              capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("culvert gateway peer add", said.stdout)

    def test_culvert_device_is_the_device_command(self):
        said = subprocess.run([self.prefix / "bin/culvert-device", "--help"], check=True,
                              capture_output=True, text=True).stdout
        self.assertIn("culvert device", said)

    def test_culvert_quick_brings_a_tunnel_up_and_takes_it_down(self):
        host = self.net.namespace("host")
        private, public = tunnel.keypair()
        conf = self.top / "quick0.conf"
        conf.write_text(f"[Interface]\nPrivateKey = {private}\nAddress = 10.7.0.1/24, fd07::1/64\nListenPort = 51900\n"
                        f"[Peer]\nPublicKey = {tunnel.keypair()[1]}\nAllowedIPs = 10.8.0.0/24\n")
        conf.chmod(0o600)
        environment = dict(os.environ, WG_QUICK_USERSPACE_IMPLEMENTATION="false")  # no way round ours
        host.run(self.prefix / "bin/culvert-quick", "up", conf, env=environment)
        try:
            self.assertEqual(host.output("wg", "show", "quick0", "public-key").strip(), public)
            self.assertIn("10.7.0.1/24", host.output("ip", "address", "show", "quick0"))
            self.assertIn("10.8.0.0/24", host.output("ip", "route"))
            self.assertIn("tun", host.output("ip", "-d", "link", "show", "quick0"))
        finally:
            host.run(self.prefix / "bin/culvert-quick", "down", conf)
        self.soon(lambda: host.run("ip", "link", "show", "quick0", check=False).returncode != 0, "the interface to go")
        self.soon(lambda: not os.path.exists("/run/wireguard/quick0.sock"), "the socket to go")


suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The units below a service manager: do the fences fit what is inside?

    ┌─ namespaces, a root of its own over this one ───────────────┐
    │  systemd ──── culvert-gateway.service, culvert-gateway@wg1, │
    │               culvert-device@wg7                            │
    └─────────────────────────────────────────────────────────────┘

systemd is the first process there. What it writes is in memory, and gone with it. Skipped where it does not start.
"""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import netns
import suite

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CULVERT = pathlib.Path(os.environ.get("CULVERT", "build/culvert")).resolve()
SYSTEMD = "/lib/systemd/systemd"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
BIN = "/usr/local/bin"
# As packaging/meson.build has them.
GATEWAY = {"state": "/var/lib/culvert", "options": "", "of": ""}
INSTANCE = {"state": "/var/lib/culvert-%i", "options": " --interface %i", "of": " for %i"}

# Before systemd: $1 the directory to build in, $2 whether control groups are of version 2.
ROOM = r"""
set -e
mount --make-rprivate /
mkdir -p "$1"; mount -t tmpfs room "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ "$2" = yes ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 cgroups sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/devices
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup -o devices cgroup sys/fs/cgroup/devices
fi
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
mount -t tmpfs -o mode=755 dev dev
mkdir dev/net dev/shm dev/pts dev/mqueue dev/hugepages
mount -t tmpfs shm dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/net/tun c 10 200
printf '[Unit]\nDescription=Nothing\n' > etc/systemd/system/probe.target
mkdir -p old
pivot_root . old
umount -l /old
export container=other
exec /lib/systemd/systemd --system --unit=probe.target --log-target=null
"""


class Booted:
    """systemd in a room of its own."""

    def __init__(self):
        name, unified = f"culvert-units-{os.getpid()}", (CGROUPS / "cgroup.controllers").exists()
        self.groups = [CGROUPS / name] if unified else [CGROUPS / c / name for c in ("systemd", "devices")]
        self.log = open("/run/units.log", "w+")
        for group in self.groups:
            group.mkdir()
        joins = "".join(f"echo $$ > {group}/cgroup.procs; " for group in self.groups)
        self.process = subprocess.Popen(
            ["sh", "-c", joins + 'exec unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup sh -c "$0" sh "$@"',
             ROOM, "/run/room", "yes" if unified else "no"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.pid = None

    def wait(self):
        """Return: whether it runs."""
        def find():
            if self.process.poll() is not None:
                raise OSError(self.text())
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.pid = children[0] if children else None
            return self.pid and self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
                "running", "degraded")
        try:
            netns.wait_until(find, 20)
        except (TimeoutError, OSError):
            return False
        return True

    def text(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def run(self, *words, **options):
        return netns.run("nsenter", "-t", self.pid, "-m", "-p", "-u", "-i", "-n", "-C", *words, **{"timeout": 40, **options})

    def put(self, path, text):
        self.run("tee", path, input=text)

    def close(self):
        netns.stop(self.process, signal.SIGKILL)
        self.log.close()
        for group in self.groups:
            for _ in range(100):  # the last process may still be on its way out
                try:
                    for inner in sorted(group.rglob("*/"), key=lambda p: -len(p.parts)):
                        inner.rmdir()
                    group.rmdir()
                    break
                except OSError:
                    time.sleep(0.05)


class Units(suite.NetTest):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0 or not os.path.exists(SYSTEMD):
            self.skipTest("no systemd, or not root")
        try:
            self.room = Booted()
        except OSError as error:
            self.skipTest(f"no control groups of our own: {error.strerror}")
        self.addCleanup(self.room.close)
        if not self.room.wait():
            self.skipTest("systemd does not start here: " + self.room.text().strip()[-200:].replace("\n", "; "))
        for path in (CULVERT, CULVERT.parent / "culvert-gateway.so"):
            # Through descriptors: the room may not see where the program was built.
            with open(path, "rb") as program:
                self.room.run("dd", f"of={BIN}/{path.name}", "bs=1M", stdin=program)
            self.room.run("chmod", "755", f"{BIN}/{path.name}")
        self.room.put("/run/users.conf", (ROOT / "packaging/sysusers/culvert.conf").read_text())
        self.room.run("systemd-sysusers", "/run/users.conf")
        for unit, source, words in (("culvert-carrier.service", "culvert-carrier.service", {}),
                                    ("culvert-proxy.service", "culvert-proxy.service", {}),
                                    ("culvert-client-restore.service", "culvert-client-restore.service", {}),
                                    ("culvert-lockdown.service", "culvert-lockdown.service", {}),
                                    ("culvert-gateway.service", "culvert-gateway.service", GATEWAY),
                                    ("culvert-gateway@.service", "culvert-gateway.service", INSTANCE),
                                    ("culvert-device@.service", "culvert-device@.service", {})):
            text = (ROOT / f"packaging/systemd/{source}.in").read_text()
            for name, value in {"bindir": BIN, **words}.items():
                text = text.replace(f"@{name}@", value)
            self.room.put(f"/etc/systemd/system/{unit}", text)
        self.room.run("systemctl", "daemon-reload")
        self.room.run("ip", "link", "set", "lo", "up")

    def show(self, unit, key):
        return self.room.run("systemctl", "show", "-P", key, unit).stdout.strip()

    def start(self, unit, verb="start"):
        done = self.room.run("systemctl", verb, unit, check=False)
        self.assertEqual(done.returncode, 0, done.stderr + self.room.run("systemctl", "status", "-l", "--no-pager", unit,
                                                                         check=False).stdout + self.room.text()[-2000:])
        self.assertEqual(self.show(unit, "ActiveState"), "active")

    def children(self, unit):
        return set(self.room.run("cat", f"/proc/{self.show(unit, 'MainPID')}/task/{self.show(unit, 'MainPID')}/children")
                   .stdout.split())

    def peers(self, *words):
        return self.room.run(f"{BIN}/culvert", "gateway", "peer", *words).stdout

    def test_the_gateway_lives_behind_its_fences_and_a_reload_replaces_it(self):
        unit = "culvert-gateway.service"
        self.start(unit)
        self.peers("add", "phone")
        self.assertEqual(self.room.run("wg", "show", "wg0", "peers").stdout.count("\n"), 1)
        self.assertIn("culvert_wg0", self.room.run("nft", "list", "tables").stdout)
        self.assertEqual(self.room.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip(), "1")
        main, children = self.show(unit, "MainPID"), self.children(unit)
        for _ in range(2):
            self.start(unit, "reload")
            self.assertEqual(self.show(unit, "MainPID"), main)
            self.assertFalse(children & self.children(unit))
            children = self.children(unit)
            self.assertIn("phone", self.peers("list"))
        self.room.run("kill", "-KILL", main)
        self.soon(lambda: self.show(unit, "ActiveState") == "active" and self.show(unit, "MainPID") != main,
                  "it is started again", 30)
        self.assertIn("phone", self.peers("list"))
        self.room.run("systemctl", "stop", unit)
        self.assertEqual(self.show(unit, "Result"), "success")
        self.assertEqual(self.room.run("nft", "list", "tables").stdout, "")
        self.assertEqual(self.room.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip(), "0")

    def test_taking_back_what_connections_left_runs_behind_its_fences(self):
        unit = "culvert-client-restore.service"
        self.room.run("mkdir", "-p", "-m", "700", "/var/lib/culvert/client")
        self.start(unit)
        self.assertEqual((self.show(unit, "Result"), self.show(unit, "ExecMainStatus")), ("success", "0"))

    def test_nothing_leaves_once_the_lockdown_was_started_behind_its_fences(self):
        unit = "culvert-lockdown.service"
        self.room.run("mkdir", "-p", "-m", "700", "/var/lib/culvert")
        self.assertEqual(self.room.run("nft", "list", "tables").stdout, "")
        self.start(unit)
        self.assertIn("lockdown", self.room.run("nft", "list", "tables").stdout)
        self.room.run("systemctl", "stop", unit)
        self.assertIn("lockdown", self.room.run("nft", "list", "tables").stdout, "stopping it opens nothing")
        self.room.run(f"{BIN}/culvert", "lockdown", "off")
        self.assertEqual(self.room.run("nft", "list", "tables").stdout, "")

    def test_a_second_interface_has_a_gateway_beside_the_first(self):
        one, other, state = "culvert-gateway.service", "culvert-gateway@wg1.service", "/var/lib/culvert-wg1"
        self.room.run("mkdir", "-m", "700", state)
        self.room.put(f"{state}/culvert.conf", "[gateway]\nport = 51821\nsubnet4 = 10.20.0.0/24\n"
                      "subnet6 = fd00:20::/64\n[listen]\ngateway = http://127.0.0.1:8010\n")
        self.start(one)
        self.start(other)
        self.assertIn("culvert-gateway@.service", self.show(other, "FragmentPath"))
        self.peers("add", "phone")
        self.peers("add", "laptop", "--state", state)
        self.assertNotIn("phone", self.peers("list", "--state", state))
        listed = {name: self.room.run("wg", "show", name, "allowed-ips").stdout for name in ("wg0", "wg1")}
        self.assertIn("10.20.0.", listed["wg1"])
        self.assertNotIn("10.20.0.", listed["wg0"])
        self.assertEqual(self.room.run("wg", "show", "wg1", "listen-port").stdout.strip(), "51821")
        self.room.run("systemctl", "stop", one)
        self.assertIn("laptop", self.peers("list", "--state", state))
        self.assertEqual(self.room.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip(), "1", "wg1 wants it still")
        self.room.run("systemctl", "stop", other)
        self.assertEqual([self.show(unit, "Result") for unit in (one, other)], ["success"] * 2)
        self.assertEqual(self.room.run("nft", "list", "tables").stdout, "")
        self.assertEqual(self.room.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip(), "0")

    def test_a_carrier_lives_behind_its_fences_without_any_right(self):
        unit = "culvert-carrier.service"
        self.room.run("mkdir", "-p", "/etc/culvert")
        self.room.put("/etc/culvert/carrier.keys", f"anna {'0' * 64}\n")
        self.room.run("chgrp", "culvert-carrier", "/etc/culvert/carrier.keys")
        self.room.run("chmod", "640", "/etc/culvert/carrier.keys")
        self.start(unit)
        status = dict(line.split(":", 1) for line in
                      self.room.run("cat", f"/proc/{self.show(unit, 'MainPID')}/status").stdout.splitlines())
        self.assertEqual(set(status["Uid"].split()), {self.room.run("id", "-u", "culvert-carrier").stdout.strip()})
        self.assertEqual((int(status["CapEff"], 16), status["Seccomp"].strip()), (0, "2"))
        self.assertIn(":443", self.room.run("ss", "-Hltn").stdout)
        main = self.show(unit, "MainPID")
        self.start(unit, "reload")
        self.assertEqual(self.show(unit, "MainPID"), main)
        self.room.run("systemctl", "stop", unit)
        self.assertEqual(self.show(unit, "Result"), "success")

    def test_a_tunnel_lives_behind_its_fences_as_a_user_of_its_own(self):
        unit = "culvert-device@wg7.service"
        self.start(unit)
        uid = self.room.run("id", "-u", "culvert-device").stdout.strip()
        status = dict(line.split(":", 1) for line in
                      self.room.run("cat", f"/proc/{self.show(unit, 'MainPID')}/status").stdout.splitlines())
        self.assertEqual(set(status["Uid"].split()), {uid})
        self.assertEqual(int(status["CapEff"], 16), 1 << 10 | 1 << 13, "CAP_NET_BIND_SERVICE and CAP_NET_RAW")
        self.room.run("wg", "set", "wg7", "listen-port", "777", "fwmark", "7")
        self.room.run("ip", "link", "set", "wg7", "up")
        self.soon(lambda: ":777" in self.room.run("ss", "-Hlun").stdout, "the port")
        self.assertEqual(self.room.run("wg", "show", "wg7", "fwmark").stdout.strip(), "0x7")
        if shutil.which("awg"):
            self.room.run("awg", "show", "wg7")
        self.room.run("systemctl", "stop", unit)
        self.assertEqual(self.show(unit, "Result"), "success")
        self.assertNotEqual(self.room.run("ip", "link", "show", "wg7", check=False).returncode, 0)
        self.assertEqual(self.room.run("ls", "/run/wireguard", "/run/amneziawg").stdout.split(),
                         ["/run/amneziawg:", "/run/wireguard:"])

    def test_a_proxy_lives_behind_its_fences_and_reads_its_keys_again(self):
        unit, keys = "culvert-proxy.service", "/etc/culvert/proxy-keys"
        digest = hashlib.sha256(b"key").hexdigest()
        self.room.run("mkdir", "-p", "/etc/culvert")
        self.room.put(keys, "# nobody yet\n")
        self.room.run("chmod", "644", keys)
        self.start(unit)
        status = dict(line.split(":", 1) for line in
                      self.room.run("cat", f"/proc/{self.show(unit, 'MainPID')}/status").stdout.splitlines())
        self.assertEqual(int(status["CapBnd"], 16), 0)

        def ask():
            return self.room.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_connect}", "-p", "-x",
                                 "http://x:key@127.0.0.1:3128", "http://127.0.0.1:1/", check=False).stdout

        self.assertEqual(ask(), "407")
        self.room.put(keys, f"somebody {digest}\n")
        self.start(unit, "reload")
        self.soon(lambda: ask() == "403", "the key counts, and loopback is no target")
        self.room.run("systemctl", "stop", unit)
        self.assertEqual(self.show(unit, "Result"), "success")


if __name__ == "__main__":
    suite.main()

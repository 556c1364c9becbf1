#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway as a service: what it tells the service manager, and that the units' fences fit it.

    [edge] eth0 192.0.2.1/24, 2001:db8::1/64 ──── [outside]

A datagram socket stands where the service manager's would. The fences that need no service manager (capabilities,
no new privileges, umask) are put up by setpriv; whether the system call filter fits is seen with strace.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
import test_host

UNITS = pathlib.Path(__file__).resolve().parent.parent.parent / "packaging/systemd"
# The network and its administration, a TUN device and any address are what such services are for: 1.8. To stay
# root costs the gateway the rest, and root it stays because its two children must not be one user: whoever reads what
# strangers send would be the owner of the tunnel's key.
# Clients change the host as a gateway does, and files in /etc.
EXPOSURE = {"culvert-gateway.service": 3.2, "culvert-device@.service": 1.8, "culvert-carrier.service": 1.7,
            "culvert-proxy.service": 1.3, "culvert-client@.service": 3.6, "culvert-client-restore.service": 3.2,
            "culvert-lockdown.service": 3.0}


def settings(unit, name):
    lines = (UNITS / f"{unit}.in").read_text().splitlines()
    return [line.split("=", 1)[1] for line in lines if line.startswith(f"{name}=")]


def fence(unit):
    """A command that runs another below the unit's fences."""
    caps = " ".join(settings(unit, "CapabilityBoundingSet")).split()
    bound = ",".join(["-all"] + ["+" + cap.removeprefix("CAP_").lower() for cap in caps])
    return ["sh", "-c", f"umask {settings(unit, 'UMask')[0]}; exec \"$@\"", "sh", "setpriv", "--bounding-set", bound,
            "--inh-caps", "-all", "--no-new-privs"]


def forbidden_calls(unit):
    """Names of the system calls that the unit's filter refuses; groups hold groups, further lines allow again."""
    refused, *allowed = settings(unit, "SystemCallFilter")
    found, waiting = set(), refused.removeprefix("~").split()
    while waiting:
        text = subprocess.run(["systemd-analyze", "syscall-filter", waiting.pop()], check=True, capture_output=True,
                              text=True).stdout
        words = [line.strip() for line in text.splitlines()[1:] if line.strip() and "#" not in line]
        waiting += [word for word in words if word.startswith("@")]
        found |= {word for word in words if not word.startswith("@")}
    return found - set(" ".join(allowed).split())


class Manager:
    """Hears what a service manager would hear."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(30)
        self.environment = {"NOTIFY_SOCKET": path}

    def hear(self):
        return self.socket.recv(4096).decode().splitlines()

    def hear_all(self, seconds):
        """What comes in that time: (when, lines)."""
        heard, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                heard.append((time.monotonic(), self.hear()))
            except TimeoutError:
                break
        self.socket.settimeout(30)
        return heard


class Told(test_host.HostTest):
    def setUp(self):
        super().setUp()
        self.manager = Manager(f"{self.base}/notify")
        self.addCleanup(self.manager.socket.close)

    def test_readiness_and_the_end_are_told_in_their_order(self):
        gateway = self.start(env=self.manager.environment)
        self.assertEqual(self.manager.hear()[0], "READY=1")
        self.assertEqual(gateway.said("started")[0]["pong"], [102, 0, 7])
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertEqual(self.manager.hear()[0], "STOPPING=1")
        self.assertEqual(self.manager.hear_all(0.1), [])

    def test_a_gateway_that_never_serves_is_never_ready(self):
        gateway = self.start(mode="exit 3", env=self.manager.environment)
        self.assertEqual(gateway.process.wait(30), 3)
        heard = [line for _, lines in self.manager.hear_all(0.1) for line in lines]
        self.assertIn("STOPPING=1", heard)
        self.assertNotIn("READY=1", heard)

    def test_the_watchdog_is_fed_while_both_children_run_and_not_while_one_does_not_come_back(self):
        gateway = self.start(env={**self.manager.environment, "WATCHDOG_USEC": "900000"})
        self.assertEqual(self.manager.hear()[0], "READY=1")
        fed = [at for at, lines in self.manager.hear_all(3) if lines == ["WATCHDOG=1"]]
        self.assertGreaterEqual(len(fed), 4, "about ten")
        self.assertLess(max(b - a for a, b in zip(fed, fed[1:])), 0.9)
        # Its successors cannot start: nothing serves from here on.
        pathlib.Path("/run/fake_gateway.py.mode").write_text("exit 1")
        os.kill(self.child(gateway, "gateway-serve"), signal.SIGKILL)
        self.soon(lambda: any(line.startswith("STATUS=The gateway or its tunnel") for line in self.manager.hear()),
                  "word of it")
        self.assertNotIn(["WATCHDOG=1"], [lines for _, lines in self.manager.hear_all(2)])
        gateway.end()

    def test_a_tunnel_by_itself_tells_that_it_can_be_configured_and_that_it_ends(self):
        tunnel = self.edge.start(test_host.CULVERT, "device", "-f", "wg9", stderr=subprocess.DEVNULL,
                                 env={**os.environ, **self.manager.environment})
        self.assertEqual(self.manager.hear()[0], "READY=1")
        self.edge.run("wg", "set", "wg9", "listen-port", "9999")
        tunnel.send_signal(signal.SIGTERM)
        self.assertEqual(tunnel.wait(30), 0)
        self.assertEqual(self.manager.hear(), ["STOPPING=1"])
        self.assertEqual(self.manager.hear_all(0.1), [])

    def test_no_child_may_speak_to_the_service_manager(self):
        gateway = self.start(env=self.manager.environment).ready()
        for pid in self.children(gateway):
            self.assertNotIn("NOTIFY_SOCKET", pathlib.Path(f"/proc/{pid}/environ").read_text())
        gateway.end()


class Credentials(test_host.HostTest):
    def test_keys_kept_by_the_service_manager_reach_the_gateway_process_alone(self):
        directory = pathlib.Path(self.base) / "credentials"
        directory.mkdir(0o700)
        for name, text in {"api.key": "k" * 40 + "\n", "master.key": "m" * 43 + "=\n"}.items():
            (directory / name).write_text(text)
            (directory / name).chmod(0o400)
        directory.chmod(0o500)
        gateway = self.start(env={"CREDENTIALS_DIRECTORY": str(directory)}).ready()
        served = gateway.said("started")[0]["environment"]
        self.assertEqual((served["GATEWAY_API_KEY"], served["CULVERT_MASTER_KEY"]), ("k" * 40, "m" * 43 + "="))
        tunnel = pathlib.Path(f"/proc/{self.child(gateway, 'culvert-device')}/environ").read_text()
        self.assertNotIn("k" * 40, tunnel)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertNotIn("k" * 40, gateway.errors())

    def test_a_gateway_with_its_master_key_among_the_credentials_makes_none(self):
        directory = pathlib.Path(self.base) / "credentials"
        directory.mkdir(0o700)
        key = self.edge.output("wg", "genkey").strip()
        for use, makes in ((False, True), (True, False)):
            with self.subTest(use=use):
                if use:
                    (directory / "master.key").write_text(key)
                    (directory / "master.key").chmod(0o400)
                state = pathlib.Path(f"{self.base}/state-{use}")
                gateway = self.start(program=None, state=str(state), env={"CREDENTIALS_DIRECTORY": str(directory)}).ready()
                self.assertEqual(gateway.end(), 0, gateway.errors())
                self.assertEqual((state / "master.key").exists(), makes)

    def test_a_credential_that_cannot_be_used_is_named(self):
        directory = pathlib.Path(self.base) / "credentials"
        directory.mkdir(0o700)
        (directory / "api.key").write_text("\n")
        self.refused(test_host.FAILED, "the credential .*/api.key cannot be used",
                     env={"CREDENTIALS_DIRECTORY": str(directory)})


class Fences(test_host.HostTest):
    def test_a_gateway_lives_and_ends_behind_the_fences_of_its_unit(self):
        manager = Manager(f"{self.base}/notify")
        self.addCleanup(manager.socket.close)
        gateway = self.start(program=None, env=manager.environment, wrap=fence("culvert-gateway.service"))
        self.assertEqual(manager.hear()[0], "READY=1", gateway.errors())
        self.assertEqual(self.edge.output("wg", "show", "wg0", "listen-port").strip(), "51820")
        self.assertEqual(self.edge.sysctl("net.ipv4.ip_forward"), "1")
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_a_gateway_needs_no_system_call_that_its_unit_refuses(self):
        names = forbidden_calls("culvert-gateway.service")
        self.assertLessEqual({"mount", "ptrace", "reboot", "swapon", "init_module", "clock_settime", "iopl"}, names)
        trace = f"{self.base}/trace"
        # socket is traced as well: proof that there was something to see. Leaks cannot be looked for while traced.
        wanted = ",".join(sorted(f"?{name}" for name in names | {"socket"}))
        gateway = self.start(program=None, wrap=("strace", "-f", "-qq", "-o", trace, "-e", f"trace={wanted}"),
                             env={"ASAN_OPTIONS": "detect_leaks=0", "LSAN_OPTIONS": "detect_leaks=0"}).ready()
        host = self.children(gateway)[0]
        os.kill(int(host), signal.SIGTERM)
        self.assertEqual(gateway.process.wait(30), 0, gateway.errors())
        calls = set(re.findall(r"^\d+ +(\w+)\(", pathlib.Path(trace).read_text(), re.M))
        self.assertIn("socket", calls)
        self.assertEqual(calls - {"socket"}, set())

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_the_units_are_no_more_exposed_than_they_must_be(self):
        self.assertEqual({path.name.removesuffix(".in") for path in UNITS.glob("*.service.in")}, set(EXPOSURE))
        for unit, most in EXPOSURE.items():
            text = (UNITS / f"{unit}.in").read_text()
            for name, value in (("bindir", "/bin"), ("state", "/var/lib/culvert"), ("options", ""), ("of", "")):
                text = text.replace(f"@{name}@", value)
            path = f"{self.base}/{unit.replace('@.', '@wg0.')}"
            pathlib.Path(path).write_text(text)
            shown = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                                   capture_output=True, text=True, check=False)
            level = re.search(r"Overall exposure level.*: ([0-9.]+)", shown.stdout)
            self.assertIsNotNone(level, shown.stdout + shown.stderr)
            print(f"# {unit}: exposure {level[1]}, at most {most}", flush=True)
            self.assertLessEqual(float(level[1]), most)


if __name__ == "__main__":
    suite.main()

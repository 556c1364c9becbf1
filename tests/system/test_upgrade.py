#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A program takes the place of one that runs, or is not fit to, and the one that runs goes on.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] eth1 198.51.100.1/24 ──── [world] 198.51.100.2/24

All three processes are real. What is put in the program's place is a copy of it, or a script that behaves like it
in some respects.
"""

import os
import pathlib
import pty
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import netns
import suite
import test_gateway
import test_host
from test_hooks import REBOOT, HookTest
from test_service import Manager

MODULE = pathlib.Path(test_host.CULVERT).resolve().parent / "culvert-gateway.so"


class Installed:
    """The program in a directory of its own, where another can be put in its place."""

    def __init__(self, directory, mode=0o755):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(mode=mode)
        self.directory.chmod(mode)
        self.path = self.directory / "culvert"
        self.put()

    def put(self, text=None):
        """As a package does: another file is given the name. @text: a script instead of the program."""
        fresh = self.directory / "culvert.new"
        if text is None:
            shutil.copy(test_host.CULVERT, fresh)
            shutil.copy(MODULE, self.directory / "module.new")
            os.rename(self.directory / "module.new", self.directory / MODULE.name)
        else:
            fresh.write_text(text)
        fresh.chmod(0o755)
        os.rename(fresh, self.path)


class UpgradeTest(test_gateway.WholeTest):
    def setUp(self):
        super().setUp()
        self.installed = Installed(f"/run/bin-{time.monotonic_ns()}")
        self.addCleanup(shutil.rmtree, self.installed.directory, True)
        self.real = f"/run/real-{time.monotonic_ns()}"  # for scripts: the program under another name
        os.mkdir(self.real)
        self.addCleanup(shutil.rmtree, self.real, True)
        shutil.copy(test_host.CULVERT, f"{self.real}/culvert")
        shutil.copy(MODULE, self.real)

    def begin(self, *options, **more):
        saved, test_host.CULVERT = test_host.CULVERT, str(self.installed.path)
        try:
            return self.start(*options, **more)
        finally:
            test_host.CULVERT = saved

    def pids(self, gateway):
        return {word: self.child(gateway, word) for word in ("gateway-serve", "culvert-device")}

    def runs(self, pid):
        """Does that process run what lies at the place of the program now?"""
        here, there = os.stat(f"/proc/{pid}/exe"), os.stat(self.installed.path)
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def said(self, gateway, pattern):
        return len(re.findall(pattern, gateway.errors()))

    def upgrade(self, gateway, how=signal.SIGUSR2, says=r"\[host wg0\]: upgraded"):
        before = self.said(gateway, says)
        gateway.process.send_signal(how)
        try:
            netns.wait_until(lambda: self.said(gateway, says) > before, 40)
        except TimeoutError:
            self.fail(f"no word of {says!r}\n" + gateway.errors())

    def serves(self):
        return self.peer("list", check=False).returncode == 0


class Fit(UpgradeTest):
    def test_all_processes_are_of_the_new_program_and_the_host_is_as_it_was(self):
        gateway = self.begin()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1", "198.51.100.2")
        during, old = test_host.picture(self.edge), self.pids(gateway)
        cmdline = pathlib.Path(f"/proc/{gateway.process.pid}/cmdline").read_bytes()
        for how in (signal.SIGUSR2, signal.SIGHUP):
            self.installed.put()
            self.assertFalse(self.runs(gateway.process.pid))
            self.upgrade(gateway, how)
            new = self.pids(gateway)
            for pid in (gateway.process.pid, *new.values()):
                self.assertTrue(self.runs(pid), f"{pid} of {gateway.process.pid}, {new}")
            self.assertFalse(set(old.values()) & set(new.values()))
            self.assertTrue(self.pings(self.client, "10.0.1.1"))
            self.assertIn("phone", self.peer("list").stdout)
            old = new
        self.assertEqual(during, test_host.picture(self.edge))
        self.assertEqual(cmdline, pathlib.Path(f"/proc/{gateway.process.pid}/cmdline").read_bytes())
        self.assertNotIn(b"CULVERT_UPGRADE_FD", pathlib.Path(f"/proc/{old['gateway-serve']}/environ").read_bytes())
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()
        self.assertFalse(os.path.exists("/run/culvert/journal"))

    def test_what_dies_after_an_upgrade_is_started_again(self):
        gateway = self.begin()
        self.peer("add", "phone")
        self.upgrade(gateway)
        for word in ("gateway-serve", "culvert-device"):
            old = self.child(gateway, word)
            os.kill(old, signal.SIGKILL)
            self.soon(lambda w=word, o=old: self.child(gateway, w) not in (None, o), f"another {word}", 20)
            self.soon(self.serves, "the API", 20)
        self.assertIn("phone", self.peer("list").stdout)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_options_stay_as_they_were(self):
        gateway = self.begin("--port", "5555", "--log-json", "--listen-metrics", "http://127.0.0.1:9000",
                             "--peer-isolation=on", env={"CULVERT_GATEWAY_SUBNET4": "10.9.0.0/24"})
        self.upgrade(gateway, says='"upgraded"')
        self.assertEqual(self.edge.output("wg", "show", "wg0", "listen-port").strip(), "5555")
        words = pathlib.Path(f"/proc/{self.child(gateway, 'gateway-serve')}/cmdline").read_text().split("\0")
        for word in ("5555", "10.9.0.0/24", "--log-json", "http://127.0.0.1:9000", "http://127.0.0.1:8000"):
            self.assertIn(word, words)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_program_in_a_private_directory_is_replaced_there(self):
        private = f"/run/private-{time.monotonic_ns()}"
        os.mkdir(private, 0o700)
        self.addCleanup(shutil.rmtree, private, True)
        self.installed = Installed(f"{private}/bin")
        gateway = self.begin()
        self.installed.put()
        self.upgrade(gateway)
        self.assertTrue(self.runs(self.child(gateway, "gateway-serve")))
        self.assertTrue(self.serves())
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_the_service_manager_hears_of_it(self):
        manager = Manager(f"/run/notify-{time.monotonic_ns()}")
        self.addCleanup(manager.socket.close)
        gateway = self.begin(env=manager.environment)
        self.assertEqual(manager.hear()[0], "READY=1")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.upgrade(gateway)
        first, number = manager.hear()
        self.assertEqual(first, "RELOADING=1")
        name, usec = number.split("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        self.assertLessEqual(before, int(usec))
        self.assertLess(int(usec), time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
        self.assertEqual(manager.hear()[0], "READY=1")
        gateway.end()
        self.assertEqual(manager.hear()[0], "STOPPING=1")

    def test_a_stop_in_its_midst_ends_everything(self):
        for pause in (0.0, 0.2, 0.5, 1.0, 1.5):
            gateway = self.begin()
            gateway.process.send_signal(signal.SIGUSR2)
            time.sleep(pause)
            self.assertEqual(gateway.end(), 0, gateway.errors())
            self.assertAsFound()


class Hooks(UpgradeTest, HookTest):
    def test_a_reboot_that_is_due_is_not_forgotten(self):
        gateway = self.begin("--hook-reboot", self.program("reboot", "time.sleep(1); os.rename('{0}', '{0}.done')".format(self.notes)))
        self.assertEqual(self.call(REBOOT, "2")[0], 200)
        self.installed.put()
        self.upgrade(gateway)
        self.assertTrue(os.path.exists(f"{self.notes}.done"), gateway.errors())
        self.assertEqual(self.said(gateway, "goes on when a hook has ended"), 1, gateway.errors())
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()


class Terminal(UpgradeTest):
    def test_a_terminal_that_hangs_up_ends_it_all_the_same(self):
        pid, master = pty.fork()
        if pid == 0:
            words = ["ip", "netns", "exec", self.edge.name, str(self.installed.path), "gateway", "--state", self.state]
            self.edge._enter()
            os.execv(words[4], words[4:])
        self.addCleanup(shutil.rmtree, self.state, True)
        text = b""
        while b"gateway ready" not in text:
            text += os.read(master, 4096)
        os.close(master)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertAsFound()


class Unfit(UpgradeTest):
    def remains(self, gateway, says, both=True):
        """Ask for an upgrade that comes to nothing."""
        old = self.pids(gateway)
        self.upgrade(gateway, says=says)
        self.soon(self.serves, "the API", 30)
        new = self.pids(gateway)
        self.assertEqual(old["culvert-device"], new["culvert-device"])
        if both:
            self.assertEqual(old, new)
        self.assertTrue(self.pings(self.client, "10.0.1.1"))

    def script(self, cases):
        """The program, but for some first arguments."""
        return f"#!/bin/sh\ncase $1 in\n{cases}\nesac\nexec {self.real}/culvert \"$@\"\n"

    def test_one_that_is_broken_is_noticed_before_anything_is_touched(self):
        gateway = self.begin()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        for text, says in (("#!/bin/sh\nexit 1\n", "no upgrade: .*in its trial it ends with code 1"),
                           ("#!/bin/sh\nexit 0\n", "no upgrade: .*ends with code 0 and no word"),
                           ("#!/bin/sh\necho out of order >&2; exit 3\n", "no upgrade: .*it says: out of order"),
                           ("#!/bin/sh\nkill -SEGV $$\n", "no upgrade: .*ended by signal 11"),
                           ("#!/no/such/shell\n", "no upgrade: .*cannot be run"),
                           ("#!/bin/sh\nsleep 60\n", "no upgrade: .*did not end within 5 s")):
            self.installed.put(text)
            self.remains(gateway, says)
        os.unlink(self.installed.path)
        self.remains(gateway, "no upgrade: .*No such file")
        self.installed.put()
        for path in (self.installed.path, self.installed.directory):
            for mode in (0o757, 0o775, 0o1777):
                path.chmod(mode)
                self.remains(gateway, f"no upgrade: .*{path}: others than its owner may write to it")
            path.chmod(0o755)
            os.chown(path, 65533, 0)
            self.remains(gateway, f"no upgrade: .*{path} belongs to user 65533")
            os.chown(path, 0, 0)
        self.upgrade(gateway)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_a_state_of_another_version_is_refused_by_the_new_program(self):
        gateway = self.begin()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        self.installed.put(self.script(
            f"gateway-upgrade) (head -c 8; dd bs=4 count=1 status=none >/dev/null; printf '\\2\\0\\0\\0'; cat) |"
            f" {self.real}/culvert \"$@\"; exit;;"))
        self.remains(gateway, "no upgrade: .*state in version .*this program reads 1 to 1")
        gateway.end()

    def test_one_that_is_another_after_its_trial_is_not_executed(self):
        gateway = self.begin()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        # In its trial, and as the gateway process that serves, it has another file put in its place.
        swap = f"cp {self.installed.path} {self.installed.path}.next; mv {self.installed.path}.next {self.installed.path}"
        self.installed.put(self.script(f"gateway-upgrade) {swap};;"))
        self.remains(gateway, "no upgrade: .*culvert is another program than was tried; going back", both=False)
        self.soon(lambda: self.said(gateway, "everything is as it was before the upgrade") == 1, "the way back", 30)
        self.assertFalse(self.runs(self.child(gateway, "gateway-serve")))
        # As its tunnel process: the host process is the last to be replaced.
        self.installed.put(self.script(f'-f) {swap}; exec {self.real}/culvert device "$@";;'))
        self.upgrade(gateway, says="the host process cannot execute .*is another program than was tried")
        self.assertTrue(self.pings(self.client, "10.0.1.1"))
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_one_whose_gateway_does_not_serve_gives_way_to_the_old_one(self):
        gateway = self.begin()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        self.installed.put(self.script("gateway-serve) exit 1;;"))
        self.remains(gateway, "everything is as it was before the upgrade", both=False)
        self.assertFalse(self.runs(self.child(gateway, "gateway-serve")))
        self.assertIn("phone", self.peer("list").stdout)
        self.installed.put()
        self.upgrade(gateway)
        self.assertIn("phone", self.peer("list").stdout)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_one_whose_tunnel_does_not_take_over_gives_way_to_the_old_one(self):
        gateway = self.begin()
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        self.installed.put(self.script("-f) exit 1;;"))
        self.remains(gateway, "everything is as it was before the upgrade", both=False)
        if suite.SOAK:
            self.installed.put(self.script("-f) exec sleep 60;;"))
            self.remains(gateway, "everything is as it was before the upgrade", both=False)
        self.assertFalse(self.runs(self.child(gateway, "gateway-serve")))
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The process around a tunnel: how it starts, what it says when it cannot, what it may do afterwards."""

import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import injected
import suite
import tunnel

CAP_NET_BIND_SERVICE, CAP_NET_RAW = 10, 13
USAGE, FAILED, NO_PRIVILEGE = 2, 1, 4


def words(*options):
    """The command with other options."""
    return [w for w in tunnel.CONTENDERS["culvert"]() if w not in ("-f", "--foreground")] + [str(o) for o in options]


def is_sanitized():
    with open(words()[0], "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def status_of(path):
    with open(f"{path}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f)


def landlock_version():
    create_ruleset, version = 444, 1
    return ctypes.CDLL(None).syscall(create_ruleset, None, ctypes.c_size_t(0), version)


class Process(suite.NetTest):
    def setUp(self):
        super().setUp()
        if os.environ.get("CULVERT_DEVICE"):
            self.skipTest("about ours")
        self.host = self.net.namespace("host")
        for directory in (tunnel.SOCKETS, tunnel.SOCKETS_AMNEZIA):
            shutil.rmtree(directory, ignore_errors=True)

    def refused(self, code, *command, says="", **options):
        """It ends with this status and one line that says why, and leaves nothing behind."""
        done = self.host.run(*command, check=False, timeout=20, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, says)
        self.assertNotIn("ERROR: ", done.stderr)
        self.assertEqual(re.findall(r"^\d+: (?!lo:)\S+", self.host.output("ip", "-o", "link"), re.M), [])
        for directory in (tunnel.SOCKETS, tunnel.SOCKETS_AMNEZIA):
            self.assertEqual(os.listdir(directory) if os.path.isdir(directory) else [], [])

    def daemon(self, name, *options, **more):
        """Started in the background: its process id."""
        self.host.run(*words(*options, name), timeout=20, **more)
        found = [int(p) for p in os.listdir("/proc") if p.isdigit() and self.command_of(p)[-1:] == [name]]
        self.assertEqual(len(found), 1)
        self.addCleanup(self.end, found[0])
        return found[0]

    @staticmethod
    def command_of(pid):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                return [word for word in f.read().split("\0") if word]
        except OSError:
            return []

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Refusals(Process):
    def test_usage_that_makes_no_sense_is_said_and_ends_with_2(self):
        for options in ((), ("one0", "two0"), ("--nonsense", "one0"), ("--workers", "0", "one0"),
                        ("--workers", "65", "one0"), ("--workers", "many", "one0"), ("--workers", "-1", "one0"),
                        ("--memory", "3", "one0"), ("--memory", "65537", "one0"), ("--memory", "4M", "one0"),
                        ("sixteen-letters1",), ("a/b",), ("",)):
            for mode in ((), ("-f",)):
                self.refused(USAGE, *words(*mode, *options), says=r"culvert device")

    def test_help_and_version_go_to_standard_output(self):
        for option in ("--help", "-h", "--version"):
            done = self.host.run(*words(option))
            self.assertTrue(done.stdout)
            self.assertEqual(done.stderr, "")

    def test_names_the_kernel_does_not_take_are_refused(self):
        for name in (".", "..", "a b", "a:b"):
            self.refused(FAILED, *words("-f", name), says=r"culvert device: .*name")

    def test_a_name_that_is_another_interfaces_is_refused(self):
        self.refused(FAILED, *words("-f", "lo"), says=r"culvert device: .*lo")

    def test_an_interface_in_use_by_another_process_is_refused(self):
        first = self.host.start(*words("-f", "--workers", 1, "busy1"), stdout=self.log, stderr=self.log)
        self.soon(lambda: os.path.exists(f"{tunnel.SOCKETS}/busy1.sock"), "the first one")
        done = self.host.run(*words("-f", "--workers", 1, "busy1"), check=False, timeout=20)
        self.assertEqual(done.returncode, FAILED)
        self.assertRegex(done.stderr, "busy1 is in use by another process")
        self.assertIsNone(first.poll())

    def test_no_tun_device_is_said_and_ends_with_4(self):
        """In foreground and background alike."""
        hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh")
        for mode in ((), ("-f",)):
            self.refused(NO_PRIVILEGE, *hide, *words(*mode, "one0"), says=r"culvert device: there is no /dev/net/tun")

    def test_no_privilege_is_said_and_ends_with_4(self):
        weak = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all")
        for mode in ((), ("-f",)):
            self.refused(NO_PRIVILEGE, *weak, *words(*mode, "one0"), says=r"culvert device: no permission .*CAP_NET_ADMIN")

    def test_descriptors_from_the_environment_must_be_what_they_are_said_to_be(self):
        for variable in ("WG_TUN_FD", "WG_UAPI_FD"):
            for value in ("", "x", "-1", "99", "3 "):
                self.refused(USAGE, *words("-f", "one0"), says=variable, env={**os.environ, variable: value})
        with open("/dev/null", "r+b") as null:
            for variable in ("WG_TUN_FD", "WG_UAPI_FD"):
                self.refused(FAILED, *words("-f", "one0"), says=variable, pass_fds=(null.fileno(),),
                             env={**os.environ, variable: str(null.fileno())})

    def test_nothing_to_take_over_is_said(self):
        self.refused(FAILED, *words("-f", "--take-over", "one0"), says=r"culvert device: .*one0")


class Background(Process):
    def test_it_lets_go_of_terminal_session_and_directory(self):
        os.makedirs("/run/elsewhere", exist_ok=True)
        pid = self.daemon("back0", cwd="/run/elsewhere")  # run() returned: the pipes have no other end
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        self.assertEqual(os.getsid(pid), pid)
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGPIPE)
        time.sleep(0.1)
        self.assertEqual(self.command_of(pid)[-1], "back0")
        os.kill(pid, signal.SIGTERM)
        self.soon(lambda: not self.command_of(pid), "it ends")
        self.assertFalse(os.path.exists(f"{tunnel.SOCKETS}/back0.sock"))

    def test_the_parent_tells_a_taken_name_by_its_status(self):
        self.daemon("back1")
        done = self.host.run(*words("back1"), check=False, timeout=20)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("back1", done.stderr)

    def test_descriptors_of_whoever_started_it_are_not_kept(self):
        """A script that holds a lock over wg-quick must not find the tunnel holding it for good."""
        with open("/run/lock-of-a-script", "w") as lock:
            pid = self.daemon("back2", pass_fds=(lock.fileno(),))
            kept = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            self.assertNotIn("/run/lock-of-a-script", kept)


class Privileges(Process):
    def setUp(self):
        super().setUp()
        self.pid = self.daemon("priv0", "--workers", 3)
        self.host.run("wg", "set", "priv0", "listen-port", 51820)
        self.host.ip("link", "set", "priv0", "up")
        self.soon(lambda: ":51820" in self.host.output("ss", "-uan"), "its sockets")

    def injected(self, name, *arguments):
        if not injected.is_possible():
            self.skipTest("system calls are injected on x86_64 only")
        if is_sanitized():
            self.skipTest("a sanitizer needs what the filter refuses")
        return injected.call(self.pid, name, *arguments)

    def killed(self, name, *arguments):
        with self.assertRaises(injected.Killed) as caught:
            self.injected(name, *arguments)
        self.assertEqual(caught.exception.signal, signal.SIGSYS)

    def test_every_thread_keeps_two_capabilities_and_can_gain_none(self):
        threads = os.listdir(f"/proc/{self.pid}/task")
        self.assertEqual(len(threads), 5, "control, keeper and three workers")
        for thread in threads:
            status = status_of(f"/proc/{self.pid}/task/{thread}")
            held = 1 << CAP_NET_RAW | 1 << CAP_NET_BIND_SERVICE
            self.assertEqual(int(status["CapEff"], 16), held)
            self.assertEqual(int(status["CapPrm"], 16), held)
            for name in ("CapInh", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertEqual(status["NoNewPrivs"], "1")
            if not is_sanitized():
                self.assertEqual(status["Seccomp"], "2")

    def test_everything_is_given_up_when_the_parent_returns(self):
        """Not a moment later: what goes wrong then is still said to whoever waits."""
        if is_sanitized():
            self.skipTest("a sanitizer needs what the filter refuses")
        for number in range(suite.scaled(10, 200)):
            self.assertEqual(status_of(f"/proc/{self.daemon(f'soon{number}')}")["Seccomp"], "2")

    def test_no_core_is_ever_written(self):
        with open(f"/proc/{self.pid}/limits") as f:
            line = next(line for line in f if line.startswith("Max core file size"))
        self.assertEqual(line.split()[4:6], ["0", "0"])

    def test_it_has_sockets_and_the_tun_open_and_no_file(self):
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            name = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            if name in ("/dev/null", "/dev/net/tun"):
                continue
            self.assertRegex(name, r"^(socket:\[\d+\]|anon_inode:\[?(eventpoll|eventfd|timerfd|signalfd|inotify)\]?)$")

    def test_no_page_can_be_written_and_executed_and_no_parser_of_the_gateway_is_loaded(self):
        with open(f"/proc/{self.pid}/maps") as f:
            maps = f.read()
        self.assertNotRegex(maps, r" .wx")
        self.assertNotRegex(maps, "microhttpd|gnutls|sqlite|jansson|curl")

    def test_a_path_cannot_be_opened(self):
        at_fdcwd = -100
        self.assertEqual(self.injected("getppid") > 0, True, "calls can be injected at all")
        self.assertEqual(self.injected("openat", at_fdcwd, b"/etc/passwd", os.O_RDONLY), -errno.EACCES)
        self.assertEqual(self.injected("open", b"/etc/passwd", os.O_RDONLY), -errno.EACCES)
        self.assertEqual(self.injected("stat", b"/etc/passwd", 0), -errno.EACCES)
        self.assertIn("listening port: 51820", self.host.output("wg", "show", "priv0"), "and it goes on")

    def test_no_file_but_its_own_socket_can_be_removed(self):
        if landlock_version() < 1:
            self.skipTest("this kernel has no Landlock")
        with open("/run/precious", "w"):
            pass
        self.assertIn(self.injected("unlink", b"/run/precious"), (-errno.EACCES, -errno.EPERM))
        self.assertTrue(os.path.exists("/run/precious"))

    def test_a_program_cannot_be_started(self):
        self.killed("execve", b"/bin/true", 0, 0)
        self.assertFalse(self.command_of(self.pid), "the process is gone")

    def test_a_process_cannot_be_forked(self):
        self.killed("fork")

    def test_packets_of_others_cannot_be_read(self):
        """CAP_NET_RAW is there for marks only."""
        self.killed("socket", socket.AF_PACKET, socket.SOCK_RAW, 0x0300)

    def test_raw_packets_cannot_be_sent(self):
        self.killed("socket", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def test_memory_cannot_become_code(self):
        self.killed("mprotect", 0x10000, 4096, 7)

    def test_it_connects_to_nobody(self):
        self.killed("connect", 0, 0, 0)


class Ports(Process):
    def bound(self):
        return sorted({int(p) for p in re.findall(r":(\d+)\s+\S+:\*", self.host.output("ss", "-Huan"))})

    def taken(self, port):
        with self.host:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("0.0.0.0", port))
        self.addCleanup(s.close)
        return s

    def test_a_port_in_use_at_link_up_is_said_and_another_one_helps(self):
        device = self.device(self.host, "port0")
        other = self.taken(5400)
        device.configure(listen_port=5400)
        self.host.ip("link", "set", "port0", "up")
        self.soon(lambda: "5400" in open(self.log_path).read(), "a line in the log")
        self.assertRegex(open(self.log_path).read(), r"UDP port 5400.*wg set port0 listen-port")
        other.close()
        self.assertEqual(self.bound(), [], "nothing is half open")
        device.uapi("set=1\nlisten_port=5401\n\n")
        self.assertEqual(self.bound(), [5401])

    def test_a_port_in_use_at_link_up_is_taken_when_it_is_set_again(self):
        device = self.device(self.host, "port1")
        other = self.taken(5402)
        device.configure(listen_port=5402)
        self.host.ip("link", "set", "port1", "up")
        self.soon(lambda: "5402" in open(self.log_path).read(), "a line in the log")
        with self.assertRaises(tunnel.UapiError):
            device.uapi("set=1\nlisten_port=5402\n\n")
        other.close()
        device.uapi("set=1\nlisten_port=5402\n\n")
        self.assertEqual(self.bound(), [5402])

    def test_a_port_in_use_is_refused_and_the_old_one_kept(self):
        device = self.device(self.host, "port2")
        device.configure(listen_port=5403)
        self.host.ip("link", "set", "port2", "up")
        self.soon(lambda: self.bound() == [5403], "its port")
        other = self.taken(5404)
        with self.assertRaises(tunnel.UapiError) as caught:
            device.uapi("set=1\nlisten_port=5404\n\n")
        self.assertEqual(abs(caught.exception.errno), errno.EADDRINUSE)
        other.close()
        self.assertEqual((device.get()[0]["listen_port"], self.bound()), ("5403", [5403]))

    def test_a_refused_mark_keeps_the_port_and_everything_else(self):
        """Without CAP_NET_RAW the kernel refuses marks."""
        tunnel.CONTENDERS["unmarked"] = lambda: ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-all", *words("-f")]
        device = self.device(self.host, "port3", contender="unmarked")
        device.configure(listen_port=5405)
        self.host.ip("link", "set", "port3", "up")
        self.soon(lambda: self.bound() == [5405], "its port")
        before = device.uapi("get=1\n\n")
        peer = tunnel.hexkey(tunnel.keypair()[1])
        with self.assertRaises(tunnel.UapiError):
            device.uapi(f"set=1\nlisten_port=5406\nfwmark=7\npublic_key={peer}\n\n")
        self.assertEqual((device.uapi("get=1\n\n"), self.bound()), (before, [5405]))


class TakeOver(suite.NetTest):
    """A successor continues what runs."""

    @staticmethod
    def index_of(pair):
        return pair.left.output("ip", "-o", "link", "show", "wgl0").split(":")[0]

    def test_a_tunnel_goes_on_in_another_process(self):
        pair = self.pair(extra=("--workers", "2"))
        self.connected(pair)
        left, index = pair.devices[0], self.index_of(pair)
        before = left.get()
        ping = pair.left.start("ping", "-n", "-q", "-i", "0.02", "-c", "150", "-W", "2", "10.9.0.2", stdout=subprocess.PIPE)
        for _ in range(suite.scaled(3, 50)):
            old = left.process
            time.sleep(0.2)
            left.process = pair.left.start(*words("-f", "--take-over", "wgl0"), stdout=self.log, stderr=self.log)
            self.assertEqual(old.wait(10), 0, "the old one ends well")
            self.soon(lambda: left.get()[1], "the new one answers")
        after = left.get()
        self.assertEqual(after[0]["listen_port"], before[0]["listen_port"])
        self.assertEqual(after[0]["private_key"], before[0]["private_key"])
        self.assertEqual({k: v["allowed_ip"] for k, v in after[1].items()}, {k: v["allowed_ip"] for k, v in before[1].items()})
        self.assertEqual(self.index_of(pair), index)
        lost = 150 - int(re.search(r"(\d+) received", ping.communicate(timeout=30)[0])[1])
        self.assertLess(lost, 15, "of 150 packets")
        self.connected(pair)


suite.main()

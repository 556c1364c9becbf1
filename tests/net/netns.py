# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for tests and benchmarks.

A program that uses this module calls sandbox() first: it runs the program again
inside namespaces of its own (network, mounts, processes; and users, when it was not
started by root), with an empty /run. Nothing it does reaches the host, several of
them run side by side, and every process it leaves behind ends with it.

    netns.sandbox()
    with netns.Network() as net:
        left, right = net.namespace("left"), net.namespace("right")
        net.link(left, "out0", right, "out0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        left.run("ping", "-c1", "192.0.2.2")

Needs: util-linux, iproute2. Written for Python 3.11, the oldest that is supported.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
INSIDE = "CULVERT_INSIDE_SANDBOX"

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(name, *args):
    if getattr(_libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def skip(reason):
    """End a test program as skipped, saying why (TAP)."""
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def sandbox(refuse=skip):
    """Run this program again in namespaces of its own; return only inside them.

    Where that is not possible, refuse(reason) is called and must not return.
    """
    if os.environ.get(INSIDE):
        _prepare(refuse)
        return
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    probe = subprocess.run([*command, "mount", "-t", "tmpfs", "probe", "/run"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        refuse("no namespaces here: " + probe.stderr.strip().replace("\n", "; "))
    os.environ[INSIDE] = "1"
    script = os.path.abspath(sys.argv[0])
    os.execvp(command[0], [*command, sys.executable, script, *sys.argv[1:]])


def _prepare(refuse):
    del os.environ[INSIDE]
    # A killed runner must not leave its processes behind when its parent dies first.
    _syscall("prctl", 1, signal.SIGKILL)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run")
    run("ip", "link", "set", "lo", "up")
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        refuse(f"/dev/net/tun: {error.strerror}")


def run(*command, check=True, **options):
    """Run a command to its end. Its output is text, and part of the error if it fails."""
    options.setdefault("timeout", 60)
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options)
    if check and done.returncode != 0:
        raise CommandFailed(command, done)
    return done


class CommandFailed(Exception):
    def __init__(self, command, done):
        words = " ".join(str(c) for c in command)
        super().__init__(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        self.done = done


def wait_until(condition, timeout=10.0, interval=0.02, what="condition"):
    """Call condition() until it is true and return its value; TimeoutError otherwise."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


class Namespace:
    """One network namespace, held open by a sleeping process."""

    def __init__(self, name):
        self.name = name
        # Popen returns after exec, so the namespace exists by then.
        self._holder = subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL,
                                        preexec_fn=lambda: _syscall("unshare", CLONE_NEWNET))
        self.pid = self._holder.pid
        self._fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._processes = []
        self._outside = []
        self.run("ip", "link", "set", "lo", "up")

    def _enter(self):
        _syscall("setns", self._fd, CLONE_NEWNET)

    def __enter__(self):
        """with namespace: sockets opened by this thread belong to it."""
        self._outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self._enter()
        return self

    def __exit__(self, *_):
        fd = self._outside.pop()
        _syscall("setns", fd, CLONE_NEWNET)
        os.close(fd)

    def run(self, *command, **options):
        return run(*command, preexec_fn=self._enter, **options)

    def output(self, *command, **options):
        return self.run(*command, **options).stdout

    def start(self, *command, **options):
        """Start a process that lives until it ends, stop(), or the network closes."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        process = subprocess.Popen([str(c) for c in command], preexec_fn=self._enter,
                                   start_new_session=True, **options)
        self._processes.append(process)
        return process

    def ip(self, *words, **options):
        return self.run("ip", *words, **options)

    def address(self, interface, *addresses):
        for address in addresses:
            # nodad: an IPv6 address is usable at once
            flags = ["nodad"] if ":" in address else []
            self.ip("address", "add", address, "dev", interface, *flags)

    def sysctl(self, key, value=None):
        path = "/proc/sys/" + key.replace(".", "/")
        if value is None:
            return self.output("cat", path).strip()
        return self.run("sh", "-c", 'printf %s "$2" >"$1"', "sh", path, str(value)).stdout

    def rules(self, family, hook, *rules, table="test"):
        """A table with one chain, replacing the one of that name: rules("ip", "filter hook input", …)."""
        body = "\n".join(rules)
        self.run("nft", "-f", "-", input=f"table {family} {table}\ndelete table {family} {table}\n"
                 f"table {family} {table} {{\nchain c {{\ntype {hook} priority 0\n{body}\n}}\n}}\n")

    def hits(self, family, table="test"):
        """Packets that the counters of a table's rules have seen."""
        text = self.output("nft", "list", "table", family, table)
        return sum(int(n) for n in re.findall(r"counter packets (\d+)", text))

    def ping(self, address, count=1, timeout=5, check=True, words=()):
        return self.run("ping", "-n", "-q", "-c", count, "-i", "0.05", "-W", timeout, *words,
                        address, check=check, timeout=timeout * count + 10).returncode == 0

    def close(self):
        """End everything in it. The kernel frees its interfaces when nothing is left."""
        if self._fd < 0:
            return
        for process in self._processes:
            stop(process)
        stop(self._holder, signal.SIGKILL)
        os.close(self._fd)
        self._fd = -1


def stop(process, how=signal.SIGTERM, patience=3.0):
    """End a process that start() made, and whatever shares its session."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


class Network:
    """Namespaces and the links between them; all gone at the end of the with block."""

    def __init__(self):
        self._namespaces = []
        self._links = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def namespace(self, name):
        made = Namespace(name)
        self._namespaces.append(made)
        return made

    def link(self, a, a_if, b, b_if, mtu=1500, addresses=(), txqueuelen=1000):
        """Join two namespaces by a veth pair. addresses: two strings, or two lists of them."""
        run("ip", "link", "add", a_if, "netns", a.pid, "mtu", mtu, "txqueuelen", txqueuelen, "type",
            "veth", "peer", "name", b_if, "netns", b.pid, "mtu", mtu, "txqueuelen", txqueuelen)
        for end, name, index in ((a, a_if, 0), (b, b_if, 1)):
            if addresses:
                given = addresses[index]
                end.address(name, *([given] if isinstance(given, str) else given))
            end.ip("link", "set", name, "up")
        self._links.append((a, a_if, b, b_if, mtu, addresses))

    def drawing(self):
        """The topology as text, for the top of a test's output."""
        lines = []
        for a, a_if, b, b_if, mtu, addresses in self._links:
            ends = [str(x) if x else "" for x in (addresses or ("", ""))]
            lines.append(f"  [{a.name}] {a_if} {ends[0]} ──── mtu {mtu} ──── {ends[1]} {b_if} [{b.name}]")
        return "\n".join(lines)

    def close(self):
        for namespace in reversed(self._namespaces):
            namespace.close()
        self._namespaces.clear()

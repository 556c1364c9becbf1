# SPDX-License-Identifier: Apache-2.0
"""Tunnel processes: start one, drive it over its socket or with wg, see what it costs.

Which program is started comes from a table of contenders; CULVERT_DEVICE replaces ours,
for example CULVERT_DEVICE="wireguard-go -f", so that a test can be judged by another
implementation before it judges us.
"""

import base64
import os
import shlex
import shutil
import signal
import socket
import subprocess

import netns

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RIVALS = os.path.join(os.environ.get("CULVERT_RIVALS") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "culvert-rivals"), "bin")
SOCKETS = "/var/run/wireguard"
SOCKETS_AMNEZIA = "/var/run/amneziawg"
CLOCK_TICK = os.sysconf("SC_CLK_TCK")


def _built_culvert():
    return os.environ.get("CULVERT") or os.path.join(ROOT, "build", "culvert")


def _culvert():
    if os.environ.get("CULVERT_DEVICE"):
        return shlex.split(os.environ["CULVERT_DEVICE"])
    return [_built_culvert(), "device", "-f"]


def _awg_peer(*quirks):
    """Ours, tests/peers/awg-peer: the one of the build if there is one, else the installed one."""
    built = os.path.join(os.path.dirname(_built_culvert()), "tests", "peers", "awg-peer")
    return [built if os.path.exists(built) else os.path.join(RIVALS, "awg-peer"), "-f", *quirks]


# name -> words in front of the interface name. All stay in the foreground.
CONTENDERS = {
    "culvert": _culvert,
    "wireguard-go": lambda: ["wireguard-go", "-f"],
    "wireguard-go-current": lambda: [os.path.join(RIVALS, "wireguard-go-current"), "-f"],
    "boringtun": lambda: [os.path.join(RIVALS, "boringtun-cli"), "-f", "--disable-drop-privileges"],
    "awg-peer": _awg_peer,
}
# Mistakes and habits of others that awg-peer shows on request, as contenders of their own.
for quirks in ("bare-keepalives", "junk-trailers", "under-load", "under-load unprotected-cookies", "flood"):
    CONTENDERS[f"awg-peer {quirks}"] = lambda q=quirks: _awg_peer(*(f"--{word}" for word in q.split()))
for release in ("current", "1.0", "1.5", "2.0", "3.0"):
    CONTENDERS[f"amneziawg-go-{release}"] = lambda r=release: [os.path.join(RIVALS, f"amneziawg-go-{r}"), "-f"]


def is_available(contender):
    if contender == "kernel":
        return os.path.isdir("/sys/module/wireguard")
    return shutil.which(CONTENDERS[contender]()[0]) is not None


def why_not(contender):
    """Why a contender is not available."""
    if contender == "kernel":
        return "this kernel has no WireGuard"
    hint = "ninja -C build peers says why" if contender.startswith("awg-peer") else "tools/install-rivals"
    return f"{contender} is not there ({hint})"


def socket_path(contender, interface):
    return f"{SOCKETS_AMNEZIA if contender.startswith('amneziawg-go') else SOCKETS}/{interface}.sock"


def keypair():
    """A private and a public key, base64 as wg has them."""
    private = netns.run("wg", "genkey").stdout.strip()
    return private, netns.run("wg", "pubkey", input=private).stdout.strip()


def hexkey(key):
    return base64.b64decode(key).hex()


class UapiError(Exception):
    def __init__(self, number):
        super().__init__(f"errno={number}")
        self.errno = number


class Device:
    """One running tunnel process with its interface in a namespace."""

    def __init__(self, namespace, interface, contender="culvert", extra=(), env=None, log=None):
        self.namespace, self.interface, self.contender = namespace, interface, contender
        self.socket_path = socket_path(contender, interface)
        self.private, self.public = keypair()
        self._extra, self._env, self._log = list(extra), env or {}, log
        self.process = None
        self.start()

    def start(self):
        command = [*CONTENDERS[self.contender](), *self._extra, self.interface]
        env = {**os.environ, "LOG_LEVEL": "error", "WG_LOG_LEVEL": "error",
               "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1", **self._env}
        output = self._log or subprocess.DEVNULL
        if os.environ.get("CULVERT_TEST_VERBOSE"):
            output = None
        self.process = self.namespace.start(*command, env=env, stdout=output, stderr=output)
        netns.wait_until(self._is_ready, what=f"{self.contender} {self.interface}")

    def _is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.contender}: ended with {self.process.returncode} at start")
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.socket_path)
            except OSError:
                return False
        return True

    def stop(self, how=signal.SIGTERM):
        netns.stop(self.process, how)

    def restart(self, how=signal.SIGTERM):
        """End the process and start it again. The new one knows no peers and has no address."""
        self.stop(how)
        self.start()

    def exchange(self, request, timeout=300):
        """Send one operation, return the answer as it came, errno and all."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.socket_path)
            s.sendall(request)
            chunks, tail = [], b""
            while not tail.endswith(b"\n\n"):
                chunk = s.recv(1 << 20)
                if not chunk:
                    break
                chunks.append(chunk)
                tail = (tail + chunk)[-2:]
        return b"".join(chunks)

    def uapi(self, request, timeout=60):
        """Send one operation, return the lines of the answer without errno. Raises UapiError."""
        lines = self.exchange(request.encode(), timeout).decode().strip("\n").split("\n")
        if not lines[-1].startswith("errno="):
            raise UapiError("none")
        if lines[-1] != "errno=0":
            raise UapiError(int(lines[-1][6:]))
        return lines[:-1]

    def get(self):
        """The device's state: ({key: value}, {public key: {key: value or list}})."""
        device, peers, at = {}, {}, None
        for line in self.uapi("get=1\n\n"):
            key, _, value = line.partition("=")
            if key == "public_key":
                at = peers[base64.b64encode(bytes.fromhex(value)).decode()] = {"allowed_ip": []}
            elif key == "allowed_ip":
                at["allowed_ip"].append(value)
            else:
                (device if at is None else at)[key] = value
        return device, peers

    def wg(self, *words, **options):
        return self.namespace.run("wg", *words, **options)

    def configure(self, listen_port=None, **device_keys):
        words = [f"private_key={hexkey(self.private)}"]
        if listen_port is not None:
            words.append(f"listen_port={listen_port}")
        words += [f"{key}={value}" for key, value in device_keys.items()]
        self.uapi("set=1\n" + "\n".join(words) + "\n\n")

    def add_peer(self, public, allowed=(), endpoint=None, preshared=None, keepalive=None):
        words = [f"public_key={hexkey(public)}", "replace_allowed_ips=true"]
        words += [f"allowed_ip={prefix}" for prefix in allowed]
        if endpoint:
            words.append(f"endpoint={endpoint}")
        if preshared:
            words.append(f"preshared_key={hexkey(preshared)}")
        if keepalive is not None:
            words.append(f"persistent_keepalive_interval={keepalive}")
        self.uapi("set=1\n" + "\n".join(words) + "\n\n")

    def remove_peer(self, public):
        self.uapi(f"set=1\npublic_key={hexkey(public)}\nremove=true\n\n")

    def up(self, *addresses, mtu=1420):
        self.namespace.address(self.interface, *addresses)
        self.namespace.ip("link", "set", self.interface, "mtu", mtu, "up")

    def _session(self):
        """Process ids of the tunnel: the one we started and what it has forked since."""
        leader = self.process.pid
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(entry)
                if fields and int(fields[3]) == leader:
                    yield int(entry)

    def cpu_seconds(self):
        """Processor time used so far, user and system, ended threads included."""
        ticks = 0
        for pid in self._session():
            fields = _stat(pid)
            ticks += int(fields[11]) + int(fields[12]) if fields else 0
        return ticks / CLOCK_TICK

    def resident_kb(self, key="VmRSS"):
        return sum(_status(pid, key) for pid in self._session())


class KernelDevice:
    """An interface of the kernel's module, with the calls of Device that the tests of both use."""

    def __init__(self, namespace, interface):
        self.namespace, self.interface, self.contender = namespace, interface, "kernel"
        self.private, self.public = keypair()
        self.start()

    def start(self):
        self.namespace.ip("link", "add", self.interface, "type", "wireguard")

    def restart(self, how=None):
        self.namespace.ip("link", "del", self.interface)
        self.start()

    def wg(self, *words, **options):
        return self.namespace.run("wg", *words, **options)

    def configure(self, listen_port=None):
        port = [] if listen_port is None else ["listen-port", listen_port]
        self.wg("set", self.interface, *port, "private-key", "/dev/stdin", input=self.private)

    def add_peer(self, public, allowed=(), endpoint=None, preshared=None, keepalive=None):
        words = ["peer", public, "allowed-ips", ",".join(allowed)]
        words += ["endpoint", endpoint] if endpoint else []
        words += ["persistent-keepalive", keepalive] if keepalive is not None else []
        words += ["preshared-key", "/dev/stdin"] if preshared else []
        self.wg("set", self.interface, *words, input=preshared)

    def remove_peer(self, public):
        self.wg("set", self.interface, "peer", public, "remove")

    def get(self):
        """As Device.get(), as far as `wg show dump` tells: endpoint, seconds of the handshake."""
        lines = [line.split("\t") for line in self.wg("show", self.interface, "dump").stdout.splitlines()]
        return {"listen_port": lines[0][2]}, {
            fields[0]: {"endpoint": fields[2], "last_handshake_time_sec": fields[4]} for fields in lines[1:]}

    up = Device.up


def make_device(namespace, interface, contender, **options):
    if contender == "kernel":
        return KernelDevice(namespace, interface)
    return Device(namespace, interface, contender, **options)


def _stat(pid):
    """Fields of /proc/PID/stat after the command name: [0] is the state."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _status(pid, key):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith(key + ":")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Pair:
    """Two namespaces, a veth between them, and a tunnel of one or two implementations.

        [left]  out0 192.0.2.1/24 2001:db8::1/64 ──── 192.0.2.2/24 2001:db8::2/64 out0  [right]
                {l} 10.9.0.1/24 fd09::1/64  ═ tunnel ═  10.9.0.2/24 fd09::2/64 {r}

    contender None makes the veth alone, with the inner addresses on it: the raw ceiling.
    framing is a dict of AmneziaWG's UAPI keys for both ends.
    """

    OUTER = (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"))
    INNER = (("10.9.0.1", "10.9.0.2"), ("fd09::1", "fd09::2"))
    PORT = (51821, 51822)

    def __init__(self, network, contenders=("culvert", "culvert"), outer=4, link_mtu=1500, mtu=1420,
                 names=("wgl0", "wgr0"), keepalive=None, preshared=None, extra=(), log=None,
                 framing=None):
        self.network = network
        self.ends = [network.namespace("left"), network.namespace("right")]
        self.left, self.right = self.ends
        network.link(self.left, "out0", self.right, "out0", mtu=link_mtu,
                     addresses=[[f"{self.OUTER[0][i]}/24", f"{self.OUTER[1][i]}/64"] for i in (0, 1)])
        self.devices = []
        self.outer = outer
        if contenders is None:
            for i, end in enumerate(self.ends):
                end.address("out0", f"{self.INNER[0][i]}/24", f"{self.INNER[1][i]}/64")
            return
        for i, end in enumerate(self.ends):
            device = make_device(end, names[i], contenders[i], extra=extra, log=log)
            device.configure(listen_port=self.PORT[i], **(framing or {}))
            self.devices.append(device)
        for i in (0, 1):
            self.join(i, keepalive=keepalive, preshared=preshared)
            self.devices[i].up(f"{self.INNER[0][i]}/24", f"{self.INNER[1][i]}/64", mtu=mtu)

    def endpoint(self, i, outer=None):
        """Outer address and port of one end."""
        if (outer or self.outer) == 4:
            return f"{self.OUTER[0][i]}:{self.PORT[i]}"
        return f"[{self.OUTER[1][i]}]:{self.PORT[i]}"

    def join(self, i, **options):
        """Make the other end a peer of end i."""
        other = 1 - i
        self.devices[i].add_peer(self.devices[other].public,
                                 (f"{self.INNER[0][other]}/32", f"{self.INNER[1][other]}/128"),
                                 self.endpoint(other), **options)

    def connect(self, timeout=15):
        """Wait until a ping passes."""
        netns.wait_until(lambda: self.left.ping(self.INNER[0][1], timeout=1, check=False),
                         timeout, what="first ping through the tunnel")

    def cpu_seconds(self):
        return sum(d.cpu_seconds() for d in self.devices)

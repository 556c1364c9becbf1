# SPDX-License-Identifier: Apache-2.0
"""A gateway process under test: its host played here, its clients too.

gateway-serve is started as `culvert gateway` starts it: unprivileged work, a connected
UAPI socket of a real tunnel process and a conversation with its host. The tunnel is ours,
or whatever CULVERT_DEVICE names. Everything runs inside the sandbox of netns.sandbox().
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
import netns  # noqa: E402
import suite  # noqa: E402
import tunnel  # noqa: E402

READY, RECONNECT, PING = 1, 2, 3
UAPI, PONG, DEVICE_RESTARTED, STOP = 101, 102, 103, 104
ACT, ACTED = 20, 120
ACCESS_CLEAR, ACCESS_STAGE, ACCESS_ENFORCE, ACCESS_CHECK, ACCESS_LIST, ACCESS_REMOVE, ACCESS_MEMBERS = range(50, 57)
ACCESS_DONE = 150
CULVERT = os.environ.get("CULVERT") or os.path.join(tunnel.ROOT, "build", "culvert")
# Behind Landlock the leak checker cannot look at its own threads.
SANITIZER = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


class Here:
    """The sandbox's own network, with the calls that tunnel.Device needs."""

    name = "here"

    def run(self, *command, **options):
        return netns.run(*command, **options)

    def output(self, *command, **options):
        return self.run(*command, **options).stdout

    def start(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([str(c) for c in command], start_new_session=True, **options)

    def ip(self, *words, **options):
        return self.run("ip", *words, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def new_key(n=None):
    """A public key; the n-th is always the same."""
    raw = os.urandom(32) if n is None else hashlib.sha256(b"peer %d" % n).digest()
    return base64.b64encode(raw).decode()


class Answer:
    def __init__(self, response, body):
        self.status, self.headers = response.status, response.headers
        self.text = body.decode()
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    def __repr__(self):
        return f"{self.status} {self.text}"


class LocalConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


class Access:
    """What host/access_messages.h says the host does with access lists, as two dictionaries."""

    def __init__(self):
        self.lists, self.members = {}, {}  # number: [rule], address: number
        self.staged = None
        self.fails_with, self.fails_on = 0, range(50, 57)
        self.watch = lambda kind, changes: None
        self.heard = []

    def heed(self, kind, body):
        """The code of the answer."""
        self.heard.append(kind)
        self.watch(kind, self.changes(body) if kind == ACCESS_MEMBERS else None)
        if self.fails_with and kind in self.fails_on:
            return self.fails_with
        lists, members = self.staged or (self.lists, self.members)
        if kind in (ACCESS_CLEAR, ACCESS_STAGE):
            self.staged = ({}, {}) if kind == ACCESS_STAGE else None
            if kind == ACCESS_CLEAR:
                self.lists, self.members = {}, {}
        elif kind == ACCESS_ENFORCE:
            (self.lists, self.members), self.staged = self.staged, None
        elif kind in (ACCESS_LIST, ACCESS_REMOVE):
            number, n = struct.unpack_from("=II", body)
            lists.pop(number, None)
            if kind == ACCESS_LIST:
                lists[number] = [self._rule(body, 8 + 24 * i) for i in range(n)]
        elif kind == ACCESS_MEMBERS:
            for address, was, now in self.changes(body):
                if members.get(address, 0) != was:
                    return 1006
                members.pop(address, None)
                if now:
                    members[address] = now
        return 0

    @staticmethod
    def changes(body):
        """[(address, was, now)]"""
        found = [struct.unpack_from("=16sIII", body, 8 + 28 * i) for i in range(struct.unpack_from("=II", body)[1])]
        return [(socket.inet_ntop(socket.AF_INET6, octets) if family == 6 else socket.inet_ntoa(octets[:4]), was, now)
                for octets, family, was, now in found]

    @staticmethod
    def _rule(body, at):
        octets, family, bits, protocol, _, first, last = struct.unpack_from("=16sBBBBHH", body, at)
        to = socket.inet_ntop(socket.AF_INET6, octets) if family == 6 else socket.inet_ntoa(octets[:4])
        return f"{to}/{bits}", ("any", "tcp", "udp", "icmp")[protocol], first, last


class Gateway:
    """One state directory, one interface, and a gateway process that may come and go."""

    wrap = ()  # words in front of the command

    def __init__(self, log, state="/run/state", extra=(), env=None, interface="wg0"):
        self.state, self.extra, self.env, self.interface = state, list(extra), env or {}, interface
        os.makedirs(state, mode=0o700, exist_ok=True)
        self.log = log
        self.key = "k" * 64
        with open(f"{state}/api.key", "w") as f:
            f.write(self.key + "\n")
        self.device = None
        self.process = None
        self.port = None
        self._host = None
        self._lock = threading.Lock()
        self.access = Access()
        self.start_device()

    # --- the tunnel ---

    def start_device(self):
        self.device = tunnel.Device(Here(), self.interface, "culvert", log=self.log)
        if getattr(self, "private", None):
            self.device.private, self.device.public = self.private, self.public
        self.private, self.public = self.device.private, self.device.public
        self.device.uapi(f"set=1\nprivate_key={tunnel.hexkey(self.private)}\nlisten_port=51820\n\n")

    def stop_device(self):
        self.device.process.kill()
        self.device.process.wait()
        try:
            os.unlink(self.device.socket_path)
        except FileNotFoundError:
            pass

    def restart_device(self):
        self.stop_device()
        netns.wait_until(lambda: not os.path.exists(f"/sys/class/net/{self.interface}"), what="the old interface")
        self.start_device()
        self.tell(DEVICE_RESTARTED)

    def transfer(self):
        """Octets received from all peers, as the interface counts."""
        lines = netns.run("wg", "show", self.interface, "transfer").stdout.splitlines()
        return sum(int(line.split("\t")[1]) for line in lines)

    def on_device(self):
        """{key: set of allowed IPs} of the interface."""
        found = {}
        for line in netns.run("wg", "show", self.interface, "allowed-ips").stdout.splitlines():
            key, prefixes = line.split("\t")
            found[key] = set(prefixes.split()) - {"(none)"}
        return found

    # --- the host's part ---

    def connect_uapi(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.device.socket_path)
        return s

    def _serve_host(self, conversation):
        while True:
            try:
                data = conversation.recv(65536)
            except OSError:
                return
            if not data:
                return
            kind, _, serial = struct.unpack_from("=IIQ", data)
            if kind == READY:
                self.was_ready.set()
            elif kind == RECONNECT:
                try:
                    with self.connect_uapi() as s:
                        socket.send_fds(conversation, [struct.pack("=IIQ", UAPI, 0, 0)], [s.fileno()])
                except BrokenPipeError:
                    return  # it was killed meanwhile
                except OSError as error:
                    conversation.send(struct.pack("=IIQ", UAPI, error.errno, 0))
            elif kind == PING:
                conversation.send(struct.pack("=IIQ", PONG, 0, serial))
            elif kind == ACT:
                conversation.send(struct.pack("=IIQ", ACTED, 0, serial))
            elif ACCESS_CLEAR <= kind <= ACCESS_MEMBERS:
                try:
                    conversation.send(struct.pack("=IIQ", ACCESS_DONE, self.access.heed(kind, data[16:]), serial))
                except OSError:
                    return

    def tell(self, kind):
        if self._host:
            self._host.send(struct.pack("=IIQ", kind, 0, 0))

    # --- the process ---

    def spawn(self, *more):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.was_ready = threading.Event()
        with self.connect_uapi() as uapi, theirs:
            command = [*self.wrap, CULVERT, "gateway-serve", "--state", self.state, "--interface", self.interface, "--listen",
                       "http://127.0.0.1:0", "--uapi-fd", str(uapi.fileno()), "--host-fd", str(theirs.fileno()),
                       "--public-key", self.public, *self.extra, *more]
            self.process = subprocess.Popen(command, pass_fds=(uapi.fileno(), theirs.fileno()), text=True,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                            env={**os.environ, **SANITIZER, **self.env})
        self._host = mine
        threading.Thread(target=self._serve_host, args=(mine,), daemon=True).start()
        return self.process

    def start(self, *more):
        line = self.spawn(*more).stdout.readline()
        if not line.startswith("gateway ready"):
            raise AssertionError(f"no ready line but {line!r}, exit {self.process.wait()}")
        self.port = int(line.split("http://127.0.0.1:")[1].split()[0])
        self.ready_line = line
        return self

    def kill(self):
        self.process.kill()
        self._end()

    def stop(self, timeout=20):
        self.process.terminate()
        return self._end(timeout)

    def _end(self, timeout=20):
        code = self.process.wait(timeout)
        self.process.stdout.close()
        self._host.close()
        self._host = None
        return code

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        if self.device and self.device.process.poll() is None:
            self.stop_device()
        shutil.rmtree(self.state, ignore_errors=True)

    def preload(self, n):
        """Put n peers into the database, while no gateway runs: the first n addresses of /14 and /64."""
        self.start()
        self.stop()
        now = time.time_ns()
        with sqlite3.connect(f"{self.state}/culvert.db") as db:
            keys = (hashlib.sha256(b"preloaded %d" % i).digest() for i in range(n))
            db.executemany("INSERT INTO peer (id, interface_id, public_key, status, families, port, dns, created_ns,"
                           " changed_ns) VALUES (?, 1, ?, 1, 3, 51820, 'd1', ?, ?)",
                           ((i + 1, key, now, now) for i, key in enumerate(keys)))
            first4, first6 = (10 << 24 | 64 << 16) + 2, (0xfd42_4242_0001 << 80) + 2
            db.executemany("INSERT INTO address (interface_id, ip, peer_id) VALUES (1, ?, ?)",
                           (row for i in range(n) for row in (((first4 + i).to_bytes(4, "big"), i + 1),
                                                              ((first6 + i).to_bytes(16, "big"), i + 1))))
        db.close()
        return {base64.b64encode(hashlib.sha256(b"preloaded %d" % i).digest()).decode() for i in range(n)}

    # --- clients ---

    def sign(self, signed, timestamp, nonce=None):
        middle = f"nonce={nonce}, " if nonce else ""
        text = f"timestamp={timestamp}, {middle}body_hash={hashlib.sha256(signed).hexdigest()}"
        return hmac.new(self.key.encode(), text.encode(), hashlib.sha256).hexdigest()

    def sign_v2(self, method, target, timestamp, nonce, body):
        text = f"v2\n{method}\n{target}\n{timestamp}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
        return hmac.new(self.key.encode(), text.encode(), hashlib.sha256).hexdigest()

    def raw(self, method, target, body=b"", headers=None, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            c.putrequest(method, target, skip_accept_encoding=True)
            if body or method in ("POST", "PUT", "PATCH"):
                c.putheader("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                c.putheader(name, value)
            c.endheaders(body if body else None)
            response = c.getresponse()
            return Answer(response, response.read())
        finally:
            if not connection:
                c.close()

    def signed(self, method, target, body=None, signed=None, timestamp=None, connection=None):
        """A version 1 request; body is JSON or bytes; what is signed follows the route's rule."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if signed is None:
            signed = data if method in ("POST", "PUT") else b""
        timestamp = str(int(time.time())) if timestamp is None else timestamp
        headers = {"signature": self.sign(signed, timestamp), "timestamp": timestamp}
        return self.raw(method, target, data, headers, connection)

    def signed_v2(self, method, target, body=None, nonce=None, timestamp=None):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        timestamp = str(int(time.time())) if timestamp is None else timestamp
        nonce = nonce or os.urandom(8).hex()
        headers = {"signature": self.sign_v2(method, target, timestamp, nonce, data), "timestamp": timestamp,
                   "X-Nonce": nonce, "X-Signature-Version": "2"}
        return self.raw(method, target, data, headers)

    def create(self, key, **members):
        members.setdefault("request_id", os.urandom(6).hex())  # equal requests of one second would be replays
        return self.signed("POST", "/api/v1/configurations/", {"public_key": key, **members})

    def local(self, method, target, body=None, headers=None):
        c = LocalConnection(f"{self.state}/gateway.sock")
        try:
            return self.raw(method, target, b"" if body is None else json.dumps(body).encode(), headers, c)
        finally:
            c.close()


class ApiTest(suite.unittest.TestCase):
    """A test with a gateway of its own."""

    longMessage = True
    extra = ()
    env = {}

    def setUp(self):
        self.log_path = f"/run/{self.id()}.log"
        self.log = open(self.log_path, "w+")
        self.addCleanup(self.log.close)
        self.gateway = self.make()

    def make(self, **options):
        options.setdefault("extra", self.extra)
        options.setdefault("env", self.env)
        made = Gateway(self.log, **options)
        self.addCleanup(made.close)
        return made.start()

    def logged(self):
        with open(self.log_path) as f:
            return f.read()

    def soon(self, condition, what, timeout=10.0):
        try:
            return netns.wait_until(condition, timeout, what=what)
        except TimeoutError as error:
            self.fail(str(error))

    def is_(self, answer, status, body=None):
        self.assertEqual(answer.status, status, answer)
        if body is not None:
            self.assertEqual(answer.json, body)

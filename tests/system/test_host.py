#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The host process of a gateway: what it changes, what it refuses, and that it takes all of it back.

    [edge] eth0 192.0.2.1/24, 2001:db8::1/64 ──── [outside]

A small program stands in for the gateway process (fake_gateway.py); the tunnel is ours.
"""

import errno
import glob
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import netns
import suite

CULVERT = os.environ.get("CULVERT", "build/culvert")
HERE = pathlib.Path(__file__).resolve().parent
FAILED, USAGE, REFUSED, PRIVILEGE = 1, 2, 3, 4
NOBODY = 65534


def picture(namespace):
    """Everything about a namespace that a gateway might touch, comparable with ==."""
    seen = {
        "addresses": namespace.output("ip", "-j", "address"),
        "routes": namespace.output("ip", "-j", "route", "show", "table", "all"),
        "routes6": namespace.output("ip", "-6", "-j", "route", "show", "table", "all"),
        "rules": namespace.output("ip", "-j", "rule"),
        "nft": namespace.output("nft", "list", "ruleset"),
        "sockets": sorted(glob.glob("/run/wireguard/*")),
    }
    text = namespace.output("grep", "-rs", "", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6", check=False)
    noise = re.compile(r"/stable_secret|/route/flush|_err:|/nf_conntrack|/tcp_fastopen_key|random|/base_reachable")
    seen["sysctl"] = sorted(line for line in text.splitlines() if not noise.search(line))
    # Counters of lifetimes go down while we look.
    for key in ("routes6", "addresses"):
        seen[key] = re.sub(r'"(expires|valid_life_time|preferred_life_time)":\d+,?', "", seen[key])
    return seen


def is_settled(namespace):
    """Every interface has its carrier, and its link-local address is one: nothing moves by itself any more."""
    links = json.loads(namespace.output("ip", "-j", "address", "show", "up"))
    return all("NO-CARRIER" not in link["flags"] and not any(a.get("tentative") for a in link["addr_info"]) and
               ("LOOPBACK" in link["flags"] or any(a["scope"] == "link" for a in link["addr_info"]))
               for link in links)


class Gateway:
    """A running `culvert gateway` in a namespace."""

    def __init__(self, namespace, state, *options, mode="", program="/run/fake_gateway.py", env=None, wrap=()):
        self.state = state
        self.namespace = namespace
        self.errors_path = f"/run/errors-{os.path.basename(state) or 'x'}-{time.monotonic_ns()}"
        command = [*wrap, CULVERT, "gateway", "--state", state]
        if program:
            command += ["--gateway-program", program]
            pathlib.Path(f"{program}.mode").write_text(mode)
        with open(self.errors_path, "w") as errors:
            self.process = namespace.start(*command, *options, stdout=subprocess.PIPE, stderr=errors,
                                           env={**os.environ, **(env or {})})

    def ready(self):
        line = self.process.stdout.readline()
        if not line.startswith("gateway ready"):
            raise AssertionError(f"no ready line but {line!r}\n{self.errors()}")
        return self

    def errors(self):
        return pathlib.Path(self.errors_path).read_text()

    def end(self, how=signal.SIGTERM, patience=30):
        self.process.send_signal(how)
        return self.process.wait(patience)

    def said(self, event=None):
        try:
            lines = [json.loads(line) for line in pathlib.Path(f"{self.state}/fake.log").read_text().splitlines()]
        except FileNotFoundError:
            return []
        return [line for line in lines if event in (None, line["event"])]


class HostTest(suite.NetTest):
    def setUp(self):
        super().setUp()
        shutil.copy(HERE / "fake_gateway.py", "/run/fake_gateway.py")
        os.chmod("/run/fake_gateway.py", 0o755)
        self.base = f"/run/t{time.monotonic_ns()}"
        os.mkdir(self.base)
        os.chmod(self.base, 0o755)
        self.state = f"{self.base}/state"
        self.edge = self.net.namespace("edge")
        self.outside = self.net.namespace("outside")
        self.net.link(self.edge, "eth0", self.outside, "eth0",
                      addresses=(("192.0.2.1/24", "2001:db8::1/64"), ("192.0.2.2/24", "2001:db8::2/64")))
        self.edge.rules("inet", "filter hook input", "tcp dport 9 drop")
        # Link-local addresses and their routes come a little after the link.
        self.soon(lambda: is_settled(self.edge), "settled addresses")
        self.before = picture(self.edge)

    def start(self, *options, **more):
        gateway = Gateway(self.edge, more.pop("state", self.state), *options, **more)
        self.addCleanup(gateway.process.kill)
        return gateway

    def assertAsFound(self, namespace=None, before=None):
        after = picture(namespace or self.edge)
        before = before or self.before
        for key, value in before.items():
            self.assertEqual(value, after[key], f"{key} differs")

    def refused(self, code, *patterns, options=(), **more):
        gateway = self.start(*options, **more)
        output, _ = gateway.process.communicate(timeout=30)
        self.assertEqual(gateway.process.returncode, code, gateway.errors())
        for pattern in patterns:
            self.assertRegex(gateway.errors(), pattern)
        self.assertNotIn("gateway ready", output)
        self.assertAsFound()
        return gateway

    def child(self, gateway, name):
        """Process id of a child of the host process, by a word of its command line."""
        for pid in self.children(gateway):
            if name in pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                return int(pid)
        return None

    def children(self, gateway):
        pid = gateway.process.pid
        try:
            return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return []

    def link(self, name="wg0"):
        return json.loads(self.edge.output("ip", "-j", "-d", "address", "show", "dev", name))[0]


class StartAndStop(HostTest):
    def test_a_gateway_leaves_the_host_as_it_was_found(self):
        gateway = self.start().ready()
        during = picture(self.edge)
        for key in ("addresses", "routes", "routes6", "nft", "sysctl", "sockets"):
            self.assertNotEqual(self.before[key], during[key], f"{key}: nothing was done")
        link = self.link()
        addresses = {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]}
        self.assertLessEqual({"10.0.1.1/24", "fd42:4242:1::1/64"}, addresses)
        self.assertIn("UP", link["flags"])
        self.assertEqual(self.edge.sysctl("net.ipv4.ip_forward"), "1")
        self.assertEqual(self.edge.sysctl("net.ipv6.conf.all.forwarding"), "1")
        self.assertIn("table inet culvert_wg0", during["nft"])
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()
        self.assertEqual(gateway.said()[-1]["type"], 104, "it was asked to stop")

    def test_interrupt_from_the_terminal_ends_it_in_order(self):
        gateway = self.start().ready()
        self.assertEqual(gateway.end(signal.SIGINT), 0)
        self.assertAsFound()
        self.assertNotIn("starting it again", gateway.errors())

    def test_options_reach_the_interface_and_the_gateway_process(self):
        gateway = self.start("--interface", "tun-a.1", "--port=5001", "--subnet4", "172.30.0.0/16", "--subnet6",
                             "fd99::/112", "--listen", "http://127.0.0.1:8123", "--endpoint", "vpn.example", "--log-level",
                             "debug", "--log-json").ready()
        options = gateway.said("started")[0]["options"]
        self.assertEqual(options["--interface"], "tun-a.1")
        self.assertEqual(options["--subnet4"], "172.30.0.0/16")
        self.assertEqual(options["--subnet6"], "fd99::/112")
        self.assertEqual(options["--port"], "5001")
        self.assertEqual(options["--listen"], "http://127.0.0.1:8123")
        self.assertEqual(options["--endpoint"], "vpn.example")
        self.assertEqual(options["--log-level"], "debug")
        command = pathlib.Path(f"/proc/{self.child(gateway, 'gateway-serve')}/cmdline").read_text()
        self.assertIn("--log-json", command.split("\0"))
        tunnel = pathlib.Path(f"/proc/{self.child(gateway, 'culvert-device')}/environ").read_text()
        self.assertIn("LOG_LEVEL=debug", tunnel.split("\0"))
        self.assertEqual(gateway.said("started")[0]["port"], ["listen_port=5001"])
        public = self.edge.run("wg", "pubkey", input=open(f"{self.state}/server.key").read()).stdout.strip()
        self.assertEqual(options["--public-key"], public)
        addresses = {f"{a['local']}/{a['prefixlen']}" for a in self.link("tun-a.1")["addr_info"]}
        self.assertLessEqual({"172.30.0.1/16", "fd99::1/112"}, addresses)
        gateway.end()
        self.assertAsFound()

    def test_each_process_gets_only_the_variables_that_concern_it(self):
        secret, foreign = {"GATEWAY_API_KEY": "k" * 40, "DNS_D1": "9.9.9.9"}, {"AWS_SECRET_KEY": "s", "WG_TUN_FD": "0"}
        gateway = self.start(env={**secret, **foreign}).ready()
        tunnel = pathlib.Path(f"/proc/{self.child(gateway, 'culvert-device')}/environ").read_text()
        tunnel_names = {entry.split("=")[0] for entry in tunnel.split("\0") if entry}
        served = gateway.said("started")[0]["environment"]
        self.assertLessEqual(secret.items(), served.items())
        for name in foreign:
            self.assertNotIn(name, served)
        sanitizers = {"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}
        self.assertLessEqual(tunnel_names, {"PATH", "LC_ALL", "LOG_LEVEL"} | sanitizers)
        gateway.end()

    def test_a_signal_while_it_starts_ends_it_without_a_trace(self):
        generator = random.Random(4)
        for _ in range(suite.scaled(12, 200)):
            gateway = self.start()
            time.sleep(generator.uniform(0.0, 0.4))
            # Before the program has come as far as main() the signal itself ends it.
            self.assertIn(gateway.end(), (0, -signal.SIGTERM), gateway.errors())
            self.assertAsFound()

    def test_a_gateway_that_does_not_listen_is_ended_all_the_same(self):
        gateway = self.start(mode="deaf").ready()
        pid = self.child(gateway, "gateway-serve")
        start = time.monotonic()
        self.assertEqual(gateway.end(), 0)
        self.assertLess(time.monotonic() - start, 15)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertAsFound()

    def test_the_sum_of_two_gateways_is_taken_back_by_the_last_one(self):
        one = self.start(state=f"{self.base}/one").ready()
        two = self.start("--interface", "wg1", "--port", "51821", "--subnet4", "10.0.2.0/24", "--subnet6",
                         "fd42:4242:2::/64", state=f"{self.base}/two").ready()
        self.assertEqual(one.end(), 0)
        self.assertEqual(self.edge.sysctl("net.ipv4.ip_forward"), "1", "the second still needs it")
        self.assertIn("culvert_wg1", picture(self.edge)["nft"])
        self.assertNotIn("culvert_wg0", picture(self.edge)["nft"])
        self.assertEqual(two.end(), 0)
        self.assertAsFound()

    def test_a_host_that_forwards_already_goes_on_forwarding(self):
        self.edge.sysctl("net.ipv4.ip_forward", 1)
        self.edge.sysctl("net.ipv6.conf.all.forwarding", 1)
        before = picture(self.edge)
        self.start().ready().end()
        self.assertAsFound(before=before)

    def test_a_host_without_ipv6_gets_a_gateway_all_the_same(self):
        self.edge.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        self.edge.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        before = picture(self.edge)
        gateway = self.start().ready()
        addresses = {a["local"] for a in self.link()["addr_info"]}
        self.assertIn("10.0.1.1", addresses)
        self.assertIn("fd42:4242:1::1", addresses, "inside the tunnel IPv6 is ours to allow")
        gateway.end()
        self.assertAsFound(before=before)


class Repair(HostTest):
    def gone(self, gateway):
        """Wait until nothing of a killed gateway runs any more."""
        self.soon(lambda: not os.path.exists("/sys/class/net/wg0") and not self.leftovers(), "the end of its children")

    def leftovers(self):
        return subprocess.run(["pgrep", "-f", "culvert-device|gateway-serve"], stdout=subprocess.PIPE).stdout.split()

    def test_the_children_of_a_killed_host_end(self):
        gateway = self.start().ready()
        gateway.end(signal.SIGKILL)
        self.gone(gateway)

    def test_a_second_start_and_stop_takes_back_what_a_killed_host_left(self):
        gateway = self.start().ready()
        gateway.end(signal.SIGKILL)
        self.assertNotEqual(picture(self.edge)["nft"], self.before["nft"])
        again = self.start().ready()
        self.assertEqual(again.end(), 0)
        self.assertAsFound()
        self.assertIn("cleaning up after it", again.errors())

    def test_another_interface_and_another_state_clean_up_too(self):
        self.start().ready().end(signal.SIGKILL)
        again = self.start("--interface", "wg7", "--port", "51827", state=f"{self.base}/other").ready()
        self.assertNotIn("culvert_wg0", picture(self.edge)["nft"])
        self.assertEqual(again.end(), 0)
        self.assertAsFound()

    def test_everything_killed_at_once_is_repaired(self):
        gateway = self.start().ready()
        pids = [gateway.process.pid, self.child(gateway, "culvert-device"), self.child(gateway, "gateway-serve")]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        gateway.process.wait(10)
        self.assertEqual(self.start().ready().end(), 0)
        self.assertAsFound()

    def test_a_host_that_is_stopped_does_not_hold_up_its_successor_for_ever(self):
        """The device of a killed host hangs: the next start ends it by force."""
        gateway = self.start().ready()
        device = self.child(gateway, "culvert-device")
        os.kill(device, signal.SIGSTOP)
        gateway.end(signal.SIGKILL)
        again = self.start().ready()
        self.assertEqual(pathlib.Path(f"/proc/{device}/cmdline").read_text(), "", "a zombie at most")
        self.assertEqual(again.end(), 0)
        self.assertAsFound()

    def test_entries_of_namespaces_that_died_do_not_fill_the_journal(self):
        self.start().ready().end(signal.SIGKILL)
        path = pathlib.Path("/run/culvert/journal")
        ours = path.read_text()
        few = "".join(f"holder {n} 999999999 1 wg0\nsetting {n} net/ipv4/ip_forward 0\n" for n in range(10 ** 9, 10 ** 9 + 9))
        many = few + "".join(f"setting {n} net/ipv4/ip_forward 0\n" for n in range(10 ** 10, 10 ** 10 + 2000))
        for strangers, left in ((few, 18), (many, 0)):
            path.write_text(ours + strangers)
            gateway = self.start().ready()
            self.assertEqual(len(re.findall(r"^\w+ 100000000", path.read_text(), re.M)), left)
            self.assertEqual(gateway.end(), 0)
            self.assertAsFound()
        path.unlink(missing_ok=True)

    def test_killed_at_any_moment_the_next_one_starts(self):
        seed = int(os.environ.get("CULVERT_TEST_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
        print(f"# seed {seed}", flush=True)
        generator = random.Random(seed)
        for _ in range(suite.scaled(10, 200)):
            gateway = self.start()
            time.sleep(generator.uniform(0.0, 0.6))
            gateway.end(signal.SIGKILL)
        self.assertEqual(self.start().ready().end(), 0)
        self.assertAsFound()


class Refusals(HostTest):
    def test_without_privileges(self):
        pathlib.Path("/run/open").mkdir(exist_ok=True)
        if os.stat("/proc/self").st_uid == 0 and len(open("/proc/self/uid_map").read().splitlines()) == 1 and \
                open("/proc/self/uid_map").read().split()[2] == "1":
            self.skipTest("one user only in this namespace")
        self.refused(PRIVILEGE, "start it as root", options=("--kind", "tun"),
                     wrap=("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all"))

    def test_without_a_tun_device(self):
        self.refused(PRIVILEGE, "/dev/net/tun: No such file.*modprobe tun", options=("--kind", "tun"),
                     wrap=("unshare", "-m", "sh", "-c", 'mount -t tmpfs x /dev/net && exec "$@"', "sh"))

    def test_without_nft(self):
        self.refused(FAILED, "nft is missing; install the package nftables",
                     wrap=("unshare", "-m", "sh", "-c",
                           'c=$(command -v mount); for d in /usr/sbin; do mkdir -p /run/empty; '
                           '"$c" --bind /run/empty $d; done; exec "$@"', "sh"))

    def test_a_port_in_use(self):
        with self.edge:
            taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.bind(("0.0.0.0", 51820))
        self.addCleanup(taken.close)
        self.refused(FAILED, r"UDP port 51820 is in use.*--port")

    def test_an_interface_that_exists(self):
        self.edge.ip("link", "add", "wg0", "type", "veth", "peer", "name", "x0")
        self.before = picture(self.edge)
        self.refused(FAILED, "the interface wg0 exists already.*--interface.*ip link delete wg0")

    def test_the_interface_of_another_gateway(self):
        gateway = self.start().ready()
        before, self.before = self.before, picture(self.edge)
        self.refused(FAILED, rf"another gateway \(process {gateway.process.pid}\) has the interface wg0",
                     state=f"{self.base}/other")
        gateway.end()
        self.assertAsFound(before=before)

    def test_a_state_directory_in_use(self):
        gateway = self.start().ready()
        self.before = picture(self.edge)
        self.refused(FAILED, "another gateway is running with the state directory",
                     options=("--interface", "wg1", "--port", "51821"))
        gateway.end()

    def test_a_state_path_too_long_for_a_socket(self):
        room = 107 - len("/gateway.sock")
        self.refused(REFUSED, r"95 octets.*1 to 94.*--state", state="/run/" + "x" * (room - 4))
        longest = "/run/" + "y" * (room - 5)
        gateway = self.start(state=longest).ready()
        gateway.end()
        shutil.rmtree(longest)

    def test_a_state_directory_that_cannot_be_made(self):
        self.refused(FAILED, "cannot make the state directory: No such file", state="/run/no/such/place")
        pathlib.Path(f"{self.base}/file").write_text("")
        self.refused(FAILED, "cannot open the state directory: Not a directory", state=f"{self.base}/file")

    def test_networks_that_are_taken(self):
        self.refused(REFUSED, r"192.0.2.0/25 overlaps 192.0.2.1/24 on eth0.*--subnet4",
                     options=("--subnet4", "192.0.2.0/25"))
        self.refused(REFUSED, r"192.0.0.0/16 overlaps 192.0.2.1/24 on eth0", options=("--subnet4", "192.0.0.0/16"))
        self.refused(REFUSED, r"2001:db8::/64 overlaps 2001:db8::1/64 on eth0.*--subnet6",
                     options=("--subnet6", "2001:db8::/64"))

    def test_networks_nobody_can_live_in(self):
        for network in ("10.0.0.0/31", "0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4"):
            self.refused(REFUSED, "--subnet4 must be a network", options=("--subnet4", network))
        for network in ("fe80::/64", "ff00::/8", "fd00::/127", "::/64"):
            self.refused(REFUSED, "--subnet6 must be a network", options=("--subnet6", network))

    def test_names_no_interface_can_have(self):
        for name in ("", "lo", "all", "..", "a/b", "a b", "sixteen-octets-x", "a\nb", "$(id)"):
            self.refused(REFUSED, "cannot be an interface name", options=("--interface", name))

    def test_a_command_line_it_does_not_understand(self):
        self.refused(USAGE, "no option --prot; did you mean --port", options=("--prot", "1"))
        self.refused(USAGE, "--port needs a value: N", options=("--port",))
        self.refused(USAGE, "--log-json takes no value", options=("--log-json=1",))
        self.refused(USAGE, "unexpected argument 'x'", options=("x",))
        self.refused(USAGE, '--port: "65536" is not a port', options=("--port", "65536"))
        self.refused(USAGE, '--subnet4: "fd00::/64" is not', options=("--subnet4", "fd00::/64"))
        self.refused(USAGE, "--listen: \"8001\": expected http://ADDRESS:PORT", options=("--listen", "8001"))
        self.assertFalse(os.path.exists(self.state), "refused before anything was made")

    def test_a_gateway_process_that_does_not_get_ready(self):
        self.refused(REFUSED, options=(), mode="exit 3")
        self.refused(FAILED, "ended with code 9 before it served", mode="exit 9")
        self.refused(FAILED, r"the user it runs as \(uid \d+\) may not execute or read /\S+ ", mode="exit 127")


class Configuration(HostTest):
    def conf(self, text):
        os.mkdir(self.state)
        pathlib.Path(f"{self.state}/culvert.conf").write_text(text)

    def port(self, *options, **more):
        gateway = self.start(*options, **more).ready()
        gateway.end()
        return gateway.said("started")[-1]["options"]["--port"]

    def test_command_line_over_environment_over_file_over_default(self):
        self.assertEqual(self.port(), "51820")
        shutil.rmtree(self.state)
        self.conf("# a gateway\n\n[gateway]\nport = 5003 # its port\ninterface=wgf\n")
        self.assertEqual(self.port(), "5003")
        self.assertEqual(self.port(env={"WG_DEFAULT_PORT": "5002"}), "5002")
        self.assertEqual(self.port(env={"WG_DEFAULT_PORT": "5002", "CULVERT_GATEWAY_PORT": "5001"}), "5001")
        self.assertEqual(self.port("--port", "5000", env={"CULVERT_GATEWAY_PORT": "5001"}), "5000")

    def test_a_file_that_somebody_else_may_have_written_is_not_obeyed(self):
        self.conf("[gateway]\nport = 5003\n")
        path = f"{self.state}/culvert.conf"
        for spoil, mend in ((lambda: os.chown(path, NOBODY, 0), lambda: os.chown(path, 0, 0)),
                            (lambda: os.chmod(path, 0o664), lambda: os.chmod(path, 0o644)),
                            (lambda: os.link(path, self.state + "/other"), lambda: os.unlink(self.state + "/other"))):
            spoil()
            self.refused(REFUSED, r"culvert.conf: not obeyed: .*chown root, chmod go-w")
            mend()
        self.assertEqual(self.port(), "5003")
        self.assertEqual(os.stat(path).st_uid, 0, "root keeps what it obeys")

    def test_what_root_does_for_the_gateway_is_not_said_in_its_own_directory(self):
        for key in ("hook_reboot = /bin/true", "hook_wipe = /bin/true"):
            self.conf(f"[gateway]\n{key}\n")
            self.refused(REFUSED, r"culvert.conf line 2: hook-\w+ cannot be set in the state directory")
            shutil.rmtree(self.state)

    def test_unknown_names_show_the_nearest_one_and_their_line(self):
        self.conf("[gateway]\nport = 1\nlisen = x\n")
        self.refused(REFUSED, r"culvert.conf line 3: no such key; did you mean listen\?")
        shutil.rmtree(self.state)
        self.conf("[gatway]\n")
        self.refused(REFUSED, r"line 1: no such section; did you mean \[gateway\]\?")
        shutil.rmtree(self.state)
        self.conf("port = 1\n")
        self.refused(REFUSED, r"line 1: a key before the first \[section\]")
        shutil.rmtree(self.state)
        self.conf("[gateway]\nport = none\n")
        self.refused(REFUSED, r'culvert.conf line 2: "none" is not a port')
        shutil.rmtree(self.state)
        self.conf("[gateway]\ngateway-program = /bin/true\n")
        self.refused(REFUSED, "no such key")
        self.refused(REFUSED, r"no option for the variable CULVERT_GATEWAY_PROT; did you mean port\?",
                     env={"CULVERT_GATEWAY_PROT": "1"})

    def test_help_lists_every_option_and_its_default(self):
        text = self.edge.output(CULVERT, "gateway", "--help")
        for word in ("--state", "--interface", "--listen", "--port", "--subnet4", "--subnet6", "--endpoint",
                     "wg0", "51820", "10.0.1.0/24", "fd42:4242:1::/64", "http://127.0.0.1:8000"):
            self.assertIn(word, text)
        self.assertNotIn("-program", text)


class State(HostTest):
    def mode(self, name=""):
        return stat.S_IMODE(os.stat(f"{self.state}/{name}").st_mode)

    def test_keys_have_their_form_their_mode_and_stay(self):
        self.start().ready().end()
        server, api = (open(f"{self.state}/{n}").read() for n in ("server.key", "api.key"))
        self.assertRegex(server, r"^[A-Za-z0-9+/]{43}=\n$")
        self.assertRegex(api, r"^[0-9a-f]{64}\n$")
        self.assertEqual([self.mode(n) for n in ("", "server.key", "api.key")], [0o700, 0o600, 0o600])
        self.assertEqual(os.stat(f"{self.state}/server.key").st_uid, 0)
        self.start().ready().end()
        self.assertEqual(server, open(f"{self.state}/server.key").read())
        self.assertEqual(api, open(f"{self.state}/api.key").read())

    def test_a_key_that_is_not_as_it_must_be_is_refused(self):
        self.start().ready().end()
        path = f"{self.state}/server.key"
        good = open(path).read()
        for text in ("", "x\n", good[:-2] + "\n", good + "\n", "A" * 43 + "=\n"):
            pathlib.Path(path).write_text(text)
            self.refused(FAILED, "server.key must hold one key")
        pathlib.Path(path).write_text(good)
        os.chmod(path, 0o640)
        self.refused(FAILED, "server.key must be a plain file")
        os.chmod(path, 0o600)
        os.link(path, f"{self.state}/other")
        self.refused(FAILED, "server.key must be a plain file")
        os.unlink(f"{self.state}/other")
        os.rename(path, f"{self.base}/moved.key")
        os.symlink(f"{self.base}/moved.key", path)
        self.refused(FAILED, "cannot open .*/server.key: Too many levels of symbolic links")
        os.unlink(path)
        if os.stat(self.state).st_uid:
            shutil.copy(f"{self.base}/moved.key", path)
            os.chmod(path, 0o600)
            os.chown(path, NOBODY, NOBODY)
            self.refused(FAILED, "server.key must be a plain file of user 0")

    def with_users(self, *lines):
        """A user database of its own, for whatever starts from now on in this test."""
        kept = [line for line in open("/etc/passwd") if not line.startswith("culvert:")]
        pathlib.Path("/run/passwd").write_text("".join(kept) + "".join(f"{line}\n" for line in lines))
        netns.run("mount", "--bind", "/run/passwd", "/etc/passwd")
        self.addCleanup(lambda: netns.run("umount", "/etc/passwd"))

    def test_without_a_user_of_its_own_it_warns_and_with_one_it_takes_the_state_over(self):
        self.with_users()
        gateway = self.start().ready()
        if "runs as the user that started it" in gateway.errors():
            self.skipTest("no other users in this user namespace")
        self.assertIn("there is no user culvert: the gateway runs as nobody", gateway.errors())
        self.assertEqual(gateway.said("started")[-1]["status"]["Uid"][0], str(NOBODY))
        gateway.end()
        self.with_users("culvert:x:4242:4243::/nonexistent:/usr/sbin/nologin")
        gateway = self.start().ready()
        self.assertNotIn("there is no user", gateway.errors())
        status = gateway.said("started")[-1]["status"]
        self.assertEqual((set(status["Uid"]), set(status["Gid"])), ({"4242"}, {"4243"}))
        for path in (self.state, f"{self.state}/api.key"):
            self.assertEqual(os.stat(path).st_uid, 4242)
        self.assertEqual(os.stat(f"{self.state}/server.key").st_uid, 0)
        self.assertEqual(gateway.end(), 0)
        self.assertAsFound()

    def test_files_that_were_given_to_root_come_back_to_the_gateway_user(self):
        """systemd gives a state directory to the unit's user, with all that is in it."""
        self.start().ready().end()
        user = os.stat(f"{self.state}/api.key").st_uid
        for path in (self.state, *glob.glob(f"{self.state}/*")):
            os.chown(path, 0, 0)
        os.link("/run/fake_gateway.py", f"{self.state}/link")
        os.symlink("/run/fake_gateway.py", f"{self.state}/symlink")
        gateway = self.start().ready()
        self.assertEqual(len(gateway.said("started")), 2, "it could write on")
        gateway.end()
        owners = {name: os.lstat(f"{self.state}/{name}").st_uid for name in os.listdir(self.state)}
        self.assertEqual(owners, {"api.key": user, "fake.log": user, "server.key": 0, "lock": 0,
                                  "link": 0, "symlink": 0})

    def test_a_database_without_its_key_is_not_given_a_new_one(self):
        self.start().ready().end()
        pathlib.Path(f"{self.state}/culvert.db").write_text("")
        os.unlink(f"{self.state}/server.key")
        self.refused(FAILED, "server.key is missing although there are peers that know it")
        os.unlink(f"{self.state}/culvert.db")
        self.start().ready().end()

    def test_a_state_directory_below_a_private_one_works(self):
        private = f"{self.base}/private"
        os.mkdir(private, 0o700)
        gateway = self.start(state=f"{private}/state").ready()
        self.assertTrue(os.path.exists(f"{private}/state/fake.log"), "it wrote to the very directory")
        gateway.end()
        self.assertAsFound()

    def test_no_secret_is_said(self):
        gateway = self.start("--log-level", "debug").ready()
        secrets = [open(f"{self.state}/{n}").read().strip() for n in ("server.key", "api.key")]
        words = "".join(pathlib.Path(p).read_text() for p in glob.glob("/proc/[0-9]*/cmdline"))
        gateway.end()
        for secret in secrets:
            self.assertNotIn(secret, gateway.errors())
            self.assertNotIn(secret, words)


class Children(HostTest):
    def test_the_gateway_process_has_no_rights(self):
        gateway = self.start().ready()
        started = gateway.said("started")[0]
        gateway.end()
        status = started["status"]
        for caps in ("CapEff", "CapPrm", "CapInh", "CapBnd"):
            self.assertEqual(int(status[caps][0], 16), 0, caps)
        self.assertEqual(status["NoNewPrivs"], ["1"])
        self.assertEqual(started["fds"][:7], [0, 1, 2, 3, 4, 5, 6])
        self.assertLessEqual(len(started["fds"]), 8, "and its own log")
        self.assertEqual(started["pong"], [102, 0, 7])
        if os.stat(self.state).st_uid == 0:
            self.skipTest("no other user in this namespace")
        self.assertEqual(set(status["Uid"] + status["Gid"]), {str(os.stat(self.state).st_uid)} |
                         {str(os.stat(self.state).st_gid)})

    def test_the_host_process_keeps_only_what_it_needs(self):
        gateway = self.start().ready()
        status = dict(line.split(":\t") for line in open(f"/proc/{gateway.process.pid}/status"))
        gateway.end()
        # KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_ADMIN, NET_RAW
        self.assertEqual(int(status["CapEff"], 16), sum(1 << n for n in (5, 6, 7, 8, 10, 12, 13)))
        self.assertEqual(status["CapBnd"], status["CapEff"])
        self.assertEqual(status["NoNewPrivs"].strip(), "1")

    def test_a_gateway_process_that_dies_comes_back_and_the_tunnel_stays(self):
        gateway = self.start().ready()
        index, device = self.link()["ifindex"], self.child(gateway, "culvert-device")
        for life in range(2, 5):
            os.kill(self.child(gateway, "gateway-serve"), signal.SIGKILL)
            self.soon(lambda n=life: len(gateway.said("started")) == n, "its next life")
        self.assertEqual(self.link()["ifindex"], index)
        self.assertEqual(self.child(gateway, "culvert-device"), device)
        self.assertRegex(gateway.errors(), "the gateway process was ended by signal 9; starting it again")
        self.assertEqual(gateway.end(), 0)
        self.assertAsFound()

    def test_a_tunnel_that_dies_comes_back_and_the_gateway_process_is_told(self):
        gateway = self.start().ready()
        first = self.child(gateway, "gateway-serve")
        public = self.edge.output("wg", "show", "wg0", "public-key")
        for life in range(1, 4):
            os.kill(self.child(gateway, "culvert-device"), signal.SIGKILL)
            self.soon(lambda n=life: len(gateway.said("reconnected")) == n, "a new connection", timeout=10)
        self.assertEqual(gateway.said("reconnected")[-1]["port"], ["listen_port=51820"])
        self.assertEqual(self.edge.output("wg", "show", "wg0", "public-key"), public)
        addresses = {f"{a['local']}/{a['prefixlen']}" for a in self.link()["addr_info"]}
        self.assertLessEqual({"10.0.1.1/24", "fd42:4242:1::1/64"}, addresses)
        self.assertIn("UP", self.link()["flags"])
        self.assertEqual(self.child(gateway, "gateway-serve"), first, "the gateway process itself stayed")
        self.assertEqual(gateway.end(), 0)
        self.assertAsFound()

    def test_the_gateway_process_cannot_get_the_tunnel_or_its_key(self):
        gateway = self.start(mode="rude greedy").ready()
        os.kill(self.child(gateway, "gateway-serve"), signal.SIGUSR1)
        self.soon(lambda: gateway.said("handover"), "its attempts")
        get, set_key, set_mark, set_port, way_back = gateway.said("greedy")[0]["answers"]
        self.assertIn("listen_port=51820", get)
        self.assertNotIn("private_key", get)
        self.assertEqual([set_key, set_mark, set_port], ["errno=-22\n\n"] * 3)
        self.assertEqual(way_back, "", "closed")
        self.assertEqual(gateway.said("handover")[0]["answer"], "", "closed")
        private = open(f"{self.state}/server.key").read().strip()
        self.assertEqual(self.edge.output("wg", "show", "wg0", "private-key").strip(), private)
        self.assertEqual(self.edge.output("wg", "show", "wg0", "fwmark").strip(), "off")
        gateway.end()

    def test_the_gateway_process_cannot_take_all_connections_to_the_tunnel(self):
        gateway = self.start(mode="rude hoard").ready()
        os.kill(self.child(gateway, "gateway-serve"), signal.SIGUSR1)
        self.soon(lambda: gateway.said("hoard"), "its attempts", timeout=20)
        said = gateway.said("hoard")[0]
        self.assertLessEqual(said["kept"], 8)
        self.assertEqual(said["refused"], [errno.EBUSY])
        for _ in range(3):
            self.assertEqual(self.edge.output("wg", "show", "wg0", "listen-port").strip(), "51820")
        gateway.end()

    def test_a_gateway_process_that_breaks_a_rule_is_killed_and_replaced(self):
        for word, reason in {"short": "wrong form", "long": "wrong form", "type": "unknown type",
                             "host-type": "unknown type", "ready": "ready a second time",
                             "fd": "a descriptor where none belongs", "flood": "more messages",
                             "hang-up": "left the conversation"}.items():
            with self.subTest(word):
                gateway = self.start(mode=f"rude {word}", state=f"{self.base}/{word}").ready()
                rude = self.child(gateway, "gateway-serve")
                os.kill(rude, signal.SIGUSR1)
                self.soon(lambda g=gateway: len(g.said("started")) == 2, f"its successor ({word})", timeout=10)
                self.assertFalse(os.path.exists(f"/proc/{rude}"))
                self.assertRegex(gateway.errors(), f"the gateway process is ended: .*{reason}")
                self.assertEqual(gateway.end(), 0)
                self.assertAsFound()


if __name__ == "__main__":
    suite.main()

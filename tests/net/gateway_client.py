# SPDX-License-Identifier: Apache-2.0
"""A gateway from nothing, and a stock client that uses what it printed.

    [client] out0 ──── [world] ──── out0 [gateway]
        wg-quick up phone.conf           culvert gateway --state DIR

The client is wg-quick with the kernel's module, or with wireguard-go where there is none.
"""

import os
import signal
import subprocess

import suite
import tunnel

GATEWAY_INNER = ("10.0.1.1", "fd42:4242:1::1")
WORLD = ("198.18.0.1", "2001:db8:ffff::1")


class GatewayTest(suite.NetTest):
    kind = "userspace"  # what serves the gateway's interface
    megabytes = 64  # of the soak
    megabytes_usual = 16

    def setUp(self):
        super().setUp()
        net = self.net
        self.client, self.world, self.gateway = (net.namespace(n) for n in ("client", "world", "gateway"))
        net.link(self.client, "out0", self.world, "c0", addresses=(
            ["198.51.100.2/24", "2001:db8:c::2/64"], ["198.51.100.1/24", "2001:db8:c::1/64"]))
        net.link(self.world, "g0", self.gateway, "out0", addresses=(
            ["192.0.2.1/24", "2001:db8:9::1/64"], ["192.0.2.2/24", "2001:db8:9::2/64"]))
        self.world.sysctl("net.ipv4.ip_forward", 1)
        self.world.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.world.address("lo", WORLD[0] + "/32", WORLD[1] + "/128")
        for end, v4, v6 in ((self.client, "198.51.100.1", "2001:db8:c::1"),
                            (self.gateway, "192.0.2.1", "2001:db8:9::1")):
            end.ip("route", "add", "default", "via", v4)
            end.ip("-6", "route", "add", "default", "via", v6)
        self.state = f"/run/state-{self.id()}"
        self.program = tunnel.CONTENDERS["culvert"]()[0]
        self.before = self.host_state()

    def host_state(self):
        """What SIGTERM must leave as it was."""
        return (self.gateway.output("nft", "list", "ruleset"), self.gateway.output("ip", "-o", "link").count("\n"),
                self.gateway.sysctl("net.ipv4.ip_forward"), self.gateway.sysctl("net.ipv6.conf.all.forwarding"),
                self.gateway.output("ip", "route"))

    def serve(self):
        """Start the gateway and wait for its line."""
        process = self.gateway.start(self.program, "gateway", "--state", self.state, "--kind", self.kind,
                                     stdout=subprocess.PIPE, stderr=self.log)
        for line in process.stdout:
            if line.startswith("gateway ready"):
                return process
        self.fail("the gateway ended before it was ready")

    def add(self, name):
        return self.gateway.output(self.program, "gateway", "peer", "add", name, "--state", self.state, "--dns", "none")

    def connect(self, text):
        """The configuration, as somebody would use it."""
        path = "/run/phone.conf"
        with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as f:
            f.write(text)
        self.client.run("wg-quick", "up", path, timeout=120)

    def disconnect(self):
        self.client.run("wg-quick", "down", "/run/phone.conf", timeout=120)

    def reaches_everything(self):
        self.soon(lambda: self.pings(self.client, GATEWAY_INNER[0], timeout=2), "a ping to the gateway", 30)
        self.soon(lambda: self.pings(self.client, GATEWAY_INNER[1], timeout=2), "a ping over IPv6", 10)
        for address in WORLD:
            self.soon(lambda: self.pings(self.client, address, timeout=2), f"a ping to {address} beyond it", 10)

    def test_a_stock_client_connects_with_what_peer_add_prints(self):
        process = self.serve()
        self.connect(self.add("phone"))
        self.reaches_everything()
        size = suite.scaled(self.megabytes_usual, self.megabytes) << 20
        inner = {a.split("/")[0] for a in self.addresses_of_client()}
        v4, v6 = (next(a for a in inner if (":" in a) == wanted) for wanted in (False, True))
        self.moved(self.client, self.gateway, GATEWAY_INNER[0], size, 600)
        self.moved(self.gateway, self.client, v4, size, 600)
        self.moved(self.client, self.gateway, GATEWAY_INNER[1], size, 600)
        self.moved(self.gateway, self.client, v6, size, 600)
        self.moved(self.client, self.world, WORLD[0], size // 4, 600)
        self.disconnect()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(self.host_state(), self.before, "the host is as it was found")

    def addresses_of_client(self):
        text = self.client.output("ip", "-o", "address", "show", "dev", "phone", "scope", "global")
        return [line.split()[3] for line in text.splitlines()]

    def test_a_gateway_that_was_killed_serves_the_same_client_again(self):
        process = self.serve()
        self.connect(self.add("phone"))
        self.reaches_everything()
        process.kill()
        process.wait()
        self.serve()
        self.reaches_everything()
        self.disconnect()

    def test_a_disabled_peer_is_cut_off_and_an_enabled_one_is_back(self):
        self.serve()
        self.connect(self.add("phone"))
        self.reaches_everything()
        manage = lambda verb: self.gateway.run(self.program, "gateway", "peer", verb, "phone", "--state", self.state)
        manage("disable")
        self.assertFalse(self.pings(self.client, GATEWAY_INNER[0], timeout=1))
        manage("enable")
        self.reaches_everything()
        manage("remove")
        self.assertFalse(self.pings(self.client, GATEWAY_INNER[0], timeout=1))
        self.disconnect()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole gateway with the users' API, and a stock client of one user's file.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] culvert gateway; a Parameter Store on its loopback
             wg-quick up user1.conf

The client is wg-quick with the kernel's module, or with wireguard-go where there is none.
"""

import base64
import json
import os
import pathlib
import shutil
import stat
import sys
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "net"))
sys.path.insert(0, str(HERE.parent / "cmd"))
import parameter_store
import suite
import tunnel
from test_host import Gateway, is_settled, picture

REFUSED = 3
URL = "http://192.0.2.1:8000"


class WholeTest(suite.NetTest):
    def setUp(self):
        super().setUp()
        os.chmod("/run", 0o755)
        self.base = f"/run/users-{id(self)}"
        os.mkdir(self.base)
        os.chmod(self.base, 0o755)
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.edge, self.client = self.net.namespace("edge"), self.net.namespace("client")
        self.net.link(self.edge, "eth0", self.client, "c0", addresses=(("192.0.2.1/24",), ("192.0.2.2/24",)))
        self.client.ip("route", "add", "default", "via", "192.0.2.1")
        self.soon(lambda: is_settled(self.edge), "settled addresses")
        self.before = picture(self.edge)

    def start(self, *options, state="state", **more):
        gateway = Gateway(self.edge, f"{self.base}/{state}", "--listen-users", f"{URL} insecure", *options, program=None,
                          **more)
        self.addCleanup(gateway.process.kill)
        return gateway

    def assertAsFound(self):
        after = picture(self.edge)
        for key, value in self.before.items():
            if key != "sockets":
                self.assertEqual(value, after[key], f"{key} differs")

    def ask(self, key, method, target, body=None):
        """Status and JSON, as the client's network has it."""
        request = urllib.request.Request(URL + target, None if body is None else json.dumps(body).encode(),
                                         {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}, method=method)
        with self.client:
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

    def read(self, name, tree="state/params"):
        return pathlib.Path(f"{self.base}/{tree}/{name}").read_text()

    def key_of(self, gateway):
        return self.edge.output("wg", "show", "wg0", "public-key").strip()

    def open_store(self):
        """In the gateway's namespace, for both processes that ask it."""
        with self.edge:
            store = parameter_store.Store()
        self.addCleanup(store.server.shutdown)
        env = {"AWS_ENDPOINT_URL_SSM": store.url, "AWS_REGION": parameter_store.REGION, "SSM_PREFIX": "/ephem-vpn",
               "AWS_ACCESS_KEY_ID": parameter_store.ID, "AWS_SECRET_ACCESS_KEY": parameter_store.SECRET}
        return store, env


class Client(WholeTest):
    def resolvers_are_noted_only(self):
        """wg-quick hands the file's resolvers to resolvconf; the client here has none to change."""
        os.makedirs("/run/bin", exist_ok=True)
        path = pathlib.Path("/run/bin/resolvconf")
        path.write_text("#!/bin/sh\ncat > /run/resolvers\n")
        path.chmod(0o755)
        return {**os.environ, "PATH": f"/run/bin:{os.environ['PATH']}"}

    def test_a_users_file_brings_a_stock_client_through_until_the_user_is_deleted(self):
        gateway = self.start("--endpoint", "192.0.2.1").ready()
        master = self.read("master-api-key")
        status, made = self.ask(master, "POST", "/users", {"client_id": "user1"})
        self.assertEqual(status, 200)
        path, env = "/run/user1.conf", self.resolvers_are_noted_only()
        with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as f:
            f.write(made["client_config"])
        self.assertIn("Address = 10.0.0.110/24\nDNS = 8.8.8.8, 8.8.4.4\n", made["client_config"])
        self.assertIn("Endpoint = 192.0.2.1:51820\n", made["client_config"])
        self.client.run("wg-quick", "up", path, env=env, timeout=60)
        self.assertIn("nameserver 8.8.8.8", pathlib.Path("/run/resolvers").read_text())
        self.soon(lambda: self.pings(self.client, "10.0.0.1", timeout=2), "a ping through the tunnel", 30)
        self.moved(self.client, self.edge, "10.0.0.1", 4 << 20, 120)
        status, pulled = self.ask(made["api_key"], "GET", "/users/user1")
        self.assertEqual((status, pulled["client_config"]), (200, made["client_config"]))
        self.assertEqual(self.ask(made["api_key"], "DELETE", "/users/user1")[0], 401)
        self.assertEqual(self.ask(master, "DELETE", "/users/user1"), (200, {"message": "User user1 deleted successfully"}))
        self.assertFalse(self.pings(self.client, "10.0.0.1", timeout=1))
        self.client.run("wg-quick", "down", path, env=env, timeout=60)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()


class SharedKey(WholeTest):
    def test_the_tree_of_a_new_gateway_has_its_key_and_nobody_else_may_read_it(self):
        gateway = self.start().ready()
        private, public = self.read("wg/server-private-key"), self.read("wg/server-public-key")
        self.assertEqual((public, self.read("../server.key")), (self.key_of(gateway), private + "\n"))
        self.assertEqual(suite.netns.run("wg", "pubkey", input=private).stdout.strip(), public)
        self.assertEqual((self.read("wg/server-private-key-b64"), self.read("wg/server-public-key-b64")), (private, public))
        self.assertRegex(self.read("wg/server-key-metadata"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|curve25519\|wireguard-server$")
        for name in ("wg/server-private-key", "master-api-key"):
            self.assertEqual(stat.S_IMODE(os.stat(f"{self.base}/state/params/{name}").st_mode), 0o600)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        gateway = self.start().ready()
        self.assertEqual((self.key_of(gateway), self.read("wg/server-private-key")), (public, private))

    def test_a_gateway_without_state_takes_the_key_and_the_users_of_the_store(self):
        store, env = self.open_store()
        gateway = self.start(env=env).ready()
        public = self.key_of(gateway)
        self.assertEqual(store.values["/ephem-vpn/wg/server-public-key"], public)
        self.assertEqual({store.types[f"/ephem-vpn/wg/server-{name}"] for name in ("private-key", "private-key-b64")}, {"SecureString"})
        master = store.values["/ephem-vpn/master-api-key"]
        _, made = self.ask(master, "POST", "/users", {"client_id": "user1"})
        self.assertEqual(gateway.end(), 0, gateway.errors())
        shutil.rmtree(f"{self.base}/state")  # the container is gone
        store.values["/ephem-vpn/wg/server-private-key-b64"] = base64.b64encode(
            store.values.pop("/ephem-vpn/wg/server-private-key").encode()).decode()  # and only the form of others is left
        gateway = self.start(env=env).ready()
        self.assertEqual(self.key_of(gateway), public)
        self.soon(lambda: self.ask(made["api_key"], "GET", "/users/user1")[0] == 200, "the user", 10)
        _, pulled = self.ask(master, "GET", "/users/user1")
        self.assertEqual(pulled["client_config"], made["client_config"])
        self.assertEqual(self.edge.output("wg", "show", "wg0", "peers").split(), [made["public_key"]])
        self.assertEqual(len(store.values["/ephem-vpn/wg/server-private-key"]), 44)
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_two_keys_are_one_too_many(self):
        store, env = self.open_store()
        gateway = self.start(env=env).ready()
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.before = picture(self.edge)
        for name, value, said in (("private-key", tunnel.keypair()[0], "another wg/server-private-key than this gateway's"),
                                  ("public-key", tunnel.keypair()[1], "no pair"), ("private-key", "x", "is no key")):
            kept = dict(store.values)
            store.put(f"/ephem-vpn/wg/server-{name}", value)
            gateway = self.start(env=env)
            output, _ = gateway.process.communicate(timeout=30)
            self.assertEqual((gateway.process.returncode, output), (REFUSED, ""), gateway.errors())
            self.assertIn(said, gateway.errors())
            self.assertAsFound()
            store.values = kept
        store.failures = [(400, "AccessDeniedException")]
        gateway = self.start(env=env)
        gateway.process.communicate(timeout=30)
        self.assertEqual(gateway.process.returncode, 4, gateway.errors())
        shutil.rmtree(f"{self.base}/state")  # without a key of its own it needs the tree's
        store.failures = [(503, "Unavailable")] * 8
        gateway = self.start(env=env)
        gateway.process.communicate(timeout=60)
        self.assertEqual(gateway.process.returncode, 1, gateway.errors())
        self.assertIn("HTTP 503", gateway.errors())
        self.assertFalse(os.path.exists(f"{self.base}/state/server.key"))
        self.assertAsFound()


class Refused(WholeTest):
    def test_wrong_words_are_refused_before_anything_is_changed(self):
        for options, said in ((("--params", "/srv/params"), "--params: \"/srv/params\" is neither dir:/PATH nor ssm:/PREFIX"),
                              (("--params", "dir:here"), "neither dir:/PATH nor"), (("--users-list", "some"), "neither self nor all"),
                              (("--users-private-keys", "on"), "neither keep nor forget"),
                              (("--listen-status", f"{URL} insecure share",), "both have /health")):
            gateway = self.start(*options)
            gateway.process.communicate(timeout=30)
            self.assertIn(gateway.process.returncode, (2, 3), gateway.errors())
            self.assertIn(said, gateway.errors())
            self.assertFalse(os.path.exists(f"{self.base}/state"))
        gateway = self.start("--params", "ssm:/a//b")
        gateway.process.communicate(timeout=30)
        self.assertEqual(gateway.process.returncode, REFUSED, gateway.errors())
        self.assertIn("looks like /ephem-vpn", gateway.errors())
        self.assertAsFound()


class Environment(WholeTest):
    def test_pool_ports_and_name_come_from_the_environment(self):
        env = {"POOL": "10.77.0.0/24", "WG_LISTEN_PORT": "51999", "API_PORT": "8055", "DNS_NAME": "vpn.example.org"}
        gateway = Gateway(self.edge, f"{self.base}/state", "--listen-users", "http://192.0.2.1 insecure", program=None, env=env)
        self.addCleanup(gateway.process.kill)
        gateway.ready()
        global URL
        URL, kept = "http://192.0.2.1:8055", URL
        try:
            status, made = self.ask(self.read("master-api-key"), "POST", "/users", {"client_id": "alice"})
        finally:
            URL = kept
        self.assertEqual(status, 200)
        self.assertIn("Address = 10.77.0.87/24\n", made["client_config"])
        self.assertIn("Endpoint = vpn.example.org:51999\n", made["client_config"])
        self.assertEqual(self.edge.output("wg", "show", "wg0", "listen-port").strip(), "51999")


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of a client of the users' API, under their own names and under the old ones.

    [client] c0 192.0.2.2/24 ──── 192.0.2.1/24 eth0 [edge] culvert gateway --listen-users https://192.0.2.1:8000
             culvert setup, create, pull, enroll                                and http://127.0.0.1:8000
             vpn-client …, the same program

The files are compared with what the API says, the texts with those of the client that people had.
"""

import http.server
import json
import os
import pathlib
import shutil
import stat
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "net"))
import netns
import suite
from test_host import CULVERT, Gateway, is_settled

DONE, FAILED, USAGE, REFUSED, PRIVILEGE = range(5)
URL = "https://192.0.2.1:8000"
NOT_SET_UP = "ERROR: Not set up yet...\n"


class Server(http.server.ThreadingHTTPServer):
    """Answers with what the test says, and keeps what it was asked."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.server.asked.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
                status, body, *more = self.server.reply
                self.send_response(status)
                for line in more:
                    self.send_header(*line)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.reply = [], (200, b"{}")
        threading.Thread(target=self.serve_forever, daemon=True).start()


class ClientTest(suite.NetTest):
    def setUp(self):
        super().setUp()
        os.chmod("/run", 0o755)
        self.base = f"/run/client-{id(self)}"
        self.home = f"{self.base}/home"
        os.makedirs(self.home)
        os.chmod(self.base, 0o755)
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.dir = f"{self.home}/.ephem-vpn"
        self.edge, self.client = self.net.namespace("edge"), self.net.namespace("client")
        self.net.link(self.edge, "eth0", self.client, "c0", addresses=(("192.0.2.1/24",), ("192.0.2.2/24",)))
        self.old = f"{self.base}/vpn-client"
        os.symlink(CULVERT, self.old)

    def start(self, *options, url=URL):
        self.soon(lambda: is_settled(self.edge), "settled addresses")
        gateway = Gateway(self.edge, f"{self.base}/state", "--listen-users", url, "--endpoint", "192.0.2.1", *options,
                          program=None)
        self.addCleanup(gateway.process.kill)
        gateway.ready()
        self.master = pathlib.Path(f"{self.base}/state/params/master-api-key").read_text()
        self.ca = f"{self.base}/state/cert.pem"
        return gateway

    def call(self, *words, program=None, where=None, **more):
        """Code, output, complaints of one call."""
        env = {**os.environ, "HOME": self.home}
        env.pop("http_proxy", None)
        program = program or (CULVERT,)
        done = (where or self.client).run(*program, *words, check=False, env=env, timeout=60, **more)
        return done.returncode, done.stdout, done.stderr

    def vpn_client(self, *words, **more):
        code, out, err = self.call(*words, program=(self.old,), **more)
        self.assertEqual(err, "")
        return code, out

    def read(self, name):
        return pathlib.Path(f"{self.dir}/{name}").read_text()

    def mode(self, name=""):
        return stat.S_IMODE(os.stat(f"{self.dir}/{name}").st_mode)


class Commands(ClientTest):
    def test_setup_create_pull_and_list_say_and_keep_what_the_old_client_did(self):
        self.start()
        self.assertEqual(self.vpn_client("list"), (DONE, "No saved configurations found.\n"))
        self.assertEqual(self.vpn_client("setup", URL + "/", self.master, "--ca", self.ca),
                         (DONE, f"✓ Setup saved to {self.dir}/setup.json\n"))
        self.assertEqual(self.read("setup.json"), json.dumps({"api_url": URL + "/", "master_key": self.master,
                                                              "ca_file": self.ca}, indent=2))
        path = f"{self.dir}/user1.conf"
        self.assertEqual(self.vpn_client("create", "user1"),
                         (DONE, f"Configuration saved to: {path}\n✓ User 'user1' created and configuration saved!\n"
                                f"Configuration file: {path}\n"))
        made = self.read("user1.conf")
        self.assertIn("# Save this as user1.conf and use with: wg-quick up user1.conf\n\n[Interface]\nPrivateKey = ", made)
        self.assertIn("\nAddress = 10.0.0.110/24\n", made)
        self.assertTrue(made.endswith("# 4. To disconnect: wg-quick down user1.conf\n"))
        self.assertRegex(self.read("user1.key"), r"^[0-9a-f]{64}\n$")
        os.unlink(path)
        self.assertEqual(self.vpn_client("pull", "user1"),
                         (DONE, f"Configuration saved to: {path}\n✓ Configuration for 'user1' retrieved and saved!\n"))
        self.assertEqual(self.read("user1.conf"), made)
        self.assertEqual(self.vpn_client("create", "alice")[0], DONE)
        self.assertEqual(self.vpn_client("list"), (DONE, f"Saved VPN configurations:\n  - alice ({self.dir}/alice.conf)\n"
                                                         f"  - user1 ({path})\n"))
        self.assertEqual([self.mode(name) for name in ("", "setup.json", "user1.conf", "user1.key", "alice.conf")],
                         [0o700, 0o600, 0o600, 0o600, 0o600])
        self.assertEqual(sorted(os.listdir(self.dir)), ["alice.conf", "alice.key", "setup.json", "user1.conf", "user1.key"])
        exists = '✗ Failed to create user: Failed to create user: {"detail":"User user1 already exists"}\n'
        code, out = self.vpn_client("create", "user1")
        self.assertEqual((code, out.replace('": "', '":"')), (FAILED, exists))
        code, out = self.vpn_client("pull", "nobody")
        self.assertEqual(code, FAILED)
        self.assertTrue(out.startswith("✗ Failed to pull user config: "), out)
        self.assertIn("User nobody not found", out)
        # The same under the names of ours, whose failures are on standard error and have codes of their own.
        self.assertEqual(self.call("create", "bob"),
                         (DONE, f"Configuration saved to: {self.dir}/bob.conf\n✓ User 'bob' created and configuration saved!\n"
                                f"Configuration file: {self.dir}/bob.conf\n", ""))
        code, out, err = self.call("create", "user1")
        self.assertEqual((code, out, err), (REFUSED, "", "✗ Failed to create user: User user1 already exists\n"))
        self.assertEqual(json.loads(self.call("list", "--json")[1]),
                         [{"client_id": name, "file": f"{self.dir}/{name}.conf"} for name in ("alice", "bob", "user1")])
        self.assertEqual(json.loads(self.call("pull", "bob", "--json")[1]), {"client_id": "bob", "file": f"{self.dir}/bob.conf"})

    def test_a_certificate_that_nobody_vouches_for_gets_no_key(self):
        self.start()
        self.assertEqual(self.vpn_client("setup", URL, self.master)[0], DONE)
        code, out = self.vpn_client("create", "user1")
        self.assertEqual(code, FAILED)
        self.assertTrue(out.startswith(f"✗ Failed to create user: {URL}/users: "), out)
        self.assertIn("ertificate", out)
        self.assertEqual(os.listdir(self.dir), ["setup.json"])
        self.assertEqual(self.call("create", "user1", "--ca", self.ca)[0], DONE)

    def test_before_setup_and_with_words_missing_nothing_is_done(self):
        for words in (("create", "x"), ("pull", "x")):
            code, out = self.vpn_client(*words)
            self.assertEqual(code, FAILED)
            self.assertTrue(out.startswith(NOT_SET_UP), out)
            code, out, err = self.call(*words)
            self.assertEqual((code, out), (FAILED, ""))
            self.assertTrue(err.startswith(NOT_SET_UP), err)
        for words in ((), ("setup", URL), ("create",), ("create", "a", "b"), ("fly",)):
            code, out = self.vpn_client(*words)
            self.assertEqual((code, out.startswith("Usage: vpn-client")), (FAILED, True), words)
            if len(words) == 2 or words == ("create",):
                code, out, err = self.call(*words)
                self.assertEqual((code, out, err.startswith(f"Usage: culvert {words[0]}")), (USAGE, "", True), err)
        self.assertFalse(os.path.exists(self.dir))

    def test_a_key_is_sent_unencrypted_to_this_machine_only(self):
        for url in ("http://192.0.2.1:8000", "http://localhost.evil.org"):
            code, out, err = self.call("setup", url, "k" * 64)
            self.assertEqual((code, out), (REFUSED, ""), url)
            self.assertIn("unencrypted over the network: use https, or say --insecure", err)
            self.assertFalse(os.path.exists(f"{self.dir}/setup.json"))
        for url in ("192.0.2.1:8000", "https://u:p@192.0.2.1"):
            code, _, err = self.call("setup", url, "k" * 64)
            self.assertEqual(code, REFUSED, url)
            self.assertIn("looks like https://vpn.example.com:8000", err)
        for key in ("", "line\nbreak", "k" * 600):
            self.assertEqual(self.call("setup", URL, key)[0], REFUSED, key)
        self.assertFalse(os.path.exists(f"{self.dir}/setup.json"))
        self.assertEqual(self.call("setup", "http://localhost:8000", "k" * 64)[0], DONE)
        self.start(url="http://192.0.2.1:8000 insecure")
        self.assertEqual(self.call("setup", "http://192.0.2.1:8000", "-", "--insecure", input=self.master + "\n")[0], DONE)
        self.assertEqual(json.loads(self.read("setup.json")),
                         {"api_url": "http://192.0.2.1:8000", "master_key": self.master, "insecure": True})
        self.assertEqual(self.call("create", "user1")[0], DONE)


class Enrolment(ClientTest):
    def token(self, name, code=DONE):
        done = self.edge.run(CULVERT, "gateway", "peer", "enroll", name, "--state", f"{self.base}/state", check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.strip()

    def public(self, conf):
        return self.client.run("wg", "pubkey", input=conf.split("PrivateKey = ")[1].split("\n")[0]).stdout.strip()

    def test_a_token_brings_a_user_whose_key_was_made_here_and_no_master_key(self):
        self.start()
        token, path = self.token("laptop"), f"{self.dir}/laptop.conf"
        self.assertEqual(self.call("enroll", URL, "-", "--ca", self.ca, input=token + "\n"),
                         (DONE, f"Configuration saved to: {path}\n✓ User 'laptop' enrolled and configuration saved!\n"
                                f"Configuration file: {path}\n", ""))
        conf, key = self.read("laptop.conf"), self.read("laptop.key").strip()
        self.assertEqual(self.edge.output("wg", "show", "wg0", "allowed-ips").split()[0], self.public(conf))
        for line in ("DNS = 8.8.8.8, 8.8.4.4", "Endpoint = 192.0.2.1:51820", "AllowedIPs = 0.0.0.0/0", "PersistentKeepalive = 25",
                     "PublicKey = " + self.edge.output("wg", "show", "wg0", "public-key").strip()):
            self.assertIn(line + "\n", conf)
        self.assertRegex(conf, r"\nAddress = 10\.0\.0\.\d+/24\n")
        self.assertEqual(json.loads(self.read("setup.json")),
                         {"api_url": URL, "user_key": key, "client_id": "laptop", "ca_file": self.ca})
        self.assertEqual([self.mode(name) for name in ("", "setup.json", "laptop.conf", "laptop.key")], [0o700, 0o600, 0o600, 0o600])
        files = "".join(self.read(name) for name in os.listdir(self.dir))
        self.assertNotIn(self.master, files)
        self.assertNotIn(token, files)
        code, out, err = self.call("enroll", URL, token, "--ca", self.ca)
        self.assertEqual((code, out), (PRIVILEGE, ""))
        self.assertIn("used already, its time is over, or it never was one", err)
        code, _, err = self.call("pull", "laptop")  # the gateway has no private key to give
        self.assertEqual((code, self.read("laptop.conf")), (FAILED, conf))
        self.assertIn("its private key is kept where it was made", err)
        self.assertEqual(self.call("create", "other")[0], PRIVILEGE)

    def test_an_operators_setup_stays_and_a_file_that_is_there_is_not_lost(self):
        self.start()
        self.assertEqual(self.call("setup", URL, self.master, "--ca", self.ca)[0], DONE)
        setup = self.read("setup.json")
        pathlib.Path(f"{self.dir}/a.conf").write_text("mine")
        token = self.token("a")
        code, _, err = self.call("enroll", URL, token, "a", "--ca", self.ca)
        self.assertEqual((code, "is there already" in err), (REFUSED, True), err)
        self.assertEqual(self.call("setup", URL, "--token", token, "--ca", self.ca)[0], DONE)  # the same by another name
        self.assertEqual((self.read("a.conf.old"), self.read("setup.json")), ("mine", setup))
        code, out = self.vpn_client("enroll", URL, "0" * 64, "b", "--ca", self.ca)
        self.assertEqual((code, out.startswith("✗ Failed to enroll: Failed to enroll: {")), (FAILED, True), out)
        self.assertEqual(self.vpn_client("setup", URL, "k", "--token", "t")[0], FAILED)
        self.assertEqual(self.call("setup", URL)[0], USAGE)


class Connected(ClientTest):
    def setUp(self):
        super().setUp()
        resolvers = pathlib.Path(f"{self.base}/resolv.conf")
        resolvers.write_text("nameserver 192.0.2.1\n")
        netns.run("mount", "--bind", str(resolvers), "/etc/resolv.conf")
        self.addCleanup(netns.run, "umount", "/etc/resolv.conf")
        netns.run("mount", "-t", "tmpfs", "-o", "mode=755", "own", "/var/lib")
        self.addCleanup(netns.run, "umount", "/var/lib")
        self.client.ip("route", "add", "default", "via", "192.0.2.1")

    def test_connect_disconnect_and_status_have_the_texts_of_before(self):
        self.start()
        for words in (("connect", "user1"), ("disconnect", "user1")):
            self.assertEqual(self.vpn_client(*words), (FAILED, f"Configuration file not found: {self.dir}/user1.conf\n"))
        for words in (("connect",), ("disconnect",), ("connect", "a", "b")):
            self.assertTrue(self.vpn_client(*words)[1].startswith("Usage: vpn-client"))
        self.assertEqual(self.vpn_client("setup", URL, self.master, "--ca", self.ca)[0], DONE)
        self.assertEqual(self.vpn_client("create", "user1")[0], DONE)
        code, out = self.vpn_client("connect", "user1")
        self.assertEqual((code, out.split("\n")[0]), (DONE, "✓ VPN connected successfully!"), out)
        self.soon(lambda: self.pings(self.client, "10.0.0.1", timeout=2), "a ping through the tunnel", 20)
        for words in (("status",), ("status", "user1")):
            code, out = self.vpn_client(*words)
            self.assertEqual((code, out.split("\n")[0], "user1" in out), (DONE, "WireGuard Status:", True), out)
        self.assertEqual(self.vpn_client("disconnect", "user1"), (DONE, "✓ VPN disconnected successfully!\n"))
        self.assertNotIn("user1", self.client.output("ip", "link"))
        pathlib.Path(f"{self.dir}/bad.conf").write_text("[Interface]\nPrivateKey = x\n")
        code, out = self.vpn_client("connect", "bad")
        self.assertEqual((code, out.startswith("✗ Failed to connect: ")), (FAILED, True), out)


class Hostile(ClientTest):
    """A gateway, or somebody in its place, that means no good."""

    def setUp(self):
        super().setUp()
        with self.client:
            self.server = Server()
        self.addCleanup(self.server.shutdown)
        self.assertEqual(self.call("setup", f"http://127.0.0.1:{self.server.server_port}", "k" * 64)[0], DONE)

    def test_programs_in_a_configuration_are_not_saved(self):
        good = "[Interface]\nPrivateKey = " + "A" * 43 + "=\n%s[Peer]\nPublicKey = " + "B" * 42 + "A=\n"
        for line in ("PostUp = touch /run/pwned\n", "Colour\n"):
            self.server.reply = 200, json.dumps({"client_config": good % line}).encode()
            code, _, err = self.call("pull", "x")
            self.assertIn(code, (REFUSED,), line)
            self.assertIn("configuration", err)
            self.assertEqual(os.listdir(self.dir), ["setup.json"])
        self.server.reply = 200, json.dumps({"client_config": good % ""}).encode()
        self.assertEqual(self.call("pull", "x")[0], DONE)
        self.assertEqual(self.read("x.conf"), good % "")

    def test_answers_that_are_none_are_refused_and_cannot_steer_the_terminal(self):
        for body in (b"", b"[]", b'{"client_config": 7}', b"\xff" * 100, b"[" * 100000):
            self.server.reply = 200, body
            code, out, err = self.call("pull", "x")
            self.assertIn(code, (FAILED, REFUSED), body[:20])
            self.assertEqual((out, err.startswith("✗ Failed to pull user config: ")), ("", True), err)
        self.server.reply = 500, b"\x1b]0;mine\x07 \xc2\x9b31m \x00gone " + b"x" * 100000
        code, out, err = self.call("create", "x")
        self.assertEqual(code, FAILED)
        self.assertFalse([c for c in err if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160])
        self.assertLess(len(err), 4096)
        self.assertEqual(os.listdir(self.dir), ["setup.json"])

    def test_values_that_would_be_other_lines_of_a_file_are_refused(self):
        good = {"address": "10.0.0.2/24", "dns": ["8.8.8.8"], "server_public_key": "B" * 42 + "A=", "endpoint": "192.0.2.1:51820",
                "allowed_ips": ["0.0.0.0/0"], "persistent_keepalive": 25}
        url = f"http://127.0.0.1:{self.server.server_port}"
        for name, value in (("endpoint", "192.0.2.1:51820\nPostUp = touch /run/pwned"), ("dns", ["8.8.8.8\nPostUp=x"])):
            self.server.reply = 200, json.dumps({"client_id": "x", "configuration": {**good, name: value}}).encode()
            code, _, err = self.call("enroll", url, "t" * 64)
            self.assertEqual((code, f'"{name}"' in err), (REFUSED, True), err)
            self.assertEqual(os.listdir(self.dir), ["setup.json"])
        sent = json.loads(self.server.asked[-1][3])
        self.assertEqual((set(sent), sent["token"]), ({"token", "public_key"}, "t" * 64))
        self.assertNotIn("Authorization", self.server.asked[-1][2])
        self.server.reply = 200, json.dumps({"client_id": "../x", "configuration": good}).encode()
        self.assertEqual(self.call("enroll", url, "t" * 64)[0], REFUSED)

    def test_the_key_does_not_follow_a_redirect(self):
        with self.client:
            other = Server()
        self.addCleanup(other.shutdown)
        self.server.reply = 302, b"", ("Location", f"http://127.0.0.1:{other.server_port}/users/x")
        self.assertIn(self.call("pull", "x")[0], (FAILED, REFUSED))
        self.assertEqual((len(self.server.asked), other.asked), (1, []))
        self.assertEqual(self.server.asked[0][2]["Authorization"], "Bearer " + "k" * 64)

    def test_a_name_is_not_a_path(self):
        for name in ("../x", "", "x" * 65):
            for verb in ("create", "pull"):
                self.assertEqual(self.call(verb, name)[0], REFUSED, name)
        self.assertEqual(self.server.asked, [])

    def test_links_and_open_doors_in_the_directory_are_not_used(self):
        good = "[Interface]\nPrivateKey = " + "A" * 43 + "=\n[Peer]\nPublicKey = " + "B" * 42 + "A=\n"
        self.server.reply = 200, json.dumps({"client_config": good}).encode()
        victim = pathlib.Path(f"{self.base}/victim")
        victim.write_text("mine")
        os.symlink(victim, f"{self.dir}/x.conf")
        os.chmod(self.dir, 0o755)
        self.assertEqual(self.call("pull", "x")[0], DONE)
        self.assertEqual((victim.read_text(), self.read("x.conf"), os.path.islink(f"{self.dir}/x.conf")), ("mine", good, False))
        self.assertEqual(self.mode(), 0o700)
        os.rename(f"{self.dir}/setup.json", f"{self.base}/setup.json")
        os.symlink(f"{self.base}/setup.json", f"{self.dir}/setup.json")
        self.assertIn(self.call("pull", "x")[0], (FAILED, REFUSED))
        shutil.move(self.dir, f"{self.base}/elsewhere")
        os.symlink(f"{self.base}/elsewhere", self.dir)
        self.assertNotEqual(self.call("list")[0], DONE)


if __name__ == "__main__":
    suite.main()

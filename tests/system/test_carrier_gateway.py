#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The carrier of a gateway that serves users: a user's own key brings the user's own tunnel through.

    [client] c0 192.0.2.2 ──── 192.0.2.1 eth0 [edge] culvert gateway, its carrier :443 and :8443
                 cn0 ══ over the carrier ══ wg0
"""

import json
import os
import pathlib
import re
import shutil
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "net"))
import suite
import tunnel
from test_host import Gateway, is_settled

URL = "http://192.0.2.1:8000"
CULVERT = os.environ.get("CULVERT", "culvert")


class CarrierOfAGateway(suite.NetTest):
    def setUp(self):
        super().setUp()
        os.chmod("/run", 0o755)
        self.base = f"/run/carrier-{id(self)}"
        os.mkdir(self.base)
        os.chmod(self.base, 0o755)
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.edge, self.client = self.net.namespace("edge"), self.net.namespace("client")
        self.net.link(self.edge, "eth0", self.client, "c0", addresses=("192.0.2.1/24", "192.0.2.2/24"))
        self.soon(lambda: is_settled(self.edge), "settled addresses")

    def ask(self, key, method, target, body=None):
        request = urllib.request.Request(URL + target, None if body is None else json.dumps(body).encode(),
                                         {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}, method=method)
        with self.client:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)

    def connect(self, url, key, port, *more):
        process = self.client.start(CULVERT, "carrier", "--to", url, "--listen", f"127.0.0.1:{port}", *more, stdout=-1,
                                    stderr=self.log, env={**os.environ, "VPN_API_KEY": key})
        self.assertTrue(process.stdout.readline(), "the client's end is ready")

    def says(self, pattern):
        return re.search(pattern, open(self.log_path).read())

    def test_a_users_key_brings_the_users_tunnel_through_until_it_is_gone(self):
        gateway = Gateway(self.edge, f"{self.base}/state", "--listen-users", f"{URL} insecure", "--listen-carrier",
                          "https://0.0.0.0,tcp://0.0.0.0:8443", program=None)
        self.addCleanup(gateway.process.kill)
        gateway.ready()
        master = pathlib.Path(f"{self.base}/state/params/master-api-key").read_text()
        user = self.ask(master, "POST", "/users", {"client_id": "user1"})
        config = user["client_config"]
        port = re.search(r"Endpoint *= *.*:(\d+)", config)[1]
        self.edge.rules("inet", "filter hook input", f'iifname "eth0" udp dport {port} drop')
        near = self.device(self.client, "cn0")
        near.uapi("set=1\nprivate_key=" + tunnel.hexkey(re.search(r"PrivateKey *= *(\S+)", config)[1]) + "\n\n")
        near.up(re.search(r"Address *= *([0-9.]+)", config)[1] + "/24")
        public = re.search(r"PublicKey *= *(\S+)", config)[1]
        self.soon(lambda: os.path.exists(f"{self.base}/state/proxy/carrier.crt"), "the certificate", 20)
        for number, (url, more) in enumerate((("tcp://192.0.2.1:8443", ()),
                                              ("https://192.0.2.1", ("--pin", self.fingerprint())))):
            self.connect(url, user["api_key"], 7000 + number, "--target", f"localhost:{port}", *more)
            near.add_peer(public, ["10.0.0.0/24"], f"127.0.0.1:{7000 + number}")
            inside = re.search(r"Address *= *([0-9.]+)\.\d+", config)[1] + ".1"
            self.soon(lambda: self.pings(self.client, inside), f"a ping over {url}", 20)
        carrier, = [p for p in filter(str.isdigit, os.listdir("/proc")) if self.command_line(p).startswith(
            b"culvert\0carrier\0--listen\0https://")]
        status = pathlib.Path(f"/proc/{carrier}/status").read_text()
        self.assertIn("CapEff:\t0000000000000000\n", status)
        self.assertNotIn("Uid:\t0\t", status)
        self.ask(master, "DELETE", "/users/user1")
        self.soon(lambda: self.says(r"the connection to 192\.0\.2\.1 ended"), "its connections end", 20)
        self.soon(lambda: self.says("does not know this key"), "it is not let in again", 20)
        self.assertEqual(gateway.end(), 0, gateway.errors())

    @staticmethod
    def command_line(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    def fingerprint(self):
        text = self.edge.run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
                             f"{self.base}/state/proxy/carrier.crt").stdout
        return text.strip().split("=")[1].replace(":", "").lower()

    def test_a_carrier_is_for_users_and_is_said_so(self):
        done = self.edge.run(CULVERT, "gateway", "--state", f"{self.base}/other", "--listen-carrier", "https://[::]", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("--listen-carrier", done.stderr)
        for wrong in ("192.0.2.1", "udp://192.0.2.1:1", "https://[::],tcp://[::]"):
            done = self.edge.run(CULVERT, "gateway", "--state", f"{self.base}/other", "--listen-users", f"{URL} insecure",
                                 "--listen-carrier", wrong, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    suite.main()

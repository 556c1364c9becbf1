#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway whose store is PostgreSQL.

    gateway-serve ── /run/pg/.s.PGSQL.5499 (or 127.0.0.1 with TLS) ── postgres, as its own user
"""

import http.client
import json
import os
import signal
import subprocess
import time

import gateway
import pgserver
from gateway import ApiTest, netns, new_key, suite

C = "/api/v1/configurations/"
KEY = "/run/backup.key"


class Postgres(ApiTest):
    def make(self, **options):
        if pgserver.why_not():
            self.skipTest(pgserver.why_not())
        self.server = pgserver.Server(self.log)
        self.addCleanup(subprocess.run, ["rm", "-rf", "/run/pg"], check=True)
        self.addCleanup(self.server.close)
        return super().make(extra=("--store", "postgres", "--database", self.server.conninfo), **options)

    def refused(self, *extra, state=None):
        """Start a gateway that must not start. Return: what it said."""
        g = self.gateway
        before, g.extra = g.extra, list(extra)
        try:
            process = g.spawn()
            self.assertEqual(process.stdout.readline(), "")
            self.assertNotEqual(g._end(), 0)
        finally:
            g.extra = before
        return self.logged()

    def fill(self, n=5):
        made = {}
        for i in range(n):
            key = new_key(i)
            answer = self.gateway.create(key, tunnel_traffic=["ipv4", "ipv6"])
            self.assertEqual(answer.status, 200, answer)
            made[key] = {answer.json["assigned_ip"] + "/32", answer.json["assigned_ipv6"] + "/128"}
        return made

    def test_after_kill_9_everything_is_there(self):
        g = self.gateway
        made = self.fill()
        account = g.local("POST", "/api/v1/accounts", {"name": "acme"})
        self.is_(account, 201)
        key = g.local("POST", "/api/v1/keys", {"name": "robot", "role": "operator"})
        self.is_(key, 201)
        phone = {"name": "phone", "account": account.json["id"], "preshared_key": True, "note": "blue"}
        peer = g.local("POST", "/api/v1/peers", phone, {"Idempotency-Key": "once"})
        self.is_(peer, 201)
        rows = g.local("GET", "/api/v1/audit?limit=100").json
        g.kill()
        g.start()
        on = g.on_device()
        self.assertEqual({k: on.get(k) for k in made}, made)
        self.assertEqual(len(on), len(made) + 1)
        self.assertEqual([a["name"] for a in g.local("GET", "/api/v1/accounts").json["accounts"]], ["acme"])
        self.assertEqual([k["name"] for k in g.local("GET", "/api/v1/keys").json["keys"]], ["robot"])
        again = g.local("POST", "/api/v1/peers", phone, {"Idempotency-Key": "once"})
        self.assertEqual(again.json["id"], peer.json["id"], again)
        self.assertEqual(g.local("GET", "/api/v1/audit?limit=100").json, rows)
        self.assertFalse(os.path.exists(f"{g.state}/culvert.db"))
        self.assertEqual(self.server.psql("SELECT count(*) FROM culvert.peer"), [[str(len(on))]])

    def test_while_the_server_is_away_nothing_changes_and_what_is_known_is_served(self):
        g, made = self.gateway, self.fill(3)
        self.server.stop()
        answer = g.create(new_key(100))
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(len(g.local("GET", "/api/v1/peers").json["peers"]), 3)
        self.assertEqual(set(g.on_device()), set(made))
        self.server.start()
        self.is_(g.create(new_key(101)), 200)
        self.assertEqual(len(g.on_device()), 4)
        self.server.kill()
        self.server.start()
        self.is_(g.create(new_key(102)), 200)
        g.kill()
        g.start()
        self.assertEqual(len(g.on_device()), 5)
        self.server.stop()
        began = time.monotonic()
        self.assertEqual(g.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_an_option_that_is_forgotten_does_not_begin_anew(self):
        g, made = self.gateway, self.fill(2)
        g.stop()
        self.assertIn("say --store postgres again", self.refused())
        self.assertFalse(os.path.exists(f"{g.state}/culvert.db"))
        g.start()
        self.assertEqual(set(g.on_device()), set(made))

    def test_an_option_that_is_new_does_not_leave_the_peers_of_sqlite_behind(self):
        g = self.gateway
        g.stop()
        os.unlink(f"{g.state}/store")
        with open(f"{g.state}/culvert.db", "w"):
            pass
        self.assertIn("has this gateway's peers", self.refused(*g.extra))
        self.assertIn("--store-new", self.refused(*g.extra))
        g.start("--store-new")
        self.assertEqual(g.stop(), 0)
        g.start()  # said once

    def test_a_password_is_refused_on_the_command_line(self):
        self.gateway.stop()
        for text in ("host=/run/pg password=PLANTED", "postgresql://culvert:PLANTED@127.0.0.1/culvert"):
            said = self.refused("--store", "postgres", "--database", text)
        self.assertNotIn("PLANTED", said)
        done = netns.run(gateway.CULVERT, "gateway", "--store", "postgres", "--database", "password = x", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("passfile=", done.stderr)
        done = netns.run(gateway.CULVERT, "gateway", "--store", "postgres", check=False)
        self.assertEqual((done.returncode, "PostgreSQL needs --database" in done.stderr), (2, True))

    def test_tools_for_the_file_of_sqlite_say_that_there_is_none(self):
        state = self.gateway.state
        with open(KEY, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(netns.run("wg", "genpsk").stdout)
        for words in (("backup", "create", "/run/x.backup", "--key-file", KEY),
                      ("backup", "restore", "/run/x.backup", "--key-file", KEY), ("audit", "verify")):
            done = netns.run(gateway.CULVERT, *words, "--state", state, check=False)
            self.assertEqual(done.returncode, 3, done)
            self.assertIn("in PostgreSQL", done.stderr)
        self.assertFalse(os.path.exists("/run/x.backup"))

    def test_the_audit_trail_is_verified_where_it_is(self):
        self.fill(3)
        state, words = self.gateway.state, ("audit", "verify", "--json", "--database", self.server.conninfo)
        whole = netns.run(gateway.CULVERT, *words, "--state", state)
        report = json.loads(whole.stdout)
        self.assertEqual((report["whole"], report["rows"], report["last"], report["interface"]), (True, 3, 3, "wg0"))
        said = netns.run(gateway.CULVERT, "audit", "verify", "--database", self.server.conninfo, "--state", state).stdout
        self.assertTrue(said.startswith("wg0: 3 rows, 1 to 3: whole\n"), said)
        newest = self.server.psql("SELECT encode(hash, 'hex') FROM culvert.audit ORDER BY id DESC LIMIT 1")
        self.assertEqual([[report["head"]]], newest)
        self.server.psql("UPDATE culvert.audit SET who = 'nobody' WHERE id = 2")
        touched = netns.run(gateway.CULVERT, *words, "--state", state, check=False)
        self.assertEqual(touched.returncode, 1)
        self.assertEqual(json.loads(touched.stdout)["first_broken"], 2)
        other = netns.run(gateway.CULVERT, *words, "--state", state, "--interface", "wg1", check=False)
        self.assertEqual((other.returncode, "the interface wg1" in other.stderr), (1, True), other)

    def test_a_connection_with_tls_and_a_password_is_made_again_behind_closed_doors(self):
        """Names, the password file, certificates: the process may open none of it later."""
        g, server = self.gateway, self.server
        g.stop()
        netns.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                  "-addext", "subjectAltName=DNS:localhost", "-keyout", "/run/pg/server.key", "-out",
                  "/run/pg/server.crt")
        os.chown("/run/pg/server.key", server.user.pw_uid, server.user.pw_gid)
        server.psql("SET password_encryption = 'scram-sha-256'; ALTER ROLE culvert PASSWORD 'Wachtwoord'")
        with open(f"{server.data}/pg_hba.conf", "w") as f:
            f.write("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        with open("/run/passfile", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write("localhost:*:culvert:culvert:Wachtwoord\n")
        netns.run("cp", "/run/pg/server.crt", "/run/ca.crt")
        server.options = ["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "ssl_cert_file=/run/pg/server.crt",
                          "-c", "ssl_key_file=/run/pg/server.key"]
        server.restart()
        g.extra = ["--store", "postgres", "--database",
                   f"host=localhost port={pgserver.PORT} user=culvert dbname=culvert sslmode=verify-full"
                   " sslrootcert=/run/ca.crt passfile=/run/passfile"]
        g.start()
        self.is_(g.create(new_key(1)), 200)
        secured = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = 'culvert'"
        self.assertNotEqual(server.psql(secured), [["0"]])
        server.restart()
        os.unlink("/run/passfile")
        self.is_(g.create(new_key(2)), 200)
        self.assertNotEqual(server.psql(secured), [["0"]])
        server.kill()
        server.start()
        self.is_(g.create(new_key(3)), 200)
        self.assertEqual(len(g.local("GET", "/api/v1/audit?limit=100").json["audit"]), 3)


class StatusPage(ApiTest):
    """SQLite here, and a PostgreSQL server beside it that the page tells of."""

    def make(self, **options):
        if pgserver.why_not():
            self.skipTest(pgserver.why_not())
        self.server = pgserver.Server(self.log)
        self.addCleanup(subprocess.run, ["rm", "-rf", "/run/pg"], check=True)
        self.addCleanup(self.server.close)
        self.listen = ["--listen-status", "http://127.0.0.1:8008"]
        return super().make(extra=(*self.listen, "--status-postgres", self.server.conninfo), **options)

    def page(self, name="/status"):
        connection = http.client.HTTPConnection("127.0.0.1", 8008, timeout=5)
        try:
            return self.gateway.raw("GET", name, connection=connection).json
        finally:
            connection.close()

    def known(self):
        self.soon(lambda: "postgres" in self.page(), "a page that tells", 15)
        return self.page()["postgres"]

    def test_the_page_tells_what_the_contract_names_and_no_more(self):
        primary = self.known()
        self.assertGreaterEqual(primary.pop("connections"), 1)
        self.assertEqual(primary, {"role": "primary", "backup_status": "not_configured"})
        self.assertEqual(list(self.page()), ["node", "overlay_ip", "wg", "postgres", "disk_free_gb", "time"])
        self.assertNotIn("postgres", self.page("/health"))
        self.server.options = ["-c", "listen_addresses=", "-c", "archive_mode=on", "-c", "archive_command=/bin/true"]
        self.server.restart()
        self.server.psql("SELECT pg_switch_wal()")
        self.soon(lambda: "last_backup" in self.page().get("postgres", {}), "a page that tells of a backup", 15)
        shown = self.page()["postgres"]
        self.assertEqual(shown["backup_status"], "configured")
        self.assertRegex(shown["last_backup"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_a_server_that_hangs_or_goes_away_holds_nobody_up(self):
        self.known()
        hung = [int(pid) for pid in subprocess.run(["pgrep", "-P", str(self.server.process.pid)], text=True,
                                                   capture_output=True, check=True).stdout.split()]
        for pid in (self.server.process.pid, *hung):
            os.kill(pid, signal.SIGSTOP)
        slowest = 0
        deadline = time.monotonic() + 9
        while time.monotonic() < deadline and "postgres" in self.page():
            began = time.monotonic()
            self.is_(self.gateway.local("GET", "/api/v1/peers"), 200)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.1)
        self.assertNotIn("postgres", self.page())
        self.assertLess(slowest, 1.9)  # an answer of the server is waited for two seconds
        for pid in (self.server.process.pid, *hung):
            os.kill(pid, signal.SIGCONT)
        self.known()
        self.assertEqual(self.gateway.stop(), 0)

    def test_the_environment_of_a_database_is_enough(self):
        g = self.gateway
        g.stop()
        self.server.psql("SET password_encryption = 'scram-sha-256'; ALTER ROLE culvert PASSWORD 'it''s \\here'")
        with open(f"{self.server.data}/pg_hba.conf", "w") as f:
            f.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.server.options = ["-c", "listen_addresses=127.0.0.1"]
        self.server.restart()
        g.extra = self.listen
        g.env = {"POSTGRES_USER": "culvert", "POSTGRES_PASSWORD": "it's \\here", "PGPORT": str(pgserver.PORT)}
        g.start()
        self.assertEqual(self.known()["role"], "primary")
        with open(f"/proc/{g.process.pid}/environ", "rb") as f:
            self.assertNotIn(b"here", f.read())


if __name__ == "__main__":
    suite.main()

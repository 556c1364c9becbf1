#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups taken under load, and gateways that come back from them.

    clients ── unix socket ── gateway (/run/state) ── wg0        culvert backup create, beside it
                              gateway (/run/other) ── wg1        after culvert backup restore
"""

import json
import os
import pathlib
import sqlite3
import subprocess
import threading

import gateway
from gateway import CULVERT, ApiTest, netns, new_key, suite

PEERS = "/api/v1/peers"
KEY, OTHER, STATE = "/run/backup.key", "/run/other.key", "/run/other"


class BackupTest(ApiTest):
    def setUp(self):
        super().setUp()
        for path in (KEY, OTHER, f"{self.gateway.state}/server.key"):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                os.chmod(path, 0o600)
                f.write(new_key() + "\n")
        netns.run("rm", "-rf", STATE, "/run/backups", "/run/one.backup")
        self.addCleanup(netns.run, "rm", "-rf", STATE, "/run/backups", "/run/one.backup")

    def backup(self, *words, code=0, key=KEY):
        done = subprocess.run([CULVERT, "backup", *words, "--key-file", key], text=True, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, code, done)
        return done

    def create(self, where="/run/one.backup", *more, force=True, **options):
        return self.backup("create", where, "--state", self.gateway.state, *(("--force",) if force else ()), *more, **options)

    def add(self, name, **members):
        answer = self.gateway.local("POST", PEERS, {"name": name, "public_key": new_key(), **members})
        self.is_(answer, 201)
        return answer.json


class Backup(BackupTest):
    def test_a_file_that_is_there_is_written_over_only_when_that_was_said(self):
        self.create(force=False)
        before = open("/run/one.backup", "rb").read()
        self.assertIn("is there already", self.create(force=False, code=3).stderr)
        self.assertEqual(open("/run/one.backup", "rb").read(), before)
        self.create()
        self.assertNotEqual(open("/run/one.backup", "rb").read(), before)
        self.assertEqual(sorted(n for n in os.listdir("/run") if n.startswith("one.backup")), ["one.backup"])

    def test_a_backup_of_before_api_keys_were_sealed_comes_back_and_is_sealed(self):
        g = self.gateway
        g.stop()
        self.assertIn("sealed", os.listdir(g.state))
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.execute("INSERT INTO record (kind, name, body, created_ns, changed_ns) VALUES (2, 'ops', '{}', 1, 1)")
            db.execute("PRAGMA user_version = 3")
        db.close()
        self.create()
        self.backup("restore", "/run/one.backup", "--state", g.state, "--force")
        self.assertNotIn("sealed", os.listdir(g.state))
        g.start()
        self.assertIn("sealed", os.listdir(g.state))
        g.stop()
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            self.assertEqual(db.execute("SELECT name, body FROM record WHERE sealed IS NOT NULL").fetchall(), [("ops", None)])
        db.close()
        self.create()
        self.backup("restore", "/run/one.backup", "--state", g.state, "--force")
        self.assertIn("sealed", os.listdir(g.state))
        g.start()

    def test_what_was_acknowledged_before_it_began_is_there_after_a_restore_elsewhere(self):
        acknowledged, psk, over = [], new_key(), threading.Event()
        self.add("with-secret", preshared_key=psk)

        def load():
            while not over.is_set():
                acknowledged.append(self.add(f"p{len(acknowledged)}")["public_key"])

        loading = threading.Thread(target=load)
        loading.start()
        try:
            for _ in range(3):
                self.soon(lambda n=len(acknowledged): len(acknowledged) > n + 5, "load")
                before = list(acknowledged)
                self.create()
        finally:
            over.set()
            loading.join()
        report = json.loads(self.backup("verify", "/run/one.backup", "--json").stdout)
        self.assertGreaterEqual(report["peers"], len(before) + 1)
        self.assertTrue(report["audit_checked"])
        self.backup("restore", "/run/one.backup", "--state", STATE)
        with open(f"{STATE}/server.key") as a, open(f"{self.gateway.state}/server.key") as b:
            self.assertEqual(a.read(), b.read())
        self.assertEqual(os.stat(f"{STATE}/culvert.db").st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(STATE)), ["api.key", "culvert.db", "lock", "master.key", "server.key"])
        self.come_back(before, psk)

    def come_back(self, before, psk):
        old = self.gateway
        old.stop()
        old.stop_device()
        again = gateway.Gateway.__new__(gateway.Gateway)
        again.__dict__.update(old.__dict__)
        again.state = STATE
        again.start_device()
        self.addCleanup(again.close)
        again.start()
        on = again.on_device()
        self.assertEqual(set(before) - set(on), set())
        self.assertIn(psk, netns.run("wg", "show", "wg0", "preshared-keys").stdout)

    def test_a_touched_or_short_file_and_another_key_are_refused_and_touch_nothing(self):
        self.create()
        self.backup("verify", "/run/one.backup")
        self.assertIn("another secret", self.backup("verify", "/run/one.backup", code=3, key=OTHER).stderr)
        with open("/run/one.backup", "rb") as f:
            whole = f.read()
        for touched in (whole[:-1], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], whole + b"\0"):
            with open("/run/one.backup", "wb") as f:
                f.write(touched)
            self.backup("verify", "/run/one.backup", code=3)
            self.backup("restore", "/run/one.backup", "--state", STATE, code=3)
            self.assertEqual(os.listdir(STATE), ["lock"])
        self.assertEqual([n for n in os.listdir("/dev/shm") if n.startswith("backup-")], [])

    def test_a_database_is_only_replaced_by_force_and_then_kept_aside(self):
        self.create()
        self.backup("restore", "/run/one.backup", "--state", STATE)
        self.assertIn("--force", self.backup("restore", "/run/one.backup", "--state", STATE, code=1).stderr)
        self.backup("restore", "/run/one.backup", "--state", STATE, "--force")
        self.assertEqual(len([n for n in os.listdir(STATE) if n.startswith("culvert.db.before-")]), 1)

    def test_in_a_directory_the_newest_are_kept_and_nothing_else_is_removed(self):
        os.makedirs("/run/backups")
        for name in ("culvert-20200101-000000.backup", "culvert-20200102-000000.backup", "culvert-notes.backup"):
            with open(f"/run/backups/{name}", "w"):
                pass
        made = self.create("/run/backups", "--keep", "2").stdout.split(":")[0]
        self.assertEqual(sorted(os.listdir("/run/backups")),
                         ["culvert-20200102-000000.backup", os.path.basename(made), "culvert-notes.backup"])
        self.backup("verify", made)
        self.assertNotIn("culvert.db.copy", os.listdir(self.gateway.state))

    def test_the_newest_is_kept_although_the_clock_was_set_back(self):
        os.makedirs("/run/later")
        for name in ("culvert-99991230-000000.backup", "culvert-99991231-000000.backup"):
            pathlib.Path("/run/later", name).touch()
        made = self.create("/run/later", "--keep", "1").stdout.split(":")[0]
        self.backup("verify", made)

    def test_a_secret_that_others_may_read_is_refused(self):
        os.chmod(KEY, 0o644)
        self.assertIn("chmod 600", self.create(code=3).stderr)
        self.assertFalse(os.path.exists("/run/one.backup"))


if __name__ == "__main__":
    suite.main()

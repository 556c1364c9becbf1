#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Levels of obfuscation: what the tunnel accepts, clients at every level, new parameters for one."""

import datetime
import json
import os
import pathlib
import sqlite3
import subprocess
import time

import gateway
from gateway import CULVERT, ApiTest, netns, suite, tunnel

import client_file  # of tests/net, which gateway.py has put in reach

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS, PROFILES = "/api/v1/peers", "/api/v1/profiles"
LEVELS = ["off", "low", "medium", "high", "extreme"]
DAY_NS = 86400 * 10**9


class LevelTest(ApiTest):
    extra = ("--endpoint", "127.0.0.1")

    def profiles(self):
        """{name: entry} of our own route."""
        answer = self.gateway.local("GET", PROFILES)
        self.is_(answer, 200)
        return {p["name"]: p for p in answer.json["profiles"]}

    def accepted(self):
        """The same of the tunnel: {name: the words of its line}."""
        lines = [line.split("=", 1)[1] for line in self.gateway.device.uapi("get=1\n\n")
                 if line.startswith("culvert_profile=")]
        return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}

    def rotate(self, level, **body):
        return self.gateway.local("POST", f"{PROFILES}/{level}/rotate", body)

    def drop(self, name):
        return self.gateway.local("DELETE", f"{PROFILES}/{name}")

    def database(self, statement, *values):
        with sqlite3.connect(f"{self.gateway.state}/culvert.db") as db:
            found = db.execute(statement, values).fetchall()
        db.close()
        return found


OLD_COLUMNS = {
    "interface": "id, name, public_key, created_ns",
    "peer": "id, interface_id, public_key, name, status, families, port, dns, created_ns, changed_ns",
    "address": "interface_id, ip, peer_id",
}


class Profiles(LevelTest):
    def test_the_first_start_draws_every_level(self):
        shown, accepted = self.profiles(), self.accepted()
        self.assertEqual(list(shown), LEVELS)
        self.assertEqual(set(accepted), set(LEVELS[1:]))
        self.assertEqual(shown["off"]["amneziawg"], {})
        for name in LEVELS[1:]:
            self.assertEqual((shown[name]["level"], shown[name]["until"]), (name, None))
            for key in ("S1", "H1", "H4"):
                self.assertIn(f"{key.lower()}={shown[name]['amneziawg'][key]}", accepted[name].split())
            self.assertNotIn("until=", accepted[name])
        answer = self.gateway.local("GET", PROFILES).json
        self.assertEqual((answer["default_level"], answer["room"]), ("off", 11))

    def test_two_gateways_share_no_parameters(self):
        other = self.make(state="/run/other", interface="wg7")
        mine = self.profiles()
        theirs = {p["name"]: p for p in other.local("GET", PROFILES).json["profiles"]}
        for name in LEVELS[1:]:
            self.assertNotEqual(mine[name]["amneziawg"], theirs[name]["amneziawg"])
        self.assertNotEqual(*(p["extreme"]["amneziawg"]["HeaderProtectionKey"] for p in (mine, theirs)))

    def test_restarts_of_either_side_keep_them(self):
        g, shown, accepted = self.gateway, self.profiles(), self.accepted()
        self.assertEqual(set(accepted), set(LEVELS[1:]))
        g.restart_device()
        self.soon(lambda: self.accepted() == accepted, "the profiles again")
        g.kill()
        g.start()
        self.assertEqual((self.profiles(), self.accepted()), (shown, accepted))

    def test_a_database_of_before_gets_them_and_keeps_its_peers(self):
        g = self.gateway
        self.is_(g.local("POST", PEERS, {"name": "a"}), 201)
        g.stop()
        # The same peer as the first version had it: no levels anywhere.
        kept = {table: self.database(f"SELECT {columns} FROM {table}") for table, columns in OLD_COLUMNS.items()}
        for leftover in pathlib.Path(g.state).glob("culvert.db*"):
            leftover.unlink()
        with sqlite3.connect(f"{g.state}/culvert.db") as db:
            db.executescript((ROOT / "src/store/schema/0001_initial.sql").read_text())
            for table, columns in OLD_COLUMNS.items():
                holes = ",".join("?" * len(columns.split(",")))
                db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({holes})", kept[table])
            db.execute("PRAGMA user_version = 1")
            db.execute(f"PRAGMA application_id = {0x43756c76}")
        db.close()
        owner = os.stat(g.state)
        os.chown(f"{g.state}/culvert.db", owner.st_uid, owner.st_gid)
        g.stop_device()
        g.start_device()
        g.start()
        self.assertEqual(set(self.accepted()), set(LEVELS[1:]))
        self.assertEqual(g.local("GET", f"{PEERS}/a").json["obfuscation_level"], "off")
        self.assertEqual(len(g.on_device()), 1)

    def test_peers_are_counted_by_level(self):
        g = self.gateway
        for n, level in enumerate(["off", "basic", "high", "high"]):
            self.is_(g.local("POST", PEERS, {"name": f"p{n}", "obfuscation_level": level}), 201)
        counts = {name: p["peers"] for name, p in self.profiles().items()}
        self.assertEqual(counts, {"off": 1, "low": 1, "medium": 0, "high": 2, "extreme": 0})

    def test_nobody_without_a_right_sees_or_changes_them(self):
        g, before = self.gateway, self.accepted()
        for method, target in (("GET", PROFILES), ("POST", f"{PROFILES}/high/rotate"), ("DELETE", f"{PROFILES}/high.1")):
            self.is_(g.raw(method, target, b"{}"), 401)
            self.is_(g.signed(method, target, b"{}"), 401)
            self.is_(g.signed_v2(method, target, b"{}" if method == "POST" else None), 200)
        self.assertEqual(set(self.accepted()), set(before))


class Rotation(LevelTest):
    def test_new_parameters_take_the_name_and_the_former_ones_have_a_date(self):
        g, before = self.gateway, self.profiles()
        answer = self.rotate("high", keep_days=3)
        self.is_(answer, 200)
        new, former = answer.json["profiles"]
        self.assertEqual((new["name"], new["until"], former["name"]), ("high", None, "high.1"))
        self.assertEqual(former["amneziawg"], before["high"]["amneziawg"])
        self.assertNotEqual(new["amneziawg"], former["amneziawg"])
        until = datetime.datetime.fromisoformat(former["until"].replace("Z", "+00:00")).timestamp()
        self.assertAlmostEqual(until, time.time() + 3 * 86400, delta=60)
        self.assertIn(f"until={int(until)}", self.accepted()["high.1"].split())
        # New clients, and those that ask again, get the new ones.
        made = g.local("POST", PEERS, {"name": "a", "obfuscation_level": "high"}).json
        self.assertEqual(made["client"]["amneziawg"]["H1"], new["amneziawg"]["H1"])
        again = g.local("GET", f"{PEERS}/a/configuration").json
        self.assertEqual(again["client"]["amneziawg"]["H4"], new["amneziawg"]["H4"])
        self.assertEqual({n: p for n, p in self.profiles().items() if n == "low"}, {"low": before["low"]})

    def test_it_is_on_the_disk_and_in_the_audit(self):
        g = self.gateway
        self.is_(self.rotate("stealth", keep_days=1), 200)
        after, accepted = self.profiles(), self.accepted()
        g.kill()
        g.stop_device()
        g.start_device()
        g.start()
        self.assertEqual((self.profiles(), self.accepted()), (after, accepted))
        self.assertEqual(self.database("SELECT action, subject FROM audit"), [("level.rotate", "level extreme")])

    def test_thirty_days_unless_it_says_otherwise(self):
        for body, days in (({}, 30), ({"keep_days": None}, 30), ({"keep_days": 3650}, 3650)):
            former = self.rotate("low", **body).json["profiles"]
            until = max(p["until"] for p in former if p["until"])
            until = datetime.datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp()
            self.assertAlmostEqual(until, time.time() + days * 86400, delta=60)

    def test_kept_for_no_day_they_are_gone(self):
        before = self.accepted()
        self.is_(self.rotate("medium", keep_days=0), 200)
        self.assertEqual(set(self.accepted()), set(before))
        self.assertNotEqual(self.accepted()["medium"], before["medium"])

    def test_what_cannot_be_rotated_is_refused(self):
        before = self.accepted()
        self.is_(self.rotate("off"), 422)
        for level in ("none", "high.1", "HIGH", "%68igh"):
            self.is_(self.rotate(level), 404)
        for days in (-1, 3651, "30", 1.5, True):
            answer = self.rotate("low", keep_days=days)
            self.is_(answer, 422)
            self.assertEqual(answer.json["errors"][0]["loc"], ["body", "keep_days"])
        self.is_(self.gateway.local("GET", f"{PROFILES}/low/rotate"), 405)
        self.assertEqual(self.accepted(), before)

    def test_the_interface_takes_sixteen(self):
        for n in range(11):
            self.is_(self.rotate("high", keep_days=n + 1), 200)
        full = self.accepted()
        self.assertEqual(len(full), 15)
        answer = self.rotate("low")
        self.is_(answer, 409)
        self.assertIn("as many profiles as it takes, 11 of them former ones", answer.json["detail"])
        self.assertIn("'culvert gateway obfuscation drop NAME'", answer.json["detail"])
        self.assertEqual(self.accepted(), full)
        self.assertEqual(self.gateway.local("GET", PROFILES).json["room"], 0)
        self.is_(self.drop("high.3"), 200)
        self.is_(self.rotate("low"), 200)
        self.is_(self.rotate("low", keep_days=0), 200)

    def test_a_former_one_is_dropped_for_good(self):
        g = self.gateway
        for _ in range(2):
            self.is_(self.rotate("high", keep_days=2), 200)
        answer = self.drop("high.1")
        self.is_(answer, 200)
        self.assertEqual(([p["name"] for p in answer.json["profiles"]], answer.json["room"]), (["high", "high.2"], 10))
        self.assertEqual(set(self.accepted()), {*LEVELS[1:], "high.2"})
        self.is_(self.drop("high.1"), 404)
        self.assertEqual(self.database("SELECT action, subject FROM audit ORDER BY id DESC LIMIT 1"),
                         [("profile.drop", "profile high.1")])
        shown, accepted = self.profiles(), self.accepted()
        g.kill()
        g.restart_device()
        g.start()
        self.assertEqual((self.profiles(), self.accepted()), (shown, accepted))

    def test_what_new_clients_get_is_not_dropped(self):
        before = self.accepted()
        for name in (*LEVELS, "basic", "stealth"):
            answer = self.drop(name)
            self.is_(answer, 409)
            self.assertIn("rotate the level, and keep those of now for 0 days", answer.json["detail"])
        for name in ("high.1", "x" * 60, "hi%67h"):
            self.is_(self.drop(name), 404)
        self.is_(self.gateway.local("GET", f"{PROFILES}/high"), 405)
        self.assertEqual(self.accepted(), before)

    def test_former_ones_end_with_the_next_start_or_rotation(self):
        g = self.gateway
        for level in ("low", "high"):
            self.is_(self.rotate(level, keep_days=2), 200)
        g.stop()
        self.database("UPDATE profile SET until_ns = ? WHERE name = 'low.1'", time.time_ns() - 1)
        g.start()
        self.assertEqual(set(self.accepted()), {*LEVELS[1:], "high.1"})
        self.assertEqual(self.database("SELECT count(*) FROM profile"), [(5,)])

    def test_rotations_at_once_follow_each_other(self):
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda n: self.rotate(LEVELS[1 + n % 3], keep_days=5), range(6)))
        self.assertEqual([a.status for a in answers], [200] * 6, answers)
        self.assertEqual(set(self.accepted()), {*LEVELS[1:], *(f"{level}.{n}" for level in LEVELS[1:4] for n in (1, 2))})


class Clients(LevelTest):
    """Tunnels on the loopback, set up by the files that the gateway wrote."""

    def setUp(self):
        super().setUp()
        netns.run("ip", "link", "set", "wg0", "up")

    def file(self, name, level):
        answer = self.gateway.local("POST", PEERS, {"name": name, "generate": True, "obfuscation_level": level})
        self.is_(answer, 201)
        return answer.json["configuration"]

    def client(self, interface, text):
        device = tunnel.Device(gateway.Here(), interface, "culvert", log=self.log)
        self.addCleanup(device.process.kill)
        device.uapi(client_file.uapi(text, persistent_keepalive_interval="1"))
        netns.run("ip", "link", "set", interface, "up")
        return device

    def heard(self, name):
        return self.gateway.local("GET", f"{PEERS}/{name}").json["profile"]

    def test_each_level_connects_and_is_told_apart(self):
        for n, level in enumerate(LEVELS):
            self.client(f"wgc{n}", self.file(level, level))
        for level in LEVELS:
            self.soon(lambda name=level: self.heard(name) == name, f"{level} to be heard", 20)
        self.assertEqual([p["heard"] for p in self.profiles().values()], [1] * 5)
        shown = subprocess.run([CULVERT, "gateway", "obfuscation", "show", "--state", self.gateway.state], text=True,
                               capture_output=True, timeout=30, check=True).stdout.splitlines()
        self.assertEqual([line.split()[:4] for line in shown[:-1]], [["PROFILE", "LEVEL", "PEERS", "HEARD"]] +
                         [[level, level, "1", "1"] for level in LEVELS])
        self.assertEqual(shown[-1], "Room for 11 more, one for each rotation.")

    def test_a_client_of_before_stays_and_a_new_one_comes(self):
        self.client("wgc0", self.file("old", "extreme"))
        self.soon(lambda: self.heard("old") == "extreme", "the old one to be heard", 20)
        self.is_(self.rotate("extreme", keep_days=1), 200)
        self.client("wgc1", self.file("new", "extreme"))
        self.soon(lambda: self.heard("new") == "extreme", "the new one to be heard", 20)
        self.soon(lambda: self.heard("old") == "extreme.1", "the old one to be heard as such", 20)

    def heard_by_profile(self):
        return {name: p["heard"] for name, p in self.profiles().items() if p["heard"]}

    def test_a_client_that_was_cut_off_is_heard_nowhere(self):
        self.client("wgc0", self.file("a", "high"))
        self.soon(lambda: self.heard_by_profile() == {"high": 1}, "it to be heard", 20)
        self.is_(self.rotate("high", keep_days=1), 200)
        self.assertEqual({n: p["peers"] for n, p in self.profiles().items() if p["level"] == "high"},
                         {"high": 1, "high.1": None})
        self.soon(lambda: self.heard_by_profile() == {"high.1": 1}, "its profile to have another name")
        self.is_(self.drop("high.1"), 200)
        self.soon(lambda: self.heard_by_profile() == {} and self.heard("a") is None, "nobody to be heard")

    def test_a_name_that_got_other_parameters_was_not_heard_yet(self):
        self.client("wgc0", self.file("a", "high"))
        self.soon(lambda: self.heard_by_profile() == {"high": 1}, "it to be heard", 20)
        self.is_(self.rotate("high", keep_days=0), 200)
        self.soon(lambda: self.heard_by_profile() == {} and self.heard("a") is None, "nobody to be heard")

    def test_a_client_that_moves_to_another_level_is_recognised(self):
        text = self.file("a", "low")
        first = self.client("wgc0", text)
        self.soon(lambda: self.heard("a") == "low", "it to be heard", 20)
        first.process.kill()
        first.process.wait()
        again = self.gateway.local("GET", f"{PEERS}/a/configuration?obfuscation_level=extreme").json["configuration"]
        private = client_file.values(text)["PrivateKey"]
        self.client("wgc1", again.replace("[Interface]", f"[Interface]\nPrivateKey = {private}"))
        self.soon(lambda: self.heard("a") == "extreme", "it to be heard at the other level", 20)


class CommandLine(LevelTest):
    def run_it(self, *words, code=0):
        done = subprocess.run([CULVERT, "gateway", "obfuscation", *words, "--state", self.gateway.state], text=True,
                              capture_output=True, timeout=30)
        self.assertEqual(done.returncode, code, (words, done))
        return done

    def test_show_and_rotate(self):
        shown = json.loads(self.run_it("show", "--json").stdout)
        self.assertEqual([p["name"] for p in shown["profiles"]], LEVELS)
        self.assertNotIn(shown["profiles"][4]["amneziawg"]["HeaderProtectionKey"], self.run_it("show").stdout)
        lines = self.run_it("rotate", "stealth", "--keep", "2").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["PROFILE", "extreme", "extreme.1", "Room"])
        self.assertEqual(lines[1].split()[-1], "-")
        self.assertRegex(lines[2].split()[-1], r"^\d{4}-\d\d-\d\dT")
        self.assertEqual(lines[3], "Room for 10 more, one for each rotation.")
        self.assertEqual([line.split()[0] for line in self.run_it("drop", "extreme.1").stdout.splitlines()],
                         ["PROFILE", "extreme", "Room"])
        rotated = json.loads(self.run_it("--json", "rotate", "low", "--keep=0").stdout)
        self.assertEqual([p["name"] for p in rotated["profiles"]], ["low"])

    def test_wrong_words(self):
        for words, code in ((("rotate", "utmost"), 2), (("rotate", "off"), 3), (("rotate", "low", "--keep", "x"), 2),
                            (("rotate", "low", "--keep", "9999"), 2), (("rotate",), 2), ((), 2), (("show", "low"), 2),
                            (("show", "--kep", "1"), 2), (("drop",), 2), (("drop", "high"), 3), (("drop", "high.1"), 3),
                            (("drop", "../peers"), 2), (("show", "--keep", "1"), 2), (("drop", "a", "--keep", "1"), 2)):
            done = self.run_it(*words, code=code)
            self.assertTrue(done.stderr.startswith("culvert gateway obfuscation: "), done)
        for days in ("9999", "3651", "-1", "1.5", "x"):
            self.assertIn("--keep takes whole days, 0 to 3650", self.run_it("rotate", "low", f"--keep={days}", code=2).stderr)
        self.assertIn("rotate LEVEL", self.run_it("--help").stdout)


if __name__ == "__main__":
    suite.main()

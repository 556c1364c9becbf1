#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What callers of the API may do to the machine, where its operator allows it by naming a program.

    caller ── signed HTTP ── gateway ── one fixed message ── host ── exec ── hook

    all in [edge]; the hook is a program of the test that writes down how it was called.
"""

import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import suite
from test_gateway import WholeTest

HOOK = """#!/usr/bin/python3
import json, os, sys, time
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
with open("{notes}", "a") as f:
    f.write(json.dumps({{"argv": sys.argv[1:], "environment": dict(os.environ), "uid": os.getuid(),
                        "fds": sorted(int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2)[:-2], "time": time.time(),
                        "bounding": int(status["CapBnd"], 16)}}) + "\\n")
{more}
"""

# Sent from inside the namespace: path, text that version 1 signs, port, key, version.
CALL = """
import hashlib, hmac, http.client, sys, time
path, signed, port, key, version = sys.argv[1:]
stamp = str(int(time.time()))
digest = hashlib.sha256(signed.encode()).hexdigest()
nonce = str(time.time_ns()) if path.startswith("/admin") or version == "2" else ""
text = f"v2\\nPOST\\n{path}\\n{stamp}\\n{nonce}\\n{hashlib.sha256(b'').hexdigest()}" if version == "2" else f"timestamp={stamp}, " + (f"nonce={nonce}, " if nonce else "") + f"body_hash={digest}"
headers = {"timestamp": stamp, "signature": hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()}
if nonce:
    headers["X-Nonce"] = nonce
if version == "2":
    headers["X-Signature-Version"] = version
c = http.client.HTTPConnection("127.0.0.1", int(port), timeout=40)
c.request("POST", path, headers=headers)
r = c.getresponse()
print(r.status, r.read().decode())
"""

REBOOT, WIPE = "/api/v1/admin/reboot", "/admin/wipe"
SIGNED = {REBOOT: "", WIPE: '{"action": "wipe", "confirm": true}'}


def service(name, action):
    path = f"/admin/service/{name}/{action}"
    SIGNED[path] = json.dumps({"service": name, "action": action})
    return path


class HookTest(WholeTest):
    def setUp(self):
        super().setUp()
        self.notes = f"/run/hook-notes-{id(self)}"
        self.hook = self.program("hook")

    def program(self, name, more=""):
        path = f"/run/{name}-{id(self)}"
        pathlib.Path(path).write_text(HOOK.format(notes=self.notes, more=more))
        os.chmod(path, 0o755)
        return path

    def call(self, path, version="1"):
        key = pathlib.Path(self.state, "api.key").read_text().strip()
        line = self.edge.run(sys.executable, "-c", CALL, path, SIGNED[path], "8000", key, version, timeout=60).stdout
        status, body = line.split(" ", 1)
        return int(status), json.loads(body)

    def noted(self):
        try:
            return [json.loads(line) for line in pathlib.Path(self.notes).read_text().splitlines()]
        except FileNotFoundError:
            return []

    def trail(self):
        rows = json.loads(self.edge.run(os.environ["CULVERT"], "gateway", "api", "GET", "/api/v1/audit", "--state", self.state).stdout)
        return [(row["who"], row["action"], row["subject"]) for row in rows["audit"]]


class Hooks(HookTest):
    def test_nothing_is_allowed_unless_it_was_said(self):
        gateway = self.start()
        for path in (REBOOT, WIPE, service("wg-manager", "stop"), service("whisper-node", "start")):
            self.assertEqual(self.call(path), (403, {"detail": "This is switched off on this gateway"}), path)
        self.assertEqual(self.call(service("other", "stop")), (400, {"detail": "Invalid service: other"}))
        self.assertEqual(self.trail(), [])
        self.assertEqual(gateway.end(), 0, gateway.errors())

    def test_each_action_runs_its_program_as_the_host_with_fixed_arguments(self):
        gateway = self.start("--hook-reboot", self.hook, "--hook-stop", self.hook, "--hook-wipe", self.hook,
                             env={"SECRET_OF_THE_HOST": "x", "GATEWAY_API_KEY": "k" * 40})
        pathlib.Path(self.state, "api.key").write_text("k" * 40)
        started = time.time()
        self.assertEqual(self.call(REBOOT), (401, {"detail": "A reboot needs a signature of version 2: X-Signature-Version: 2 and X-Nonce"}))
        status, body = self.call(REBOOT, "2")
        self.assertEqual((status, body["status"], body["message"]), (200, "reboot_scheduled", "Gateway will reboot in 5 seconds"))
        self.assertLess(time.time() - started, 3)
        self.assertEqual(self.noted(), [])
        self.assertEqual(self.call(service("wg-manager", "stop"))[0], 500)  # the reboot is due
        self.soon(lambda: len(self.noted()) == 1, "the reboot", timeout=10)
        self.assertGreaterEqual(self.noted()[0]["time"] - started, 4.9)
        self.assertEqual(self.call(service("whisper-node", "stop")), (200, {"status": "stopped", "service": "whisper-node"}))
        self.assertEqual(self.call(service("wg-manager", "start"))[0], 403)
        self.assertEqual(self.call(WIPE), (200, {"status": "accepted", "output": "",
                                                 "message": "Gateway wipe initiated. Server will reboot in ~10 seconds."}))
        notes = self.noted()
        self.assertEqual([n["argv"] for n in notes], [["reboot"], ["stop", "whisper-node"], ["wipe"]])
        for note in notes:
            self.assertEqual((note["uid"], note["fds"]), (0, []))
            self.assertNotIn("SECRET_OF_THE_HOST", note["environment"])
            self.assertNotIn("GATEWAY_API_KEY", note["environment"])
            self.assertEqual(note["environment"]["PATH"], "/usr/sbin:/usr/bin:/sbin:/bin")
            self.assertEqual(note["bounding"] & (1 << 21 | 1 << 1), 0)  # neither SYS_ADMIN nor DAC_OVERRIDE
        self.assertEqual(self.trail(), [("api-key", "host.reboot", ""), ("api-key", "host.stop", "wg-manager"),
                                        ("api-key", "host.stop", "whisper-node"), ("api-key", "host.wipe", "")])
        # A fourth within the minute is too many.
        self.assertEqual(self.call(WIPE), (500, {"detail": "Wipe failed: another one is under way, or there were too many lately"}))
        self.assertEqual(gateway.end(), 0, gateway.errors())
        self.assertAsFound()

    def test_failures_and_slow_programs_are_told_and_the_gateway_goes_on(self):
        gateway = self.start("--hook-stop", self.program("fails", "sys.exit(3)"), "--hook-wipe", self.program("slow", "time.sleep(60)"))
        self.assertEqual(self.call(service("wg-manager", "stop")), (500, {"detail": "Failed to stop wg-manager"}))
        self.assertIn("failed with status 3", gateway.errors())
        if suite.scaled(0, 1):  # it takes 20 s
            self.assertEqual(self.call(WIPE), (200, {"status": "timeout", "message": "Wipe script timed out but may still complete"}))
        self.peer("add", "phone")
        gateway.end()

    def test_a_program_that_others_may_change_keeps_the_gateway_from_starting(self):
        from test_host import Gateway
        os.chmod(self.hook, 0o777)
        gateway = Gateway(self.edge, self.state, "--hook-wipe", self.hook, program=None)
        self.addCleanup(gateway.process.kill)
        self.assertEqual(gateway.process.wait(30), 3)
        self.assertIn("may be changed by others", gateway.errors())
        self.assertAsFound()


class Switch(HookTest):
    def test_without_a_program_stopping_wg_manager_switches_the_interface_where_that_is_allowed(self):
        gateway = self.start("--api-switch", "on")
        self.connect(self.peer("add", "phone").stdout)
        self.reaches("10.0.1.1")
        self.assertEqual(self.call(service("wg-manager", "stop")), (200, {"status": "stopped", "service": "wg-manager"}))
        self.assertEqual(self.edge.output("wg", "show", "wg0", "peers"), "")
        self.assertFalse(self.pings(self.client, "10.0.1.1"))
        self.edge.run("test", "-S", f"{self.state}/gateway.sock")
        self.assertEqual(self.call(service("whisper-node", "stop"))[0], 403)
        self.assertEqual(self.call(service("wg-manager", "start")), (200, {"status": "started", "service": "wg-manager"}))
        self.soon(lambda: self.edge.output("wg", "show", "wg0", "peers") != "", "the peer")
        if suite.SOAK:  # the client asks for a session after 15 s
            self.reaches("10.0.1.1", timeout=30)
        self.assertEqual(gateway.end(), 0, gateway.errors())


if __name__ == "__main__":
    suite.main()

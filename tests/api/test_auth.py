#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may call: signatures of both versions, their age, their replay, also over a kill -9."""

import http.client
import os
import random
import time

from gateway import ApiTest, netns, new_key, suite

C = "/api/v1/configurations/"
P = new_key(0)
P_URL = P.replace("/", "_").replace("+", "-")


def now(offset=0):
    return str(int(time.time()) + offset)


class Version1(ApiTest):
    def headers(self, signature, timestamp, **more):
        return {k: v for k, v in {"signature": signature, "timestamp": timestamp, **more}.items() if v is not None}

    def get(self, **headers):
        return self.gateway.raw("GET", "/api/v1/ip-usage", b"", self.headers(**headers))

    def test_missing_headers_are_listed(self):
        def entry(name):
            return {"type": "missing", "loc": ["header", name], "msg": "Field required", "input": None}
        ts = now()
        good = self.gateway.sign(b"", ts)
        self.is_(self.get(signature=None, timestamp=ts), 422, {"detail": [entry("signature")]})
        self.is_(self.get(signature=good, timestamp=None), 422, {"detail": [entry("timestamp")]})
        self.is_(self.get(signature=None, timestamp=None), 422, {"detail": [entry("signature"), entry("timestamp")]})
        self.is_(self.get(signature=good, timestamp=ts), 200)

    def test_the_four_refusals_have_their_texts(self):
        g = self.gateway
        for bad in ("", "x", "-5", "+5", "1e9", "9223372036854775808", "0x10", now() + "0" * 6, " "):
            self.is_(self.get(signature="0" * 64, timestamp=bad), 401, {"detail": "Invalid timestamp"})
        for offset in (-62, 62, -100000, 100000):
            ts = now(offset)
            self.is_(self.get(signature=g.sign(b"", ts), timestamp=ts), 401, {"detail": "Timestamp expired"})
        for offset in (-58, 58):
            ts = now(offset)
            self.is_(self.get(signature=g.sign(b"", ts), timestamp=ts), 200)
        ts = now()
        for bad in ("", "0" * 64, g.sign(b"x", ts), g.sign(b"", now(1)), g.sign(b"", ts)[:-1], g.sign(b"", ts) + "0"):
            self.is_(self.get(signature=bad, timestamp=ts), 401, {"detail": "Invalid signature"})
        first = g.signed("POST", C, {"public_key": P}, timestamp=ts)
        self.is_(first, 200)
        self.is_(g.signed("POST", C, {"public_key": P}, timestamp=ts), 401, {"detail": "Replay detected"})

    def test_headers_twice_are_refused(self):
        g, ts = self.gateway, now()
        import socket
        good = f"signature: {g.sign(b'', ts)}\r\ntimestamp: {ts}\r\n"
        for extra in (f"timestamp: {ts}\r\n", f"signature: {'0' * 64}\r\n", "Host: b\r\n", "Content-Length: 0\r\n" * 2,
                      "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"):
            with socket.create_connection(("127.0.0.1", g.port)) as s:
                s.sendall(f"GET /api/v1/ip-usage HTTP/1.1\r\nHost: a\r\n{good}{extra}\r\n".encode())
                s.settimeout(10)
                self.assertIn(b" 400 ", s.recv(4096).split(b"\r\n")[0], extra)

    def test_a_body_or_signature_changed_in_any_byte_is_refused(self):
        g, ts = self.gateway, now()
        body = b'{"public_key":"%s","port":40001}' % P.encode()
        signature = g.sign(body, ts)
        draw = random.Random(7)
        print("# seed 7")
        for at in range(len(body)):
            changed = bytearray(body)
            changed[at] ^= 1 << draw.randrange(7)
            answer = g.raw("POST", C, bytes(changed), self.headers(signature, ts))
            self.is_(answer, 401, {"detail": "Invalid signature"})
        self.assertEqual(g.on_device(), {})

    def test_reads_may_be_repeated_and_changes_may_not(self):
        g, ts = self.gateway, now()
        for _ in range(3):
            self.is_(g.signed("GET", "/api/v1/ip-usage", timestamp=ts), 200)
        self.is_(g.create(P), 200)
        # One signature over the empty body serves two targets, each once.
        self.is_(g.signed("DELETE", C + new_key(5).replace("/", "_").replace("+", "-"), timestamp=ts), 404)
        self.is_(g.signed("DELETE", C + P_URL, timestamp=ts), 200)
        self.is_(g.create(P), 200)
        self.is_(g.signed("DELETE", C + P_URL, timestamp=ts), 401, {"detail": "Replay detected"})
        self.assertIn(P, g.on_device())

    def test_another_spelling_of_the_target_is_no_other_use(self):
        g, ts = self.gateway, now()
        self.is_(g.signed("POST", C, {"public_key": P}, timestamp=ts), 200)
        self.is_(g.signed("DELETE", C + P_URL), 200)
        # Version 1 signs no target: whoever saw the request can write it otherwise.
        for target in (C + "?", C + "?x=1"):
            self.is_(g.signed("POST", target, {"public_key": P}, timestamp=ts), 401, {"detail": "Replay detected"})
        self.is_(g.create(P), 200)
        ts = now(1)
        self.is_(g.signed("DELETE", C + P_URL, timestamp=ts), 200)
        self.is_(g.signed("POST", C, {"public_key": P}, timestamp=now(2)), 200)
        for target in (C + P_URL + "?x", C + P_URL.rstrip("="), C + P_URL.replace("=", "%3D"), C + "%%%02X" % ord(P[0]) + P_URL[1:]):
            self.is_(g.signed("DELETE", target, timestamp=ts), 401, {"detail": "Replay detected"})
        self.assertIn(P, g.on_device())

    def test_what_changed_nothing_is_spent_too(self):
        g, ts = self.gateway, now()
        self.is_(g.create(P), 200)
        self.is_(g.signed("POST", C, {"public_key": P}, timestamp=ts), 200, {"status": "exists"})
        self.is_(g.signed("DELETE", C + P_URL), 200)
        self.is_(g.signed("POST", C, {"public_key": P}, timestamp=ts), 401)
        g.kill()
        g.start()
        self.is_(g.signed("POST", C, {"public_key": P}, timestamp=ts), 401, {"detail": "Replay detected"})
        self.assertEqual(g.on_device(), {})

    def test_a_kill_forgets_no_signature(self):
        g, requests = self.gateway, []
        for n in range(30):
            ts = now()
            body = {"public_key": new_key(n)}
            self.is_(g.signed("POST", C, body, timestamp=ts), 200)
            requests.append((body, ts))
        g.kill()
        g.start()
        for body, ts in requests:
            self.is_(g.signed("POST", C, body, timestamp=ts), 401, {"detail": "Replay detected"})

    def test_a_new_key_file_is_a_new_key(self):
        g = self.gateway
        g.stop()
        with open(f"{g.state}/api.key", "w") as f:
            f.write("ein Schlüssel mit Umlaut")  # no newline, any text
        g.start()
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 401)
        g.key = "ein Schlüssel mit Umlaut"
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 200)


class Version2(ApiTest):
    def test_it_is_accepted_on_every_route(self):
        g = self.gateway
        self.is_(g.signed_v2("POST", C, {"public_key": P}), 200)
        self.is_(g.signed_v2("PUT", f"{C}{P_URL}/status", {"status": "suspended"}), 200)
        self.is_(g.signed_v2("GET", "/api/v1/ip-usage"), 200)
        self.is_(g.signed_v2("GET", "/api/v1/peers?limit=5"), 200)
        self.is_(g.signed_v2("PATCH", f"/api/v1/peers/{P_URL}", {"enabled": True}), 200)
        self.is_(g.signed_v2("DELETE", C + P_URL), 200)

    def test_routes_that_need_it_say_so(self):
        g = self.gateway
        for answer in (g.signed("GET", "/api/v1/peers"), g.raw("GET", "/api/v1/peers", b"", {})):
            self.is_(answer, 401)
            self.assertEqual(answer.json["detail"],
                             "Say who you are: a key of this gateway as Authorization: Bearer KEY ('culvert gateway key add NAME' makes"
                             " one), or a signature of version 2: X-Signature-Version: 2 and X-Nonce")

    def test_it_binds_method_target_nonce_and_body(self):
        g, ts = self.gateway, now()
        body, target = b'{"name":"phone"}', "/api/v1/peers"
        good = {"timestamp": ts, "X-Nonce": "n1", "X-Signature-Version": "2",
                "signature": g.sign_v2("POST", target, ts, "n1", body)}
        for changes in ({"method": "PUT"}, {"target": target + "?"}, {"target": target + "?a=b"}, {"body": body + b" "},
                        {"X-Nonce": "n2"}, {"X-Nonce": None}, {"X-Nonce": "n" * 129}, {"timestamp": now(-1)},
                        {"X-Signature-Version": "1"}, {"X-Signature-Version": None}, {"X-Signature-Version": "3"}):
            headers = {k: v for k, v in {**good, **changes}.items() if v and k not in ("method", "target", "body")}
            answer = g.raw(changes.get("method", "POST"), changes.get("target", target), changes.get("body", body), headers)
            self.assertIn(answer.status, (401, 405), (changes, answer))
        self.is_(g.raw("POST", target, body, good), 201)
        self.is_(g.raw("POST", target, body, good), 401)

    def test_a_nonce_is_good_once_whatever_for(self):
        g = self.gateway
        self.is_(g.signed_v2("GET", "/api/v1/ip-usage", nonce="once"), 200)
        answer = g.signed_v2("GET", "/api/v1/server/status", nonce="once")
        self.is_(answer, 401, {"detail": "Replay detected"})

    def test_a_kill_forgets_no_signature(self):
        g, ts = self.gateway, now()
        self.is_(g.signed_v2("POST", "/api/v1/peers", {"name": "x"}, nonce="n", timestamp=ts), 201)
        g.kill()
        g.start()
        self.is_(g.signed_v2("DELETE", "/api/v1/peers/x"), 200)
        self.is_(g.signed_v2("POST", "/api/v1/peers", {"name": "x"}, nonce="n", timestamp=ts), 401)


class LongerWindow(ApiTest):
    env = {"MAX_TIMESTAMP_DIFF": "300"}

    def test_the_window_follows_the_environment(self):
        g = self.gateway
        for offset, status in ((-298, 200), (298, 200), (-302, 401), (302, 401)):
            self.is_(g.signed("GET", "/api/v1/ip-usage", timestamp=now(offset)), status)

    def test_nonsense_in_the_environment_is_refused(self):
        g = self.gateway
        g.stop()
        for value in ("0", "301", "abc", "-1", ""):
            g.env = {"MAX_TIMESTAMP_DIFF": value}
            process = g.spawn()
            self.assertEqual(process.wait(20), 3)
        for env in ({"DNS_D1": "resolver.example"}, {"DNS_SERVERS": "{"}, {"GATEWAY_API_KEY": ""}):
            g.env = env
            self.assertEqual(g.spawn().wait(20), 3, env)
        self.assertIn("MAX_TIMESTAMP_DIFF", self.logged())


class LocalSocket(ApiTest):
    def test_only_root_and_our_own_user_may_use_it(self):
        g = self.gateway
        self.is_(g.local("GET", "/api/v1/peers"), 200)
        mode = os.stat(f"{g.state}/gateway.sock").st_mode & 0o777
        self.assertEqual(mode, 0o600)
        if not os.access("/bin/su", os.X_OK) or len(open("/proc/self/uid_map").read().split()) != 3 or \
                open("/proc/self/uid_map").read().split()[2] == "1":
            self.skipTest("one user only in this namespace")
        # Even where the mode of the file would let somebody in, the peer's user counts.
        os.chmod(g.state, 0o755)
        os.chmod(f"{g.state}/gateway.sock", 0o666)
        pid = os.fork()
        if pid == 0:
            os.setgid(65534)
            os.setuid(65534)
            try:
                os._exit(0 if g.local("GET", "/api/v1/peers").status == 403 else 1)
            except Exception:
                os._exit(2)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_it_does_not_open_the_routes_of_the_contract(self):
        self.is_(self.gateway.local("GET", "/api/v1/ip-usage"), 422)


class Allowance(ApiTest):
    """From an address of our own that is not the loopback; a port for each surface."""

    extra = ("--api-request-rate", "20", "--listen-status", "http://0.0.0.0:8001 insecure share",
             "--listen-gateway", "http://127.0.0.1:0")

    def setUp(self):
        netns.run("ip", "address", "replace", "203.0.113.77/32", "dev", "lo")
        super().setUp()

    def status(self, source):
        c = http.client.HTTPConnection("203.0.113.77", 8001, source_address=(source, 0), timeout=10)
        try:
            c.request("GET", "/health")
            answer = c.getresponse()
            answer.read()
            return answer.status, answer.getheader("Retry-After")
        finally:
            c.close()

    def test_a_source_that_sends_too_much_is_told_when_to_come_back(self):
        answers = [self.status("203.0.113.77") for _ in range(100)]
        refused = [after for status, after in answers if status == 429]
        self.assertGreaterEqual(len(refused), 30)  # a bucket of 40, and 20 a second more
        self.assertEqual(answers[:40], [(200, None)] * 40)
        self.assertEqual(set(refused), {"1"})
        self.assertEqual([self.status("127.0.0.1")[0] for _ in range(100)], [200] * 100)
        time.sleep(1.1)
        self.assertEqual(self.status("203.0.113.77")[0], 200)

    def test_a_wrong_rate_is_refused_before_anything_starts(self):
        for bad in ("-1", "", "many", "1000001"):
            self.gateway.stop()
            process = self.gateway.spawn("--api-request-rate", bad)
            self.assertNotEqual(process.wait(10), 0)
            self.assertIn("api-request-rate", self.logged())
            self.gateway.start()


if __name__ == "__main__":
    suite.main()

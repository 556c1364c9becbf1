#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who comes, goes and moves: told to whoever follows the events, and to webhooks.

    wgc0 (a client) ── UDP on lo, 127.0.0.1 or 198.51.100.7 ── wg0 (the gateway's device)
                              receiver ── lo ── gateway-serve ── SSE ── reader
"""

import http.client
import json
import socket
import time

import gateway
from gateway import ApiTest, netns, new_key, suite, tunnel
from receiver import Receiver

import client_file  # of tests/net, which gateway.py has put in reach

PEERS, EVENTS, HOOKS = "/api/v1/peers", "/api/v1/events", "/api/v1/webhooks"
ELSEWHERE = "198.51.100.7"


def in_seconds(n):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + n))


class Stream:
    """A reader of server-sent events. A comment is sent every 15 s: the second in a row is too long a silence."""

    def __init__(self, port, key, last=None, timeout=20):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last} if last is not None else {})
        self.connection.request("GET", EVENTS, headers=headers)
        self.answer = self.connection.getresponse()

    def next(self):
        event, comments = {}, 0
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and event:
                return event
            comments += line.startswith(":")
            if comments > 2:
                raise TimeoutError("no event comes")
            if line and not line.startswith(":"):
                name, value = line.split(": ", 1)
                event[name] = json.loads(value) if name == "data" else value

    def close(self):
        self.connection.close()


class SessionTest(ApiTest):
    extra = ("--endpoint", "127.0.0.1", "--webhooks-private", "on", "--webhooks-retry", "1")

    def setUp(self):
        super().setUp()
        netns.run("ip", "link", "set", "wg0", "up")
        self.key = self.gateway.local("POST", "/api/v1/keys", {"name": "r", "role": "reader"}).json["key"]
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)
        answer = self.gateway.local("POST", HOOKS, {"name": "h", "url": self.receiver.url, "events": ["peer.*"]})
        self.receiver.secrets.append(answer.json["secret"])
        self.hook = f"{HOOKS}/{answer.json['id']}"

    def stream(self, last=None):
        made = Stream(self.gateway.port, self.key, last)
        self.addCleanup(made.close)
        return made

    def create(self, name, **members):
        answer = self.gateway.local("POST", PEERS, {"name": name, **members})
        self.is_(answer, 201)
        return answer.json

    def patch(self, **members):
        self.is_(self.gateway.local("PATCH", f"{PEERS}/a", members), 200)

    def connect(self, made):
        device = tunnel.Device(gateway.Here(), "wgc0", "culvert", log=self.log)
        self.addCleanup(device.process.kill)
        device.uapi(client_file.uapi(made["configuration"]))
        netns.run("ip", "address", "add", made["addresses"][0], "dev", "wgc0")
        netns.run("ip", "link", "set", "wgc0", "up")
        netns.run("ip", "route", "add", "198.18.0.0/24", "dev", "wgc0")
        return device

    def send(self, n=3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(n):
                s.sendto(bytes(1000), ("198.18.0.1", 9))
                time.sleep(0.001)

    def names(self, stream, n):
        seen = [stream.next() for _ in range(n)]
        return [e["event"] for e in seen], seen


class Resumed(SessionTest):
    def handshakes(self, key):
        for line in netns.run("wg", "show", "wg0", "latest-handshakes").stdout.splitlines():
            if line.startswith(key):
                return int(line.split()[1])
        return None

    def test_who_is_let_in_again_is_called_at_once_and_misses_nothing(self):
        """The client has a session that the gateway has forgotten, and would notice 15 s later."""
        made = self.create("a", generate=True)
        self.connect(made)
        time.sleep(2.5)
        self.send()
        self.soon(lambda: self.handshakes(made["public_key"]), "a handshake")
        time.sleep(2.5)  # the gateway has looked where the peer is
        for how in ({"enabled": False}, {"enabled": True}):
            self.patch(**how)
        where = netns.run("wg", "show", "wg0", "endpoints").stdout.split()
        self.assertEqual((where[0], where[1].split(":")[0]), (made["public_key"], "127.0.0.1"))
        self.soon(lambda: self.handshakes(made["public_key"]), "a handshake that the gateway began", 8)
        before = self.gateway.transfer()
        self.send()
        self.soon(lambda: self.gateway.transfer() - before > 3000, "what is sent", 8)


class Sessions(SessionTest):
    def test_a_peer_that_connects_roams_leaks_and_is_cut_off_is_followed_in_both_ways(self):
        netns.run("ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo")
        self.addCleanup(netns.run, "ip", "address", "delete", f"{ELSEWHERE}/32", "dev", "lo")
        made = self.create("a", generate=True)
        text = client_file.uapi(made["configuration"])
        server = next(line for line in text.splitlines() if line.startswith("public_key="))
        port = next(line for line in text.splitlines() if line.startswith("endpoint=")).rpartition(":")[2]
        time.sleep(2.5)  # the first look tells nothing
        stream, seen = self.stream(), []
        device = self.connect(made)
        # On this host the way to an address of its own starts at that very address.
        for place in ("127.0.0.1", ELSEWHERE, "127.0.0.1", ELSEWHERE):
            device.uapi(f"set=1\n{server}\nendpoint={place}:{port}\n\n")
            self.send()
            seen.append(stream.next())
            self.assertEqual(seen[-1]["data"]["endpoint"].split(":")[0], place)
        self.assertEqual(stream.next()["event"], "peer.shared")
        self.patch(enabled=False)
        names, cut_off = self.names(stream, 2)
        self.assertEqual(names, ["peer.suspended", "peer.disconnected"])
        self.assertEqual(cut_off[1]["data"]["public_key"], made["public_key"])
        self.assertEqual(cut_off[1]["id"], f"{cut_off[0]['id']}.1")
        again = self.stream(seen[0]["id"])  # behind an event that is in no row of the audit trail
        names, _ = self.names(again, 6)
        self.assertEqual(names, 3 * ["peer.endpoint_changed"] + ["peer.shared", "peer.suspended", "peer.disconnected"])
        wanted = ["peer.created", "peer.connected"] + 3 * ["peer.endpoint_changed"] + ["peer.shared", "peer.suspended",
                                                                                     "peer.disconnected"]
        self.soon(lambda: len(self.receiver.types()) == len(wanted), "the webhook to get them")
        self.assertEqual(self.receiver.types(), wanted)
        connected = self.receiver.accepted[1]
        self.assertEqual((connected.data["id"], connected.data["name"], connected.data["endpoint"].split(":")[0]),
                         (made["id"], "a", "127.0.0.1"))
        self.assertEqual(self.receiver.bad, [])

    def test_what_the_gateway_does_to_a_peer_is_told_as_what_it_is(self):
        stream = self.stream()
        self.create("a", public_key=new_key(1), expires=in_seconds(2))
        names, _ = self.names(stream, 2)
        self.assertEqual(names, ["peer.created", "peer.expired"])
        self.patch(expires=None)
        names, _ = self.names(stream, 2)
        self.assertEqual(names, ["peer.updated", "peer.unblocked"])
        self.patch(generate=True)
        self.is_(self.gateway.local("DELETE", f"{PEERS}/a"), 200)
        names, _ = self.names(stream, 2)
        self.assertEqual(names[1], "peer.deleted")
        self.soon(lambda: len(self.receiver.types()) == 6, "the webhook to get them")
        self.assertEqual(self.receiver.types()[:4], ["peer.created", "peer.expired", "peer.updated", "peer.unblocked"])
        self.assertEqual(self.receiver.accepted[1].data["blocked"], ["expired"])
        self.assertEqual(self.receiver.accepted[1].data["who"], "gateway")


class Resuming(SessionTest):
    def test_a_reader_is_told_when_something_may_be_missing_and_only_then(self):
        stream = self.stream()
        for n in range(5):
            self.create(f"p{n}", public_key=new_key(n + 1))
        _, seen = self.names(stream, 5)
        again = self.stream(seen[2]["id"])
        self.assertEqual([again.next()["id"] for _ in range(2)], [e["id"] for e in seen[3:]])
        self.gateway.kill()
        self.gateway.start()
        late = self.stream(seen[2]["id"])
        self.assertEqual(late.next()["event"], "missed")
        self.create("q", public_key=new_key(9))
        names, _ = self.names(late, 1)
        self.assertEqual(names, ["peer.created"])
        for wrong in ("x", "1.", ".1", "1.x", "1.2.3", "-1", ""):
            answer = self.gateway.raw("GET", EVENTS, b"", {"Authorization": f"Bearer {self.key}", "Last-Event-ID": wrong})
            self.assertEqual(answer.status, 400, wrong)

    def test_a_slow_reader_is_told_that_it_missed_some(self):
        stream = self.stream()
        self.create("first", public_key=new_key(1))
        first = stream.next()
        for b in range(3):
            body = {"create": [{"name": f"b{b}-{n}", "public_key": new_key(b * 500 + n + 10), "addresses":
                                [f"fd42:4242:1::{b * 500 + n + 100:x}"]} for n in range(500)]}
            self.is_(self.gateway.local("POST", "/api/v1/batch", body), 200)
        again = self.stream(first["id"])
        self.assertEqual(again.next()["event"], "missed")
        self.assertEqual(again.next()["event"], "peer.created")

    def test_a_webhook_is_told_of_a_start_so_that_it_can_look_anew(self):
        self.gateway.local("PATCH", self.hook, {"events": ["gateway.started"]})
        self.gateway.kill()
        self.gateway.start()
        self.soon(lambda: self.receiver.types("gateway.") == ["gateway.started"], "that event")


if __name__ == "__main__":
    suite.main()

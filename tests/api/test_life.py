#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway's life: restarts of either side, a full disk, an interface that is gone, its end."""

import concurrent.futures
import os
import socket
import sqlite3
import subprocess
import threading
import time

import gateway
from gateway import ApiTest, netns, new_key, suite, tunnel

C = "/api/v1/configurations/"


def path_of(key):
    return C + key.replace("/", "_").replace("+", "-")


class Restarts(ApiTest):
    def fill(self, n):
        for i in range(n):
            self.is_(self.gateway.create(new_key(i), tunnel_traffic=["ipv4", "ipv6"]), 200)
        self.is_(self.gateway.signed("PUT", path_of(new_key(0)) + "/status", {"status": "suspended"}), 200)
        self.is_(self.gateway.signed("DELETE", path_of(new_key(1))), 200)
        return self.gateway.on_device()

    def test_all_peers_are_there_after_both_sides_restarted(self):
        g = self.gateway
        before = self.fill(20)
        self.assertEqual(len(before), 18)
        usage = g.signed("GET", "/api/v1/ip-usage").json
        g.kill()
        g.stop_device()
        g.start_device()
        self.assertEqual(g.on_device(), {})
        g.start()
        self.assertEqual(g.on_device(), before)
        self.assertEqual(g.signed("GET", "/api/v1/ip-usage").json, usage)
        # A suspended peer kept its address, a removed one's rests over the restart.
        self.assertEqual(g.create(new_key(100)).json["assigned_ip"], "10.0.1.22")
        self.is_(g.signed("PUT", path_of(new_key(0)) + "/status", {"status": "active"}), 200)
        self.assertEqual(g.on_device()[new_key(0)], {"10.0.1.2/32", "fd42:4242:1::2/128"})

    def test_a_restart_of_the_gateway_is_not_noticed_by_tunnels_that_are_right(self):
        g = self.gateway
        private, public = tunnel.keypair()
        address = g.create(public).json["assigned_ip"]
        client = tunnel.Device(gateway.Here(), "wg1", "culvert", log=self.log)
        self.addCleanup(client.process.kill)
        client.uapi(f"set=1\nprivate_key={tunnel.hexkey(private)}\npublic_key={tunnel.hexkey(g.public)}\n"
                    "endpoint=127.0.0.1:51820\npersistent_keepalive_interval=1\nallowed_ip=10.0.1.0/24\n\n")
        netns.run("ip", "link", "set", "wg0", "up")
        netns.run("ip", "link", "set", "wg1", "up")

        def handshake():
            line = netns.run("wg", "show", "wg0", "latest-handshakes").stdout.split()
            return int(line[1]) if line else 0
        self.soon(handshake, "a handshake")
        first = handshake()
        self.assertEqual(g.signed("GET", "/api/v1/server/status").json["wireguard_peers"], 1)
        shown = g.local("GET", "/api/v1/peers").json["peers"][0]
        self.assertTrue(shown["endpoint"].startswith("127.0.0.1:") and shown["last_handshake"] and shown["rx_bytes"])
        self.assertEqual(shown["addresses"], [address + "/32"])
        g.kill()
        time.sleep(1.1)
        g.start()
        self.assertEqual(handshake(), first)  # the same session goes on
        self.assertNotIn("setting", self.logged().split("stopped")[-1])

    def test_a_device_that_restarts_gets_its_peers_again(self):
        g = self.gateway
        before = self.fill(10)
        g.restart_device()
        self.soon(lambda: g.on_device() == before, "all peers")
        self.is_(g.create(new_key(50)), 200)
        self.assertIn(new_key(50), g.on_device())

    def test_a_device_that_dies_without_a_word_is_noticed(self):
        g = self.gateway
        before = self.fill(10)
        g.stop_device()
        late = set()
        while (answer := g.create(new_key(200 + len(late)))).status == 200:
            late.add(new_key(200 + len(late)))  # committed before anybody could know
        self.is_(answer, 500, {"detail": "Failed to configure WireGuard peer"})
        self.assertLess(len(late), 3)
        self.is_(g.create(new_key(5)), 200, {"status": "exists"})
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 200)
        self.is_(g.signed("GET", "/api/v1/server/status"), 500)
        self.is_(g.local("GET", "/api/v1/peers"), 200)
        # What must not go on is not called done while it may; but it is stored.
        self.is_(g.signed("PUT", path_of(new_key(5)) + "/status", {"status": "suspended"}), 500)
        g.start_device()
        del before[new_key(5)]
        self.soon(lambda: set(g.on_device()) == set(before) | late, "the stored peers")
        self.is_(g.create(new_key(62)), 200)

    def test_strangers_leave_and_wrong_peers_are_mended_at_the_start(self):
        g = self.gateway
        before = self.fill(10)
        g.stop()
        netns.run("wg", "set", "wg0", "peer", new_key(99), "allowed-ips", "10.0.1.2/32,10.9.9.0/24")
        netns.run("wg", "set", "wg0", "peer", new_key(3), "remove")
        netns.run("wg", "set", "wg0", "peer", new_key(4), "allowed-ips", "10.0.1.0/28")
        netns.run("wg", "set", "wg0", "peer", new_key(5), "persistent-keepalive", "7")
        with open("/run/psk", "w") as f:
            f.write(netns.run("wg", "genpsk").stdout)
        netns.run("wg", "set", "wg0", "peer", new_key(6), "preshared-key", "/run/psk")
        # An address on the wrong peer.
        netns.run("wg", "set", "wg0", "peer", new_key(7), "allowed-ips", "10.0.1.10/32,fd42:4242:1::9/128")
        g.start()
        self.assertEqual(g.on_device(), before)
        shown = netns.run("wg", "show", "wg0", "preshared-keys").stdout
        self.assertEqual(set(line.split()[1] for line in shown.splitlines()), {"(none)"})
        self.assertNotIn("every 7 seconds", netns.run("wg", "show", "wg0").stdout)


class Ends(ApiTest):
    def test_sigterm_under_load_loses_nothing_acknowledged(self):
        g = self.gateway
        acknowledged, stop = set(), threading.Event()

        def load(worker):
            n = 0
            while not stop.is_set():
                key = new_key(1000 * worker + n)
                n += 1
                try:
                    if g.create(key).status == 200:
                        acknowledged.add(key)
                except OSError:
                    return

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for worker in range(8):
                pool.submit(load, worker)
            time.sleep(0.3)  # 253 addresses last for long enough
            code = g.stop()
            stop.set()
        self.assertEqual(code, 0)
        self.assertGreater(len(acknowledged), 5)
        self.assertFalse(os.path.exists(f"{g.state}/gateway.sock"))
        g.start()
        self.assertLessEqual(acknowledged, set(g.on_device()))

    def test_it_ends_when_the_host_is_gone_or_says_so(self):
        g = self.gateway
        self.soon(g.was_ready.is_set, "the ready message")
        g.tell(gateway.STOP)
        self.assertEqual(g.process.wait(10), 0)
        g._end()
        g.start()
        g._host.shutdown(socket.SHUT_RDWR)
        self.assertEqual(g._end(10), 0)

    def test_the_ready_line_names_everything(self):
        line = self.gateway.ready_line
        for part in ("gateway ready", "http://127.0.0.1:", "gateway.sock", "wg0", "51820", "10.0.1.0/24",
                     "fd42:4242:1::/64"):
            self.assertIn(part, line)

    def fails(self, code, text, *more):
        process = self.gateway.spawn(*more)
        self.assertEqual(process.wait(20), code)
        process.stdout.close()
        self.assertIn(text, self.logged())

    def test_what_it_cannot_do_is_a_sentence(self):
        g = self.gateway
        g.stop()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.fails(1, "another program listens there", "--listen", f"http://127.0.0.1:{taken.getsockname()[1]}")
        self.fails(1, "no interface has this address", "--listen", "http://203.0.113.9:8000 insecure")
        self.fails(1, "not encrypted", "--listen", "http://203.0.113.9:8000")
        self.fails(1, "expected http://ADDRESS:PORT", "--listen", "127.0.0.1:8000")
        self.fails(1, "no room for a gateway and peers", "--subnet4", "10.0.0.0/31")
        self.fails(2, "--public-key is a key", "--public-key", "x")
        self.fails(2, "started by 'culvert gateway'", "--uapi-fd", "99")
        self.fails(1, "at most 107 octets", "--state", self.long_state())
        with open(f"{g.state}/api.key", "w") as f:
            f.write("\n")
        self.fails(3, "holds no API key")
        os.unlink(f"{g.state}/api.key")
        self.fails(3, "holds no API key")

    def long_state(self):
        path = "/run/" + "x" * 110
        os.makedirs(path)
        with open(path + "/api.key", "w") as f:
            f.write("k")
        return path

    def test_a_newer_database_is_refused_and_left_as_it_is(self):
        g = self.gateway
        self.is_(g.create(new_key(1)), 200)
        g.stop()
        path = f"{g.state}/culvert.db"
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 1000")
        db.close()
        before = open(path, "rb").read()
        self.fails(1, "newer culvert")
        self.assertEqual(open(path, "rb").read(), before)

    def test_a_second_gateway_does_not_take_the_socket(self):
        g = self.gateway
        second = gateway.Gateway.__new__(gateway.Gateway)
        second.__dict__.update(g.__dict__)
        self.assertEqual(second.spawn().wait(20), 1)
        self.assertIn("another gateway answers there", self.logged())
        self.is_(g.local("GET", "/api/v1/peers"), 200)


class FullDisk(ApiTest):
    def make(self, **options):
        os.makedirs("/run/small", exist_ok=True)
        netns.run("mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "small", "/run/small")
        self.addCleanup(netns.run, "umount", "/run/small")
        return super().make(state="/run/small/state", **options)

    def fill_disk(self):
        fd = os.open("/run/small/ballast", os.O_WRONLY | os.O_CREAT)
        with self.assertRaises(OSError):
            while True:
                os.write(fd, b"x" * 4096)
        os.close(fd)

    def test_a_full_disk_refuses_keeps_serving_and_recovers(self):
        g = self.gateway
        self.is_(g.create(new_key(0)), 200)
        self.fill_disk()
        status, n = 200, 1
        while status == 200 and n < 200:  # what room the log still has
            answer = g.create(new_key(n))
            status, n = answer.status, n + 1
        self.is_(answer, 507)
        refused = new_key(n - 1)
        self.assertIn("disk is full", answer.json["detail"])
        self.assertNotIn(refused, g.on_device())
        self.is_(g.local("POST", "/api/v1/peers", {"name": "x"}), 507)
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 200)
        device = g.on_device()
        os.unlink("/run/small/ballast")
        self.soon(lambda: g.create(refused).status == 200, "room again")
        self.assertEqual(set(g.on_device()), set(device) | {refused})
        g.kill()
        g.start()
        self.assertEqual(set(g.on_device()), set(device) | {refused})

    def test_a_refused_request_may_be_sent_again_as_it_is(self):
        g = self.gateway
        self.fill_disk()
        for n in range(200):
            ts = str(int(time.time()))
            answer = g.signed("POST", C, {"public_key": new_key(n)}, timestamp=ts)
            if answer.status != 200:
                break
        self.is_(answer, 507)
        os.unlink("/run/small/ballast")
        self.is_(g.signed("POST", C, {"public_key": new_key(n)}, timestamp=ts), 200)


class BrokenDisk(ApiTest):
    """Writes fail for another reason than room: no file may be longer than a kilobyte any more."""

    def limit(self, size):
        netns.run("prlimit", "--pid", self.gateway.process.pid, f"--fsize={size}:unlimited")

    def test_after_an_error_nothing_is_acknowledged_until_a_new_process_has_read_the_disk(self):
        g = self.gateway
        g.stop()
        g.wrap = ("sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh")  # an error instead of a signal
        g.start()
        self.is_(g.create(new_key(0)), 200)
        time.sleep(2.5)  # one that never saw the disk work waits five minutes before it gives way
        self.limit(1024)
        self.assertGreaterEqual(g.create(new_key(1)).status, 500)
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 200)
        time.sleep(2.5)  # it looks after the disk once a second
        self.assertIsNone(g.process.poll(), "a new process would not help")
        self.limit("unlimited")
        self.assertEqual(g.process.wait(10), 1, "for its host to start another")
        g.start()
        self.is_(g.create(new_key(2)), 200)
        self.assertLessEqual({new_key(0), new_key(2)}, set(g.on_device()))


class Sandbox(ApiTest):
    def test_the_process_keeps_no_rights(self):
        if "sanitizer" in self.logged():
            print("# without the system call filter: this is a sanitizer build")
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{self.gateway.process.pid}/status").read().splitlines()
                      if ":\t" in line)
        self.assertEqual(status["NoNewPrivs"], "1")
        if "sanitizer" not in self.logged():
            self.assertEqual(status["Seccomp"], "2")
        limits = open(f"/proc/{self.gateway.process.pid}/limits").read()
        self.assertRegex(limits, r"Max core file size +0 ")

    def test_the_device_does_not_map_the_http_world(self):
        def maps(pid):
            return open(f"/proc/{pid}/maps").read()
        words = ("microhttpd", "jansson", "sqlite", "libcurl", "culvert-gateway")
        for word in words:
            self.assertIn(word, maps(self.gateway.process.pid))
            self.assertNotIn(word, maps(self.gateway.device.process.pid))


if __name__ == "__main__":
    suite.main()

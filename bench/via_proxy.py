#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One TCP stream through `culvert proxy-tunnel`, beside curl that speaks to the same proxy itself.

    [client] tun0, culvert proxy-tunnel ──── [proxy] tinyproxy, or culvert proxy ──── [world] files from memory

curl fetches the same octets twice in every round: into the tunnel, as a program that knows nothing of a proxy, and by
CONNECT (curl --proxytunnel). The server sends from the page cache with sendfile().

    bench/via_proxy.py [--rounds 5] [--megabytes 1024] [--proxy tinyproxy|culvert] [--culvert build/culvert] [--json FILE]
"""

import argparse
import json
import os
import socket
import statistics
import sys
import threading

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "net"))

import netns  # noqa: E402

WORLD, PROXY, PORT, MARK = "198.51.100.2", "203.0.113.2", 3128, 51820


def refuse(reason):
    sys.exit(f"via_proxy: {reason}")


def answer(s, size, source):
    with s:
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(65536)
        if head.startswith(b"GET"):
            s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
            at = 0
            while at < size:
                at += os.sendfile(s.fileno(), source, at, size - at)
            return
        left = size - len(head.split(b"\r\n\r\n", 1)[1])
        buffer = bytearray(1 << 18)
        while left > 0:
            left -= s.recv_into(buffer) or left
        s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def serve(far, size):
    """In a process of its own: it shares no lock of the interpreter with the measuring one."""
    path = "/run/octets"
    with open(path, "wb") as f:
        f.write(os.urandom(1 << 20) * (size >> 20))
    with far:
        listener = socket.create_server((WORLD, 80))
    child = os.fork()
    if child:
        listener.close()
        return child, path
    source = os.open(path, os.O_RDONLY)
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0], size, source), daemon=True).start()


def start_proxy(proxy, kind):
    if kind == "culvert":
        proxy.start(os.environ["CULVERT"], "proxy", "--open", "--listen", f"{PROXY}:{PORT}", "--allow", "198.51.100.0/24",
                    stdout=-3, stderr=-3)
    else:
        with open("/run/tinyproxy.conf", "w") as f:
            f.write(f"Port {PORT}\nTimeout 600\nMaxClients 100\nLogLevel Critical\n")
        proxy.start("tinyproxy", "-d", "-c", "/run/tinyproxy.conf", stdout=-3, stderr=-3)
    netns.wait_until(lambda: f":{PORT}" in proxy.output("ss", "-ltn"), what=f"{kind} as a proxy")


def build(net, kind):
    client, proxy, far = [net.namespace(n) for n in ("client", "proxy", "world")]
    net.link(client, "out0", proxy, "in0", addresses=("203.0.113.1/24", f"{PROXY}/24"))
    net.link(proxy, "far0", far, "in0", addresses=("198.51.100.1/24", f"{WORLD}/24"))
    start_proxy(proxy, kind)
    client.start(os.environ["CULVERT"], "proxy-tunnel", "--connect-proxy", f"{PROXY}:{PORT}", "--dns", WORLD, "--mark", MARK,
                 stdout=-3, stderr=-3)
    netns.wait_until(lambda: client.ip("link", "show", "tun0", check=False).returncode == 0, what="tun0")
    client.address("tun0", "10.0.0.2/24")
    client.ip("link", "set", "tun0", "up")
    client.ip("route", "add", "default", "dev", "tun0", "table", MARK)
    client.ip("rule", "add", "not", "fwmark", MARK, "table", MARK)
    client.ip("rule", "add", "to", f"{PROXY}/32", "table", "main", "priority", 100)  # curl's own way to the proxy
    return client, far


def fetch(client, words):
    done = client.run("curl", "-sS", "-o", "/dev/null", "-w", "%{speed_download} %{speed_upload}", *words,
                      f"http://{WORLD}/octets", timeout=300)
    return max(float(x) for x in done.stdout.split()) * 8 / 1e9


def contest(options):
    ways = {"tunnel": [], "curl": ["-x", f"http://{PROXY}:{PORT}", "--proxytunnel"]}
    figures = {way: {"down": [], "up": []} for way in ways}
    with netns.Network() as net:
        client, far = build(net, options.proxy)
        child, path = serve(far, options.megabytes << 20)
        for _ in range(options.rounds):
            for direction, words in (("down", []), ("up", ["-H", "Expect:", "-T", path])):
                for way, more in ways.items():
                    figures[way][direction].append(fetch(client, [*words, *more]))
        os.kill(child, 9)
    result = {way: {d: round(statistics.median(v), 2) for d, v in f.items()} for way, f in figures.items()}
    result["tunnel / curl"] = {d: round(statistics.median(a / b for a, b in zip(figures["tunnel"][d], figures["curl"][d])), 2)
                               for d in ("down", "up")}
    return {"proxy": options.proxy, "Gbit/s": result}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--megabytes", type=int, default=1024)
    p.add_argument("--proxy", choices=("tinyproxy", "culvert"), default="tinyproxy")
    p.add_argument("--culvert", default=os.path.join(ROOT, "build", "culvert"))
    p.add_argument("--json", help="write the figures there as well")
    options = p.parse_args()
    os.environ["CULVERT"] = os.path.abspath(options.culvert)
    netns.sandbox(refuse)
    result = contest(options)
    print(json.dumps(result, indent=2))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=2)


main()

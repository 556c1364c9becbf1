#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""In the place of the gateway process, to test the host: says what host/messages.h allows, or not.

The file beside it, with ".mode" at its name: "" serves; "exit N" ends with N before it serves; "deaf" serves and
does not stop when asked; "rude WORD" serves, then breaks that rule when it gets SIGUSR1. Everything it
hears goes to DIR/fake.log, one JSON object per line.
"""
import array
import json
import os
import signal
import socket
import struct
import sys
import time

READY, RECONNECT, PING, UAPI, PONG, DEVICE_RESTARTED, STOP, HAND_ON = 1, 2, 3, 101, 102, 103, 104, 105
FORMAT = "=IIQ"

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
log = open(options["--state"] + "/fake.log", "a", buffering=1)
host = socket.socket(fileno=int(options["--host-fd"]))


def note(event, **more):
    print(json.dumps({"event": event, "pid": os.getpid(), **more}), file=log)


def say(kind, error=0, serial=0):
    host.send(struct.pack(FORMAT, kind, error, serial))


def hear():
    data, control, _, _ = host.recvmsg(16, 64)
    fds = array.array("i")
    for _, _, content in control:
        fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return (struct.unpack(FORMAT, data) if data else None), list(fds)


def ask_tunnel(fd):
    with socket.socket(fileno=fd) as uapi:
        uapi.settimeout(5)
        uapi.sendall(b"get=1\n\n")
        text = b""
        while not text.endswith(b"\n\n"):
            text += uapi.recv(65536)
    return [line for line in text.decode().split() if line.startswith("listen_port=")]


def try_for_the_key(fd):
    """What a taken-over gateway process would ask the tunnel."""
    with socket.socket(fileno=os.dup(fd)) as uapi:
        uapi.settimeout(5)
        answers = []
        for request in (b"get=1\n\n", b"set=1\nprivate_key=" + b"11" * 32 + b"\n\n", b"set=1\nfwmark=1\n\n",
                        b"set=1\nlisten_port=1\n\n", b"limited=0\n\n"):
            uapi.sendall(request)
            try:
                answers.append(uapi.recv(65536).decode())
            except ConnectionError:
                answers.append("")
        return answers


def be_rude(how):
    note("rude", how=how)
    if how == "short":
        host.send(b"x")
    elif how == "long":
        host.send(b"x" * 17)
    elif how == "type":
        say(99)
    elif how == "host-type":
        say(STOP)
    elif how == "ready":
        say(READY)
    elif how == "fd":
        socket.send_fds(host, [struct.pack(FORMAT, PING, 0, 0)], [0])
    elif how == "flood":
        for _ in range(2000):
            say(PING)
    elif how == "greedy":
        say(RECONNECT)
        _, (fd,) = hear()
        note("greedy", answers=try_for_the_key(fd))
        say(RECONNECT)
        _, (fd,) = hear()
        with socket.socket(fileno=fd) as uapi:
            uapi.sendall(b"handover=1\n\n")
            note("handover", answer=uapi.recv(65536).decode())
    elif how == "hoard":
        kept, refused = [], []
        for _ in range(70):
            say(RECONNECT)
            (_, error, _), fds = hear()
            kept += fds
            refused += [error] if error else []
            time.sleep(0.02)  # within what it may say in a second
        note("hoard", kept=len(kept), refused=sorted(set(refused)))
    elif how == "hang-up":
        host.shutdown(socket.SHUT_RDWR)
    time.sleep(60)


def status():
    wanted = ("CapEff", "CapPrm", "CapBnd", "CapInh", "NoNewPrivs", "Uid", "Gid", "Groups")
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {key: lines[key].split() for key in wanted}


def serve(mode):
    port = ask_tunnel(int(options["--uapi-fd"]))
    say(PING, serial=7)
    note("started", options=options, mode=mode, port=port, status=status(), environment=dict(os.environ),
         fds=sorted(int(n) for n in os.listdir("/proc/self/fd"))[:-1], pong=hear()[0])
    say(READY)  # before the line: who has read it may count on the host knowing
    print("gateway ready on", options["--listen"], flush=True)
    while True:
        try:
            message, fds = hear()
        except InterruptedError:
            continue
        if not message:
            note("host gone")
            return
        note("heard", type=message[0], error=message[1], fds=len(fds))
        if message[0] == DEVICE_RESTARTED:
            say(RECONNECT)
        if message[0] == UAPI and fds:
            note("reconnected", port=ask_tunnel(fds[0]))
        if message[0] in (STOP, HAND_ON) and mode != "deaf":
            return


mode, _, word = open(sys.argv[0] + ".mode").read().partition(" ")
if mode == "exit":
    sys.exit(int(word))
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # HOST_STOP comes with it and is what is tested
if mode == "rude":
    signal.signal(signal.SIGUSR1, lambda *_: be_rude(word))
serve(mode)

# SPDX-License-Identifier: Apache-2.0
"""Somebody who gets webhooks: checks signatures by its own means, and misbehaves when told to."""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time


class Message:
    def __init__(self, headers, body):
        self.headers, self.body, self.at = headers, body, time.time()
        self.id = headers["webhook-id"]
        self.json = json.loads(body)
        self.type = self.json["type"]
        self.data = self.json["data"]

    def __repr__(self):
        return f"{self.type} {self.id}"


class Receiver:
    """plan: what to answer next, one of each request; then 204. A number is a status, "hang" no answer, a function
    gets the handler."""

    def __init__(self, port=0, host="127.0.0.1", certificate=None):
        self.plan, self.all, self.accepted, self.secrets, self.bad = [], [], [], [], []
        self.lock, self.hanging = threading.Lock(), threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.take(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # a sender that was killed

        self.server = Server((host, port), Handler)
        self.is_closed = False
        self.port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.port}/hook"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        with self.lock:
            self.is_closed = True
        self.hanging.set()
        self.server.shutdown()
        self.server.server_close()

    def judge(self, message):
        """As the specification of Standard Webhooks says, with nothing of ours."""
        signed = f"{message.id}.{message.headers['webhook-timestamp']}.".encode() + message.body
        given = message.headers["webhook-signature"].split(" ")
        for secret in self.secrets:
            key = base64.b64decode(secret.removeprefix("whsec_"))
            wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            if wanted in given:
                break
        else:
            self.bad.append(f"{message}: no good signature in {given}")
        if abs(int(message.headers["webhook-timestamp"]) - time.time()) > 5:
            self.bad.append(f"{message}: the time is wrong")

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        message = Message(handler.headers, body)
        with self.lock:
            if self.is_closed:
                handler.close_connection = True
                return
            self.judge(message)
            self.all.append(message)
            answer = self.plan.pop(0) if self.plan else 204
            if isinstance(answer, int) and 200 <= answer < 300:
                self.accepted.append(message)
        if answer == "hang":
            self.hanging.wait(60)
            handler.close_connection = True
        elif callable(answer):
            answer(handler)
        else:
            handler.send_response(answer)
            if 300 <= answer < 400:
                handler.send_header("Location", self.url + "/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    def types(self, noun="peer."):
        with self.lock:
            return [m.type for m in self.accepted if m.type.startswith(noun)]

# SPDX-License-Identifier: Apache-2.0
"""A Parameter Store on the loopback, and the endpoints that give credentials.

Each request's signature is made again by botocore, from what arrived, and compared.
"""
import hmac, http.server, json, ssl, threading, time
import calendar

import botocore.auth, botocore.awsrequest, botocore.credentials

ID, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"
PAGE = 7  # small, so that lists have several


def is_signed(handler, body, secret, token, now):
    head = handler.headers.get("Authorization", "")
    if not head.startswith("AWS4-HMAC-SHA256 "):
        return False
    parts = dict(p.strip().split("=", 1) for p in head.split(" ", 1)[1].split(","))
    signed = parts["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(signed):
        return False
    date = handler.headers["X-Amz-Date"]
    if abs(calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")) - now) > 300:
        return False
    if (handler.headers.get("X-Amz-Security-Token") or "") != token or (token and "x-amz-security-token" not in signed):
        return False
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(ID, secret), "ssm", REGION)
    request = botocore.awsrequest.AWSRequest(
        method="POST",
        url=f"http://{handler.headers['Host']}{handler.path}",
        headers={name: handler.headers[name] for name in signed},
        data=body,
    )
    request.context["timestamp"] = date
    text = signer.string_to_sign(request, signer.canonical_request(request))
    scope = f"{ID}/{date[:8]}/{REGION}/ssm/aws4_request"
    return parts["Credential"] == scope and hmac.compare_digest(parts["Signature"], signer.signature(text, request))


class Store:
    def __init__(self, certificate=None, host="127.0.0.1"):
        """certificate: a PEM file with its key; then it speaks https, as @host."""
        self.values, self.types, self.versions = {}, {}, {}
        self.delay = 0.0
        self.fail_after = None  # that many calls are answered yet
        self.clock_offset = 0
        self.tampers = False
        self.failures = []  # (status, type) to answer next
        self.fail_put = None  # put of a name that ends so is denied
        self.token = ""
        self.calls, self.connections = [], 0
        self.metadata = {}  # (method, path) -> (header, value that it must have, reply)
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", 65536  # connections are kept, replies sent at once

            def log_message(self, *args):
                pass

            def answer(self, status, data):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def setup(self):
                store.connections += 1
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, reply = store.handle(self, body)
                self.answer(status, json.dumps(reply).encode())

            def do_GET(self):
                header, value, reply = store.metadata.get((self.command, self.path), (None, None, None))
                if reply is None or (header and self.headers.get(header) != value):
                    self.answer(403, b"")
                else:
                    self.answer(200, reply.encode())

            do_PUT = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # who asked was killed
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://{host}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, handler, body):
        if self.tampers:
            body = body.replace(b"tamper", b"TAMPER")
        if not is_signed(handler, body, SECRET, self.token, time.time() + self.clock_offset):
            return 400, {"__type": "InvalidSignatureException", "message": "what was signed: ..."}
        time.sleep(self.delay)
        if self.fail_after is not None:
            if self.fail_after == 0:
                return 400, {"__type": "AccessDeniedException"}
            self.fail_after -= 1
        self.calls.append(handler.headers["X-Amz-Target"])
        if self.failures:
            status, kind = self.failures.pop(0)
            return status, {"__type": kind}
        return getattr(self, handler.headers["X-Amz-Target"].split(".")[1])(json.loads(body))

    def GetParameter(self, q):
        if q["Name"] not in self.values:
            return 400, {"__type": "com.amazonaws.ssm#ParameterNotFound"}
        assert q["WithDecryption"] is True
        return 200, {"Parameter": {"Name": q["Name"], "Value": self.values[q["Name"]]}}

    def PutParameter(self, q):
        if self.fail_put and q["Name"].endswith(self.fail_put):
            return 400, {"__type": "AccessDeniedException"}
        if q["Name"] in self.values and not q["Overwrite"]:
            return 400, {"__type": "ParameterAlreadyExists"}
        self.put(q["Name"], q["Value"], q["Type"])
        return 200, {"Version": self.versions[q["Name"]][0]}

    def put(self, name, value, kind="String"):
        self.values[name], self.types[name] = value, kind
        version, _ = self.versions.get(name, (0, 0))
        self.versions[name] = (version + 1, round(time.time(), 3))

    def DeleteParameter(self, q):
        if self.values.pop(q["Name"], None) is None:
            return 400, {"__type": "ParameterNotFound"}
        self.versions.pop(q["Name"], None)
        return 200, {}

    def describe(self, name):
        version, modified = self.versions.get(name, (1, 1.5e9))
        return {"Name": name, "Version": version, "LastModifiedDate": modified}

    def DescribeParameters(self, q):
        (only,) = q["ParameterFilters"]
        assert only["Key"] == "Name" and only["Option"] == "BeginsWith"
        names = sorted(n for n in self.values if n.startswith(only["Values"][0]))
        first = int(q.get("NextToken", "0"))
        reply = {"Parameters": [self.describe(n) for n in names[first : first + PAGE]]}
        if first + PAGE < len(names):
            reply["NextToken"] = str(first + PAGE)
        return 200, reply

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the gateway listens: TLS, who may call, and what is refused when it is configured.

    client 127.0.0.1 ─┐
                      ├─ lo ─ gateway-serve (https), beside it the local socket
    client 127.0.0.9 ─┘
"""

import hashlib
import http.client
import os
import socket
import ssl
import stat

from gateway import ApiTest, suite


class Tls(ApiTest):
    def https(self, context, source="127.0.0.1"):
        c = http.client.HTTPSConnection("127.0.0.1", self.gateway.port, timeout=20, context=context,
                                        source_address=(source, 0))
        c.request("GET", "/api/v1/nothing")
        answer = c.getresponse()
        answer.read()
        der = c.sock.getpeercert(binary_form=True) if c.sock else None
        c.close()
        return answer.status, der

    def start_https(self, *more):
        self.gateway.stop()
        line = self.gateway.spawn("--listen", "https://127.0.0.1:0", *more).stdout.readline()
        self.gateway.port = int(line.split("https://127.0.0.1:")[1].split()[0])

    def test_a_certificate_is_made_and_kept(self):
        self.start_https()
        cert, key = (f"{self.gateway.state}/{name}.pem" for name in ("cert", "key"))
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        status, _ = self.https(self.trusting(cert))
        self.assertEqual(status, 404)
        with open(cert) as f:
            before = f.read()
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(before)).hexdigest()
        self.start_https()
        with open(cert) as f:
            self.assertEqual(f.read(), before)
        self.assertIn(digest, self.logged())

    def trusting(self, cert):
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False  # it is made for the endpoint's name
        return context

    def test_strangers_are_not_trusted_and_old_versions_not_spoken(self):
        self.start_https()
        with self.assertRaises(ssl.SSLError):
            self.https(ssl.create_default_context())
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.https(old)
        weak = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        weak.check_hostname, weak.verify_mode = False, ssl.CERT_NONE
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES256-SHA256:ECDHE-ECDSA-AES256-SHA384")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.https(weak)

    def test_plain_http_gets_nothing_from_a_tls_port(self):
        self.start_https()
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=5) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                self.assertNotIn(b"HTTP/1.1", s.recv(1000))
            except ConnectionError:
                pass

    def test_a_readable_key_is_refused(self):
        self.start_https()
        self.gateway.stop()
        os.chmod(f"{self.gateway.state}/key.pem", 0o640)
        self.assertEqual(self.gateway.spawn("--listen", "https://127.0.0.1:0").stdout.readline(), "")
        self.gateway.process.wait(20)
        self.assertIn("key.pem may be used by others", self.logged())


class Allowed(ApiTest):
    extra = ("--listen-gateway-allow", "127.0.0.9, fd00::/8")

    def status(self, source):
        c = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20, source_address=(source, 0))
        c.request("GET", "/api/v1/ip-usage")
        answer = c.getresponse()
        body = answer.read()
        c.close()
        return answer.status, body

    def test_others_are_refused_before_anything_is_checked(self):
        status, body = self.status("127.0.0.1")
        self.assertEqual((status, body), (403, b'{"detail":"Your address may not call this"}'))
        self.assertEqual(self.status("127.0.0.9")[0], 422)  # only the signature is missing
        self.is_(self.gateway.local("GET", "/api/v1/peers"), 200)


class VersionTwoOnly(ApiTest):
    extra = ("--api-version1", "off")

    def test_signatures_of_version_1_can_be_switched_off(self):
        g = self.gateway
        self.is_(g.signed("GET", "/api/v1/ip-usage"), 401)
        self.is_(g.signed_v2("GET", "/api/v1/ip-usage"), 200)


if __name__ == "__main__":
    suite.main()

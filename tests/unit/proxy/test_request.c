/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by hand: what the RFCs allow of CONNECT, and each way to break a rule. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "proxy/request.h"

#define OK "CONNECT a.test:443 HTTP/1.1\r\n"

/* A copy of exactly that size, so that a read behind it is noticed. */
static int parse(const char *head, size_t len, struct request *ret, struct diag *d)
{
	char *copy = malloc(len + (len == 0));
	int status;

	memcpy(copy, head, len);
	status = request_parse(copy, len, ret, d);
	free(copy);
	return status;
}

static int parse_text(const char *head, struct request *ret)
{
	struct diag d;

	return parse(head, strlen(head), ret, &d);
}

struct target {
	const char *text;
	const char *host;
	uint16_t port;
	uint8_t family;
};

static void reads_names_and_addresses(void)
{
	static const struct target rows[] = {
		{ "a.test:443", "a.test", 443, ADDR_NONE },
		{ "a_b-c.test.:1", "a_b-c.test.", 1, ADDR_NONE },
		{ "192.0.2.7:80", "192.0.2.7", 80, ADDR_V4 },
		{ "[2001:db8::7]:65535", "2001:db8::7", 65535, ADDR_V6 },
		{ "[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80, ADDR_V4 },
		{ "0x7f000001:80", "0x7f000001", 80, ADDR_NONE },
		{ "127.1:80", "127.1", 80, ADDR_NONE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r = { .port = 0 };
		char head[200];

		snprintf(head, sizeof(head), "CONNECT %s HTTP/1.1\r\n\r\n", rows[i].text);
		CHECK(parse_text(head, &r) == REQUEST_IS_WHOLE);
		CHECK(strcmp(r.host, rows[i].host) == 0);
		CHECK(r.port == rows[i].port);
		CHECK(r.ip.family == rows[i].family);
		CHECK(r.key_len == 0);
	}
}

static void refuses_targets_that_are_none(void)
{
	static const char *const rows[] = {
		"",
		"a",
		"a:",
		":80",
		"a:0",
		"a:65536",
		"a:+1",
		"a:1x",
		"a:000080",
		"me@a:80",
		"me:pw@a:80",
		"http://a:80",
		"a:80/",
		"a%00:80",
		"a:80:80",
		"[::1]",
		"[::1]80",
		"[::1:80",
		"::1:80",
		"[a.test]:80",
		"[1.2.3.4]:80",
		"[fe80::1%2]:80",
		"[fe80::1%25eth0]:80",
		"[]:80",
		"*",
		"/",
		"a\t:80",
		"a b:80",
		"\xc3\xa4.test:80",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r = { .port = 9 };
		char head[200];

		snprintf(head, sizeof(head), "CONNECT %s HTTP/1.1\r\n\r\n", rows[i]);
		if (parse_text(head, &r) != 400)
			FAIL(rows[i]);
		CHECK(r.port == 9);
	}
}

static void refuses_a_name_that_is_too_long(void)
{
	struct request r;
	char head[400], name[REQUEST_HOST_MAX + 2];

	memset(name, 'a', sizeof(name));
	name[REQUEST_HOST_MAX] = '\0';
	snprintf(head, sizeof(head), "CONNECT %s:1 HTTP/1.1\r\n\r\n", name);
	CHECK(parse_text(head, &r) == REQUEST_IS_WHOLE);
	name[REQUEST_HOST_MAX] = 'a';
	name[REQUEST_HOST_MAX + 1] = '\0';
	snprintf(head, sizeof(head), "CONNECT %s:1 HTTP/1.1\r\n\r\n", name);
	CHECK(parse_text(head, &r) == 400);
}

struct form {
	const char *head;
	int want;
};

static void judges_the_form_of_a_head(void)
{
	static const struct form rows[] = {
		{ OK "\r\n", 0 },
		{ "CONNECT a.test:443 HTTP/1.0\r\n\r\n", 0 },
		{ OK "Host: other.test\r\nUser-Agent: x/1 (y)\r\nX:\r\nY: \t z \r\n\r\n", 0 },
		{ OK "Content-Length: 0\r\n\r\n", 0 },
		{ OK "X: \xe4\r\n\r\n", 0 }, /* obs-text */
		{ "CONNECT a.test:443 HTTP/1.2\r\n\r\n", 505 },
		{ "CONNECT a.test:443 HTTP/2.0\r\n\r\n", 505 },
		{ "CONNECT a.test:443 http/1.1\r\n\r\n", 400 },
		{ "CONNECT a.test:443\r\n\r\n", 400 },
		{ "CONNECT  a.test:443 HTTP/1.1\r\n\r\n", 400 },
		{ "CONNECT a.test:443  HTTP/1.1\r\n\r\n", 400 },
		{ "CONNECT a.test:443 HTTP/1.1 \r\n\r\n", 400 },
		{ " CONNECT a.test:443 HTTP/1.1\r\n\r\n", 400 },
		{ "CONNECT\ta.test:443\tHTTP/1.1\r\n\r\n", 400 },
		{ "\r\n" OK "\r\n", 400 },
		{ "connect a.test:443 HTTP/1.1\r\n\r\n", 405 },
		{ "GET / HTTP/1.1\r\n\r\n", 405 },
		{ "OPTIONS * HTTP/1.1\r\n\r\n", 405 },
		{ "CONNECT a.test:443 HTTP/1.1\n\n", 400 },
		{ OK "X: y\n\r\n", 400 },
		{ OK "X: y\rz\r\n\r\n", 400 },
		{ OK "X: y\r\n folded\r\n\r\n", 400 },
		{ OK "X : y\r\n\r\n", 400 },
		{ OK " X: y\r\n\r\n", 400 },
		{ OK ": y\r\n\r\n", 400 },
		{ OK "nothing\r\n\r\n", 400 },
		{ OK "X: \x01\r\n\r\n", 400 },
		{ OK "X: \x7f\r\n\r\n", 400 },
		{ OK "Host: a\r\nHost: a\r\n\r\n", 400 },
		{ OK "Content-Length: 1\r\n\r\n", 400 },
		{ OK "Content-Length: 00\r\n\r\n", 400 },
		{ OK "content-length: 0\r\nContent-Length: 0\r\n\r\n", 400 },
		{ OK "Transfer-Encoding: chunked\r\n\r\n", 400 },
		{ OK "Proxy-Authorization: Bearer a\r\nproxy-authorization: Bearer a\r\n\r\n",
		  400 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r;

		if (parse_text(rows[i].head, &r) != rows[i].want)
			FAIL(rows[i].head);
	}
}

#define UDP(target) "GET /.well-known/masque/udp/" target "/ HTTP/1.1\r\nHost: p\r\n"
#define UPGRADE	    "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n"

static void reads_an_upgrade_to_connect_udp(void)
{
	struct request r = { .port = 0 };

	CHECK(parse_text(UDP("a.test/53") UPGRADE, &r) == REQUEST_IS_WHOLE);
	CHECK(r.is_udp && strcmp(r.host, "a.test") == 0 && r.port == 53);
	CHECK(parse_text(UDP("2001%3Adb8%3A%3A7/443") UPGRADE, &r) == REQUEST_IS_WHOLE);
	CHECK(r.ip.family == ADDR_V6 && strcmp(r.host, "2001:db8::7") == 0);
	CHECK(parse_text(OK "\r\n", &r) == REQUEST_IS_WHOLE && !r.is_udp);
	CHECK(parse_text(UDP("a.test/53") "\r\n", &r) == 400);
	CHECK(parse_text(UDP("a.test/53") "Upgrade: connect-udp\r\n\r\n", &r) == 400);
	CHECK(parse_text(UDP("a.test/0") UPGRADE, &r) == 400);
	CHECK(parse_text(UDP("a%40b/53") UPGRADE, &r) == 400);
	CHECK(parse_text(UDP("a%00b/53") UPGRADE, &r) == 400);
	CHECK(parse_text("GET /udp/a/53/ HTTP/1.1\r\nHost: p\r\n" UPGRADE, &r) == 405);
}

static void refuses_nul_anywhere(void)
{
	const char head[] = OK "Host: a\r\n\r\n";

	for (size_t i = 0; i + 1 < sizeof(head); i++) {
		char copy[sizeof(head)];
		struct request r;
		struct diag d;
		int status;

		memcpy(copy, head, sizeof(head));
		copy[i] = '\0';
		status = parse(copy, sizeof(head) - 1, &r, &d);
		/* In the place of a line feed it joins two lines, of which the second may not end. */
		CHECK(status == 400 || (status == REQUEST_IS_PARTIAL && head[i] == '\n'));
	}
}

static void waits_for_the_rest_at_every_octet(void)
{
	const char head[] = OK "Host: a\r\nProxy-Authorization: Bearer key\r\n\r\nbehind";
	size_t whole = sizeof(head) - 1 - strlen("behind");
	struct request r = { .port = 0 };
	struct diag d;

	for (size_t n = 0; n < whole; n++)
		CHECK(parse(head, n, &r, &d) == REQUEST_IS_PARTIAL);
	CHECK(r.port == 0);
	for (size_t n = whole; n < sizeof(head); n++) {
		CHECK(parse(head, n, &r, &d) == REQUEST_IS_WHOLE);
		CHECK(r.head_len == whole);
	}
}

static void takes_a_key_from_bearer_and_basic(void)
{
	static const struct {
		const char *value;
		const char *key;
	} rows[] = {
		{ "Bearer key", "key" },
		{ "bearer   key", "key" },
		{ "Basic bWU6a2V5", "key" },	   /* me:key */
		{ "basic OmtleQ==", "key" },	   /* :key */
		{ "Basic bWU6a2V5Ong=", "key:x" }, /* me:key:x */
		{ "Basic bWVrZXk=", "" },	   /* no colon */
		{ "Basic !", "" },
		{ "Basic", "" },
		{ "Bearer", "" },
		{ "Digest key", "" },
		{ "key", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r;
		char head[300];

		snprintf(head, sizeof(head), OK "Proxy-Authorization: %s\r\n\r\n",
			 rows[i].value);
		CHECK(parse_text(head, &r) == REQUEST_IS_WHOLE);
		CHECK(r.key_len == strlen(rows[i].key));
		CHECK(memcmp(r.key, rows[i].key, r.key_len) == 0);
		request_done(&r);
		CHECK(r.key_len == 0 && r.key[0] == '\0');
	}
}

static void bounds_the_head_and_its_fields(void)
{
	char head[REQUEST_HEAD_MAX + 100];
	struct request r;
	struct diag d;
	size_t n = (size_t)snprintf(head, sizeof(head), OK "X: ");

	memset(head + n, 'x', sizeof(head) - n);
	CHECK(parse(head, REQUEST_HEAD_MAX - 1, &r, &d) == REQUEST_IS_PARTIAL);
	CHECK(parse(head, REQUEST_HEAD_MAX, &r, &d) == 431);
	memcpy(head + REQUEST_HEAD_MAX - 4, "\r\n\r\n", 4);
	CHECK(parse(head, REQUEST_HEAD_MAX, &r, &d) == REQUEST_IS_WHOLE);
	memcpy(head + REQUEST_HEAD_MAX - 4, "x\r\n\r\n", 5);
	CHECK(parse(head, REQUEST_HEAD_MAX + 1, &r, &d) == 431);

	n = (size_t)snprintf(head, sizeof(head), OK);
	for (int i = 0; i < REQUEST_FIELDS_MAX; i++)
		n += (size_t)snprintf(head + n, sizeof(head) - n, "X: y\r\n");
	memcpy(head + n, "\r\n", 2);
	CHECK(parse(head, n + 2, &r, &d) == REQUEST_IS_WHOLE);
	memcpy(head + n, "X: y\r\n\r\n", 8);
	CHECK(parse(head, n + 8, &r, &d) == 431);
}

static void does_not_keep_a_key_that_is_too_long(void)
{
	char head[2000];
	struct request r;
	size_t n = (size_t)snprintf(head, sizeof(head), OK "Proxy-Authorization: Bearer ");

	memset(head + n, 'k', REQUEST_KEY_MAX + 1);
	memcpy(head + n + REQUEST_KEY_MAX, "\r\n\r\n", 5);
	CHECK(parse_text(head, &r) == REQUEST_IS_WHOLE && r.key_len == REQUEST_KEY_MAX);
	memcpy(head + n + REQUEST_KEY_MAX, "k\r\n\r\n", 6);
	CHECK(parse_text(head, &r) == REQUEST_IS_WHOLE && r.key_len == 0);
}

int main(void)
{
	RUN(reads_names_and_addresses);
	RUN(refuses_targets_that_are_none);
	RUN(refuses_a_name_that_is_too_long);
	RUN(judges_the_form_of_a_head);
	RUN(reads_an_upgrade_to_connect_udp);
	RUN(refuses_nul_anywhere);
	RUN(waits_for_the_rest_at_every_octet);
	RUN(takes_a_key_from_bearer_and_basic);
	RUN(bounds_the_head_and_its_fields);
	RUN(does_not_keep_a_key_that_is_too_long);
	return DONE();
}

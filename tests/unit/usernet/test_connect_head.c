/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers of CONNECT: examples of RFC 9110, 9112 and 9209, answers of proxies as they come. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "usernet/connect_head.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct connect_head read_all(const char *text, size_t len, size_t step, size_t *ret_used)
{
	struct connect_head h = { 0 };
	size_t used = 0;

	while (used < len && h.progress == CONNECT_WANTS_MORE) {
		size_t n = len - used < step ? len - used : step;

		used += connect_head_read(&h, (const uint8_t *)text + used, n);
	}
	*ret_used = used;
	return h;
}

static struct connect_head read_text(const char *text)
{
	size_t used = 0;

	return read_all(text, strlen(text), 1000000, &used);
}

static void asks_for_addresses_of_both_families(void)
{
	const struct ip_addr v4 = { ADDR_V4, { 192, 0, 2, 1 } },
			     v6 = { ADDR_V6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	char out[CONNECT_REQUEST_MAX];
	static const char plain[] = "CONNECT 192.0.2.1:443 HTTP/1.1\r\n"
				    "Host: 192.0.2.1:443\r\n\r\n",
			  keyed[] = "CONNECT [2001:db8::1]:22 HTTP/1.1\r\n"
				    "Host: [2001:db8::1]:22\r\n"
				    "Proxy-Authorization: Basic QWxhZGRpbjpvcGVu\r\n\r\n";

	CHECK(connect_request_write(&v4, 443, NULL, out) == (int)sizeof(plain) - 1);
	CHECK(memcmp(out, plain, sizeof(plain) - 1) == 0);
	CHECK(connect_request_write(&v4, 443, "", out) == (int)sizeof(plain) - 1);
	CHECK(connect_request_write(&v6, 22, "Basic QWxhZGRpbjpvcGVu", out) ==
	      (int)sizeof(keyed) - 1);
	CHECK(memcmp(out, keyed, sizeof(keyed) - 1) == 0);
}

/* RFC 9298 section 3.2, figure 1, with an address in the place of the name. */
static void asks_for_datagrams_at_the_well_known_place(void)
{
	const struct ip_addr v4 = { ADDR_V4, { 192, 0, 2, 6 } },
			     v6 = { ADDR_V6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x42 } };
	const struct endpoint proxy = { .ip = { ADDR_V4, { 203, 0, 113, 2 } }, .port = 3128 };
	char out[CONNECT_REQUEST_MAX];
	static const char
		first[] = "GET /.well-known/masque/udp/192.0.2.6/443/ HTTP/1.1\r\n"
			  "Host: 203.0.113.2:3128\r\n"
			  "Connection: Upgrade\r\n"
			  "Upgrade: connect-udp\r\n"
			  "Capsule-Protocol: ?1\r\n\r\n",
		second[] = "GET /.well-known/masque/udp/2001%3Adb8%3A%3A42/53/ HTTP/1.1\r\n"
			   "Host: 203.0.113.2:3128\r\n"
			   "Proxy-Authorization: Bearer k\r\n"
			   "Connection: Upgrade\r\n"
			   "Upgrade: connect-udp\r\n"
			   "Capsule-Protocol: ?1\r\n\r\n";

	CHECK(connect_request_write_udp(&proxy, &v4, 443, NULL, out) == (int)sizeof(first) - 1);
	CHECK(memcmp(out, first, sizeof(first) - 1) == 0);
	CHECK(connect_request_write_udp(&proxy, &v6, 53, "Bearer k", out) ==
	      (int)sizeof(second) - 1);
	CHECK(memcmp(out, second, sizeof(second) - 1) == 0);
	CHECK(connect_request_write_udp(&proxy, &v4, 1, "Bearer a\r\n", out) == ERR_FORMAT);
}

static const struct {
	const char *head;
	int err;
} upgrades[] = {
	{ "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
	  "Capsule-Protocol: ?1\r\n\r\n",
	  0 },
	{ "HTTP/1.1 101 x\r\nupgrade:\tCONNECT-UDP \r\n\r\n", 0 },
	{ "HTTP/1.1 100 x\r\nUpgrade: connect-udp\r\n\r\nHTTP/1.1 101 x\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.1 101 x\r\nUpgrade: connect-udp2\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.1 200 OK\r\nUpgrade: connect-udp\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.0 404 Not Found\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.1 405 No\r\n\r\n", -EOPNOTSUPP },
	{ "HTTP/1.1 400 x\r\nProxy-Status: p; error=destination_ip_prohibited\r\n\r\n",
	  -EACCES },
	{ "HTTP/1.1 403 No\r\n\r\n", -EACCES },
	{ "HTTP/1.1 407 Key\r\n\r\n", -EACCES },
	{ "HTTP/1.1 504 Late\r\n\r\n", -ETIMEDOUT },
};

static void knows_whether_datagrams_are_offered(void)
{
	for (size_t i = 0; i < ARRAY_LEN(upgrades); i++) {
		struct connect_head h = read_text(upgrades[i].head);

		if (connect_head_errno_udp(&h) != upgrades[i].err)
			FAIL(upgrades[i].head);
	}
}

static void lets_no_credential_begin_another_line(void)
{
	const struct ip_addr v4 = { ADDR_V4, { 192, 0, 2, 1 } };
	char out[CONNECT_REQUEST_MAX], longest[CONNECT_CREDENTIAL_MAX + 1];

	CHECK(connect_request_write(&v4, 1, "Bearer a\r\nHost: b", out) == ERR_FORMAT);
	CHECK(connect_request_write(&v4, 1, "Bearer a\n", out) == ERR_FORMAT);
	CHECK(connect_request_write(&v4, 1, "Bearer \x7f", out) == ERR_FORMAT);
	CHECK(connect_request_write(&v4, 1, "Bearer \xc3\xa9", out) == ERR_FORMAT);
	memset(longest, 'x', sizeof(longest));
	longest[CONNECT_CREDENTIAL_MAX] = '\0';
	CHECK(connect_request_write(&v4, 1, longest, out) == ERR_LIMIT);
	longest[CONNECT_CREDENTIAL_MAX - 1] = '\0';
	CHECK(connect_request_write(&v4, 65535, longest, out) > CONNECT_CREDENTIAL_MAX);
}

/* What each means: by RFC 9110 section 15, and 9209 section 2.3 where the proxy tells more. */
static const struct {
	const char *head;
	int status, err;
} answers[] = {
	{ "HTTP/1.1 200 Connection established\r\n\r\n", 200, 0 },
	{ "HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n", 200,
	  0 },
	{ "HTTP/1.1 200\n\n", 200, 0 },
	{ "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", 204, 0 },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 \r\n\r\n", 200, 0 },
	{ "HTTP/1.1 103 Hints\r\nProxy-Status: a; error=connection_refused\r\n\r\n"
	  "HTTP/1.1 502 no\r\n\r\n",
	  502, -ECONNREFUSED },
	{ "HTTP/1.1 103 Hints\r\nProxy-Status: a; error=connection_timeout\r\n\r\n"
	  "HTTP/1.1 502 no\r\n\r\n",
	  502, -ECONNREFUSED },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, -EPROTO },
	{ "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 302, -EPROTO },
	{ "HTTP/1.1 403 Forbidden\r\n\r\n", 403, -EACCES },
	{ "HTTP/1.1 407 Key\r\nProxy-Authenticate: Bearer\r\n\r\n", 407, -EACCES },
	{ "HTTP/1.1 400 Bad\r\n\r\n", 400, -EACCES },
	{ "HTTP/1.0 500 Unable to connect\r\n\r\n", 500, -ECONNREFUSED },
	{ "HTTP/1.1 502 Bad Gateway\r\n\r\n", 502, -ECONNREFUSED },
	{ "HTTP/1.1 504 Gateway Timeout\r\n\r\n", 504, -ETIMEDOUT },
	{ "HTTP/1.1 502 x\r\nProxy-Status: p; error=connection_timeout\r\n\r\n", 502,
	  -ETIMEDOUT },
	{ "HTTP/1.1 502 x\r\nproxy-status:p;ERROR=destination_ip_unroutable;x=y\r\n\r\n", 502,
	  -EHOSTUNREACH },
	{ "HTTP/1.1 504 x\r\nProxy-Status: a; error=dns_error, b; error=connection_refused\r\n\r\n",
	  504, -ECONNREFUSED },
	{ "HTTP/1.1 502 x\r\nProxy-Status: p; error=destination_ip_prohibited\r\n\r\n", 502,
	  -EACCES },
	{ "HTTP/1.1 504 x\r\nProxy-Status: p; error=connection_refused_by_us\r\n\r\n", 504,
	  -ETIMEDOUT },
	{ "HTTP/1.1 504 x\r\nProxy-Status: p; xerror=connection_refused\r\n\r\n", 504,
	  -ETIMEDOUT },
	{ "HTTP/1.1 200 x\r\nProxy-Status: p; error=connection_refused\r\n\r\n", 200, 0 },
};

static void takes_answers_as_they_are_meant(void)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct connect_head h = read_text(answers[i].head);

		CHECK(h.progress == CONNECT_ANSWERED);
		CHECK(h.status == answers[i].status);
		if (connect_head_errno(&h) != answers[i].err)
			FAIL(answers[i].head);
	}
}

static void takes_not_one_octet_too_many(void)
{
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		size_t len = strlen(answers[i].head), used = 0;

		memcpy(text, answers[i].head, len);
		memcpy(text + len, "HTTP/1.1 404 \r\n\r\n", 17);
		for (size_t step = 1; step < len + 17; step++) {
			struct connect_head h = read_all(text, len + 17, step, &used);

			CHECK(used == len);
			CHECK(h.status == answers[i].status);
			CHECK(connect_head_errno(&h) == answers[i].err);
		}
	}
}

static void waits_for_the_rest_of_a_head(void)
{
	static const char text[] = "HTTP/1.1 200 Connection established\r\nA: b\r\n\r\n";
	size_t used = 0;

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct connect_head h = read_all(text, len, 7, &used);

		CHECK(used == len);
		CHECK(h.progress == CONNECT_WANTS_MORE);
		CHECK(connect_head_errno(&h) == -EPROTO);
	}
}

static void refuses_what_is_no_http(void)
{
	static const char *const bad[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",     "HTTP/2 200 OK\r\n",   "HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 2000 OK\r\n",	       "HTTP/1.1 099 OK\r\n", "HTTP/1.1  200 OK\r\n",
		"HTTP/1.1\t200 OK\r\n",	       "HTTP/1.x 200 OK\r\n", "http/1.1 200 OK\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 2 0 OK\r\n", "220 smtp ESMTP\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct connect_head h = read_text(bad[i]);

		if (h.progress != CONNECT_MALFORMED)
			FAIL(bad[i]);
		CHECK(connect_head_errno(&h) == -EPROTO);
	}
}

static void refuses_a_zero_octet_and_heads_without_end(void)
{
	static const char zero[] = "HTTP/1.1 200 a\r\nX: \0\r\n\r\n",
			  hint[] = "HTTP/1.1 100 a\r\n\r\n";
	struct connect_head h;
	size_t used = 0, len = CONNECT_HEAD_MAX * 2;
	char *text = malloc(len);

	h = read_all(zero, sizeof(zero) - 1, 5, &used);
	CHECK(h.progress == CONNECT_MALFORMED);

	memset(text, 'a', len); /* one line */
	memcpy(text, "HTTP/1.1 200 ", 13);
	h = read_all(text, len, 1000, &used);
	CHECK(h.progress == CONNECT_MALFORMED && used == CONNECT_HEAD_MAX + 1);

	for (size_t at = 0; at + sizeof(hint) < len; at += sizeof(hint) - 1) /* many heads */
		memcpy(text + at, hint, sizeof(hint) - 1);
	h = read_all(text, len, 1000, &used);
	CHECK(h.progress == CONNECT_MALFORMED && used == CONNECT_HEAD_MAX + 1);
	free(text);
}

static void reads_a_head_up_to_the_bound(void)
{
	static const char begin[] = "HTTP/1.1 200 a\r\nX: ", end[] = "\r\n\r\n";
	char *text = malloc(CONNECT_HEAD_MAX + 10);
	struct connect_head h;
	size_t used = 0;

	memset(text, 'a', CONNECT_HEAD_MAX + 10);
	memcpy(text, begin, sizeof(begin) - 1);
	memcpy(text + CONNECT_HEAD_MAX - 4, end, 4);
	h = read_all(text, CONNECT_HEAD_MAX + 10, 4096, &used);
	CHECK(h.progress == CONNECT_ANSWERED && used == CONNECT_HEAD_MAX);
	free(text);
}

int main(void)
{
	RUN(asks_for_addresses_of_both_families);
	RUN(asks_for_datagrams_at_the_well_known_place);
	RUN(knows_whether_datagrams_are_offered);
	RUN(lets_no_credential_begin_another_line);
	RUN(takes_answers_as_they_are_meant);
	RUN(takes_not_one_octet_too_many);
	RUN(waits_for_the_rest_of_a_head);
	RUN(refuses_what_is_no_http);
	RUN(refuses_a_zero_octet_and_heads_without_end);
	RUN(reads_a_head_up_to_the_bound);
	return DONE();
}

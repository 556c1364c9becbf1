/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "carrier/connect_udp.h"

static struct http_span span(const char *text)
{
	return (struct http_span){ text, strlen(text) };
}

/* The templates of RFC 9298 section 2 with the targets of its sections 2 and 3.2, and hosts
 * that have to be escaped. */
static const struct {
	const char *template;
	const char *scheme;
	const char *authority;
	struct connect_udp_target target;
	const char *path;
} rows[] = {
	{ "https://example.org/.well-known/masque/udp/{target_host}/{target_port}/",
	  "https",
	  "example.org",
	  { "192.0.2.6", 443 },
	  "/.well-known/masque/udp/192.0.2.6/443/" },
	{ "https://proxy.example.org:4443/masque?h={target_host}&p={target_port}",
	  "https",
	  "proxy.example.org:4443",
	  { "192.0.2.6", 443 },
	  "/masque?h=192.0.2.6&p=443" },
	{ "https://proxy.example.org:4443/masque{?target_host,target_port}",
	  "https",
	  "proxy.example.org:4443",
	  { "target.example.com", 53 },
	  "/masque?target_host=target.example.com&target_port=53" },
	{ CONNECT_UDP_DEFAULT_PATH,
	  "",
	  "",
	  { "2001:db8::42", 443 },
	  "/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/" },
	{ "http://[2001:db8::1]:80/x{?k}{&target_port,j,target_host}&z",
	  "http",
	  "[2001:db8::1]:80",
	  { "::1", 65535 },
	  "/x&target_port=65535&target_host=%3A%3A1&z" },
	{ "/{target_host,target_port}", "", "", { "a-b_c.d", 1 }, "/a-b_c.d,1" },
};

static void expands_templates_as_the_rfc_does(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct connect_udp_template t;
		struct diag d = { .text = "" };
		char path[CONNECT_UDP_PATH_MAX];

		CHECK(connect_udp_template_read(rows[i].template, &t, &d) == 0);
		CHECK(strcmp(t.scheme, rows[i].scheme) == 0);
		CHECK(strcmp(t.authority, rows[i].authority) == 0);
		CHECK(connect_udp_expand(&t, &rows[i].target, path) ==
		      (long)strlen(rows[i].path));
		if (strcmp(path, rows[i].path) != 0) {
			printf("# %s\n", path);
			FAIL("another path");
		}
	}
}

static void finds_the_target_in_a_path(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct connect_udp_target target = { .port = 0 };
		struct connect_udp_template t;
		struct diag d;

		CHECK(connect_udp_template_read(rows[i].template, &t, &d) == 0);
		CHECK(connect_udp_match(&t, span(rows[i].path), &target, &d) == 0);
		CHECK(strcmp(target.host, rows[i].target.host) == 0);
		CHECK(target.port == rows[i].target.port);
	}
}

static void refuses_paths_with_a_wrong_target(void)
{
	static const struct {
		const char *path;
		int err;
	} wrong[] = {
		{ "/.well-known/masque/udp/192.0.2.6/443", ERR_UNKNOWN },
		{ "/.well-known/masque/udp/192.0.2.6/443/x", ERR_UNKNOWN },
		{ "/.well-known/masque/UDP/192.0.2.6/443/", ERR_UNKNOWN },
		{ "/", ERR_UNKNOWN },
		{ "", ERR_UNKNOWN },
		{ "/.well-known/masque/udp/a/b/443/", ERR_UNKNOWN },
		{ "/.well-known/masque/udp/[::1]/443/", ERR_UNKNOWN },
		{ "/.well-known/masque/udp/::1/443/", ERR_UNKNOWN }, /* a colon is escaped */
		{ "/.well-known/masque/udp//443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/192.0.2.6//", ERR_FORMAT },
		{ "/.well-known/masque/udp/192.0.2.6/0/", ERR_FORMAT },
		{ "/.well-known/masque/udp/192.0.2.6/65536/", ERR_FORMAT },
		{ "/.well-known/masque/udp/192.0.2.6/-1/", ERR_FORMAT },
		{ "/.well-known/masque/udp/192.0.2.6/4_3/", ERR_FORMAT },
		{ "/.well-known/masque/udp/192.0.2.6/99999999999/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%4/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%zz/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%00/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%2Fb/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%40b/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a%0D%0Ab/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/a..b/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/.b/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/fe80%3A%3A1%25eth0/443/", ERR_FORMAT }, /* a zone */
		{ "/.well-known/masque/udp/%5B%3A%3A1%5D/443/", ERR_FORMAT },
		{ "/.well-known/masque/udp/1%3A2/443/", ERR_FORMAT },
	};
	struct connect_udp_template t;
	struct diag d;

	CHECK(connect_udp_template_read(CONNECT_UDP_DEFAULT_PATH, &t, &d) == 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct connect_udp_target target = { .port = 7 };

		if (connect_udp_match(&t, span(wrong[i].path), &target, &d) != wrong[i].err) {
			printf("# %s\n", wrong[i].path);
			FAIL("another verdict");
		}
		CHECK(target.port == 7);
	}
}

static void takes_both_cases_of_an_escape_and_escapes_without_need(void)
{
	struct connect_udp_target target;
	struct connect_udp_template t;
	struct diag d;

	CHECK(connect_udp_template_read(CONNECT_UDP_DEFAULT_PATH, &t, &d) == 0);
	CHECK(connect_udp_match(&t, span("/.well-known/masque/udp/%3a%3A%31/%34%343/"), &target,
				&d) == 0);
	CHECK(strcmp(target.host, "::1") == 0 && target.port == 443);
}

static void takes_the_absolute_form_of_a_request_line(void)
{
	struct connect_udp_target target;
	struct connect_udp_template t;
	struct diag d;

	CHECK(connect_udp_template_read("/u/{target_host}/{target_port}", &t, &d) == 0);
	CHECK(connect_udp_match(&t, span("http://proxy.example:8/u/a/1"), &target, &d) == 0);
	CHECK(strcmp(target.host, "a") == 0 && target.port == 1);
	CHECK(connect_udp_match(&t, span("https://proxy.example/u/b/2"), &target, &d) == 0);
	CHECK(strcmp(target.host, "b") == 0);
	CHECK(connect_udp_match(&t, span("https://proxy.example"), &target, &d) == ERR_UNKNOWN);
	CHECK(connect_udp_match(&t, span("ftp://proxy.example/u/b/2"), &target, &d) ==
	      ERR_UNKNOWN);
}

static void refuses_templates_that_break_the_rules(void)
{
	static const char *const wrong[] = {
		"",
		"masque/{target_host}/{target_port}/",
		"ftp://example.org/{target_host}/{target_port}/",
		"https:///{target_host}/{target_port}/",
		"https://{target_host}/{target_port}/",
		"https://example.org{target_host}/{target_port}/",
		"https://example.org?h={target_host}&p={target_port}",
		"https://user@example.org/{target_host}/{target_port}/",
		"/{target_host}/",
		"/{target_port}/",
		"/{target_host}/{target_host}/{target_port}/",
		"/{+target_host}/{target_port}/",
		"/{#target_host}/{target_port}/",
		"/{.target_host}/{target_port}/",
		"/{/target_host}/{target_port}/",
		"/{;target_host}/{target_port}/",
		"/{target_host:3}/{target_port}/",
		"/{target_host*}/{target_port}/",
		"/{target_host}{target_port}/",
		"/{target_host}a{target_port}/",
		"/{target_host}%2F{target_port}/",
		"/{target_host/{target_port}/",
		"/{target_host}/target_port}/",
		"/{}/{target_host}/{target_port}/",
		"/{target_host}/{target_port}/#x",
		"/ {target_host}/{target_port}/",
		"/\xc3\xa4{target_host}/{target_port}/",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct connect_udp_template t;
		struct diag d = { .text = "" };

		if (connect_udp_template_read(wrong[i], &t, &d) != ERR_FORMAT || !d.text[0]) {
			printf("# %s\n", wrong[i]);
			FAIL("taken, or without a reason");
		}
	}
}

static void bounds_templates_and_paths(void)
{
	struct connect_udp_target target = { .port = 1 };
	char text[3 * CONNECT_UDP_TEMPLATE_MAX] = CONNECT_UDP_DEFAULT_PATH;
	char path[CONNECT_UDP_PATH_MAX];
	size_t len = strlen(text);
	struct connect_udp_template t;
	struct diag d;

	memset(text + len, 'x', sizeof(text) - len - 1);
	text[CONNECT_UDP_TEMPLATE_MAX] = '\0';
	CHECK(connect_udp_template_read(text, &t, &d) == ERR_LIMIT);
	text[CONNECT_UDP_TEMPLATE_MAX - 1] = '\0';
	CHECK(connect_udp_template_read(text, &t, &d) == 0);
	memset(target.host, ':', sizeof(target.host) - 1); /* 765 octets when escaped */
	CHECK(connect_udp_expand(&t, &target, path) > 0);
	CHECK(strlen(path) == CONNECT_UDP_TEMPLATE_MAX - 1 - 26 + 3 * 255 + 1);
}

/* --- Requests and answers --- */

static int read_head(const char *text, struct http_head *h)
{
	struct diag d;

	return strncmp(text, "HTTP/", 5) == 0
		       ? http_head_read_answer(text, strlen(text), h, &d)
		       : http_head_read_request(text, strlen(text), h, &d);
}

static int check(const char *text)
{
	struct http_head h;
	struct diag d = { .text = "" };
	int err = read_head(text, &h);

	CHECK(err == 0);
	err = h.status ? connect_udp_check_answer(&h, &d) : connect_udp_check_request(&h, &d);
	CHECK((err == 0) == (d.text[0] == '\0'));
	return err;
}

static void takes_the_request_and_the_answer_of_the_rfc(void)
{
	CHECK(check("GET /.well-known/masque/udp/192.0.2.6/443/ HTTP/1.1\r\n"
		    "Host: example.org\r\n"
		    "Connection: Upgrade\r\n"
		    "Upgrade: connect-udp\r\n"
		    "Capsule-Protocol: ?1\r\n\r\n") == 0);
	CHECK(check("HTTP/1.1 101 Switching Protocols\r\n"
		    "Connection: Upgrade\r\n"
		    "Upgrade: connect-udp\r\n"
		    "Capsule-Protocol: ?1\r\n\r\n") == 0);
	CHECK(check("GET / HTTP/1.1\r\nHost: x\r\nconnection: keep-alive, upgrade\r\n"
		    "upgrade: CONNECT-UDP\r\n\r\n") == 0);
	CHECK(check(connect_udp_accepted) == 0);
}

static void refuses_requests_and_answers_that_are_malformed(void)
{
#define ASKS "Connection: Upgrade\r\nUpgrade: connect-udp\r\n"
	static const struct {
		const char *text;
		int err;
	} wrong[] = {
		{ "POST / HTTP/1.1\r\nHost: x\r\n" ASKS "\r\n", ERR_FORMAT },
		{ "GET / HTTP/1.0\r\nHost: x\r\n" ASKS "\r\n", ERR_FORMAT },
		{ "GET / HTTP/1.1\r\n" ASKS "\r\n", ERR_FORMAT },
		{ "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n" ASKS "\r\n", ERR_FORMAT },
		{ "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: connect-udp\r\n\r\n", ERR_FORMAT },
		{ "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\n", ERR_FORMAT },
		{ "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" ASKS "\r\n",
		  ERR_FORMAT },
		{ "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" ASKS "\r\n",
		  ERR_FORMAT },
		{ "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" ASKS "\r\n",
		  ERR_FORMAT },
		{ "HTTP/1.1 200 OK\r\n" ASKS "\r\n", -ECONNREFUSED },
		{ "HTTP/1.1 401 No\r\n\r\n", ERR_AUTH },
		{ "HTTP/1.1 407 No\r\n\r\n", ERR_AUTH },
		{ "HTTP/1.1 101 S\r\nUpgrade: connect-udp\r\n\r\n", ERR_FORMAT },
		{ "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n", ERR_FORMAT },
		{ "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n" ASKS "\r\n", ERR_FORMAT },
		{ "HTTP/1.1 101 S\r\nUpgrade: connect-udp\r\n" ASKS "\r\n", ERR_FORMAT },
		{ "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		  ERR_FORMAT },
		{ "HTTP/1.1 101 S\r\nContent-Type: x\r\n" ASKS "\r\n", ERR_FORMAT },
	};
#undef ASKS

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (check(wrong[i].text) != wrong[i].err) {
			printf("# row %zu\n", i);
			FAIL("another verdict");
		}
	}
}

static void asks_as_a_server_wants_to_be_asked(void)
{
	struct text out = { .data = NULL };
	struct http_head h;

	connect_udp_put_request(&out, "example.org", "/p/", "Bearer k");
	CHECK(out.err == 0 && check(out.data) == 0);
	CHECK(read_head(out.data, &h) == 0);
	CHECK(http_span_is(h.target, "/p/"));
	CHECK(http_span_is(http_head_find(&h, "Authorization", NULL)->value, "Bearer k"));
	CHECK(http_span_is(http_head_find(&h, "Capsule-Protocol", NULL)->value, "?1"));
	text_done(&out);
}

int main(void)
{
	RUN(expands_templates_as_the_rfc_does);
	RUN(finds_the_target_in_a_path);
	RUN(refuses_paths_with_a_wrong_target);
	RUN(takes_both_cases_of_an_escape_and_escapes_without_need);
	RUN(takes_the_absolute_form_of_a_request_line);
	RUN(refuses_templates_that_break_the_rules);
	RUN(bounds_templates_and_paths);
	RUN(takes_the_request_and_the_answer_of_the_rfc);
	RUN(refuses_requests_and_answers_that_are_malformed);
	RUN(asks_as_a_server_wants_to_be_asked);
	return DONE();
}

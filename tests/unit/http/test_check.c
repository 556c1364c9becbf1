/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "http/check.h"
#include "http/server.h"

static void field(struct http_check *c, const char *name, const char *value)
{
	http_check_field(c, name, strlen(name), value, strlen(value));
}

/* The status for a request with these two fields, "" for none. */
static unsigned int status(const char *n1, const char *v1, const char *n2, const char *v2)
{
	struct http_check c = { .n_fields = 0 };

	field(&c, "Accept", "*/*");
	if (n1[0])
		field(&c, n1, v1);
	if (n2[0])
		field(&c, n2, v2);
	http_check_end(&c);
	return c.status;
}

static void ordinary_headers_pass(void)
{
	CHECK(status("Host", "localhost", "Content-Length", "17") == 0);
	CHECK(status("Host", "localhost", "Transfer-Encoding", "chunked") == 0);
	CHECK(status("Accept", "text/html", "Cookie", "a=b") == 0);
	CHECK(status("", "", "", "") == 0);
}

static void what_frames_or_proves_a_message_stands_in_it_once(void)
{
	static const char *const names[] = {
		"Host",	     "host",	"Content-Type",	      "signature",
		"timestamp", "X-NONCE", "x-signature-version"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(status(names[i], "1", names[i], "1") == 400);
	CHECK(status("Content-Length", "5", "content-length", "5") == 400);
	CHECK(status("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked") == 400);
	CHECK(status("X-Forwarded-For", "a", "X-Forwarded-For", "b") == 0);
}

static void a_length_and_chunks_together_are_refused(void)
{
	CHECK(status("Content-Length", "5", "Transfer-Encoding", "chunked") == 400);
	CHECK(status("Transfer-Encoding", "chunked", "Content-Length", "5") == 400);
	CHECK(status("Transfer-Encoding", "gzip, chunked", "", "") == 501);
	CHECK(status("Transfer-Encoding", "chunked ", "", "") == 501);
	CHECK(status("Transfer-Encoding", "identity", "", "") == 501);
}

static void lengths_are_plain_numbers_within_the_bound(void)
{
	static const char *const bad[] = { "+5", "-5", "0x5", "5,5",
					   "",	 " 5", "5 ",  "99999999999999999999" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(status("Content-Length", bad[i], "", "") == 400);
	CHECK(status("Content-Length", "1048576", "", "") == 0);
	CHECK(status("Content-Length", "1048577", "", "") == 413);
}

static void headers_have_a_bound(void)
{
	struct http_check c = { .n_fields = 0 };
	static char value[HTTP_HEADERS_MAX];

	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		field(&c, "A", "b");
	CHECK(c.status == 0);
	field(&c, "A", "b");
	CHECK(c.status == 431);

	c = (struct http_check){ .n_fields = 0 };
	memset(value, 'v', HTTP_HEADERS_MAX - 5);
	field(&c, "A", value);
	CHECK(c.status == 0);
	field(&c, "", "");
	CHECK(c.status == 431);
}

static void a_nul_in_a_field_is_refused(void)
{
	struct http_check c = { .n_fields = 0 };

	http_check_field(&c, "Host", 4, "a\0b", 3);
	CHECK(c.status == 400);
	c = (struct http_check){ .n_fields = 0 };
	http_check_field(&c, "Ho\0st", 6, "a", 1);
	CHECK(c.status == 400);
}

static void targets_are_visible_ascii_with_whole_escapes(void)
{
	static const char *const good[] = { "/", "/a?b=c", "/a%2Fb%3d", "/..//%2e", "/~|\"<>" };
	static const char *const bad[] = { "",	   "a",	    "*",	 "http://h/", "/a b",
					   "/a#b", "/%",    "/%2",	 "/%2g",      "/%00",
					   "/\t",  "/\x7f", "/\xc3\xa4", "/a%00b" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(http_check_target(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!http_check_target(bad[i]));
}

int main(void)
{
	RUN(ordinary_headers_pass);
	RUN(what_frames_or_proves_a_message_stands_in_it_once);
	RUN(a_length_and_chunks_together_are_refused);
	RUN(lengths_are_plain_numbers_within_the_bound);
	RUN(headers_have_a_bound);
	RUN(a_nul_in_a_field_is_refused);
	RUN(targets_are_visible_ascii_with_whole_escapes);
	return DONE();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "carrier/http_head.h"

static int read_request(const char *text, struct http_head *h)
{
	struct diag d = { .text = "" };
	size_t seen = 0;
	long end = http_head_end(text, strlen(text), &seen);
	int err;

	if (end <= 0)
		return end == 0 ? 1 : (int)end;
	err = http_head_read_request(text, (size_t)end, h, &d);
	if (err != 0 && d.text[0] == '\0')
		FAIL("refused without a reason");
	return err;
}

static void reads_method_target_and_fields(void)
{
	struct http_head h;
	unsigned int count;

	CHECK(read_request("GET /a?b HTTP/1.1\r\nHost:  x.example \r\nConnection: keep-alive, "
			   "Upgrade\r\nempty:\r\nhost: y\r\n\r\nrest",
			   &h) == 0);
	CHECK(http_span_is(h.method, "GET") && http_span_is(h.target, "/a?b"));
	CHECK(h.minor == 1 && h.n == 4);
	CHECK(http_span_is(http_head_find(&h, "HOST", &count)->value, "x.example"));
	CHECK(count == 2);
	CHECK(http_span_is(http_head_find(&h, "Empty", NULL)->value, ""));
	CHECK(!http_head_find(&h, "Hos", NULL));
	CHECK(http_head_lists(&h, "connection", "upgrade"));
	CHECK(http_head_lists(&h, "connection", "Keep-Alive"));
	CHECK(!http_head_lists(&h, "connection", "keep"));
}

static void refuses_what_two_readers_could_read_differently(void)
{
	static const char *const wrong[] = {
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\r\nHost: x\n\r\n",
		"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
		"GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"GET / HTTP/1.1\r\n: x\r\n\r\n",
		"GET /  HTTP/1.1\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET /\t HTTP/1.1\r\n\r\n",
		"GET /\x80 HTTP/1.1\r\n\r\n",
		"G\xc3T / HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / http/1.1\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET /\r\n\r\n",
		"\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct http_head h;

		if (read_request(wrong[i], &h) != ERR_FORMAT) {
			printf("# row %zu\n", i);
			FAIL("taken");
		}
	}
}

static void finds_the_end_wherever_the_octets_are_cut(void)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET";
	size_t end = strlen(text) - 3;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		size_t seen = 0;
		long first = http_head_end(text, cut, &seen);

		CHECK(first == (cut >= end ? (long)end : 0));
		if (first == 0)
			CHECK(http_head_end(text, sizeof(text) - 1, &seen) == (long)end);
	}
}

/* A request with @n fields. */
static void put_fields(char *out, int n)
{
	out += snprintf(out, 32, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < n; i++)
		out += snprintf(out, 32, "f%d: x\r\n", i);
	snprintf(out, 32, "\r\n");
}

static void bounds_octets_and_fields(void)
{
	char *text = malloc(3 * HTTP_HEAD_MAX);
	struct http_head h;

	put_fields(text, HTTP_HEAD_FIELDS_MAX);
	CHECK(read_request(text, &h) == 0 && h.n == HTTP_HEAD_FIELDS_MAX);
	put_fields(text, HTTP_HEAD_FIELDS_MAX + 1);
	CHECK(read_request(text, &h) == ERR_LIMIT);
	memset(text, 'a', 3 * HTTP_HEAD_MAX - 1);
	text[HTTP_HEAD_MAX - 1] = '\0';
	CHECK(read_request(text, &h) == 1);
	text[HTTP_HEAD_MAX - 1] = 'a';
	text[HTTP_HEAD_MAX] = '\0';
	CHECK(read_request(text, &h) == ERR_LIMIT);
	free(text);
}

static void reads_the_status_of_an_answer(void)
{
	static const struct {
		const char *text;
		int err;
		unsigned int status;
	} rows[] = {
		{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, 101 },
		{ "HTTP/1.0 407 \r\nA: b\r\n\r\n", 0, 407 },
		{ "HTTP/1.1 200\r\n\r\n", 0, 200 },
		{ "HTTP/1.1 20 OK\r\n\r\n", ERR_FORMAT, 0 },
		{ "HTTP/1.1 2000 OK\r\n\r\n", ERR_FORMAT, 0 },
		{ "HTTP/1.1 099 OK\r\n\r\n", ERR_FORMAT, 0 },
		{ "HTTP/1.1 -10 OK\r\n\r\n", ERR_FORMAT, 0 },
		{ "HTTP/3.1 200 OK\r\n\r\n", ERR_FORMAT, 0 },
		{ "SSH-2.0-x\r\n\r\n", ERR_FORMAT, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head h = { .status = 0 };
		struct diag d;

		CHECK(http_head_read_answer(rows[i].text, strlen(rows[i].text), &h, &d) ==
		      rows[i].err);
		CHECK(h.status == rows[i].status);
	}
}

int main(void)
{
	RUN(reads_method_target_and_fields);
	RUN(refuses_what_two_readers_could_read_differently);
	RUN(finds_the_end_wherever_the_octets_are_cut);
	RUN(bounds_octets_and_fields);
	RUN(reads_the_status_of_an_answer);
	return DONE();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "carrier/site.h"

static struct http_span span(const char *text)
{
	return (struct http_span){ text, strlen(text) };
}

/* The head that answers @request, which is kept until the next call. */
static const char *answer(const struct site *s, const char *request, struct site_answer *ret)
{
	static struct text head;
	struct http_head h;
	struct diag d;
	int err = http_head_read_request(request, strlen(request), &h, &d);

	*ret = site_answer(s, err == 0 ? &h : NULL, 784111777, &head);
	CHECK(head.err == 0);
	return head.data;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void answers_as_a_web_server(void)
{
	static const struct {
		const char *request;
		const char *status;
		bool ends;
		bool has_body;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", false, true },
		{ "GET /index.html?q HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", false, true },
		{ "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", false, false },
		{ "GET /no HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", false, true },
		{ "GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", false,
		  true },
		{ "GET /index.htm HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", false, true },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "405 Not Allowed",
		  true, true },
		{ "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", "405 Not Allowed", false, true },
		{ "GET / HTTP/1.1\r\n\r\n", "400 Bad Request", true, true },
		{ "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 Bad Request", true,
		  true },
		{ "\x16\x03\x01\r\n\r\n", "400 Bad Request", true, true },
		{ "GET / HTTP/1.0\r\n\r\n", "200 OK", true, true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 OK", false, true },
		{ "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200 OK", true,
		  true },
		{ "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK",
		  true, true },
	};
	struct site *s = NULL;

	CHECK(site_own_page(&s) == 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct site_answer a;
		const char *head = answer(s, rows[i].request, &a);

		if (!begins(head, "HTTP/1.1 ") || !begins(head + 9, rows[i].status) ||
		    a.ends != rows[i].ends || (a.body_len > 0) != rows[i].has_body) {
			printf("# row %zu: %s\n", i, head);
			FAIL("another answer");
		}
		CHECK(strstr(head, rows[i].ends ? "Connection: close\r\n"
						: "Connection: keep-alive\r\n"));
		CHECK(strcmp(head + strlen(head) - 4, "\r\n\r\n") == 0);
	}
	site_free(s);
}

static void dates_answers_as_the_rfc_does(void)
{
	struct site *s = NULL;
	struct site_answer a;

	CHECK(site_own_page(&s) == 0);
	/* RFC 9110 section 5.6.7 */
	CHECK(strstr(answer(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &a),
		     "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
	site_free(s);
}

static void put(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	close(fd);
}

static void serves_the_files_of_a_directory(void)
{
	char root[] = "/tmp/culvert-site-XXXXXX";
	struct site *s = NULL;
	struct diag d;

	CHECK(mkdtemp(root) && chdir(root) == 0);
	CHECK(mkdir("a", 0755) == 0);
	put("index.html", "root");
	put("a/index.html", "below");
	put("a/style.css", "css");
	put(".secret", "hidden");
	CHECK(symlink("/etc/passwd", "link") == 0);
	CHECK(site_read(root, &s, &d) == 0);
	CHECK(memcmp(site_find(s, span("/"))->data, "root", 4) == 0);
	CHECK(memcmp(site_find(s, span("/a/"))->data, "below", 5) == 0);
	CHECK(strcmp(site_find(s, span("/a/style.css"))->type, "text/css; charset=utf-8") == 0);
	CHECK(!site_find(s, span("/a")) && !site_find(s, span("/.secret")));
	CHECK(!site_find(s, span("/link")) && !site_find(s, span("")));
	site_free(s);
	unlink("index.html"), unlink("a/index.html"), unlink("a/style.css");
	unlink(".secret"), unlink("link"), rmdir("a");
	CHECK(chdir("/") == 0 && rmdir(root) == 0);
}

static void bounds_the_files(void)
{
	char root[] = "/tmp/culvert-site-XXXXXX", name[64];
	struct site *s = NULL;
	struct diag d = { .text = "" };

	CHECK(mkdtemp(root) != NULL);
	for (int i = 0; i <= SITE_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "%s/%d", root, i);
		put(name, "x");
	}
	CHECK(site_read(root, &s, &d) == ERR_LIMIT && d.text[0]);
	unlink(name);
	CHECK(site_read(root, &s, &d) == 0);
	site_free(s);
	for (int i = 0; i <= SITE_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "%s/%d", root, i);
		unlink(name);
	}
	CHECK(site_read("/nonexistent", &s, &d) != 0 && d.text[0]);
	CHECK(rmdir(root) == 0);
}

int main(void)
{
	RUN(answers_as_a_web_server);
	RUN(dates_answers_as_the_rfc_does);
	RUN(serves_the_files_of_a_directory);
	RUN(bounds_the_files);
	return DONE();
}

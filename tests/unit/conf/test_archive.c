/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "conf/archive.h"

static int read_one(const char *text, struct archive_file *ret)
{
	return archive_next(&text, text + strlen(text), ret);
}

static void what_was_put_is_read_again(void)
{
	static const struct archive_file files[] = {
		{ .path = "hub/server.key", .data = "a\nb\n", .len = 4, .is_secret = true },
		{ .path = "hub/a name", .data = "", .len = 0 },
		{ .path = "x", .data = "file 600 3 y\n\0z", .len = 15, .is_secret = true },
	};
	struct text out = { 0 };
	const char *at;

	for (size_t i = 0; i < 3; i++)
		CHECK(archive_put(&out, &files[i]) == 0);
	at = out.data;
	for (size_t i = 0; i < 3; i++) {
		struct archive_file f;

		CHECK(archive_next(&at, out.data + out.len, &f) == 0);
		CHECK(strcmp(f.path, files[i].path) == 0 && f.len == files[i].len);
		CHECK(memcmp(f.data, files[i].data, f.len) == 0);
		CHECK(f.is_secret == files[i].is_secret);
	}
	CHECK(at == out.data + out.len);
	text_done(&out);
}

static void paths_that_lead_elsewhere_are_refused(void)
{
	static const char *const paths[] = { "/etc/x", "../x", "a/../x", "a//b", "",
					     "a/",     ".x",   "a/.b",	 "a\nb" };
	char text[64];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct archive_file f = { .data = "" };
		struct text out = { 0 };

		snprintf(f.path, sizeof(f.path), "%s", paths[i]);
		CHECK(archive_put(&out, &f) == ERR_FORMAT && out.len == 0);
		text_done(&out);
		snprintf(text, sizeof(text), "file 600 1 %s\nx\n", paths[i]);
		if (!strchr(paths[i], '\n')) /* there the line ends, and "a" is a path */
			CHECK(read_one(text, &f) == ERR_CORRUPT);
	}
}

static void what_does_not_fit_is_refused(void)
{
	static const char *const texts[] = {
		"",
		"file 600 1 a",
		"file 600 1 a\n",
		"file 600 1 a\nx",
		"file 600 2 a\nx\n",
		"file 600 0 a\nx\n",
		"file 755 1 a\nx\n",
		"file 600 -1 a\nx\n",
		"file 600 99999999999999999999 a\nx\n",
		"file 600 18446744073709551615 a\nx\n",
		"file  600 1 a\nx\n",
		"link 600 1 a\nx\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct archive_file f;

		CHECK(read_one(texts[i], &f) == ERR_CORRUPT);
	}
}

int main(void)
{
	RUN(what_was_put_is_read_again);
	RUN(paths_that_lead_elsewhere_are_refused);
	RUN(what_does_not_fit_is_refused);
	return DONE();
}

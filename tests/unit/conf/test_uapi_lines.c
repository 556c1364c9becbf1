/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "conf/uapi.h"
#include "conf/uapi_lines.h"

static void read_in(struct uapi_lines *l, const char *text, size_t len)
{
	memcpy(l->input, text, len);
	uapi_lines_filled(l, len);
}

/* What there is, as one text: lines with their numbers, "!" for one that is too long. */
static void take_all(struct uapi_lines *l, char *out, size_t size)
{
	enum uapi_line next;

	while ((next = uapi_lines_next(l)) != UAPI_LINE_NONE) {
		size_t used = strlen(out);

		if (next == UAPI_LINE_WHOLE)
			snprintf(out + used, size - used, "%u:%.20s/%zu;", l->number, l->line,
				 l->line_len);
		else
			snprintf(out + used, size - used, "!%u;", l->number + 1);
	}
	CHECK(uapi_lines_are_used_up(l));
}

static void a_line_may_come_in_any_pieces(void)
{
	static const char text[] = "get=1\n\nset=1\nx\n";

	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct uapi_lines l;
		char seen[256] = "";

		CHECK(uapi_lines_open(&l) == 0);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			size_t left = sizeof(text) - 1 - at;

			read_in(&l, text + at, left < piece ? left : piece);
			take_all(&l, seen, sizeof(seen));
		}
		CHECK(strcmp(seen, "1:get=1/5;2:/0;3:set=1/5;4:x/1;") == 0);
		uapi_lines_done(&l);
	}
}

static void what_is_too_long_is_told_once_and_skipped(void)
{
	for (int extra = 0; extra < 2; extra++) {
		size_t len = UAPI_LINE_MAX + (size_t)extra;
		char *line = malloc(3 * len), seen[256] = "", wanted[256];
		struct uapi_lines l;

		if (!line)
			abort();
		memset(line, 'a', 3 * len);
		CHECK(uapi_lines_open(&l) == 0);
		for (size_t at = 0; at < len; at += 1000) {
			read_in(&l, line + at, len - at < 1000 ? len - at : 1000);
			take_all(&l, seen, sizeof(seen));
		}
		read_in(&l, "\nb\n", 3);
		take_all(&l, seen, sizeof(seen));
		snprintf(wanted, sizeof(wanted),
			 extra ? "!1;2:b/1;" : "1:aaaaaaaaaaaaaaaaaaaa/%zu;2:b/1;", len);
		CHECK(strcmp(seen, wanted) == 0);
		uapi_lines_done(&l);
		free(line);
	}
}

static void much_longer_ones_are_still_told_once(void)
{
	char seen[256] = "";
	struct uapi_lines l;

	CHECK(uapi_lines_open(&l) == 0);
	for (int i = 0; i < 3; i++) {
		memset(l.input, 'a', UAPI_READ_BYTES);
		uapi_lines_filled(&l, UAPI_READ_BYTES);
		take_all(&l, seen, sizeof(seen));
	}
	read_in(&l, "a\nb\n", 4);
	take_all(&l, seen, sizeof(seen));
	CHECK(strcmp(seen, "!1;2:b/1;") == 0);
	uapi_lines_done(&l);
}

int main(void)
{
	RUN(a_line_may_come_in_any_pieces);
	RUN(what_is_too_long_is_told_once_and_skipped);
	RUN(much_longer_ones_are_still_told_once);
	return DONE();
}

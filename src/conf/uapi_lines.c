/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/uapi_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/uapi.h"
#include "crypto/secret.h"

enum { MEMORY = UAPI_READ_BYTES + UAPI_LINE_MAX + 1 };

int uapi_lines_open(struct uapi_lines *l)
{
	*l = (struct uapi_lines){ .input = malloc(MEMORY) };
	if (!l->input)
		return -ENOMEM;
	l->line = l->input + UAPI_READ_BYTES;
	return 0;
}

void uapi_lines_done(struct uapi_lines *l)
{
	if (l->input)
		secret_wipe(l->input, MEMORY);
	free(l->input);
	*l = (struct uapi_lines){ .input = NULL };
}

/* The piece behind what was kept of its line; false: too long, and that is news. */
static bool keep(struct uapi_lines *l, const char *from, size_t len)
{
	bool is_news = !l->skips;

	if (l->kept + len <= UAPI_LINE_MAX && !l->skips) {
		memcpy(l->line + l->kept, from, len);
		l->kept += len;
		return true;
	}
	l->skips = true;
	l->kept = 0;
	return !is_news;
}

/* Return: was it one to be taken? */
static bool end_line(struct uapi_lines *l)
{
	bool is_whole = !l->skips;

	l->number++;
	l->line_len = l->kept;
	l->line[l->line_len] = '\0';
	l->kept = 0;
	l->skips = false;
	return is_whole;
}

enum uapi_line uapi_lines_next(struct uapi_lines *l)
{
	while (l->at < l->len) {
		const char *from = l->input + l->at;
		const char *end = memchr(from, '\n', l->len - l->at);
		size_t n = end ? (size_t)(end - from) : l->len - l->at;

		/* The newline is left for the next call: the number is still that of the line before. */
		if (!keep(l, from, n)) {
			l->at += n;
			return UAPI_LINE_TOO_LONG;
		}
		l->at += n + (end != NULL);
		if (end && end_line(l))
			return UAPI_LINE_WHOLE;
	}
	return UAPI_LINE_NONE;
}

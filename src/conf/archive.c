/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/archive.h"

#include <stdint.h>
#include <string.h>

#include "base/codec.h"
#include "base/err.h"

enum { WORDS = 4 };

static bool is_inside(const char *path)
{
	const char *part = path;

	if (strlen(path) >= ARCHIVE_PATH_MAX || strchr(path, '\n'))
		return false;
	while (true) {
		if (*part == '.' || *part == '/' || *part == '\0')
			return false;
		part = strchr(part, '/');
		if (!part)
			return true;
		part++;
	}
}

int archive_put(struct text *out, const struct archive_file *file)
{
	if (!is_inside(file->path) || file->len > ARCHIVE_SIZE_MAX)
		return ERR_FORMAT;
	text_printf(out, "file %s %zu %s\n", file->is_secret ? "600" : "644", file->len,
		    file->path);
	text_add(out, file->data, file->len);
	text_puts(out, "\n");
	return out->err;
}

/* Cut @line at its first three spaces; the rest is the path, which may have more. */
static bool split(char *line, const char *words[WORDS])
{
	for (size_t i = 0; i + 1 < WORDS; i++) {
		char *space = strchr(line, ' ');

		if (!space)
			return false;
		*space = '\0';
		words[i] = line;
		line = space + 1;
	}
	words[WORDS - 1] = line;
	return true;
}

int archive_next(const char **at, const char *end, struct archive_file *ret)
{
	const char *newline = memchr(*at, '\n', (size_t)(end - *at));
	char line[ARCHIVE_PATH_MAX + 64];
	const char *words[WORDS];
	uint64_t len = 0;

	if (!newline || (size_t)(newline - *at) >= sizeof(line) ||
	    memchr(*at, '\0', (size_t)(newline - *at)))
		return ERR_CORRUPT;
	memcpy(line, *at, (size_t)(newline - *at));
	line[newline - *at] = '\0';
	if (!split(line, words) || strcmp(words[0], "file") != 0 ||
	    (strcmp(words[1], "600") != 0 && strcmp(words[1], "644") != 0) ||
	    decimal_parse(words[2], strlen(words[2]), ARCHIVE_SIZE_MAX, &len) < 0 ||
	    !is_inside(words[3]) || (uint64_t)(end - newline) < len + 2 ||
	    newline[1 + len] != '\n')
		return ERR_CORRUPT;
	memcpy(ret->path, words[3], strlen(words[3]) + 1); /* is_inside() bounds it */
	ret->data = newline + 1;
	ret->len = (size_t)len;
	ret->is_secret = words[1][0] == '6' && words[1][1] == '0';
	*at = newline + 1 + len + 1;
	return 0;
}

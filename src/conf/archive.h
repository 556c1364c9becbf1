/* SPDX-License-Identifier: Apache-2.0 */
/**
 * archive.h - Small files one after the other in one text, as backups are kept
 *
 * A line "file MODE SIZE PATH" (MODE is 600 or 644), SIZE octets and a newline, for each.
 * Paths stay below the directory they are unpacked in: relative, and no part of them begins
 * with a dot.
 *
 * Bounds:  ARCHIVE_PATH_MAX with its NUL, ARCHIVE_SIZE_MAX octets in a file.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

enum {
	ARCHIVE_PATH_MAX = 512,
	ARCHIVE_SIZE_MAX = 4 << 20,
};

/** struct archive_file - @path is a copy, @data borrowed */
struct archive_file {
	char path[ARCHIVE_PATH_MAX];
	const char *data;
	size_t len;
	bool is_secret; /* mode 600 */
};

/** archive_put() - Append one file. 0; ERR_FORMAT: such a path cannot be kept; the text's error */
int archive_put(struct text *out, const struct archive_file *file);

/**
 * archive_next() - Take the file at *@at
 * @at:		Moves behind it; unchanged after a failure
 *
 * Return: 0, or ERR_CORRUPT. The caller stops when *@at is @end.
 */
int archive_next(const char **at, const char *end, struct archive_file *ret);

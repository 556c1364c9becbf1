/* SPDX-License-Identifier: Apache-2.0 */
/**
 * site.h - What a stranger finds: a small web site, held in memory
 *
 * One page of its own, or the files of a directory, read once; names that begin with a dot,
 * symbolic links and what is no regular file are left out. A path is asked for as it is written;
 * one that ends with '/' means index.html there.
 *
 * Bounds:  SITE_FILES_MAX files, SITE_OCTETS_MAX octets in all, SITE_DEPTH_MAX directories deep.
 * Threads: any may read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "carrier/http_head.h"

enum {
	SITE_FILES_MAX = 256,
	SITE_OCTETS_MAX = 16 << 20,
	SITE_DEPTH_MAX = 4,
	SITE_PATH_MAX = 512, /* NUL included */
};

/* struct site_file - @path begins with '/'; @type is a media type; @data is owned by the site */
struct site_file {
	char path[SITE_PATH_MAX];
	const char *type;
	uint64_t changed_s;
	size_t len;
	char *data;
};

struct site;

int site_own_page(struct site **ret); /* 0 or -ENOMEM */
/** site_read() - Return: 0; ERR_LIMIT, -errno with the reason in @d */
int site_read(const char *directory, struct site **ret, struct diag *d);
struct site *site_free(struct site *s); /* takes NULL, returns NULL */

/** site_find() - @target as in a request line; what stands behind '?' does not count. NULL: nothing */
const struct site_file *site_find(const struct site *s, struct http_span target);

/**
 * struct site_answer - What is sent
 * @body, @body_len: Inside the site; not to be sent for HEAD, which has none here
 * @ends:	The connection ends behind it
 */
struct site_answer {
	const char *body;
	size_t body_len;
	bool ends;
};

/**
 * site_answer() - The answer to a request of anybody
 * @h:		NULL: what came was no head
 * @wall_s:	Seconds of the Unix epoch
 * @head:	What was there is replaced; look at its @err
 */
struct site_answer site_answer(const struct site *s, const struct http_head *h, uint64_t wall_s,
			       struct text *head);

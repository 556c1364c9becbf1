/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wgconf_values.h - The keys of a wg-quick file and what their values mean
 *
 * The inner half of wgconf.c: that file cuts lines, this one fills the typed view.
 */
#pragma once

#include "conf/wgconf_names.h"

/**
 * struct wgconf_reading - A file on its way into a struct wgconf
 * @line:	The line being read; @number counts from 1
 * @section:	The one @line stands in
 * @has_keys:	It had a key already
 * @name_rank:	Of the name that its peer has
 * @next_name, @next_rank: Of the peer that may come next
 */
struct wgconf_reading {
	struct wgconf *c;
	struct diag *d;
	struct wgconf_line line;
	unsigned int number;
	enum wgconf_section section;
	bool has_keys;
	enum wgconf_name_rank name_rank;
	struct wgconf_span next_name;
	enum wgconf_name_rank next_rank;
	struct wgconf_span
		lent; /* a friendly name above [Peer], until its first key; else empty */
};

/**
 * struct wgconf_key_row - One key
 * @read:	Stores the value of @r->line; NULL: the value is text, whatever it says
 */
struct wgconf_key_row {
	const char *name;
	enum wgconf_key key;
	enum wgconf_section section;
	int (*read)(struct wgconf_reading *r);
};

/* The row of the name of @line in either case, or NULL. Sets its key and parameter. */
const struct wgconf_key_row *wgconf_key_find(struct wgconf_line *line);

/* Octets that separate words: what isspace() says in the C locale. */
bool wgconf_is_space(char c);
struct wgconf_span wgconf_trim(struct wgconf_span s);
bool wgconf_span_is(struct wgconf_span s, const char *word);	/* in either case */
struct wgconf_span wgconf_before(struct wgconf_span s, char c); /* all of it without @c */
struct wgconf_span wgconf_after(struct wgconf_span s, size_t n);

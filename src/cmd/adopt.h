/* SPDX-License-Identifier: Apache-2.0 */
/**
 * adopt.h - culvert gateway adopt: what of a server's file a new gateway begins with
 *
 * Threads: one, but for the store's.
 */
#pragma once

#include "cmd/import_rows.h"

enum { ADOPT_WHY_MAX = 256 };

/**
 * struct adopt_settings - What the gateway is started with
 * @level:	Of new peers, and of those that are adopted; its parameters are those of the file
 * @moves4, @moves6: Its own address becomes another: the first host of the network
 */
struct adopt_settings {
	char interface[16];
	uint16_t port;
	struct ip_prefix subnet4;
	struct ip_prefix subnet6;
	enum frame_level level;
	uint8_t public_key[32];
	bool moves4;
	bool moves6;
};

/** struct adopt_wishes - What the command line says instead of the file; NULL: nothing */
struct adopt_wishes {
	const char *interface;
	const char *port;
	const char *subnet4;
	const char *subnet6;
};

/**
 * adopt_settings_read() - From @file, whose name is @path and whose peers are @rows
 *
 * A network is that of the server's Address. Where Address is not its first host, as a gateway's
 * is, a part of it is looked for that has Address first and all peers in it.
 *
 * Return: 0; ERR_RANGE, ERR_FORMAT with what would be right in @d; -ENOMEM.
 */
int adopt_settings_read(const char *path, const struct wgconf *file,
			const struct import_rows *rows, const struct adopt_wishes *wishes,
			struct adopt_settings *ret, struct diag *d);

/** struct adopt_step - What became of the row in the same place; @why "": it is adopted */
struct adopt_step {
	int err;
	char why[ADOPT_WHY_MAX];
};

/**
 * adopt_store_make() - A gateway's database with @rows in it, at @path, which must not be there
 * @state:	Where the master key is, or comes to be
 * @steps:	As many as rows, all zeroes
 * @ret_refused: How many rows could not be adopted
 *
 * Return: 0, although rows may be refused; else the store's code, with the reason in @d.
 */
int adopt_store_make(const char *path, const char *state, const struct adopt_settings *s,
		     const struct wgconf *file, const struct import_rows *rows,
		     struct adopt_step *steps, size_t *ret_refused, struct diag *d);

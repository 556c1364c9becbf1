/* SPDX-License-Identifier: Apache-2.0 */
/**
 * import_rows.h - Peers of another server, as its files tell them
 *
 * Three kinds of source: a server's file of wg-quick or awg-quick, in which lines that begin with
 * "#[disabled] " count as a disabled peer's; a directory of clients' files, whose private keys are
 * used to compute the public ones and kept nowhere; the wg0.json of a panel that keeps its clients there.
 *
 * A key that comes twice is one peer: the first one counts, and takes a name from a later one.
 *
 * Bounds:  as many rows as WGCONF_SIZE_MAX octets hold; IMPORT_CLIENTS_MAX files in a directory.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/text.h"
#include "conf/wgconf.h"
#include "store/store.h"

enum {
	IMPORT_CLIENTS_MAX = 100000,
	IMPORT_NOTE_MAX = 160,
};

/**
 * struct import_row - One peer
 * @file, @line: Where it stands; @line 0: a file of its own
 * @name:	"": none
 * @first_prefix, @n_prefixes: Its allowed IPs, in struct import_rows
 * @preshared_key: All zeroes: none
 * @server_key: The server that a client's file is for, if @has_server_key
 * @level:	FRAME_LEVELS: nobody says
 * @note:	What of it is not taken as it stands; "": nothing
 */
struct import_row {
	const char *file;
	unsigned int line;
	char name[STORE_NAME_MAX + 1];
	uint8_t public_key[32];
	uint8_t server_key[32];
	struct secret_key preshared_key;
	size_t first_prefix;
	size_t n_prefixes;
	uint16_t keepalive_s;
	bool is_enabled;
	bool has_server_key;
	enum frame_level level;
	char note[IMPORT_NOTE_MAX];
};

/** struct import_rows - All zeroes is none; import_rows_done() wipes and frees */
struct import_rows {
	struct import_row *rows;
	struct ip_prefix *prefixes;
	char **files; /* their names, owned */
	json_t *keys; /* place of each key */
	json_t *names;
	size_t n, capacity;
	size_t n_prefixes, prefixes_capacity;
	size_t n_files, files_capacity;
};

/* Return: 0; ERR_FORMAT, ERR_LIMIT, -ENOMEM, -errno with the reason, which names the file, in @d. */

/**
 * import_rows_read() - Add the peers of @path, whatever kind it is; "-" is standard input
 * @ret_server:	A server's file, for who takes over the rest; @ret_server->text is NULL for other
 *		kinds. wgconf_done() in any case
 */
int import_rows_read(struct import_rows *l, const char *path, struct wgconf *ret_server,
		     struct diag *d);
void import_rows_done(struct import_rows *l);

/* --- For each kind of source --- */

int import_rows_read_clients(struct import_rows *l, const char *dir, struct diag *d);
/* @text is JSON. */
int import_rows_read_json(struct import_rows *l, const char *path, const struct text *text,
			  struct diag *d);

/** import_rows_keep_name() - A copy of @path that lives as long as @l. NULL: out of memory */
const char *import_rows_keep_name(struct import_rows *l, const char *path);

/**
 * import_rows_add() - A copy of @row, with @n @prefixes
 * @name:	As it was found; one that a peer cannot have is left out, with a note
 */
int import_rows_add(struct import_rows *l, const struct import_row *row,
		    struct wgconf_span name, const struct ip_prefix *prefixes, size_t n);

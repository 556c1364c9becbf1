/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pg_status.h - How the PostgreSQL server beside a node is doing, for its status page
 *
 * Reads the views of statistics and changes nothing; a role with pg_monitor is enough. The
 * client library is loaded when the first source is made, so nobody needs it who does not
 * ask, and before a process gives up opening files.
 *
 * Source:  PostgreSQL documentation: pg_stat_activity, pg_stat_archiver, recovery functions.
 * Threads: one at a time per source. A call waits PG_STATUS_WAIT_S for each address of the server
 *	    and then for an answer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	PG_STATUS_WAIT_S = 2, /* libpq takes no less */
	PG_STATUS_TIME_MAX = 32,
	PG_STATUS_FILES_MAX = 8,
};

/**
 * struct pg_status - What the server says
 * @lag_s:	Of a replica: age of what it replayed last, 0 when it has all it got
 * @has_lag:	Not of a primary, nor of a replica that replayed nothing yet
 * @archives:	The write-ahead log is archived: backups are configured
 * @last_backup: When a piece of it was archived last, RFC 3339; "": never
 */
struct pg_status {
	bool is_replica;
	bool has_lag;
	bool archives;
	uint32_t connections;
	uint64_t lag_s;
	char last_backup[PG_STATUS_TIME_MAX];
};

struct pg_status_source;

/**
 * pg_status_new() - Load the library; connects to nobody yet
 * @where:	A connection string or URI of libpq; copied, never shown
 *
 * Return: 0; -ENOENT when the library is missing, ERR_FORMAT, -ENOMEM, with a sentence in @d.
 */
int pg_status_new(const char *where, struct pg_status_source **ret, struct diag *d);
struct pg_status_source *pg_status_free(struct pg_status_source *s); /* takes NULL */

/** pg_status_files() - Files and directories that a connection reads. Return: how many; borrowed */
size_t pg_status_files(const struct pg_status_source *s,
		       const char *paths[PG_STATUS_FILES_MAX]);

/**
 * pg_status_read() - Ask, connecting first if there is no connection
 *
 * Return: 0; -ENOTCONN when there is no server or it refuses us; ERR_FORMAT when it says
 *	   what we do not understand. The next call connects anew.
 */
int pg_status_read(struct pg_status_source *s, struct pg_status *ret, struct diag *d);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * database.h - The file of a database: made, recognised, brought up to date, opened twice
 *
 * Threads: that of @w->db.
 */
#pragma once

#include "base/err.h"
#include "store/wal.h"

enum {
	DATABASE_ID = 0x43756c76, /* "Culv": tells our file from any other database */
};

/**
 * database_open() - Open both connections of @w to the file @path
 *
 * A file of a newer version, or of another program, is left untouched. On failure the caller
 * still calls database_close().
 *
 * Return: as store_open_sqlite().
 */
int database_open(struct wal *w, const char *path, struct diag *d);
void database_close(struct wal *w); /* every statement was finalized before */

/** database_connect() - One more connection to the file. Return: as wal_code(), -errno */
int database_connect(struct wal *w, const char *path, sqlite3 **ret);

/** database_prepare() - A statement on @w->db; the caller finalizes it. Return: as wal_code() */
int database_prepare(struct wal *w, const char *text, sqlite3_stmt **ret);

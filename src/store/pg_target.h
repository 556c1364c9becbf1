/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pg_target.h - Which PostgreSQL server, found out once and kept
 *
 * A process that has closed its doors can look up no name and read no password file. What libpq
 * would find out at each connection (the service file, the password, addresses of names, the
 * files of TLS) is therefore found out at the first one: later ones need a socket, and the files
 * that pg_target_files() names. A name that moves to another address wants a new process.
 *
 * Threads: pg_target_new() one at a time; a target is not changed afterwards.
 */
#pragma once

#include <stddef.h>

#include "store/libpq.h"

enum { PG_TARGET_FILES_MAX = 8 };

struct pg_target;

/**
 * pg_target_new() - Load libpq, connect to @conninfo, and remember how
 * @conninfo:	A connection string or URI of libpq, without a password: others would see it in the
 *		list of processes
 * @ret_connection: The caller's, to PQfinish()
 *
 * Return: 0; -ENOENT: no library; ERR_FORMAT; -ENOTCONN: nobody answers or we are refused;
 *	   -ENOMEM; with a sentence in @d.
 */
int pg_target_new(const char *conninfo, struct pg_target **ret, PGconn **ret_connection,
		  struct diag *d);
/**
 * pg_target_describe() - The same without a connection, for a server that may be away
 * @conninfo:	With a password, if it comes from nowhere that others see
 *
 * It is asked about itself, whatever it is; the file of passwords is among pg_target_files().
 */
int pg_target_describe(const char *conninfo, struct pg_target **ret, struct diag *d);

struct pg_target *pg_target_free(struct pg_target *t); /* wipes; takes NULL, returns NULL */

const struct libpq *pg_target_library(const struct pg_target *t);

/** pg_target_connect() - Once more. Return: a connection, good or bad; NULL without memory */
PGconn *pg_target_connect(const struct pg_target *t);

/** pg_target_files() - Files and directories that a connection reads. Return: how many; borrowed */
size_t pg_target_files(const struct pg_target *t, const char *paths[PG_TARGET_FILES_MAX]);

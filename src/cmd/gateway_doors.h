/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_doors.h - What the gateway process hears, and its sandbox: which files it may open from now on
 *
 * Beside its own those that whoever sends webhooks reads: the resolver's, and certificates.
 *
 * Threads: before the first thread is started; Landlock binds those that are started after it.
 */
#pragma once

#include "api/postgres_watch.h"
#include "base/err.h"
#include "cmd/gateway_users.h"
#include "store/store.h"

/** gateway_doors_signals() - Block SIGTERM, SIGINT and SIGHUP, ignore SIGPIPE. Return: 0 or -errno */
int gateway_doors_signals(int *ret_fd);

/* As many connections as the server allows, beside the few files of our own. */
void gateway_doors_raise_limit(void);

/**
 * struct gateway_doors - What stays open
 * @state:	The state directory
 * @elsewhere:	A file of SQLite beside which its journal is written; NULL: it is below @state
 * @postgres:	A store of PostgreSQL; NULL: it is not. Its connections read certificates
 * @watch:	The server that the status page tells of; NULL: none
 * @users:	Whose tree it is; their directory is written, too
 */
struct gateway_doors {
	const char *state;
	const char *elsewhere;
	const struct store *postgres;
	const struct postgres_watch *watch;
	const struct gateway_users *users;
};

/** gateway_doors_close() - Landlock, then the filter of system calls. Return: 0; -errno, with @d */
int gateway_doors_close(const struct gateway_doors *doors, struct diag *d);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_doors.h - The sandbox of the gateway process: which files it may open from now on
 *
 * Beside its own those that whoever sends webhooks reads: the resolver's, and certificates.
 *
 * Threads: before the first thread is started; Landlock binds those that are started after it.
 */
#pragma once

#include "api/postgres_watch.h"
#include "base/err.h"
#include "store/store.h"

/**
 * struct gateway_doors - What stays open
 * @state:	The state directory
 * @elsewhere:	A file of SQLite beside which its journal is written; NULL: it is below @state
 * @postgres:	A store of PostgreSQL; NULL: it is not. Its connections read certificates
 * @watch:	The server that the status page tells of; NULL: none
 */
struct gateway_doors {
	const char *state;
	const char *elsewhere;
	const struct store *postgres;
	const struct postgres_watch *watch;
};

/** gateway_doors_close() - Landlock, then the filter of system calls. Return: 0; -errno, with @d */
int gateway_doors_close(const struct gateway_doors *doors, struct diag *d);

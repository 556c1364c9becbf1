/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_doors.h - What the serving process hears and may open, from its start on
 *
 * Threads: one, before others start.
 */
#pragma once

#include "base/err.h"

struct api;
struct store;

/** gateway_doors_signals() - Block SIGTERM, SIGINT and SIGHUP, ignore SIGPIPE. Return: 0 or -errno */
int gateway_doors_signals(int *ret_fd);

/* As many connections as the server allows, beside the few files of our own. */
void gateway_doors_raise_limit(void);

/**
 * gateway_doors_close() - Landlock and the filter of system calls
 * @postgres:	Where that is the store; else NULL
 *
 * Before the first thread: Landlock binds the threads that are started after it. The directory
 * of the database counts too, where DB_PATH says another; a connection to PostgreSQL that is made
 * again reads certificates, and so does whoever sends webhooks.
 *
 * Return: 0, or -errno with a sentence in @d.
 */
int gateway_doors_close(const char *state, const char *database, struct store *postgres,
			const struct api *api, struct diag *d);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_store.h - Open the store that a gateway was told to use
 *
 * Threads: none here.
 */
#pragma once

#include "cmd/store_option.h"
#include "store/store.h"

/**
 * gateway_store_open() - SQLite in the file @path, or PostgreSQL
 * @state:	The state directory, which remembers that it was PostgreSQL
 *
 * Return: as store_open_sqlite() and store_open_postgres(); ERR_EXISTS: the state directory
 *	   belongs to the other kind; with the reason in @d.
 */
int gateway_store_open(const struct store_option *o, const char *state, const char *path,
		       const struct store_config *config, struct store **ret, struct diag *d);

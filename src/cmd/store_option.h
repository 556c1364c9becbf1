/* SPDX-License-Identifier: Apache-2.0 */
/**
 * store_option.h - The options that say where a gateway keeps its peers
 *
 * "store" is sqlite or postgres; "database" says how PostgreSQL is reached, as libpq spells it. Both
 * the process that starts the gateway and the one that serves read them; see cmd/serving.h. The
 * server that the status page tells of is spelled like "database" and checked here too.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "cmd/options.h"

/**
 * struct store_option - What they say
 * @is_new:	What SQLite has may be left behind
 * @conninfo:	Borrowed from the options; NULL unless @is_postgres
 */
struct store_option {
	bool is_postgres;
	bool is_new;
	const char *conninfo;
};

/**
 * store_option_read() - Read and check
 *
 * A password on the command line or in a file for everybody is refused, as far as it can be seen
 * without libpq.
 *
 * Return: 0; ERR_FORMAT with a sentence in @d that names the option.
 */
int store_option_read(const struct options *o, struct store_option *ret, struct diag *d);

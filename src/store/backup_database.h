/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backup_database.h - A copy of a database that is in use, and whether a copy is sound
 *
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/**
 * backup_database_copy() - The database @from as it was at one moment, into the empty file @to
 *
 * One transaction that reads: whoever writes at the same time goes on. Everything that was
 * acknowledged before the call is in it. Nothing is synchronised.
 *
 * Return: 0; ERR_CORRUPT; -errno; reason in @d.
 */
int backup_database_copy(const char *from, const char *to, struct diag *d);

/* struct backup_counts - What a database holds */
struct backup_counts {
	int64_t schema;
	int64_t peers;
	int64_t records;
	int64_t audit;
};

/**
 * backup_database_check() - Is @path a whole database of ours?
 *
 * Return: 0; ERR_VERSION: of a newer culvert; ERR_CORRUPT; reason in @d.
 */
int backup_database_check(const char *path, struct backup_counts *ret, struct diag *d);

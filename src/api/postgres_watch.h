/* SPDX-License-Identifier: Apache-2.0 */
/**
 * postgres_watch.h - The PostgreSQL server that the status page tells of, asked in a thread of its own
 *
 * The page shows what the server said last, at most POSTGRES_WATCH_EVERY_S and one answer ago, and
 * waits for nobody.
 *
 * Threads: calls from one thread.
 */
#pragma once

#include <stddef.h>

#include "store/pg_status.h"

enum { POSTGRES_WATCH_EVERY_S = 2 };

struct postgres_watch;

/** postgres_watch_new() - @where as pg_status_new(), whose errors it returns. Asks nobody yet */
int postgres_watch_new(const char *where, struct postgres_watch **ret, struct diag *d);

/** postgres_watch_files() - What it reads later. Return: how many; borrowed */
size_t postgres_watch_files(const struct postgres_watch *w,
			    const char *paths[PG_STATUS_FILES_MAX]);

/** postgres_watch_start() - From now on it asks. Return: 0; -errno */
int postgres_watch_start(struct postgres_watch *w);

/** postgres_watch_get() - Return: false: the server does not answer, or has not yet */
bool postgres_watch_get(struct postgres_watch *w, struct pg_status *ret);

/** postgres_watch_free() - Waits for an answer that is under way. Takes NULL, returns NULL */
struct postgres_watch *postgres_watch_free(struct postgres_watch *w);

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/pg_link.h"

enum column {
	COLUMN_REPLICA,
	COLUMN_CONNECTIONS,
	COLUMN_LAG,
	COLUMN_ARCHIVES,
	COLUMN_LAST,
	COLUMNS,
};

/* A replica that has replayed all it received is up to date, however old that is: a primary
 * without work sends nothing. */
static const char query[] =
	"SELECT pg_is_in_recovery()::int::bigint,"
	" (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
	" CASE WHEN NOT pg_is_in_recovery() THEN NULL"
	" WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
	" ELSE greatest(0, floor(extract(epoch FROM now() - pg_last_xact_replay_timestamp())))"
	" END::bigint,"
	" (current_setting('archive_mode') <> 'off')::int::bigint,"
	" (SELECT to_char(last_archived_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
	" FROM pg_stat_archiver)";

struct pg_status_source {
	struct pg_target *target;
	struct pg_link link;
};

int pg_status_new(const char *where, struct pg_status_source **ret, struct diag *d)
{
	struct pg_status_source *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	err = pg_target_describe(where, &s->target, d);
	if (err != 0) {
		free(s);
		return err;
	}
	s->link.target = s->target;
	s->link.pq = pg_target_library(s->target);
	s->link.silence_s = PG_STATUS_WAIT_S;
	*ret = s;
	return 0;
}

struct pg_status_source *pg_status_free(struct pg_status_source *s)
{
	if (!s)
		return NULL;
	pg_link_close(&s->link);
	pg_target_free(s->target);
	free(s);
	return NULL;
}

size_t pg_status_files(const struct pg_status_source *s, const char *paths[PG_STATUS_FILES_MAX])
{
	return pg_target_files(s->target, paths);
}

static int take_answer(const struct pg_link *l, const PGresult *r, struct pg_status *ret)
{
	struct pg_status status = { .is_replica = pg_get_i64(l, r, COLUMN_REPLICA) != 0,
				    .archives = pg_get_i64(l, r, COLUMN_ARCHIVES) != 0,
				    .has_lag = !pg_is_null(l, r, COLUMN_LAG),
				    .lag_s = pg_get_u64(l, r, COLUMN_LAG) };
	uint64_t connections = pg_get_u64(l, r, COLUMN_CONNECTIONS);
	const char *last = pg_get_text(l, r, COLUMN_LAST);

	if (connections > UINT32_MAX || status.lag_s > INT64_MAX ||
	    (last && strlen(last) >= sizeof(status.last_backup)))
		return ERR_FORMAT;
	if (last)
		memcpy(status.last_backup, last, strlen(last));
	status.connections = (uint32_t)connections;
	*ret = status;
	return 0;
}

/* What the server says about a refusal may name users and hosts: it stays here. */
int pg_status_read(struct pg_status_source *s, struct pg_status *ret, struct diag *d)
{
	const struct pg_args none = { .n = 0 };
	struct pg_link *l = &s->link;
	PGresult *r = NULL;

	if (!pg_link_is_open(l) && pg_link_open(l, NULL) != 0)
		return diag_set(d, -ENOTCONN, 0, "PostgreSQL cannot be reached, or refuses us");
	if (pg_link_ask(l, query, &none, &r) != 0) {
		pg_link_close(l);
		return diag_set(d, -ENOTCONN, 0, "PostgreSQL does not answer");
	}

	int err = l->pq->nfields(r) == COLUMNS && l->pq->ntuples(r) == 1
			  ? take_answer(l, r, ret)
			  : ERR_FORMAT;

	l->pq->clear(r);
	if (err == 0)
		return 0;
	pg_link_close(l);
	return diag_set(d, err, 0, "PostgreSQL answers something else");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_status.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>

#include "base/codec.h"
#include "base/json_write.h"
#include "crypto/secret.h"

#define LIBRARY "libpq.so.5"

/* Values of libpq's enums, which its version 5 keeps. */
enum {
	CONNECTION_IS_OK = 0,
	RESULT_HAS_TUPLES = 2,
};

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
	"SELECT pg_is_in_recovery(),"
	" (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
	" CASE WHEN NOT pg_is_in_recovery() THEN NULL"
	" WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
	" ELSE greatest(0, floor(extract(epoch FROM now() - pg_last_xact_replay_timestamp())))"
	" END::bigint,"
	" current_setting('archive_mode') <> 'off',"
	" (SELECT to_char(last_archived_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
	" FROM pg_stat_archiver)";

struct connection;
struct result;

/** struct library - The functions of libpq that are used */
struct library {
	struct connection *(*connect)(const char *const *names, const char *const *values,
				      int expand);
	int (*status)(const struct connection *c);
	void (*finish)(struct connection *c);
	struct result *(*exec)(struct connection *c, const char *query);
	int (*result_status)(const struct result *r);
	int (*columns)(const struct result *r);
	int (*rows)(const struct result *r);
	char *(*value)(const struct result *r, int row, int column);
	int (*is_null)(const struct result *r, int row, int column);
	void (*clear)(struct result *r);
};

static const struct {
	const char *name;
	size_t at;
} symbols[] = {
	{ "PQconnectdbParams", offsetof(struct library, connect) },
	{ "PQstatus", offsetof(struct library, status) },
	{ "PQfinish", offsetof(struct library, finish) },
	{ "PQexec", offsetof(struct library, exec) },
	{ "PQresultStatus", offsetof(struct library, result_status) },
	{ "PQnfields", offsetof(struct library, columns) },
	{ "PQntuples", offsetof(struct library, rows) },
	{ "PQgetvalue", offsetof(struct library, value) },
	{ "PQgetisnull", offsetof(struct library, is_null) },
	{ "PQclear", offsetof(struct library, clear) },
};

struct pg_status_source {
	struct library pq;
	void *handle;
	struct connection *connection;
	char *where; /* may hold a password */
};

static int load(struct pg_status_source *s, struct diag *d)
{
	s->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!s->handle)
		return diag_set(d, -ENOENT, 0,
				"the library " LIBRARY
				" is missing; install the package libpq5");
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *function = dlsym(s->handle, symbols[i].name);

		if (!function)
			return diag_set(d, -ENOENT, 0, LIBRARY " has no %s", symbols[i].name);
		memcpy((char *)&s->pq + symbols[i].at, &function, sizeof(function));
	}
	return 0;
}

int pg_status_new(const char *where, struct pg_status_source **ret, struct diag *d)
{
	struct pg_status_source *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (s)
		s->where = strdup(where);
	if (s && s->where)
		err = load(s, d);
	else
		diag_set(d, err, 0, "out of memory");
	if (err)
		pg_status_free(s);
	else
		*ret = s;
	return err;
}

static void disconnect(struct pg_status_source *s)
{
	if (s->connection)
		s->pq.finish(s->connection);
	s->connection = NULL;
}

struct pg_status_source *pg_status_free(struct pg_status_source *s)
{
	if (!s)
		return NULL;
	disconnect(s);
	if (s->where)
		secret_wipe(s->where, strlen(s->where));
	free(s->where);
	if (s->handle)
		dlclose(s->handle);
	free(s);
	return NULL;
}

/* What the server says about a refusal may name users and hosts: it stays here. */
static int connect_anew(struct pg_status_source *s, struct diag *d)
{
	static const char *const names[] = { "dbname", "connect_timeout", "options",
					     "application_name", NULL };
	const char *const values[] = { s->where, "2", "-c statement_timeout=2s", "culvert",
				       NULL };

	if (s->connection && s->pq.status(s->connection) == CONNECTION_IS_OK)
		return 0;
	disconnect(s);
	s->connection = s->pq.connect(names, values, 1);
	if (s->connection && s->pq.status(s->connection) == CONNECTION_IS_OK)
		return 0;
	disconnect(s);
	return diag_set(d, -ENOTCONN, 0, "PostgreSQL cannot be reached, or refuses us");
}

/* --- The answer --- */

static int take_number(const struct pg_status_source *s, const struct result *r, int column,
		       uint64_t max, uint64_t *ret)
{
	const char *text = s->pq.value(r, 0, column);

	return decimal_parse(text, strlen(text), max, ret);
}

static bool take_bool(const struct pg_status_source *s, const struct result *r, int column)
{
	return strcmp(s->pq.value(r, 0, column), "t") == 0;
}

static int take_answer(const struct pg_status_source *s, const struct result *r,
		       struct pg_status *ret)
{
	struct pg_status status = { .is_replica = take_bool(s, r, COLUMN_REPLICA),
				    .archives = take_bool(s, r, COLUMN_ARCHIVES),
				    .has_lag = !s->pq.is_null(r, 0, COLUMN_LAG) };
	const char *last = s->pq.value(r, 0, COLUMN_LAST); /* "" where it is NULL */
	uint64_t connections = 0;
	int err = take_number(s, r, COLUMN_CONNECTIONS, UINT32_MAX, &connections);

	if (!err && status.has_lag)
		err = take_number(s, r, COLUMN_LAG, INT64_MAX, &status.lag_s);
	if (!err && strlen(last) >= sizeof(status.last_backup))
		err = ERR_FORMAT;
	if (err)
		return ERR_FORMAT;
	memcpy(status.last_backup, last, strlen(last));
	status.connections = (uint32_t)connections;
	*ret = status;
	return 0;
}

int pg_status_read(struct pg_status_source *s, struct pg_status *ret, struct diag *d)
{
	struct result *r = NULL;
	int err = connect_anew(s, d);

	if (err)
		return err;
	r = s->pq.exec(s->connection, query);
	if (!r || s->pq.result_status(r) != RESULT_HAS_TUPLES)
		err = diag_set(d, -ENOTCONN, 0, "PostgreSQL does not answer");
	else if (s->pq.columns(r) != COLUMNS || s->pq.rows(r) != 1 ||
		 take_answer(s, r, ret) < 0)
		err = diag_set(d, ERR_FORMAT, 0, "PostgreSQL answers something else");
	if (r)
		s->pq.clear(r);
	if (err)
		disconnect(s);
	return err;
}

void pg_status_put(struct text *out, const struct pg_status *status)
{
	json_put_name(out, "postgres");
	text_puts(out, "{");
	json_put_text(out, "role", status->is_replica ? "replica" : "primary");
	json_put_number(out, "connections", status->connections);
	if (status->has_lag)
		json_put_number(out, "replication_lag_sec", status->lag_s);
	json_put_text(out, "backup_status", status->archives ? "configured" : "not_configured");
	if (status->last_backup[0])
		json_put_text(out, "last_backup", status->last_backup);
	text_puts(out, "}");
}

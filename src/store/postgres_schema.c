/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postgres_schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/schema.h"

enum { SERVER_MIN = 120000 };

/* One number, "Culv" and zeroes, for whoever migrates; the locks of interfaces have two. */
#define MIGRATION_LOCK "SELECT pg_advisory_xact_lock(4860910626878259200)"

static int ask_number(struct pg_link *l, const char *text, int64_t *ret)
{
	const struct pg_args none = { .n = 0 };
	PGresult *r = NULL;
	int err = pg_link_ask(l, text, &none, &r);

	if (err != 0)
		return err;
	*ret = l->pq->ntuples(r) == 1 ? pg_get_i64(l, r, 0) : 0;
	l->pq->clear(r);
	return 0;
}

/* What text is stored in: ours is UTF-8, and must come back as it went. */
static int check_server(struct pg_link *l, struct diag *d)
{
	int64_t is_utf8 = 0, is_durable = 0;
	int err = 0;

	if (l->pq->server_version(l->c) < SERVER_MIN)
		return diag_set(d, ERR_VERSION, 0, "PostgreSQL 12 or newer is needed");
	err = ask_number(l,
			 "SELECT (current_setting('server_encoding') IN ('UTF8', 'SQL_ASCII'))"
			 "::int::bigint",
			 &is_utf8);
	if (err == 0)
		err = ask_number(l, "SELECT (current_setting('fsync') <> 'off')::int::bigint",
				 &is_durable);
	if (err != 0)
		return diag_set(d, err, 0, "PostgreSQL: %s", l->complaint);
	if (!is_utf8)
		return diag_set(d, ERR_FORMAT, 0,
				"the database's encoding is not UTF8; make one with"
				" CREATE DATABASE ... ENCODING 'UTF8'");
	if (!is_durable)
		return diag_set(d, ERR_RANGE, 0,
				"the server runs with fsync off: what it confirms would not be"
				" safe");
	return 0;
}

/* @ret_version: 0 where there is nothing yet. */
static int check_schema(struct pg_link *l, int64_t *ret_version, struct diag *d)
{
	int64_t has_table = 0, relations = 0;
	int err = ask_number(l,
			     "SELECT count(*) FROM pg_tables WHERE schemaname = 'culvert'"
			     " AND tablename = 'culvert_schema'",
			     &has_table);

	if (err == 0)
		err = ask_number(
			l,
			"SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid ="
			" c.relnamespace WHERE n.nspname = 'culvert'",
			&relations);
	if (err == 0 && has_table)
		err = ask_number(l, "SELECT version FROM culvert.culvert_schema", ret_version);
	if (err != 0)
		return diag_set(d, err, 0, "the schema culvert cannot be read: %s",
				l->complaint);
	if (relations > 0 && !has_table)
		return diag_set(d, ERR_CORRUPT, 0,
				"the schema culvert of this database is another program's");
	if (*ret_version > (int64_t)schema_pg_count)
		return diag_set(d, ERR_VERSION, 0,
				"the database was written by a newer culvert (schema %" PRId64
				", known up to %u); it was left untouched",
				*ret_version, schema_pg_count);
	return 0;
}

/* Who may not make schemas can be given one. */
static int make_schema(struct pg_link *l)
{
	int64_t is_there = 0;
	int err = ask_number(l, "SELECT count(*) FROM pg_namespace WHERE nspname = 'culvert'",
			     &is_there);

	if (err == 0 && !is_there)
		err = pg_link_ask(l, "CREATE SCHEMA culvert", NULL, NULL);
	if (err == 0)
		err = pg_link_ask(l,
				  "CREATE TABLE culvert_schema (version bigint NOT NULL);"
				  "INSERT INTO culvert_schema VALUES (0)",
				  NULL, NULL);
	return err;
}

static int migrate_one(struct pg_link *l, unsigned int version, const char *sql)
{
	char text[80];
	int err = pg_link_ask(l, sql, NULL, NULL);

	snprintf(text, sizeof(text), "UPDATE culvert_schema SET version = %u", version);
	return err != 0 ? err : pg_link_ask(l, text, NULL, NULL);
}

/* All or nothing, and one at a time: the version may be another once we have the lock. */
static int migrate(struct pg_link *l, struct diag *d)
{
	int64_t version = 0;
	int err = pg_link_ask(l, "BEGIN", NULL, NULL);

	if (err == 0)
		err = pg_link_ask(l, MIGRATION_LOCK, NULL, NULL);
	if (err == 0) {
		err = check_schema(l, &version, d);
		if (err != 0)
			goto out;
	}
	if (err == 0 && version == 0)
		err = make_schema(l);
	for (unsigned int v = (unsigned int)version; v < schema_pg_count && err == 0; v++)
		err = migrate_one(l, v + 1, schema_pg_text[v]);
	if (err == 0)
		err = pg_link_ask(l, "COMMIT", NULL, NULL);
	if (err == 0)
		return 0;
	diag_set(d, err, 0, "the schema culvert cannot be brought up to date: %s",
		 l->complaint);
out:
	if (pg_link_is_open(l))
		(void)pg_link_ask(l, "ROLLBACK", NULL, NULL);
	return err;
}

int postgres_schema_prepare(struct pg_link *l, struct diag *d)
{
	int64_t version = 0;
	int err = check_server(l, d);

	if (err == 0)
		err = check_schema(l, &version, d);
	if (err == 0 && version < (int64_t)schema_pg_count)
		err = migrate(l, d);
	return err;
}

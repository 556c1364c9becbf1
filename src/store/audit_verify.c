/* SPDX-License-Identifier: Apache-2.0 */
#include "store/audit_verify.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sqlite3.h>

#include "store/pg_link.h"
#include "store/row.h"

enum { BUSY_MS = 5000 };

/* struct following - Where in the chain we are */
struct following {
	struct seal *seal;
	uint8_t prev[SEAL_CHAIN_LEN];
	int64_t prev_id;
	struct audit_report report;
};

static const char *text_at(sqlite3_stmt *st, int at)
{
	const unsigned char *text = sqlite3_column_text(st, at);

	return text ? (const char *)text : "";
}

/* The first chained row has nothing to fit to: what was before may have been trimmed. */
static bool fits(const struct following *f, const struct seal_row *row,
		 const uint8_t prev[SEAL_CHAIN_LEN], const uint8_t hash[SEAL_CHAIN_LEN])
{
	uint8_t own[SEAL_CHAIN_LEN];

	seal_chain(f->seal, prev, row, own);
	if (!secret_equal(own, hash, sizeof(own)))
		return false;
	return f->report.rows == 1 ||
	       (row->id == f->prev_id + 1 && memcmp(prev, f->prev, sizeof(own)) == 0);
}

/* @prev, @hash: NULL: the row is not chained */
static void follow(struct following *f, const struct seal_row *row, const uint8_t *prev,
		   const uint8_t *hash)
{
	struct audit_report *r = &f->report;
	bool is_chained = prev && hash;

	if (r->first == 0)
		r->first = row->id;
	r->last = row->id;
	if (!is_chained && r->rows == 0) {
		r->unchained++;
		return;
	}
	r->rows++;
	if (!is_chained || !fits(f, row, prev, hash)) {
		r->broken++;
		if (r->first_broken == 0)
			r->first_broken = row->id;
	}
	if (is_chained)
		memcpy(f->prev, hash, SEAL_CHAIN_LEN);
	f->prev_id = row->id;
}

/* --- SQLite --- */

static void follow_row(struct following *f, sqlite3_stmt *st)
{
	const struct seal_row row = {
		.id = sqlite3_column_int64(st, 0),
		.time_ns = row_u64(st, 1),
		.who = text_at(st, 2),
		.action = text_at(st, 3),
		.subject = text_at(st, 4),
		.detail = text_at(st, 5),
	};
	uint8_t prev[SEAL_CHAIN_LEN], hash[SEAL_CHAIN_LEN];
	bool is_chained = row_digest(st, 6, prev) && row_digest(st, 7, hash);

	follow(f, &row, is_chained ? prev : NULL, hash);
}

static int read_rows(sqlite3 *db, struct following *f)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db,
				    "SELECT id, time_ns, who, action, subject, detail, prev,"
				    " hash FROM audit ORDER BY id",
				    -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			follow_row(f, st);
		else
			break;
	}
	sqlite3_finalize(st);
	return rc;
}

int audit_verify(const char *path, const struct secret_key *master, struct audit_report *ret,
		 struct diag *d)
{
	struct following f = { .seal = NULL };
	sqlite3 *db = NULL;
	int rc, err = seal_new(master, &f.seal);

	if (err != 0)
		return diag_set(d, err, 0, "%s", err_text(err));
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		rc = read_rows(db, &f);
	}
	if (rc != SQLITE_DONE)
		err = diag_set(d, ERR_CORRUPT, 0, "%s cannot be read: %s", path,
			       db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
	memcpy(f.report.head, f.prev, sizeof(f.prev));
	sqlite3_close(db);
	seal_free(f.seal);
	if (err == 0)
		*ret = f.report;
	return err;
}

/* --- PostgreSQL --- */

/* What is no text is no row of ours, and fits nowhere. */
static const char *column(const struct pg_link *l, const PGresult *r, int at)
{
	const char *text = pg_get_text(l, r, at);

	return text ? text : "";
}

static void follow_answer(struct following *f, const struct pg_link *l, const PGresult *r)
{
	const struct seal_row row = {
		.id = pg_get_i64(l, r, 0),
		.time_ns = pg_get_u64(l, r, 1),
		.who = column(l, r, 2),
		.action = column(l, r, 3),
		.subject = column(l, r, 4),
		.detail = column(l, r, 5),
	};
	uint8_t prev[SEAL_CHAIN_LEN], hash[SEAL_CHAIN_LEN];
	bool is_chained = pg_copy_blob(l, r, 6, prev, sizeof(prev)) &&
			  pg_copy_blob(l, r, 7, hash, sizeof(hash));

	follow(f, &row, is_chained ? prev : NULL, hash);
}

static int find_interface(struct pg_link *l, const char *name, int64_t *ret)
{
	struct pg_args a = { .n = 0 };
	PGresult *r = NULL;
	int err;

	pg_text(&a, name);
	err = pg_link_ask(l, "SELECT id FROM interface WHERE name = $1", &a, &r);
	if (err != 0)
		return err;
	if (l->pq->ntuples(r) == 1)
		*ret = pg_get_i64(l, r, 0);
	else
		err = ERR_UNKNOWN;
	l->pq->clear(r);
	return err;
}

static int read_answers(struct following *f, struct pg_link *l, const char *interface)
{
	static const char text[] =
		"SELECT id, time_ns, who, action, subject, detail, prev, hash FROM audit"
		" WHERE interface_id = $1 ORDER BY id";
	struct pg_args a = { .n = 0 };
	int64_t id = 0;
	PGresult *r = NULL;
	int err = find_interface(l, interface, &id), more = 0;

	if (err != 0)
		return err;
	pg_i64(&a, id);
	err = pg_link_start(l, text, &a);
	while (err == 0 && (more = pg_link_next(l, &r)) == 1) {
		follow_answer(f, l, r);
		l->pq->clear(r);
	}
	return err != 0 ? err : more;
}

int audit_verify_postgres(const char *conninfo, const char *interface,
			  const struct secret_key *master, struct audit_report *ret,
			  struct diag *d)
{
	struct following f = { .seal = NULL };
	struct pg_target *target = NULL;
	struct pg_link l = { .target = NULL };
	PGconn *first = NULL;
	int err = seal_new(master, &f.seal);

	if (err != 0)
		return diag_set(d, err, 0, "%s", err_text(err));
	err = pg_target_new(conninfo, &target, &first, d);
	if (err == 0) {
		l.target = target;
		l.pq = pg_target_library(target);
		err = pg_link_open(&l, first);
		if (err == 0)
			err = read_answers(&f, &l, interface);
		if (err == ERR_UNKNOWN)
			diag_set(d, err, 0, "no gateway with the interface %s was here",
				 interface);
		else if (err != 0)
			diag_set(d, err, 0, "the audit trail cannot be read: %s", l.complaint);
		pg_link_close(&l);
	}
	memcpy(f.report.head, f.prev, sizeof(f.prev));
	pg_target_free(target);
	seal_free(f.seal);
	if (err == 0)
		*ret = f.report;
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/audit_verify.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sqlite3.h>

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

static void follow(struct following *f, sqlite3_stmt *st)
{
	const struct seal_row row = {
		.id = sqlite3_column_int64(st, 0),
		.time_ns = row_u64(st, 1),
		.who = text_at(st, 2),
		.action = text_at(st, 3),
		.subject = text_at(st, 4),
		.detail = text_at(st, 5),
	};
	struct audit_report *r = &f->report;
	uint8_t prev[SEAL_CHAIN_LEN], hash[SEAL_CHAIN_LEN];
	bool is_chained = row_digest(st, 6, prev) && row_digest(st, 7, hash);

	if (r->first == 0)
		r->first = row.id;
	r->last = row.id;
	if (!is_chained && r->rows == 0) {
		r->unchained++;
		return;
	}
	r->rows++;
	if (!is_chained || !fits(f, &row, prev, hash)) {
		r->broken++;
		if (r->first_broken == 0)
			r->first_broken = row.id;
	}
	if (is_chained)
		memcpy(f->prev, hash, sizeof(hash));
	f->prev_id = row.id;
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
			follow(f, st);
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

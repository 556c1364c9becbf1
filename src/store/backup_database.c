/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backup_database.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sqlite3.h>

#include "store/database.h"
#include "store/schema.h"

enum { BUSY_MS = 10000 };

static int complain(sqlite3 *db, int rc, const char *path, struct diag *d)
{
	int err = (rc & 0xff) == SQLITE_FULL   ? -ENOSPC
		  : (rc & 0xff) == SQLITE_BUSY ? -EBUSY
					       : ERR_CORRUPT;

	return diag_set(d, err, 0, "%s: %s", path,
			db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static int open_database(const char *path, sqlite3 **ret, struct diag *d)
{
	int rc = sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(*ret, BUSY_MS);
		rc = sqlite3_exec(*ret,
				  "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY",
				  NULL, NULL, NULL);
	}
	return rc == SQLITE_OK ? 0 : complain(*ret, rc, path, d);
}

int backup_database_copy(const char *from, const char *to, struct diag *d)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int rc, err = open_database(from, &db, d);

	if (err == 0) {
		rc = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &st, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_bind_text(st, 1, to, -1, SQLITE_STATIC);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		if (rc != SQLITE_DONE)
			err = complain(db, rc, from, d);
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
	return err;
}

static int ask_number(sqlite3 *db, const char *text, const char *path, int64_t *ret,
		      struct diag *d)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, text, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : complain(db, rc, path, d);
}

static int check_integrity(sqlite3 *db, const char *path, struct diag *d)
{
	sqlite3_stmt *st = NULL;
	const unsigned char *said = NULL;
	int err = 0, rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		said = sqlite3_column_text(st, 0);
	if (!said)
		err = complain(db, rc, path, d);
	else if (strcmp((const char *)said, "ok") != 0)
		err = diag_set(d, ERR_CORRUPT, 0, "the database is broken: %s",
			       (const char *)said);
	sqlite3_finalize(st);
	return err;
}

static int check_kind(sqlite3 *db, const char *path, struct backup_counts *ret, struct diag *d)
{
	int64_t id = 0;
	int err = ask_number(db, "PRAGMA application_id", path, &id, d);

	if (err == 0)
		err = ask_number(db, "PRAGMA user_version", path, &ret->schema, d);
	if (err != 0)
		return err;
	if (id != DATABASE_ID || ret->schema < 1)
		return diag_set(d, ERR_CORRUPT, 0, "the database is not one of a gateway");
	if (ret->schema > (int64_t)schema_count)
		return diag_set(d, ERR_VERSION, 0,
				"the database is of a newer culvert (schema %" PRId64
				", known up to %u)",
				ret->schema, schema_count);
	return 0;
}

/* Tables that an older schema does not have count as empty. */
static int count(sqlite3 *db, const char *path, struct backup_counts *ret, struct diag *d)
{
	int64_t has_records = 0;
	int err = ask_number(db, "SELECT count(*) FROM peer", path, &ret->peers, d);

	if (err == 0)
		err = ask_number(db, "SELECT count(*) FROM audit", path, &ret->audit, d);
	if (err == 0)
		err = ask_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'record'",
				 path, &has_records, d);
	if (err == 0 && has_records)
		err = ask_number(db, "SELECT count(*) FROM record", path, &ret->records, d);
	return err;
}

int backup_database_check(const char *path, struct backup_counts *ret, struct diag *d)
{
	sqlite3 *db = NULL;
	int err = open_database(path, &db, d);

	*ret = (struct backup_counts){ 0 };
	if (err == 0)
		err = check_kind(db, path, ret, d);
	if (err == 0)
		err = check_integrity(db, path, d);
	if (err == 0)
		err = count(db, path, ret, d);
	sqlite3_close(db);
	return err;
}

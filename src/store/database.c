/* SPDX-License-Identifier: Apache-2.0 */
#include "store/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include <fcntl.h>
#include <unistd.h>

#include "store/schema.h"

int database_prepare(struct wal *w, const char *text, sqlite3_stmt **ret)
{
	return wal_code(w, w->db, sqlite3_prepare_v2(w->db, text, -1, ret, NULL));
}

static int execute(struct wal *w, const char *text)
{
	return wal_code(w, w->db, sqlite3_exec(w->db, text, NULL, NULL, NULL));
}

static int ask_number(struct wal *w, const char *text, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int rc, err = database_prepare(w, text, &st);

	if (err == 0) {
		rc = sqlite3_step(st);
		err = rc == SQLITE_ROW ? 0 : wal_code(w, w->db, rc);
		*ret = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	}
	sqlite3_finalize(st);
	return err;
}

static int migrate_one(struct wal *w, unsigned int version, const char *sql)
{
	char pragma[96];
	int err = execute(w, "BEGIN IMMEDIATE");

	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u; PRAGMA application_id = %d",
		 version, (int)DATABASE_ID);
	if (err == 0)
		err = execute(w, sql);
	if (err == 0)
		err = execute(w, pragma);
	if (err == 0)
		err = execute(w, "COMMIT");
	if (err != 0)
		sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* Is it ours, and of which version? Nothing is written. */
static int check_file(struct wal *w, const char *path, int64_t *ret_version, struct diag *d)
{
	int64_t version = 0, id = 0, tables = 0;
	int err = ask_number(w, "PRAGMA user_version", &version);

	if (err == 0)
		err = ask_number(w, "PRAGMA application_id", &id);
	if (err == 0)
		err = ask_number(w, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err != 0)
		return diag_set(d, err, 0, "%s is not a usable database: %s", path,
				sqlite3_errmsg(w->db));
	if (tables > 0 && id != DATABASE_ID)
		return diag_set(d, ERR_CORRUPT, 0, "%s is a database of another program", path);
	if (version > (int64_t)schema_count)
		return diag_set(d, ERR_VERSION, 0,
				"%s was written by a newer culvert (schema %" PRId64
				", known up to %u); it was left untouched",
				path, version, schema_count);
	*ret_version = version;
	return 0;
}

static int migrate(struct wal *w, const char *path, int64_t version, struct diag *d)
{
	int err = 0;

	if (version < (int64_t)schema_count)
		err = wal_be_sure(w);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be written: %s", path, err_text(err));
	for (unsigned int v = (unsigned int)version; v < schema_count && err == 0; v++)
		err = migrate_one(w, v + 1, schema_text[v]);
	if (err != 0)
		return diag_set(d, err, 0, "%s: the schema cannot be brought up to date: %s",
				path, sqlite3_errmsg(w->db));
	return 0;
}

int database_connect(struct wal *w, const char *path, sqlite3 **ret)
{
	int rc = sqlite3_open_v2(path, ret,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
				 NULL);

	if (rc != SQLITE_OK)
		return rc == SQLITE_CANTOPEN ? -sqlite3_system_errno(*ret)
					     : wal_code(w, *ret, rc);
	sqlite3_extended_result_codes(*ret, 1);
	sqlite3_busy_timeout(*ret, WAL_BUSY_MS);
	/* EXTRA: that the journal of a migration is gone reaches the disk, too. One that came back
	 * after a failure of power would undo pages under a log that builds on them. */
	rc = sqlite3_exec(*ret,
			  "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;"
			  "PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = 0;"
			  "PRAGMA synchronous = EXTRA; PRAGMA cache_size = -16384",
			  NULL, NULL, NULL);
	return wal_code(w, *ret, rc);
}

/* The file must exist with its owner-only mode before a database library makes it with
 * the mode of the day. */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int database_open(struct wal *w, const char *path, struct diag *d)
{
	int64_t version = 0;
	int err = make_file(path);

	if (err == 0)
		err = database_connect(w, path, &w->db);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be opened: %s", path, err_text(err));
	err = check_file(w, path, &version, d);
	if (err != 0)
		return err;
	w->is_unsure = true;
	/* Full, in use, or broken: it can be read all the same, and every change tries again or
	 * says why not. */
	err = wal_be_sure(w);
	if (err != 0 && err != -ENOSPC && err != -EBUSY && err != -EIO)
		return diag_set(d, err, 0, "%s cannot be prepared: %s", path, err_text(err));
	err = migrate(w, path, version, d);
	if (err != 0)
		return err;
	/* Only now: changing the journal mode writes to the file. */
	err = execute(w, "PRAGMA journal_mode = WAL");
	if (err == 0)
		err = database_connect(w, path, &w->second);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be prepared: %s", path, err_text(err));
	return 0;
}

void database_close(struct wal *w)
{
	sqlite3_close(w->second);
	sqlite3_close(w->db);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/plain_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/database.h"
#include "store/row.h"
#include "sys/log.h"

/* @body is the caller's to free. Return: 1, and the key that comes first; 0: none is plain; or a code */
static int find_plain(struct sqlite *s, struct store_record *ret, char **ret_body)
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE;
	int err = database_prepare(&s->wal,
				   "SELECT id, name, body, changed_ns FROM record"
				   " WHERE kind = ?1 AND sealed IS NULL LIMIT 1",
				   &st);

	if (err == 0) {
		sqlite3_bind_int(st, 1, STORE_KEY);
		rc = sqlite3_step(st);
		err = wal_code(&s->wal, s->wal.db, rc);
	}
	if (err == 0 && rc == SQLITE_ROW) {
		const char *body = (const char *)sqlite3_column_text(st, 2);

		*ret = (struct store_record){ .id = sqlite3_column_int64(st, 0),
					      .kind = STORE_KEY,
					      .changed_ns = row_u64(st, 3) };
		row_text(st, 1, ret->name, sizeof(ret->name));
		*ret_body = body ? strdup(body) : NULL;
		err = *ret_body ? 1 : -ENOMEM;
	}
	sqlite3_finalize(st);
	return err;
}

/* As if it were put there again, at the time that it says. */
static int seal_one(struct sqlite *s, const struct store_record *key, const char *body)
{
	struct store_change c = { .kind = STORE_PUT_RECORD,
				  .record = *key,
				  .now_ns = key->changed_ns };

	c.record.body = body;
	return sqlite_change(s, &c);
}

static int seal_all(struct sqlite *s, unsigned int *ret_n)
{
	for (;;) {
		struct store_record key = { .id = 0 };
		char *body = NULL;
		int err = find_plain(s, &key, &body);

		if (err <= 0)
			return err;
		err = seal_one(s, &key, body);
		free(body);
		if (err != 0)
			return err;
		(*ret_n)++;
	}
}

static int seal_at_once(struct sqlite *s, unsigned int *ret_n)
{
	int err = wal_be_sure(&s->wal);

	if (err == 0)
		err = sqlite_run(s, sqlite_statement(s, BEGIN));
	if (err != 0)
		return err;
	err = seal_all(s, ret_n);
	if (err == 0)
		err = sqlite_run(s, sqlite_statement(s, COMMIT));
	if (err != 0 && !sqlite3_get_autocommit(s->wal.db))
		sqlite3_exec(s->wal.db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

int plain_keys_seal(struct sqlite *s, bool may_be, struct diag *d)
{
	struct store_record key = { .id = 0 };
	unsigned int n = 0;
	char *body = NULL;
	int err = find_plain(s, &key, &body);

	if (err == 0)
		return 0;
	if (err > 0 && !may_be)
		err = ERR_CORRUPT;
	free(body);
	if (err == ERR_CORRUPT)
		return diag_set(d, err, 0,
				"the API key %s (%" PRId64 ") in the database is plain, and all"
				" were sealed: somebody else wrote it",
				key.name, key.id);
	if (err > 0)
		err = seal_at_once(s, &n);
	if (err != 0)
		return diag_set(d, err, 0, "the API keys in the database cannot be sealed: %s",
				err_text(err));
	log_info("%u API keys in the database are sealed from now on", n);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. One file in WAL mode with synchronous=EXTRA: COMMIT appends to the
 * log and fsyncs it, and that is the moment a group is durable. The log is wal.c's.
 *
 * A run of joined changes is one savepoint: what is refused takes its run back and nothing else.
 * The head of the audit trail goes back with it.
 */
#include "store/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/database.h"
#include "store/group.h"
#include "store/load.h"
#include "store/plain_keys.h"
#include "store/row.h"

enum {
	FORGET_PER_GROUP = 64, /* old signatures, beside one for each new one */
};

#define PEER_COLUMNS                                                                       \
	"public_key, name, status, families, port, dns, obfuscation, changed_ns, level,"   \
	" account_id, access_id, sealed, expires_ns, quota_bytes, quota_period, rate_bps," \
	" keepalive_s, blocked, routes, schedule, note"
#define PEER_VALUES                                                                         \
	"?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19," \
	" ?20, ?21, ?22"
/* Addresses of a peer but two, which may be null. */
#define OTHER_ADDRESSES " WHERE peer_id = ?1 AND ip IS NOT ?2 AND ip IS NOT ?3"

static const char *const statement_text[] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[SAVEPOINT] = "SAVEPOINT one",
	[RELEASE] = "RELEASE one",
	[ROLLBACK_TO] = "ROLLBACK TO one",
	[ADD_PEER] = "INSERT INTO peer (interface_id, created_ns, " PEER_COLUMNS ")"
		     " VALUES (?1, ?9, " PEER_VALUES ")",
	[GET_SEALED] = "SELECT public_key, sealed FROM peer WHERE id = ?1",
	[CHANGE_PEER] = "UPDATE peer SET (" PEER_COLUMNS ") = (" PEER_VALUES ") WHERE id = ?1",
	/* A peer that moves may have it already. */
	[ADD_ADDRESS] = "INSERT INTO address (interface_id, ip, peer_id) SELECT ?1, ?2, ?3"
			" WHERE NOT EXISTS (SELECT 1 FROM address"
			" WHERE interface_id = ?1 AND ip = ?2 AND peer_id = ?3)",
	[DROP_RESTING] = "DELETE FROM address WHERE interface_id = ?1 AND ip = ?2"
			 " AND rest_until_ns <= ?3",
	[REST_ADDRESSES] = "UPDATE address SET peer_id = NULL,"
			   " rest_until_ns = ?4" OTHER_ADDRESSES,
	[FREE_ADDRESSES] = "DELETE FROM address" OTHER_ADDRESSES,
	[REMOVE_PEER] = "DELETE FROM peer WHERE id = ?1",
	[DROP_PROFILES] = "DELETE FROM profile WHERE interface_id = ?1",
	[ADD_PROFILE] =
		"INSERT INTO profile (interface_id, name, level, parameters, created_ns,"
		" until_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[ADD_RECORD] = "INSERT INTO record (kind, name, body, sealed, created_ns, changed_ns)"
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
	[CHANGE_RECORD] =
		"UPDATE record SET (name, body, sealed, changed_ns) = (?2, ?3, ?4, ?5)"
		" WHERE id = ?6 AND kind = ?1",
	[DROP_RECORD] = "DELETE FROM record WHERE id = ?1 AND kind = ?2",
	[SET_USAGE] = "INSERT INTO usage (peer_id, data) SELECT ?1, ?2"
		      " WHERE EXISTS (SELECT 1 FROM peer WHERE id = ?1)"
		      " ON CONFLICT (peer_id) DO UPDATE SET data = ?2",
	[ADD_ANSWERED] = "INSERT INTO answered (digest, fingerprint, subject, time_ns)"
			 " VALUES (?1, ?2, ?3, ?4)",
	[DROP_ANSWERED] = "DELETE FROM answered WHERE time_ns < ?1",
	[ADD_SIGNATURE] = "INSERT INTO signature (digest, signed_s) VALUES (?1, ?2)",
	[OLDEST_SIGNATURE] = "SELECT id, signed_s FROM signature ORDER BY id LIMIT 1",
	[DROP_SIGNATURE] = "DELETE FROM signature WHERE id = ?1",
	[SET_FLOOR] = "INSERT INTO fact (name, value) VALUES ('signature_floor_s', ?1)"
		      " ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)",
	[ADD_AUDIT] =
		"INSERT INTO audit (id, time_ns, who, action, subject, detail, prev, hash)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[TRIM_AUDIT] = "DELETE FROM audit WHERE id < ?1",
};
static_assert(sizeof(statement_text) / sizeof(statement_text[0]) == STATEMENTS, "a text each");

static struct sqlite *of(struct store *s)
{
	return (struct sqlite *)s;
}

static int code_of(struct sqlite *s, int rc)
{
	return wal_code(&s->wal, s->wal.db, rc);
}

/* --- Statements --- */

sqlite3_stmt *sqlite_statement(struct sqlite *s, enum statement which)
{
	sqlite3_stmt *st = s->statement[which];

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return st;
}

int sqlite_run(struct sqlite *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int err = code_of(s, rc);

	sqlite3_reset(st);
	return err;
}

static int run_plain(struct sqlite *s, enum statement which)
{
	return sqlite_run(s, sqlite_statement(s, which));
}

/* --- A run of joined changes --- */

static int change_run(struct sqlite *s, struct store_change *first,
		      const struct store_change *end)
{
	int err = 0;

	for (struct store_change *c = first; c != end && err == 0; c = c->next)
		err = c->result = sqlite_change(s, c);
	return err;
}

/* Return: 0 with the outcome in each result, or what ends the whole group. */
static int change_or_undo(struct sqlite *s, struct store_change *first,
			  const struct store_change *end)
{
	uint8_t head[SEAL_CHAIN_LEN];
	int64_t head_id = s->head_id;
	int result, err = run_plain(s, SAVEPOINT);

	if (err != 0)
		return err;
	memcpy(head, s->head, sizeof(head));
	result = change_run(s, first, end);
	if (result == 0)
		return run_plain(s, RELEASE);
	if (!group_is_refusal(result))
		return result;
	memcpy(s->head, head, sizeof(head));
	s->head_id = head_id;
	group_cancel_run(first, end);
	err = run_plain(s, ROLLBACK_TO);
	return err != 0 ? err : run_plain(s, RELEASE);
}

/* --- A group --- */

static int set_floor(struct sqlite *s, uint64_t floor_s)
{
	sqlite3_stmt *st = sqlite_statement(s, SET_FLOOR);

	row_bind_u64(st, 1, floor_s);
	return sqlite_run(s, st);
}

/* Drop signatures nobody could use any more, oldest first, a few at a time. */
static int forget(struct sqlite *s, uint64_t before_s, unsigned int at_most)
{
	uint64_t floor_s = 0;
	int err = 0;

	while (err == 0 && at_most-- > 0) {
		sqlite3_stmt *st = sqlite_statement(s, OLDEST_SIGNATURE);

		if (sqlite3_step(st) != SQLITE_ROW) {
			sqlite3_reset(st);
			break;
		}

		int64_t id = sqlite3_column_int64(st, 0);
		uint64_t signed_s = row_u64(st, 1);

		sqlite3_reset(st);
		if (signed_s >= before_s)
			break;
		if (signed_s > floor_s)
			floor_s = signed_s;
		st = sqlite_statement(s, DROP_SIGNATURE);
		sqlite3_bind_int64(st, 1, id);
		err = sqlite_run(s, st);
	}
	if (err == 0 && floor_s > 0)
		err = set_floor(s, floor_s);
	return err;
}

static int group(struct sqlite *s, struct store_change *first)
{
	uint64_t forget_before_s = 0;
	unsigned int n = 0;
	int err = run_plain(s, BEGIN);

	for (struct store_change *c = first, *end; c && err == 0; c = end) {
		end = group_run_end(c);
		err = change_or_undo(s, c, end);
	}
	for (struct store_change *c = first; c; c = c->next, n++)
		if (c->forget_before_s > forget_before_s)
			forget_before_s = c->forget_before_s;
	if (err == 0 && forget_before_s > 0)
		err = forget(s, forget_before_s, FORGET_PER_GROUP + n);
	return err == 0 ? run_plain(s, COMMIT) : err;
}

static int sqlite_apply(struct store *store, struct store_change *first)
{
	struct sqlite *s = of(store);
	uint8_t head[SEAL_CHAIN_LEN];
	int64_t head_id = s->head_id, *ids = NULL;
	int err = group_keep_ids(first, &ids);

	memcpy(head, s->head, sizeof(head));
	if (err == 0)
		err = wal_be_sure(&s->wal);
	if (err == 0)
		err = wal_begin_anew(&s->wal);
	if (err == 0)
		err = group(s, first);
	if (ids)
		group_put_back_ids(first, ids, err != 0);
	free(ids);
	if (err == 0) {
		wal_committed(&s->wal);
		return 0;
	}
	/* Some errors have rolled back already; ours must not change what is reported. */
	if (!sqlite3_get_autocommit(s->wal.db))
		sqlite3_exec(s->wal.db, "ROLLBACK", NULL, NULL, NULL);
	memcpy(s->head, head, sizeof(head));
	s->head_id = head_id;
	group_fail(first, err);
	return err;
}

/* --- Opening --- */

/* The row that @text answers with, about interface @name with @public_key. @now_ns: 0 where
 * @text has no third parameter */
static int ask_interface(struct sqlite *s, const char *text, const char *name,
			 const uint8_t public_key[32], uint64_t now_ns)
{
	sqlite3_stmt *st = NULL;
	int rc, err = database_prepare(&s->wal, text, &st);

	if (err == 0) {
		row_bind_text(st, 1, name);
		sqlite3_bind_blob(st, 2, public_key, 32, SQLITE_STATIC);
		if (now_ns)
			row_bind_u64(st, 3, now_ns);
		rc = sqlite3_step(st);
		err = code_of(s, rc);
		s->interface_id = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
		if (rc == SQLITE_ROW)
			err = code_of(s, sqlite3_step(st));
	}
	sqlite3_finalize(st);
	return err;
}

static int find_interface(struct sqlite *s, const char *name, const uint8_t public_key[32],
			  uint64_t now_ns)
{
	int err =
		ask_interface(s, "SELECT id FROM interface WHERE name = ?1 AND public_key = ?2",
			      name, public_key, 0);

	if (err != 0 || s->interface_id != 0)
		return err;
	err = wal_be_sure(&s->wal);
	if (err != 0)
		return err;
	return ask_interface(
		s,
		"INSERT INTO interface (name, public_key, created_ns) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (name) DO UPDATE SET public_key = ?2 RETURNING id",
		name, public_key, now_ns);
}

static int prepare_all(struct sqlite *s)
{
	int err = 0;

	for (int i = 0; i < STATEMENTS && err == 0; i++)
		err = code_of(s, sqlite3_prepare_v3(s->wal.db, statement_text[i], -1,
						    SQLITE_PREPARE_PERSISTENT, &s->statement[i],
						    NULL));
	return err;
}

static int sqlite_load_peers(struct store *store, store_peer_visitor visit, void *context)
{
	return load_peers(of(store), visit, context);
}

static int sqlite_load_resting(struct store *store, store_resting_visitor visit, void *context)
{
	return load_resting(of(store), visit, context);
}

static int sqlite_load_profiles(struct store *store, store_profile_visitor visit, void *context)
{
	return load_profiles(of(store), visit, context);
}

static int sqlite_load_signatures(struct store *store, store_signature_visitor visit,
				  void *context, uint64_t *ret_floor_s)
{
	return load_signatures(of(store), visit, context, ret_floor_s);
}

static int sqlite_load_records(struct store *store, store_record_visitor visit, void *context)
{
	return load_records(of(store), visit, context);
}

static int sqlite_load_usage(struct store *store, store_usage_visitor visit, void *context)
{
	return load_usage(of(store), visit, context);
}

static int sqlite_load_answered(struct store *store, store_answered_visitor visit,
				void *context)
{
	return load_answered(of(store), visit, context);
}

static int sqlite_read_audit(struct store *store, int64_t after, size_t limit,
			     store_audit_visitor visit, void *context)
{
	return load_audit(of(store), after, limit, visit, context);
}

static int sqlite_snapshot(struct store *store, bool begin)
{
	struct sqlite *s = of(store);

	return code_of(s,
		       sqlite3_exec(s->wal.db, begin ? "BEGIN" : "COMMIT", NULL, NULL, NULL));
}

static void sqlite_relax(struct store *store)
{
	sqlite3_db_release_memory(of(store)->wal.db);
}

static int sqlite_maintain(struct store *store)
{
	return wal_maintain(&of(store)->wal);
}

static void sqlite_free(struct store *store)
{
	struct sqlite *s = of(store);

	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statement[i]);
	sqlite3_close(s->reader);
	database_close(&s->wal);
	seal_free(s->seal);
	free(s);
}

static const struct store_ops sqlite_ops = {
	.apply = sqlite_apply,
	.load_peers = sqlite_load_peers,
	.load_resting = sqlite_load_resting,
	.load_profiles = sqlite_load_profiles,
	.load_signatures = sqlite_load_signatures,
	.load_records = sqlite_load_records,
	.load_usage = sqlite_load_usage,
	.load_answered = sqlite_load_answered,
	.read_audit = sqlite_read_audit,
	.snapshot = sqlite_snapshot,
	.relax = sqlite_relax,
	.maintain = sqlite_maintain,
	.free = sqlite_free,
};

static int start(struct sqlite *s, const char *path, const struct secret_key *master,
		 struct diag *d)
{
	int err = seal_new(master, &s->seal);

	if (err == 0)
		err = database_open(&s->wal, path, d);
	if (err != 0)
		return err;
	err = prepare_all(s);
	if (err == 0)
		err = database_connect(&s->wal, path, &s->reader);
	if (err == 0)
		err = load_head(s);
	return err == 0 ? 0
			: diag_set(d, err, 0, "%s cannot be prepared: %s", path, err_text(err));
}

/* What was sealed under another key is found out now, not when a peer needs it. */
static int check_seal(struct sqlite *s, const char *path, struct diag *d)
{
	int err = load_is_sealed_by(s);

	if (err == ERR_CORRUPT)
		return diag_set(d, err, 0, "%s: what is sealed in it is damaged", path);
	return err == 0 ? 0
			: diag_set(d, err, 0,
				   "%s: its secrets cannot be opened: %s; the master key is"
				   " another than the one it was written with",
				   path, err_text(err));
}

int store_open_sqlite(const char *path, const struct store_config *config, struct store **ret,
		      struct diag *d)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->store.ops = &sqlite_ops;
	err = start(s, path, config->master, d);
	if (err == 0)
		err = check_seal(s, path, d);
	if (err == 0)
		err = plain_keys_seal(s, !config->has_sealed_keys, d);
	if (err == 0) {
		err = find_interface(s, config->interface, config->public_key, config->now_ns);
		if (err != 0)
			diag_set(d, err, 0, "%s cannot be written: %s", path, err_text(err));
	}
	if (err != 0) {
		sqlite_free(&s->store);
		return err;
	}
	*ret = &s->store;
	return 0;
}

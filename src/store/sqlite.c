/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. One file in WAL mode with synchronous=FULL: COMMIT appends to the
 * log and fsyncs it, and that is the moment a group is durable. The log is wal.c's.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/database.h"
#include "store/load.h"
#include "store/row.h"
#include "store/store.h"
#include "store/wal.h"

enum {
	FORGET_PER_GROUP = 64, /* old signatures, beside one for each new one */
	AUDIT_SLACK = 1000,
};

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	SAVEPOINT,
	RELEASE,
	ROLLBACK_TO,
	ADD_PEER,
	ADD_ADDRESS,
	DROP_RESTING,
	SET_STATUS,
	SET_LEVEL,
	REST_ADDRESSES,
	FREE_ADDRESSES,
	REMOVE_PEER,
	DROP_PROFILES,
	ADD_PROFILE,
	ADD_SIGNATURE,
	OLDEST_SIGNATURE,
	DROP_SIGNATURE,
	SET_FLOOR,
	ADD_AUDIT,
	TRIM_AUDIT,
	STATEMENTS,
};

static const char *const statement_text[] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[SAVEPOINT] = "SAVEPOINT one",
	[RELEASE] = "RELEASE one",
	[ROLLBACK_TO] = "ROLLBACK TO one",
	[ADD_PEER] = "INSERT INTO peer (interface_id, public_key, name, status, families, port,"
		     " dns, obfuscation, created_ns, changed_ns, level)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
	[ADD_ADDRESS] = "INSERT INTO address (interface_id, ip, peer_id) VALUES (?1, ?2, ?3)",
	[DROP_RESTING] = "DELETE FROM address WHERE interface_id = ?1 AND ip = ?2"
			 " AND rest_until_ns <= ?3",
	[SET_STATUS] = "UPDATE peer SET status = ?2, changed_ns = ?3 WHERE id = ?1",
	[SET_LEVEL] = "UPDATE peer SET level = ?2, changed_ns = ?3 WHERE id = ?1",
	[REST_ADDRESSES] = "UPDATE address SET peer_id = NULL, rest_until_ns = ?2"
			   " WHERE peer_id = ?1",
	[FREE_ADDRESSES] = "DELETE FROM address WHERE peer_id = ?1",
	[REMOVE_PEER] = "DELETE FROM peer WHERE id = ?1",
	[DROP_PROFILES] = "DELETE FROM profile WHERE interface_id = ?1",
	[ADD_PROFILE] =
		"INSERT INTO profile (interface_id, name, level, parameters, created_ns,"
		" until_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[ADD_SIGNATURE] = "INSERT INTO signature (digest, signed_s) VALUES (?1, ?2)",
	[OLDEST_SIGNATURE] = "SELECT id, signed_s FROM signature ORDER BY id LIMIT 1",
	[DROP_SIGNATURE] = "DELETE FROM signature WHERE id = ?1",
	[SET_FLOOR] = "INSERT INTO fact (name, value) VALUES ('signature_floor_s', ?1)"
		      " ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)",
	[ADD_AUDIT] =
		"INSERT INTO audit (time_ns, who, action, subject) VALUES (?1, ?2, ?3, ?4)",
	[TRIM_AUDIT] = "DELETE FROM audit WHERE id < ?1",
};
static_assert(sizeof(statement_text) / sizeof(statement_text[0]) == STATEMENTS, "a text each");

struct sqlite {
	struct store store; /* first: the ops get a pointer to it */
	struct wal wal;
	sqlite3_stmt *statement[STATEMENTS];
	int64_t interface_id;
};

static struct sqlite *of(struct store *s)
{
	return (struct sqlite *)s;
}

static int code_of(struct sqlite *s, int rc)
{
	return wal_code(&s->wal, s->wal.db, rc);
}

/* --- Statements --- */

static sqlite3_stmt *statement(struct sqlite *s, enum statement which)
{
	sqlite3_stmt *st = s->statement[which];

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return st;
}

static int run(struct sqlite *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int err = code_of(s, rc);

	sqlite3_reset(st);
	return err;
}

static int run_plain(struct sqlite *s, enum statement which)
{
	return run(s, statement(s, which));
}

/* --- One change --- */

static int add_address(struct sqlite *s, const struct ip_addr *ip, int64_t peer_id,
		       uint64_t now_ns)
{
	sqlite3_stmt *st;
	int err;

	if (ip->family == ADDR_NONE)
		return 0;
	st = statement(s, DROP_RESTING);
	sqlite3_bind_int64(st, 1, s->interface_id);
	row_bind_ip(st, 2, ip);
	row_bind_u64(st, 3, now_ns);
	err = run(s, st);
	if (err != 0)
		return err;
	st = statement(s, ADD_ADDRESS);
	sqlite3_bind_int64(st, 1, s->interface_id);
	row_bind_ip(st, 2, ip);
	sqlite3_bind_int64(st, 3, peer_id);
	return run(s, st);
}

static int add_peer(struct sqlite *s, struct store_change *c)
{
	struct store_peer *p = &c->peer;
	sqlite3_stmt *st = statement(s, ADD_PEER);
	int err;

	sqlite3_bind_int64(st, 1, s->interface_id);
	sqlite3_bind_blob(st, 2, p->public_key, sizeof(p->public_key), SQLITE_STATIC);
	row_bind_text_or_null(st, 3, p->name);
	sqlite3_bind_int(st, 4, (int)p->status);
	sqlite3_bind_int(st, 5, (int)p->families);
	sqlite3_bind_int(st, 6, p->port);
	row_bind_text(st, 7, p->dns);
	row_bind_text_or_null(st, 8, p->obfuscation);
	row_bind_u64(st, 9, c->now_ns);
	row_bind_text(st, 10, frame_level_name(p->level));
	err = run(s, st);
	if (err != 0)
		return err;
	p->id = sqlite3_last_insert_rowid(s->wal.db);
	p->created_ns = p->changed_ns = c->now_ns;
	err = add_address(s, &p->v4, p->id, c->now_ns);
	return err != 0 ? err : add_address(s, &p->v6, p->id, c->now_ns);
}

/* @st has its second value. */
static int change_peer(struct sqlite *s, sqlite3_stmt *st, const struct store_change *c)
{
	int err;

	sqlite3_bind_int64(st, 1, c->peer.id);
	row_bind_u64(st, 3, c->now_ns);
	err = run(s, st);
	if (err == 0 && sqlite3_changes(s->wal.db) == 0)
		return ERR_UNKNOWN;
	return err;
}

static int set_status(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, SET_STATUS);

	sqlite3_bind_int(st, 2, (int)c->peer.status);
	return change_peer(s, st, c);
}

static int set_level(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, SET_LEVEL);

	row_bind_text(st, 2, frame_level_name(c->peer.level));
	return change_peer(s, st, c);
}

static int remove_peer(struct sqlite *s, struct store_change *c)
{
	sqlite3_stmt *st = statement(s, c->rest_until_ns ? REST_ADDRESSES : FREE_ADDRESSES);
	int err;

	sqlite3_bind_int64(st, 1, c->peer.id);
	if (c->rest_until_ns)
		row_bind_u64(st, 2, c->rest_until_ns);
	err = run(s, st);
	if (err != 0)
		return err;
	st = statement(s, REMOVE_PEER);
	sqlite3_bind_int64(st, 1, c->peer.id);
	err = run(s, st);
	if (err == 0 && sqlite3_changes(s->wal.db) == 0)
		return ERR_UNKNOWN;
	return err;
}

static int add_profile(struct sqlite *s, const struct store_profile *p)
{
	sqlite3_stmt *st = statement(s, ADD_PROFILE);

	sqlite3_bind_int64(st, 1, s->interface_id);
	row_bind_text(st, 2, p->name);
	row_bind_text(st, 3, frame_level_name(p->level));
	row_bind_text(st, 4, p->parameters);
	row_bind_u64(st, 5, p->created_ns);
	if (p->until_ns)
		row_bind_u64(st, 6, p->until_ns);
	return run(s, st);
}

static int set_profiles(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, DROP_PROFILES);
	int err;

	sqlite3_bind_int64(st, 1, s->interface_id);
	err = run(s, st);
	for (size_t i = 0; i < c->n_profiles && err == 0; i++)
		err = add_profile(s, &c->profiles[i]);
	return err;
}

static int add_signature(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, ADD_SIGNATURE);

	sqlite3_bind_blob(st, 1, c->digest, sizeof(c->digest), SQLITE_STATIC);
	row_bind_u64(st, 2, c->signed_s);
	return run(s, st);
}

static const char *action_of(const struct store_change *c)
{
	switch (c->kind) {
	case STORE_ADD_PEER:
		return "peer added";
	case STORE_SET_STATUS:
		return c->peer.status == STORE_PEER_ACTIVE ? "peer enabled" : "peer disabled";
	case STORE_REMOVE_PEER:
		return "peer removed";
	case STORE_SET_LEVEL:
		return "peer's level changed";
	case STORE_SET_PROFILES:
		return c->dropped[0] ? "profile dropped" : "level rotated";
	case STORE_NO_CHANGE:
		break;
	}
	return "";
}

static int add_audit(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, ADD_AUDIT);
	char subject[64];

	if (c->kind == STORE_SET_PROFILES && c->dropped[0])
		snprintf(subject, sizeof(subject), "profile %s", c->dropped);
	else if (c->kind == STORE_SET_PROFILES)
		snprintf(subject, sizeof(subject), "level %s", frame_level_name(c->peer.level));
	else
		snprintf(subject, sizeof(subject), "peer %" PRId64, c->peer.id);
	row_bind_u64(st, 1, c->now_ns);
	row_bind_text(st, 2, c->who);
	row_bind_text(st, 3, action_of(c));
	row_bind_text(st, 4, subject);

	int err = run(s, st);
	int64_t newest = sqlite3_last_insert_rowid(s->wal.db);

	if (err != 0 || newest % AUDIT_SLACK != 0 || newest <= STORE_AUDIT_MAX)
		return err;
	st = statement(s, TRIM_AUDIT);
	sqlite3_bind_int64(st, 1, newest - STORE_AUDIT_MAX);
	return run(s, st);
}

static int change(struct sqlite *s, struct store_change *c)
{
	int err = 0;

	switch (c->kind) {
	case STORE_ADD_PEER:
		err = add_peer(s, c);
		break;
	case STORE_SET_STATUS:
		err = set_status(s, c);
		break;
	case STORE_REMOVE_PEER:
		err = remove_peer(s, c);
		break;
	case STORE_SET_LEVEL:
		err = set_level(s, c);
		break;
	case STORE_SET_PROFILES:
		err = set_profiles(s, c);
		break;
	case STORE_NO_CHANGE:
		break;
	}
	if (err == 0 && c->has_signature)
		err = add_signature(s, c);
	if (err == 0 && c->who[0] && c->kind != STORE_NO_CHANGE)
		err = add_audit(s, c);
	return err;
}

/* Return: 0 with the outcome in @c->result, or what ends the whole group. */
static int change_or_undo(struct sqlite *s, struct store_change *c)
{
	int err = run_plain(s, SAVEPOINT);

	if (err != 0)
		return err;
	c->result = change(s, c);
	if (c->result == 0)
		return run_plain(s, RELEASE);
	if (c->result != ERR_EXISTS && c->result != ERR_UNKNOWN)
		return c->result;
	err = run_plain(s, ROLLBACK_TO);
	return err != 0 ? err : run_plain(s, RELEASE);
}

/* --- A group --- */

static int set_floor(struct sqlite *s, uint64_t floor_s)
{
	sqlite3_stmt *st = statement(s, SET_FLOOR);

	row_bind_u64(st, 1, floor_s);
	return run(s, st);
}

/* Drop signatures nobody could use any more, oldest first, a few at a time. */
static int forget(struct sqlite *s, uint64_t before_s, unsigned int at_most)
{
	uint64_t floor_s = 0;
	int err = 0;

	while (err == 0 && at_most-- > 0) {
		sqlite3_stmt *st = statement(s, OLDEST_SIGNATURE);

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
		st = statement(s, DROP_SIGNATURE);
		sqlite3_bind_int64(st, 1, id);
		err = run(s, st);
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

	for (struct store_change *c = first; c && err == 0; c = c->next, n++) {
		err = change_or_undo(s, c);
		if (c->forget_before_s > forget_before_s)
			forget_before_s = c->forget_before_s;
	}
	if (err == 0 && forget_before_s > 0)
		err = forget(s, forget_before_s, FORGET_PER_GROUP + n);
	return err == 0 ? run_plain(s, COMMIT) : err;
}

static int sqlite_apply(struct store *store, struct store_change *first)
{
	struct sqlite *s = of(store);
	int err = wal_be_sure(&s->wal);

	if (err == 0)
		err = wal_begin_anew(&s->wal);
	if (err == 0)
		err = group(s, first);

	if (err == 0) {
		wal_committed(&s->wal);
		return 0;
	}
	/* Some errors have rolled back already; ours must not change what is reported. */
	if (!sqlite3_get_autocommit(s->wal.db))
		sqlite3_exec(s->wal.db, "ROLLBACK", NULL, NULL, NULL);
	for (struct store_change *c = first; c; c = c->next)
		c->result = err;
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
	return load_peers(&of(store)->wal, of(store)->interface_id, visit, context);
}

static int sqlite_load_resting(struct store *store, store_resting_visitor visit, void *context)
{
	return load_resting(&of(store)->wal, of(store)->interface_id, visit, context);
}

static int sqlite_load_profiles(struct store *store, store_profile_visitor visit, void *context)
{
	return load_profiles(&of(store)->wal, of(store)->interface_id, visit, context);
}

static int sqlite_load_signatures(struct store *store, store_signature_visitor visit,
				  void *context, uint64_t *ret_floor_s)
{
	return load_signatures(&of(store)->wal, visit, context, ret_floor_s);
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
	database_close(&s->wal);
	free(s);
}

static const struct store_ops sqlite_ops = {
	.apply = sqlite_apply,
	.load_peers = sqlite_load_peers,
	.load_resting = sqlite_load_resting,
	.load_profiles = sqlite_load_profiles,
	.load_signatures = sqlite_load_signatures,
	.maintain = sqlite_maintain,
	.free = sqlite_free,
};

static int start(struct sqlite *s, const char *path, struct diag *d)
{
	int err = database_open(&s->wal, path, d);

	if (err != 0)
		return err;
	err = prepare_all(s);
	return err == 0 ? 0
			: diag_set(d, err, 0, "%s cannot be prepared: %s", path, err_text(err));
}

int store_open_sqlite(const char *path, const char *interface, const uint8_t public_key[32],
		      uint64_t now_ns, struct store **ret, struct diag *d)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->store.ops = &sqlite_ops;
	err = start(s, path, d);
	if (err == 0) {
		err = find_interface(s, interface, public_key, now_ns);
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

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

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "store/schema.h"
#include "store/store.h"
#include "store/wal.h"

enum {
	APPLICATION_ID = 0x43756c76, /* "Culv": tells our file from any other database */
	FORGET_PER_GROUP = 64,	     /* old signatures, beside one for each new one */
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
	REST_ADDRESSES,
	FREE_ADDRESSES,
	REMOVE_PEER,
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
		     " dns, obfuscation, created_ns, changed_ns)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
	[ADD_ADDRESS] = "INSERT INTO address (interface_id, ip, peer_id) VALUES (?1, ?2, ?3)",
	[DROP_RESTING] = "DELETE FROM address WHERE interface_id = ?1 AND ip = ?2"
			 " AND rest_until_ns <= ?3",
	[SET_STATUS] = "UPDATE peer SET status = ?2, changed_ns = ?3 WHERE id = ?1",
	[REST_ADDRESSES] = "UPDATE address SET peer_id = NULL, rest_until_ns = ?2"
			   " WHERE peer_id = ?1",
	[FREE_ADDRESSES] = "DELETE FROM address WHERE peer_id = ?1",
	[REMOVE_PEER] = "DELETE FROM peer WHERE id = ?1",
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
	sqlite3 *db;	    /* of the thread that applies and loads */
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
	return wal_code(&s->wal, s->db, rc);
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

static void bind_time(sqlite3_stmt *st, int at, uint64_t ns)
{
	sqlite3_bind_int64(st, at, (sqlite3_int64)ns);
}

static void bind_text_or_null(sqlite3_stmt *st, int at, const char *text)
{
	if (text[0])
		sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static void bind_ip(sqlite3_stmt *st, int at, const struct ip_addr *ip)
{
	sqlite3_bind_blob(st, at, ip->b, ip->family == ADDR_V4 ? 4 : 16, SQLITE_STATIC);
}

static struct ip_addr column_ip(sqlite3_stmt *st, int at)
{
	const uint8_t *b = sqlite3_column_blob(st, at);
	int len = sqlite3_column_bytes(st, at);

	if (b && len == 4)
		return ip_addr_v4(b);
	if (b && len == 16)
		return ip_addr_v6(b);
	return (struct ip_addr){ .family = ADDR_NONE };
}

static void column_text(sqlite3_stmt *st, int at, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, at);

	snprintf(out, size, "%s", text ? (const char *)text : "");
}

static bool column_digest(sqlite3_stmt *st, int at, uint8_t out[32])
{
	const void *blob = sqlite3_column_blob(st, at);

	if (!blob || sqlite3_column_bytes(st, at) != 32)
		return false;
	memcpy(out, blob, 32);
	return true;
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
	bind_ip(st, 2, ip);
	bind_time(st, 3, now_ns);
	err = run(s, st);
	if (err != 0)
		return err;
	st = statement(s, ADD_ADDRESS);
	sqlite3_bind_int64(st, 1, s->interface_id);
	bind_ip(st, 2, ip);
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
	bind_text_or_null(st, 3, p->name);
	sqlite3_bind_int(st, 4, (int)p->status);
	sqlite3_bind_int(st, 5, (int)p->families);
	sqlite3_bind_int(st, 6, p->port);
	sqlite3_bind_text(st, 7, p->dns, -1, SQLITE_STATIC);
	bind_text_or_null(st, 8, p->obfuscation);
	bind_time(st, 9, c->now_ns);
	err = run(s, st);
	if (err != 0)
		return err;
	p->id = sqlite3_last_insert_rowid(s->db);
	p->created_ns = p->changed_ns = c->now_ns;
	err = add_address(s, &p->v4, p->id, c->now_ns);
	return err != 0 ? err : add_address(s, &p->v6, p->id, c->now_ns);
}

static int set_status(struct sqlite *s, struct store_change *c)
{
	sqlite3_stmt *st = statement(s, SET_STATUS);
	int err;

	sqlite3_bind_int64(st, 1, c->peer.id);
	sqlite3_bind_int(st, 2, (int)c->peer.status);
	bind_time(st, 3, c->now_ns);
	err = run(s, st);
	if (err == 0 && sqlite3_changes(s->db) == 0)
		return ERR_UNKNOWN;
	return err;
}

static int remove_peer(struct sqlite *s, struct store_change *c)
{
	sqlite3_stmt *st = statement(s, c->rest_until_ns ? REST_ADDRESSES : FREE_ADDRESSES);
	int err;

	sqlite3_bind_int64(st, 1, c->peer.id);
	if (c->rest_until_ns)
		bind_time(st, 2, c->rest_until_ns);
	err = run(s, st);
	if (err != 0)
		return err;
	st = statement(s, REMOVE_PEER);
	sqlite3_bind_int64(st, 1, c->peer.id);
	err = run(s, st);
	if (err == 0 && sqlite3_changes(s->db) == 0)
		return ERR_UNKNOWN;
	return err;
}

static int add_signature(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, ADD_SIGNATURE);

	sqlite3_bind_blob(st, 1, c->digest, sizeof(c->digest), SQLITE_STATIC);
	bind_time(st, 2, c->signed_s);
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
	case STORE_NO_CHANGE:
		break;
	}
	return "";
}

static int add_audit(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = statement(s, ADD_AUDIT);
	char subject[64];

	snprintf(subject, sizeof(subject), "peer %" PRId64, c->peer.id);
	bind_time(st, 1, c->now_ns);
	sqlite3_bind_text(st, 2, c->who, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, action_of(c), -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, subject, -1, SQLITE_STATIC);

	int err = run(s, st);
	int64_t newest = sqlite3_last_insert_rowid(s->db);

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

	bind_time(st, 1, floor_s);
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
		uint64_t signed_s = (uint64_t)sqlite3_column_int64(st, 1);

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

static int execute(struct sqlite *s, const char *text)
{
	return code_of(s, sqlite3_exec(s->db, text, NULL, NULL, NULL));
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
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	for (struct store_change *c = first; c; c = c->next)
		c->result = err;
	return err;
}

/* --- Loading --- */

static int prepare(struct sqlite *s, const char *text, sqlite3_stmt **ret)
{
	return code_of(s, sqlite3_prepare_v2(s->db, text, -1, ret, NULL));
}

static bool read_peer(sqlite3_stmt *st, struct store_peer *p)
{
	*p = (struct store_peer){
		.id = sqlite3_column_int64(st, 0),
		.status = (enum store_status)sqlite3_column_int(st, 3),
		.families = (unsigned int)sqlite3_column_int(st, 4),
		.port = (uint16_t)sqlite3_column_int(st, 5),
		.created_ns = (uint64_t)sqlite3_column_int64(st, 8),
		.changed_ns = (uint64_t)sqlite3_column_int64(st, 9),
	};
	column_text(st, 2, p->name, sizeof(p->name));
	column_text(st, 6, p->dns, sizeof(p->dns));
	column_text(st, 7, p->obfuscation, sizeof(p->obfuscation));
	return column_digest(st, 1, p->public_key);
}

static int read_address(struct store_peer *p, sqlite3_stmt *st)
{
	struct ip_addr ip = column_ip(st, 10);

	if (ip.family == ADDR_V4)
		p->v4 = ip;
	else if (ip.family == ADDR_V6)
		p->v6 = ip;
	return 0;
}

/* One row per address; rows of one peer follow each other. */
static int visit_peers(struct sqlite *s, sqlite3_stmt *st, store_peer_visitor visit,
		       void *context)
{
	struct store_peer p = { .id = 0 };
	int rc, err = 0;

	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (sqlite3_column_int64(st, 0) != p.id) {
			if (p.id != 0)
				err = visit(context, &p);
			if (err == 0 && !read_peer(st, &p))
				err = ERR_CORRUPT;
		}
		if (err == 0)
			err = read_address(&p, st);
	}
	if (err != 0)
		return err;
	err = code_of(s, rc);
	return err == 0 && p.id != 0 ? visit(context, &p) : err;
}

static int sqlite_load_peers(struct store *store, store_peer_visitor visit, void *context)
{
	struct sqlite *s = of(store);
	sqlite3_stmt *st = NULL;
	int err = prepare(s,
			  "SELECT p.id, p.public_key, p.name, p.status, p.families, p.port,"
			  " p.dns, p.obfuscation, p.created_ns, p.changed_ns, a.ip"
			  " FROM peer p LEFT JOIN address a ON a.peer_id = p.id"
			  " WHERE p.interface_id = ?1 ORDER BY p.id",
			  &st);

	if (err == 0) {
		sqlite3_bind_int64(st, 1, s->interface_id);
		err = visit_peers(s, st, visit, context);
	}
	sqlite3_finalize(st);
	return err;
}

static int sqlite_load_resting(struct store *store, store_resting_visitor visit, void *context)
{
	struct sqlite *s = of(store);
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE;
	int err = prepare(s,
			  "SELECT ip, rest_until_ns FROM address"
			  " WHERE interface_id = ?1 AND rest_until_ns IS NOT NULL",
			  &st);

	if (err == 0)
		sqlite3_bind_int64(st, 1, s->interface_id);
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_resting r = {
			.ip = column_ip(st, 0),
			.until_ns = (uint64_t)sqlite3_column_int64(st, 1),
		};

		err = visit(context, &r);
	}
	if (err == 0)
		err = code_of(s, rc);
	sqlite3_finalize(st);
	return err;
}

static int load_floor(struct sqlite *s, uint64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int err = prepare(s, "SELECT value FROM fact WHERE name = 'signature_floor_s'", &st);

	if (err == 0) {
		int rc = sqlite3_step(st);

		err = code_of(s, rc);
		*ret = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	}
	sqlite3_finalize(st);
	return err;
}

static int sqlite_load_signatures(struct store *store, store_signature_visitor visit,
				  void *context, uint64_t *ret_floor_s)
{
	struct sqlite *s = of(store);
	sqlite3_stmt *st = NULL;
	uint64_t floor_s = 0;
	int rc = SQLITE_DONE;
	int err = load_floor(s, &floor_s);

	if (err == 0)
		err = prepare(s, "SELECT digest, signed_s FROM signature ORDER BY id", &st);
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_signature one = {
			.signed_s = (uint64_t)sqlite3_column_int64(st, 1),
		};

		err = column_digest(st, 0, one.digest) ? visit(context, &one) : ERR_CORRUPT;
	}
	if (err == 0)
		err = code_of(s, rc);
	sqlite3_finalize(st);
	if (err == 0)
		*ret_floor_s = floor_s;
	return err;
}

/* --- Opening --- */

static int ask_number(struct sqlite *s, const char *text, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int rc, err = prepare(s, text, &st);

	if (err == 0) {
		rc = sqlite3_step(st);
		err = rc == SQLITE_ROW ? 0 : code_of(s, rc);
		*ret = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	}
	sqlite3_finalize(st);
	return err;
}

static int migrate_one(struct sqlite *s, unsigned int version, const char *sql)
{
	char pragma[96];
	int err = execute(s, "BEGIN IMMEDIATE");

	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u; PRAGMA application_id = %d",
		 version, (int)APPLICATION_ID);
	if (err == 0)
		err = execute(s, sql);
	if (err == 0)
		err = execute(s, pragma);
	if (err == 0)
		err = execute(s, "COMMIT");
	if (err != 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* Is it ours, and of which version? Nothing is written. */
static int check_file(struct sqlite *s, const char *path, int64_t *ret_version, struct diag *d)
{
	int64_t version = 0, id = 0, tables = 0;
	int err = ask_number(s, "PRAGMA user_version", &version);

	if (err == 0)
		err = ask_number(s, "PRAGMA application_id", &id);
	if (err == 0)
		err = ask_number(s, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err != 0)
		return diag_set(d, err, 0, "%s is not a usable database: %s", path,
				sqlite3_errmsg(s->db));
	if (tables > 0 && id != APPLICATION_ID)
		return diag_set(d, ERR_CORRUPT, 0, "%s is a database of another program", path);
	if (version > (int64_t)schema_count)
		return diag_set(d, ERR_VERSION, 0,
				"%s was written by a newer culvert (schema %" PRId64
				", known up to %u); it was left untouched",
				path, version, schema_count);
	*ret_version = version;
	return 0;
}

static int migrate(struct sqlite *s, const char *path, int64_t version, struct diag *d)
{
	int err = 0;

	if (version < (int64_t)schema_count)
		err = wal_be_sure(&s->wal);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be written: %s", path, err_text(err));
	for (unsigned int v = (unsigned int)version; v < schema_count && err == 0; v++)
		err = migrate_one(s, v + 1, schema_text[v]);
	if (err != 0)
		return diag_set(d, err, 0, "%s: the schema cannot be brought up to date: %s",
				path, sqlite3_errmsg(s->db));
	return 0;
}

/* The row that @text answers with, about interface @name with @public_key. @now_ns: 0 where
 * @text has no third parameter */
static int ask_interface(struct sqlite *s, const char *text, const char *name,
			 const uint8_t public_key[32], uint64_t now_ns)
{
	sqlite3_stmt *st = NULL;
	int rc, err = prepare(s, text, &st);

	if (err == 0) {
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_blob(st, 2, public_key, 32, SQLITE_STATIC);
		if (now_ns)
			bind_time(st, 3, now_ns);
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
		err = code_of(s, sqlite3_prepare_v3(s->db, statement_text[i], -1,
						    SQLITE_PREPARE_PERSISTENT, &s->statement[i],
						    NULL));
	return err;
}

static int connect_file(struct sqlite *s, const char *path, sqlite3 **ret)
{
	int rc = sqlite3_open_v2(path, ret,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
				 NULL);

	if (rc != SQLITE_OK)
		return rc == SQLITE_CANTOPEN ? -sqlite3_system_errno(*ret)
					     : wal_code(&s->wal, *ret, rc);
	sqlite3_extended_result_codes(*ret, 1);
	sqlite3_busy_timeout(*ret, WAL_BUSY_MS);
	rc = sqlite3_exec(*ret,
			  "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;"
			  "PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = 0;"
			  "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768",
			  NULL, NULL, NULL);
	return wal_code(&s->wal, *ret, rc);
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

static int sqlite_maintain(struct store *store)
{
	return wal_maintain(&of(store)->wal);
}

static void sqlite_free(struct store *store)
{
	struct sqlite *s = of(store);

	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statement[i]);
	sqlite3_close(s->wal.second);
	sqlite3_close(s->db);
	free(s);
}

static const struct store_ops sqlite_ops = {
	.apply = sqlite_apply,
	.load_peers = sqlite_load_peers,
	.load_resting = sqlite_load_resting,
	.load_signatures = sqlite_load_signatures,
	.maintain = sqlite_maintain,
	.free = sqlite_free,
};

static int start(struct sqlite *s, const char *path, struct diag *d)
{
	int64_t version = 0;
	int err = make_file(path);

	if (err == 0)
		err = connect_file(s, path, &s->db);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be opened: %s", path, err_text(err));
	err = check_file(s, path, &version, d);
	if (err != 0)
		return err;
	s->wal.db = s->db;
	s->wal.is_unsure = true;
	/* Full, in use, or broken: it can be read all the same, and every change tries again or
	 * says why not. */
	err = wal_be_sure(&s->wal);
	if (err != 0 && err != -ENOSPC && err != -EBUSY && err != -EIO)
		return diag_set(d, err, 0, "%s cannot be prepared: %s", path, err_text(err));
	err = migrate(s, path, version, d);
	if (err != 0)
		return err;
	/* Only now: changing the journal mode writes to the file. */
	err = execute(s, "PRAGMA journal_mode = WAL");
	if (err == 0)
		err = connect_file(s, path, &s->wal.second);
	if (err == 0)
		err = prepare_all(s);
	if (err != 0)
		return diag_set(d, err, 0, "%s cannot be prepared: %s", path, err_text(err));
	return 0;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/database.h"
#include "store/row.h"

/* One row at a time: 0 to go on, or what ends the load. */
typedef int (*row_reader)(struct sqlite *s, sqlite3_stmt *st, void *context);

/* struct reading - What to call for each row; for the readers below */
struct reading {
	union {
		store_resting_visitor resting;
		store_profile_visitor profile;
		store_signature_visitor signature;
		store_record_visitor record;
		store_usage_visitor usage;
		store_answered_visitor answered;
		store_audit_visitor audit;
	} visit;
	void *context;
};

/* @number: bound as ?1 where the text has one. */
static int each_row(struct sqlite *s, const char *text, int64_t number, row_reader read,
		    void *context)
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE;
	int err = database_prepare(&s->wal, text, &st);

	if (err == 0 && sqlite3_bind_parameter_count(st) > 0)
		sqlite3_bind_int64(st, 1, number);
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = read(s, st, context);
	if (err == 0)
		err = wal_code(&s->wal, s->wal.db, rc);
	sqlite3_finalize(st);
	return err;
}

static const char *text_or_null(sqlite3_stmt *st, int at)
{
	return (const char *)sqlite3_column_text(st, at);
}

/* Whoever wrote another word is no version of ours. */
static bool read_level(sqlite3_stmt *st, int at, enum frame_level *ret)
{
	char word[16];

	row_text(st, at, word, sizeof(word));
	*ret = frame_level_find(word, strlen(word));
	return *ret < FRAME_LEVELS;
}

/* --- Peers --- */

/* struct peer_reading - Rows of one peer follow each other, one per address */
struct peer_reading {
	store_peer_visitor visit;
	void *context;
	struct store_peer peer; /* id 0: none yet */
	char routes[STORE_ROUTES_MAX + 1];
	char schedule[STORE_SCHEDULE_MAX + 1];
	char note[STORE_NOTE_MAX + 1];
};

/* A text that outlives its row. */
static const char *keep_text(sqlite3_stmt *st, int at, char *out, size_t size)
{
	row_text(st, at, out, size);
	return out[0] ? out : NULL;
}

static void read_limits(sqlite3_stmt *st, struct store_peer *p)
{
	p->account_id = sqlite3_column_int64(st, 12);
	p->access_id = sqlite3_column_int64(st, 13);
	p->expires_ns = row_u64(st, 15);
	p->quota_bytes = row_u64(st, 16);
	p->quota_period = (enum store_period)sqlite3_column_int(st, 17);
	p->rate_bps = row_u64(st, 18);
	p->keepalive_s = (uint16_t)sqlite3_column_int(st, 19);
	p->blocked = (unsigned int)sqlite3_column_int(st, 20);
}

static int read_peer(struct sqlite *s, sqlite3_stmt *st, struct peer_reading *r)
{
	struct store_peer *p = &r->peer;

	*p = (struct store_peer){
		.id = sqlite3_column_int64(st, 0),
		.status = (enum store_status)sqlite3_column_int(st, 3),
		.families = (unsigned int)sqlite3_column_int(st, 4),
		.port = (uint16_t)sqlite3_column_int(st, 5),
		.created_ns = row_u64(st, 8),
		.changed_ns = row_u64(st, 9),
	};
	row_text(st, 2, p->name, sizeof(p->name));
	row_text(st, 6, p->dns, sizeof(p->dns));
	row_text(st, 7, p->obfuscation, sizeof(p->obfuscation));
	read_limits(st, p);
	p->routes = keep_text(st, 21, r->routes, sizeof(r->routes));
	p->schedule = keep_text(st, 22, r->schedule, sizeof(r->schedule));
	p->note = keep_text(st, 23, r->note, sizeof(r->note));
	if (!row_digest(st, 1, p->public_key) || !read_level(st, 11, &p->level) ||
	    p->quota_period >= STORE_PERIODS)
		return ERR_CORRUPT;
	return sqlite_open_key(s, st, 14, p->public_key, &p->preshared_key);
}

static int end_peer(struct peer_reading *r)
{
	int err = r->peer.id != 0 ? r->visit(r->context, &r->peer) : 0;

	secret_key_done(&r->peer.preshared_key);
	return err;
}

static int read_peer_row(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	struct peer_reading *r = context;
	struct ip_addr ip = row_ip(st, 10);
	int err = 0;

	if (sqlite3_column_int64(st, 0) != r->peer.id) {
		err = end_peer(r);
		if (err == 0)
			err = read_peer(s, st, r);
	}
	if (ip.family == ADDR_V4)
		r->peer.v4 = ip;
	else if (ip.family == ADDR_V6)
		r->peer.v6 = ip;
	return err;
}

int load_peers(struct sqlite *s, store_peer_visitor visit, void *context)
{
	struct peer_reading *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->visit = visit;
	r->context = context;
	err = each_row(s,
		       "SELECT p.id, p.public_key, p.name, p.status, p.families, p.port,"
		       " p.dns, p.obfuscation, p.created_ns, p.changed_ns, a.ip, p.level,"
		       " p.account_id, p.access_id, p.sealed, p.expires_ns, p.quota_bytes,"
		       " p.quota_period, p.rate_bps, p.keepalive_s, p.blocked, p.routes,"
		       " p.schedule, p.note"
		       " FROM peer p LEFT JOIN address a ON a.peer_id = p.id"
		       " WHERE p.interface_id = ?1 ORDER BY p.id",
		       s->interface_id, read_peer_row, r);
	if (err == 0)
		err = end_peer(r);
	secret_wipe(r, sizeof(*r));
	free(r);
	return err;
}

static int read_resting(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	const struct reading *r = context;
	struct store_resting one = { .ip = row_ip(st, 0), .until_ns = row_u64(st, 1) };

	(void)s;
	return r->visit.resting(r->context, &one);
}

int load_resting(struct sqlite *s, store_resting_visitor visit, void *context)
{
	struct reading r = { .visit.resting = visit, .context = context };

	return each_row(s,
			"SELECT ip, rest_until_ns FROM address"
			" WHERE interface_id = ?1 AND rest_until_ns IS NOT NULL",
			s->interface_id, read_resting, &r);
}

/* --- Profiles --- */

static int read_profile(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	const struct reading *r = context;
	struct store_profile p = {
		.parameters = text_or_null(st, 2),
		.created_ns = row_u64(st, 3),
		.until_ns = row_u64(st, 4), /* 0 where it is null */
	};

	(void)s;
	row_text(st, 0, p.name, sizeof(p.name));
	if (!p.parameters || !read_level(st, 1, &p.level))
		return ERR_CORRUPT;
	return r->visit.profile(r->context, &p);
}

int load_profiles(struct sqlite *s, store_profile_visitor visit, void *context)
{
	struct reading r = { .visit.profile = visit, .context = context };

	return each_row(s,
			"SELECT name, level, parameters, created_ns, until_ns FROM profile"
			" WHERE interface_id = ?1 ORDER BY name",
			s->interface_id, read_profile, &r);
}

/* --- Signatures --- */

static int read_number(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	(void)s;
	*(uint64_t *)context = row_u64(st, 0);
	return 0;
}

static int read_signature(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	const struct reading *r = context;
	struct store_signature one = { .signed_s = row_u64(st, 1) };

	(void)s;
	if (!row_digest(st, 0, one.digest))
		return ERR_CORRUPT;
	return r->visit.signature(r->context, &one);
}

int load_signatures(struct sqlite *s, store_signature_visitor visit, void *context,
		    uint64_t *ret_floor_s)
{
	struct reading r = { .visit.signature = visit, .context = context };
	uint64_t floor_s = 0;
	int err = each_row(s, "SELECT value FROM fact WHERE name = 'signature_floor_s'", 0,
			   read_number, &floor_s);

	if (err == 0)
		err = each_row(s, "SELECT digest, signed_s FROM signature ORDER BY id", 0,
			       read_signature, &r);
	if (err == 0)
		*ret_floor_s = floor_s;
	return err;
}

/* --- Records --- */

/* The body of a sealed record, NUL behind it; the caller wipes and frees. */
static int open_body(struct sqlite *s, sqlite3_stmt *st, int at, const struct store_record *one,
		     char **ret, size_t *ret_len)
{
	const uint8_t *sealed = sqlite3_column_blob(st, at);
	size_t len = (size_t)sqlite3_column_bytes(st, at);
	char place[STORE_NAME_MAX + 16];
	char *out;
	int err;

	if (!sealed || len < SEAL_OVERHEAD || len > STORE_BODY_MAX + SEAL_OVERHEAD)
		return ERR_CORRUPT;
	out = calloc(1, len - SEAL_OVERHEAD + 1);
	if (!out)
		return -ENOMEM;
	snprintf(place, sizeof(place), "%d %s", (int)one->kind, one->name);
	err = seal_open(s->seal, "record", place, strlen(place), sealed, len, (uint8_t *)out);
	if (err != 0) {
		free(out);
		return err;
	}
	*ret = out;
	*ret_len = len - SEAL_OVERHEAD;
	return 0;
}

static int read_record(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	const struct reading *r = context;
	struct store_record one = {
		.id = sqlite3_column_int64(st, 0),
		.kind = (enum store_record_kind)sqlite3_column_int(st, 1),
		.body = text_or_null(st, 3),
		.created_ns = row_u64(st, 5),
		.changed_ns = row_u64(st, 6),
	};
	char *opened = NULL;
	size_t len = 0;
	int err;

	row_text(st, 2, one.name, sizeof(one.name));
	err = store_check_body(&one, !one.body, store_is_sealed(one.kind));
	if (err == 0 && !one.body) {
		err = open_body(s, st, 4, &one, &opened, &len);
		one.body = opened;
	}
	if (err == 0)
		err = r->visit.record(r->context, &one);
	if (opened)
		secret_wipe(opened, len);
	free(opened);
	return err;
}

int load_records(struct sqlite *s, store_record_visitor visit, void *context)
{
	struct reading r = { .visit.record = visit, .context = context };

	return each_row(s,
			"SELECT id, kind, name, body, sealed, created_ns, changed_ns"
			" FROM record ORDER BY id",
			0, read_record, &r);
}

/* --- Usage and answers --- */

static int read_usage(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	const struct reading *r = context;
	struct store_usage one = {
		.peer_id = sqlite3_column_int64(st, 0),
		.data = sqlite3_column_blob(st, 1),
		.len = (size_t)sqlite3_column_bytes(st, 1),
	};

	(void)s;
	if (!one.data || one.len > STORE_USAGE_MAX)
		return ERR_CORRUPT;
	return r->visit.usage(r->context, &one);
}

int load_usage(struct sqlite *s, store_usage_visitor visit, void *context)
{
	struct reading r = { .visit.usage = visit, .context = context };

	return each_row(s,
			"SELECT u.peer_id, u.data FROM usage u JOIN peer p ON p.id = u.peer_id"
			" WHERE p.interface_id = ?1 ORDER BY u.peer_id",
			s->interface_id, read_usage, &r);
}

static int read_answered(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	const struct reading *r = context;
	struct store_answered one = {
		.subject = sqlite3_column_int64(st, 2),
		.time_ns = row_u64(st, 3),
	};

	(void)s;
	if (!row_digest(st, 0, one.digest) || !row_digest(st, 1, one.fingerprint))
		return ERR_CORRUPT;
	return r->visit.answered(r->context, &one);
}

int load_answered(struct sqlite *s, store_answered_visitor visit, void *context)
{
	struct reading r = { .visit.answered = visit, .context = context };

	return each_row(s,
			"SELECT digest, fingerprint, subject, time_ns FROM answered"
			" ORDER BY time_ns",
			0, read_answered, &r);
}

/* --- The audit trail --- */

static bool read_chain(sqlite3_stmt *st, struct store_audit *one)
{
	one->is_chained = row_digest(st, 6, one->prev) && row_digest(st, 7, one->hash);
	return one->is_chained || sqlite3_column_type(st, 7) == SQLITE_NULL;
}

static int read_audit(sqlite3_stmt *st, const struct reading *r)
{
	struct store_audit one = {
		.row = { .id = sqlite3_column_int64(st, 0),
			 .time_ns = row_u64(st, 1),
			 .who = text_or_null(st, 2),
			 .action = text_or_null(st, 3),
			 .subject = text_or_null(st, 4),
			 .detail = text_or_null(st, 5) },
	};

	if (!one.row.who || !one.row.action || !one.row.subject || !one.row.detail ||
	    !read_chain(st, &one))
		return ERR_CORRUPT;
	return r->visit.audit(r->context, &one);
}

/* Through a connection of its own: each_row() belongs to another thread. */
int load_audit(struct sqlite *s, int64_t after, size_t limit, store_audit_visitor visit,
	       void *context)
{
	static const char text[] =
		"SELECT id, time_ns, who, action, subject, detail, prev, hash"
		" FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2";
	struct reading r = { .visit.audit = visit, .context = context };
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->reader, text, -1, &st, NULL);
	int err = wal_code(&s->wal, s->reader, rc);

	if (err == 0) {
		sqlite3_bind_int64(st, 1, after);
		sqlite3_bind_int64(st, 2, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	}
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = read_audit(st, &r);
	if (err == 0)
		err = wal_code(&s->wal, s->reader, rc);
	sqlite3_finalize(st);
	return err;
}

static int read_head(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	(void)context;
	s->head_id = sqlite3_column_int64(st, 0);
	if (sqlite3_column_type(st, 1) != SQLITE_NULL && !row_digest(st, 1, s->head))
		return ERR_CORRUPT;
	return 0;
}

int load_head(struct sqlite *s)
{
	return each_row(s, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", 0, read_head,
			NULL);
}

/* --- The seal --- */

static int try_preshared_key(struct sqlite *s, sqlite3_stmt *st, void *context)
{
	struct secret_key key;
	uint8_t public_key[32];
	int err;

	(void)context;
	if (!row_digest(st, 0, public_key))
		return ERR_CORRUPT;
	err = sqlite_open_key(s, st, 1, public_key, &key);
	secret_key_done(&key);
	return err;
}

static int ignore_record(void *context, const struct store_record *record)
{
	(void)context;
	(void)record;
	return 0;
}

int load_is_sealed_by(struct sqlite *s)
{
	struct reading r = { .visit.record = ignore_record };
	int err = each_row(s,
			   "SELECT public_key, sealed FROM peer WHERE sealed IS NOT NULL"
			   " LIMIT 1",
			   0, try_preshared_key, NULL);

	if (err != 0)
		return err;
	return each_row(s,
			"SELECT id, kind, name, body, sealed, created_ns, changed_ns"
			" FROM record WHERE sealed IS NOT NULL LIMIT 1",
			0, read_record, &r);
}

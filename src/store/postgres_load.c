/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postgres_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READY_S = 3 };

/* One row at a time: 0 to go on, or what ends the load. */
typedef int (*row_reader)(struct postgres *s, const PGresult *r, void *context);

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

/* --- Rows --- */

static int visit_rows(struct postgres *s, struct pg_link *l, const char *text,
		      const struct pg_args *a, row_reader read, void *context, bool *ret_any)
{
	PGresult *r = NULL;
	int err = pg_link_start(l, text, a), more = 0;

	*ret_any = false;
	while (err == 0 && (more = pg_link_next(l, &r)) == 1) {
		*ret_any = true;
		err = read(s, r, context);
		l->pq->clear(r);
	}
	if (err == 0)
		return more;
	pg_link_skip(l);
	return err;
}

static struct postgres *of(struct store *store)
{
	return (struct postgres *)store;
}

/* $1 is the interface. A session that had ended is replaced, if nothing has been read yet. */
static int each_row(struct postgres *s, const char *text, row_reader read, void *context)
{
	struct pg_args a = { .n = 0 };
	bool any = false;
	int err = -ENOTCONN;

	pg_i64(&a, s->interface_id);
	for (int i = 0; i < 2 && err == -ENOTCONN && !any; i++) {
		if (s->in_snapshot && !pg_link_is_open(&s->link))
			return err;
		err = postgres_be_ready(s, READY_S);
		if (err == 0)
			err = visit_rows(s, &s->link, text, &a, read, context, &any);
	}
	return err;
}

/* --- Columns: any link will do --- */

static const char *text_at(struct postgres *s, const PGresult *r, int at)
{
	return pg_get_text(&s->link, r, at);
}

static int64_t i64_at(struct postgres *s, const PGresult *r, int at)
{
	return pg_get_i64(&s->link, r, at);
}

static uint64_t u64_at(struct postgres *s, const PGresult *r, int at)
{
	return pg_get_u64(&s->link, r, at);
}

static bool digest_at(struct postgres *s, const PGresult *r, int at, uint8_t out[32])
{
	return pg_copy_blob(&s->link, r, at, out, 32);
}

/* "" where it is null. */
static void copy_text(struct postgres *s, const PGresult *r, int at, char *out, size_t size)
{
	const char *text = text_at(s, r, at);

	snprintf(out, size, "%s", text ? text : "");
}

/* A text that outlives its row. */
static const char *keep_text(struct postgres *s, const PGresult *r, int at, char *out,
			     size_t size)
{
	copy_text(s, r, at, out, size);
	return out[0] ? out : NULL;
}

/* family ADDR_NONE where it is none. */
static struct ip_addr ip_at(struct postgres *s, const PGresult *r, int at)
{
	size_t len;
	const uint8_t *b = pg_get_blob(&s->link, r, at, &len);

	if (b && len == 4)
		return ip_addr_v4(b);
	if (b && len == 16)
		return ip_addr_v6(b);
	return (struct ip_addr){ .family = ADDR_NONE };
}

/* Whoever wrote another word is no version of ours. */
static bool level_at(struct postgres *s, const PGresult *r, int at, enum frame_level *ret)
{
	char word[16];

	copy_text(s, r, at, word, sizeof(word));
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

static void read_limits(struct postgres *s, const PGresult *r, struct store_peer *p)
{
	p->account_id = i64_at(s, r, 12);
	p->access_id = i64_at(s, r, 13);
	p->expires_ns = u64_at(s, r, 15);
	p->quota_bytes = u64_at(s, r, 16);
	p->quota_period = (enum store_period)i64_at(s, r, 17);
	p->rate_bps = u64_at(s, r, 18);
	p->keepalive_s = (uint16_t)i64_at(s, r, 19);
	p->blocked = (unsigned int)i64_at(s, r, 20);
}

static int read_peer(struct postgres *s, const PGresult *r, struct peer_reading *reading)
{
	struct store_peer *p = &reading->peer;

	*p = (struct store_peer){
		.id = i64_at(s, r, 0),
		.status = (enum store_status)i64_at(s, r, 3),
		.families = (unsigned int)i64_at(s, r, 4),
		.port = (uint16_t)i64_at(s, r, 5),
		.created_ns = u64_at(s, r, 8),
		.changed_ns = u64_at(s, r, 9),
	};
	copy_text(s, r, 2, p->name, sizeof(p->name));
	copy_text(s, r, 6, p->dns, sizeof(p->dns));
	copy_text(s, r, 7, p->obfuscation, sizeof(p->obfuscation));
	read_limits(s, r, p);
	p->routes = keep_text(s, r, 21, reading->routes, sizeof(reading->routes));
	p->schedule = keep_text(s, r, 22, reading->schedule, sizeof(reading->schedule));
	p->note = keep_text(s, r, 23, reading->note, sizeof(reading->note));
	if (!digest_at(s, r, 1, p->public_key) || !level_at(s, r, 11, &p->level) ||
	    p->quota_period >= STORE_PERIODS)
		return ERR_CORRUPT;
	return postgres_open_key(s, r, 14, p->public_key, &p->preshared_key);
}

static int end_peer(struct peer_reading *reading)
{
	struct store_peer *p = &reading->peer;
	int err = p->id != 0 ? reading->visit(reading->context, p) : 0;

	secret_key_done(&p->preshared_key);
	return err;
}

static int read_peer_row(struct postgres *s, const PGresult *r, void *context)
{
	struct peer_reading *reading = context;
	struct ip_addr ip = ip_at(s, r, 10);
	int err = 0;

	if (i64_at(s, r, 0) != reading->peer.id) {
		err = end_peer(reading);
		if (err == 0)
			err = read_peer(s, r, reading);
	}
	if (ip.family == ADDR_V4)
		reading->peer.v4 = ip;
	else if (ip.family == ADDR_V6)
		reading->peer.v6 = ip;
	return err;
}

int postgres_load_peers(struct store *store, store_peer_visitor visit, void *context)
{
	struct peer_reading *reading = calloc(1, sizeof(*reading));
	int err;

	if (!reading)
		return -ENOMEM;
	reading->visit = visit;
	reading->context = context;
	err = each_row(of(store),
		       "SELECT p.id, p.public_key, p.name, p.status, p.families, p.port,"
		       " p.dns, p.obfuscation, p.created_ns, p.changed_ns, a.ip, p.level,"
		       " p.account_id, p.access_id, p.sealed, p.expires_ns, p.quota_bytes,"
		       " p.quota_period, p.rate_bps, p.keepalive_s, p.blocked, p.routes,"
		       " p.schedule, p.note"
		       " FROM peer p LEFT JOIN address a ON a.peer_id = p.id"
		       " WHERE p.interface_id = $1::bigint ORDER BY p.id",
		       read_peer_row, reading);
	if (err == 0)
		err = end_peer(reading);
	secret_wipe(reading, sizeof(*reading));
	free(reading);
	return err;
}

static int read_resting(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_resting one = { .ip = ip_at(s, r, 0), .until_ns = u64_at(s, r, 1) };

	return reading->visit.resting(reading->context, &one);
}

int postgres_load_resting(struct store *store, store_resting_visitor visit, void *context)
{
	struct reading reading = { .visit.resting = visit, .context = context };

	return each_row(of(store),
			"SELECT ip, rest_until_ns FROM address WHERE interface_id = $1::bigint"
			" AND rest_until_ns IS NOT NULL ORDER BY ip",
			read_resting, &reading);
}

/* --- Profiles --- */

static int read_profile(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_profile p = {
		.parameters = text_at(s, r, 2),
		.created_ns = u64_at(s, r, 3),
		.until_ns = u64_at(s, r, 4), /* 0 where it is null */
	};

	copy_text(s, r, 0, p.name, sizeof(p.name));
	if (!p.parameters || !level_at(s, r, 1, &p.level))
		return ERR_CORRUPT;
	return reading->visit.profile(reading->context, &p);
}

int postgres_load_profiles(struct store *store, store_profile_visitor visit, void *context)
{
	struct reading reading = { .visit.profile = visit, .context = context };

	return each_row(of(store),
			"SELECT name, level, parameters, created_ns, until_ns FROM profile"
			" WHERE interface_id = $1::bigint ORDER BY name COLLATE \"C\"",
			read_profile, &reading);
}

/* --- Signatures --- */

static int read_number(struct postgres *s, const PGresult *r, void *context)
{
	*(uint64_t *)context = u64_at(s, r, 0);
	return 0;
}

static int read_signature(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_signature one = { .signed_s = u64_at(s, r, 1) };

	if (!digest_at(s, r, 0, one.digest))
		return ERR_CORRUPT;
	return reading->visit.signature(reading->context, &one);
}

int postgres_load_signatures(struct store *store, store_signature_visitor visit, void *context,
			     uint64_t *ret_floor_s)
{
	struct reading reading = { .visit.signature = visit, .context = context };
	uint64_t floor_s = 0;
	int err = each_row(of(store),
			   "SELECT signature_floor_s FROM interface WHERE id = $1::bigint",
			   read_number, &floor_s);

	if (err == 0)
		err = each_row(of(store),
			       "SELECT digest, signed_s FROM signature"
			       " WHERE interface_id = $1::bigint ORDER BY id",
			       read_signature, &reading);
	if (err == 0)
		*ret_floor_s = floor_s;
	return err;
}

/* --- Records --- */

/* The body of a sealed record, NUL behind it; the caller wipes and frees. */
static int open_body(struct postgres *s, const PGresult *r, int at,
		     const struct store_record *one, char **ret, size_t *ret_len)
{
	size_t len;
	const uint8_t *sealed = pg_get_blob(&s->link, r, at, &len);
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

static int read_record(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_record one = {
		.id = i64_at(s, r, 0),
		.kind = (enum store_record_kind)i64_at(s, r, 1),
		.body = text_at(s, r, 3),
		.created_ns = u64_at(s, r, 5),
		.changed_ns = u64_at(s, r, 6),
	};
	char *opened = NULL;
	size_t len = 0;
	int err;

	copy_text(s, r, 2, one.name, sizeof(one.name));
	err = store_check_body(&one, !one.body, store_is_sealed(one.kind));
	if (err == 0 && !one.body) {
		err = open_body(s, r, 4, &one, &opened, &len);
		one.body = opened;
	}
	if (err == 0)
		err = reading->visit.record(reading->context, &one);
	if (opened)
		secret_wipe(opened, len);
	free(opened);
	return err;
}

int postgres_load_records(struct store *store, store_record_visitor visit, void *context)
{
	struct reading reading = { .visit.record = visit, .context = context };

	return each_row(of(store),
			"SELECT id, kind, name, body, sealed, created_ns, changed_ns"
			" FROM record WHERE interface_id = $1::bigint ORDER BY id",
			read_record, &reading);
}

/* --- Usage and answers --- */

static int read_usage(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_usage one = { .peer_id = i64_at(s, r, 0) };

	one.data = pg_get_blob(&s->link, r, 1, &one.len);
	if (!one.data || one.len > STORE_USAGE_MAX)
		return ERR_CORRUPT;
	return reading->visit.usage(reading->context, &one);
}

int postgres_load_usage(struct store *store, store_usage_visitor visit, void *context)
{
	struct reading reading = { .visit.usage = visit, .context = context };

	return each_row(of(store),
			"SELECT u.peer_id, u.data FROM usage u JOIN peer p ON p.id = u.peer_id"
			" WHERE p.interface_id = $1::bigint ORDER BY u.peer_id",
			read_usage, &reading);
}

static int read_answered(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_answered one = {
		.subject = i64_at(s, r, 2),
		.time_ns = u64_at(s, r, 3),
	};

	if (!digest_at(s, r, 0, one.digest) || !digest_at(s, r, 1, one.fingerprint))
		return ERR_CORRUPT;
	return reading->visit.answered(reading->context, &one);
}

int postgres_load_answered(struct store *store, store_answered_visitor visit, void *context)
{
	struct reading reading = { .visit.answered = visit, .context = context };

	return each_row(of(store),
			"SELECT digest, fingerprint, subject, time_ns FROM answered"
			" WHERE interface_id = $1::bigint ORDER BY time_ns, digest",
			read_answered, &reading);
}

/* --- The audit trail --- */

static int read_audit(struct postgres *s, const PGresult *r, void *context)
{
	const struct reading *reading = context;
	struct store_audit one = {
		.row = { .id = i64_at(s, r, 0),
			 .time_ns = u64_at(s, r, 1),
			 .who = text_at(s, r, 2),
			 .action = text_at(s, r, 3),
			 .subject = text_at(s, r, 4),
			 .detail = text_at(s, r, 5) },
		.is_chained = true,
	};

	if (!one.row.who || !one.row.action || !one.row.subject || !one.row.detail ||
	    !digest_at(s, r, 6, one.prev) || !digest_at(s, r, 7, one.hash))
		return ERR_CORRUPT;
	return reading->visit.audit(reading->context, &one);
}

/* Through a session of its own, without the lock: each_row() belongs to another thread. */
int postgres_read_audit(struct store *store, int64_t after, size_t limit,
			store_audit_visitor visit, void *context)
{
	static const char text[] =
		"SELECT id, time_ns, who, action, subject, detail, prev, hash FROM audit"
		" WHERE interface_id = $1::bigint AND id > $2::bigint ORDER BY id"
		" LIMIT $3::bigint";
	struct postgres *s = of(store);
	struct reading reading = { .visit.audit = visit, .context = context };
	struct pg_args a = { .n = 0 };
	bool any = false;
	int err = -ENOTCONN;

	pg_i64(&a, s->interface_id);
	pg_i64(&a, after);
	pg_i64(&a, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	for (int i = 0; i < 2 && err == -ENOTCONN && !any; i++) {
		err = pg_link_is_open(&s->reader) ? 0 : pg_link_open(&s->reader, NULL);
		if (err == 0)
			err = visit_rows(s, &s->reader, text, &a, read_audit, &reading, &any);
	}
	return err;
}

static int read_head(struct postgres *s, const PGresult *r, void *context)
{
	(void)context;
	s->head_id = i64_at(s, r, 0);
	return digest_at(s, r, 1, s->head) ? 0 : ERR_CORRUPT;
}

int postgres_load_head(struct postgres *s)
{
	return each_row(s,
			"SELECT id, hash FROM audit WHERE interface_id = $1::bigint"
			" ORDER BY id DESC LIMIT 1",
			read_head, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/postgres.h"
#include "sys/random.h"

enum { AUDIT_SLACK = 1000 };

#define PEER_COLUMNS                                                                       \
	"public_key, name, status, families, port, dns, obfuscation, changed_ns, level,"   \
	" account_id, access_id, sealed, expires_ns, quota_bytes, quota_period, rate_bps," \
	" keepalive_s, blocked, routes, schedule, note"
#define PEER_VALUES                                                                               \
	"$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21," \
	" $22, $23"
/* Addresses of a peer but two, which may be null. */
#define OTHER_ADDRESSES                                                                      \
	" WHERE interface_id = $1 AND peer_id = $2 AND ip IS DISTINCT FROM $3::bytea AND ip" \
	" IS DISTINCT FROM $4::bytea"

/* $1 is the interface in all of them. */
const char *const postgres_statement_text[] = {
	[PG_BEGIN] = "BEGIN",
	[PG_COMMIT] = "COMMIT",
	[PG_ROLLBACK] = "ROLLBACK",
	[PG_SAVEPOINT] = "SAVEPOINT one",
	[PG_RELEASE] = "RELEASE one",
	[PG_ROLLBACK_TO] = "ROLLBACK TO one",
	[PG_SET_MARK] = "UPDATE interface SET mark = $2 WHERE id = $1",
	[PG_ADD_PEER] = "INSERT INTO peer (interface_id, created_ns, " PEER_COLUMNS ")"
			" VALUES ($1, $2, " PEER_VALUES ") RETURNING id",
	[PG_GET_SEALED] = "SELECT public_key, sealed FROM peer WHERE interface_id = $1"
			  " AND id = $2",
	[PG_CHANGE_PEER] = "UPDATE peer SET (" PEER_COLUMNS ") = (" PEER_VALUES ")"
			   " WHERE interface_id = $1 AND id = $2 RETURNING id",
	/* Both at once. One that rested long enough, or that the peer has already, is taken
	 * over; the count tells whether there was another one. */
	[PG_ADD_ADDRESSES] =
		"INSERT INTO address (interface_id, ip, peer_id)"
		" SELECT $1::bigint, ip, $2::bigint FROM (VALUES ($3::bytea), ($4::bytea)) a (ip)"
		" WHERE ip IS NOT NULL"
		" ON CONFLICT (interface_id, ip) DO UPDATE SET peer_id = excluded.peer_id,"
		" rest_until_ns = NULL WHERE address.rest_until_ns <= $5::bigint"
		" OR address.peer_id = excluded.peer_id RETURNING 1",
	[PG_REST_ADDRESSES] = "UPDATE address SET peer_id = NULL,"
			      " rest_until_ns = $5" OTHER_ADDRESSES,
	[PG_FREE_ADDRESSES] = "DELETE FROM address" OTHER_ADDRESSES,
	[PG_REMOVE_PEER] = "DELETE FROM peer WHERE interface_id = $1 AND id = $2 RETURNING id",
	[PG_DROP_PROFILES] = "DELETE FROM profile WHERE interface_id = $1",
	[PG_ADD_PROFILE] =
		"INSERT INTO profile (interface_id, name, level, parameters, created_ns,"
		" until_ns) VALUES ($1, $2, $3, $4, $5, $6)",
	[PG_ADD_RECORD] =
		"INSERT INTO record (interface_id, kind, name, body, sealed, created_ns,"
		" changed_ns) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id",
	[PG_CHANGE_RECORD] =
		"UPDATE record SET (name, body, sealed, changed_ns) = ($3, $4, $5, $6)"
		" WHERE interface_id = $1 AND kind = $2 AND id = $7 RETURNING id",
	[PG_DROP_RECORD] = "DELETE FROM record WHERE interface_id = $1 AND kind = $2"
			   " AND id = $3 RETURNING id",
	[PG_SET_USAGE] =
		"INSERT INTO usage (peer_id, data) SELECT $2::bigint, $3::bytea"
		" WHERE EXISTS (SELECT 1 FROM peer WHERE interface_id = $1 AND id = $2)"
		" ON CONFLICT (peer_id) DO UPDATE SET data = excluded.data",
	[PG_ADD_ANSWERED] = "INSERT INTO answered (interface_id, digest, fingerprint, subject,"
			    " time_ns) VALUES ($1, $2, $3, $4, $5)",
	[PG_DROP_ANSWERED] = "DELETE FROM answered WHERE interface_id = $1 AND time_ns < $2",
	[PG_ADD_SIGNATURE] = "INSERT INTO signature (interface_id, digest, signed_s)"
			     " VALUES ($1, $2, $3)",
	/* From the front, up to the first that may still be used, $3 at most. Up to the newest of
	 * them no timestamp is accepted any more. */
	[PG_FORGET_SIGNATURES] =
		"WITH oldest AS (SELECT id, signed_s FROM signature WHERE interface_id = $1"
		" ORDER BY id LIMIT $3), gone AS (DELETE FROM signature WHERE interface_id = $1"
		" AND id IN (SELECT id FROM oldest) AND id < coalesce((SELECT min(id) FROM oldest"
		" WHERE signed_s >= $2), 9223372036854775807) RETURNING signed_s)"
		" UPDATE interface SET signature_floor_s = greatest(signature_floor_s,"
		" (SELECT max(signed_s) FROM gone)) WHERE id = $1",
	[PG_ADD_AUDIT] = "INSERT INTO audit (interface_id, id, time_ns, who, action, subject,"
			 " detail, prev, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	[PG_TRIM_AUDIT] = "DELETE FROM audit WHERE interface_id = $1 AND id < $2",
};
static_assert(sizeof(postgres_statement_text) / sizeof(postgres_statement_text[0]) ==
		      PG_STATEMENTS,
	      "a text each");
static_assert((int)PG_STATEMENTS <= (int)PG_STATEMENTS_MAX, "a bit each");

int postgres_run(struct postgres *s, enum postgres_statement which, const struct pg_args *a)
{
	if (s->link.is_posting)
		return pg_link_post(&s->link, which, a, PG_ANY_ROWS);
	return pg_link_run(&s->link, which, a, NULL);
}

static struct pg_args of_interface(const struct postgres *s)
{
	struct pg_args a = { .n = 0 };

	pg_i64(&a, s->interface_id);
	return a;
}

/* The statement answers with a row for each row that it made or changed. @refusal: where those
 * are not @wanted. @ret_number: from the first, or NULL: then nobody has to wait */
static int run_counting(struct postgres *s, enum postgres_statement which,
			const struct pg_args *a, int wanted, int refusal, int64_t *ret_number)
{
	PGresult *r = NULL;
	int rows, err;

	if (s->link.is_posting && !ret_number)
		return pg_link_post(&s->link, which, a, wanted);
	err = pg_link_run(&s->link, which, a, &r);
	if (err != 0)
		return err;
	rows = s->link.pq->ntuples(r);
	if (ret_number && rows > 0)
		*ret_number = pg_get_i64(&s->link, r, 0);
	s->link.pq->clear(r);
	return rows == wanted ? 0 : refusal;
}

/* A row that had to be there. */
static int run_on_one(struct postgres *s, enum postgres_statement which,
		      const struct pg_args *a, int64_t *ret_id)
{
	return run_counting(s, which, a, 1, ERR_UNKNOWN, ret_id);
}

/* --- Sealing --- */

/* @ret is sealed text for the caller to free. */
static int seal_argument(struct postgres *s, struct pg_args *a, const char *what,
			 const void *place, size_t place_len, const void *in, size_t len,
			 uint8_t **ret)
{
	uint8_t nonce[SEAL_NONCE_LEN];
	uint8_t *out = malloc(len + SEAL_OVERHEAD);

	if (!out)
		return -ENOMEM;
	random_fill(nonce, sizeof(nonce));
	seal_close(s->seal, what, place, place_len, nonce, in, len, out);
	pg_blob(a, out, len + SEAL_OVERHEAD);
	*ret = out;
	return 0;
}

int postgres_open_key(struct postgres *s, const PGresult *r, int at,
		      const uint8_t public_key[32], struct secret_key *ret)
{
	size_t len;
	const uint8_t *sealed = pg_get_blob(&s->link, r, at, &len);

	*ret = (struct secret_key){ .b = { 0 } };
	if (!sealed)
		return 0;
	if (len != SECRET_KEY_LEN + SEAL_OVERHEAD)
		return ERR_CORRUPT;
	return seal_open(s->seal, "peer", public_key, 32, sealed, len, ret->b);
}

/* --- Peers --- */

static void add_limits(struct pg_args *a, const struct store_peer *p)
{
	pg_u64(a, p->expires_ns);
	pg_u64(a, p->quota_bytes);
	pg_i64(a, p->quota_period);
	pg_u64(a, p->rate_bps);
	pg_i64(a, p->keepalive_s);
	pg_i64(a, p->blocked);
	pg_text_or_null(a, p->routes);
	pg_text_or_null(a, p->schedule);
	pg_text_or_null(a, p->note);
}

/* All columns of a peer that PG_ADD_PEER and PG_CHANGE_PEER have in common, in their order. */
static int add_columns(struct postgres *s, struct pg_args *a, const struct store_change *c,
		       uint8_t **ret_sealed)
{
	const struct store_peer *p = &c->peer;
	int err = 0;

	pg_blob(a, p->public_key, sizeof(p->public_key));
	pg_text_or_null(a, p->name);
	pg_i64(a, p->status);
	pg_i64(a, p->families);
	pg_i64(a, p->port);
	pg_text(a, p->dns);
	pg_text_or_null(a, p->obfuscation);
	pg_u64(a, p->changed_ns);
	pg_text(a, frame_level_name(p->level));
	pg_i64_or_null(a, p->account_id);
	pg_i64_or_null(a, p->access_id);
	if (secret_is_zero(p->preshared_key.b, sizeof(p->preshared_key.b)))
		pg_null(a);
	else
		err = seal_argument(s, a, "peer", p->public_key, sizeof(p->public_key),
				    p->preshared_key.b, sizeof(p->preshared_key.b), ret_sealed);
	if (err == 0)
		add_limits(a, p);
	return err;
}

static int add_addresses(struct postgres *s, const struct store_change *c)
{
	const struct store_peer *p = &c->peer;
	struct pg_args a = of_interface(s);
	int wanted = (p->v4.family != ADDR_NONE) + (p->v6.family != ADDR_NONE);

	if (wanted == 0)
		return 0;
	pg_i64(&a, p->id);
	pg_ip_or_null(&a, &p->v4);
	pg_ip_or_null(&a, &p->v6);
	pg_u64(&a, c->now_ns);
	return run_counting(s, PG_ADD_ADDRESSES, &a, wanted, ERR_EXISTS, NULL);
}

static int add_peer(struct postgres *s, struct store_change *c)
{
	struct store_peer *p = &c->peer;
	struct pg_args a = of_interface(s);
	uint8_t *sealed = NULL;
	int err;

	p->created_ns = p->changed_ns = c->now_ns;
	pg_u64(&a, c->now_ns);
	err = add_columns(s, &a, c, &sealed);
	if (err == 0)
		err = run_on_one(s, PG_ADD_PEER, &a, &p->id);
	free(sealed);
	if (err != 0)
		return err;
	return add_addresses(s, c);
}

/* Addresses of the peer other than those in @c leave it: to rest, or at once. */
static int leave_addresses(struct postgres *s, const struct store_change *c, bool keeps)
{
	struct pg_args a = of_interface(s);

	pg_i64(&a, c->peer.id);
	if (keeps) {
		pg_ip_or_null(&a, &c->peer.v4);
		pg_ip_or_null(&a, &c->peer.v6);
	} else {
		pg_null(&a);
		pg_null(&a);
	}
	if (c->rest_until_ns == 0)
		return postgres_run(s, PG_FREE_ADDRESSES, &a);
	pg_u64(&a, c->rest_until_ns);
	return postgres_run(s, PG_REST_ADDRESSES, &a);
}

static int move_peer(struct postgres *s, const struct store_change *c)
{
	int err = leave_addresses(s, c, true);

	return err != 0 ? err : add_addresses(s, c);
}

/* The key stays what it was; under another public key it is sealed anew. */
static int keep_preshared_key(struct postgres *s, struct store_change *c)
{
	struct pg_args a = of_interface(s);
	uint8_t public_key[32];
	PGresult *r = NULL;
	int err;

	pg_i64(&a, c->peer.id);
	err = pg_link_run(&s->link, PG_GET_SEALED, &a, &r);
	if (err != 0)
		return err;
	if (s->link.pq->ntuples(r) != 1)
		err = ERR_UNKNOWN;
	else if (!pg_copy_blob(&s->link, r, 0, public_key, sizeof(public_key)))
		err = ERR_CORRUPT;
	else
		err = postgres_open_key(s, r, 1, public_key, &c->peer.preshared_key);
	s->link.pq->clear(r);
	return err;
}

static int change_peer(struct postgres *s, struct store_change *c)
{
	struct pg_args a = of_interface(s);
	uint8_t *sealed = NULL;
	int err = c->sets_preshared_key ? 0 : keep_preshared_key(s, c);

	if (err != 0)
		return err;
	pg_i64(&a, c->peer.id);
	err = add_columns(s, &a, c, &sealed);
	if (err == 0)
		err = run_on_one(s, PG_CHANGE_PEER, &a, NULL);
	free(sealed);
	return err == 0 && c->is_moved ? move_peer(s, c) : err;
}

static int remove_peer(struct postgres *s, const struct store_change *c)
{
	struct pg_args a = of_interface(s);
	int err = leave_addresses(s, c, false);

	if (err != 0)
		return err;
	pg_i64(&a, c->peer.id);
	return run_on_one(s, PG_REMOVE_PEER, &a, NULL);
}

/* --- Profiles --- */

static int add_profile(struct postgres *s, const struct store_profile *p)
{
	struct pg_args a = of_interface(s);

	pg_text(&a, p->name);
	pg_text(&a, frame_level_name(p->level));
	pg_text(&a, p->parameters);
	pg_u64(&a, p->created_ns);
	pg_i64_or_null(&a, (int64_t)p->until_ns);
	return postgres_run(s, PG_ADD_PROFILE, &a);
}

static int set_profiles(struct postgres *s, const struct store_change *c)
{
	struct pg_args a = of_interface(s);
	int err = postgres_run(s, PG_DROP_PROFILES, &a);

	for (size_t i = 0; i < c->n_profiles && err == 0; i++)
		err = add_profile(s, &c->profiles[i]);
	return err;
}

/* --- Records --- */

/* Kind and name are part of the place: a body cannot be moved to another record. */
static int add_body(struct postgres *s, struct pg_args *a, const struct store_record *r,
		    uint8_t **ret_sealed)
{
	char place[STORE_NAME_MAX + 16];

	if (!store_is_sealed(r->kind)) {
		pg_text(a, r->body);
		pg_null(a);
		return 0;
	}
	snprintf(place, sizeof(place), "%d %s", (int)r->kind, r->name);
	pg_null(a);
	return seal_argument(s, a, "record", place, strlen(place), r->body, strlen(r->body),
			     ret_sealed);
}

static int put_record(struct postgres *s, struct store_change *c)
{
	struct store_record *r = &c->record;
	struct pg_args a = of_interface(s);
	bool is_new = r->id == 0;
	uint8_t *sealed = NULL;
	int err;

	if (strlen(r->body) > STORE_BODY_MAX)
		return ERR_LIMIT;
	pg_i64(&a, r->kind);
	pg_text(&a, r->name);
	err = add_body(s, &a, r, &sealed);
	pg_u64(&a, c->now_ns);
	if (!is_new)
		pg_i64(&a, r->id);
	if (err == 0)
		err = is_new ? run_on_one(s, PG_ADD_RECORD, &a, &r->id)
			     : run_on_one(s, PG_CHANGE_RECORD, &a, NULL);
	free(sealed);
	if (err != 0)
		return err;
	if (is_new)
		r->created_ns = c->now_ns;
	r->changed_ns = c->now_ns;
	return 0;
}

/* A record that others refer to stays: a foreign key that would dangle is no double. */
static int drop_record(struct postgres *s, const struct store_change *c)
{
	struct pg_args a = of_interface(s);

	pg_i64(&a, c->record.kind);
	pg_i64(&a, c->record.id);
	return run_on_one(s, PG_DROP_RECORD, &a, NULL);
}

/* --- Usage --- */

static int set_usage(struct postgres *s, const struct store_change *c)
{
	int err = 0;

	for (size_t i = 0; i < c->n_usage && err == 0; i++) {
		const struct store_usage *u = &c->usage[i];
		struct pg_args a = of_interface(s);

		if (u->len > STORE_USAGE_MAX)
			return ERR_LIMIT;
		pg_i64(&a, u->peer_id);
		pg_blob(&a, u->data, u->len);
		err = postgres_run(s, PG_SET_USAGE, &a);
	}
	return err;
}

/* --- What goes with a change --- */

static int add_signature(struct postgres *s, const struct store_change *c)
{
	struct pg_args a = of_interface(s);

	pg_blob(&a, c->digest, sizeof(c->digest));
	pg_u64(&a, c->signed_s);
	return postgres_run(s, PG_ADD_SIGNATURE, &a);
}

static int add_answered(struct postgres *s, const struct store_change *c)
{
	int64_t subject = c->kind == STORE_PUT_RECORD ? c->record.id : c->peer.id;
	struct pg_args old = of_interface(s), a = of_interface(s);
	int err;

	pg_u64(&old, c->now_ns - (uint64_t)STORE_ANSWERED_S * 1000000000);
	err = postgres_run(s, PG_DROP_ANSWERED, &old);
	if (err != 0)
		return err;
	pg_blob(&a, c->answered_digest, STORE_DIGEST_LEN);
	pg_blob(&a, c->answered_fingerprint, STORE_DIGEST_LEN);
	pg_i64(&a, subject);
	pg_u64(&a, c->now_ns);
	return postgres_run(s, PG_ADD_ANSWERED, &a);
}

/* --- The audit trail --- */

static int trim(struct postgres *s, int64_t newest)
{
	struct pg_args a = of_interface(s);

	if (newest % AUDIT_SLACK != 0 || newest <= STORE_AUDIT_MAX)
		return 0;
	pg_i64(&a, newest - STORE_AUDIT_MAX);
	return postgres_run(s, PG_TRIM_AUDIT, &a);
}

static int add_audit(struct postgres *s, struct store_change *c)
{
	char subject[STORE_SUBJECT_MAX + 1];
	const struct seal_row row = {
		.id = s->head_id + 1,
		.time_ns = c->now_ns,
		.who = c->who,
		.action = c->action,
		.subject = store_subject(c, subject),
		.detail = c->detail ? c->detail : "",
	};
	struct pg_args a = of_interface(s);
	uint8_t hash[SEAL_CHAIN_LEN];
	int err;

	seal_chain(s->seal, s->head, &row, hash);
	pg_i64(&a, row.id);
	pg_u64(&a, row.time_ns);
	pg_text(&a, row.who);
	pg_text(&a, row.action);
	pg_text(&a, row.subject);
	pg_text(&a, row.detail);
	pg_blob(&a, s->head, sizeof(s->head));
	pg_blob(&a, hash, sizeof(hash));
	err = postgres_run(s, PG_ADD_AUDIT, &a);
	if (err != 0)
		return err;
	memcpy(s->head, hash, sizeof(hash));
	s->head_id = c->ret_audit_id = row.id;
	return trim(s, row.id);
}

/* --- One change --- */

static int make(struct postgres *s, struct store_change *c)
{
	switch (c->kind) {
	case STORE_ADD_PEER:
		return add_peer(s, c);
	case STORE_CHANGE_PEER:
		return change_peer(s, c);
	case STORE_REMOVE_PEER:
		return remove_peer(s, c);
	case STORE_SET_PROFILES:
		return set_profiles(s, c);
	case STORE_PUT_RECORD:
		return put_record(s, c);
	case STORE_DROP_RECORD:
		return drop_record(s, c);
	case STORE_SET_USAGE:
		return set_usage(s, c);
	case STORE_NO_CHANGE:
		break;
	}
	return 0;
}

int postgres_change(struct postgres *s, struct store_change *c)
{
	int err = make(s, c);

	if (err == 0 && c->has_signature)
		err = add_signature(s, c);
	if (err == 0 && c->has_answered)
		err = add_answered(s, c);
	if (err == 0 && c->who[0] && c->action[0])
		err = add_audit(s, c);
	return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/row.h"
#include "store/sqlite.h"
#include "sys/random.h"

enum { AUDIT_SLACK = 1000 };

/* A row that had to be there. */
static int run_on_one(struct sqlite *s, sqlite3_stmt *st)
{
	int err = sqlite_run(s, st);

	return err == 0 && sqlite3_changes(s->wal.db) == 0 ? ERR_UNKNOWN : err;
}

/* --- Sealing --- */

/* @out is sealed text of @len octets in memory that the statement frees. */
static int bind_sealed(struct sqlite *s, sqlite3_stmt *st, int at, const char *what,
		       const void *place, size_t place_len, const void *in, size_t len)
{
	uint8_t nonce[SEAL_NONCE_LEN];
	uint8_t *out = malloc(len + SEAL_OVERHEAD);

	if (!out)
		return -ENOMEM;
	random_fill(nonce, sizeof(nonce));
	seal_close(s->seal, what, place, place_len, nonce, in, len, out);
	sqlite3_bind_blob(st, at, out, (int)(len + SEAL_OVERHEAD), free);
	return 0;
}

int sqlite_open_key(struct sqlite *s, sqlite3_stmt *st, int at, const uint8_t public_key[32],
		    struct secret_key *ret)
{
	const uint8_t *sealed = sqlite3_column_blob(st, at);
	int len = sqlite3_column_bytes(st, at);

	*ret = (struct secret_key){ .b = { 0 } };
	if (!sealed)
		return 0;
	if (len != SECRET_KEY_LEN + SEAL_OVERHEAD)
		return ERR_CORRUPT;
	return seal_open(s->seal, "peer", public_key, 32, sealed, (size_t)len, ret->b);
}

/* --- Peers --- */

static void bind_ref(sqlite3_stmt *st, int at, int64_t id)
{
	if (id != 0)
		sqlite3_bind_int64(st, at, id);
}

static void bind_text_or_null(sqlite3_stmt *st, int at, const char *text)
{
	if (text)
		row_bind_text_or_null(st, at, text);
}

/* All columns of a peer that ADD_PEER and CHANGE_PEER have in common: ?2 to ?21. */
static int bind_peer(struct sqlite *s, sqlite3_stmt *st, const struct store_change *c)
{
	const struct store_peer *p = &c->peer;

	sqlite3_bind_blob(st, 2, p->public_key, sizeof(p->public_key), SQLITE_STATIC);
	row_bind_text_or_null(st, 3, p->name);
	sqlite3_bind_int(st, 4, (int)p->status);
	sqlite3_bind_int(st, 5, (int)p->families);
	sqlite3_bind_int(st, 6, p->port);
	row_bind_text(st, 7, p->dns);
	row_bind_text_or_null(st, 8, p->obfuscation);
	row_bind_u64(st, 9, p->changed_ns);
	row_bind_text(st, 10, frame_level_name(p->level));
	bind_ref(st, 11, p->account_id);
	bind_ref(st, 12, p->access_id);
	row_bind_u64(st, 14, p->expires_ns);
	row_bind_u64(st, 15, p->quota_bytes);
	sqlite3_bind_int(st, 16, (int)p->quota_period);
	row_bind_u64(st, 17, p->rate_bps);
	sqlite3_bind_int(st, 18, p->keepalive_s);
	sqlite3_bind_int(st, 19, (int)p->blocked);
	bind_text_or_null(st, 20, p->routes);
	bind_text_or_null(st, 21, p->schedule);
	bind_text_or_null(st, 22, p->note);
	if (secret_is_zero(p->preshared_key.b, sizeof(p->preshared_key.b)))
		return 0;
	return bind_sealed(s, st, 13, "peer", p->public_key, sizeof(p->public_key),
			   p->preshared_key.b, sizeof(p->preshared_key.b));
}

static int add_address(struct sqlite *s, const struct ip_addr *ip, int64_t peer_id,
		       uint64_t now_ns)
{
	sqlite3_stmt *st;
	int err;

	if (ip->family == ADDR_NONE)
		return 0;
	st = sqlite_statement(s, DROP_RESTING);
	sqlite3_bind_int64(st, 1, s->interface_id);
	row_bind_ip(st, 2, ip);
	row_bind_u64(st, 3, now_ns);
	err = sqlite_run(s, st);
	if (err != 0)
		return err;
	st = sqlite_statement(s, ADD_ADDRESS);
	sqlite3_bind_int64(st, 1, s->interface_id);
	row_bind_ip(st, 2, ip);
	sqlite3_bind_int64(st, 3, peer_id);
	return sqlite_run(s, st);
}

static int add_addresses(struct sqlite *s, const struct store_change *c)
{
	int err = add_address(s, &c->peer.v4, c->peer.id, c->now_ns);

	return err != 0 ? err : add_address(s, &c->peer.v6, c->peer.id, c->now_ns);
}

static int add_peer(struct sqlite *s, struct store_change *c)
{
	struct store_peer *p = &c->peer;
	sqlite3_stmt *st = sqlite_statement(s, ADD_PEER);
	int err;

	p->created_ns = p->changed_ns = c->now_ns;
	sqlite3_bind_int64(st, 1, s->interface_id);
	err = bind_peer(s, st, c);
	if (err == 0)
		err = sqlite_run(s, st);
	if (err != 0)
		return err;
	p->id = sqlite3_last_insert_rowid(s->wal.db);
	return add_addresses(s, c);
}

/* Addresses of the peer other than those in @c leave it: to rest, or at once. */
static int leave_addresses(struct sqlite *s, const struct store_change *c, bool keeps)
{
	sqlite3_stmt *st =
		sqlite_statement(s, c->rest_until_ns ? REST_ADDRESSES : FREE_ADDRESSES);

	sqlite3_bind_int64(st, 1, c->peer.id);
	if (keeps && c->peer.v4.family != ADDR_NONE)
		row_bind_ip(st, 2, &c->peer.v4);
	if (keeps && c->peer.v6.family != ADDR_NONE)
		row_bind_ip(st, 3, &c->peer.v6);
	if (c->rest_until_ns)
		row_bind_u64(st, 4, c->rest_until_ns);
	return sqlite_run(s, st);
}

static int move_peer(struct sqlite *s, const struct store_change *c)
{
	int err = leave_addresses(s, c, true);

	return err != 0 ? err : add_addresses(s, c);
}

/* The key stays what it was; under another public key it is sealed anew. */
static int keep_preshared_key(struct sqlite *s, struct store_change *c)
{
	sqlite3_stmt *st = sqlite_statement(s, GET_SEALED);
	uint8_t public_key[32];
	int rc, err;

	sqlite3_bind_int64(st, 1, c->peer.id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		err = row_digest(st, 0, public_key)
			      ? sqlite_open_key(s, st, 1, public_key, &c->peer.preshared_key)
			      : ERR_CORRUPT;
	else
		err = rc == SQLITE_DONE ? ERR_UNKNOWN : wal_code(&s->wal, s->wal.db, rc);
	sqlite3_reset(st);
	return err;
}

static int change_peer(struct sqlite *s, struct store_change *c)
{
	sqlite3_stmt *st;
	int err = c->sets_preshared_key ? 0 : keep_preshared_key(s, c);

	if (err != 0)
		return err;
	st = sqlite_statement(s, CHANGE_PEER);
	sqlite3_bind_int64(st, 1, c->peer.id);
	err = bind_peer(s, st, c);
	if (err == 0)
		err = run_on_one(s, st);
	return err == 0 && c->is_moved ? move_peer(s, c) : err;
}

static int remove_peer(struct sqlite *s, const struct store_change *c)
{
	int err = leave_addresses(s, c, false);
	sqlite3_stmt *st;

	if (err != 0)
		return err;
	st = sqlite_statement(s, REMOVE_PEER);
	sqlite3_bind_int64(st, 1, c->peer.id);
	return run_on_one(s, st);
}

/* --- Profiles --- */

static int add_profile(struct sqlite *s, const struct store_profile *p)
{
	sqlite3_stmt *st = sqlite_statement(s, ADD_PROFILE);

	sqlite3_bind_int64(st, 1, s->interface_id);
	row_bind_text(st, 2, p->name);
	row_bind_text(st, 3, frame_level_name(p->level));
	row_bind_text(st, 4, p->parameters);
	row_bind_u64(st, 5, p->created_ns);
	if (p->until_ns)
		row_bind_u64(st, 6, p->until_ns);
	return sqlite_run(s, st);
}

static int set_profiles(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = sqlite_statement(s, DROP_PROFILES);
	int err;

	sqlite3_bind_int64(st, 1, s->interface_id);
	err = sqlite_run(s, st);
	for (size_t i = 0; i < c->n_profiles && err == 0; i++)
		err = add_profile(s, &c->profiles[i]);
	return err;
}

/* --- Records --- */

/* Kind and name are part of the place: a body cannot be moved to another record. */
static int bind_body(struct sqlite *s, sqlite3_stmt *st, const struct store_record *r)
{
	char place[STORE_NAME_MAX + 16];

	if (!store_is_sealed(r->kind)) {
		row_bind_text(st, 3, r->body);
		return 0;
	}
	snprintf(place, sizeof(place), "%d %s", (int)r->kind, r->name);
	return bind_sealed(s, st, 4, "record", place, strlen(place), r->body, strlen(r->body));
}

static int put_record(struct sqlite *s, struct store_change *c)
{
	struct store_record *r = &c->record;
	bool is_new = r->id == 0;
	sqlite3_stmt *st = sqlite_statement(s, is_new ? ADD_RECORD : CHANGE_RECORD);
	int err;

	if (strlen(r->body) > STORE_BODY_MAX)
		return ERR_LIMIT;
	sqlite3_bind_int(st, 1, (int)r->kind);
	row_bind_text(st, 2, r->name);
	row_bind_u64(st, 5, c->now_ns);
	if (!is_new)
		sqlite3_bind_int64(st, 6, r->id);
	err = bind_body(s, st, r);
	if (err == 0)
		err = run_on_one(s, st);
	if (err != 0)
		return err;
	if (is_new) {
		r->id = sqlite3_last_insert_rowid(s->wal.db);
		r->created_ns = c->now_ns;
	}
	r->changed_ns = c->now_ns;
	return 0;
}

/* A record that others refer to stays: a foreign key that would dangle is no double. */
static int drop_record(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = sqlite_statement(s, DROP_RECORD);

	sqlite3_bind_int64(st, 1, c->record.id);
	sqlite3_bind_int(st, 2, (int)c->record.kind);
	return run_on_one(s, st);
}

/* --- Usage --- */

static int set_usage(struct sqlite *s, const struct store_change *c)
{
	int err = 0;

	for (size_t i = 0; i < c->n_usage && err == 0; i++) {
		const struct store_usage *u = &c->usage[i];
		sqlite3_stmt *st = sqlite_statement(s, SET_USAGE);

		if (u->len > STORE_USAGE_MAX)
			return ERR_LIMIT;
		sqlite3_bind_int64(st, 1, u->peer_id);
		sqlite3_bind_blob(st, 2, u->data, (int)u->len, SQLITE_STATIC);
		err = sqlite_run(s, st);
	}
	return err;
}

/* --- What goes with a change --- */

static int add_signature(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = sqlite_statement(s, ADD_SIGNATURE);

	sqlite3_bind_blob(st, 1, c->digest, sizeof(c->digest), SQLITE_STATIC);
	row_bind_u64(st, 2, c->signed_s);
	return sqlite_run(s, st);
}

static int add_answered(struct sqlite *s, const struct store_change *c)
{
	sqlite3_stmt *st = sqlite_statement(s, DROP_ANSWERED);
	int64_t subject = c->kind == STORE_PUT_RECORD ? c->record.id : c->peer.id;
	int err;

	row_bind_u64(st, 1, c->now_ns - (uint64_t)STORE_ANSWERED_S * 1000000000);
	err = sqlite_run(s, st);
	if (err != 0)
		return err;
	st = sqlite_statement(s, ADD_ANSWERED);
	sqlite3_bind_blob(st, 1, c->answered_digest, STORE_DIGEST_LEN, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, c->answered_fingerprint, STORE_DIGEST_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, subject);
	row_bind_u64(st, 4, c->now_ns);
	return sqlite_run(s, st);
}

static int make(struct sqlite *s, struct store_change *c)
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

int sqlite_change(struct sqlite *s, struct store_change *c)
{
	int err = make(s, c);

	if (err == 0 && c->has_signature)
		err = add_signature(s, c);
	if (err == 0 && c->has_answered)
		err = add_answered(s, c);
	if (err == 0 && c->who[0] && c->action[0])
		err = sqlite_add_audit(s, c);
	return err;
}

/* --- The audit trail --- */

static int trim(struct sqlite *s, int64_t newest)
{
	sqlite3_stmt *st;

	if (newest % AUDIT_SLACK != 0 || newest <= STORE_AUDIT_MAX)
		return 0;
	st = sqlite_statement(s, TRIM_AUDIT);
	sqlite3_bind_int64(st, 1, newest - STORE_AUDIT_MAX);
	return sqlite_run(s, st);
}

int sqlite_add_audit(struct sqlite *s, struct store_change *c)
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
	sqlite3_stmt *st = sqlite_statement(s, ADD_AUDIT);
	uint8_t hash[SEAL_CHAIN_LEN];
	int err;

	seal_chain(s->seal, s->head, &row, hash);
	sqlite3_bind_int64(st, 1, row.id);
	row_bind_u64(st, 2, row.time_ns);
	row_bind_text(st, 3, row.who);
	row_bind_text(st, 4, row.action);
	row_bind_text(st, 5, row.subject);
	row_bind_text(st, 6, row.detail);
	sqlite3_bind_blob(st, 7, s->head, sizeof(s->head), SQLITE_STATIC);
	sqlite3_bind_blob(st, 8, hash, sizeof(hash), SQLITE_STATIC);
	err = sqlite_run(s, st);
	if (err != 0)
		return err;
	memcpy(s->head, hash, sizeof(hash));
	s->head_id = c->ret_audit_id = row.id;
	return trim(s, row.id);
}

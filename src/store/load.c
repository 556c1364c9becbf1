/* SPDX-License-Identifier: Apache-2.0 */
#include "store/load.h"

#include <string.h>

#include "store/database.h"
#include "store/row.h"

/* Whoever wrote another word is no version of ours. */
static bool read_level(sqlite3_stmt *st, int at, enum frame_level *ret)
{
	char word[16];

	row_text(st, at, word, sizeof(word));
	*ret = frame_level_find(word, strlen(word));
	return *ret < FRAME_LEVELS;
}

static bool read_peer(sqlite3_stmt *st, struct store_peer *p)
{
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
	return row_digest(st, 1, p->public_key) && read_level(st, 11, &p->level);
}

static int read_address(struct store_peer *p, sqlite3_stmt *st)
{
	struct ip_addr ip = row_ip(st, 10);

	if (ip.family == ADDR_V4)
		p->v4 = ip;
	else if (ip.family == ADDR_V6)
		p->v6 = ip;
	return 0;
}

/* One row per address; rows of one peer follow each other. */
static int visit_peers(struct wal *w, sqlite3_stmt *st, store_peer_visitor visit, void *context)
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
	err = wal_code(w, w->db, rc);
	return err == 0 && p.id != 0 ? visit(context, &p) : err;
}

int load_peers(struct wal *w, int64_t interface_id, store_peer_visitor visit, void *context)
{
	sqlite3_stmt *st = NULL;
	int err = database_prepare(
		w,
		"SELECT p.id, p.public_key, p.name, p.status, p.families, p.port,"
		" p.dns, p.obfuscation, p.created_ns, p.changed_ns, a.ip, p.level"
		" FROM peer p LEFT JOIN address a ON a.peer_id = p.id"
		" WHERE p.interface_id = ?1 ORDER BY p.id",
		&st);

	if (err == 0) {
		sqlite3_bind_int64(st, 1, interface_id);
		err = visit_peers(w, st, visit, context);
	}
	sqlite3_finalize(st);
	return err;
}

int load_resting(struct wal *w, int64_t interface_id, store_resting_visitor visit,
		 void *context)
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE;
	int err = database_prepare(w,
				   "SELECT ip, rest_until_ns FROM address"
				   " WHERE interface_id = ?1 AND rest_until_ns IS NOT NULL",
				   &st);

	if (err == 0)
		sqlite3_bind_int64(st, 1, interface_id);
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_resting r = {
			.ip = row_ip(st, 0),
			.until_ns = row_u64(st, 1),
		};

		err = visit(context, &r);
	}
	if (err == 0)
		err = wal_code(w, w->db, rc);
	sqlite3_finalize(st);
	return err;
}

static bool read_profile(sqlite3_stmt *st, struct store_profile *p)
{
	*p = (struct store_profile){
		.parameters = (const char *)sqlite3_column_text(st, 2),
		.created_ns = row_u64(st, 3),
		.until_ns = row_u64(st, 4), /* 0 where it is null */
	};
	row_text(st, 0, p->name, sizeof(p->name));
	return p->parameters && read_level(st, 1, &p->level);
}

int load_profiles(struct wal *w, int64_t interface_id, store_profile_visitor visit,
		  void *context)
{
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_DONE;
	int err = database_prepare(
		w,
		"SELECT name, level, parameters, created_ns, until_ns FROM profile"
		" WHERE interface_id = ?1 ORDER BY name",
		&st);

	if (err == 0)
		sqlite3_bind_int64(st, 1, interface_id);
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_profile p;

		err = read_profile(st, &p) ? visit(context, &p) : ERR_CORRUPT;
	}
	if (err == 0)
		err = wal_code(w, w->db, rc);
	sqlite3_finalize(st);
	return err;
}

static int load_floor(struct wal *w, uint64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int err = database_prepare(w, "SELECT value FROM fact WHERE name = 'signature_floor_s'",
				   &st);

	if (err == 0) {
		int rc = sqlite3_step(st);

		err = wal_code(w, w->db, rc);
		*ret = rc == SQLITE_ROW ? row_u64(st, 0) : 0;
	}
	sqlite3_finalize(st);
	return err;
}

int load_signatures(struct wal *w, store_signature_visitor visit, void *context,
		    uint64_t *ret_floor_s)
{
	sqlite3_stmt *st = NULL;
	uint64_t floor_s = 0;
	int rc = SQLITE_DONE;
	int err = load_floor(w, &floor_s);

	if (err == 0)
		err = database_prepare(w, "SELECT digest, signed_s FROM signature ORDER BY id",
				       &st);
	while (err == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_signature one = {
			.signed_s = row_u64(st, 1),
		};

		err = row_digest(st, 0, one.digest) ? visit(context, &one) : ERR_CORRUPT;
	}
	if (err == 0)
		err = wal_code(w, w->db, rc);
	sqlite3_finalize(st);
	if (err == 0)
		*ret_floor_s = floor_s;
	return err;
}

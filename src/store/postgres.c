/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A group is a transaction. It is tried at once, sending ahead without waiting
 * for each answer; where something is refused in it, which is rare, for whoever decides knows the
 * state, it is undone and done again with a savepoint for each run of joined changes. One
 * gateway writes an interface's rows: its session holds an advisory lock, which ends with the
 * session. What it knows of the database (the audit trail's head) stays true as long as nobody
 * else has written.
 *
 * Each group writes a mark of its own, random, into the interface's row. Whoever has lost a
 * session opens another, waits for the lock, and reads the mark:
 *
 *	the last one known to be committed	the group under way was not committed, and never
 *						will be: its session is gone, the lock says so
 *	that of the group under way		it was committed, though nobody said so
 *	any other				another gateway was here: what we know is old
 *
 * So a COMMIT without an answer is neither acknowledged nor refused before that was read. Where it
 * cannot be read in time, or says that we are old, the store is at its end: it takes no more
 * changes, and a new process reads what the database holds.
 */
#include "store/postgres.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stdatomic.h>

#include "store/group.h"
#include "store/postgres_load.h"
#include "store/postgres_schema.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum {
	FORGET_PER_GROUP = 64, /* old signatures, beside one for each new one */
	ATTEMPTS = 2,	       /* an idle session may have ended without a word */
	READY_S = 3,	       /* for a group of which nothing is done */
	RESOLVE_S = 20,	       /* for one that may be committed: a server recovers meanwhile */
	OPEN_S = 3,	       /* for the session of a process before us to end */
	RETRY_MS = 50,
	STALE_AFTER = 300, /* as in wal.c */
	NAME_MAX_LEN = 64,
	LOCK_CLASS = 0x43756c76, /* "Culv" */
};

static const uint64_t SECOND_NS = 1000000000, MS_NS = 1000000;

static struct postgres *of(struct store *s)
{
	return (struct postgres *)s;
}

/* --- The session --- */

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)(RETRY_MS * MS_NS) }, NULL);
}

static int try_lock(struct postgres *s, bool *ret)
{
	struct pg_args a = { .n = 0 };
	PGresult *r = NULL;
	int err;

	pg_i64(&a, LOCK_CLASS);
	pg_i64(&a, (int32_t)s->interface_id);
	err = pg_link_ask(&s->link,
			  "SELECT pg_try_advisory_lock($1::bigint::int, $2::bigint::int)"
			  "::int::bigint",
			  &a, &r);
	if (err != 0)
		return err;
	*ret = pg_get_i64(&s->link, r, 0) != 0;
	s->link.pq->clear(r);
	return 0;
}

/* A session of ours whose end the server has not noticed. One that works on a COMMIT is let. */
static int end_former(struct postgres *s)
{
	struct pg_args a = { .n = 0 };

	pg_i64(&a, s->holder);
	pg_text(&a, s->holder_started);
	return pg_link_ask(&s->link,
			   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
			   " WHERE pid = $1::bigint::int AND backend_start::text = $2::text"
			   " AND state LIKE 'idle%'",
			   &a, NULL);
}

static int take_lock(struct postgres *s, uint64_t deadline_ns)
{
	bool is_ours = false;
	int err = try_lock(s, &is_ours);

	while (err == 0 && !is_ours) {
		if (clock_boot_ns() >= deadline_ns)
			return -EBUSY;
		err = end_former(s);
		pause_a_little();
		if (err == 0)
			err = try_lock(s, &is_ours);
	}
	if (err != 0)
		return err;
	s->holder = s->link.pid;
	memcpy(s->holder_started, s->link.started, sizeof(s->holder_started));
	return 0;
}

static int read_mark(struct postgres *s, uint8_t ret[POSTGRES_MARK_LEN])
{
	struct pg_args a = { .n = 0 };
	PGresult *r = NULL;
	int err;

	pg_i64(&a, s->interface_id);
	err = pg_link_ask(&s->link, "SELECT mark FROM interface WHERE id = $1::bigint", &a, &r);
	if (err != 0)
		return err;
	if (s->link.pq->ntuples(r) != 1 ||
	    !pg_copy_blob(&s->link, r, 0, ret, POSTGRES_MARK_LEN))
		err = ERR_CORRUPT;
	s->link.pq->clear(r);
	return err;
}

/* Under the lock of a new session: what became of the group under way? */
static int find_out(struct postgres *s)
{
	uint8_t mark[POSTGRES_MARK_LEN];
	int err = read_mark(s, mark);

	if (err != 0)
		return err;
	if (s->has_pending && memcmp(mark, s->pending, sizeof(mark)) == 0)
		memcpy(s->mark, s->pending, sizeof(mark));
	s->has_pending = false;
	if (memcmp(mark, s->mark, sizeof(mark)) == 0)
		return 0;
	log_error("the database was written by another gateway meanwhile");
	atomic_store(&s->failed, true);
	return -EIO;
}

static int resume(struct postgres *s, uint64_t deadline_ns)
{
	int err = pg_link_open(&s->link, NULL);

	if (err == 0)
		err = take_lock(s, deadline_ns);
	if (err == 0)
		err = find_out(s);
	if (err != 0)
		pg_link_close(&s->link); /* one without the lock is none */
	else
		log_info("connected to PostgreSQL again");
	return err;
}

int postgres_be_ready(struct postgres *s, unsigned int seconds)
{
	uint64_t deadline_ns = clock_boot_ns() + seconds * SECOND_NS;

	if (atomic_load(&s->failed))
		return -EIO;
	if (pg_link_is_open(&s->link))
		return 0;
	for (;;) {
		int err = resume(s, deadline_ns);

		if (err == 0 || err == -EIO)
			return err;
		if (clock_boot_ns() + RETRY_MS * MS_NS >= deadline_ns)
			return -EBUSY;
		pause_a_little();
	}
}

/* --- A run of joined changes --- */

static int change_run(struct postgres *s, struct store_change *first,
		      const struct store_change *end)
{
	int err = 0;

	for (struct store_change *c = first; c != end && err == 0; c = c->next)
		err = c->result = postgres_change(s, c);
	return err;
}

/* Return: 0 with the outcome in each result, or what ends the whole group. */
static int change_or_undo(struct postgres *s, struct store_change *first,
			  const struct store_change *end)
{
	uint8_t head[SEAL_CHAIN_LEN];
	int64_t head_id = s->head_id;
	int result, err = postgres_run(s, PG_SAVEPOINT, NULL);

	if (err != 0)
		return err;
	memcpy(head, s->head, sizeof(head));
	for (struct store_change *c = first; c != end; c = c->next)
		c->result = 0;
	result = change_run(s, first, end);
	if (result == 0)
		return postgres_run(s, PG_RELEASE, NULL);
	if (!group_is_refusal(result))
		return result;
	memcpy(s->head, head, sizeof(head));
	s->head_id = head_id;
	group_cancel_run(first, end);
	err = postgres_run(s, PG_ROLLBACK_TO, NULL);
	return err != 0 ? err : postgres_run(s, PG_RELEASE, NULL);
}

/* --- A group --- */

/* Drop signatures nobody could use any more, oldest first, a few at a time. */
static int forget(struct postgres *s, const struct store_change *first)
{
	struct pg_args a = { .n = 0 };
	uint64_t before_s = 0;
	unsigned int n = 0;

	for (const struct store_change *c = first; c; c = c->next, n++)
		if (c->forget_before_s > before_s)
			before_s = c->forget_before_s;
	if (before_s == 0)
		return 0;
	pg_i64(&a, s->interface_id);
	pg_u64(&a, before_s);
	pg_i64(&a, FORGET_PER_GROUP + n);
	return postgres_run(s, PG_FORGET_SIGNATURES, &a);
}

static int set_mark(struct postgres *s, const uint8_t mark[POSTGRES_MARK_LEN])
{
	struct pg_args a = { .n = 0 };

	pg_i64(&a, s->interface_id);
	pg_blob(&a, mark, POSTGRES_MARK_LEN);
	return postgres_run(s, PG_SET_MARK, &a);
}

/* Return: 0: committed; -ENOTCONN: surely not; -EIO: nobody knows; as pg_link_run(). */
static int commit(struct postgres *s, const uint8_t mark[POSTGRES_MARK_LEN])
{
	PGresult *r = NULL;
	int err;

	memcpy(s->pending, mark, sizeof(s->pending));
	s->has_pending = true;
	err = pg_link_run(&s->link, PG_COMMIT, NULL, &r);
	if (err == -ENOTCONN) {
		err = postgres_be_ready(s, RESOLVE_S);
		if (err != 0) {
			atomic_store(&s->failed, true);
			return -EIO;
		}
		return memcmp(s->mark, mark, sizeof(s->mark)) == 0 ? 0 : -ENOTCONN;
	}
	s->has_pending = false;
	if (err != 0)
		return err;
	/* A transaction that had failed is answered with ROLLBACK. */
	err = strcmp(s->link.pq->cmd_status(r), "COMMIT") == 0 ? 0 : -EBUSY;
	s->link.pq->clear(r);
	if (err == 0)
		memcpy(s->mark, mark, sizeof(s->mark));
	return err;
}

/* struct before - What a group that fails puts back */
struct before {
	uint8_t head[SEAL_CHAIN_LEN];
	int64_t head_id;
	int64_t *record_ids; /* of each change */
};

static int keep_before(const struct postgres *s, const struct store_change *first,
		       struct before *b)
{
	memcpy(b->head, s->head, sizeof(b->head));
	b->head_id = s->head_id;
	return group_keep_ids(first, &b->record_ids);
}

static void put_back(struct postgres *s, struct store_change *first, const struct before *b,
		     bool is_all)
{
	group_put_back_ids(first, b->record_ids, is_all);
	if (!is_all)
		return;
	memcpy(s->head, b->head, sizeof(s->head));
	s->head_id = b->head_id;
}

/* Up to the COMMIT, without waiting. Return: 0: all is well; a refusal, of any of them */
static int make_at_once(struct postgres *s, struct store_change *first,
			const uint8_t mark[POSTGRES_MARK_LEN])
{
	int err = pg_link_post_begin(&s->link), end;

	if (err == 0)
		err = postgres_run(s, PG_BEGIN, NULL);
	if (err == 0)
		err = change_run(s, first, NULL);
	if (err == 0)
		err = forget(s, first);
	if (err == 0)
		err = set_mark(s, mark);
	end = pg_link_post_end(&s->link);
	return err == 0 || end == -ENOTCONN ? end : err;
}

/* The same step by step: what is refused is refused alone. */
static int make_one_by_one(struct postgres *s, struct store_change *first,
			   const uint8_t mark[POSTGRES_MARK_LEN])
{
	int err = postgres_run(s, PG_BEGIN, NULL);

	for (struct store_change *c = first, *end; c && err == 0; c = end) {
		end = group_run_end(c);
		err = change_or_undo(s, c, end);
	}
	if (err == 0)
		err = forget(s, first);
	return err == 0 ? set_mark(s, mark) : err;
}

static int group(struct postgres *s, struct store_change *first, const struct before *b)
{
	uint8_t mark[POSTGRES_MARK_LEN];
	int err;

	random_fill(mark, sizeof(mark));
	err = make_at_once(s, first, mark);
	if (group_is_refusal(err)) {
		put_back(s, first, b, true);
		err = postgres_run(s, PG_ROLLBACK, NULL);
		if (err == 0)
			err = make_one_by_one(s, first, mark);
	}
	return err == 0 ? commit(s, mark) : err;
}

static int try_group(struct postgres *s, struct store_change *first, const struct before *b)
{
	int err = -ENOTCONN;

	for (int i = 0; i < ATTEMPTS && err == -ENOTCONN; i++) {
		err = postgres_be_ready(s, READY_S);
		if (err == 0)
			err = group(s, first, b);
		put_back(s, first, b, err != 0);
	}
	if (err != 0 && pg_link_is_open(&s->link))
		(void)postgres_run(s, PG_ROLLBACK, NULL);
	return err == -ENOTCONN ? -EBUSY : err;
}

/* Once for each kind of failure. */
static void say(struct postgres *s, int err)
{
	if (err != 0 && err != s->said)
		log_error("PostgreSQL takes no changes: %s: %s", err_text(err),
			  s->link.complaint);
	s->said = err;
}

static int postgres_apply(struct store *store, struct store_change *first)
{
	struct postgres *s = of(store);
	struct before b = { .record_ids = NULL };
	int err = keep_before(s, first, &b);

	if (err == 0)
		err = try_group(s, first, &b);
	free(b.record_ids);
	say(s, err);
	if (err == 0)
		atomic_store(&s->has_committed, true);
	else
		group_fail(first, err);
	return err;
}

/* --- Beside changes --- */

static int postgres_snapshot(struct store *store, bool begin)
{
	struct postgres *s = of(store);
	int err;

	if (!begin) {
		s->in_snapshot = false;
		return postgres_run(s, PG_COMMIT, NULL);
	}
	err = postgres_be_ready(s, READY_S);
	if (err == 0)
		err = pg_link_ask(&s->link, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
				  NULL, NULL);
	s->in_snapshot = err == 0;
	return err;
}

/* There is no log to move. After a failure: would a new process find a server? */
static int postgres_maintain(struct store *store)
{
	struct postgres *s = of(store);
	int err;

	if (!atomic_load(&s->failed))
		return 0;
	s->maintained += s->maintained < STALE_AFTER;
	if (!atomic_load(&s->has_committed) && s->maintained < STALE_AFTER)
		return -EIO;
	err = pg_link_open(&s->probe, NULL);
	pg_link_close(&s->probe);
	return err == 0 ? -ESTALE : -EIO;
}

static void postgres_free(struct store *store)
{
	struct postgres *s = of(store);

	pg_link_close(&s->link);
	pg_link_close(&s->reader);
	pg_link_close(&s->probe);
	pg_target_free(s->target);
	seal_free(s->seal);
	free(s);
}

static const struct store_ops postgres_ops = {
	.apply = postgres_apply,
	.load_peers = postgres_load_peers,
	.load_resting = postgres_load_resting,
	.load_profiles = postgres_load_profiles,
	.load_signatures = postgres_load_signatures,
	.load_records = postgres_load_records,
	.load_usage = postgres_load_usage,
	.load_answered = postgres_load_answered,
	.read_audit = postgres_read_audit,
	.snapshot = postgres_snapshot,
	.maintain = postgres_maintain,
	.free = postgres_free,
};

/* --- Opening --- */

static int connect_links(struct postgres *s, const char *conninfo, struct diag *d)
{
	PGconn *first = NULL;
	int err = pg_target_new(conninfo, &s->target, &first, d);

	if (err != 0)
		return err;
	s->link.target = s->reader.target = s->probe.target = s->target;
	s->link.pq = s->reader.pq = s->probe.pq = pg_target_library(s->target);
	s->link.statements = postgres_statement_text;
	err = pg_link_open(&s->link, first);
	return err == 0 ? 0 : diag_set(d, err, 0, "PostgreSQL: %s", s->link.complaint);
}

/* The sealed value says whose the interface is; there is nothing in it. */
static int add_interface(struct postgres *s, const struct store_config *config)
{
	static const uint8_t nothing[16];
	uint8_t nonce[SEAL_NONCE_LEN], mark[POSTGRES_MARK_LEN];
	uint8_t sealed[sizeof(nothing) + SEAL_OVERHEAD];
	struct pg_args a = { .n = 0 };

	random_fill(nonce, sizeof(nonce));
	random_fill(mark, sizeof(mark));
	seal_close(s->seal, "interface", config->interface, strlen(config->interface), nonce,
		   nothing, sizeof(nothing), sealed);
	pg_text(&a, config->interface);
	pg_blob(&a, config->public_key, sizeof(config->public_key));
	pg_blob(&a, sealed, sizeof(sealed));
	pg_blob(&a, mark, sizeof(mark));
	pg_u64(&a, config->now_ns);
	return pg_link_ask(&s->link,
			   "INSERT INTO interface (name, public_key, sealed, mark, created_ns)"
			   " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
			   &a, NULL);
}

/* Return: 0, also when there is none: *@ret_is_there. ERR_AUTH */
static int find_interface(struct postgres *s, const char *name, bool *ret_is_there)
{
	struct pg_args a = { .n = 0 };
	PGresult *r = NULL;
	uint8_t nothing[16];
	size_t len = 0;
	int err;

	pg_text(&a, name);
	err = pg_link_ask(&s->link, "SELECT id, sealed FROM interface WHERE name = $1", &a, &r);
	if (err != 0)
		return err;
	*ret_is_there = s->link.pq->ntuples(r) == 1;
	if (*ret_is_there) {
		const uint8_t *sealed = pg_get_blob(&s->link, r, 1, &len);

		s->interface_id = pg_get_i64(&s->link, r, 0);
		err = sealed && len == sizeof(nothing) + SEAL_OVERHEAD
			      ? seal_open(s->seal, "interface", name, strlen(name), sealed, len,
					  nothing)
			      : ERR_CORRUPT;
	}
	s->link.pq->clear(r);
	return err;
}

static int know_interface(struct postgres *s, const struct store_config *config, struct diag *d)
{
	const char *name = config->interface;
	bool is_there = false;
	int err = strlen(name) <= NAME_MAX_LEN ? find_interface(s, name, &is_there) : ERR_LIMIT;

	if (err == 0 && !is_there) {
		err = add_interface(s, config);
		if (err == 0)
			err = find_interface(s, name, &is_there);
	}
	if (err == ERR_AUTH)
		return diag_set(d, err, 0,
				"the interface %s of this database belongs to a gateway with"
				" another master key; give this one another name, or restore"
				" the key",
				name);
	return err == 0 ? 0
			: diag_set(d, err, 0, "the interface %s cannot be read: %s", name,
				   s->link.complaint[0] ? s->link.complaint : err_text(err));
}

static int set_public_key(struct postgres *s, const struct store_config *config)
{
	struct pg_args a = { .n = 0 };

	pg_i64(&a, s->interface_id);
	pg_blob(&a, config->public_key, sizeof(config->public_key));
	return pg_link_ask(&s->link,
			   "UPDATE interface SET public_key = $2 WHERE id = $1"
			   " AND public_key <> $2",
			   &a, NULL);
}

static int take_interface(struct postgres *s, const struct store_config *config, struct diag *d)
{
	int err = take_lock(s, clock_boot_ns() + OPEN_S * SECOND_NS);

	if (err == -EBUSY)
		return diag_set(d, err, 0,
				"another gateway serves the interface %s from this database",
				config->interface);
	if (err == 0)
		err = read_mark(s, s->mark);
	if (err == 0)
		err = set_public_key(s, config);
	if (err == 0)
		err = postgres_load_head(s);
	return err == 0 ? 0
			: diag_set(d, err, 0, "the database cannot be prepared: %s",
				   s->link.complaint[0] ? s->link.complaint : err_text(err));
}

int store_open_postgres(const char *conninfo, const struct store_config *config,
			struct store **ret, struct diag *d)
{
	struct postgres *s = calloc(1, sizeof(*s));
	int err = s ? seal_new(config->master, &s->seal) : -ENOMEM;

	if (err != 0) {
		free(s);
		return diag_set(d, err, 0, "%s", err_text(err));
	}
	s->store.ops = &postgres_ops;
	err = connect_links(s, conninfo, d);
	if (err == 0)
		err = postgres_schema_prepare(&s->link, d);
	if (err == 0)
		err = know_interface(s, config, d);
	if (err == 0)
		err = take_interface(s, config, d);
	if (err != 0) {
		postgres_free(&s->store);
		return err;
	}
	*ret = &s->store;
	return 0;
}

size_t store_postgres_files(const struct store *s, const char *paths[STORE_POSTGRES_FILES_MAX])
{
	return pg_target_files(((const struct postgres *)s)->target, paths);
}

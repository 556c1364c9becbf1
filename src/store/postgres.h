/* SPDX-License-Identifier: Apache-2.0 */
/**
 * postgres.h - Inside the store of PostgreSQL: its statements, and the changes made with them
 *
 * Threads: that of store_apply().
 */
#pragma once

#include "store/pg_link.h"
#include "store/seal.h"
#include "store/store.h"

enum {
	POSTGRES_MARK_LEN = 16,
};

enum postgres_statement {
	PG_BEGIN,
	PG_COMMIT,
	PG_ROLLBACK,
	PG_SAVEPOINT,
	PG_RELEASE,
	PG_ROLLBACK_TO,
	PG_SET_MARK,
	PG_ADD_PEER,
	PG_GET_SEALED,
	PG_CHANGE_PEER,
	PG_ADD_ADDRESSES,
	PG_REST_ADDRESSES,
	PG_FREE_ADDRESSES,
	PG_REMOVE_PEER,
	PG_DROP_PROFILES,
	PG_ADD_PROFILE,
	PG_ADD_RECORD,
	PG_CHANGE_RECORD,
	PG_DROP_RECORD,
	PG_SET_USAGE,
	PG_ADD_ANSWERED,
	PG_DROP_ANSWERED,
	PG_ADD_SIGNATURE,
	PG_FORGET_SIGNATURES,
	PG_ADD_AUDIT,
	PG_TRIM_AUDIT,
	PG_STATEMENTS,
};

/**
 * struct postgres - An open store
 * @link:	Of the thread that commits and loads
 * @reader:	Of the thread that reads the audit trail
 * @probe:	Of the thread that maintains
 * @holder, @holder_started: The server's process whose session has or had the lock
 * @in_snapshot: The session is in a transaction that only reads
 * @mark:	Of the newest group that is known to be committed
 * @pending:	Of a group whose COMMIT was sent and not answered, if @has_pending
 * @head, @head_id: The newest row of the audit trail
 * @failed:	What the database holds is not known, or somebody else has written to it
 * @has_committed: A change has reached it
 * @maintained:	Calls of store_maintain() since it failed, up to a bound; of its thread
 * @said:	The failure that was logged last; of the thread that commits
 */
struct postgres {
	struct store store; /* first: the ops get a pointer to it */
	struct pg_target *target;
	struct pg_link link;
	struct pg_link reader;
	struct pg_link probe;
	struct seal *seal;
	int64_t interface_id;
	int64_t holder;
	char holder_started[PG_START_MAX];
	bool in_snapshot;
	uint8_t mark[POSTGRES_MARK_LEN];
	uint8_t pending[POSTGRES_MARK_LEN];
	bool has_pending;
	uint8_t head[SEAL_CHAIN_LEN];
	int64_t head_id;
	_Atomic bool failed;
	_Atomic bool has_committed;
	unsigned int maintained;
	int said;
};

extern const char *const postgres_statement_text[PG_STATEMENTS];

/**
 * postgres_be_ready() - See to it that there is a session which holds the interface's lock
 *
 * A group whose fate is not known is known afterwards: @has_pending is false, and @mark is its
 * own if it was committed.
 *
 * Return: 0; -EBUSY: not within @seconds; -EIO: as store_apply(), for good.
 */
int postgres_be_ready(struct postgres *s, unsigned int seconds);

/** postgres_run() - pg_link_run() in the session of the store, without an answer */
int postgres_run(struct postgres *s, enum postgres_statement which, const struct pg_args *a);

/** postgres_open_key() - The preshared key sealed in a column, under a peer's key @public_key.
 *  None: zeroes. Return: 0; ERR_AUTH; ERR_CORRUPT */
int postgres_open_key(struct postgres *s, const PGresult *r, int at,
		      const uint8_t public_key[32], struct secret_key *ret);

/** postgres_change() - Make one change inside a transaction. Return: 0, or why it is refused */
int postgres_change(struct postgres *s, struct store_change *c);

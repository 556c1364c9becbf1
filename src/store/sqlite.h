/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sqlite.h - Inside the store of SQLite: its statements, and the changes made with them
 *
 * Threads: that of store_apply().
 */
#pragma once

#include <sqlite3.h>

#include "store/seal.h"
#include "store/store.h"
#include "store/wal.h"

enum statement {
	BEGIN,
	COMMIT,
	SAVEPOINT,
	RELEASE,
	ROLLBACK_TO,
	ADD_PEER,
	GET_SEALED,
	CHANGE_PEER,
	ADD_ADDRESS,
	DROP_RESTING,
	REST_ADDRESSES,
	FREE_ADDRESSES,
	REMOVE_PEER,
	DROP_PROFILES,
	ADD_PROFILE,
	ADD_RECORD,
	CHANGE_RECORD,
	DROP_RECORD,
	SET_USAGE,
	ADD_ANSWERED,
	DROP_ANSWERED,
	ADD_SIGNATURE,
	OLDEST_SIGNATURE,
	DROP_SIGNATURE,
	SET_FLOOR,
	ADD_AUDIT,
	TRIM_AUDIT,
	STATEMENTS,
};

/**
 * struct sqlite - An open store
 * @reader:	Of the thread that reads the audit trail
 * @head, @head_id: The newest chained row, and the newest of all
 */
struct sqlite {
	struct store store; /* first: the ops get a pointer to it */
	struct wal wal;
	sqlite3 *reader;
	struct seal *seal;
	sqlite3_stmt *statement[STATEMENTS];
	int64_t interface_id;
	uint8_t head[SEAL_CHAIN_LEN];
	int64_t head_id;
};

/** sqlite_statement() - Ready to be bound */
sqlite3_stmt *sqlite_statement(struct sqlite *s, enum statement which);
/** sqlite_run() - Step once and reset. Return: as wal_code() */
int sqlite_run(struct sqlite *s, sqlite3_stmt *st);

/** sqlite_open_key() - The preshared key sealed in a column, under a peer's key @public_key.
 *  None: zeroes. Return: 0; ERR_AUTH; ERR_CORRUPT */
int sqlite_open_key(struct sqlite *s, sqlite3_stmt *st, int at, const uint8_t public_key[32],
		    struct secret_key *ret);

/** sqlite_change() - Make one change inside a transaction. Return: 0, or why it is refused */
int sqlite_change(struct sqlite *s, struct store_change *c);

/** sqlite_add_audit() - The row of a change that was made, chained to the one before it */
int sqlite_add_audit(struct sqlite *s, struct store_change *c);

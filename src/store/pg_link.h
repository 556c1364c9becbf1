/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pg_link.h - One session with a PostgreSQL server
 *
 * Runs prepared statements with our types as arguments and reads our types from the answers, all
 * of it in binary. Every wait has a bound. A session that is lost is closed: -ENOTCONN says so, and
 * pg_link_open() makes another.
 *
 * Threads: one at a time per link; links do not share anything that changes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/wire.h"
#include "store/libpq.h"
#include "store/pg_target.h"

enum {
	PG_ARGS_MAX = 24,
	PG_STATEMENTS_MAX = 64,
	PG_SILENCE_S = 40,
	PG_START_MAX = 48,
	PG_COMPLAINT_MAX = 200,
	PG_POSTED_MAX = 64, /* their answers fit into the buffers of a socket */
	PG_ANY_ROWS = -1,
};

/* struct pg_posted - @rows that the answer has, or PG_ANY_ROWS; @prepares: a bit of pg_link.prepared */
struct pg_posted {
	int rows;
	uint64_t prepares;
};

/**
 * struct pg_link - A session, or none
 * @silence_s:	How long an answer is waited for; 0: PG_SILENCE_S
 * @statements: Texts that pg_link_run() knows by their place
 * @prepared:	Bit n: the server knows statement n
 * @sent:	The same of those that it is only about to be told
 * @is_posting: Statements are sent without waiting; the answers to @posted are not read yet
 * @pid, @started: Of the server's process: with both, it is no other
 * @complaint:	What the server said last when it refused; never a secret of ours
 */
struct pg_link {
	const struct pg_target *target;
	const struct libpq *pq;
	unsigned int silence_s;
	const char *const *statements;
	PGconn *c;
	uint64_t prepared;
	uint64_t sent;
	bool is_posting;
	unsigned int n_posted;
	struct pg_posted posted[PG_POSTED_MAX];
	int64_t pid;
	char started[PG_START_MAX];
	char complaint[PG_COMPLAINT_MAX];
};

/**
 * struct pg_args - Arguments of a statement, $1 first; all zeroes is none
 * @value:	Borrowed; NULL: null, unless @is_number says that it is the one in @number
 */
struct pg_args {
	int n;
	const char *value[PG_ARGS_MAX];
	int length[PG_ARGS_MAX];
	bool is_number[PG_ARGS_MAX];
	uint8_t number[PG_ARGS_MAX][8];
};

/**
 * pg_link_open() - Connect, and make the session ours
 * @given:	A connection that is there already, which the link takes; NULL: make one
 *
 * Return: 0; -ENOTCONN; as pg_link_run(); @l->complaint tells.
 */
int pg_link_open(struct pg_link *l, PGconn *given);
void pg_link_close(struct pg_link *l);
bool pg_link_is_open(const struct pg_link *l);

/**
 * pg_link_run() - Run statement @which and wait for the end of its answer
 * @ret:	The answer, for the caller to clear with PQclear(); NULL: it is cleared
 *
 * Return: 0; ERR_EXISTS (a constraint), ERR_UNKNOWN (a reference), ERR_FORMAT, ERR_CORRUPT;
 *	   -ENOSPC, -ENOMEM, -EBUSY: the server refused, and what was begun is undone; -ENOTCONN: the session is
 *	   lost, and so is what was begun, unless it was a COMMIT.
 */
int pg_link_run(struct pg_link *l, unsigned int which, const struct pg_args *a, PGresult **ret);

/**
 * pg_link_post() - Send many statements, and read their answers later, all at once
 *
 * Between pg_link_post_begin() and pg_link_post_end() pg_link_post() does not wait, but where too much
 * waits already; pg_link_run() waits for all that was posted before and for itself. Behind one that
 * fails none is carried out. Nothing but these is called meanwhile.
 *
 * @rows:	How many rows the answer has, else ERR_EXISTS; PG_ANY_ROWS
 *
 * Return: 0; as pg_link_run(), of any that was posted before.
 */
int pg_link_post(struct pg_link *l, unsigned int which, const struct pg_args *a, int rows);
int pg_link_post_begin(struct pg_link *l);
int pg_link_post_end(struct pg_link *l); /* waits for all that was posted */

/** pg_link_ask() - As pg_link_run(), for a text that is not prepared. @a: NULL: several statements may be */
int pg_link_ask(struct pg_link *l, const char *text, const struct pg_args *a, PGresult **ret);

/** pg_link_start() - Begin to run; pg_link_next() gives the answer row by row. Return: as above */
int pg_link_start(struct pg_link *l, const char *text, const struct pg_args *a);

/**
 * pg_link_next() - The next row, in *@ret, for the caller to clear
 *
 * Once it has not returned 1 the session is free for another statement.
 *
 * Return: 1; 0 when there are no more; as pg_link_run().
 */
int pg_link_next(struct pg_link *l, PGresult **ret);
void pg_link_skip(struct pg_link *l); /* the rows that are left */

/* --- Arguments --- */

static inline void pg_blob(struct pg_args *a, const void *data, size_t len)
{
	a->value[a->n] = data;
	a->length[a->n++] = (int)len;
}

static inline void pg_null(struct pg_args *a)
{
	pg_blob(a, NULL, 0);
}

static inline void pg_i64(struct pg_args *a, int64_t v)
{
	a->is_number[a->n] = true;
	put_be64(a->number[a->n], (uint64_t)v);
	pg_blob(a, NULL, 8);
}

static inline void pg_u64(struct pg_args *a, uint64_t v)
{
	pg_i64(a, (int64_t)v);
}

static inline void pg_text(struct pg_args *a, const char *text)
{
	pg_blob(a, text, strlen(text));
}

/* NULL where it is NULL or "". */
static inline void pg_text_or_null(struct pg_args *a, const char *text)
{
	if (text && text[0])
		pg_text(a, text);
	else
		pg_null(a);
}

static inline void pg_i64_or_null(struct pg_args *a, int64_t v)
{
	if (v != 0)
		pg_i64(a, v);
	else
		pg_null(a);
}

static inline void pg_ip_or_null(struct pg_args *a, const struct ip_addr *ip)
{
	if (ip->family == ADDR_NONE)
		pg_null(a);
	else
		pg_blob(a, ip->b, ip->family == ADDR_V4 ? 4 : 16);
}

/* --- Columns of the first row --- */

static inline bool pg_is_null(const struct pg_link *l, const PGresult *r, int at)
{
	return l->pq->getisnull(r, 0, at) != 0;
}

/* 0 where it is null. */
static inline int64_t pg_get_i64(const struct pg_link *l, const PGresult *r, int at)
{
	const uint8_t *b = (const uint8_t *)l->pq->getvalue(r, 0, at);

	return l->pq->getlength(r, 0, at) == 8 ? (int64_t)get_be64(b) : 0;
}

static inline uint64_t pg_get_u64(const struct pg_link *l, const PGresult *r, int at)
{
	return (uint64_t)pg_get_i64(l, r, at);
}

/* Ends with NUL; NULL where it is null. Lives as long as the row. */
static inline const char *pg_get_text(const struct pg_link *l, const PGresult *r, int at)
{
	return pg_is_null(l, r, at) ? NULL : l->pq->getvalue(r, 0, at);
}

/* NULL where it is null. */
static inline const uint8_t *pg_get_blob(const struct pg_link *l, const PGresult *r, int at,
					 size_t *ret_len)
{
	*ret_len = (size_t)l->pq->getlength(r, 0, at);
	return pg_is_null(l, r, at) ? NULL : (const uint8_t *)l->pq->getvalue(r, 0, at);
}

/* Are there exactly @len octets? Then they are copied. */
static inline bool pg_copy_blob(const struct pg_link *l, const PGresult *r, int at, void *out,
				size_t len)
{
	size_t have;
	const uint8_t *b = pg_get_blob(l, r, at, &have);

	if (!b || have != len)
		return false;
	memcpy(out, b, len);
	return true;
}

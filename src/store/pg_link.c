/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <poll.h>

#include "sys/clock.h"

static const uint64_t SECOND_NS = 1000000000, MS_NS = 1000000;

/* Strict where the operator's own settings may be lax; what is stricter than "on" stays. A server
 * that waits for us ends the session, so that the locks it holds are not held for ever. COMMIT
 * is not bound by statement_timeout. */
static const char session_text[] =
	"SET client_min_messages = error; SET client_encoding = 'UTF8'; SET timezone = 'UTC';"
	"SET search_path = culvert, pg_temp; SET default_transaction_isolation = 'read committed';"
	"SELECT set_config('synchronous_commit', 'on', false)"
	" WHERE current_setting('synchronous_commit') <> 'remote_apply';"
	"SET statement_timeout = '30s'; SET lock_timeout = '10s';"
	"SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 10;"
	"SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

static const char self_text[] = "SELECT pid::bigint, backend_start::text FROM pg_stat_activity"
				" WHERE pid = pg_backend_pid()";

static const int all_binary[PG_ARGS_MAX] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

/* --- What the server says --- */

static int hang_up(struct pg_link *l)
{
	pg_link_close(l);
	return -ENOTCONN;
}

static int lose(struct pg_link *l, const char *why)
{
	snprintf(l->complaint, sizeof(l->complaint), "%.*s", (int)strcspn(why, "\n"), why);
	return hang_up(l);
}

static bool is_class(const char *state, const char *class)
{
	return strncmp(state, class, strlen(class)) == 0;
}

/* Of an error that left the session alive. PostgreSQL documentation, appendix A. */
static int code_of(const char *state)
{
	static const struct {
		const char *class;
		int code;
	} codes[] = {
		{ "23503", ERR_UNKNOWN },			/* foreign key */
		{ "23", ERR_EXISTS },	  { "22", ERR_FORMAT }, /* not of the type */
		{ "53100", -ENOSPC },	  { "53200", -ENOMEM },
		{ "XX001", ERR_CORRUPT }, { "XX002", ERR_CORRUPT },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (is_class(state, codes[i].class))
			return codes[i].code;
	return -EBUSY; /* nothing was done */
}

/* The server is going away, or has become one that does not write. */
static bool is_farewell(const char *state)
{
	return is_class(state, "57P") || is_class(state, "08") || is_class(state, "25006") ||
	       is_class(state, "25P03");
}

static int judge(struct pg_link *l, const PGresult *r)
{
	ExecStatusType status = l->pq->result_status(r);
	const char *state, *text;

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
	    status == PGRES_SINGLE_TUPLE)
		return 0;
	state = l->pq->result_error_field(r, PG_DIAG_SQLSTATE);
	text = l->pq->result_error_field(r, PG_DIAG_MESSAGE_PRIMARY);
	snprintf(l->complaint, sizeof(l->complaint), "%.160s (SQLSTATE %.5s)",
		 text ? text : "no answer", state ? state : "none");
	if (!state || is_farewell(state) || l->pq->status(l->c) != CONNECTION_OK)
		return -ENOTCONN;
	return code_of(state);
}

/* --- Waiting --- */

static uint64_t deadline(const struct pg_link *l)
{
	return clock_boot_ns() + (l->silence_s ? l->silence_s : PG_SILENCE_S) * SECOND_NS;
}

/* Until the next answer is there, whole. */
static int await_answer(struct pg_link *l, uint64_t deadline_ns)
{
	while (l->pq->is_busy(l->c)) {
		struct pollfd p = { .fd = l->pq->socket(l->c), .events = POLLIN };
		uint64_t now_ns = clock_boot_ns();
		int n = 0;

		if (now_ns < deadline_ns)
			n = poll(&p, 1, (int)((deadline_ns - now_ns) / MS_NS) + 1);
		if (n == 0)
			return lose(l, "the server does not answer");
		if (n > 0 && !l->pq->consume_input(l->c))
			return lose(l, l->pq->error_message(l->c));
	}
	return 0;
}

/* All answers to what was sent; @ret has the last, or the first that is an error. */
static int collect(struct pg_link *l, PGresult **ret)
{
	uint64_t deadline_ns = deadline(l);
	PGresult *kept = NULL, *r;
	int result = -ENOTCONN;

	while (await_answer(l, deadline_ns) == 0 && (r = l->pq->get_result(l->c)) != NULL) {
		if (kept && result != 0) {
			l->pq->clear(r);
			continue;
		}
		l->pq->clear(kept); /* takes NULL */
		kept = r;
		result = judge(l, r);
	}
	/* What arrived before the session was lost counts: it may say that a COMMIT is done. */
	if (result == 0 && ret)
		*ret = kept;
	else
		l->pq->clear(kept);
	return result == -ENOTCONN ? hang_up(l) : result;
}

/* --- Sending --- */

static int send_failed(struct pg_link *l)
{
	return lose(l, l->pq->error_message(l->c));
}

/* Where the arguments are: a struct that was copied does not point into itself. */
static void point(const struct pg_args *a, const char *ret[PG_ARGS_MAX])
{
	for (int i = 0; i < a->n; i++)
		ret[i] = a->is_number[i] ? (const char *)a->number[i] : a->value[i];
}

int pg_link_run(struct pg_link *l, unsigned int which, const struct pg_args *a, PGresult **ret)
{
	static const struct pg_args none = { .n = 0 };
	const char *values[PG_ARGS_MAX];
	char name[16];
	int err;

	assert(which < PG_STATEMENTS_MAX);
	if (!l->c)
		return -ENOTCONN;
	snprintf(name, sizeof(name), "s%u", which);
	if (!(l->prepared & UINT64_C(1) << which)) {
		if (!l->pq->send_prepare(l->c, name, l->statements[which], 0, NULL))
			return send_failed(l);
		err = collect(l, NULL);
		if (err != 0)
			return err;
		l->prepared |= UINT64_C(1) << which;
	}
	if (!a)
		a = &none;
	point(a, values);
	if (!l->pq->send_query_prepared(l->c, name, a->n, values, a->length, all_binary, 1))
		return send_failed(l);
	return collect(l, ret);
}

static bool send_text(struct pg_link *l, const char *text, const struct pg_args *a)
{
	const char *values[PG_ARGS_MAX];

	if (!a)
		return l->pq->send_query(l->c, text) == 1;
	point(a, values);
	return l->pq->send_query_params(l->c, text, a->n, NULL, values, a->length, all_binary,
					1) == 1;
}

int pg_link_ask(struct pg_link *l, const char *text, const struct pg_args *a, PGresult **ret)
{
	if (!l->c)
		return -ENOTCONN;
	return send_text(l, text, a) ? collect(l, ret) : send_failed(l);
}

int pg_link_start(struct pg_link *l, const char *text, const struct pg_args *a)
{
	if (!l->c)
		return -ENOTCONN;
	if (!send_text(l, text, a) || !l->pq->set_single_row_mode(l->c))
		return send_failed(l);
	return 0;
}

int pg_link_next(struct pg_link *l, PGresult **ret)
{
	PGresult *r;
	int err;

	if (!l->c)
		return -ENOTCONN;
	err = await_answer(l, deadline(l));
	if (err != 0)
		return err;
	r = l->pq->get_result(l->c);
	if (!r)
		return lose(l, "the session is lost");
	if (l->pq->result_status(r) == PGRES_SINGLE_TUPLE) {
		*ret = r;
		return 1;
	}
	err = judge(l, r);
	l->pq->clear(r);
	if (err == -ENOTCONN)
		return hang_up(l);
	pg_link_skip(l); /* nothing but the end is left */
	return err;
}

void pg_link_skip(struct pg_link *l)
{
	uint64_t deadline_ns = deadline(l);
	PGresult *r;

	while (l->c && await_answer(l, deadline_ns) == 0 &&
	       (r = l->pq->get_result(l->c)) != NULL)
		l->pq->clear(r);
}

/* --- The session --- */

static void ignore_notice(void *context, const PGresult *r)
{
	(void)context;
	(void)r;
}

static int know_oneself(struct pg_link *l)
{
	const struct pg_args none = { .n = 0 };
	PGresult *r = NULL;
	int err = pg_link_ask(l, self_text, &none, &r);

	if (err != 0)
		return err;
	l->started[0] = '\0';
	if (l->pq->ntuples(r) == 1 && !pg_is_null(l, r, 1)) {
		l->pid = pg_get_i64(l, r, 0);
		snprintf(l->started, sizeof(l->started), "%s", pg_get_text(l, r, 1));
	}
	l->pq->clear(r);
	return 0;
}

int pg_link_open(struct pg_link *l, PGconn *given)
{
	int err;

	pg_link_close(l);
	l->c = given ? given : pg_target_connect(l->target);
	if (!l->c)
		return -ENOTCONN;
	if (l->pq->status(l->c) != CONNECTION_OK)
		return lose(l, l->pq->error_message(l->c));
	l->pq->set_notice_receiver(l->c, ignore_notice, NULL);
	err = pg_link_ask(l, session_text, NULL, NULL);
	if (err == 0)
		err = know_oneself(l);
	if (err != 0)
		pg_link_close(l);
	return err;
}

void pg_link_close(struct pg_link *l)
{
	if (l->c)
		l->pq->finish(l->c);
	l->c = NULL;
	l->prepared = 0;
}

bool pg_link_is_open(const struct pg_link *l)
{
	return l->c != NULL;
}

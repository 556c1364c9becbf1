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
	if (status == PGRES_PIPELINE_ABORTED) /* behind one that failed, which says why */
		return -EBUSY;
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

static void name_of(unsigned int which, char out[16])
{
	snprintf(out, 16, "s%u", which);
}

static uint64_t bit_of(unsigned int which)
{
	return UINT64_C(1) << which;
}

static int send_prepare(struct pg_link *l, unsigned int which)
{
	char name[16];

	name_of(which, name);
	if (!l->pq->send_prepare(l->c, name, l->statements[which], 0, NULL))
		return send_failed(l);
	return 0;
}

static int send_statement(struct pg_link *l, unsigned int which, const struct pg_args *a)
{
	static const struct pg_args none = { .n = 0 };
	const char *values[PG_ARGS_MAX];
	char name[16];

	if (!a)
		a = &none;
	name_of(which, name);
	point(a, values);
	if (!l->pq->send_query_prepared(l->c, name, a->n, values, a->length, all_binary, 1))
		return send_failed(l);
	return 0;
}

static int run_posted(struct pg_link *l, unsigned int which, const struct pg_args *a,
		      PGresult **ret);

int pg_link_run(struct pg_link *l, unsigned int which, const struct pg_args *a, PGresult **ret)
{
	int err;

	assert(which < PG_STATEMENTS_MAX);
	if (!l->c)
		return -ENOTCONN;
	if (l->is_posting)
		return run_posted(l, which, a, ret);
	if (!(l->prepared & bit_of(which))) {
		err = send_prepare(l, which);
		if (err == 0)
			err = collect(l, NULL);
		if (err != 0)
			return err;
		l->prepared |= bit_of(which);
	}
	err = send_statement(l, which, a);
	return err == 0 ? collect(l, ret) : err;
}

/* --- Posting --- */

/* The answer to one that was posted, in *@ret, for the caller to clear: behind it comes nothing. */
static int read_posted(struct pg_link *l, uint64_t deadline_ns, PGresult **ret)
{
	PGresult *r;

	*ret = NULL;
	for (;;) {
		if (await_answer(l, deadline_ns) != 0) {
			l->pq->clear(*ret);
			*ret = NULL;
			return -ENOTCONN;
		}
		r = l->pq->get_result(l->c);
		if (!r)
			break;
		l->pq->clear(*ret); /* takes NULL */
		*ret = r;
	}
	return *ret ? judge(l, *ret) : -ENOTCONN;
}

/* What was posted first; what it prepared is known from now on. */
static int take_posted(struct pg_link *l, const struct pg_posted *p, uint64_t deadline_ns,
		       PGresult **ret)
{
	int err = read_posted(l, deadline_ns, ret);

	if (err != 0)
		return err;
	l->prepared |= p->prepares;
	return p->rows == PG_ANY_ROWS || l->pq->ntuples(*ret) == p->rows ? 0 : ERR_EXISTS;
}

/* Behind the answers to all that was posted. */
static int read_sync(struct pg_link *l, uint64_t deadline_ns)
{
	PGresult *r;
	bool is_sync;

	if (await_answer(l, deadline_ns) != 0)
		return -ENOTCONN;
	r = l->pq->get_result(l->c);
	is_sync = r && l->pq->result_status(r) == PGRES_PIPELINE_SYNC;
	l->pq->clear(r);
	return is_sync ? 0 : lose(l, "the session is lost");
}

/* Wait for all; @ret_last: the answer to the newest, if all went well. */
static int settle(struct pg_link *l, PGresult **ret_last)
{
	uint64_t deadline_ns = deadline(l);
	unsigned int n = l->n_posted;
	PGresult *r = NULL;
	int first = 0;

	l->n_posted = 0;
	l->sent = 0;
	if (!l->pq->pipeline_sync(l->c))
		return send_failed(l);
	for (unsigned int i = 0; i < n && first != -ENOTCONN; i++) {
		int err;

		l->pq->clear(r);
		err = take_posted(l, &l->posted[i], deadline_ns, &r);
		if (first == 0 || err == -ENOTCONN)
			first = err;
	}
	if (first == -ENOTCONN || read_sync(l, deadline_ns) != 0) {
		l->pq->clear(r);
		return hang_up(l);
	}
	if (first == 0 && ret_last)
		*ret_last = r;
	else
		l->pq->clear(r);
	return first;
}

static void note_posted(struct pg_link *l, int rows, uint64_t prepares)
{
	l->posted[l->n_posted++] = (struct pg_posted){ .rows = rows, .prepares = prepares };
}

int pg_link_post(struct pg_link *l, unsigned int which, const struct pg_args *a, int rows)
{
	int err = 0;

	if (!l->c)
		return -ENOTCONN;
	assert(l->is_posting && which < PG_STATEMENTS_MAX);
	if (l->n_posted + 2 > PG_POSTED_MAX)
		err = settle(l, NULL);
	if (err == 0 && !((l->prepared | l->sent) & bit_of(which))) {
		err = send_prepare(l, which);
		if (err == 0)
			note_posted(l, PG_ANY_ROWS, bit_of(which));
		l->sent |= bit_of(which);
	}
	if (err == 0)
		err = send_statement(l, which, a);
	if (err == 0)
		note_posted(l, rows, 0);
	return err;
}

static int run_posted(struct pg_link *l, unsigned int which, const struct pg_args *a,
		      PGresult **ret)
{
	int err = pg_link_post(l, which, a, PG_ANY_ROWS);

	return err == 0 ? settle(l, ret) : err;
}

int pg_link_post_begin(struct pg_link *l)
{
	if (!l->c)
		return -ENOTCONN;
	if (!l->pq->enter_pipeline(l->c))
		return send_failed(l);
	l->is_posting = true;
	return 0;
}

int pg_link_post_end(struct pg_link *l)
{
	int err = 0;

	if (!l->c)
		return -ENOTCONN;
	if (l->n_posted > 0)
		err = settle(l, NULL);
	if (!l->c)
		return err;
	l->is_posting = false;
	return l->pq->exit_pipeline(l->c) ? err : send_failed(l);
}

/* --- Texts --- */

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
	l->prepared = l->sent = 0;
	l->n_posted = 0;
	l->is_posting = false;
}

bool pg_link_is_open(const struct pg_link *l)
{
	return l->c != NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "api/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/key_record.h"
#include "api/time_text.h"
#include "base/codec.h"
#include "gateway/event_body.h"
#include "gateway/event_names.h"
#include "sys/clock.h"

enum { PAGE_MAX = 1000 };

static const uint64_t SECOND_NS = 1000000000;

/* --- Pages --- */

/* struct reading - In the background: the store's third thread */
struct reading {
	struct background_job job;
	struct call *call;
	struct store *store;
	int64_t after;
	uint64_t limit;
	json_t *rows;
	int64_t last;
	int err;
};

static json_t *row_json(const struct seal_row *row)
{
	char time[TIME_TEXT_MAX];

	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s?}", "id", (json_int_t)row->id, "time",
			 time_text_utc(row->time_ns, time), "who", row->who, "action",
			 row->action, "subject", row->subject, "detail",
			 row->detail[0] ? row->detail : NULL);
}

static int take_row(void *context, const struct store_audit *one)
{
	struct reading *r = context;

	r->last = one->row.id;
	return json_array_append_new(r->rows, row_json(&one->row)) == 0 ? 0 : -ENOMEM;
}

static void read_rows(struct background_job *job)
{
	struct reading *r = (struct reading *)job;

	r->err = store_read_audit(r->store, r->after, r->limit, take_row, r);
}

static void answer_rows(struct background_job *job)
{
	struct reading *r = (struct reading *)job;
	bool is_full = json_array_size(r->rows) == r->limit;

	if (r->err != 0) {
		json_decref(r->rows);
		call_fail(r->call, r->err, NULL);
	} else {
		call_reply(r->call, 200,
			   json_pack("{s:o, s:o}", "audit", r->rows, "next",
				     is_full ? json_integer(r->last) : json_null()));
	}
	free(r);
}

static bool read_query(const char *query, struct reading *r)
{
	while (*query) {
		size_t len = strcspn(query, "&");
		uint64_t number;

		if (len < 6 || decimal_parse(query + 6, len - 6, INT64_MAX, &number) != 0)
			return false;
		if (strncmp(query, "after=", 6) == 0)
			r->after = (int64_t)number;
		else if (strncmp(query, "limit=", 6) == 0 && number > 0 && number <= PAGE_MAX)
			r->limit = number;
		else
			return false;
		query += len + (query[len] == '&');
	}
	return true;
}

void audit_list(struct call *call)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (r)
		r->rows = json_array();
	if (!r || !r->rows) {
		free(r);
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	r->job = (struct background_job){ .run = read_rows, .done = answer_rows };
	r->call = call;
	r->store = gateway_store(call->api->gateway);
	r->limit = PAGE_MAX;
	if (!read_query(call->match.query, r)) {
		json_decref(r->rows);
		free(r);
		call_refuse(call, 400, "The query takes after (an id) and limit (1 to 1000)");
		return;
	}
	if (background_submit(call->api->background, &r->job) != 0) {
		json_decref(r->rows);
		free(r);
		call_fail(call, ERR_LIMIT, NULL);
	}
}

/* --- Events --- */

/* struct event_id - "ROW", or "ROW.N": the N-th behind that row that is in no audit trail */
struct event_id {
	uint64_t row;
	uint64_t n;
};

/* struct event - @text: as it is sent; owned. @account_id: whose keys see it too; 0: no account's */
struct event {
	struct event_id id;
	int64_t account_id;
	char *text;
};

/* struct reader - One stream */
struct reader {
	struct events *events;
	struct http_exchange *x;
	struct reader *next;
	size_t at;	    /* the next it wants, counted like @n of struct events */
	int64_t account_id; /* 0: it sees everything */
	int64_t key_id;	    /* it reads as long as that key is good; 0: by other proof */
	const struct records *records;
	const char *rest; /* of the text being sent; borrowed from the ring or static */
	size_t rest_at;	  /* which one that is; SIZE_MAX: a static one */
	bool has_missed;
	bool owes_beat;
};

struct events {
	struct event ring[EVENTS_KEPT];
	size_t n; /* ever noted */
	struct event_id last;
	struct reader *readers;
	uint64_t beat_ns;
};

int events_new(struct events **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct events *events_free(struct events *e)
{
	for (size_t i = 0; e && i < EVENTS_KEPT; i++)
		free(e->ring[i].text);
	free(e);
	return NULL;
}

static char *event_text(const struct store_change *c)
{
	char subject[STORE_SUBJECT_MAX + 1];
	const struct seal_row row = {
		.id = c->ret_audit_id,
		.time_ns = c->now_ns,
		.who = c->who,
		.action = c->action,
		.subject = store_subject(c, subject),
		.detail = c->detail ? c->detail : "",
	};
	json_t *json = row_json(&row);
	char *data = json ? json_dumps(json, JSON_COMPACT) : NULL, *text = NULL;
	char name[EVENT_NAME_MAX + 1];

	if (data && asprintf(&text, "id: %" PRId64 "\nevent: %s\ndata: %s\n\n", row.id,
			     event_name(row.action, name), data) < 0)
		text = NULL;
	free(data);
	json_decref(json);
	return text;
}

static void wake_all(struct events *e)
{
	for (struct reader *r = e->readers; r; r = r->next)
		http_stream_wake(r->x);
}

/* @text is taken over; NULL: there was no memory for it. */
static void add(struct events *e, struct event_id id, int64_t account_id, char *text)
{
	struct event *slot = &e->ring[e->n % EVENTS_KEPT];

	e->last = id;
	if (!text)
		return;
	/* Whoever is in the middle of the text that goes is cut off: half an event is none. */
	for (struct reader *r = e->readers; r; r = r->next) {
		if (r->rest && r->rest_at + EVENTS_KEPT == e->n) {
			r->rest = "\n\n";
			r->rest_at = SIZE_MAX;
			r->has_missed = true;
		}
	}
	free(slot->text);
	*slot = (struct event){ .id = id, .account_id = account_id, .text = text };
	e->n++;
	wake_all(e);
}

void events_note(void *context, const struct store_change *c, const struct peer *peer)
{
	const struct event_id id = { .row = (uint64_t)c->ret_audit_id };

	if (c->ret_audit_id != 0)
		add(context, id, peer ? peer->account_id : c->peer.account_id, event_text(c));
}

static json_t *life_json(const struct peer *peer, const struct endpoint *at)
{
	char key[KEY_BASE64_LEN + 1], endpoint[ADDR_TEXT_MAX] = "", time[TIME_TEXT_MAX];

	key_to_base64(peer->public_key, key);
	if (at->ip.family != ADDR_NONE)
		endpoint_format(at, endpoint);
	return json_pack("{s:s, s:I, s:s, s:s, s:s?}", "time",
			 time_text_utc(clock_wall_ns(), time), "peer", (json_int_t)peer->id,
			 "name", peer->name, "public_key", key, "endpoint",
			 endpoint[0] ? endpoint : NULL);
}

void events_note_life(void *context, enum lives_event event, const struct peer *peer,
		      const struct endpoint *at)
{
	struct events *e = context;
	struct event_id id = { .row = e->last.row, .n = e->last.n + 1 };
	json_t *json = life_json(peer, at);
	char *data = json ? json_dumps(json, JSON_COMPACT) : NULL, *text = NULL;

	if (data && asprintf(&text, "id: %" PRIu64 ".%" PRIu64 "\nevent: %s\ndata: %s\n\n",
			     id.row, id.n, event_body_lives_name(event), data) < 0)
		text = NULL;
	free(data);
	json_decref(json);
	add(e, id, peer->account_id, text);
}

void events_tick(struct events *e, uint64_t now_ns)
{
	if (now_ns < e->beat_ns)
		return;
	e->beat_ns = now_ns + EVENTS_BEAT_S * SECOND_NS;
	for (struct reader *r = e->readers; r; r = r->next)
		r->owes_beat = true;
	wake_all(e);
}

/* The next event that the reader may see; NULL: none yet. */
static const struct event *next_event(struct reader *r)
{
	const struct events *e = r->events;

	if (r->at + EVENTS_KEPT < e->n) {
		r->has_missed = true;
		r->at = e->n - EVENTS_KEPT;
	}
	for (; r->at < e->n; r->at++) {
		const struct event *one = &e->ring[r->at % EVENTS_KEPT];

		if (r->account_id == 0 || r->account_id == one->account_id)
			return one;
	}
	return NULL;
}

/* What to send next, into @rest. */
static void choose(struct reader *r)
{
	static const char beat[] = ": still here\n\n", missed[] = "event: missed\ndata: {}\n\n";
	const struct event *one = next_event(r);

	if (r->has_missed) {
		r->rest = missed;
		r->rest_at = SIZE_MAX;
		r->has_missed = false;
	} else if (one) {
		r->rest = one->text;
		r->rest_at = r->at++;
	} else if (r->owes_beat) {
		r->rest = beat;
		r->rest_at = SIZE_MAX;
	}
	r->owes_beat = false;
}

static bool may_go_on(const struct reader *r)
{
	const struct record *record =
		r->key_id ? records_find_id(r->records, STORE_KEY, r->key_id) : NULL;
	struct key_record key = { .expires_ns = 0 };

	if (r->key_id == 0)
		return true;
	return record && key_record_read(record->body, &key) == 0 &&
	       (key.expires_ns == 0 || key.expires_ns > clock_wall_ns());
}

static ssize_t read_events(void *context, char *out, size_t max)
{
	struct reader *r = context;
	size_t len;

	if (!may_go_on(r))
		return -1;
	if (!r->rest || !*r->rest)
		r->rest = NULL;
	if (!r->rest)
		choose(r);
	if (!r->rest)
		return 0;
	len = strnlen(r->rest, max);
	memcpy(out, r->rest, len);
	r->rest += len;
	return (ssize_t)len;
}

static void close_events(void *context)
{
	struct reader *r = context;
	struct reader **at = &r->events->readers;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r);
}

static bool is_same(const struct event_id *a, const struct event_id *b)
{
	return a->row == b->row && a->n == b->n;
}

/* "17", "17.3" */
static bool read_id(const char *text, struct event_id *ret)
{
	size_t len = strcspn(text, ".");

	ret->n = 0;
	return decimal_parse(text, len, INT64_MAX, &ret->row) == 0 &&
	       (!text[len] ||
		decimal_parse(text + len + 1, strlen(text + len + 1), INT64_MAX, &ret->n) == 0);
}

/* The place behind event @id. One that is not there any more, or is of a process before this one, leads to
 * the oldest kept, and *@ret_missed: what lay between nobody here knows. 0 is all there is. */
static size_t behind(const struct events *e, const struct event_id *id, bool *ret_missed)
{
	size_t first = e->n > EVENTS_KEPT ? e->n - EVENTS_KEPT : 0;
	const struct event_id none = { .row = 0 };

	for (size_t at = e->n; at > first; at--) {
		if (is_same(&e->ring[(at - 1) % EVENTS_KEPT].id, id))
			return at;
	}
	*ret_missed = first > 0 || !is_same(id, &none);
	return first;
}

void events_follow(struct call *call)
{
	const char *last = http_exchange_header(call->x, "Last-Event-ID");
	struct events *e = call->api->events;
	struct event_id id;
	struct reader *r;

	if (last && !read_id(last, &id)) {
		call_refuse(call, 400, "Last-Event-ID is the id of an event");
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		call_fail(call, -ENOMEM, NULL);
		return;
	}
	*r = (struct reader){ .events = e,
			      .x = call->x,
			      .next = e->readers,
			      .at = e->n,
			      .account_id = call->who.account_id,
			      .key_id = call->who.key_id,
			      .records = gateway_records(call->api->gateway),
			      .owes_beat = true };
	e->readers = r;
	if (last)
		r->at = behind(e, &id, &r->has_missed);
	call_stream(call, "text/event-stream", read_events, close_events, r);
}

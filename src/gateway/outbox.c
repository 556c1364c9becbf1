/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/outbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "gateway/event_body.h"
#include "sys/clock.h"
#include "sys/random.h"

enum {
	TRIM_SLACK = 256, /* dropped at once, so that not every event drops one */
	TRIM_MAX = 500,
	DROPS_PER_TICK = 500,
	DROP_PAUSE_MS = 100,
};

static const uint64_t MS_NS = 1000000;

/* --- Names --- */

void outbox_name(int64_t receiver, const uint8_t random[OUTBOX_RANDOM_LEN],
		 char out[STORE_NAME_MAX + 1])
{
	char hex[2 * OUTBOX_RANDOM_LEN + 1];

	hex_encode(random, OUTBOX_RANDOM_LEN, hex);
	snprintf(out, STORE_NAME_MAX + 1, "msg_%s-%" PRId64, hex, receiver);
}

int64_t outbox_receiver(const char *name)
{
	const char *dash = strchr(name, '-');
	uint64_t id = 0;

	if (!dash || decimal_parse(dash + 1, strlen(dash + 1), INT64_MAX, &id) != 0)
		return 0;
	return (int64_t)id;
}

void outbox_message_id(const char *name, char out[OUTBOX_MESSAGE_ID_MAX])
{
	snprintf(out, OUTBOX_MESSAGE_ID_MAX, "%.*s", (int)strcspn(name, "-"), name);
}

/* --- Lists --- */

static void enqueue(struct outbox_queue *q, struct outbox_item *item)
{
	item->next = NULL;
	if (q->last)
		q->last->next = item;
	else
		q->first = item;
	q->last = item;
	q->n++;
}

/* Take off the one behind @before; NULL: the first. */
static struct outbox_item *dequeue(struct outbox_queue *q, struct outbox_item *before)
{
	struct outbox_item **at = before ? &before->next : &q->first, *item = *at;

	*at = item->next;
	if (q->last == item)
		q->last = before;
	q->n--;
	return item;
}

static void drop_later(struct outbox *o, struct outbox_item *item)
{
	item->next = o->to_drop;
	o->to_drop = item;
}

static void free_all(struct outbox_item *item)
{
	for (struct outbox_item *next; item; item = next) {
		next = item->next;
		free(item);
	}
}

void outbox_done(struct outbox *o)
{
	free_all(o->to_drop);
	o->to_drop = NULL;
}

void outbox_queue_done(struct outbox_queue *q)
{
	free_all(q->first);
	*q = (struct outbox_queue){ .n = 0 };
}

/* --- Dropping --- */

static void dropped(void *context, int err, int carried, const struct peer *peer)
{
	struct outbox_item *item = context;

	(void)carried, (void)peer;
	if (err == 0 || err == ERR_UNKNOWN)
		free(item);
	else
		drop_later(item->outbox, item);
}

/* @item is in no list. */
static void drop(struct outbox *o, struct outbox_item *item)
{
	int err = gateway_drop_record(o->gateway, STORE_OUTBOX, item->record_id, "", NULL,
				      dropped, item);

	if (err == ERR_UNKNOWN)
		free(item);
	else if (err != 0)
		drop_later(o, item);
}

void outbox_tick(struct outbox *o, uint64_t now_ns)
{
	struct outbox_item *item = o->to_drop;
	int n = 0;

	if (!item || now_ns < o->next_drop_ns)
		return;
	o->next_drop_ns = now_ns + DROP_PAUSE_MS * MS_NS;
	o->to_drop = NULL;
	for (struct outbox_item *next; item; item = next) {
		next = item->next;
		if (n++ < DROPS_PER_TICK)
			drop(o, item);
		else
			drop_later(o, item);
	}
}

int outbox_take(struct outbox *o, struct outbox_queue *q, int64_t record_id, uint64_t n_missed,
		int64_t subject)
{
	struct outbox_item *item = calloc(1, sizeof(*item));

	if (!item)
		return -ENOMEM;
	item->outbox = o;
	item->record_id = record_id;
	item->n_missed = n_missed;
	item->subject = subject;
	if (q)
		enqueue(q, item);
	else
		drop_later(o, item);
	return 0;
}

const struct record *outbox_record(const struct outbox *o, const struct outbox_item *item)
{
	return records_find_id(gateway_records(o->gateway), STORE_OUTBOX, item->record_id);
}

void outbox_drop_first(struct outbox *o, struct outbox_queue *q)
{
	drop(o, dequeue(q, NULL));
}

void outbox_drop_all(struct outbox *o, struct outbox_queue *q)
{
	while (q->first)
		drop_later(o, dequeue(q, NULL));
}

/* --- Too many --- */

/* The first that is not being delivered becomes, or is, the one that tells of those behind it. */
static struct outbox_item *marker_of(const struct outbox_queue *q, bool keeps_first)
{
	return keeps_first && q->first ? q->first->next : q->first;
}

static void marked(void *context, int err, int carried, const struct peer *peer)
{
	struct outbox *o = context;

	(void)carried, (void)peer;
	if (err != 0)
		o->marker_losses++;
}

static int put_marker(struct outbox *o, const struct outbox_item *marker, uint64_t n)
{
	const struct record *record = outbox_record(o, marker);
	struct text body = { .data = NULL };
	uint8_t random[OUTBOX_RANDOM_LEN];
	char name[STORE_NAME_MAX + 1];
	int err;

	if (!record)
		return ERR_UNKNOWN;
	random_fill(random, sizeof(random));
	outbox_name(outbox_receiver(record->name), random, name);
	event_body_missed(&body, gateway_config(o->gateway)->interface, n, clock_wall_ns());
	err = body.err;
	if (err == 0)
		err = gateway_put_record(o->gateway, STORE_OUTBOX, marker->record_id, name,
					 body.data, "", NULL, marked, o);
	text_done(&body);
	return err;
}

/* What became of the last time failed: the number is written once more. */
static void repeat_marker(struct outbox *o, struct outbox_queue *q, bool keeps_first)
{
	const struct outbox_item *marker = marker_of(q, keeps_first);

	if (!marker || marker->n_missed == 0 || put_marker(o, marker, marker->n_missed) == 0)
		q->marker_losses = o->marker_losses;
}

/* All of it or nothing: no event goes without being counted. */
static uint64_t trim(struct outbox *o, struct outbox_queue *q, struct outbox_item *marker)
{
	size_t wanted = q->n - OUTBOX_WAITING_MAX + TRIM_SLACK, n = 0;
	uint64_t total = marker->n_missed ? marker->n_missed : 1, before = marker->n_missed;
	int err = 0;

	gateway_batch_begin(o->gateway);
	for (struct outbox_item *item = marker->next;
	     item && n < wanted && n < TRIM_MAX && err == 0; item = item->next) {
		err = gateway_drop_record(o->gateway, STORE_OUTBOX, item->record_id, "", NULL,
					  dropped, item);
		total += item->n_missed ? item->n_missed : 1;
		n += err == 0;
	}
	if (err == 0)
		err = put_marker(o, marker, total);
	if (gateway_batch_end(o->gateway, err == 0) != 0 || err != 0)
		return 0; /* next time */
	marker->n_missed = total;
	while (n-- > 0)
		dequeue(q, marker);
	return total - before;
}

uint64_t outbox_trim(struct outbox *o, struct outbox_queue *q, bool keeps_first)
{
	struct outbox_item *marker = marker_of(q, keeps_first);

	if (q->marker_losses != o->marker_losses)
		repeat_marker(o, q, keeps_first);
	return q->n > OUTBOX_WAITING_MAX && marker ? trim(o, q, marker) : 0;
}

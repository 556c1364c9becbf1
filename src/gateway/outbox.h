/* SPDX-License-Identifier: Apache-2.0 */
/**
 * outbox.h - Events that wait for their receivers, in order, as records of the store
 *
 * The records are the truth: kind STORE_OUTBOX, name "msg_HEX-RECEIVER", body as it is sent. What is
 * here names them, in one queue for each receiver. A record is dropped once its event was delivered;
 * where that fails (a full disk) it is tried again, so an event may be sent twice, never not at all.
 *
 * Bounds:  OUTBOX_WAITING_MAX in a queue, and what comes between two calls of outbox_trim(). Then
 *	    the oldest are dropped, and an event "missed" tells how many, in their place.
 * Threads: the main loop's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/gateway.h"

enum {
	OUTBOX_WAITING_MAX = 4096,
	OUTBOX_RANDOM_LEN = 16,
	OUTBOX_MESSAGE_ID_MAX = 40,
};

/**
 * struct outbox_item - One event
 * @subject:	Number of what it is about, where the body has none; 0: unknown
 * @n_missed:	It is the event "missed", of so many; 0: it is another
 */
struct outbox_item {
	struct outbox_item *next;
	struct outbox *outbox;
	int64_t record_id;
	int64_t subject;
	uint64_t n_missed;
};

/**
 * struct outbox_queue - All zeroes is an empty one
 * @marker_losses: As the outbox had it when its "missed" was last written
 */
struct outbox_queue {
	struct outbox_item *first;
	struct outbox_item *last;
	size_t n;
	uint64_t marker_losses;
};

/**
 * struct outbox - Set @gateway; the rest is zero
 * @marker_losses: How often an event "missed" could not be stored: some count too little
 */
struct outbox {
	struct gateway *gateway;
	uint64_t marker_losses;
	struct outbox_item *to_drop;
	uint64_t next_drop_ns;
};

void outbox_done(struct outbox *o);
void outbox_queue_done(struct outbox_queue *q); /* its records stay */

/* --- Names --- */

void outbox_name(int64_t receiver, const uint8_t random[OUTBOX_RANDOM_LEN],
		 char out[STORE_NAME_MAX + 1]);
int64_t outbox_receiver(const char *name); /* 0: none */
/** outbox_message_id() - "msg_HEX": the same for every receiver, and for every try */
void outbox_message_id(const char *name, char out[OUTBOX_MESSAGE_ID_MAX]);

/* --- Queues --- */

/** outbox_take() - A record that was committed, behind the others; @q NULL: nobody wants it, it is
 *  dropped */
int outbox_take(struct outbox *o, struct outbox_queue *q, int64_t record_id, uint64_t n_missed,
		int64_t subject);

/** outbox_record() - NULL: somebody else has dropped it */
const struct record *outbox_record(const struct outbox *o, const struct outbox_item *item);

/** outbox_drop_first() - The first was delivered, or is not there any more */
void outbox_drop_first(struct outbox *o, struct outbox_queue *q);

/** outbox_drop_all() - There is nobody to deliver to */
void outbox_drop_all(struct outbox *o, struct outbox_queue *q);

/**
 * outbox_trim() - See to the bound
 * @keeps_first: The first is being delivered
 *
 * Return: how many events are newly counted as missed.
 */
uint64_t outbox_trim(struct outbox *o, struct outbox_queue *q, bool keeps_first);

/** outbox_tick() - Drop what could not be dropped before; @now_ns: boot clock */
void outbox_tick(struct outbox *o, uint64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * webhooks.h - Events for other people's servers: kept until they have them, in order, signed
 *
 * An event of a change is written in the transaction of the change, once for each webhook that asks
 * for it, as a record of kind STORE_OUTBOX: name "msg_HEX-WEBHOOK", body as it is sent. It is dropped
 * when the receiver has answered 2xx. So each comes at least once whatever ends this process, with
 * the same id each time, and those of one webhook in the order of the changes; of several webhooks none waits
 * for another.
 *
 * What fails is tried again, after longer and longer pauses; after WEBHOOKS_GIVE_UP_S of that the
 * webhook is failing: one try an hour. 410 switches it off. When OUTBOX_WAITING_MAX wait, the
 * oldest are dropped and an event "missed" takes their place.
 *
 * Messages follow Standard Webhooks 1.0.0: webhook-id, webhook-timestamp, webhook-signature.
 *
 * Bounds:  WEBHOOKS_MAX of them, OUTBOX_WAITING_MAX events each.
 * Threads: the main loop's; messages are carried by one of their own (gateway/courier.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gateway.h"
#include "gateway/lives.h"
#include "gateway/outbox.h"

enum {
	WEBHOOKS_MAX = 8,
	WEBHOOKS_GIVE_UP_S = 86400,
	WEBHOOKS_PAUSE_MAX_S = 3600,
	WEBHOOKS_WHY_MAX = 160,
};

/**
 * struct webhooks_config - What the operator allows
 * @allows_private, @allows_plain: As for webhook_url_check()
 * @retry_ns:	The first pause; each is twice the one before, and a random part of it is left out
 */
struct webhooks_config {
	bool allows_private;
	bool allows_plain;
	uint64_t retry_ns;
};

enum webhook_mood {
	WEBHOOK_OK,
	WEBHOOK_RETRYING,
	WEBHOOK_FAILING,
	WEBHOOK_DISABLED,
};

/**
 * struct webhook_state - How one is doing, since this process began
 * @last_ns:	Wall clock of the last answer or failure; 0: none yet
 * @last_status: 0: no answer; @last_why then says why
 * @next_ns:	Wall clock of the next try; 0: nothing waits for one
 */
struct webhook_state {
	enum webhook_mood mood;
	uint64_t pending;
	uint64_t delivered;
	uint64_t failed;
	uint64_t missed;
	uint64_t last_ns;
	long last_status;
	char last_why[WEBHOOKS_WHY_MAX];
	uint64_t next_ns;
};

struct webhooks;

/** webhooks_new() - Go on where the store says; becomes the gateway's announcer and a listener */
int webhooks_new(struct gateway *g, const struct webhooks_config *config,
		 struct webhooks **ret);
/** webhooks_free() - Before the gateway's end. Takes NULL, returns NULL */
struct webhooks *webhooks_free(struct webhooks *w);

const struct webhooks_config *webhooks_config(const struct webhooks *w);

/** webhooks_state() - false: there is none with that id */
bool webhooks_state(const struct webhooks *w, int64_t id, struct webhook_state *ret);

/** webhooks_totals() - Those of all there are, and were: only its numbers count */
void webhooks_totals(const struct webhooks *w, struct webhook_state *ret);

/** webhooks_note_life() - Somebody came, went or moved (a lives_listener) */
void webhooks_note_life(void *context, enum lives_event event, const struct peer *peer,
			const struct endpoint *endpoint);

/**
 * webhooks_test() - An event "webhook.test" for one of them, at once even if it is failing
 * @ret_id:	As in the message's header webhook-id
 *
 * Return: as gateway_put_record(); ERR_UNKNOWN: there is none with that id.
 */
int webhooks_test(struct webhooks *w, int64_t id, const struct gateway_grant *grant,
		  gateway_done done, void *context, char ret_id[OUTBOX_MESSAGE_ID_MAX]);

int webhooks_fd(const struct webhooks *w); /* readable: call webhooks_collect() */
void webhooks_collect(struct webhooks *w);

/** webhooks_tick() - Do what is due. Return: in how many milliseconds to call again */
int webhooks_tick(struct webhooks *w, uint64_t now_ns);

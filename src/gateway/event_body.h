/* SPDX-License-Identifier: Apache-2.0 */
/**
 * event_body.h - An event as receivers of webhooks get it
 *
 * {"type": "peer.created", "timestamp": "2026-01-14T10:30:00.123Z", "gateway": "wg0", "data": {…}}.
 * What is data follows from the type: a peer, a record by kind, id and name, or a sentence; and who
 * did it.
 *
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#include "base/text.h"
#include "gateway/lives.h"
#include "store/store.h"

/** event_body_change() - Of a change that leaves a row in the audit trail. What is new has no number
 *  yet: event_body_number() writes it */
void event_body_change(struct text *out, const char *gateway, const struct store_change *c);

/** event_body_life() - Of a peer that came, went, or moved; @endpoint as in gateway/lives.h */
void event_body_life(struct text *out, const char *gateway, enum lives_event event,
		     const struct peer *peer, const struct endpoint *endpoint,
		     uint64_t wall_ns);

/** event_body_missed() - @n events are not there any more */
void event_body_missed(struct text *out, const char *gateway, uint64_t n, uint64_t wall_ns);

/** event_body_missed_count() - The @n of such a body; 0: it is another */
uint64_t event_body_missed_count(const char *body);

/** event_body_plain() - One without anything to tell but that it was */
void event_body_plain(struct text *out, const char *gateway, const char *type,
		      uint64_t wall_ns);

/** event_body_number() - @body with @id in place of the number that was not known then; 0: nobody
 *  knows it any more */
void event_body_number(struct text *out, const char *body, int64_t id);

/** event_body_lives_name() - "peer.connected" */
const char *event_body_lives_name(enum lives_event event);

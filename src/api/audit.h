/* SPDX-License-Identifier: Apache-2.0 */
/**
 * audit.h - /api/v1/audit: who did what, page by page; and /api/v1/events: the same as it happens
 *
 * Events are server-sent (text/event-stream): "id" is the row's number, "event" what happened
 * (gateway/event_names.h), "data" the row as JSON. Who came and went is in no row: its id is that of the row
 * before, with a point and a number. The newest EVENTS_KEPT are in memory: a reader that says Last-Event-ID
 * goes on behind it, or is told with the event "missed" that there was more than could be kept for it,
 * or that the process that kept it is gone.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

enum {
	EVENTS_KEPT = 1024,
	EVENTS_BEAT_S = 15, /* a comment, so that dead readers are noticed */
};

void audit_list(struct call *call);
void events_follow(struct call *call);

struct events;

int events_new(struct events **ret);
struct events *events_free(struct events *e); /* takes NULL, returns NULL */

/** events_note() - A change that was committed; what left no row is none */
void events_note(void *context, const struct store_change *c, const struct peer *peer);

/** events_note_life() - Who connected, went silent or moved (a lives_listener): not in the audit trail */
void events_note_life(void *context, enum lives_event event, const struct peer *peer,
		      const struct endpoint *at);

/** events_tick() - About once a second */
void events_tick(struct events *e, uint64_t now_ns);

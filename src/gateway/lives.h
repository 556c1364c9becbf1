/* SPDX-License-Identifier: Apache-2.0 */
/**
 * lives.h - The lives of peers: expiry, quota, schedule, account, and what each has used
 *
 * Every LIVES_LOOK_S the interface is asked, and what peers have used is added up and, in portions,
 * stored. Whoever's time has come, who is over quota, outside the hours, or whose account is switched
 * off is blocked: a change like any other, made by "gateway". The tunnel itself stops a peer whose
 * quota is used up, within its next packet; blocking follows when that is seen.
 *
 * It also says who connected, who went silent (or is not on the interface any more), who moved, and who
 * seems to be in two places.
 *
 * Bounds:  one entry per peer that ever had traffic; LIVES_STORED_MAX rows in one change.
 * Threads: the main loop's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gateway.h"
#include "gateway/observer.h"
#include "gateway/usage.h"

enum {
	LIVES_LOOK_S = 5,
	LIVES_LOOK_TIMES = 50, /* or this many times what a look cost, if that is longer … */
	LIVES_LOOK_PLAIN_TIMES =
		1, /* … but this many where the interface itself stops nobody */
	LIVES_STORED_MAX = 1000,
	LIVES_EVENTS_MAX = 500, /* told in one go; the rest of a look waits for the next call */
};

enum lives_event {
	LIVES_CONNECTED,
	LIVES_SILENT,
	LIVES_MOVED, /* to another address */
	LIVES_SHARED, /* its configuration seems to be used in two places at once (gateway/leak.h) */
};

/* @endpoint: where it is, or was; family ADDR_NONE: nobody knows. @peer is stored. */
typedef void (*lives_listener)(void *context, enum lives_event event, const struct peer *peer,
			       const struct endpoint *endpoint);

struct lives;

/**
 * lives_new() - Load what peers have used; all borrowed
 * @is_enabled:	Is that account's record one whose peers may be served?
 */
int lives_new(struct gateway *g, struct observer *o,
	      bool (*is_enabled)(const struct record *account), struct lives **ret);
struct lives *lives_free(struct lives *l); /* takes NULL, returns NULL */

void lives_listen(struct lives *l, lives_listener listener, void *context);

/** lives_note() - A change that was committed (a gateway_listener) */
void lives_note(void *context, const struct store_change *c, const struct peer *peer);

/**
 * lives_tick() - Do what is due
 * @now_ns:	Boot clock; @wall_ns: what expiry and quotas are counted in
 *
 * Return: in how many milliseconds to call again.
 */
int lives_tick(struct lives *l, uint64_t now_ns, uint64_t wall_ns);

/**
 * lives_finish() - Before the end: look once more, and store what is not stored yet
 *
 * Return: true when it is done; until then call it again, after waiting for what it asked for.
 */
bool lives_finish(struct lives *l, uint64_t now_ns, uint64_t wall_ns);

/** lives_judge() - Why a peer is not to be served now: enum store_block, or'ed; also when it is to be blocked
 *  or let in a moment later only */
unsigned int lives_judge(struct lives *l, const struct peer *peer, uint64_t wall_ns);

/** lives_usage() - What a peer has used; all zeroes: nothing yet */
void lives_usage(const struct lives *l, int64_t peer_id, struct usage *ret);

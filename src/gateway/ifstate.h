/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ifstate.h - Does the interface serve its peers at all?
 *
 * Whoever operates many nodes switches an interface off without forgetting its peers. The state is a
 * record, committed like every change, so it outlives each restart; the interface itself stays, with
 * nobody on it. What is not stored is up.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>

#include "gateway/gateway.h"

enum ifstate {
	IFSTATE_UP,
	IFSTATE_DOWN,
	IFSTATE_DELETED, /* down, and to those who asked for that it is not there */
	IFSTATES,
};

/** ifstate_is_record() - Is the state in this record? */
bool ifstate_is_record(enum store_record_kind kind, const char *name);
/** ifstate_read() - Of the body of that record; what nobody knows is down */
enum ifstate ifstate_read(const char *body);

/** ifstate_of() - What is stored */
enum ifstate ifstate_of(const struct gateway *g);

/** ifstate_set() - As gateway_put_record() */
int ifstate_set(struct gateway *g, enum ifstate to, const struct gateway_grant *grant,
		gateway_done done, void *context);

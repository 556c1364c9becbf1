/* SPDX-License-Identifier: Apache-2.0 */
/**
 * drift.h - What somebody else did to the interface: noticed, counted, said
 *
 * Asked every second, or in proportion to what the question costs, the interface tells whether
 * anything was set (iface_state()). Only then are all peers compared (gateway/reconcile.h).
 *
 * Threads: the writer's; drift_total() in any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

#include "iface/iface.h"

enum drift_policy {
	DRIFT_REPAIR, /* the interface becomes what is stored again */
	DRIFT_REPORT, /* it is left as it is, and said once for each change */
};

/* What a comparison found that nobody of us had done. */
struct drift_found {
	size_t missing;
	size_t foreign;
	size_t different;
};

/**
 * struct drift - All zeroes repairs, and knows nothing of key and port
 * @identity_changed: Key or port are not those; called once per question while that lasts.
 *		NULL: nobody cares
 * @is_ours:	The interface surely answers iface_state()
 */
struct drift {
	enum drift_policy policy;
	bool is_ours;
	uint8_t public_key[32];
	uint16_t port;
	void (*identity_changed)(void *context);
	void *context;
	/* --- inside --- */
	bool has_number;
	bool is_blind; /* the interface does not tell */
	uint64_t number;
	uint64_t next_ns; /* boot clock */
	struct drift_found last;
	unsigned int repeats; /* how often in a row it was that */
	atomic_uint_fast64_t total;
};

/** drift_begin() - Before everything is compared for another reason: what comes after is news */
void drift_begin(struct drift *d, struct iface *i);

/**
 * drift_look() - Ask, if it is time
 *
 * Return: true when all is to be compared.
 */
bool drift_look(struct drift *d, struct iface *i);

/** drift_note() - The comparison that drift_look() wanted found that. Return: is it to be set? */
bool drift_note(struct drift *d, const struct drift_found *found);

/** drift_total() - Peers that somebody else had changed, and changes of key or port */
uint64_t drift_total(const struct drift *d);

/** drift_policy_find() - "repair" or "report". false: neither */
bool drift_policy_find(const char *word, enum drift_policy *ret);

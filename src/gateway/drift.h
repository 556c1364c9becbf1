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
	DRIFT_ADOPT,  /* what is stored becomes what it is */
};

enum drift_kind {
	DRIFT_MISSING,
	DRIFT_DIFFERENT,
	DRIFT_FOREIGN,
};

enum { DRIFT_PREFIXES_MAX = 34 };

/**
 * struct drift_peer - One difference; what is behind @public_key is what the interface has
 * @n_prefixes:	DRIFT_PREFIXES_MAX + 1: it has more
 */
struct drift_peer {
	enum drift_kind kind;
	uint8_t public_key[32];
	struct secret_key preshared_key;
	uint16_t keepalive_s;
	struct ip_prefix prefixes[DRIFT_PREFIXES_MAX];
	size_t n_prefixes;
};

/* Gets the differences where they are to be adopted; they are the caller's. */
typedef void (*drift_taker)(void *context, const struct drift_peer *peers, size_t n);

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
 * @take:	With DRIFT_ADOPT. Before it is set the differences are only said
 * @is_ours:	The interface surely answers iface_state()
 */
struct drift {
	enum drift_policy policy;
	bool is_ours;
	uint8_t public_key[32];
	uint16_t port;
	void (*identity_changed)(void *context);
	void *context;
	drift_taker take;
	void *take_context;
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

/** drift_policy_find() - "repair", "report" or "adopt". false: none of them */
bool drift_policy_find(const char *word, enum drift_policy *ret);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access_sync.h - The host enforces the access lists that are stored
 *
 * A peer's list is the one that it names, or else that of its account. The host is told of
 * each committed group what it needs to know; after the start, after a failure, and when the
 * host has lost it, everything anew, which then takes force as a whole.
 *
 * Closed when in doubt: a peer's addresses get their list before the peer is set on the
 * interface (access_sync_before()) and lose it after the peer was removed from there
 * (access_sync_after()). A peer for which that did not work is not set: access_sync_permits().
 * So is one that has both a list and networks behind it: packets from those would pass the list.
 *
 * While nobody has made a list the host has no table, and packets are not looked at.
 *
 * Bounds:  an entry per peer that has a list or an account (gateway/access_members.h).
 * Threads: the writer's, or before it starts; as gateway/reconcile.h.
 */
#pragma once

#include <stdbool.h>

#include "host/messages.h"
#include "store/store.h"

/**
 * struct access_readers - How the bodies of records are understood
 * @rules:	Up to ACCESS_RULES_MAX of a list. Return: 0, ERR_CORRUPT
 * @account_list: The number of its peers' list; 0: none
 */
struct access_readers {
	int (*rules)(const char *body, struct access_rule *ret, size_t *ret_n);
	int64_t (*account_list)(const char *body);
};

/* Say it to the host and wait for the answer: uplink_access(). */
typedef int (*access_send)(void *context, struct host_message *m);

struct access_sync;

/** access_sync_new() - @store and @context are borrowed. Return: 0 or -ENOMEM */
int access_sync_new(struct store *store, access_send send, void *context,
		    const struct access_readers *readers, struct access_sync **ret);
struct access_sync *access_sync_free(struct access_sync *s); /* takes NULL, returns NULL */

/**
 * access_sync_begin() - Bring the host to what is stored; for whoever reads all peers anyway
 *
 * Give every stored peer to access_sync_take() then, and call access_sync_end(). In between a peer that was
 * taken is permitted as if all went well: set none before access_sync_end() has returned 0.
 *
 * Return: 0, or why not with words in @d; then nothing was begun.
 */
int access_sync_begin(struct access_sync *s, struct diag *d);
void access_sync_take(struct access_sync *s, const struct store_peer *p);

/** access_sync_end() - @err: why not all peers were taken; then nothing takes force. Return: 0, or why not */
int access_sync_end(struct access_sync *s, int err, struct diag *d);

/** access_sync_is_well() - Has the host everything that was committed? */
bool access_sync_is_well(const struct access_sync *s);

/** access_sync_check() - Ask the host whether it still has it; if not, access_sync_is_well() ends */
void access_sync_check(struct access_sync *s);

/**
 * access_sync_before() - A committed group, before it is carried to the interface
 *
 * Return: 0; or why not, and access_sync_is_well() ends: access_sync_begin() is the way on.
 */
int access_sync_before(struct access_sync *s, const struct store_change *first, struct diag *d);

/** access_sync_after() - The same group, after it was carried. Return: likewise */
int access_sync_after(struct access_sync *s, const struct store_change *first, struct diag *d);

/** access_sync_permits() - May it be set on the interface? */
bool access_sync_permits(const struct access_sync *s, const struct store_peer *p);

/**
 * access_sync_may_stay() - May a peer that is not permitted stay on the interface as it is?
 *
 * Only while the host is not known to have lost its table: without one the peer would go anywhere.
 */
bool access_sync_may_stay(const struct access_sync *s);

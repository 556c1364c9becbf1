/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access_members.h - Which peers have an access list, and by which addresses the host knows them
 *
 * A table by id that grows, so that a peer costs the same among ten and among 100 000.
 *
 * Bounds:  PEERS_MAX entries, of 64 octets.
 * Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/**
 * struct access_member - One peer, or (of another table) one account
 * @id:		Not 0
 * @account_id:	0: none
 * @own:	The list that it names itself; of an account: that of its peers. 0: none
 * @now:	The list that the host has for its addresses; 0: none
 */
struct access_member {
	int64_t id;
	int64_t account_id;
	uint32_t own;
	uint32_t now;
	struct ip_addr v4;
	struct ip_addr v6;
};

/* All zeroes is empty. Open addressing; an @id of 0 is a free place. */
struct access_members {
	struct access_member *table;
	size_t n;
	size_t capacity; /* a power of two, at most half of it in use */
};

void access_members_done(struct access_members *m); /* empty again */

/** access_members_find() - NULL: none. Valid until the next call that changes the table */
struct access_member *access_members_find(const struct access_members *m, int64_t id);

/** access_members_put() - Find it, or make one with nothing but its id. NULL: no memory */
struct access_member *access_members_put(struct access_members *m, int64_t id);
void access_members_remove(struct access_members *m, int64_t id);

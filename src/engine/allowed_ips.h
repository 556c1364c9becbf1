/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allowed_ips.h - Which peer owns an address: longest prefix wins
 *
 * Theory of operation. One path-compressed binary trie per family. Every change is
 * published with one pointer store, so readers need no lock and see the
 * trie before or after it, never between. Nodes taken out are retired through the epoch.
 * Adding a prefix costs the depth of its path, whatever the number of peers.
 *
 * Each owner keeps its prefixes in a list in order of insertion, for dumps.
 *
 * Source:  behaviour of Linux allowedips.c; D. Morrison, "PATRICIA", 1968.
 * Threads: lookup from any thread that is online in the epoch; everything else from
 *          one thread at a time (the configuration lock).
 * Memory:  nodes of at most 80 octets; two per prefix at worst.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

#include "base/addr.h"
#include "engine/epoch.h"

struct allowed_ips;
struct allowed_ips_node;

/* Embedded in the owner (a peer). All zeroes is empty. */
struct allowed_ips_owner {
	struct allowed_ips_node *first;
	struct allowed_ips_node *last;
};

int allowed_ips_new(struct epoch *epoch, struct allowed_ips **ret);
struct allowed_ips *allowed_ips_free(struct allowed_ips *t);

/**
 * allowed_ips_reserve() - Make sure the next @n inserts cannot fail
 * Return: 0 or -ENOMEM (nothing changed). Lets a whole set be applied or refused.
 */
int allowed_ips_reserve(struct allowed_ips *t, size_t n);

/**
 * allowed_ips_insert() - @owner owns @prefix now, whoever owned it before
 * @prefix:	Host bits are masked. A moved or repeated prefix goes to the end of the
 *		new owner's list, unless it was this owner's already (then it stays)
 * Return: 0 or -ENOMEM.
 */
int allowed_ips_insert(struct allowed_ips *t, const struct ip_prefix *prefix,
		       struct allowed_ips_owner *owner);

/** allowed_ips_remove() - Only if it is @owner's; otherwise nothing happens */
void allowed_ips_remove(struct allowed_ips *t, const struct ip_prefix *prefix,
			struct allowed_ips_owner *owner);
void allowed_ips_remove_all(struct allowed_ips *t, struct allowed_ips_owner *owner);

/* NULL when no prefix matches. @address: 4 or 16 octets in network order. */
struct allowed_ips_owner *allowed_ips_find4(const struct allowed_ips *t,
					    const uint8_t address[4]);
struct allowed_ips_owner *allowed_ips_find6(const struct allowed_ips *t,
					    const uint8_t address[16]);
struct allowed_ips_owner *allowed_ips_find(const struct allowed_ips *t,
					   const struct ip_addr *a);

/* Walk one owner's list: pass NULL first. NULL at the end. */
const struct allowed_ips_node *allowed_ips_next(const struct allowed_ips_owner *owner,
						const struct allowed_ips_node *node);
void allowed_ips_prefix(const struct allowed_ips_node *node, struct ip_prefix *ret);
size_t allowed_ips_count(const struct allowed_ips_owner *owner);

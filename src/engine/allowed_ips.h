/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allowed_ips.h - Which peer owns an address: longest prefix wins
 *
 * Theory of operation. One path-compressed trie per family that takes four bits of the
 * address per step, so that a search among 100 000 addresses visits about five nodes. A
 * branch that holds a single prefix is that prefix, without nodes of its own. Prefixes that
 * end inside a node's four bits are spread over the entries they cover. Every change reaches
 * a reader through one pointer, so it needs no lock and finds an address as it was before
 * or after the change, never between. What is taken out is retired through the epoch.
 * Adding a prefix costs the depth of its path, whatever the number of peers.
 *
 * Each owner keeps its prefixes in a list in order of insertion, for dumps.
 *
 * Source:  behaviour of Linux allowedips.c; D. Morrison, "PATRICIA", 1968; P. Bagwell,
 *          "Ideal hash trees", 2001 (wide nodes).
 * Threads: lookup from any thread that is online in the epoch; everything else from
 *          one thread at a time (the configuration lock). A lookup that runs while several
 *          changes are made may see a later one without an earlier one.
 * Memory:  64 octets per prefix and 320 per node. Neighbours share nodes: 100 000 addresses
 *          in a row take 6 700; the worst case is one per prefix. Memory given up by one
 *          prefix serves the next, and returns to the system with the table.
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

/** allowed_ips_free() - Retire the whole table. Call it before epoch_done(); owners keep
 * lists that lead nowhere. Return: NULL */
struct allowed_ips *allowed_ips_free(struct allowed_ips *t);

/**
 * allowed_ips_reserve() - Make sure the next @n inserts cannot fail
 * Return: 0 or -ENOMEM (nothing changed). Lets a whole set be applied or refused. It takes
 * address space for the worst case; memory only as inserts need it.
 */
int allowed_ips_reserve(struct allowed_ips *t, size_t n);

/** allowed_ips_size_bytes() - Address space held, for statistics */
size_t allowed_ips_size_bytes(const struct allowed_ips *t);

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

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access.h - Where peers may go: numbered lists of destinations, and which list a peer has
 *
 * A table of its own beside that of the gateway (net/nft.h). One map for each family leads from a
 * peer's inner address to the number of its list, a small one from the number to a chain with the
 * rules. The number travels in the packet's mark from one to the other and no further: the
 * chain stands before whatever else in prerouting gives marks, and takes it off again. A mark
 * that something still earlier gave to a packet of the tunnel is lost; replace nothing by that
 * unless there is a way to look up what another look-up found: nft has none.
 *
 * A map that led to chains at once would be one look-up less for a packet, but the kernel then
 * goes through all of it at every change (10 ms among 100 000); so a change costs the same among
 * any number: 0.1 ms, or 1.5 ms for 1024 of them.
 *
 * A peer without a list goes anywhere. One that has a list reaches what the list allows, by the
 * address that it asks for, on this host and behind it; and answers whoever reached it. A list
 * that changes counts for connections that stand, too. A peer whose number has no list
 * reaches nothing.
 *
 * access_stage() begins a new table beside the one that is in force, filled by the calls behind it;
 * access_enforce() puts it in the other's place within one transaction. No packet sees less than
 * the old or the new. Which of the two names is in force is read from the kernel once.
 *
 * Each call is one transaction: all of it or nothing.
 *
 * Bounds:  ACCESS_ADDRESSES_MAX addresses of each family, ACCESS_LISTS_MAX lists, of ACCESS_RULES_MAX
 *	   rules; the kernel keeps to them, whoever asks.
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "net/nft_elements.h"

enum {
	ACCESS_RULES_MAX = 256,		       /* of one list */
	ACCESS_CHANGES_MAX = NFT_ELEMENTS_MAX, /* of one call */
	ACCESS_ADDRESSES_MAX = 1 << 21, /* of each family: twice the peers of a gateway */
	ACCESS_LISTS_MAX = 1 << 17,	/* as many as a gateway has records */
};

/* What goes through when it is meant for @to. ACCESS_ANY ignores the ports. */
enum access_protocol {
	ACCESS_ANY,
	ACCESS_TCP,
	ACCESS_UDP,
	ACCESS_ICMP, /* of either family; ignores the ports */
};

/**
 * struct access_rule - One thing that a list allows
 * @port_first, @port_last: Both 0: every port
 */
struct access_rule {
	struct ip_prefix to;
	enum access_protocol protocol;
	uint16_t port_first;
	uint16_t port_last;
};

/**
 * struct access - The tables of one interface
 * @interface:	Borrowed
 * @in_force, @staged: The last letter of a table's name; 0: there is none
 */
struct access {
	const char *interface;
	char in_force;
	char staged;
};

/** access_is_possible() - Does that rule make sense? Pure */
bool access_is_possible(const struct access_rule *rule);

/**
 * access_init() - Find out what an earlier process left in force
 *
 * Return: 0; -errno when the kernel does not tell: then @a->interface is NULL, and nothing but this
 *	   may be called.
 */
int access_init(struct access *a, const char *interface);

/** access_clear() - Nobody has a list any more, and there is no table */
int access_clear(struct access *a, struct diag *d);

/** access_stage() - Begin anew; what was begun before and not enforced is given up */
int access_stage(struct access *a, struct diag *d);

/** access_enforce() - What was begun counts from now on. ERR_UNKNOWN: nothing was */
int access_enforce(struct access *a, struct diag *d);

/** access_check() - Is it still there? Others can remove it: ERR_UNKNOWN */
int access_check(struct access *a);

/* --- What follows changes what was staged, or else what is in force. ERR_UNKNOWN: neither --- */

/**
 * access_set_list() - List number @list allows exactly this from now on
 * @list:	Not 0. A list without rules allows nothing
 *
 * Return: 0; ERR_RANGE for a rule or a number that cannot be; or as nft_gateway(), with ERR_UNKNOWN
 *	   for one more than ACCESS_LISTS_MAX.
 */
int access_set_list(struct access *a, uint32_t list, const struct access_rule *rules, size_t n,
		    struct diag *d);

/** access_remove_list() - Whoever still has it reaches nothing. ERR_UNKNOWN: there is none */
int access_remove_list(struct access *a, uint32_t list, struct diag *d);

/**
 * access_apply() - Give peers other lists
 *
 * Return: 0; ERR_RANGE for an address of no family or too many at once; ERR_UNKNOWN when an address
 *	   is in the map although its @was is 0, or is not although it is another; ERR_EXHAUSTED for more
 *	   than ACCESS_ADDRESSES_MAX; -errno.
 */
int access_apply(struct access *a, const struct nft_element *changes, size_t n, struct diag *d);

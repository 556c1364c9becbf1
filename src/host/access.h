/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access.h - Where peers may go: numbered lists of destinations, and which list a peer has
 *
 * In the table of the gateway (net/nft.h) one map for each family leads from a peer's inner
 * address to the chain of its list. Packets cost one look into a hash. A change costs milliseconds,
 * and more among many peers, since the kernel looks at every element that leads to a chain each time:
 * 2.3 ms among 100, 3.4 ms among 10 000, 13 ms among 100 000. Collect changes: 1024 in one call
 * take about 20 ms.
 *
 * A peer without a list goes anywhere; one that has a list reaches what the list allows, on this host
 * and behind it, and answers whoever reached it.
 *
 * Each call is one transaction: all of it or nothing. nft_gateway() makes a new table, without
 * lists: call access_begin() behind it and set everything again.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum {
	ACCESS_RULES_MAX = 256,	   /* of one list */
	ACCESS_CHANGES_MAX = 1024, /* of one call */
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
 * struct access_change - A peer's address changes from one list to another
 * @was:	The list it has had; 0: none
 * @is:		The list it gets; 0: none
 */
struct access_change {
	struct ip_addr peer;
	uint32_t was;
	uint32_t is;
};

/** access_begin() - Add the maps to the table of @interface, with nobody in them */
int access_begin(const char *interface, struct diag *d);

/**
 * access_set_list() - List number @list allows exactly this from now on
 * @list:	Not 0. A list without rules allows nothing
 *
 * Return: 0; ERR_RANGE for a rule or a number that cannot be; or as nft_gateway().
 */
int access_set_list(const char *interface, uint32_t list, const struct access_rule *rules,
		    size_t n, struct diag *d);

/** access_remove_list() - ERR_UNKNOWN while a peer has it, or when there is none */
int access_remove_list(const char *interface, uint32_t list, struct diag *d);

/**
 * access_apply() - Give peers other lists
 *
 * Return: 0; ERR_RANGE for an address of no family or too many at once; ERR_UNKNOWN when a list is
 *	   not there, or an address has another one than @was.
 */
int access_apply(const char *interface, const struct access_change *changes, size_t n,
		 struct diag *d);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access_messages.h - What the gateway may say to the host about access lists
 *
 *	HOST_ACCESS_CLEAR	nobody has a list, and there is none
 *	HOST_ACCESS_STAGE	begin anew, beside what is in force
 *	HOST_ACCESS_ENFORCE	what was begun counts from now on
 *	HOST_ACCESS_CHECK	is it still there?
 *	HOST_ACCESS_LIST	list @list allows exactly @n @rules
 *	HOST_ACCESS_REMOVE	list @list is gone
 *	HOST_ACCESS_MEMBERS	@n addresses change their lists: @changes
 *
 * Each is one call of host/access.h, and is answered in order with HOST_ACCESS_DONE: the same
 * serial number, and 0 or the code that the call returned, positive. The last three have a
 * body. All are of fixed size, have no text, and what says nothing is zero.
 *
 * A peer gets its entry before it is set on the interface, and loses it after it was removed
 * from there: whoever sends these keeps that order. So does a new gateway process, which begins
 * anew before it sets a peer.
 *
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#include "host/access.h"

enum host_access_type {
	HOST_ACCESS_CLEAR = 50,
	HOST_ACCESS_STAGE,
	HOST_ACCESS_ENFORCE,
	HOST_ACCESS_CHECK,
	HOST_ACCESS_LIST,
	HOST_ACCESS_REMOVE,
	HOST_ACCESS_MEMBERS,
	HOST_ACCESS_DONE = 150,
};

/* Items of one message. Each is waited for: 100 000 peers are 200 of them. */
enum {
	HOST_ACCESS_RULES_MAX = 256,
	HOST_ACCESS_CHANGES_MAX = 1024,
};

/* An access_rule. @family, @protocol: as there */
struct host_access_rule {
	uint8_t address[16];
	uint8_t family;
	uint8_t bits;
	uint8_t protocol;
	uint8_t zero;
	uint16_t port_first;
	uint16_t port_last;
};

/* An nft_element. */
struct host_access_change {
	uint8_t address[16];
	uint32_t family;
	uint32_t was;
	uint32_t is;
};

/**
 * struct host_access - The body
 * @list:	0 in HOST_ACCESS_MEMBERS
 * @n:		How many of the items count; the others are zero. 0 in HOST_ACCESS_REMOVE
 */
struct host_access {
	uint32_t list;
	uint32_t n;
	union {
		struct host_access_rule rules[HOST_ACCESS_RULES_MAX];
		struct host_access_change changes[HOST_ACCESS_CHANGES_MAX];
	};
};

/** host_access_is_type() - May the gateway say that? */
bool host_access_is_type(uint32_t type);

/** host_access_has_body() - Has a message of that type a body? */
bool host_access_has_body(uint32_t type);

/**
 * host_access_judge() - Can that body be? Pure
 * @type:	One that has a body
 *
 * Return: NULL if it can; otherwise the rule it breaks.
 */
const char *host_access_judge(uint32_t type, const struct host_access *body);

/* --- Items. Those read were judged. --- */

void host_access_write_rule(const struct access_rule *from, struct host_access_rule *to);
struct access_rule host_access_read_rule(const struct host_access_rule *from);
void host_access_write_change(const struct nft_element *from, struct host_access_change *to);
struct nft_element host_access_read_change(const struct host_access_change *from);

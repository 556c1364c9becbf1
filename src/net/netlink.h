/* SPDX-License-Identifier: Apache-2.0 */
/**
 * netlink.h - Links, addresses and routes of the kernel, changed and asked for
 *
 * One socket, one request at a time: every call sends, waits for the kernel's answer and
 * returns 0 or -errno as the kernel said it. Interfaces are named by index, which stays
 * when somebody renames them.
 *
 * Source:  rtnetlink(7).
 * Bounds:  an answer that does not come within 5 s is -ETIMEDOUT.
 * Threads: one at a time per socket.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	LINK_NAME_MAX = 16, /* with its NUL: IFNAMSIZ */
	LINK_KIND_MAX = 16,
	LINK_ALIAS_MAX = 64, /* with its NUL; longer ones are cut */
};

/**
 * struct netlink_link - What there is to know about one interface
 * @kind:	"tun", "wireguard", "veth"; "" for hardware
 * @alias:	What somebody wrote on it, for people; "": nothing
 * @flags:	IFF_UP and the rest
 */
struct netlink_link {
	char name[LINK_NAME_MAX];
	char kind[LINK_KIND_MAX];
	char alias[LINK_ALIAS_MAX];
	uint32_t index;
	uint32_t flags;
	uint32_t mtu;
	uint32_t txqueuelen;
	uint32_t gso_max_size;
	uint32_t gso_max_segs;
};

/* An address as an interface has it: the whole address, and the length of its network. */
struct netlink_address {
	struct ip_addr ip;
	uint8_t bits;
	uint32_t index;
};

/**
 * struct netlink_route - Where packets go
 * @gateway:	ADDR_NONE: the destination is on the link itself
 * @index:	Interface, 0: any (for deletion)
 * @is_local:	What goes there is for this host itself; then @index is the loopback's
 * @table:	0 means the main table
 * @metric:	0 means the kernel's default
 * @is_unreachable: Nowhere: whoever sends there is told so; @gateway and @index do not count
 */
struct netlink_route {
	struct ip_prefix destination;
	struct ip_addr gateway;
	uint32_t index;
	uint32_t table;
	uint32_t metric;
	bool is_local;
	bool is_unreachable;
};

/**
 * struct netlink_rule - Which packets a routing table is for (ip-rule(8))
 * @family:	An enum addr_family
 * @priority:	Lower ones are asked first
 * @came_by:	Interface that packets came in by; NULL: any
 * @mark, @mask: Packets whose mark is @mark in the bits of @mask; 0, 0: any
 * @to:		Destination; ADDR_NONE: any
 * @suppress_bits: Routes of so many bits or fewer do not count; -1: all count
 * @uid:	With @has_uid: packets of this user's processes
 * @invert:	Packets that do not match
 */
struct netlink_rule {
	uint8_t family;
	uint32_t priority;
	uint32_t table;
	const char *came_by;
	uint32_t mark;
	uint32_t mask;
	struct ip_prefix to;
	int32_t suppress_bits;
	uint32_t uid;
	bool has_uid;
	bool invert;
};

struct netlink;

int netlink_open(struct netlink **ret);
struct netlink *netlink_close(struct netlink *nl); /* takes NULL, returns NULL */

/* -ENODEV: no such interface. */
int netlink_link_find(struct netlink *nl, const char *name, struct netlink_link *ret);
int netlink_link_set_up(struct netlink *nl, uint32_t index, bool up);
int netlink_link_set_mtu(struct netlink *nl, uint32_t index, uint32_t mtu);
int netlink_link_set_txqueuelen(struct netlink *nl, uint32_t index, uint32_t packets);
int netlink_link_set_gso(struct netlink *nl, uint32_t index, uint32_t max_size,
			 uint32_t max_segs);
int netlink_link_set_alias(struct netlink *nl, uint32_t index, const char *alias);
int netlink_link_delete(struct netlink *nl, uint32_t index);
/* -EEXIST: a link of that name; -EOPNOTSUPP: the kernel has no such kind. */
int netlink_link_create(struct netlink *nl, const char *name, const char *kind);

/* -EEXIST: already there. IPv6 is usable at once: no duplicate detection on a tunnel. */
int netlink_address_add(struct netlink *nl, const struct netlink_address *address);
/* -EADDRNOTAVAIL: not there. */
int netlink_address_remove(struct netlink *nl, const struct netlink_address *address);

/**
 * netlink_addresses() - Every address of this network namespace, in the kernel's order
 * @each:	Called for each, twice if the table changes meanwhile; a false answer ends
 *		the walk early, without an error
 */
int netlink_addresses(struct netlink *nl,
		      bool (*each)(void *context, const struct netlink_address *address),
		      void *context);

int netlink_route_add(struct netlink *nl, const struct netlink_route *route);	 /* -EEXIST */
int netlink_route_delete(struct netlink *nl, const struct netlink_route *route); /* -ESRCH */

int netlink_rule_add(struct netlink *nl, const struct netlink_rule *rule);    /* -EEXIST */
int netlink_rule_delete(struct netlink *nl, const struct netlink_rule *rule); /* -ENOENT */

/**
 * netlink_rules() - Every rule of one family; as netlink_addresses()
 * @each:	Gets what struct netlink_rule holds of it: priority, table, mark and mask
 */
int netlink_rules(struct netlink *nl, uint8_t family,
		  bool (*each)(void *context, const struct netlink_rule *rule), void *context);

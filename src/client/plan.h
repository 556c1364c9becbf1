/* SPDX-License-Identifier: Apache-2.0 */
/**
 * plan.h - What a client is going to change on this host, decided before anything is changed
 *
 * From a file and what the command line adds to a plan: which packets go through the
 * tunnel, by which rules of routing, and what else may leave. Nothing is asked for here:
 * addresses of servers, users and numbers that are free come in.
 *
 * Theory: packets of the tunnel process carry a mark. A rule sends all packets without it to a
 * routing table of our own, whose routes lead into the tunnel; routes that somebody
 * puts into the main table (DHCP's option 121, router advertisements) do not matter. What may
 * leave otherwise, client/firewall.h says, not routing.
 *
 * Bounds:  CLIENT_…_MAX. Memory: all inside. Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "conf/wgconf.h"
#include "net/netlink.h"

enum {
	CLIENT_NUMBER = 51820, /* mark and routing table; the next ones where it is taken */
	CLIENT_NUMBERS = 64,
	CLIENT_RULE_PRIORITY = 5182, /* of the first rule; main is 32766 */
	CLIENT_ADDRESSES_MAX = 16,
	CLIENT_ENDPOINTS_MAX = 32,
	CLIENT_PREFIXES_MAX = 1024, /* of --split, or AllowedIPs of all peers */
	CLIENT_EXCLUDES_MAX = 64,
	CLIENT_CARRIERS_MAX = 4,
	CLIENT_DNS_MAX = 3, /* as many as resolv.conf(5) has */
	CLIENT_SEARCH_MAX = 6,
	CLIENT_DOMAIN_MAX = 254, /* with its NUL */
	CLIENT_CGROUP_MAX = 256,
	CLIENT_MTU_MIN = 576,
	CLIENT_MTU_MIN_V6 = 1280,
};

/** enum client_scope - Whose packets go through the tunnel */
enum client_scope {
	CLIENT_FULL,  /* everybody's, everywhere */
	CLIENT_SPLIT, /* everybody's, to some networks */
	CLIENT_USER,  /* one user's */
	CLIENT_CGROUP /* those of the processes in one cgroup */
};

/**
 * struct client_options - What the command line says; borrowed for the call
 * @split:	Instead of AllowedIPs
 * @exclude:	Networks beside the tunnel
 * @cgroup:	Path below /sys/fs/cgroup without a slash in front; NULL: none
 * @lan:	The local network may be reached
 * @is_tcp:	What is spoken with the endpoints: TCP with a proxy, instead of UDP
 * @carriers:	Where a carrier of this host, which leads to an endpoint on loopback, has its TCP connection
 */
struct client_options {
	const struct ip_prefix *split;
	size_t n_split;
	const struct ip_prefix *exclude;
	size_t n_exclude;
	struct endpoint carriers[CLIENT_CARRIERS_MAX];
	size_t n_carriers;
	const char *cgroup;
	uint32_t uid;
	bool has_uid;
	bool lan;
	bool no_kill_switch;
	bool is_tcp;
};

/**
 * struct client_plan - All of it
 * @number:	Routing table, and mark unless the file says another
 * @has_tunnel4, @has_tunnel6: Addresses of the family inside the tunnel
 * @is_routed:	Rules and routes are made; not with "Table = off"
 * @has_kill_switch: What is not allowed does not leave
 * @endpoints:	Of all peers, those that may be switched to included
 * @n_dns_beside: Name servers of the file that a split tunnel does not lead to; not in @dns
 * @search:	Domains
 * @mtu:	0: from the path
 */
struct client_plan {
	char interface[LINK_NAME_MAX];
	enum client_scope scope;
	uint32_t number;
	uint32_t mark;
	uint32_t uid;
	char cgroup[CLIENT_CGROUP_MAX];
	bool has_tunnel4;
	bool has_tunnel6;
	bool has_ipv6; /* this host */
	bool is_routed;
	bool has_kill_switch;
	bool lan;
	bool is_tcp;
	uint16_t mtu;
	struct netlink_address addresses[CLIENT_ADDRESSES_MAX];
	size_t n_addresses;
	struct endpoint endpoints[CLIENT_ENDPOINTS_MAX];
	size_t n_endpoints;
	struct endpoint carriers[CLIENT_CARRIERS_MAX];
	size_t n_carriers;
	struct ip_prefix prefixes[CLIENT_PREFIXES_MAX]; /* through the tunnel */
	size_t n_prefixes;
	struct ip_prefix excludes[CLIENT_EXCLUDES_MAX];
	size_t n_excludes;
	struct ip_addr dns[CLIENT_DNS_MAX];
	size_t n_dns;
	size_t n_dns_beside;
	char search[CLIENT_SEARCH_MAX][CLIENT_DOMAIN_MAX];
	size_t n_search;
};

/**
 * client_plan_make() - Decide
 * @interface:	Letters, digits and _=+.- only: it becomes part of rules
 * @has_ipv6:	This host has IPv6
 *
 * AllowedIPs that cover all of one family make a full tunnel, of both families: what the tunnel does
 * not carry is blocked then. The endpoints and the number are added by the caller.
 *
 * Return: 0; ERR_FORMAT for what contradicts itself, ERR_LIMIT; with a sentence in @d.
 */
int client_plan_make(struct client_plan *p, const char *interface, const struct wgconf *conf,
		     const struct client_options *options, bool has_ipv6, struct diag *d);

/** client_plan_add_endpoint() - One more; the same twice is one. 0 or ERR_LIMIT */
int client_plan_add_endpoint(struct client_plan *p, const struct endpoint *endpoint);

/* Use table (and, where @conf names none, mark) @number. */
void client_plan_set_number(struct client_plan *p, const struct wgconf *conf, uint32_t number);

/* --- What follows from it, one by one: false when there is no @index --- */

/** client_plan_inner_mark() - What packets of a cgroup are marked with, to find the tunnel */
uint32_t client_plan_inner_mark(const struct client_plan *p);

bool client_plan_rule(const struct client_plan *p, size_t index, struct netlink_rule *ret);

/* Routes into the tunnel have no interface yet: index 0 and not is_unreachable. */
bool client_plan_route(const struct client_plan *p, size_t index, struct netlink_route *ret);

/** client_plan_mtu() - What fits into packets of @path octets to the endpoints
 * @padding:	S4 of AmneziaWG */
uint32_t client_plan_mtu(const struct client_plan *p, uint32_t path, uint32_t padding);

/** client_interface_is_valid() - As said above, and 1 to 15 characters */
bool client_interface_is_valid(const char *name);

/** client_private() - The networks that "the local network" means: their prefixes in order
 *
 * Return: false when there is no @index.
 */
bool client_private(size_t index, struct ip_prefix *ret);
